//! How a pass ends badly: what people are told, and what the schedule does about it.

use std::path::Path;

use crate::error::{Advice, OnDisk, Remedy};
use crate::git;
use crate::log::escape;
use crate::metrics::Stage;
use crate::tree::{self, write};

/// How a pass ended badly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// Why, for people.
    pub message: String,
    /// What a human can do.
    pub hint: Option<String>,
    /// What the schedule should do.
    pub remedy: Remedy,
    /// Whether the volume was too small.
    pub(super) asks_for_room: bool,
    /// Whether the newest revision is to blame, and another commit is what helps.
    pub(super) is_of_the_revision: bool,
}

impl Failure {
    /// An error of a stage, as the schedule and people see it. A server's own words may be in it, so it is escaped here,
    /// once for the log, the error file and the status.
    pub fn of(stage: Stage, err: &dyn Advice) -> Self {
        let failure = Failure::new(stage, &err.to_string(), err.hint().as_deref(), err.remedy());
        Failure { asks_for_room: err.asks_for_room(), ..failure }
    }

    /// The same in words of one's own.
    pub fn new(stage: Stage, message: &str, hint: Option<&str>, remedy: Remedy) -> Self {
        let hint = hint.map(|hint| escape(hint).into_owned());
        let message = escape(message).into_owned();
        Failure { stage, message, hint, remedy, asks_for_room: false, is_of_the_revision: false }
    }

    /// The message with its hint, on one line.
    pub fn line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} (hint: {hint})", self.message),
            None => self.message.clone(),
        }
    }
}

/// A failure, and whether the object store is to blame.
pub(super) struct Broken {
    pub(super) failure: Failure,
    pub(super) damaged: bool,
}

impl Broken {
    pub(super) fn new(stage: Stage, err: &dyn Advice) -> Self {
        Broken { failure: Failure::of(stage, err), damaged: false }
    }

    /// The same, of what is in a revision: it will not get better by itself.
    pub(super) fn of_the_revision(mut self) -> Broken {
        self.failure.is_of_the_revision = !self.damaged && self.failure.remedy == Remedy::Human;
        self
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Broken { failure, damaged: false }
    }
}

pub(super) fn failed<E: Advice>(stage: Stage) -> impl FnOnce(E) -> Failure {
    move |err| Failure::of(stage, &err)
}

pub(super) fn broken(stage: Stage) -> impl Fn(git::Error) -> Broken {
    move |err| Broken {
        damaged: matches!(err, git::Error::Damaged { .. }),
        failure: Failure::of(stage, &err),
    }
}

pub(super) fn broken_tree(stage: Stage) -> impl Fn(tree::Error) -> Broken {
    move |err| {
        let damaged = matches!(err, tree::Error::Missing { .. } | tree::Error::Read { .. });
        Broken { damaged, failure: Failure::of(stage, &err) }
    }
}

pub(super) fn on_disk(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Broken + use<> {
    let failed = OnDisk::new(doing, path);
    move |source| Broken::new(Stage::Stage, &failed(source))
}

pub(super) fn broken_write(err: write::Error) -> Broken {
    let damaged = matches!(err, write::Error::Damaged { .. });
    let mut failure = Failure::of(Stage::Stage, &err);
    // No system call failed: nothing was written.
    failure.asks_for_room |= matches!(err, write::Error::NoRoom(_));
    Broken { damaged, failure }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::*;
    use crate::publish;
    use crate::tree::space::{Free, Need, Shortage};

    #[test]
    fn a_volume_that_is_too_small_is_known_on_every_way_to_the_end_of_a_pass() {
        let path = Path::new("/nonexistent/root");
        let ways = |errno: Errno| {
            let said = || io::Error::from(errno);
            let reason = said().to_string();
            let cause = crate::error::Cause::of(&said(), path);
            let store = git::Error::Store { path: path.to_owned(), reason, cause };
            [
                failed(Stage::Publish)(publish::Error::io("write", path)(said())),
                broken(Stage::Fetch)(store).failure,
                on_disk("make the folder", path)(said()).failure,
                broken_write(write::Error::Disk(OnDisk::new("write", path)(said()))).failure,
            ]
        };
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            for failure in ways(errno) {
                assert!(failure.asks_for_room, "{failure:?}");
            }
        }
        for errno in [Errno::IO, Errno::ROFS, Errno::XDEV] {
            for failure in ways(errno) {
                assert!(!failure.asks_for_room, "{failure:?}");
            }
        }
        let shortage = Shortage {
            need: Need { bytes: 2, inodes: 2 },
            free: Free { bytes: 1, inodes: None },
            path: path.to_owned(),
        };
        assert!(broken_write(write::Error::NoRoom(shortage)).failure.asks_for_room);
        // Words alone make no shortage.
        let told = Failure::new(Stage::Fetch, "no", Some("the volume is full"), Remedy::Human);
        assert!(!told.asks_for_room);
    }
}
