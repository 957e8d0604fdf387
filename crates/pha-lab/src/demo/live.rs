//! The demo by hand: a screen redrawn four times a second, and keys that inject faults.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::screen::{self, ClientView};
use super::snapshot::Snapshot;
use super::terminal::{Key, Terminal};
use crate::client::Client;
use crate::lab::Lab;
use crate::network::{self, Link};
use crate::node::Node;

/// What the keys have done and the screen remembers.
struct Live {
    lab: Lab,
    client: Client,
    started: Instant,
    events: Vec<String>,
    before: Vec<Snapshot>,
    crashed: Vec<usize>,
    gateway_lost: Vec<usize>,
    gaps: usize,
}

/// Plays until `q`.
pub(super) fn play(lab: Lab) -> Result<()> {
    let client = lab.web_client()?;
    let mut live = Live {
        lab,
        client,
        started: Instant::now(),
        events: Vec::new(),
        before: Vec::new(),
        crashed: Vec::new(),
        gateway_lost: Vec::new(),
        gaps: 0,
    };
    live.lab.nodes().iter().try_for_each(Node::start)?;
    let mut terminal = Terminal::open()?;
    live.event("both nodes were started");
    loop {
        live.draw(&terminal)?;
        match terminal.key() {
            Key::Pressed(b'q' | 3 | 4) | Key::HungUp => return Ok(()),
            Key::Pressed(key) => live.act(key, &terminal)?,
            Key::None => {}
        }
    }
}

impl Live {
    fn event(&mut self, text: &str) {
        self.events.push(format!("{:8.3} s  {text}", self.started.elapsed().as_secs_f64()));
    }

    fn draw(&mut self, terminal: &Terminal) -> Result<()> {
        let nodes: Vec<Snapshot> = self.lab.nodes().iter().map(Snapshot::of).collect();
        let changed: Vec<String> = nodes
            .iter()
            .zip(&self.before)
            .filter(|(now, before)| now.headline() != before.headline())
            .map(|(now, _)| format!("{}: {}", now.name, now.headline()))
            .collect();
        changed.iter().for_each(|text| self.event(text));
        let gaps = self.client.gaps(Duration::ZERO);
        let ended: Vec<_> = gaps.iter().filter(|gap| gap.to.is_some()).cloned().collect();
        for gap in ended.iter().skip(self.gaps) {
            self.event(&format!("client: {}", screen::gap_line(gap)));
        }
        self.gaps = ended.len();
        let client =
            ClientView { answer: self.client.answer(), counts: self.client.counts(), last_gap: gaps.last().cloned() };
        let what = if self.lab.is_plain() {
            "two nodes on loopback addresses; the resource is a file".to_owned()
        } else {
            format!("two nodes and a client in network namespaces; the address is {}", network::VIP)
        };
        terminal.draw(&screen::lines(&what, &nodes, &client, &self.events))?;
        self.before = nodes;
        Ok(())
    }

    fn active(&self) -> Option<usize> {
        self.before.iter().zip(1..).find(|(node, _)| node.active && node.running).map(|(_, id)| id)
    }

    /// A key that cannot work now says so in an event; only the terminal's own failure is an error.
    fn act(&mut self, key: u8, terminal: &Terminal) -> Result<()> {
        let result = match key {
            b'k' => self.kill(),
            b'r' => self.revive(),
            b's' => self.switch_over(),
            b'g' => self.toggle_gateway(),
            b'1' | b'2' => {
                terminal.release()?;
                self.converse(usize::from(key - b'0'));
                return terminal.seize();
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            self.event(&format!("{error:#}"));
        }
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        let Some(id) = self.active() else {
            self.event("nobody is active");
            return Ok(());
        };
        self.lab.node(id).crash()?;
        self.crashed.push(id);
        self.event(&format!("lb{id} crashed"));
        Ok(())
    }

    fn revive(&mut self) -> Result<()> {
        for id in std::mem::take(&mut self.crashed) {
            self.lab.node(id).boot()?;
        }
        let dead: Vec<usize> =
            self.before.iter().zip(1..).filter(|(node, _)| !node.running).map(|(_, id)| id).collect();
        for id in dead {
            self.lab.node(id).start()?;
            self.event(&format!("lb{id} was started"));
        }
        Ok(())
    }

    fn switch_over(&mut self) -> Result<()> {
        let Some(id) = self.active() else {
            self.event("nobody is active");
            return Ok(());
        };
        self.event(&format!("`offline` was typed on lb{id}"));
        self.lab.node(id).order(&["offline"]).map(drop)
    }

    fn toggle_gateway(&mut self) -> Result<()> {
        if self.lab.is_plain() {
            self.event("there is no gateway without namespaces");
            return Ok(());
        }
        if let Some(id) = self.gateway_lost.pop() {
            self.lab.node(id).gateway(Link::Up)?;
            self.event(&format!("the gateway is back for lb{id}"));
        } else if let Some(id) = self.active() {
            self.lab.node(id).gateway(Link::Down)?;
            self.gateway_lost.push(id);
            self.event(&format!("the gateway was taken from lb{id}"));
        }
        Ok(())
    }

    /// The operator's own `pha-cli` on node `id`.
    fn converse(&mut self, id: usize) {
        println!("pha-cli on lb{id}; `q` brings you back to the demo.");
        let node = self.lab.node(id);
        // The demo ignores Ctrl-C, pha-cli must not inherit that.
        let ended = node.command("env").arg("--default-signal=INT").arg(node.home().join("bin/pha-cli")).status();
        match ended {
            Ok(status) if status.success() => {}
            Ok(status) => self.event(&format!("pha-cli on lb{id}: {status}")),
            Err(error) => self.event(&format!("pha-cli on lb{id}: {error}")),
        }
    }
}
