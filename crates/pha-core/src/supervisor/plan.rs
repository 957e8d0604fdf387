//! Plans: the calls that bring resources up or down, one group after the other, then a check of each.
//!
//! Resources start in the order of the configuration and stop in the reverse order; those of one group of `RES_PARALLEL`
//! together. Every plan has a deadline that is
//! announced with PROGRESS, so that no peer waits for ever.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::ResourceState;
use crate::resource::{Call, Resource};
use crate::time::BootTime;
use crate::word::Direction;

/// Between SIGTERM and SIGKILL for a call that outlived its limit; also granted in every announced deadline.
pub const KILL_GRACE: Duration = Duration::from_secs(2);

/// A sequence of calls under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Plan {
    /// Which way it goes.
    pub direction: Direction,
    /// Calls not begun yet, by index of the resource; those that stand together run together.
    pub steps: VecDeque<Vec<(usize, Call)>>,
    /// The calls that run or wait for their resources to be free.
    pub current: Vec<(usize, Call)>,
    /// Resources to be checked at the end, without those that have been.
    pub touched: Vec<usize>,
    /// Resources that it is to start.
    pub starts: Vec<usize>,
    /// Whether the final checks have been asked for.
    pub verifying: bool,
    /// When it ends at the latest.
    pub until: BootTime,
}

impl Plan {
    /// Brings up what is not up and not held: starts what is confirmed down or was never up, restarts what `restart` names.
    #[must_use]
    pub fn up(resources: &[Resource], restart: bool, now: BootTime) -> Self {
        let mut steps = VecDeque::new();
        for group in groups(resources, |resource| !resource.held && resource.state != ResourceState::Up) {
            if restart {
                steps.push_back(each(&group, Call::Stop));
            }
            steps.push_back(each(&group, Call::Start));
        }
        Self::new(Direction::Starting, steps, resources, now)
    }

    /// Brings down, in reverse order, whatever of `which` is not confirmed down.
    #[must_use]
    pub fn down(resources: &[Resource], which: impl Fn(&Resource) -> bool, now: BootTime) -> Self {
        let groups = groups(resources, |resource| resource.state != ResourceState::Down && which(resource));
        let steps = groups.iter().rev().map(|group| each(group, Call::Stop)).collect();
        Self::new(Direction::Stopping, steps, resources, now)
    }

    fn new(direction: Direction, steps: VecDeque<Vec<(usize, Call)>>, resources: &[Resource], now: BootTime) -> Self {
        let mut touched: Vec<usize> = Vec::new();
        for (index, _) in steps.iter().flatten() {
            if !touched.contains(index) {
                touched.push(*index);
            }
        }
        let starts = steps.iter().flatten().filter(|(_, call)| *call == Call::Start).map(|(index, _)| *index).collect();
        let longest =
            |calls: &Vec<(usize, Call)>| calls.iter().map(|(index, call)| resources[*index].limit(*call)).max();
        let calls: Duration = steps.iter().map(|calls| longest(calls).unwrap_or_default() + KILL_GRACE).sum();
        let check = touched.iter().map(|index| resources[*index].limit(Call::Check) + KILL_GRACE).max();
        // A check that runs already may have to be waited for before the first call.
        let until = now + calls + check.unwrap_or_default() + KILL_GRACE;
        Self { direction, steps, current: Vec::new(), touched, starts, verifying: false, until }
    }
}

/// Indices of the resources that `which` names, those that may run together in one group, in the order of the configuration.
fn groups(resources: &[Resource], which: impl Fn(&Resource) -> bool) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, resource) in resources.iter().enumerate() {
        if groups.is_empty() || !resource.settings.beside_previous {
            groups.push(Vec::new());
        }
        if which(resource) {
            groups.last_mut().expect("there is one by now").push(index);
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn each(group: &[usize], call: Call) -> Vec<(usize, Call)> {
    group.iter().map(|index| (*index, call)).collect()
}
