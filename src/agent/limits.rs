//! What a child process may take, and how it comes by that.
//!
//! Limits are set by the process that they are for, between its making and its program. There, code of ours would be unsafe, so this
//! binary is started once more, sets them on itself, and becomes the program: its number, its group and all else stay as they are.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The hidden command of the binary; behind it come the numbers of [`Limits`], and the program with its arguments.
pub const COMMAND: &str = "limited";
/// As much as any shell allows itself: the agent's own limit may be a million, and there are programs that close them all.
const DESCRIPTORS: u64 = 1024;

/// Bounds on each process of a child's, its descendants included. No core is dumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Seconds of processor time.
    pub seconds: u64,
    /// Bytes of its own; 0 = no bound.
    pub memory: u64,
}

impl Limits {
    /// For a child that may take so long by the clock, with a thread on each of so many cores. Only what left its group, which nobody
    /// ends, comes so far.
    pub fn new(timeout: Duration, cores: usize, memory: Option<u64>) -> Limits {
        let whole = timeout.as_secs().saturating_add(u64::from(timeout.subsec_nanos() > 0));
        let seconds = whole.saturating_add(1).saturating_mul(cores as u64);
        Limits { seconds, memory: memory.unwrap_or(0) }
    }

    fn set(self) -> io::Result<()> {
        lower(Resource::Core, 0)?;
        lower(Resource::Nofile, DESCRIPTORS)?;
        lower(Resource::Cpu, self.seconds)?;
        if self.memory > 0 {
            lower(Resource::Data, self.memory)?;
        }
        Ok(())
    }
}

/// For good: whoever may lift a limit again is root.
fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let most = Some(getrlimit(resource).maximum.map_or(most, |hard| hard.min(most)));
    Ok(setrlimit(resource, Rlimit { current: most, maximum: most })?)
}

/// A program with limits: its command, and the way to hear that it could not be started.
pub(super) fn limited(words: &[String], limits: Limits) -> io::Result<(Command, Unstarted)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new(own_program()?);
    command
        .arg0("dagsync")
        .arg(COMMAND)
        .args([limits.seconds, limits.memory].map(|number| number.to_string()))
        .args(words)
        .stdin(OwnedFd::from(theirs));
    Ok((command, Unstarted(ours)))
}

/// The file that runs: in `/proc` even when its name is another's by now, else by the name that the kernel was given for it.
fn own_program() -> io::Result<PathBuf> {
    let link = Path::new("/proc/self/exe");
    if link.exists() {
        return Ok(link.to_owned());
    }
    // A kernel before 6.4 tells it in `/proc` too, and then rustix panics.
    let name = std::panic::catch_unwind(rustix::param::linux_execfn).map(CStr::to_bytes).unwrap_or_default();
    // The process never leaves the folder that it was started in. The child does, before it is this program.
    let there = std::env::current_dir()?;
    by_name(name, &there).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "/proc is not there, and the kernel does not say what runs")
    })
}

/// What the kernel was given to run, by a process in that folder; no `PATH` was searched for it any more.
fn by_name(name: &[u8], folder: &Path) -> Option<PathBuf> {
    (!name.is_empty()).then(|| folder.join(OsStr::from_bytes(name)))
}

/// The other end of a child's stdin until it has become its program, which has none of it.
#[derive(Debug)]
pub(super) struct Unstarted(UnixStream);

impl Unstarted {
    /// Why there was no program, when the child has ended.
    pub(super) fn why(&self) -> Option<io::Error> {
        let mut number = [0; 4];
        (&self.0).read_exact(&mut number).ok()?;
        Some(io::Error::from_raw_os_error(i32::from_ne_bytes(number)))
    }
}

/// Becomes the program. Comes back only if that is impossible, which is told to whoever holds the other end of stdin.
pub fn become_program(limits: Limits, program: &OsString, args: &[OsString]) -> io::Error {
    // It is closed by the kernel in the moment when this is the program.
    let told = io::stdin().as_fd().try_clone_to_owned();
    let failed = match limits.set() {
        Ok(()) if is_for_a_shell(program) => io::Error::from(rustix::io::Errno::NOEXEC),
        Ok(()) => Command::new(program).args(args).stdin(Stdio::null()).exec(),
        Err(err) => err,
    };
    // A word with a NUL has no number.
    let number = failed.raw_os_error().unwrap_or(rustix::io::Errno::INVAL.raw_os_error());
    if let Ok(told) = told {
        // Nobody may be listening: whoever typed this sees the message.
        let _ = UnixStream::from(told).write_all(&number.to_ne_bytes());
    }
    failed
}

/// Whether it is a text that names no program to run it. Libraries hand such a file to `/bin/sh`, and an empty one would be content
/// with every revision.
fn is_for_a_shell(program: &OsStr) -> bool {
    let mut places = Vec::new();
    if program.as_bytes().contains(&b'/') {
        places.push(PathBuf::from(program));
    } else if let Some(path) = std::env::var_os("PATH") {
        places.extend(std::env::split_paths(&path).map(|place| place.join(program)));
    }
    // `execvp` goes on behind what it may not run.
    let is_run = |place: &&PathBuf| place.is_file() && access(place.as_path(), Access::EXEC_OK).is_ok();
    let Some(file) = places.iter().find(is_run) else { return false };
    let mut begin = Vec::new();
    let read = File::open(file).and_then(|file| file.take(128).read_to_end(&mut begin));
    read.is_ok() && !begin.starts_with(b"#!") && !begin.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_the_timeout_in_whole_seconds_and_one_for_each_core() {
        for (millis, cores, seconds) in [(10, 1, 2), (1000, 1, 2), (1001, 1, 3), (60_000, 8, 488)] {
            assert_eq!(Limits::new(Duration::from_millis(millis), cores, None).seconds, seconds, "{millis}");
        }
        assert_eq!(Limits::new(Duration::MAX, 2, Some(7)), Limits { seconds: u64::MAX, memory: 7 });
    }

    #[test]
    fn without_proc_we_are_what_the_kernel_was_given_to_run_from_any_folder() {
        let by_name =
            |name: &str| by_name(name.as_bytes(), Path::new("/opt")).map(|path| path.display().to_string());
        assert_eq!(by_name("/usr/bin/dagsync").as_deref(), Some("/usr/bin/dagsync"));
        assert_eq!(by_name("bin/dagsync").as_deref(), Some("/opt/bin/dagsync"));
        assert_eq!(by_name(""), None);
    }
}
