//! What a resource agent can do beside start, stop and check: it says so in a comment near its beginning.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How far into an agent's file to look.
const LINES: usize = 20;
const BYTES: u64 = 8192;

/// Further abilities of an agent; none unless declared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AgentFeatures {
    /// `lease`: `start` and `check` give the resource a lifetime of `PHA_LEASE` seconds.
    pub lease: bool,
    /// `probe`: the agent can ask whether another machine holds the resource.
    pub probe: bool,
    /// `announce`: the agent can tell the network again who holds it.
    pub announce: bool,
    /// `native`: the agent is what `res/ipaddr` is, arguments and all, so that pha may do the same without calling it.
    pub native: bool,
}

/// Reads the line `# pha: lease probe announce` (any of these words, in any order) within the first 20 lines of an
/// agent's file. Words that are not known are for later versions and count for nothing; so does a compiled agent's code.
///
/// # Errors
/// If the file cannot be read.
pub fn agent_features(path: &Path) -> io::Result<AgentFeatures> {
    let mut head = Vec::new();
    File::open(path)?.take(BYTES).read_to_end(&mut head)?;
    Ok(declared(&String::from_utf8_lossy(&head)))
}

fn declared(head: &str) -> AgentFeatures {
    let comments = head.lines().take(LINES).filter_map(|line| line.trim().strip_prefix('#'));
    let words = comments.filter_map(|comment| comment.trim_start().strip_prefix("pha:"));
    let mut features = AgentFeatures::default();
    for word in words.flat_map(str::split_whitespace) {
        match word {
            "lease" => features.lease = true,
            "probe" => features.probe = true,
            "announce" => features.announce = true,
            "native" => features.native = true,
            _ => {}
        }
    }
    features
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn an_agent_says_what_it_can_do_near_its_beginning() {
        let all = AgentFeatures { lease: true, probe: true, announce: true, native: true };
        assert_eq!(declared("#!/bin/sh\n# pha: lease probe announce native\n"), all);
        assert_eq!(
            declared("#!/bin/sh\n#pha: announce tomorrow\n"),
            AgentFeatures { announce: true, ..<_>::default() }
        );
        assert_eq!(declared(&format!("{}# pha: lease\n", "#\n".repeat(20))), AgentFeatures::default());
        assert_eq!(declared("echo pha: lease\n"), AgentFeatures::default());
        assert_eq!(declared(""), AgentFeatures::default());
    }

    #[test]
    fn a_compiled_agent_is_read_without_trouble() {
        assert_eq!(agent_features(&std::env::current_exe().unwrap()).unwrap(), AgentFeatures::default());
        assert!(agent_features(Path::new("/nonexistent")).is_err());
    }
}
