//! The laboratory itself: its wire, its faults and its client do what the other tests rely on.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use anyhow::{Result, ensure};
use pha_lab::keepalived::{self, Keepalived};
use pha_lab::network::{self, Beat, Link, Way};
use pha_lab::world::{self, scenario};
use pha_lab::{Client, Lab, LabOptions, Node, Probe, command};

const SOON: Duration = Duration::from_secs(3);

/// Lets `node` hold the address and serve, without pha.
fn serve_on(lab: &Lab, node: &Node) -> Result<()> {
    let _ = command::ip(&format!("-n {} addr add {}/24 dev eth0", node.name(), network::VIP));
    let status = node.command(node.home().join("res/web")).args(["start", "0.0.0.0:8080"]).status()?;
    ensure!(status.success(), "web did not start");
    lab.wait(SOON, "the node holds the address", || node.holds_address()).map(drop)
}

fn pings(from: &Node, to: &str) -> Result<bool> {
    Ok(from.command("ping").args(["-q", "-c", "1", "-W", "1", to]).output()?.status.success())
}

#[test]
fn the_client_sees_an_outage_and_who_answers_after_it() {
    scenario(LabOptions::default(), |lab| {
        let (one, two) = (lab.node(1), lab.node(2));
        serve_on(lab, one)?;
        let (udp, http) = (lab.client()?, lab.web_client()?);
        for client in [&udp, &http] {
            lab.wait(SOON, "lb1 answers", || client.answer().as_deref() == Some("lb1"))?;
        }
        one.crash()?;
        ensure!(!one.holds_address() && one.processes().is_empty(), "something survived the crash");
        serve_on(lab, two)?;
        // Nobody announces the address here: the client must forget whom it knew.
        command::ip("neigh flush dev br0")?;
        for client in [&udp, &http] {
            lab.wait(SOON, "lb2 answers", || client.answer().as_deref() == Some("lb2"))?;
            let gap = client.gaps(Duration::ZERO).pop().unwrap();
            ensure!(gap.before.as_deref() == Some("lb1") && gap.failed > 0, "{gap:?}");
        }
        Ok(())
    });
}

#[test]
fn the_watch_sees_two_holders_at_once() {
    scenario(LabOptions::default(), |lab| {
        let watch = lab.watch_holders();
        serve_on(lab, lab.node(1))?;
        serve_on(lab, lab.node(2))?;
        lab.wait(SOON, "two holders are seen", || !watch.doubles().is_empty())?;
        ensure!(lab.active_nodes() == [1, 2]);
        lab.node(1).crash()?;
        lab.wait(SOON, "one holder is seen", || watch.spans().last().is_some_and(|span| span.holders == [2]))?;
        ensure!(watch.moves(Duration::ZERO) >= 1);
        Ok(())
    });
}

#[test]
fn an_address_with_a_lifetime_is_removed_by_the_kernel() {
    scenario(LabOptions::default().nodes(1), |lab| {
        let node = lab.node(1);
        command::ip(&format!("-n lb1 addr add {}/24 dev eth0 valid_lft 2 preferred_lft 2", network::VIP))?;
        let held = node.addresses()?;
        ensure!(held.iter().any(|a| a.address == network::VIP && a.valid.is_some() && a.prefix == 24), "{held:?}");
        lab.wait(SOON, "the kernel removes it", || !node.holds_address())?;
        Ok(())
    });
}

#[test]
fn every_cut_cuts_what_it_says_and_nothing_else() {
    scenario(LabOptions::default(), |lab| {
        let (one, peer) = (lab.node(1), network::node_address(2));
        ensure!(pings(one, &peer)? && pings(one, network::GATEWAY)?, "the wire works");
        lab.between_nodes(Link::Down)?;
        ensure!(!pings(one, &peer)? && pings(one, network::GATEWAY)?, "nodes cut off from each other");
        lab.between_nodes(Link::Up)?;
        one.port(Link::Down)?;
        ensure!(!pings(one, &peer)? && !pings(one, network::GATEWAY)?, "port off");
        one.port(Link::Up)?;
        one.cable(Link::Down)?;
        ensure!(!pings(one, &peer)?, "cable out");
        one.cable(Link::Up)?;
        lab.wait(SOON, "the cable is back", || pings(one, &peer).unwrap_or(false))?;
        Ok(())
    });
}

