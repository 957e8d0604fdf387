//! The audit of `bin/chaos` must be able to fail: each promise is broken by hand on healthy nodes, and it complains.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pha_lab::chaos::{self, Auditor};
use pha_lab::world::scenario;
use pha_lab::{Lab, Onlookers, Program, command, network};

const SOON: Duration = Duration::from_secs(20);

/// Two healthy nodes that the audit finds nothing wrong with.
fn healthy(lab: &Lab) -> Result<(usize, Onlookers, Auditor)> {
    let active = lab.start_all()?;
    let (eyes, mut auditor) = (Onlookers::start(lab)?, Auditor::default());
    auditor.audit(lab, &eyes).context("nothing is wrong yet")?;
    Ok((active, eyes, auditor))
}

/// The audit complains, and says each of the `words`.
fn complains(auditor: &mut Auditor, lab: &Lab, eyes: &Onlookers, words: &[&str]) -> Result<()> {
    let complaint = auditor.audit(lab, eyes).err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(words.iter().all(|word| complaint.contains(word)), "{words:?} are not in the complaint {complaint:?}");
    Ok(())
}

#[test]
fn an_address_that_somebody_adds_by_hand_is_no_nodes() {
    scenario(chaos::lab_options(2), |lab| {
        let (active, eyes, mut auditor) = healthy(lab)?;
        let standby = lab.other(active).name();
        command::ip(&format!("-n {standby} addr add 10.77.0.99/24 dev eth0"))?;
        complains(&mut auditor, lab, &eyes, &["no orphan address", standby, "10.77.0.99"])?;
        command::ip(&format!("-n {standby} addr del 10.77.0.99/24 dev eth0"))?;
        auditor.audit(lab, &eyes)
    });
}

// pha itself would tidy up: it is not asked to.
#[test]
fn a_second_holder_of_the_kept_address_is_seen() {
    scenario(chaos::lab_options(2), |lab| {
        let (active, eyes, mut auditor) = healthy(lab)?;
        let standby = lab.other(active);
        standby.signal("STOP", &Program::ALL)?;
        command::ip(&format!("-n {} addr add {}/24 dev eth0 nodad", standby.name(), network::VIP))?;
        complains(&mut auditor, lab, &eyes, &["exactly one node", "[1, 2]"])
    });
}

#[test]
fn a_process_that_was_left_behind_is_seen() {
    scenario(chaos::lab_options(2), |lab| {
        let (active, eyes, mut auditor) = healthy(lab)?;
        let mut left = lab.node(active).command("sleep").arg("600").stdin(Stdio::null()).spawn()?;
        let complained = complains(&mut auditor, lab, &eyes, &["no orphan process", "sleep 600"]);
        left.kill()?;
        left.wait()?;
        complained?;
        auditor.audit(lab, &eyes)
    });
}

#[test]
fn a_lock_that_is_held_and_a_file_that_was_left_behind_are_seen() {
    scenario(chaos::lab_options(2), |lab| {
        let (active, eyes, mut auditor) = healthy(lab)?;
        let var = lab.node(active).var_dir().to_owned();
        let lock = std::fs::File::open(var.join("status.lock"))?;
        lock.lock()?;
        complains(&mut auditor, lab, &eyes, &["no leaked lock"])?;
        drop(lock);
        std::fs::write(var.join("status.dat.new-1"), "")?;
        complains(&mut auditor, lab, &eyes, &["no leftover file", "status.dat.new-1"])
    });
}

#[test]
fn a_display_that_is_not_true_and_a_wish_that_was_left_are_seen() {
    scenario(chaos::lab_options(2), |lab| {
        let (active, eyes, mut auditor) = healthy(lab)?;
        let node = lab.node(active);
        node.order(&["maintenance", "on"])?;
        complains(&mut auditor, lab, &eyes, &["displayed status", "maintenance is on"])?;
        node.order(&["maintenance", "off"])?;
        auditor.audit(lab, &eyes)?;
        // What it last said stands there, and nobody keeps it true.
        node.signal("STOP", &[Program::Receiver])?;
        lab.wait(SOON, "the audit complains", || auditor.audit(lab, &eyes).is_err())?;
        complains(&mut auditor, lab, &eyes, &["displayed status", "receiver", "\"stale\":true"])
    });
}

#[test]
fn a_term_that_went_back_is_seen() {
    scenario(chaos::lab_options(2), |lab| {
        let (active, eyes, mut auditor) = healthy(lab)?;
        lab.node(active).order(&["switchover"])?;
        lab.wait(SOON, "the other is active", || lab.wait_settled(Duration::ZERO).is_ok_and(|id| id != active))?;
        auditor.audit(lab, &eyes)?;
        for node in lab.nodes() {
            node.crash()?;
            for file in ["status.dat", "status.dat.kept"] {
                std::fs::remove_file(node.var_dir().join(file))?;
            }
            node.boot()?;
        }
        lab.start_all()?;
        complains(&mut auditor, lab, &eyes, &["terms only grow"])
    });
}
