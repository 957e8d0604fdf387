//! Who holds the address, from the kernel: the measure of "never two".
//!
//! A node holds the address while its kernel lists it as its own, whatever any program says. Where there is no
//! address (plain labs), a node's resource file takes its place.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::network;

/// Where to look whether one node holds the address.
#[derive(Debug, Clone)]
pub enum Holding {
    /// The kernel's table of one network namespace, `/proc/PID/net/fib_trie`, and the address.
    Kernel(PathBuf, String),
    /// A file that exists while the resource is up.
    File(PathBuf),
}

impl Holding {
    /// Whether it is held now.
    #[must_use]
    pub fn now(&self) -> bool {
        match self {
            Self::Kernel(table, address) => {
                std::fs::read_to_string(table).is_ok_and(|text| network::owns(&text, address))
            }
            Self::File(path) => path.exists(),
        }
    }
}

/// A time with the same holders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// When it began, since the watch started.
    pub from: Duration,
    /// When it was last seen so.
    pub to: Duration,
    /// Ids of the nodes that held the address.
    pub holders: Vec<usize>,
}

impl Span {
    /// At least so long; the watch looks every millisecond.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// Looks every millisecond who holds the address; stops when it is dropped.
#[derive(Debug)]
pub struct HolderWatch {
    started: Instant,
    spans: Arc<Mutex<Vec<Span>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HolderWatch {
    /// Starts to watch; node ids count from 1 in the order of `nodes`.
    #[must_use]
    pub fn start(nodes: Vec<Holding>) -> Self {
        let (started, spans, stop) = (Instant::now(), Arc::<Mutex<Vec<Span>>>::default(), Arc::<AtomicBool>::default());
        let (shared, ended) = (Arc::clone(&spans), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let holders = nodes.iter().zip(1..).filter(|(node, _)| node.now()).map(|(_, id)| id).collect();
                extend(&mut shared.lock().unwrap_or_else(PoisonError::into_inner), started.elapsed(), holders);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { started, spans, stop, thread: Some(thread) }
    }

    /// The time now, as spans count it.
    #[must_use]
    pub fn mark(&self) -> Duration {
        self.started.elapsed()
    }

    /// All spans since the start, oldest first.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans in which more than one node held the address.
    #[must_use]
    pub fn doubles(&self) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.holders.len() > 1).collect()
    }

    /// How often, after `since`, a node came to hold the address that did not hold it before.
    #[must_use]
    pub fn moves(&self, since: Duration) -> usize {
        let spans = self.spans();
        let gained = |pair: &[Span]| pair[1].holders.iter().filter(|id| !pair[0].holders.contains(id)).count();
        spans.windows(2).filter(|pair| pair[1].from >= since).map(gained).sum()
    }
}

impl Drop for HolderWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn extend(spans: &mut Vec<Span>, now: Duration, holders: Vec<usize>) {
    match spans.last_mut() {
        Some(span) if span.holders == holders => span.to = now,
        _ => spans.push(Span { from: now, to: now, holders }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_find_the_same_holders_make_one_span() {
        let mut spans = Vec::new();
        for (ms, holders) in [(1, vec![1]), (2, vec![1]), (3, vec![1, 2]), (5, vec![1, 2]), (6, vec![2])] {
            extend(&mut spans, Duration::from_millis(ms), holders);
        }
        assert_eq!(spans.len(), 3);
        assert_eq!(spans[1].length(), Duration::from_millis(2));
    }
}
