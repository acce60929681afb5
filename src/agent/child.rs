//! Child processes: how every one of them is built, run and ended.
//!
//! A child gets the variables it is given and no others, nothing on its stdin, a process group of its own, limits, and a time. What is left of
//! its group when it ends, or when its time is over, is killed. Only what left the group on purpose (`setsid`) lives on, and
//! is waited for by nobody.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::net::unix::pipe::Receiver;

use super::limits::{Limits, Unstarted, limited};
use super::pid1::{Children, OwnChild};
use crate::deadline::{Deadline, Expired};
use crate::error::{Advice, Remedy};
use crate::secret::Secret;

/// So much of an output is kept whole; of more, as much of its end.
const KEPT: usize = 4 << 20;
/// How often is looked whether a child has ended. Neither a signal handler nor a pidfd, which not every kernel has, would make a
/// check that takes seconds noticeably faster.
const LOOK: Duration = Duration::from_millis(10);
/// How long after the end of a child its output is waited for: who left its group may hold the pipe for ever.
const REST: Duration = Duration::from_millis(500);

/// Why a child gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot start `{program}`: {source}")]
    Start { program: String, source: io::Error },
    #[error("lost `{program}`: {source}")]
    Lost { program: String, source: io::Error },
    #[error("`{program}` took longer than {} and was killed", humantime::format_duration(*.after))]
    TooLong { program: String, after: Duration },
    #[error("`{program}` was killed: {why}")]
    Expired { program: String, why: Expired },
}

impl Advice for Error {
    fn remedy(&self) -> Remedy {
        match self {
            Error::Start { .. } => Remedy::Human,
            Error::Expired { why: Expired::Stopped, .. } => Remedy::Stopped,
            Error::Lost { .. } | Error::TooLong { .. } | Error::Expired { .. } => {
                Remedy::Retry { after: None }
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Start { .. } => Some(
                "it must be installed where dagsync runs, in `PATH` or with its absolute path; no shell is used".into(),
            ),
            _ => None,
        }
    }
}

/// A child that is to be started: the only way to one.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    command: Command,
    unstarted: Unstarted,
}

impl Program {
    /// `words` is not empty.
    pub(super) fn new(
        words: &[String],
        environment: &[(String, Secret)],
        folder: &Path,
        limits: Limits,
    ) -> Result<Program, Error> {
        let name = words[0].clone();
        let (mut command, unstarted) =
            limited(words, limits).map_err(|source| Error::Start { program: name.clone(), source })?;
        // Its stdin is the program's no more.
        command
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value.expose())))
            .current_dir(folder)
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(Program { name, command, unstarted })
    }

    /// One more argument.
    pub(super) fn arg(&mut self, arg: impl AsRef<OsStr>) {
        self.command.arg(arg);
    }
}

/// How a child ended, and what it wrote.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: Kept,
    pub(super) stderr: Kept,
}

/// An output, or the end of one that was too long.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    /// The beginning is missing.
    pub(super) cut: bool,
}

impl Kept {
    fn add(&mut self, more: &[u8], most: usize) {
        self.bytes.extend_from_slice(more);
        // Not at every read: that would move all of it each time.
        if self.bytes.len() > 2 * most {
            self.end(most);
        }
    }

    fn end(&mut self, most: usize) {
        if let Some(over) = self.bytes.len().checked_sub(most).filter(|over| *over > 0) {
            self.bytes.drain(..over);
            self.cut = true;
        }
    }
}

/// Runs it to its end, or until its time or that of the pass is over.
pub(super) fn run(
    program: Program,
    children: &Children,
    timeout: Duration,
    deadline: &Deadline,
) -> Result<Ended, Error> {
    let Program { name: program, mut command, unstarted } = program;
    let lost = |source| Error::Lost { program: program.clone(), source };
    let child = children.spawn(&mut command);
    let mut group = Group(Some(child.map_err(|source| Error::Start { program: program.clone(), source })?));
    let pipes = group.pipes();
    let [stdout, stderr] = [RefCell::default(), RefCell::default()];
    let work = async {
        let reading = async {
            // Made here: a pipe belongs to the runtime that waits for it.
            tokio::join!(gather(pipes.0, &stdout), gather(pipes.1, &stderr));
        };
        tokio::pin!(reading);
        let mut read = false;
        while !group.has_ended() {
            tokio::select! {
                () = &mut reading, if !read => read = true,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        // Whoever of the group is left would hold the pipes.
        group.kill();
        if !read {
            let _ = tokio::time::timeout(REST, reading).await;
        }
    };
    match deadline.wait(async { tokio::time::timeout(timeout, work).await }) {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return Err(Error::TooLong { program, after: timeout }),
        Err(why) => return Err(Error::Expired { program, why }),
    }
    let status = group.wait().map_err(lost)?;
    if let Some(source) = unstarted.why() {
        return Err(Error::Start { program, source });
    }
    let [stdout, stderr] = [stdout, stderr].map(|kept: RefCell<Kept>| {
        let mut kept = kept.into_inner();
        kept.end(KEPT);
        kept
    });
    Ok(Ended { status, stdout, stderr })
}

/// Reads to the end. What cannot be read ends it too: the exit status is the answer, the output only explains it.
async fn gather(pipe: Option<OwnedFd>, kept: &RefCell<Kept>) {
    let Some(pipe) = pipe.and_then(|pipe| Receiver::from_owned_fd(pipe).ok()) else { return };
    let mut buffer = vec![0; 16 << 10];
    while pipe.readable().await.is_ok() {
        match pipe.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => kept.borrow_mut().add(&buffer[..read], KEPT),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// A child with its group. Dropped, both are gone, however the pass ends.
struct Group(Option<OwnChild>);

impl Group {
    fn pipes(&mut self) -> (Option<OwnedFd>, Option<OwnedFd>) {
        let Some(child) = &mut self.0 else { return (None, None) };
        (child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from))
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.0.as_ref()?.id() as i32)
    }

    /// Whether it ended. It is left as it is: while nobody has waited for it, its number, which is that of the group, cannot become
    /// another's.
    fn has_ended(&self) -> bool {
        let Some(pid) = self.pid() else { return true };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error is one for who waits, too, and told there.
        !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
    }

    fn kill(&self) {
        if let Some(pid) = self.pid() {
            // They may all be gone: that is the aim.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    fn wait(&mut self) -> io::Result<ExitStatus> {
        match self.0.take() {
            Some(mut child) => child.wait(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        let _ = self.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_output_is_known_by_its_end_in_bounded_memory() {
        let mut kept = Kept::default();
        for byte in 0..=255 {
            kept.add(&[byte; 10], 100);
            assert!(kept.bytes.len() <= 210);
        }
        kept.end(100);
        assert_eq!((kept.bytes.len(), kept.bytes[0], kept.cut), (100, 246, true));
        let mut short = Kept::default();
        short.add(b"abc", 100);
        short.end(100);
        assert_eq!(short, Kept { bytes: b"abc".to_vec(), cut: false });
    }
}
