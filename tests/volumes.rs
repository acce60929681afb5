//! Real limits: volumes that are full, out of inodes or read-only, folders without rights or gone, 64 open files. Readers keep
//! what they have, the message says what to do, and the same process goes on when it can.

mod support;
mod synced;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::Agent;
use support::GitServer;
use support::agent::Launch;
use support::process::{program, unproven};
use support::wait::PATIENCE;
use synced::{Synced, is_root, ok};

/// A volume in memory, unmounted when it is dropped.
struct Volume(PathBuf);

impl Volume {
    /// Mounted at the root; `None`, and said, where nobody may mount.
    fn at_root(synced: &Synced, options: &str) -> Option<Volume> {
        fs::create_dir(&synced.root).unwrap();
        let mut mount = Command::new(program("mount"));
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&synced.root);
        if !is_root() || !mount.output().unwrap().status.success() {
            unproven("mounting a volume needs root and CAP_SYS_ADMIN");
            return None;
        }
        Some(Volume(synced.root.clone()))
    }

    fn remount(&self, options: &str) {
        ok(Command::new(program("mount")).args(["-o", &format!("remount,{options}")]).arg(&self.0));
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new(program("umount")).arg("-l").arg(&self.0).output();
    }
}

/// An agent that goes on after failures.
fn patient(synced: &Synced) -> Launch {
    synced.launch().set("max-failures", "-1")
}

