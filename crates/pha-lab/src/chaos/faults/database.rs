//! What lies in `var/`: a disk that is full, read-only or stalls, a database that nobody expects, a lock that is held, and
//! the operator's wishes.

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::super::allows::Allows;
use super::{Fault, Kind, Needs, RESOURCE, Scene, Undo, if_active};
use crate::command;
use crate::node::{Node, Program, Spoilt};

/// sysexits
const CONFIG: i32 = 78;

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "full disk",
        what: "there is no room left on the disk of its `var/`",
        kind: Kind::Database,
        needs: Needs::Nothing,
        lasts: (500, 4000),
        allows: |_| Allows::STAYS,
        begin: full,
    },
    Fault {
        name: "read-only disk",
        what: "its daemons can write nothing new to `var/`",
        kind: Kind::Database,
        needs: Needs::Nothing,
        lasts: (500, 4500),
        // It is mute, and gives way.
        allows: |case| if_active(case, Allows::MOVES),
        begin: read_only,
    },
    Fault {
        name: "stalled disk",
        what: "whoever writes to its `var/` waits",
        kind: Kind::Alone,
        needs: Needs::Freezing,
        lasts: (300, 4500),
        allows: |_| Allows::STAYS,
        begin: stalled,
    },
    Fault {
        name: "deleted database",
        what: "its `status.dat` is deleted",
        kind: Kind::Database,
        needs: Needs::Nothing,
        lasts: (0, 1000),
        allows: |_| Allows::STAYS,
        begin: |scene| spoilt(scene, Spoilt::Deleted),
    },
    Fault {
        name: "corrupt database",
        what: "its `status.dat` is garbage, cut short, empty or of a later version",
        kind: Kind::Database,
        needs: Needs::Nothing,
        lasts: (0, 1000),
        allows: |_| Allows::STAYS,
        begin: |scene| {
            let kinds = [Spoilt::Garbage, Spoilt::Truncated, Spoilt::Empty, Spoilt::Newer];
            spoilt(scene, kinds[(scene.chance % 4) as usize])
        },
    },
    Fault {
        name: "foreign database",
        what: "its `status.dat` is another node's",
        kind: Kind::Database,
        needs: Needs::Nothing,
        lasts: (0, 1000),
        allows: |_| Allows::STAYS,
        begin: |scene| spoilt(scene, Spoilt::Foreign),
    },
    Fault {
        name: "folder",
        what: "there is a folder in the place of its `status.dat`",
        kind: Kind::Database,
        needs: Needs::Nothing,
        lasts: (300, 4500),
        allows: |case| if_active(case, Allows::MOVES),
        begin: folder,
    },
    Fault {
        name: "held lock",
        what: "a pha-cli on it stands still while it holds `status.lock`",
        kind: Kind::Alone,
        needs: Needs::Freezing,
        lasts: (500, 4500),
        allows: |_| Allows::STAYS,
        begin: held_lock,
    },
    Fault {
        name: "switchover",
        what: "`switchover` is typed",
        kind: Kind::Database,
        needs: Needs::Nothing,
        lasts: (0, 1500),
        allows: |case| if_active(case, Allows::MOVES),
        begin: switchover,
    },
    Fault {
        name: "offline",
        what: "`offline` is typed, and `online` afterwards",
        kind: Kind::Database,
        needs: Needs::Nothing,
        lasts: (300, 3000),
        allows: |case| if_active(case, Allows::MOVES),
        begin: offline,
    },
    Fault {
        name: "maintenance",
        what: "`maintenance on` is typed, its daemons are killed and started, and it must be on still",
        kind: Kind::Programs,
        needs: Needs::Nothing,
        lasts: (300, 2500),
        allows: |_| Allows::STAYS,
        begin: maintenance,
    },
    Fault {
        name: "hold",
        what: "`res stop` is typed for one resource, its daemons are killed and started, and it must be held still",
        kind: Kind::Programs,
        needs: Needs::Nothing,
        lasts: (300, 2500),
        allows: |_| Allows::STAYS,
        begin: hold,
    },
];

fn full<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let full = scene.node.fill_disk();
    Ok(Box::new(move || std::fs::remove_file(full).context("what filled the disk")))
}

