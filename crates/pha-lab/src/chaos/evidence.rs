//! What is kept of a step that broke a promise: what happened, what the nodes thought, and their files.

use std::path::Path;

use anyhow::{Context, Result};

use super::plan::Step;
use super::stage::Stage;
use crate::command;

/// Keeps all there is, outside of the world, and returns what to say.
/// `options` are those of the run that its plan depends on.
pub(super) fn keep(stage: &Stage, options: &str, step: &Step, broken: &anyhow::Error) -> Result<String> {
    let prefix = format!("pha-chaos-{}-", step.number);
    let dir = tempfile::Builder::new().prefix(&prefix).tempdir().context("a folder for the evidence")?.keep();
    let text = format!(
        "broken promise: {broken:#}\nstep: {step:#?}\nholders: {:#?}\nclient: {:#?}\n{}",
        stage.eyes.spans(),
        stage.eyes.client().gaps(std::time::Duration::ZERO).last(),
        stage.lab.story()
    );
    std::fs::write(dir.join("story"), &text).context("the story")?;
    stage.lab.nodes().iter().try_for_each(|node| copy(node.home(), &dir.join(node.name())))?;
    let replay = format!("bin/chaos {options} --faults {}", step.number);
    Ok(format!("     {broken:#}\n     kept in {}; again: {replay}", dir.display()))
}

fn copy(home: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for part in ["etc", "var", "fault"].map(|part| home.join(part)).iter().filter(|part| part.exists()) {
        command::run("cp", ["-a".as_ref(), part.as_os_str(), to.as_os_str()])?;
    }
    Ok(())
}
