//! Large repositories in a container of 64 MiB, as a sidecar's limit may be: everything counts, pages of files and the
//! kernel's own memory too, and who needs more is killed.
//!
//! Limits are the kernel's memory control groups, old or new, and need root. Without them these tests say so and prove nothing.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::observe::sidecar;
use support::process::unproven;
use support::wait::holds_within;
use support::{Agent, GitServer, Repo, temp};

const LIMIT: u64 = 64 << 20;
/// Memory that is short makes everything slow: pages are read again and again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Of so many files what the check learns, and holds of two revisions, is more than all the rest, see docs/performance.md.
const WITHOUT_CHECK: &[&str] = &["--check=off"];

/// A memory control group with a limit, removed when it is dropped; the processes in it have to be gone by then.
struct Group {
    folder: PathBuf,
    /// The hierarchy that all controllers share; otherwise the older one, which memory has for itself.
    unified: bool,
}

impl Group {
    /// A group, or why there is none.
    fn new(limit: u64) -> Result<Group, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root makes control groups".into());
        }
        let (parent, unified) = parent()?;
        let folder = parent.join(format!("dagsync-test-{}-{}", std::process::id(), fastrand::u32(..)));
        fs::create_dir(&folder).map_err(|err| format!("{}: {err}", folder.display()))?;
        let group = Group { folder, unified };
        let set = |name: &str, value: u64| {
            let path = group.folder.join(name);
            fs::write(&path, value.to_string()).map_err(|err| format!("{}: {err}", path.display()))
        };
        set(if unified { "memory.max" } else { "memory.limit_in_bytes" }, limit)?;
        // Machines without swap may not have these.
        let _ = if unified { set("memory.swap.max", 0) } else { set("memory.memsw.limit_in_bytes", limit) };
        Ok(group)
    }

    /// The same command, inside.
    fn inside(&self, command: &Command) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]).arg(self.folder.join("cgroup.procs"));
        shell.arg(command.get_program()).args(command.get_args()).env_clear();
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// How many processes were killed for want of memory.
    fn kills(&self) -> u64 {
        let text = self.read(if self.unified { "memory.events" } else { "memory.oom_control" });
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.expect("the kernel counts kills").trim().parse().expect("a number")
    }

    /// What it has taken at most, everything counted, in bytes; 0 if this kernel does not tell.
    fn peak(&self) -> u64 {
        let text = self.read(if self.unified { "memory.peak" } else { "memory.max_usage_in_bytes" });
        text.trim().parse().unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        holds_within(Duration::from_secs(10), || fs::remove_dir(&self.folder).is_ok());
    }
}

/// The folder where a group can be made, and whether it is of the unified hierarchy.
fn parent() -> Result<(PathBuf, bool), String> {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|err| err.to_string())?;
    let mounts = || mounts.lines().map(|line| Vec::from_iter(line.split(' ')));
    if let Some(mount) =
        mounts().find(|mount| mount[2] == "cgroup" && mount[3].split(',').any(|option| option == "memory"))
    {
        // Below our own group, when it can be seen from here: a container's limit stays one.
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = own.lines().find_map(|line| line.split_once(":memory:/").map(|(_, path)| path.to_owned()));
        let top = Path::new(mount[1]);
        let below = own.map(|own| top.join(own)).filter(|folder| folder.is_dir());
        return Ok((below.unwrap_or_else(|| top.to_owned()), false));
    }
    let mount = mounts().find(|mount| mount[2] == "cgroup2").ok_or("no control groups are mounted")?;
    let top = PathBuf::from(mount[1]);
    // The top is where processes and groups may live side by side.
    fs::write(top.join("cgroup.subtree_control"), "+memory")
        .map_err(|err| format!("{}: memory is not handed down: {err}", top.display()))?;
    Ok((top, true))
}

fn anon_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// A commit on top in which `count` files, spread evenly, are new in content.
fn change(repo: &Repo, files: usize, count: usize, round: usize) -> String {
    let mut stream = format!(
        "feature done\ncommit refs/heads/main\ncommitter Ada <ada@example.com> {} +0000\ndata 0\nfrom refs/heads/main^0\n",
        1_700_000_000 + round
    );
    for number in (0..files).step_by(files / count) {
        let content = format!("round = {round}\nnumber = {number}\n");
        let path = format!("dags/team{:04}/dag_{number:06}.py", number / 100);
        write!(stream, "M 100644 inline {path}\ndata {}\n{content}\n", content.len()).expect("text");
    }
    stream += "done\n";
    repo.git_input(&["fast-import", "--quiet", "--done"], stream.as_bytes());
    repo.id("refs/heads/main")
}

