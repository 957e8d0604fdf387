//! The client: asks the service again and again and remembers when nobody, or somebody else, answered.
//!
//! What is measured is what a user sees. A request is a success or a failure; an outage lasts from the last success
//! before a run of failures to the first one after it. A client that was itself not scheduled for a while sent no
//! requests, so it reports no outage that was not there.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pha_sys::poll;

/// Answers that are read before the client asks again.
const MOST_AT_ONCE: u32 = 1000;

/// How to ask.
#[derive(Debug, Clone)]
pub enum Probe {
    /// An HTTP GET over a new connection every 5 ms.
    Http {
        /// The service.
        service: SocketAddr,
        /// Longest wait for connection and answer, each.
        patience: Duration,
    },
    /// A datagram every 2 ms; answers may overtake each other.
    Udp {
        /// The service.
        service: SocketAddr,
        /// A datagram without answer for so long is lost.
        patience: Duration,
    },
    /// Which one of some files exists, every 2 ms: who serves where there is no address to ask.
    Files(Vec<(String, PathBuf)>),
}

/// Requests in a row that ended alike.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Run {
    answer: Option<String>,
    first: Duration,
    last: Duration,
    count: u64,
}

/// A time without answers, or a change of who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The last answer before, since the client's start; zero if there was none.
    pub from: Duration,
    /// The first answer after; `None` while nobody answers.
    pub to: Option<Duration>,
    /// Who answered before.
    pub before: Option<String>,
    /// Who answered after.
    pub after: Option<String>,
    /// Requests that failed.
    pub failed: u64,
}

impl Gap {
    /// From the last answer before to the first after; `None` while nobody answers.
    #[must_use]
    pub fn length(&self) -> Option<Duration> {
        self.to.map(|to| to.saturating_sub(self.from))
    }
}

/// Everything a client saw, as runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline(Vec<Run>);

impl Timeline {
    /// One request ended at `at`; `answer` is who answered.
    pub fn record(&mut self, at: Duration, answer: Option<&str>) {
        match self.0.last_mut() {
            Some(run) if run.answer.as_deref() == answer => {
                run.last = at;
                run.count += 1;
            }
            _ => self.0.push(Run { answer: answer.map(str::to_owned), first: at, last: at, count: 1 }),
        }
    }

    /// Gaps that ended after `since`, or have not ended, oldest first. The time before the first answer is none.
    #[must_use]
    pub fn gaps(&self, since: Duration) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut before: Option<&Run> = None;
        let mut failed = 0;
        for run in &self.0 {
            if run.answer.is_none() {
                failed += run.count;
                continue;
            }
            if let Some(before) = before {
                gaps.push(Self::gap(before, Some(run), failed));
            }
            (before, failed) = (Some(run), 0);
        }
        if let Some(before) = before
            && failed > 0
        {
            gaps.push(Self::gap(before, None, failed));
        }
        gaps.retain(|gap| gap.to.is_none_or(|to| to >= since));
        gaps
    }

    fn gap(before: &Run, after: Option<&Run>, failed: u64) -> Gap {
        Gap {
            from: before.last,
            to: after.map(|run| run.first),
            before: before.answer.clone(),
            after: after.and_then(|run| run.answer.clone()),
            failed,
        }
    }

    /// Who answered the last request.
    #[must_use]
    pub fn answer(&self) -> Option<&str> {
        self.0.last().and_then(|run| run.answer.as_deref())
    }

    /// Who answered the last request, if somebody did, and it was answered at `since` or later.
    #[must_use]
    pub fn answer_since(&self, since: Duration) -> Option<&str> {
        self.0.last().filter(|run| run.last >= since)?.answer.as_deref()
    }

    /// Requests so far: all, and those that failed.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let count = |runs: &mut dyn Iterator<Item = &Run>| runs.map(|run| run.count).sum();
        (count(&mut self.0.iter()), count(&mut self.0.iter().filter(|run| run.answer.is_none())))
    }
}