/// The upstream goes on, and the agent cannot: it says so, and what readers see stays.
fn fails(synced: &Synced, agent: &Agent, words: &[&str]) {
    let before = synced.seen();
    agent.wait_for_text(r#""level":"error""#, PATIENCE);
    let said = agent.stderr();
    let line = said.lines().find(|line| line.contains(r#""level":"error""#)).unwrap_or_default();
    words.iter().for_each(|word| assert!(line.contains(word), "no `{word}` in: {line}"));
    assert!(!said.contains("panicked") && !said.contains("sent a damaged pack"), "{said}");
    assert_eq!(synced.seen(), before);
}

fn recovers(synced: &Synced, agent: &Agent, commit: &str) {
    // Said at the end of a pass: the swap is not the last thing in it.
    agent.wait_for_text(&format!(r#""msg":"published","commit":"{commit}""#), PATIENCE);
    synced.shows(commit);
    synced.nothing_is_left_over();
}

/// Bytes that no packer makes smaller.
fn noise(bytes: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(bytes).collect()
}

#[test]
fn a_full_volume_keeps_what_is_published_until_there_is_room() {
    let synced = Synced::new();
    let Some(volume) = Volume::at_root(&synced, "size=2m") else { return };
    let agent = patient(&synced).start();
    recovers(&synced, &agent, &synced.repo.head());
    let large = synced.repo.commit(&[("large.py", &noise(3 << 20))]);
    fails(&synced, &agent, &["No space left on device", "the volume is full"]);
    volume.remount("size=32m");
    recovers(&synced, &agent, &large);
}

/// The pack of the last commit has no room beside a tree that was replaced, and nobody frees any but the agent.
fn makes_room_by_itself(args: &[&str]) {
    let synced = Synced::new();
    let Some(_volume) = Volume::at_root(&synced, "size=6m") else { return };
    let agent = patient(&synced).args(args.iter().copied()).start();
    recovers(&synced, &agent, &synced.repo.head());
    for content in [noise(3 << 20), "1\n".to_owned()] {
        let next = synced.repo.commit(&[("large.py", &content)]);
        agent.wait_for_text(&format!(r#""msg":"published","commit":"{next}""#), PATIENCE);
    }
    let last = synced.repo.commit(&[("other.py", &noise(3 << 19))]);
    agent.wait_for_text("the volume is full", PATIENCE);
    recovers(&synced, &agent, &last);
}

#[test]
fn a_volume_that_is_full_of_a_tree_past_its_time_is_used_again_without_anybody() {
    makes_room_by_itself(&["--stale-worktree-timeout=5s"]);
}

#[test]
fn a_volume_that_is_full_of_what_is_for_the_next_build_is_used_again_without_anybody() {
    makes_room_by_itself(&["--stale-worktree-timeout=0s"]);
    makes_room_by_itself(&[]);
}

#[test]
fn a_volume_that_others_fill_is_used_again_when_they_make_room() {
    let synced = Synced::new();
    let Some(_volume) = Volume::at_root(&synced, "size=2m") else { return };
    let agent = patient(&synced).start();
    recovers(&synced, &agent, &synced.repo.head());
    let filler = synced.root.join("somebodys");
    // Until it is full: the error is the point.
    let _ = fs::write(&filler, vec![0; 4 << 20]);
    let next = synced.repo.commit(&[("a.py", "print(2)\n"), ("new.py", &noise(9000))]);
    fails(&synced, &agent, &["No space left on device", "the volume is full"]);
    fs::remove_file(filler).unwrap();
    recovers(&synced, &agent, &next);
}

#[test]
fn inode_exhaustion() {
    let synced = Synced::new();
    let Some(_volume) = Volume::at_root(&synced, "size=16m,nr_inodes=120") else { return };
    let agent = patient(&synced).start();
    recovers(&synced, &agent, &synced.repo.head());
    let fillers: Vec<PathBuf> = (0..)
        .map(|n| synced.root.join(format!("somebodys-{n}")))
        .take_while(|path| fs::write(path, "").is_ok())
        .collect();
    let next = synced.repo.commit(&[("a.py", "print(2)\n"), ("new/new.py", "1\n")]);
    fails(&synced, &agent, &["No space left on device", "no inodes left"]);
    fillers.iter().for_each(|path| fs::remove_file(path).unwrap());
    recovers(&synced, &agent, &next);
}

#[test]
fn a_read_only_volume_is_told_and_used_again_when_it_can_be_written() {
    let synced = Synced::new();
    let Some(volume) = Volume::at_root(&synced, "size=16m") else { return };
    synced.once(&[]);
    let next = synced.repo.commit(&[("a.py", "print(2)\n")]);
    // Not under a running agent: the kernel lets nobody do that while the lock is open.
    volume.remount("ro");
    let agent = patient(&synced).start();
    fails(&synced, &agent, &["Read-only file system", "has to be writable"]);
    volume.remount("rw");
    recovers(&synced, &agent, &next);
}

/// The agent as a uid that rights mean something to.
fn as_nobody(synced: &Synced, launch: &Launch) -> Command {
    let launched = launch.command();
    if !is_root() {
        return launched;
    }
    let copy = synced.path("dagsync");
    fs::copy(launched.get_program(), &copy).unwrap();
    let mut command = Command::new(program("setpriv"));
    command.args(["--reuid=12345", "--regid=12345", "--clear-groups"]).arg(copy).args(launched.get_args());
    command.env_clear();
    command
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_without_rights_is_told_and_used_again_with_them() {
    let synced = Synced::new();
    if is_root() {
        fs::create_dir(&synced.root).unwrap();
        std::os::unix::fs::lchown(&synced.root, Some(12345), Some(12345)).unwrap();
    }
    let agent = Agent::spawn(as_nobody(&synced, &patient(&synced)));
    recovers(&synced, &agent, &synced.repo.head());
    let trees = synced.root.join(".worktrees");
    chmod(&trees, 0o555);
    let next = synced.repo.commit(&[("a.py", "print(2)\n")]);
    fails(&synced, &agent, &["Permission denied", "check who owns the volume"]);
    chmod(&trees, 0o755);
    recovers(&synced, &agent, &next);
}

#[test]
fn what_somebody_removes_below_the_root_is_made_again() {
    for folders in
        [&[".dagsync"][..], &[".git"], &[".worktrees"], &[".dagsync", ".git", ".worktrees", "repo"]]
    {
        let synced = Synced::new();
        let agent = patient(&synced).start();
        recovers(&synced, &agent, &synced.repo.head());
        for name in folders {
            let path = synced.root.join(name);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
        let next = synced.repo.commit(&[("a.py", "print(2)\n")]);
        recovers(&synced, &agent, &next);
        assert!(!agent.stderr().contains("panicked"), "{folders:?}: {}", agent.stderr());
    }
}

/// The same agent with at most 64 open files.
fn with_64_files(launch: &Launch) -> Command {
    let launched = launch.command();
    let mut command = Command::new(program("sh"));
    command.args(["-c", r#"ulimit -n 64 && exec "$0" "$@""#]);
    command.arg(launched.get_program()).args(launched.get_args()).env_clear();
    command
}

#[test]
fn fd_limit_64() {
    let synced = Synced::empty();
    let many: Vec<_> = (0..1000).map(|n| (format!("dags/{}/f{n}.py", n % 40), format!("{n}\n"))).collect();
    let many: Vec<_> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let first = synced.repo.commit(&many);
    let server = GitServer::plain(synced.dir.path());
    let launch =
        synced.launch_from(server.url("upstream/.git")).args(["--http-bind=127.0.0.1:0", "--durable=on"]);
    let agent = Agent::spawn(with_64_files(&launch));
    recovers(&synced, &agent, &first);
    // More packs than files may be open.
    let mut last = first;
    for n in 0..70 {
        last = synced.repo.commit(&[("dags/0/f0.py", &format!("print({n})\n"))]);
        agent.wait_published(&synced.root, "repo", &last);
    }
    recovers(&synced, &agent, &last);
    // So many files at once are flushed one by one.
    let some: Vec<_> = (0..90).map(|n| (format!("dags/1/g{n}.py"), format!("{n}\n"))).collect();
    let some: Vec<_> = some.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let last = synced.repo.commit(&some);
    recovers(&synced, &agent, &last);
    assert!(!agent.stderr().contains(r#""level":"error""#), "{}", agent.stderr());
}