/// Waits for a publication; the anonymous memory at its peak meanwhile, in KiB.
#[track_caller]
fn publishes(agent: &mut Agent, group: Option<&Group>, root: &Path, commit: &str) -> u64 {
    let mut peak = 0;
    let published = holds_within(PATIENCE, || {
        peak = peak.max(anon_kib(agent.pid()));
        let ended = agent.wait_exit(Duration::ZERO);
        let kills = group.map_or(0, Group::kills);
        assert!(ended.is_none(), "{ended:?}, {kills} killed by the kernel\n{}", agent.stderr());
        support::agent::published(root, "current").as_deref() == Some(commit)
    });
    assert!(published, "not published in {PATIENCE:?}\n{}", agent.stderr());
    peak
}

/// All of it within the limit.
fn stays_within_the_limit(files: usize, args: &[&str]) {
    let group = match Group::new(LIMIT) {
        Ok(group) => group,
        Err(why) => return unproven(&format!("the limit cannot be set: {why}")),
    };
    let changes = [("one file", 1), ("one file, from a spare", 1), ("5,000 files", 5_000)];
    syncs_and_changes(files, args, &changes, ("one file after a restart", 1), Some(&group));
    println!("all memory at its peak: {} KiB", group.peak() / 1024);
    assert_eq!(group.kills(), 0, "killed by the kernel");
    assert!(group.peak() <= LIMIT, "the limit was one");
}

/// What a commit changes, in words, and how many files that are.
type Change = (&'static str, usize);

/// A first sync, these changes, a restart and one more change. The largest anonymous memory that was seen, in KiB.
fn syncs_and_changes(
    files: usize,
    args: &[&str],
    changes: &[Change],
    last: Change,
    group: Option<&Group>,
) -> u64 {
    let inside = |command: Command| group.map(|group| group.inside(&command)).unwrap_or(command);
    let folder = temp();
    let root = folder.path().join("root");
    let repo = Repo::bare(folder.path().join("srv/up.git"));
    let first = repo.big(files);
    repo.git(&["repack", "-q", "-a", "-d"]);
    let server = GitServer::plain(folder.path().join("srv"));
    let launch = sidecar(server.url("up.git"), &root).args(["--period=50ms", "--ref=main"]).args(args);
    let mut agent = Agent::spawn(inside(launch.command()));
    let mut peaks = vec![("first sync", publishes(&mut agent, group, &root, &first))];
    for (round, (what, count)) in changes.iter().enumerate() {
        let commit = change(&repo, files, *count, round + 1);
        peaks.push((what, publishes(&mut agent, group, &root, &commit)));
    }
    drop(agent);
    // A restart has to find out what is there.
    let mut agent = Agent::spawn(inside(launch.command()));
    let commit = change(&repo, files, last.1, 9);
    peaks.push((last.0, publishes(&mut agent, group, &root, &commit)));
    drop(agent);
    println!("anonymous KiB: {peaks:?}");
    let tree = root.join("current");
    let mut status = support::repo::git();
    status.arg("-C").arg(&tree).args(["status", "--porcelain"]).stderr(Stdio::inherit());
    let status = status.output().unwrap();
    assert!(status.status.success() && status.stdout.is_empty(), "the tree is the commit");
    let text = fs::read_to_string(tree.join("dags/team0000/dag_000000.py")).unwrap();
    assert_eq!(text, "round = 9\nnumber = 0\n");
    peaks.into_iter().map(|(_, peak)| peak).max().unwrap_or(0)
}

#[test]
fn forty_thousand_files_are_synced_and_changed_within_64_mib() {
    stays_within_the_limit(40_000, &[]);
}

/// What the agent itself takes does not depend on how busy the disk is. No more passes than prove the bound: everything new, a
/// second tree beside the first, and a process that reads two manifests of another and uses up a spare.
#[test]
fn a_hundred_thousand_files_take_no_more_than_50_mib_of_the_agents_own() {
    let last = ("5,000 files after a restart", 5_000);
    let peak = syncs_and_changes(100_000, WITHOUT_CHECK, &[("one file", 1)], last, None);
    assert!(peak > 0 && peak <= 50 << 10, "{peak} KiB");
}

#[test]
#[ignore = "passes or is killed: when it was, 41 MiB were the kernel's own, which it could not give back, see docs/performance.md"]
fn a_hundred_thousand_files_are_synced_and_changed_within_64_mib() {
    stays_within_the_limit(100_000, WITHOUT_CHECK);
}

/// The limit has to be one, or the tests above prove nothing.
#[test]
fn the_limit_kills_who_takes_more() {
    let group = match Group::new(LIMIT) {
        Ok(group) => group,
        Err(why) => return unproven(&format!("the limit cannot be set: {why}")),
    };
    let mut greedy = support::python();
    greedy.args(["-c", "x = bytearray(96 << 20)"]);
    let status = group.inside(&greedy).status().unwrap();
    assert!(!status.success() && group.kills() > 0, "{status}, {} kills", group.kills());
}