#[test]
fn a_gateway_is_lost_for_one_node_or_for_all() {
    scenario(LabOptions::default(), |lab| {
        let (one, two) = (lab.node(1), lab.node(2));
        one.gateway(Link::Down)?;
        ensure!(!pings(one, network::GATEWAY)? && pings(two, network::GATEWAY)?, "lost for lb1 only");
        one.gateway(Link::Up)?;
        ensure!(pings(one, network::GATEWAY)?, "back for lb1");
        lab.gateway(Link::Down)?;
        ensure!(!pings(one, network::GATEWAY)? && !pings(two, network::GATEWAY)?, "lost for both");
        lab.gateway(Link::Up)?;
        ensure!(pings(one, network::GATEWAY)? && pings(two, network::GATEWAY)?, "back for both");
        Ok(())
    });
}

#[test]
fn heartbeats_can_be_dropped_one_way() {
    scenario(LabOptions::default(), |lab| {
        if let Err(reason) = network::can_drop() {
            world::skip("heartbeats_can_be_dropped_one_way", &format!("{reason:#}"));
            return Ok(());
        }
        // A server on the heartbeat port stands in for a receiver.
        let node = lab.node(1);
        let address = format!("{}:{}", network::node_address(1), lab.port());
        let server = node.home().join("bin/pha-lab");
        ensure!(node.command(server).args(["serve", "--background", &address, "lb1"]).status()?.success());
        let client = Client::start(Probe::Udp { service: address.parse()?, patience: Duration::from_millis(100) })?;
        lab.wait(SOON, "datagrams arrive", || client.answer().is_some())?;
        lab.drop_heartbeats(node, Way::In, 100)?;
        lab.wait(SOON, "no datagram arrives", || client.answer().is_none())?;
        lab.restore_heartbeats(node)?;
        lab.wait(SOON, "datagrams arrive again", || client.answer().is_some())?;
        let before = client.counts();
        lab.drop_heartbeats(node, Way::In, 30)?;
        std::thread::sleep(Duration::from_secs(2));
        let (all, failed) = (client.counts().0 - before.0, client.counts().1 - before.1);
        ensure!(failed > all / 10 && failed < all / 2, "{failed} of {all} were lost");
        Ok(())
    });
}

#[test]
fn keepalived_keeps_the_address_and_hands_it_over_when_it_ends() {
    scenario(LabOptions::default(), |lab| {
        if let Err(reason) = Keepalived::version().and_then(|_| network::can_drop()) {
            world::skip("keepalived_keeps_the_address_and_hands_it_over_when_it_ends", &format!("{reason:#}"));
            return Ok(());
        }
        let keepalived = Keepalived { interval: Duration::from_millis(100), priority: Keepalived::USUAL_PRIORITY };
        keepalived.start(lab.node(1))?;
        lab.wait(SOON, "lb1 holds the address", || lab.active_nodes() == [1])?;
        keepalived.start(lab.node(2))?;
        Keepalived::end(lab.node(1))?;
        lab.wait(SOON, "lb2 holds the address", || lab.active_nodes() == [2])?;
        lab.wait(SOON, "keepalived has ended", || keepalived::processes(lab.node(1)).is_empty())?;
        keepalived.start(lab.node(1))?;
        network::drop_heartbeats("lb1", Way::In, Beat::Vrrp, 100)?;
        lab.wait(SOON, "without adverts both hold it", || lab.active_nodes() == [1, 2])?;
        Ok(())
    });
}

#[test]
fn a_failing_scenario_fails_its_test_and_tells_the_story() {
    let test = || scenario(LabOptions::default().nodes(1), |_| anyhow::bail!("on purpose"));
    if world::inside() || world::available().is_err() {
        test();
        return;
    }
    let panic = std::panic::catch_unwind(test).unwrap_err();
    let message = panic.downcast::<String>().unwrap();
    assert!(message.contains("on purpose") && message.contains("== lb1"), "{message}");
}
