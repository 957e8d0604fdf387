//! Who may do what: sender and receiver without root, `pha-cli` for others than root, and what root does not fall for.
//!
//! The user that they become here is `nobody`, who is on every machine.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pha_core::BootTime;
use pha_lab::world::{scenario, skip};
use pha_lab::{Lab, LabOptions, Node, Onlookers, Program, command};
use pha_sys::lock;

const SOON: Duration = Duration::from_secs(20);

/// sysexits
const NO_PERM: i32 = 77;

/// Somebody without a name.
const STRANGER: &str = "23456";

fn options() -> LabOptions {
    LabOptions::default().config(["DAEMON_USER=nobody"])
}

/// User id and group id of `nobody`; `None` where this process cannot become him, and the test is skipped.
fn nobody(test: &str) -> Result<Option<(u32, u32)>> {
    let id = |what| -> Result<u32> { Ok(command::run("id", [what, "nobody"])?.trim().parse()?) };
    let ids = (id("-u")?, id("-g")?);
    let (user, group) = (format!("--reuid={}", ids.0), format!("--regid={}", ids.1));
    if command::run("setpriv", [user.as_str(), &group, "--clear-groups", "true"]).is_err() {
        skip(test, "only real root can become another user");
        return Ok(None);
    }
    Ok(Some(ids))
}

/// The lines of `/proc/PID/task/TID/status` that say who a thread is.
fn rights(status: &str) -> Vec<String> {
    let wanted = ["Uid:", "Gid:", "Groups:", "CapPrm:", "CapEff:", "NoNewPrivs:"];
    let lines = status.lines().filter(|line| wanted.iter().any(|word| line.starts_with(word)));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn threads(pid: u32) -> Result<Vec<Vec<String>>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
    tasks.map(|task| Ok(rights(&fs::read_to_string(task.path().join("status"))?))).collect()
}

/// The scheduling policy of a process's first thread: field 41 of its stat.
fn policy(pid: u32) -> Result<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("stat")?;
    rest.split_whitespace().nth(41 - 3).map(str::to_owned).context("policy")
}

fn has_no_rights(node: &Node, ids: (u32, u32)) -> Result<()> {
    let (user, group) = ids;
    let none = [
        format!("Uid: {user} {user} {user} {user}"),
        format!("Gid: {group} {group} {group} {group}"),
        "Groups:".to_owned(),
        "CapPrm: 0000000000000000".to_owned(),
        "CapEff: 0000000000000000".to_owned(),
        "NoNewPrivs: 1".to_owned(),
    ];
    let supervise = node.pid(Program::Supervise)?;
    for program in [Program::Sender, Program::Receiver] {
        let pid = node.pid(program)?;
        let threads = threads(pid)?;
        ensure!(threads.len() >= 3 && threads.iter().all(|thread| *thread == none), "{program:?}: {threads:#?}");
        ensure!(policy(pid)? == policy(supervise)?, "{program:?} has lost its real-time scheduling");
    }
    // Agents may need what only a program with more rights can do.
    let supervise = threads(supervise)?;
    let root = |thread: &Vec<String>| thread[0] == "Uid: 0 0 0 0" && thread.contains(&"NoNewPrivs: 0".to_owned());
    ensure!(supervise.iter().all(root), "{supervise:#?}");
    Ok(())
}

fn log(node: &Node, program: &str) -> String {
    fs::read_to_string(node.home().join(format!("var/log/{program}.log"))).unwrap_or_default()
}

#[test]
fn sender_and_receiver_do_their_work_without_root() {
    scenario(options(), |lab| {
        let Some(ids) = nobody("sender_and_receiver_do_their_work_without_root")? else { return Ok(()) };
        let first = lab.start_all()?;
        let second = lab.other(first);
        lab.nodes().iter().try_for_each(|node| has_no_rights(node, ids))?;
        let eyes = Onlookers::start(lab)?;
        lab.node(first).crash()?;
        eyes.saw_change_to(lab, second.name(), SOON)?;
        lab.wait(SOON, "the second is active", || second.is_active())?;
        lab.node(first).boot()?;
        lab.node(first).start()?;
        lab.wait(SOON, "the first stands by", || lab.node(first).is_standby())?;
        has_no_rights(lab.node(first), ids)?;
        lab.nodes().iter().try_for_each(Node::stop)
    });
}

