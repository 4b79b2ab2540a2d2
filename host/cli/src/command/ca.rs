//! `portcullis ca`: a private certification authority.

mod crl;
mod diagnosis;
mod init;
mod issue;
mod list;
mod output;
mod revoke;
mod serve;

use portcullis_ca::Ca;
use portcullis_engine::Clock;

use crate::arguments::{CaArguments, CaCommand, Format};
use crate::exit::Exit;

/// Does what is asked of the authority.
pub(crate) fn ca(arguments: &CaArguments, format: Format) -> anyhow::Result<Exit> {
    let dir = arguments.dir.as_path();
    let clock = Clock::system;
    let open = || Ca::open(dir, clock()).map_err(|error| diagnosis::mistake(&error, dir));
    match &arguments.command {
        CaCommand::Init(arguments) => init::init(arguments, dir, clock(), format),
        CaCommand::Issue(arguments) => issue::issue(arguments, &open()?, format),
        CaCommand::Renew(arguments) => issue::renew(arguments, &open()?, format),
        CaCommand::Revoke(arguments) => revoke::revoke(arguments, &open()?, format),
        CaCommand::Crl(arguments) => match arguments.serve {
            Some(address) => serve::status(open()?, address, format),
            None => crl::crl(arguments, &open()?, format),
        },
        CaCommand::Serve(arguments) => serve::serve(arguments, &open, format),
        CaCommand::List => list::list(&open()?, clock().now(), format),
    }
}
