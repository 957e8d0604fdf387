//! What a fault may leave behind: processes and files.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::node::{Node, Program};

/// What lies in `var/` of a node that runs.
const FILES: [&str; 9] =
    ["fill", "log", "lost+found", "run", "status.dat", "status.dat.kept", "status.dat.reserve", "status.lock", "trace"];

/// Bad databases that are kept.
const KEPT_ASIDE: usize = 8;

/// The daemons, each as its pid file says, and the service where it has to be.
pub(super) fn processes(node: &Node, active: bool) -> Result<()> {
    let mut known = Vec::new();
    for program in Program::ALL {
        let pid = node.pid(program)?;
        let word = program.name().trim_start_matches("pha-");
        let file = node.var_dir().join(format!("run/{word}.pid"));
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        ensure!(text.trim() == pid.to_string(), "{}: {} holds {text:?}, not {pid}", node.name(), file.display());
        known.push(pid);
    }
    known.extend(service(node, active)?);
    for pid in node.processes().into_iter().filter(|pid| !known.contains(pid)) {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        ensure!(line.is_empty(), "{}: process {pid} is nobody's: {line}", node.name());
    }
    Ok(())
}

/// The service's process, which runs on the active node only.
pub(in crate::chaos) fn service(node: &Node, active: bool) -> Result<Vec<u32>> {
    let service = node.named(|name| name == "pha-lab");
    ensure!(service.len() == usize::from(active), "{}: {} services run", node.name(), service.len());
    Ok(service)
}

/// Nothing in `var/` but what belongs there.
pub(super) fn files(node: &Node, _: bool) -> Result<()> {
    let mut aside = 0;
    for entry in fs::read_dir(node.var_dir())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("status.dat.bad-") {
            aside += 1;
        } else {
            ensure!(FILES.contains(&name.as_str()), "{}: var/{name}", node.name());
        }
    }
    ensure!(aside <= KEPT_ASIDE, "{}: {aside} bad databases were kept", node.name());
    Ok(())
}
