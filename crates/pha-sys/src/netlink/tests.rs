//! Against the loopback device, or in a network namespace of its own; where none may be made, the reason is printed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use nix::sched::{CloneFlags, unshare};

use super::*;

/// Runs `test` in a thread with a network of its own, whose loopback device is number 1 and down.
fn apart(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => test(),
        Err(error) => println!("skipped: no network namespace may be made here: {error}"),
    });
    thread.join().unwrap();
}

fn on_lo(address: &str, prefix: u8) -> Assigned {
    Assigned { index: 1, address: address.parse().unwrap(), prefix }
}

#[test]
fn a_device_is_found_with_its_number_and_one_that_is_missing_is_none() {
    let mut netlink = Netlink::open().unwrap();
    assert_eq!(netlink.link("lo").unwrap(), Some(Link { index: 1, up: true }));
    assert_eq!(netlink.link("no-such-device").unwrap(), None);
    assert_eq!(netlink.addresses(4_000_000).unwrap(), []);
    assert!(netlink.addresses(1).unwrap().contains(&on_lo("127.0.0.1", 8)));
}

#[test]
fn an_address_is_added_once_renewed_and_removed_without_a_rest() {
    apart(|| {
        let mut netlink = Netlink::open().unwrap();
        assert_eq!(netlink.link("lo").unwrap(), Some(Link { index: 1, up: false }));
        for each in [on_lo("10.7.0.20", 24), on_lo("fd00:7::20", 64)] {
            netlink.put(each, None).unwrap();
            netlink.put(each, Some(9)).unwrap();
            assert_eq!(netlink.addresses(1).unwrap(), [each], "renewed, not added twice");
            netlink.remove(each).unwrap();
            assert_eq!(netlink.addresses(1).unwrap(), []);
            assert_eq!(netlink.remove(each).unwrap_err().raw_os_error(), Some(libc::EADDRNOTAVAIL));
        }
        assert!(netlink.put(on_lo("10.7.0.20", 33), None).is_err());
        assert!(netlink.put(Assigned { index: 4_000_000, ..on_lo("10.7.0.20", 24) }, None).is_err());
    });
}

#[test]
fn a_removal_is_heard_and_a_renewal_is_not_taken_for_one() {
    apart(|| {
        let mut netlink = Netlink::open().unwrap();
        let watch = AddressWatch::open().unwrap();
        let each = on_lo("10.7.0.20", 24);
        netlink.put(each, Some(9)).unwrap();
        netlink.put(each, Some(9)).unwrap();
        assert_eq!(watch.changes(), []);
        netlink.remove(each).unwrap();
        poll::wait(&[watch.fd()], Some(Duration::from_secs(5))).unwrap();
        assert_eq!(watch.changes(), [Change::Removed(each)]);
        assert_eq!(watch.changes(), []);
    });
}

#[test]
fn bytes_that_are_no_message_are_an_error_and_not_a_panic() {
    for length in 1..64 {
        let _ = messages(&vec![0; length]);
        assert!(messages(&vec![0xff; length]).is_err());
    }
}
