//! The supervise loop: wait, feed the core, carry out what it wants.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use pha_config::{Config, Node};
use pha_core::BootTime;
use pha_core::supervisor::{Command, Event, Outside, Restored, Supervisor};
use pha_daemon::peers::Resolver;
use pha_daemon::{Daemon, Program, Published, Publisher, Recorder, Woken, now, realtime, settings};
use pha_status::{Database, Durability, OperatorSection, Patience, ReceiverSection, Record, SuperviseSection};
use pha_sys::Way;
use pha_sys::icmp::Pinger;
use pha_sys::writer::Writer;
use pha_sys::{interfaces, lock};
use pha_trace::SuperviseInput;

use crate::notes;
use crate::runner::{Ended, Run, Runner};

/// What is outside is looked at this often even if nothing was written; a receiver at work writes more often.
const LOOK: Duration = Duration::from_millis(1500);
/// A receiver whose tick is older is stale: this node is deaf.
const RECEIVER_STALE: Duration = Duration::from_millis(2500);

/// A gateway that has answered one of so many echoes before this one need not be looked for.
const TRUSTED: u16 = 3;

/// How long supervise waits for the disk before it acts on what it could not say yet; once when the disk stalls.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a claim waits for its term to be on the disk. Whoever claims renews no lease, so nothing is missed meanwhile.
const TERM_PATIENCE: Duration = Duration::from_secs(1);

/// How long an active node whose disk stalls stays silent before it hands over, if an address speaks for it.
const STALL_PATIENCE: Duration = Duration::from_secs(30);

/// The daemon and all it knows.
pub struct Supervise {
    supervisor: Supervisor,
    recorder: Recorder,
    runner: Runner,
    pinger: Option<Pinger>,
    gateways: Vec<IpAddr>,
    echo: u16,
    /// The last echo that each gateway has answered.
    answered: BTreeMap<IpAddr, u16>,
    lease: Duration,
    /// How long a probe asks.
    window: Duration,
    own: Vec<IpAddr>,
    carrier: bool,
    record: Record,
    publisher: Publisher<SuperviseSection>,
    database: Arc<Database>,
    database_writer: Writer,
    could_publish: bool,
    /// The publication that brings the next term to the disk, if the core waits for it.
    reserving: Option<u64>,
    section: SuperviseSection,
    outside: Outside,
    receiver_lock: PathBuf,
    next_look: BootTime,
    ended: bool,
}

impl Supervise {
    /// Knows what the status database remembers: terms and wishes, never a role.
    pub fn new(daemon: &Daemon) -> anyhow::Result<Self> {
        let now = now();
        let record = daemon.database.read().unwrap_or_else(|error| {
            log::error!("{error}; beginning anew, in the safe state");
            Record::default()
        });
        let restored = record.supervise.report.as_ref().map_or_else(Restored::default, Restored::from);
        let config = &daemon.config;
        let settings = settings(&daemon.home, config, &daemon.me);
        let window = settings.probe_window();
        let supervisor = Supervisor::new(settings, restored, now);
        let section = SuperviseSection { pid: std::process::id(), config_loaded: now, ..record.supervise.clone() };
        Ok(Self {
            supervisor,
            recorder: Recorder::off(),
            runner: Runner::new(&daemon.home, config, &daemon.me, &daemon.database_writer, starter(config)?),
            pinger: pinger(config)?,
            gateways: config.gateways.clone(),
            echo: 0,
            answered: BTreeMap::new(),
            lease: config.lease,
            window,
            own: own_addresses(&daemon.me),
            carrier: true,
            record,
            publisher: Publisher::new(daemon)?,
            database: Arc::clone(&daemon.database),
            database_writer: daemon.database_writer.clone(),
            could_publish: true,
            reserving: None,
            section,
            outside: Outside::default(),
            receiver_lock: Program::Receiver.pid_file(&daemon.var_dir),
            next_look: now,
            ended: false,
        })
    }

