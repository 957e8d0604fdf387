//! Keys and protocol versions are changed on a pair that serves a client, and nothing moves.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pha_core::report::Liveness;
use pha_lab::network::node_address;
use pha_lab::world::scenario;
use pha_lab::{Lab, LabOptions, Node, Onlookers, Program};

const SOON: Duration = Duration::from_secs(20);

fn key_file(node: &Node) -> PathBuf {
    node.home().join("etc/authkey")
}

fn copy_key(from: &Node, to: &Node) -> Result<()> {
    fs::copy(key_file(from), key_file(to)).map(drop).context("etc/authkey")
}

/// The ids of the keys that this node's receiver uses.
fn keys(node: &Node) -> Vec<u8> {
    node.record().receiver.signers
}

/// The key that the peer of `node` was heard to sign with.
fn heard_key(node: &Node) -> Option<u8> {
    node.record().receiver.contacts.values().next().map(|contact| contact.dialect.signer)
}

fn set_auth(node: &Node, mode: &str) -> Result<()> {
    let path = node.home().join("etc/config");
    let text = fs::read_to_string(&path)?;
    let other = text.lines().filter(|line| !line.starts_with("AUTH="));
    fs::write(&path, other.map(|line| format!("{line}\n")).collect::<String>() + "AUTH=" + mode + "\n")?;
    node.order(&["reload"]).map(drop)
}

/// No peer was ever silent for the dead time.
fn nobody_was_dead(lab: &Lab) -> Result<()> {
    for node in lab.nodes() {
        let log = fs::read_to_string(node.home().join("var/log/receiver.log"))?;
        ensure!(!log.contains("counts as dead"), "{}: {log}", node.name());
    }
    Ok(())
}

#[test]
fn a_key_is_replaced_in_any_order_without_an_interruption() {
    scenario(LabOptions::default(), |lab| {
        let active = lab.start_all()?;
        let (one, other) = (lab.node(active), lab.other(active));
        lab.wait(SOON, "both have heard each other", || lab.nodes().iter().all(|node| heard_key(node).is_some()))?;
        let old = keys(one);
        let eyes = Onlookers::start(lab)?;
        one.order(&["keygen", "--rotate"])?;
        one.order(&["reload"])?;
        lab.wait(SOON, "one has both keys", || keys(one).len() == 2)?;
        let new = keys(one)[0];
        ensure!(keys(one)[1..] == old && new != old[0], "{:?} after {old:?}", keys(one));
        // The other one has not heard of the new key yet.
        lab.stays(Duration::from_secs(3), "they speak with the old key", || {
            heard_key(one) == Some(old[0]) && heard_key(other) == Some(old[0])
        })?;
        ensure!(!one.cli(&["keygen", "--retire"])?.status.success(), "a key in use was retired");
        copy_key(one, other)?;
        other.order(&["reload"])?;
        lab.wait(SOON, "both sign with the new key", || lab.nodes().iter().all(|node| heard_key(node) == Some(new)))?;
        one.order(&["keygen", "--retire"])?;
        one.order(&["reload"])?;
        lab.wait(SOON, "one has the new key only", || keys(one) == [new])?;
        lab.stays(Duration::from_secs(2), "they hear each other", || heard_key(other) == Some(new))?;
        copy_key(one, other)?;
        other.order(&["reload"])?;
        lab.wait(SOON, "the other has it only, too", || keys(other) == [new])?;
        lab.stays(Duration::from_secs(2), "all is as before", || lab.active_nodes() == [active])?;
        nobody_was_dead(lab)?;
        eyes.saw_nothing_move()
    });
}

#[test]
fn keys_are_brought_to_a_pair_that_has_none_and_taken_away_without_an_interruption() {
    scenario(LabOptions::default().without_key(), |lab| {
        let active = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        let authentic = |node: &Node| node.record().receiver.authentic;
        let signs =
            |expected: bool| lab.nodes().iter().all(|node| heard_key(node).is_some_and(|key| (key != 0) == expected));
        lab.node(1).order(&["keygen"])?;
        for node in lab.nodes() {
            if node.id() != 1 {
                copy_key(lab.node(1), node)?;
            }
            set_auth(node, "rollout")?;
            lab.stays(Duration::from_secs(2), "nothing moves", || lab.active_nodes() == [active])?;
        }
        lab.wait(SOON, "both sign", || signs(true))?;
        for node in lab.nodes() {
            set_auth(node, "required")?;
            lab.wait(SOON, "only who signs is heard", || authentic(node))?;
            lab.stays(Duration::from_secs(2), "nothing moves", || lab.active_nodes() == [active])?;
        }
        for mode in ["rollout", "off"] {
            for node in lab.nodes() {
                set_auth(node, mode)?;
                lab.stays(Duration::from_secs(2), "nothing moves", || lab.active_nodes() == [active])?;
            }
        }
        lab.wait(SOON, "nobody signs", || signs(false))?;
        nobody_was_dead(lab)?;
        eyes.saw_nothing_move()
    });
}

#[test]
fn a_peer_of_the_protocol_version_before_is_heard_and_hears() {
    scenario(LabOptions::default(), |lab| {
        lab.node(1).start()?;
        lab.wait(SOON, "lb1 is active", || lab.node(1).is_active())?;
        let eyes = Onlookers::start(lab)?;
        let at = |id: usize| format!("{}:{}", node_address(id), lab.port());
        let mut old = lab.node(2).command(lab.node(2).home().join("bin/pha-lab"));
        old.args([
            "old-peer",
            "--node",
            "2",
            "--cluster",
            "lab",
            "--seconds",
            "8",
            "--at",
            &at(2),
            "--to",
            &at(1),
            "--key",
        ]);
        let old = old.arg(key_file(lab.node(2))).stdout(Stdio::piped()).spawn()?;
        let receiver = || lab.node(1).record().receiver;
        lab.wait(SOON, "it is alive", || receiver().peers.iter().any(|peer| peer.liveness == Liveness::Alive))?;
        lab.wait(SOON, "its age shows", || {
            lab.node(1).order(&["explain"]).is_ok_and(|text| text.contains("older version"))
        })?;
        let said = String::from_utf8(old.wait_with_output()?.stdout)?;
        let numbers: Vec<u64> =
            said.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
        let [understood, newer, ..] = numbers[..] else { anyhow::bail!("it said {said}") };
        // Now and then it hears what it will understand when it has been upgraded.
        ensure!(newer > 0 && understood > 3 * newer, "{said}");
        ensure!(lab.node(1).pid(Program::Receiver).is_ok(), "the receiver has died");
        eyes.saw_nothing_move()
    });
}
