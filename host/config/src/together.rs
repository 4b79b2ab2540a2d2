//! Policies loaded side by side, with a word to the operator where one takes its time.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an operator waits without a word.
const MOMENT: Duration = Duration::from_millis(500);

enum Event<T> {
    Begun(usize),
    Done(usize, T),
}

/// What `load` makes of each item, on every core and given in their order. The names are those of the policies.
pub(crate) fn load<S: Send, T: Send>(
    names: &[&str],
    items: Vec<S>,
    load: impl Fn(S) -> T + Sync,
) -> Vec<T> {
    let waiting = Mutex::new(items.into_iter().enumerate());
    let (sender, events) = mpsc::channel();
    let worker = |sender: mpsc::Sender<Event<T>>| {
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some((place, item)) = next() {
            // Whoever hears it is there until the last of these ends.
            let _ = sender.send(Event::Begun(place));
            let _ = sender.send(Event::Done(place, load(item)));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        for _ in 0..cores.min(names.len()) {
            let sender = sender.clone();
            scope.spawn(|| worker(sender));
        }
        drop(sender);
        let mut progress = Progress { names, under_way: Vec::new() };
        let mut done = Vec::new();
        loop {
            match events.recv_timeout(MOMENT) {
                Ok(Event::Begun(place)) => progress.begun(place),
                Ok(Event::Done(place, result)) => {
                    progress.done(place);
                    done.push((place, result));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return done,
            }
            progress.tell();
        }
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What is under way, and whether the operator knows.
struct Progress<'a> {
    names: &'a [&'a str],
    under_way: Vec<(usize, Instant, bool)>,
}

impl Progress<'_> {
    fn begun(&mut self, place: usize) {
        self.under_way.push((place, Instant::now(), false));
    }

    fn tell(&mut self) {
        let number = self.names.len();
        for (place, start, told) in &mut self.under_way {
            if !*told && start.elapsed() >= MOMENT {
                *told = true;
                let name = name(self.names, *place);
                tracing::info!("loading policy `{name}`, {} of {number}", *place + 1);
            }
        }
    }

    fn done(&mut self, place: usize) {
        let known = self.under_way.iter().position(|(known, ..)| *known == place);
        let Some((_, start, told)) = known.map(|at| self.under_way.swap_remove(at)) else { return };
        if told || start.elapsed() >= MOMENT {
            let (name, elapsed_ms) = (name(self.names, place), start.elapsed().as_millis());
            tracing::info!("policy `{name}` is loaded after {elapsed_ms} ms");
        }
    }
}

fn name<'a>(names: &[&'a str], place: usize) -> &'a str {
    names.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_policies_and_each_is_loaded_once() {
        let calls = AtomicUsize::new(0);
        let items: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        let names: Vec<&str> = items.iter().map(String::as_str).collect();
        let loaded = load(&names, items.clone(), |item| {
            calls.fetch_add(1, Ordering::Relaxed);
            item
        });
        assert_eq!(loaded, items);
        assert_eq!(calls.into_inner(), 50);
        assert!(load(&[], Vec::new(), |item: u8| item).is_empty());
    }
}
