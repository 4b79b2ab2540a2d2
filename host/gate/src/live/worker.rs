//! The thread that judges clients again, one after the other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cpu_time::ThreadTime;
use tokio::time::MissedTickBehavior;

use super::LiveConnections;
use crate::judge::Examiner;

/// How often it is looked for verdicts that no longer hold and for clients that have waited for too long.
const TICK: Duration = Duration::from_millis(200);

/// Judges clients again, until it is dropped.
pub(crate) struct Worker(LiveConnections);

impl Worker {
    /// Starts a thread of the operating system: judging blocks, and must take no place from handshakes.
    pub(crate) fn start(live: LiveConnections, examiner: Arc<Examiner>) -> io::Result<Self> {
        let worker = Self(live.clone());
        std::thread::Builder::new()
            .name("rejudge".to_owned())
            .spawn(move || judge(&live, &examiner))?;
        Ok(worker)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn judge(live: &LiveConnections, examiner: &Examiner) {
    while let Some(task) = live.next() {
        // Of the processor, and not of the clock: waiting for a busy processor takes nothing of it.
        let begin = ThreadTime::now();
        let decision = Arc::new(examiner.examine_again(&task.connection));
        live.conclude(&task, &decision, begin.elapsed(), |decision| examiner.hold(decision));
    }
}

impl LiveConnections {
    /// Watches the clock, apart from the thread that judges: whoever that one does not get to has to go all the same.
    pub(crate) async fn watch_clock(self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }
}
