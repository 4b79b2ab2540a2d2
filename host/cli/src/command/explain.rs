//! `portcullis explain`: one verdict, offline, policy by policy, and what would have to be otherwise.

mod input;
mod live;
mod pkcs12;
mod print;
mod recorded;
mod remedy;
mod validity;

use std::sync::Arc;

use portcullis_engine::{Clock, Handshake, Metering, Revocation};

use self::input::Subject;
use self::remedy::Search;
use crate::arguments::{Explain, Format};
use crate::config::ConfigFile;
use crate::exit::Exit;
use crate::policies::load_chain;
use crate::{revocation, wiring, workload};

/// Judges the certificates as a handshake that presents them would be.
pub(crate) fn explain(arguments: &Explain, format: Format) -> anyhow::Result<Exit> {
    let subject = input::read(arguments)?;
    let mut file = ConfigFile::read(&arguments.setup.config)?;
    workload::once(&mut file)?;
    let revocation: Arc<dyn Revocation> = match &subject {
        Subject::Certificates(_) => Arc::new(revocation::offline(&file)?),
        Subject::Recorded(recorded) => Arc::new(recorded.record.recorded_answers()),
    };
    let plugins = &arguments.setup.plugins;
    let (chain, _) = load_chain(&file, plugins, Arc::clone(&revocation), Metering::Fuel)?;
    let handshake = handshake(arguments, &subject);
    let decision = chain.decide(&handshake);
    let remedy = (!decision.is_accepted()).then(|| {
        let own_names = wiring::server_names(&file);
        Search::new(&chain, &handshake, revocation, own_names).remedy(&decision)
    });
    print::print(&subject, &handshake, &decision, remedy.as_ref(), format)?;
    Ok(if decision.is_accepted() { Exit::Success } else { Exit::Rejected })
}

/// What is given counts; then what was recorded.
fn handshake(arguments: &Explain, subject: &Subject) -> Handshake {
    let known = match subject {
        Subject::Certificates(chain) => Handshake {
            chain: chain.clone(),
            time: Clock::system().now(),
            peer_address: ([127, 0, 0, 1], 0).into(),
            server_name: None,
        },
        Subject::Recorded(recorded) => recorded.handshake.clone(),
    };
    let server_name = arguments.server_name.as_ref().map(|name| name.to_ascii_lowercase());
    Handshake {
        time: arguments.at.unwrap_or(known.time),
        peer_address: arguments.peer.unwrap_or(known.peer_address),
        server_name: server_name.or(known.server_name),
        chain: known.chain,
    }
}
