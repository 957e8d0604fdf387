//! One node of the real supervisor, whose resources, database and gateway do what a [`World`] says.

use std::time::Duration;

use pha_core::resource::{Call, Outcome, ResourceSettings};
use pha_core::supervisor::{Command, Event, Restored, Settings, Supervisor};
use pha_core::{BootTime, NodeId};

pub const INTERVAL: u64 = 200;
pub const DEAD: u64 = 600;

pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub fn at(milliseconds: u64) -> BootTime {
    BootTime::ZERO + ms(milliseconds)
}

pub fn node(id: usize) -> NodeId {
    NodeId::new(id).expect("a node id")
}

/// Short times, so that all of them end within a scene or two.
pub fn settings(me: usize) -> Settings {
    let resource = |name: &str, leased| ResourceSettings {
        name: name.into(),
        start_timeout: ms(900),
        stop_timeout: ms(900),
        check_timeout: ms(500),
        leased,
        probes: leased,
        announces: leased,
        watched: !leased,
        beside_previous: false,
    };
    Settings {
        me: node(me),
        heartbeat_interval: ms(INTERVAL),
        dead_time: ms(DEAD),
        supervise_interval: ms(2000),
        ping_timeout: ms(700),
        gateway: true,
        lease: ms(3000),
        restarts: 1,
        restart_window: ms(5000),
        unfit_time: ms(3300),
        failback: Some(ms(2700)),
        witness: true,
        config_hash: 1,
        resources: vec![resource("service", false), resource("ipaddr", true)],
    }
}

/// What surrounds a node.
pub struct World {
    pub gateway_answers: bool,
    pub address_answers: bool,
    pub starts_fail: bool,
    pub slow: bool,
    pub writable: bool,
}

impl World {
    pub fn calm() -> Self {
        Self { gateway_answers: true, address_answers: false, starts_fail: false, slow: false, writable: true }
    }
}

/// A supervisor with its resources and the calls that run.
pub struct VirtualNode {
    pub supervisor: Supervisor,
    pub up: [bool; 2],
    pub calls: Vec<(u64, usize, Call)>,
    /// When the gateway answers.
    pub echo: Option<u64>,
    /// All that was commanded.
    pub commands: Vec<Command>,
}

impl VirtualNode {
    pub fn new(settings: Settings) -> Self {
        let supervisor = Supervisor::new(settings, Restored::default(), at(0));
        Self { supervisor, up: [false; 2], calls: Vec::new(), echo: None, commands: Vec::new() }
    }

    pub fn feed(&mut self, event: Event, world: &World, now: u64) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for command in self.supervisor.handle(event, at(now)) {
                self.commands.push(command.clone());
                match command {
                    Command::Publish if !world.writable => events.push(Event::Published(false)),
                    Command::Publish => events.push(Event::Published(true)),
                    Command::StoreTerm | Command::PublishTerm => events.push(Event::TermStored(world.writable)),
                    Command::ReserveTerm => events.push(Event::TermReserved(world.writable)),
                    Command::Run { resource, call, .. } => {
                        let slow = world.slow && matches!(call, Call::Start | Call::Stop);
                        self.calls.push((now + if slow { 700 } else { 3 }, resource, call));
                    }
                    Command::Cancel { resource } => {
                        self.calls.iter_mut().filter(|(_, of, _)| *of == resource).for_each(|(due, ..)| *due = now + 1);
                    }
                    Command::Ping => self.echo = Some(now + 1),
                    Command::Note(_) | Command::Exit => {}
                }
            }
        }
    }

    pub fn what_ended(&mut self, world: &World, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for (_, resource, call) in self.calls.extract_if(.., |(due, ..)| *due <= now) {
            let succeeded = match call {
                Call::Start | Call::Keep | Call::Restore if world.starts_fail => false,
                Call::Start | Call::Keep | Call::Restore => {
                    self.up[resource] = true;
                    true
                }
                Call::Stop => {
                    self.up[resource] = false;
                    true
                }
                Call::Check | Call::Watch => self.up[resource],
                Call::Probe => world.address_answers,
                Call::Announce => true,
            };
            let outcome = if succeeded { Outcome::Succeeded } else { Outcome::Failed };
            let (message, duration) = (String::new(), ms(3));
            events.push(Event::CallFinished { resource, call, outcome, message, duration });
        }
        if self.echo.take_if(|due| *due <= now).is_some() && world.gateway_answers {
            events.push(Event::GatewayAnswered);
        }
        events
    }
}
