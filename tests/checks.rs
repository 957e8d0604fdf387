//! Built-in checks and groups of real daemons: a period of ten minutes shows what does not wait for it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pha_core::Status;
use pha_lab::{Lab, LabOptions, Node, command, home};

const SOON: Duration = Duration::from_secs(20);

/// `RES_program.<name>=<file>`: a process whose id stands in the file. Each start adds a line to `<file>.starts`; a start waits while
/// there is `<file>.wait`.
const PROGRAM: &str = r#"#!/bin/sh
lives() { read -r pid <"$1" && kill -0 "$pid"; } 2>/dev/null
case $1 in
start)
	echo >>"$2.starts"
	while [ -e "$2.wait" ]; do sleep 0.01; done
	lives "$2" && exit 0
	setsid sleep 600 </dev/null >/dev/null 2>&1 &
	echo $! >"$2"
	;;
stop)
	lives "$2" && kill -9 "$pid"
	rm -f "$2"
	;;
check) lives "$2" ;;
esac
"#;

fn lab(config: impl IntoIterator<Item = String>) -> Result<Lab> {
    let lab = Lab::new(LabOptions::default().plain().resources(config).config(["SUPERVISE_INT=600000"]))?;
    for node in lab.nodes() {
        home::write(&node.home().join("res/program"), PROGRAM, 0o755)?;
    }
    Ok(lab)
}

fn is_online(node: &Node) -> bool {
    node.status() == Some(Status::Online)
}

fn starts(file: &Path) -> u64 {
    fs::metadata(file.with_extension("starts")).map_or(0, |file| file.len())
}

// P24
#[test]
fn a_process_with_a_built_in_check_is_restarted_as_soon_as_it_ends() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("one");
    let shown = file.display();
    let lab = lab([format!("RES_program.one={shown}"), format!("CHECK_program.one=process {shown}")])?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "it is up", || is_online(node))?;
    ensure!(starts(&file) == 1, "started {} times", starts(&file));
    let pid = fs::read_to_string(&file)?.trim().parse().context("a process id")?;
    // The check that holds the process in sight follows the moment that it is up.
    std::thread::sleep(Duration::from_millis(200));
    command::signal("KILL", &[pid])?;
    lab.wait(SOON, "it is started again", || starts(&file) == 2)?;
    lab.wait(SOON, "it is up again", || is_online(node))?;
    ensure!(fs::read_to_string(&file)?.trim() != pid.to_string(), "the same process");
    Ok(())
}

#[test]
fn a_port_that_refuses_is_down_although_its_agent_says_up() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("one");
    let port = TcpListener::bind("127.0.0.1:0")?;
    let check = format!("CHECK_program.one=tcp {}", port.local_addr()?);
    let lab = lab([format!("RES_program.one={}", file.display()), check, "SUPERVISE_INT=200".to_owned()])?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "it is up", || is_online(node))?;
    std::thread::sleep(Duration::from_secs(1));
    ensure!(starts(&file) == 1 && is_online(node), "a port that takes connections is up: {}", lab.story());
    drop(port);
    lab.wait(SOON, "it is started again", || starts(&file) == 2)?;
    let log = || fs::read_to_string(node.home().join("var/log/supervise.log")).unwrap_or_default();
    lab.wait(SOON, "the log says why", || log().contains("program.one built-in check failed: 127.0.0.1:"))?;
    Ok(())
}

#[test]
fn resources_of_one_group_start_at_the_same_time_and_the_next_one_after_them() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let [one, two, three] = ["one", "two", "three"].map(|name| dir.path().join(name));
    fs::write(one.with_extension("wait"), "")?;
    let resource =
        |file: &Path| format!("RES_program.{}={}", file.file_name().unwrap_or_default().display(), file.display());
    let lines = [resource(&one), resource(&two), resource(&three)];
    let lab = lab(lines.into_iter().chain(["RES_PARALLEL=program.one program.two".to_owned()]))?;
    let node = lab.node(1);
    node.start()?;
    lab.wait(SOON, "both have begun", || starts(&one) == 1 && starts(&two) == 1)?;
    std::thread::sleep(Duration::from_millis(200));
    ensure!(starts(&three) == 0, "what comes after the group does not wait for it");
    fs::remove_file(one.with_extension("wait"))?;
    lab.wait(SOON, "all are up", || is_online(node)).map(drop)
}
