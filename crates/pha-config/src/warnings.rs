//! What is allowed and yet worth a word: `pha-cli check` and every daemon's start tell it.

use std::time::Duration;

use crate::config::{Auth, Config};
use crate::problem::{Problem, Wrong};

/// Checks more often than this cost more than they find.
const USUAL_CHECK: Duration = Duration::from_secs(2);

impl Config {
    /// Everything that is no error but costs something, each with what it costs; what [`Config::load`] found included.
    #[must_use]
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = self.found.clone();
        let mut warn = |key: &str, what: &str, remedy: &str| warnings.push(self.warning(key, what, remedy));
        if self.gateways.is_empty() {
            let what = "without GW there is no gateway test: a node that lost the network keeps its resources, or \
                        takes over where nobody reaches it";
            warn("GW", what, "write GW= with the address of the default gateway");
        }
        if self.supervise_interval < USUAL_CHECK {
            let what = "checks more often than every 2000 ms cost more than they find";
            warn("SUPERVISE_INT", what, "write SUPERVISE_INT=2000 or more");
        }
        if self.auth == Auth::Off {
            let what = "with AUTH=off anybody on the network can forge heartbeats and move the resources";
            warn("AUTH", what, "write AUTH=auto and make a key with `pha-cli keygen`");
        }
        if self.auth == Auth::Rollout {
            let what =
                "with AUTH=rollout heartbeats without a key are taken too: anybody on the network can forge them";
            warn("AUTH", what, "when 'status' shows that every peer signs, write AUTH=auto and `reload`");
        }
        if self.failback.is_none() && self.lines.contains_key("FAILBACK_AFTER") {
            warn("FAILBACK_AFTER", "FAILBACK is off, so this has no effect", "write FAILBACK=on, or remove the line");
        }
        if self.resources.is_empty() {
            warn("RES_", "there is no resource to keep up", "write RES_<agent>=arguments for each");
        }
        warnings.extend(self.hashes());
        warnings.sort_by_key(|warning| warning.line);
        warnings
    }

    /// Arguments that look like a comment behind the value: there are none, the agent gets them.
    fn hashes(&self) -> Vec<Problem> {
        let doubtful =
            self.resources.iter().filter(|resource| resource.arguments.iter().any(|word| word.starts_with('#')));
        let problem = |resource: &crate::ResourceConfig| {
            let what = "the agent gets the words from # on as arguments too";
            let wrong = Wrong::new(what, "put the comment on a line of its own");
            let text = format!("RES_{}={}", resource.name, resource.arguments.join(" "));
            Problem::new(&self.file, Some(resource.line), text, wrong)
        };
        doubtful.map(problem).collect()
    }

    /// A warning in the line of `key`, if it has one.
    pub(crate) fn warning(&self, key: &str, what: &str, remedy: &str) -> Problem {
        Problem::new(&self.file, self.lines.get(key).copied(), "", Wrong::new(what, remedy))
    }
}