/// A running client; it stops when it is dropped.
#[derive(Debug)]
pub struct Client {
    started: Instant,
    timeline: Arc<Mutex<Timeline>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Starts to ask.
    ///
    /// # Errors
    /// No socket for [`Probe::Udp`].
    pub fn start(probe: Probe) -> Result<Self> {
        let (started, timeline, stop) = (Instant::now(), Arc::default(), Arc::default());
        let recorder = Recorder { started, timeline: Arc::clone(&timeline), stop: Arc::clone(&stop) };
        let thread = match probe {
            Probe::Http { service, patience } => std::thread::spawn(move || recorder.ask_http(service, patience)),
            Probe::Files(files) => std::thread::spawn(move || recorder.look_at(&files)),
            Probe::Udp { service, patience } => {
                let socket = UdpSocket::bind("0.0.0.0:0").context("client's socket")?;
                socket.set_nonblocking(true).context("client's socket")?;
                std::thread::spawn(move || recorder.ask_udp(&socket, service, patience))
            }
        };
        Ok(Self { started, timeline, stop, thread: Some(thread) })
    }

    fn timeline(&self) -> MutexGuard<'_, Timeline> {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time now, as gaps count it: a mark for [`Self::gaps`].
    #[must_use]
    pub fn mark(&self) -> Duration {
        self.started.elapsed()
    }

    /// Gaps that ended after `since`, or have not ended, oldest first.
    #[must_use]
    pub fn gaps(&self, since: Duration) -> Vec<Gap> {
        self.timeline().gaps(since)
    }

    /// Who answered the last request.
    #[must_use]
    pub fn answer(&self) -> Option<String> {
        self.timeline().answer().map(str::to_owned)
    }

    /// Who answered the last request, if somebody did, and it was answered at `since` or later.
    #[must_use]
    pub fn answer_since(&self, since: Duration) -> Option<String> {
        self.timeline().answer_since(since).map(str::to_owned)
    }

    /// Requests so far: all, and those that failed.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        self.timeline().counts()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's half of a client.
struct Recorder {
    started: Instant,
    timeline: Arc<Mutex<Timeline>>,
    stop: Arc<AtomicBool>,
}

impl Recorder {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn record(&self, at: Duration, answer: Option<&str>) {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner).record(at, answer);
    }