#[test]
fn keys_are_changed_on_a_pair_that_runs_without_root() {
    scenario(options(), |lab| {
        let Some((uid, _)) = nobody("keys_are_changed_on_a_pair_that_runs_without_root")? else { return Ok(()) };
        let (first, other) = (lab.start_all()?, |node: &Node| lab.other(node.id()));
        let (one, two) = (lab.node(first), other(lab.node(first)));
        let key = |node: &Node| node.home().join("etc/authkey");
        one.order(&["keygen", "--rotate"])?;
        ensure!(fs::metadata(key(one))?.uid() == uid, "the receiver could not read it");
        // As a copy comes from another machine: root's.
        fs::remove_file(key(two))?;
        fs::copy(key(one), key(two))?;
        ensure!(fs::metadata(key(two))?.uid() == 0);
        for node in [one, two] {
            node.order(&["reload"])?;
            lab.wait(SOON, "it has both keys", || node.record().receiver.signers.len() == 2)?;
        }
        // With the owner that it had elsewhere no daemon would start again: none is ended.
        let before = pids(lab);
        chown(key(two), Some(STRANGER.parse()?), None)?;
        let refused = two.cli(&["restart"])?;
        ensure!(refused.status.code() == Some(78) && refused.stderr.contains("chown root"), "{}", refused.stderr);
        ensure!(pids(lab) == before, "something was ended");
        Ok(())
    });
}

// Promise 3: what an older version left as root's own does not keep the new one from working.
#[test]
fn a_node_that_ran_as_root_goes_on_without_it_after_a_restart_and_nothing_moves() {
    scenario(LabOptions::default().config(["DAEMON_USER=root"]), |lab| {
        let Some(ids) = nobody("a_node_that_ran_as_root_goes_on_without_it_after_a_restart_and_nothing_moves")? else {
            return Ok(());
        };
        let active = lab.start_all()?;
        let eyes = Onlookers::start(lab)?;
        for node in lab.nodes() {
            let path = node.home().join("etc/config");
            fs::write(&path, fs::read_to_string(&path)?.replace("DAEMON_USER=root", "DAEMON_USER=nobody"))?;
            node.order(&["restart"])?;
            has_no_rights(node, ids)?;
            lab.wait(SOON, "all is as before", || lab.wait_settled(Duration::ZERO).is_ok_and(|id| id == active))?;
        }
        let node = lab.node(active);
        let (var, logs) = (node.home().join("var"), node.home().join("var/log"));
        let modes = [(&var, 0o2775), (&logs, 0o3775), (&var.join("run"), 0o755), (&var.join("status.lock"), 0o660)];
        for (path, mode) in modes {
            let found = fs::metadata(path)?.mode() & 0o7777;
            ensure!(found == mode, "{}: {found:o}", path.display());
        }
        // Logs are moved away, and the programs make new ones.
        for program in ["sender", "receiver", "supervise"] {
            fs::rename(logs.join(format!("{program}.log")), logs.join(format!("{program}.old")))?;
        }
        node.order(&["reload"])?;
        lab.wait(SOON, "new logs are written", || {
            ["sender", "receiver", "supervise"].iter().all(|program| log(node, program).contains("reloaded"))
        })?;
        for (program, uid) in [("sender", ids.0), ("receiver", ids.0), ("supervise", 0)] {
            for file in [format!("{program}.log"), format!("{program}.trace")] {
                ensure!(fs::metadata(logs.join(&file))?.uid() == uid, "{file} is somebody else's");
            }
            ensure!(!log(node, program).contains("ERROR"), "{}", log(node, program));
        }
        eyes.saw_nothing_move()
    });
}

// A path that is opened later, too.
#[test]
fn a_peer_whose_name_resolves_later_is_spoken_to_without_root() {
    let late = ["DAEMON_USER=nobody", "ADDR_lb1=10.77.0.11", "ADDR_lb2=late.lab"];
    scenario(LabOptions::default().config(late), |lab| {
        if nobody("a_peer_whose_name_resolves_later_is_spoken_to_without_root")?.is_none() {
            return Ok(());
        }
        let hosts = lab.node(1).home().join("hosts");
        fs::write(&hosts, "127.0.0.1 localhost\n")?;
        command::run("mount", ["--bind", &hosts.to_string_lossy(), "/etc/hosts"])?;
        lab.node(1).start()?;
        lab.wait(SOON, "the name is missed", || log(lab.node(1), "sender").contains("late.lab cannot be resolved"))?;
        fs::write(&hosts, "127.0.0.1 localhost\n10.77.0.12 late.lab\n")?;
        lab.node(2).start()?;
        lab.wait_settled(Duration::from_secs(60)).map(drop)
    });
}

