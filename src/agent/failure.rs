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
}

impl Failure {
    /// An error of a stage, as the schedule and people see it. A server's own words may be in it, so it is escaped here,
    /// once for the log, the error file and the status.
    pub fn of(stage: Stage, err: &dyn Advice) -> Self {
        Failure::new(stage, &err.to_string(), err.hint().as_deref(), err.remedy())
    }

    /// The same in words of one's own.
    pub fn new(stage: Stage, message: &str, hint: Option<&str>, remedy: Remedy) -> Self {
        let hint = hint.map(|hint| escape(hint).into_owned());
        Failure { stage, message: escape(message).into_owned(), hint, remedy }
    }

    /// Whether the volume was too small.
    pub(super) fn asks_for_room(&self) -> bool {
        self.hint.as_deref().is_some_and(crate::error::asks_for_room)
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
    Broken { damaged: matches!(err, write::Error::Damaged { .. }), failure: Failure::of(Stage::Stage, &err) }
}
