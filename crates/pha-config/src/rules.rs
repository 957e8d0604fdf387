//! What must hold between values, so that the times can keep the promises made with them.
//!
//! Each rule is refused as the inequality it is, with the numbers.

use std::time::Duration;

use crate::config::Config;
use crate::problem::Wrong;
use crate::reader::Reader;

/// What the lease must leave above the dead time. The sender falls silent when supervise has not ticked for
/// LEASE − DEADTIME; supervise ticks once a second, and a tick may be late by half of that.
const ABOVE_DEAD_TIME: Duration = Duration::from_millis(1500);

/// Tells every rule that does not hold, unless a value in it is wrong anyway.
pub(crate) fn check(reader: &mut Reader, config: &Config) {
    let (interval, dead, init) = (config.heartbeat_interval, config.dead_time, config.init_dead);
    if dead < interval * 2 {
        let numbers = format!("{} ms >= 2 × {} ms", dead.as_millis(), interval.as_millis());
        let remedy = format!("write DEADTIME={} or more; 3 × HEARTBEAT_INT is usual", (interval * 2).as_millis());
        refuse(reader, &["DEADTIME", "HEARTBEAT_INT"], "DEADTIME >= 2 × HEARTBEAT_INT", &numbers, remedy);
    }
    if init < dead {
        let numbers = format!("{} ms >= {} ms", init.as_millis(), dead.as_millis());
        let remedy = format!("write INITDEAD={} or more, or remove the line", dead.as_millis());
        refuse(reader, &["INITDEAD", "DEADTIME", "HEARTBEAT_INT"], "INITDEAD >= DEADTIME", &numbers, remedy);
    }
    if config.lease < dead + ABOVE_DEAD_TIME {
        let [lease, above] = [config.lease, ABOVE_DEAD_TIME].map(|time| time.as_millis());
        let numbers = format!("{lease} ms >= {} ms + {above} ms", dead.as_millis());
        let least = (dead + ABOVE_DEAD_TIME).as_millis().div_ceil(1000);
        let remedy = format!("write LEASE={least} or more, or a shorter DEADTIME");
        refuse(reader, &["LEASE", "DEADTIME", "HEARTBEAT_INT"], "LEASE >= DEADTIME + 1.5 s", &numbers, remedy);
    }
}

fn refuse(reader: &mut Reader, keys: &[&str], rule: &str, numbers: &str, remedy: String) {
    if reader.sound(keys) {
        reader.refuse_rule(keys, Wrong::new(format!("{rule} does not hold: {numbers}"), remedy));
    }
}