#[test]
fn without_the_user_they_stay_root_and_say_how_to_make_it() {
    scenario(LabOptions::default().config(["DAEMON_USER=no-such-user"]), |lab| {
        let node = lab.node(1);
        node.start()?;
        lab.wait(SOON, "lb1 is active", || node.is_active())?;
        let words =
            "there is no user no-such-user: bin/install makes it, or useradd --system --user-group no-such-user";
        for program in ["sender", "receiver"] {
            let said = log(node, program);
            let warned = said.matches(&format!("this program stays root: {words}")).count();
            ensure!(warned == 1, "{said}");
        }
        ensure!(!log(node, "supervise").contains("stays root"));
        ensure!(node.order(&["check"])?.contains(&format!("pha-sender and pha-receiver stay root: {words} [warning]")));
        Ok(())
    });
}

fn ticks(node: &Node) -> [u64; 3] {
    let record = node.record();
    [record.sender.tick, record.receiver.tick, record.supervise.tick]
        .map(|tick| tick.since(BootTime::ZERO).as_millis() as u64)
}

/// All three write, one after the other.
fn all_write(lab: &Lab, node: &Node) -> Result<()> {
    let before = ticks(node);
    let newer = || ticks(node).iter().zip(before).all(|(now, before)| *now > before);
    lab.wait(SOON, "all three have written", newer).map(drop)
}

#[test]
fn on_a_full_disk_root_and_the_other_user_write_into_the_same_reserve() {
    scenario(options(), |lab| {
        let test = "on_a_full_disk_root_and_the_other_user_write_into_the_same_reserve";
        let Some(ids) = nobody(test)? else { return Ok(()) };
        for node in lab.nodes() {
            let var = node.home().join("var");
            command::run("mount", ["-t", "tmpfs", "-o", "size=256k,mode=755", "none", &var.to_string_lossy()])?;
        }
        let active = lab.start_all()?;
        lab.nodes().iter().try_for_each(|node| has_no_rights(node, ids))?;
        let eyes = Onlookers::start(lab)?;
        for node in lab.nodes() {
            let _ = command::run("sh", ["-c", &format!("cat /dev/zero >'{}'", node.home().join("var/fill").display())]);
        }
        for _ in 0..3 {
            lab.nodes().iter().try_for_each(|node| all_write(lab, node))?;
        }
        lab.node(active).order(&["maintenance", "on"])?;
        lab.node(active).order(&["maintenance", "off"])?;
        eyes.saw_nothing_move()
    });
}

#[test]
fn a_folder_that_is_removed_is_shared_again_and_nothing_moves() {
    // The web service keeps a file of its own there.
    scenario(options().resources([pha_lab::lab::kept_address()]), |lab| {
        let Some(ids) = nobody("a_folder_that_is_removed_is_shared_again_and_nothing_moves")? else { return Ok(()) };
        let active = lab.start_all()?;
        let (node, var) = (lab.node(active), lab.node(active).home().join("var"));
        let holders = lab.watch_holders();
        lab.wait(SOON, "everything is removed", || !var.join("log").exists() || fs::remove_dir_all(&var).is_err())?;
        all_write(lab, node)?;
        lab.stays(Duration::from_secs(3), "the same node is active", || node.is_active())?;
        ensure!(fs::metadata(&var)?.mode() & 0o7777 == 0o2775, "it is not shared");
        // The old ones make way for those that are found.
        let mut last = String::new();
        let found = lab.wait(SOON, "all three are found again", || {
            let said = node.order(&["start"]).and_then(|_| has_no_rights(node, ids));
            last = said.as_ref().err().map(ToString::to_string).unwrap_or_default();
            said.is_ok()
        });
        found.context(last)?;
        lab.wait(SOON, "all is as before", || lab.wait_settled(Duration::ZERO).is_ok_and(|id| id == active))?;
        ensure!(holders.spans().iter().all(|span| span.holders == [active]), "{:?}", holders.spans());
        Ok(())
    });
}

/// `pha-cli` in a place that everybody can reach.
fn common_cli(node: &Node) -> Result<PathBuf> {
    let path = node.home().join("pha-cli");
    if !path.exists() {
        fs::copy(fs::canonicalize(node.home().join("bin/pha-cli"))?, &path)?;
    }
    Ok(path)
}