fn read_only<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    let pids: Vec<u32> = Program::ALL.iter().flat_map(|program| node.pids(*program)).collect();
    pids.iter().try_for_each(|pid| node.refuse_writes(*pid))?;
    Ok(Box::new(move || {
        // Who has ended meanwhile took its mounts along.
        pids.iter().for_each(|pid| drop(node.accept_writes(*pid)));
        Ok(())
    }))
}

fn stalled<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let disk = &scene.disks[scene.node.id() - 1];
    disk.freeze()?;
    Ok(Box::new(|| disk.thaw()))
}

fn spoilt<'a>(scene: &Scene<'a>, what: Spoilt) -> Result<Undo<'a>> {
    scene.node.spoil(what, scene.other)?;
    Ok(Box::new(|| Ok(())))
}

fn folder<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    node.spoil(Spoilt::Folder, scene.other)?;
    Ok(Box::new(|| std::fs::remove_dir_all(node.var_dir().join("status.dat")).context("the folder")))
}

/// A command on a disk that stalls waits with the lock in its hand. It is stopped there, and then the disk goes on.
fn held_lock<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let (node, disk) = (scene.node, &scene.disks[scene.node.id() - 1]);
    disk.freeze()?;
    let holder = stopped_command(node);
    disk.thaw()?;
    let mut holder = holder?;
    let pid = holder.id();
    // A daemon may have had it when the disk stalled; then the command waits for it, stopped.
    Ok(Box::new(move || {
        command::signal("CONT", &[pid])?;
        holder.wait().map(drop).context("the command")
    }))
}

fn stopped_command(node: &Node) -> Result<Child> {
    let mut command = node.command(node.home().join("bin/pha-cli"));
    command.args(["maintenance", "off"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().context("pha-cli")?;
    std::thread::sleep(Duration::from_millis(100));
    command::signal("STOP", &[child.id()])?;
    Ok(child)
}

fn switchover<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    // Whether it is possible is for the daemons to say; a standby refuses.
    scene.node.cli(&["switchover"])?;
    Ok(Box::new(|| Ok(())))
}

fn offline<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    // Whether it is possible is for the daemons to say; whoever plays this takes back what is left of it.
    node.cli(&["offline"])?;
    Ok(Box::new(|| node.cli(&["online"]).map(drop)))
}

fn maintenance<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let node = scene.node;
    if !accepted(node, &["maintenance", "on"])? {
        return Ok(Box::new(|| Ok(())));
    }
    outlive(node)?;
    Ok(Box::new(|| {
        ensure!(node.record().operator.wishes.maintenance, "{}: `maintenance on` was lost", node.name());
        node.order(&["maintenance", "off"]).map(drop)
    }))
}

fn hold<'a>(scene: &Scene<'a>) -> Result<Undo<'a>> {
    let (node, name) = (scene.node, "fault");
    if !accepted(node, &["res", "stop", name])? {
        return Ok(Box::new(|| Ok(())));
    }
    outlive(node)?;
    Ok(Box::new(move || {
        let held = node.record().operator.wishes.held;
        ensure!(held == [name], "{}: `res stop {name}` was lost: {held:?}", node.name());
        // A demand on the file of the agent, and not on what is published: it was down all the time.
        ensure!(!node.fault_file(RESOURCE, "up").exists(), "{}: {name} was started though it is held", node.name());
        // It waits until the resource is up, which another fault may keep from happening.
        node.cli(&["res", "start", name]).map(drop)
    }))
}

/// Whether a wish was accepted: with a configuration that is wrong, and only then, it may be refused.
fn accepted(node: &Node, words: &[&str]) -> Result<bool> {
    let said = node.cli(words)?;
    let refused = said.status.code() == Some(CONFIG);
    ensure!(said.status.success() || refused, "{}: {words:?}: {}: {}", node.name(), said.status, said.stderr);
    Ok(!refused)
}

/// The daemons are killed and started: a wish is kept.
fn outlive(node: &Node) -> Result<()> {
    node.signal("KILL", &Program::ALL)?;
    // With a configuration that is wrong they start when it is mended.
    node.cli(&["start"]).map(drop)
}
