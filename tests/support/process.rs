//! Child processes of the world that can be relied on to be there, and to be gone.

use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

/// A test that cannot prove anything here says so; where everything has to be proven, it has failed.
pub fn unproven(why: &str) {
    let all = std::env::var_os("DAGSYNC_TEST_ALL").is_some();
    assert!(!all, "NOT PROVEN, and it has to be: {why}");
    println!("NOT PROVEN: {why}");
}

/// Where a program of the world is, with the folders that hold daemons even when `PATH` has only a user's.
///
/// # Panics
/// When it is not installed: a test that cannot run has failed, it is not skipped.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| {
            panic!(
                "the tests need the program `{name}` and it is not installed\nhint: run `tests/run`, which installs \
                 what is missing, or `apt-get install git nginx fcgiwrap curl`"
            )
        })
}

/// A Python that reads trees as Airflow's does, cut off from the environment.
///
/// Debian's own first: one of a version manager is a script that needs its user's home.
pub fn python() -> Command {
    let debian = PathBuf::from("/usr/bin/python3");
    let mut command = Command::new(if debian.is_file() { debian } else { program("python3") });
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
    command
}

/// A background program with all its descendants, killed together on drop.
///
/// A shell stands between, which kills the group as soon as the pipe to us closes: a test program that is killed (by a
/// time limit, by Ctrl-C) runs no destructors, and would leave web servers behind.
pub struct Daemon {
    keeper: Child,
    /// Held open for as long as the daemon should live.
    _lifeline: Option<ChildStdin>,
}

impl Daemon {
    /// Starts `command` (its program, arguments, environment and folder) with its output going nowhere.
    pub fn start(command: &Command) -> Daemon {
        let mut keeper = Command::new("/bin/sh");
        keeper
            .args(["-c", "\"$@\" </dev/null & read -r _; kill -KILL 0", "keeper"])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                keeper.env(name, value);
            }
        }
        if let Some(folder) = command.get_current_dir() {
            keeper.current_dir(folder);
        }
        use std::os::unix::process::CommandExt;
        let mut keeper = keeper.process_group(0).spawn().expect("/bin/sh starts");
        let lifeline = keeper.stdin.take();
        Daemon { keeper, _lifeline: lifeline }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.keeper.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.keeper.wait();
    }
}

/// `unshare` with what this user may do, its program process 1 of a namespace. Not being able to is a failure: a test that skips
/// itself shows nothing.
pub fn as_process_1() -> Command {
    let ways: [&[&str]; 2] = [&["--mount-proc"], &["--user", "--map-root-user", "--mount-proc"]];
    let make = |way: &[&str]| {
        let mut command = Command::new(program("unshare"));
        command.args(["--pid", "--fork", "--kill-child"]).args(way).stdin(Stdio::null());
        command
    };
    let works = |way: &&[&str]| make(way).arg("true").output().is_ok_and(|output| output.status.success());
    make(ways.iter().copied().find(works).expect("`unshare` can make a process namespace: run as root"))
}