    fn ask_http(&self, service: SocketAddr, patience: Duration) {
        while !self.stopped() {
            let next = Instant::now() + Duration::from_millis(5);
            let answer = get(service, patience);
            self.record(self.started.elapsed(), answer.as_deref());
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn look_at(&self, files: &[(String, PathBuf)]) {
        while !self.stopped() {
            let mut there = files.iter().filter(|(_, file)| file.exists()).map(|(name, _)| name.as_str());
            let answer = there.next();
            // Two at once are as bad as none.
            self.record(self.started.elapsed(), answer.filter(|_| there.next().is_none()));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn ask_udp(&self, socket: &UdpSocket, service: SocketAddr, patience: Duration) {
        let mut asked = Asked::default();
        let mut next = Instant::now();
        while !self.stopped() {
            let now = Instant::now();
            if now >= next {
                let number = asked.send(self.started.elapsed());
                let _ = socket.send_to(&number.to_be_bytes(), service);
                next = now + Duration::from_millis(2);
            }
            // Not the socket's own timeout: the kernel rounds that up to one or two of its ticks, 4 ms each.
            let _ = poll::wait(&[socket.as_fd()], Some(next.saturating_duration_since(Instant::now())));
            let mut buffer = [0; 128];
            // All that has come, or answers that waited for a client that was late itself would count as lost. An error is an
            // ICMP message about an earlier request, or there is nothing: not an answer.
            for _ in 0..MOST_AT_ONCE {
                let Ok(length) = socket.recv(&mut buffer) else { break };
                asked.answered(&buffer[..length], self.started.elapsed());
            }
            let too_old = self.started.elapsed().saturating_sub(patience);
            for (at, answer) in asked.settled(too_old) {
                self.record(at, answer.as_deref());
            }
        }
    }
}

/// A new connection, one request, the answer's body.
fn get(service: SocketAddr, patience: Duration) -> Option<String> {
    let mut connection = TcpStream::connect_timeout(&service, patience).ok()?;
    connection.set_read_timeout(Some(patience)).ok()?;
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    answer.lines().last().map(str::to_owned)
}

/// Datagrams on their way, oldest first.
#[derive(Debug, Default)]
struct Asked {
    next: u64,
    waiting: VecDeque<(u64, Duration, Option<String>)>,
}

impl Asked {
    fn send(&mut self, at: Duration) -> u64 {
        self.next += 1;
        self.waiting.push_back((self.next, at, None));
        self.next
    }

    /// `reply` is the number as it was sent, then the name of who answered.
    fn answered(&mut self, reply: &[u8], at: Duration) {
        let Some((number, name)) = reply.split_first_chunk::<8>() else { return };
        let number = u64::from_be_bytes(*number);
        let found = self.waiting.binary_search_by_key(&number, |entry| entry.0);
        if let Some(entry) = found.ok().and_then(|index| self.waiting.get_mut(index)) {
            entry.1 = at;
            entry.2 = Some(String::from_utf8_lossy(name).into_owned());
        }
    }

    /// Takes what is answered, or was sent before `too_old`, from the front: results keep their order.
    fn settled(&mut self, too_old: Duration) -> Vec<(Duration, Option<String>)> {
        let mut settled = Vec::new();
        while let Some((_, at, answer)) = self.waiting.pop_front_if(|entry| entry.2.is_some() || entry.1 < too_old) {
            settled.push((at, answer));
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_gap_lasts_from_the_last_answer_before_to_the_first_after() {
        let mut timeline = Timeline::default();
        for (at, answer) in [(1, None), (5, Some("lb1")), (10, Some("lb1")), (15, None), (20, None), (25, Some("lb2"))]
        {
            timeline.record(ms(at), answer);
        }
        let gaps = timeline.gaps(Duration::ZERO);
        assert_eq!(gaps.len(), 1, "the time before the first answer is no gap");
        assert_eq!((gaps[0].length(), gaps[0].failed), (Some(ms(15)), 2));
        assert_eq!((gaps[0].before.as_deref(), gaps[0].after.as_deref()), (Some("lb1"), Some("lb2")));
        assert_eq!(timeline.counts(), (6, 3));
        assert_eq!((timeline.answer_since(ms(25)), timeline.answer_since(ms(26))), (Some("lb2"), None));
        assert!(timeline.gaps(ms(26)).is_empty());
    }

    #[test]
    fn a_change_without_a_failure_is_a_gap_too() {
        let mut timeline = Timeline::default();
        timeline.record(ms(1), Some("lb1"));
        timeline.record(ms(6), Some("lb2"));
        assert_eq!(timeline.gaps(Duration::ZERO).first().map(|gap| gap.failed), Some(0));
        timeline.record(ms(9), None);
        assert_eq!(timeline.gaps(Duration::ZERO).last().map(Gap::length), Some(None));
    }

    #[test]
    fn datagrams_are_settled_in_the_order_they_were_sent() {
        let mut asked = Asked::default();
        let (first, second) = (asked.send(ms(0)), asked.send(ms(2)));
        asked.answered(&[&second.to_be_bytes()[..], b"lb1"].concat(), ms(3));
        asked.answered(b"junk", ms(3));
        assert!(asked.settled(ms(0)).is_empty(), "the first may still be answered");
        assert_eq!(asked.settled(ms(1)), [(ms(0), None), (ms(3), Some("lb1".to_owned()))]);
        asked.answered(&first.to_be_bytes(), ms(9));
        assert!(asked.settled(ms(99)).is_empty(), "a late answer changes nothing");
    }
}
