//! `portcullis replay`: recorded handshakes judged again, to know before a roll-out whom it would lock out.
//!
//! Each is judged at its own time and with the answers about revocation that were recorded with it, with deadlines counted
//! in work: nobody waits, and the verdict must not depend on how busy this machine is.

mod again;
mod input;
mod print;
mod tally;

use std::sync::{Arc, mpsc};

use portcullis_engine::{Chain, Metering, NotConfigured};

use self::again::Worker;
use self::input::{Input, Progress, Recordings};
use self::tally::Tally;
use crate::arguments::{Format, Replay};
use crate::config::ConfigFile;
use crate::exit::Exit;
use crate::policies::load_chain;
use crate::{recording, workload};

/// Batches that wait for each core.
const QUEUED_BATCHES: usize = 4;

/// Judges all of the recordings, prints what would change, and says whether anybody would lose access.
pub(crate) fn replay(arguments: &Replay, format: Format) -> anyhow::Result<Exit> {
    let recordings = Recordings::find(&arguments.recordings)?;
    let mut file = ConfigFile::read(&arguments.setup.config)?;
    workload::once(&mut file)?;
    // What the sources know today is no part of it.
    let unknown = Arc::new(NotConfigured);
    let (chain, _) = load_chain(&file, &arguments.setup.plugins, unknown, Metering::Fuel)?;

    let (input, tally) = judge_all(&chain, &recordings)?;
    print::print(&recordings, &input, &tally, format)?;
    Ok(if !input.damaged.is_empty() && !arguments.skip_damaged {
        Exit::Incomplete
    } else if tally.anyone_loses() {
        Exit::Rejected
    } else {
        Exit::Success
    })
}

/// One thread reads, and as many as there are cores judge: what is in memory does not grow with the recordings.
fn judge_all(chain: &Chain, recordings: &Recordings) -> anyhow::Result<(Input, Tally)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (queue, batches) = mpsc::sync_channel(cores * QUEUED_BATCHES);
    let worker = Worker::new(chain, batches);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(|| worker.run())).collect();
        let mut input = Input::new(recording::identities(chain));
        let mut progress = Progress::new(recordings);
        input.read(recordings, &queue, &mut progress);
        drop(queue);
        let mut tally = Tally::default();
        for worker in workers {
            let done = worker.join().map_err(|_| anyhow::anyhow!("a judging thread panicked"))?;
            input.damaged.append(done.damaged);
            tally.merge(done.tally);
        }
        progress.end();
        Ok((input, tally))
    })
}
