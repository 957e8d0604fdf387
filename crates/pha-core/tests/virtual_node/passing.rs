//! Time that passes for a virtual node.

use pha_core::supervisor::Event;

use crate::virtual_node::{VirtualNode, World, at};

/// Wakes the supervisor when it wants to be, and when something ended.
pub fn pass(node: &mut VirtualNode, world: &World, now: &mut u64, milliseconds: u64) {
    for _ in 0..milliseconds {
        *now += 1;
        for event in node.what_ended(world, *now) {
            node.feed(event, world, *now);
        }
        if at(*now) >= node.supervisor.next_deadline() {
            node.feed(Event::DeadlinePassed, world, *now);
        }
    }
}
