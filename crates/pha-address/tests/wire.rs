//! Two machines on one wire, as two network namespaces joined by a pair of virtual Ethernet devices. Needs root and
//! `ip`; where a namespace cannot be made, each test says so and proves nothing.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pha_address::{Keeper, Place};
use pha_sys::clock::boot_time;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pha-address");
const FOUR: &str = "192.0.2.20";
const SIX: &str = "2001:db8::20";

/// The namespaces `here` and `there`, each with a device `wire`, removed at the end.
struct Wire {
    here: String,
    there: String,
}

impl Wire {
    /// `None`, with a printed reason, where this user or machine cannot make namespaces.
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pha-address-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let wire = Wire { here: format!("{name}-here"), there: format!("{name}-there") };
        for namespace in [&wire.here, &wire.there] {
            match Command::new("ip").args(["netns", "add", namespace]).output() {
                Ok(output) if output.status.success() => {}
                refused => {
                    println!("skipped: no network namespace can be made here (root and ip are needed): {refused:?}");
                    return None;
                }
            }
        }
        let (here, there) = (wire.here.as_str(), wire.there.as_str());
        ip(&format!("-n {here} link add wire type veth peer name wire netns {there}"));
        for (namespace, host) in [(here, 1), (there, 2)] {
            ip(&format!("-n {namespace} link set lo up"));
            ip(&format!("-n {namespace} link set wire up"));
            ip(&format!("-n {namespace} address add 192.0.2.{host}/24 dev wire"));
            ip(&format!("-n {namespace} address add 2001:db8::{host}/64 dev wire nodad"));
        }
        wire.await_carrier();
        Some(wire)
    }

    /// The link is up as soon as both ends are; the link-local addresses are usable a little later.
    fn await_carrier(&self) {
        let start = Instant::now();
        while [&self.here, &self.there].iter().any(|ns| self.tentative(ns)) {
            assert!(start.elapsed() < Duration::from_secs(20), "the link does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn tentative(&self, namespace: &str) -> bool {
        let shown = ip(&format!("-n {namespace} -6 address show dev wire"));
        !shown.contains("fe80") || shown.contains("tentative")
    }

    fn there_has(&self, address: &str) {
        let nodad = if address.contains(':') { " nodad" } else { "" };
        ip(&format!("-n {} address add {} dev wire{nodad}", self.there, whole(address)));
    }

    fn set(&self, namespace: &str, key: &str, value: &str) {
        let script = format!("echo {value} > /proc/sys/net/{key}");
        assert!(in_namespace(namespace, &["sh", "-c", &script]).status.success(), "{key}");
    }

    /// Runs `pha-address` here.
    fn here(&self, arguments: &[&str]) -> Output {
        in_namespace(&self.here, &[&[PROGRAM], arguments].concat())
    }

    fn probe(&self, address: &str) -> (Option<i32>, String) {
        let output = self.here(&["probe", &whole(address), "wire"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    fn mac(&self, namespace: &str) -> String {
        let output = in_namespace(namespace, &["cat", "/sys/class/net/wire/address"]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.here, &self.there] {
            if Path::new("/run/netns").join(namespace).exists() {
                let _ = Command::new("ip").args(["netns", "delete", namespace]).output();
            }
        }
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn whole(address: &str) -> String {
    format!("{address}/{}", if address.contains(':') { 64 } else { 24 })
}

fn in_namespace(namespace: &str, command: &[&str]) -> Output {
    Command::new("ip").args(["netns", "exec", namespace]).args(command).output().unwrap()
}

// P68.
#[test]
fn an_address_nobody_has_is_silent_within_its_limit() {
    let Some(wire) = Wire::new() else { return };
    for address in [FOUR, SIX] {
        let start = Instant::now();
        let (code, said) = wire.probe(address);
        assert_eq!((code, said), (Some(1), format!("nobody on wire answers for {address}\n")));
        assert!(start.elapsed() >= Duration::from_millis(100));
    }
}

// P68.
#[test]
fn an_address_another_machine_has_is_found_with_its_link_address() {
    let Some(wire) = Wire::new() else { return };
    for address in [FOUR, SIX] {
        wire.there_has(address);
        let (code, said) = wire.probe(address);
        let expected = format!("{} on wire has {address}\n", wire.mac(&wire.there));
        assert_eq!((code, said), (Some(0), expected));
    }
}

#[test]
fn an_own_address_does_not_count() {
    let Some(wire) = Wire::new() else { return };
    assert_eq!(wire.probe("192.0.2.1").0, Some(1));
    assert_eq!(wire.probe("2001:db8::1").0, Some(1));
}

#[test]
fn a_router_that_answers_for_a_dead_machine_does_not_count() {
    let Some(wire) = Wire::new() else { return };
    wire.set(&wire.there, "ipv6/neigh/wire/proxy_delay", "0");
    wire.set(&wire.there, "ipv6/conf/wire/proxy_ndp", "1");
    wire.set(&wire.there, "ipv6/conf/all/forwarding", "1");
    ip(&format!("-n {} neighbour add proxy {SIX} dev wire", wire.there));
    let (code, said) = wire.probe(SIX);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no machine behind it"), "{said}");
}

// What a machine looks like that is dead, while a router answers ARP for it.
#[test]
fn an_arp_answer_without_an_echo_does_not_count() {
    let Some(wire) = Wire::new() else { return };
    wire.there_has(FOUR);
    wire.set(&wire.there, "ipv4/icmp_echo_ignore_all", "1");
    let (code, said) = wire.probe(FOUR);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no machine behind it"), "{said}");
}

// P68. Where datagrams are lost the kernel asks in vain for a neighbour now and then, and drops for seconds what it has for
// it: heartbeats, and the answers to echoes.
#[test]
fn a_machine_that_does_not_find_us_answers_as_it_learns_from_the_question_where_we_are() {
    let Some(wire) = Wire::new() else { return };
    for (address, family) in [(FOUR, "ipv4"), (SIX, "ipv6")] {
        wire.there_has(address);
        // There the kernel asks for nobody, and here it need not ask, which would tell, too.
        wire.set(&wire.there, &format!("{family}/neigh/wire/mcast_solicit"), "0");
        let mac = wire.mac(&wire.there);
        ip(&format!("-n {} neighbour replace {address} lladdr {mac} nud permanent dev wire", wire.here));
        ip(&format!("-n {} neighbour flush dev wire", wire.there));
        let (code, said) = wire.probe(address);
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn without_an_own_address_in_the_network_the_first_answer_counts() {
    let Some(wire) = Wire::new() else { return };
    for address in [FOUR, SIX] {
        wire.there_has(address);
    }
    ip(&format!("-n {} address flush dev wire scope global", wire.here));
    for address in [FOUR, SIX] {
        let (code, said) = wire.probe(address);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("no echo could be tried"), "{said}");
    }
}

#[test]
fn a_device_that_is_down_is_not_silence() {
    let Some(wire) = Wire::new() else { return };
    ip(&format!("-n {} link set wire down", wire.here));
    for address in [FOUR, SIX] {
        assert_eq!(wire.probe(address).0, Some(71));
        assert_eq!(wire.here(&["announce", &whole(address), "wire"]).status.code(), Some(71));
    }
}

#[test]
fn an_announcement_corrects_what_the_neighbour_remembers() {
    let Some(wire) = Wire::new() else { return };
    for address in [FOUR, SIX] {
        ip(&format!("-n {} neighbour replace {address} lladdr 02:00:00:00:00:99 nud reachable dev wire", wire.there));
        assert_eq!(wire.here(&["announce", &whole(address), "wire"]).status.code(), Some(0));
        let start = Instant::now();
        loop {
            let known = ip(&format!("-n {} neighbour show {address} dev wire", wire.there));
            if known.contains(&wire.mac(&wire.here)) {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "{known}");
        }
    }
}

/// Whether three of ten datagrams are lost or all pass; by the packet filter, which sees ARP as well.
fn lose_a_third(wire: &Wire) -> bool {
    let rules = "table netdev loss { chain arrives { type filter hook ingress device wire priority 0; \
                 numgen random mod 10 < 3 drop; } }";
    let lossy = |namespace: &str| in_namespace(namespace, &["nft", rules]).status.success();
    lossy(&wire.here) && lossy(&wire.there)
}

// P68.
#[test]
fn where_three_of_ten_datagrams_are_lost_a_held_address_is_not_silent() {
    let Some(wire) = Wire::new() else { return };
    if !lose_a_third(&wire) {
        println!("skipped: no packet filter (nft) that sees ARP");
        return;
    }
    for address in [FOUR, SIX] {
        wire.there_has(address);
        for _ in 0..20 {
            assert_eq!(wire.probe(address).0, Some(0), "{address}");
        }
    }
}

/// For measuring: `cargo test --release -p pha-address --test wire -- --ignored --nocapture`.
#[test]
#[ignore = "measures, and proves nothing"]
fn the_time_of_each_call() {
    if std::env::var_os("PHA_MEASURES_HERE").is_some() {
        return [FOUR, SIX].into_iter().for_each(measure);
    }
    let Some(wire) = Wire::new() else { return };
    let mut again = Command::new("ip");
    again.args(["netns", "exec", &wire.here]).arg(std::env::current_exe().unwrap());
    again.args(["--ignored", "--nocapture", "--exact", "the_time_of_each_call"]).env("PHA_MEASURES_HERE", "yes");
    assert!(again.status().unwrap().success());
}

fn measure(address: &str) {
    let mut keeper = Keeper::new(Place::parse(&whole(address), "wire").unwrap());
    let lease = Some(Duration::from_secs(3));
    let mut figures = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..500 {
        let began = boot_time();
        keeper.take(lease).unwrap();
        let taken = boot_time();
        keeper.check(lease, taken).unwrap();
        let checked = boot_time();
        keeper.stop().unwrap();
        let times = [taken - began, checked - taken, boot_time() - checked];
        figures.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
    }
    for (what, all) in ["add and announce", "check and renew", "remove"].into_iter().zip(&mut figures) {
        all.sort_unstable();
        println!("{address} {what}: median {:?}, 99 of 100 within {:?}", all[250], all[495]);
    }
}