/// Runs a program as the stranger, in the group `group` only.
fn as_stranger(node: &Node, group: u32, words: &[&str]) -> Result<(Option<i32>, String)> {
    let mut command = node.command("timeout");
    command.args(["30", "setpriv", &format!("--reuid={STRANGER}"), &format!("--regid={group}"), "--clear-groups"]);
    let output = command::finish(command.args(words).stdin(Stdio::null()))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&text).into_owned()))
}

/// Runs `pha-cli` as the stranger and demands `code`; what it said.
fn cli_says(node: &Node, group: u32, words: &[&str], code: i32) -> Result<String> {
    let cli = common_cli(node)?;
    let all: Vec<&str> = [cli.to_str().context("path")?].into_iter().chain(words.iter().copied()).collect();
    let (got, said) = as_stranger(node, group, &all)?;
    ensure!(got == Some(code), "{words:?} in group {group}: {got:?} instead of {code}: {said}");
    Ok(said)
}

fn pids(lab: &Lab) -> Vec<u32> {
    lab.nodes().iter().flat_map(|node| Program::ALL.map(|program| node.pid(program).unwrap_or(0))).collect()
}

#[test]
fn everybody_may_look_members_of_the_group_may_order_and_only_root_may_start() {
    scenario(options(), |lab| {
        let test = "everybody_may_look_members_of_the_group_may_order_and_only_root_may_start";
        let Some((_, group)) = nobody(test)? else { return Ok(()) };
        let outside = 23_457;
        let first = lab.start_all()?;
        let (node, other) = (lab.node(first), lab.other(first));
        let running = pids(lab);
        for words in
            [&["status"][..], &["stat"], &["explain"], &["history"], &["config"], &["res"], &["what-if", "lb1 dies"]]
        {
            cli_says(node, outside, words, 0)?;
        }
        let checked = cli_says(node, outside, &["check"], 0)?;
        ensure!(checked.contains("not looked at") && checked.contains("etc/authkey"), "{checked}");
        for words in [&["maintenance", "on"][..], &["switchover"], &["res", "stop", "web"], &["online"]] {
            let said = cli_says(node, outside, words, NO_PERM)?;
            let name = command::run("id", ["-gn", "nobody"])?;
            ensure!(said.contains(&format!("usermod -aG {} {STRANGER}", name.trim())), "{said}");
        }
        cli_says(node, group, &["maintenance", "on"], 0)?;
        ensure!(node.record().operator.wishes.maintenance, "the order was not written");
        cli_says(node, group, &["maintenance", "off"], 0)?;
        cli_says(other, group, &["res", "stop", "web"], 0)?;
        cli_says(other, group, &["res", "start", "web"], 0)?;
        for words in ["start", "stop", "restart", "reload", "se_stop"] {
            let said = cli_says(node, group, &[words], NO_PERM)?;
            ensure!(said.contains("is for root") && said.contains("sudo pha-cli"), "{said}");
        }
        ensure!(pids(lab) == running, "a daemon was started or ended");
        cli_says(node, group, &["switchover"], 0)?;
        lab.wait(SOON, "the other is active", || lab.wait_settled(Duration::ZERO).is_ok_and(|id| id == other.id()))?;
        // What they wrote keeps nobody from writing.
        lab.stays(Duration::from_secs(2), "all go on", || pids(lab) == running && other.is_active())?;
        lab.nodes().iter().try_for_each(Node::stop)?;
        let said = cli_says(other, group, &["res", "stop"], NO_PERM)?;
        ensure!(said.contains("'res stop' is for root") && other.holds_address(), "{said}");
        other.order(&["res", "stop"])?;
        ensure!(!other.holds_address(), "root could not stop it either");
        Ok(())
    });
}

/// A node that has run once, and a file that is nobody's business, with what it is like now.
struct Scene<'a> {
    node: &'a Node,
    group: u32,
    victim: PathBuf,
}