    /// Supervises until the daemon is told to end.
    pub fn run(&mut self, daemon: &mut Daemon) -> anyhow::Result<()> {
        let mut waker = daemon.waker()?;
        self.recorder = Recorder::begin(daemon, &self.supervisor, now());
        self.begin()?;
        daemon.is_ready();
        while !self.ended {
            let deadline = self.next_deadline();
            let fds = self.runner.fds().into_iter().chain(self.pinger.iter().flat_map(Pinger::fds));
            let woken = waker.wait(fds.chain([self.publisher.as_fd()]), deadline)?;
            if woken.hangup {
                self.reload(daemon);
            }
            for event in self.events(woken) {
                self.feed(event);
            }
            self.recorder.flush(now());
        }
        self.recorder.end(&self.supervisor, now());
        Ok(())
    }

    /// The first publication. What an earlier supervise of this boot said stays said, with its old tick, until the first
    /// checks have ended: until then it is truer than what this one knows.
    fn begin(&mut self) -> anyhow::Result<()> {
        let earlier_boot = self.section.tick == BootTime::ZERO;
        if earlier_boot || self.section.report.is_none() {
            self.section.report = Some(self.supervisor.report());
            self.section.tick = now();
        }
        self.record = self.publisher.publish_first(self.section.clone(), Durability::Volatile)?;
        self.outside = self.look_outside(now());
        self.feed(Event::OutsideChanged(Box::new(self.outside.clone())));
        Ok(())
    }

    fn next_deadline(&self) -> BootTime {
        let runner = self.runner.next_deadline();
        runner.into_iter().fold(self.supervisor.next_deadline().min(self.next_look), BootTime::min)
    }

    /// What happened, oldest knowledge first: what is outside, what has ended, what is asked, and time.
    fn events(&mut self, woken: Woken) -> Vec<Event> {
        let now = now();
        let mut events = Vec::new();
        if let Some(published) = self.publisher.collect() {
            events.extend(self.note_published(published));
        }
        if woken.record_changed {
            events.extend(self.read());
        }
        if let Some(stored) = self.reserving.and_then(|number| self.publisher.lasts(number)) {
            self.reserving = None;
            events.push(Event::TermReserved(stored));
        }
        let look = now >= self.next_look;
        if woken.record_changed || look {
            let news = self.has_news(now);
            if news {
                events.push(Event::OutsideChanged(Box::new(self.outside.clone())));
            }
            if news || look {
                self.next_look = now + LOOK;
                events.extend(self.carrier_changed().then_some(Event::CarrierChanged));
            }
        }
        let robbed = self.runner.robbed(now);
        events.extend(robbed.into_iter().map(|resource| Event::ResourceRemoved { resource }));
        events.extend(self.runner.advance(now).into_iter().map(finished));
        events.extend(self.runner.tripped().into_iter().map(|resource| Event::WatchTripped { resource }));
        let answers = self.pinger.as_mut().map(Pinger::receive).unwrap_or_default();
        if !answers.is_empty() {
            self.answered.extend(answers);
            events.push(Event::GatewayAnswered);
        }
        if woken.terminate {
            events.push(Event::StopRequested);
        }
        if events.is_empty() || now >= self.supervisor.next_deadline() {
            events.push(Event::DeadlinePassed);
        }
        events
    }