impl Scene<'_> {
    fn is_untouched(&self) -> Result<()> {
        let found = fs::metadata(&self.victim)?;
        let (text, mode, owner) =
            (fs::read_to_string(&self.victim)?, found.mode() & 0o7777, (found.uid(), found.gid()));
        ensure!(text == "precious" && mode == 0o600 && owner == (0, 0), "'{text}', mode {mode:o}, of {owner:?}");
        Ok(())
    }

    /// As a member of the group.
    fn shell(&self, script: &str) -> Result<()> {
        let (code, said) = as_stranger(self.node, self.group, &["sh", "-ec", script])?;
        ensure!(code == Some(0), "{script}: {said}");
        Ok(())
    }

    /// Starts, does what an operator does, and stops; each may fail.
    fn root_at_work(&self) -> Result<()> {
        for words in [&["start"][..], &["maintenance", "on"], &["maintenance", "off"], &["reload"], &["stop"]] {
            self.node.cli(words)?;
        }
        Ok(())
    }
}

#[test]
fn links_that_a_member_of_the_group_plants_lead_root_nowhere() {
    scenario(options(), |lab| {
        let Some((_, group)) = nobody("links_that_a_member_of_the_group_plants_lead_root_nowhere")? else {
            return Ok(());
        };
        let node = lab.node(1);
        node.start()?;
        node.stop()?;
        let scene = Scene { node, group, victim: node.home().join("etc/victim") };
        pha_lab::home::write(&scene.victim, "precious", 0o600)?;
        let var = node.home().join("var");
        for name in ["status.dat", "status.lock", "status.dat.reserve", "log/supervise.log", "log/sender.trace"] {
            let place = var.join(name);
            // Its own folder keeps what is root's there: as if it had never been.
            fs::remove_file(&place).with_context(|| place.display().to_string())?;
            scene.shell(&format!("ln -s {} {}", scene.victim.display(), place.display()))?;
            scene.root_at_work()?;
            scene.is_untouched().with_context(|| format!("a link at {name}"))?;
            let _ = fs::remove_file(&place);
        }
        // The whole folder.
        for name in ["run", "log"] {
            let (place, aside) = (var.join(name), var.join("aside"));
            fs::create_dir_all(node.home().join("elsewhere"))?;
            scene.shell(&format!(
                "mv {0} {1}; ln -s {2} {0}",
                place.display(),
                aside.display(),
                node.home().join("elsewhere").display()
            ))?;
            scene.root_at_work()?;
            let written = fs::read_dir(node.home().join("elsewhere"))?.count();
            ensure!(written == 0, "root wrote {written} files where the link {name} leads");
            fs::remove_file(&place)?;
            fs::rename(&aside, &place)?;
        }
        node.start()?;
        lab.wait(SOON, "lb1 is active", || node.is_active()).map(drop)
    });
}

/// When a process was started, as notes of calls say it: field 22 of its stat.
fn started(pid: u32) -> Result<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("stat")?;
    rest.split_whitespace().nth(22 - 3).map(str::to_owned).context("start")
}

#[test]
fn numbers_that_a_member_of_the_group_writes_get_nobody_killed() {
    scenario(options(), |lab| {
        let Some((_, group)) = nobody("numbers_that_a_member_of_the_group_writes_get_nobody_killed")? else {
            return Ok(());
        };
        let node = lab.node(1);
        node.start()?;
        node.stop()?;
        let scene = Scene { node, group, victim: node.home().join("etc/victim") };
        let mut innocent = std::process::Command::new("sleep").arg("600").process_group(0).spawn()?;
        let (pid, started) = (innocent.id(), started(innocent.id())?);
        let run = node.home().join("var/run");
        let (run, aside) = (run.display(), node.home().join("var/aside"));
        let aside = aside.display();
        scene.shell(&format!(
            "mv {run} {aside}; mkdir {run}; echo {pid} >{run}/supervise.pid; cp {run}/supervise.pid {run}/sender.pid
             echo {pid} {started} >{run}/web.call; cp {run}/web.call {run}/ipaddr.call"
        ))?;
        // The lock alone says that a daemon runs.
        let mut holder = node.command("setpriv");
        holder.args([&format!("--reuid={STRANGER}"), &format!("--regid={group}"), "--clear-groups", "flock"]);
        let mut holder = holder.arg(format!("{run}/supervise.pid")).args(["sleep", "600"]).spawn()?;
        lab.wait(SOON, "the lock is held", || {
            lock::is_held(Path::new(&format!("{run}/supervise.pid"))).unwrap_or(false)
        })?;
        scene.root_at_work()?;
        holder.kill()?;
        holder.wait()?;
        scene.root_at_work()?;
        let alive = innocent.try_wait()?.is_none();
        innocent.kill()?;
        innocent.wait()?;
        ensure!(alive, "root ended a process that somebody else named");
        Ok(())
    });
}