    fn feed(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            // The disk took its time, and the world went on: what was learned with the answer comes before it.
            if matches!(event, Event::TermStored(_)) && self.has_news(now()) {
                self.hand_over(Event::OutsideChanged(Box::new(self.outside.clone())), &mut events);
            }
            self.hand_over(event, &mut events);
        }
    }

    fn hand_over(&mut self, event: Event, events: &mut VecDeque<Event>) {
        let now = now();
        for command in self.recorder.feed(&mut self.supervisor, SuperviseInput::Happened(event), now) {
            events.extend(self.carry_out(command, now));
        }
    }

    /// Looks at the record; whether it says something new about others.
    fn has_news(&mut self, now: BootTime) -> bool {
        let outside = self.look_outside(now);
        let news = outside != self.outside;
        self.outside = outside;
        news
    }

    /// Does what the core wanted at `decided`; some of it has an answer at once.
    fn carry_out(&mut self, command: Command, decided: BootTime) -> Option<Event> {
        match command {
            Command::Publish => {
                let section = self.report()?;
                let published = self.publisher.publish(section, PATIENCE);
                self.note_published(published)
            }
            Command::ReserveTerm => {
                let section = self.report()?;
                let published = self.publisher.store(section, Durability::Lasting, Duration::ZERO);
                self.reserving = Some(self.publisher.number());
                self.note_record(published);
                None
            }
            Command::StoreTerm => Some(self.store_term(Durability::Lasting)),
            Command::PublishTerm => Some(self.store_term(Durability::Volatile)),
            Command::Run { resource, call, limit, reason, term, lease, sole } => {
                let (lease, window) = (lease.then_some(self.lease), self.window);
                self.runner
                    .start(resource, Run { call, limit, reason, term, lease, sole, window }, decided)
                    .map(finished)
            }
            Command::Cancel { resource } => {
                self.runner.cancel(resource, now());
                None
            }
            Command::Ping => {
                self.ping();
                None
            }
            Command::Note(note) => {
                self.recorder.hurry(decided);
                notes::log(&note, |index| self.supervisor.resources()[index].settings.name.clone());
                None
            }
            Command::Exit => {
                self.ended = true;
                None
            }
        }
    }

    fn store_term(&mut self, durability: Durability) -> Event {
        let section = self.report();
        let published = section.map(|section| self.publisher.store(section, durability, TERM_PATIENCE));
        let stored = published.is_some_and(|published| self.note_record(published) == Some(true));
        // The core takes it for a publication like any other: the next one that succeeds is news.
        self.could_publish = stored;
        Event::TermStored(stored)
    }

    /// What to publish; `None` if there is nothing to be said yet.
    fn report(&mut self) -> Option<SuperviseSection> {
        let leaves = self.supervisor.report().saying.word.status().is_none() && self.supervisor.has_ended();
        if !self.supervisor.is_settled() && !leaves && self.section.report.is_some() {
            return None;
        }
        self.section.report = Some(self.supervisor.report());
        self.section.tick = now();
        if leaves {
            self.section.pid = 0;
        }
        Some(self.section.clone())
    }

    /// What the core is told about a publication: a failure each time, a success if it is news, and of one that is late
    /// nothing as long as an address speaks for this node.
    fn note_published(&mut self, published: Published) -> Option<Event> {
        let late_for = self.publisher.late_since().map_or(Duration::ZERO, |since| now().since(since));
        let patience = if self.supervisor.is_witnessed() { STALL_PATIENCE } else { Duration::ZERO };
        let published = match self.note_record(published) {
            None if late_for < patience => return None,
            written => written.unwrap_or(false),
        };
        let could = std::mem::replace(&mut self.could_publish, published);
        (!published || !could).then_some(Event::Published(published))
    }

    /// Whether it was written; `None` if nobody knows yet.
    fn note_record(&mut self, published: Published) -> Option<bool> {
        match published {
            Published::Written(record) => {
                self.record = *record;
                Some(true)
            }
            Published::Failed => Some(false),
            Published::Late => None,
        }
    }

    /// What the core is told if what it last said had to be put back into the database.
    fn read(&mut self) -> Option<Event> {
        match self.database.read() {
            Ok(record) => {
                let before = std::mem::replace(&mut self.record, record);
                self.keep_wishes(before.operator);
            }
            Err(error) => log::error!("{error}; what was known stays known"),
        }
        if !self.publisher.was_overwritten(&mut self.record) {
            return None;
        }
        // What was to last there is gone, too.
        let published = self.publisher.store(self.section.clone(), Durability::Lasting, PATIENCE);
        self.note_published(published)
    }

    /// A database that was lost while we ran must not end a maintenance: the wishes are put back as they were known. What another
    /// program found kept of them has no time: it is what a reboot leaves.
    fn keep_wishes(&mut self, known: OperatorSection) {
        if self.record.operator.at >= known.at {
            return;
        }
        log::warn!("the status database has lost the operator's wishes; they are put back");
        self.record.operator = known.clone();
        let database = Arc::clone(&self.database);
        let put_back = move |section: &mut OperatorSection| {
            if section.at < known.at {
                *section = known;
            }
        };
        let kept = self.database_writer.take(move || {
            if let Err(error) = database.update(Durability::Lasting, Patience::Daemon, put_back) {
                log::error!("{error}");
            }
        });
        if !kept {
            log::error!("{}: the disk does not answer", self.database.path().display());
        }
    }

    fn look_outside(&self, now: BootTime) -> Outside {
        Outside {
            peers: self.record.receiver.peers.clone(),
            deaf: self.is_deaf(&self.record.receiver, now),
            wishes: self.record.operator.wishes.clone(),
            quorum: None,
        }
    }

    fn is_deaf(&self, receiver: &ReceiverSection, now: BootTime) -> bool {
        // A pid file that somebody removed says nothing: then only the tick counts.
        let runs = lock::is_held(&self.receiver_lock).unwrap_or(false) || !self.receiver_lock.exists();
        !runs || receiver.pid == 0 || now.since(receiver.tick) > RECEIVER_STALE
    }

    /// Whether any interface that carries heartbeats has a carrier; what cannot be told counts as one.
    fn has_carrier(&self) -> bool {
        let states = self.own.iter().map(|address| interfaces::running(*address).ok().flatten().unwrap_or(true));
        self.own.is_empty() || states.into_iter().any(|running| running)
    }

    fn carrier_changed(&mut self) -> bool {
        let carrier = self.has_carrier();
        std::mem::replace(&mut self.carrier, carrier) != carrier
    }

    fn ping(&mut self) {
        self.echo = self.echo.wrapping_add(1);
        let Some(pinger) = &mut self.pinger else { return };
        for gateway in &self.gateways {
            let answered = self.answered.get(gateway).is_some_and(|echo| self.echo.wrapping_sub(*echo) <= TRUSTED);
            let way = if answered { Way::Proven } else { Way::Unproven };
            if let Err(error) = pinger.send(*gateway, self.echo, way) {
                log::debug!("no echo to {gateway}: {error}");
            }
        }
    }

    fn reload(&mut self, daemon: &mut Daemon) {
        let Some(reloaded) = daemon.reload() else { return };
        let config = reloaded.config;
        match pinger(&config) {
            Ok(pinger) => self.pinger = pinger,
            Err(error) => {
                log::error!("not reloaded: {error:#}");
                return;
            }
        }
        let now = now();
        self.gateways.clone_from(&config.gateways);
        let settings = Box::new(settings(&daemon.home, &config, &daemon.me));
        self.window = settings.probe_window();
        self.recorder.feed(&mut self.supervisor, SuperviseInput::Reconfigured(settings), now);
        self.section.config_loaded = now;
        daemon.config = config;
        if !reloaded.changed.is_empty() {
            log::info!("reloaded: {}", reloaded.changed.join(", "));
        }
    }
}

fn finished(ended: Ended) -> Event {
    let Ended { resource, call, outcome, message, duration } = ended;
    Event::CallFinished { resource, call, outcome, message, duration }
}

/// Those that are known soon; the loop must not wait for a resolver.
fn own_addresses(me: &Node) -> Vec<IpAddr> {
    let (_, mut known) = Resolver::start(std::slice::from_ref(me));
    known.remove(&me.id).unwrap_or_default()
}

/// Begins agents: a busy machine may take long over it, and no lease waits for that.
fn starter(config: &Config) -> anyhow::Result<Writer> {
    let starter = Writer::start("agents").context("no thread for agents")?;
    realtime::lend(Program::Supervise, config, &starter);
    Ok(starter)
}

fn pinger(config: &Config) -> anyhow::Result<Option<Pinger>> {
    if config.gateways.is_empty() {
        return Ok(None);
    }
    let remedy = "the gateway (GW) cannot be tested: run pha-supervise as root, allow it in net.ipv4.ping_group_range, or \
                  leave GW empty";
    Pinger::new().map(Some).context(remedy)
}

#[cfg(test)]
#[path = "daemon_tests.rs"]
mod tests;
