//! How much ignore files may cost.
//!
//! All rules are held against all names, so a file of a few kilobytes can ask for hours, and one of a megabyte for gigabytes. What
//! is beyond a bound is not checked, and said to be so. Work is counted, not timed: every pod comes to the same answer.

use super::Unreadable;
use crate::check::Snapshot;

/// Bytes of a file with rules. A larger one nobody wrote.
pub(super) const LARGEST: u64 = 1 << 20;
/// Lines with a rule in one file.
pub(super) const LINES: usize = 10_000;
/// Bytes of one rule. With the longest name that a disk takes, one question is a fraction of a second at most.
pub(super) const LONGEST: usize = 16 << 10;
/// So many lines that make Airflow raise are told of one file: from the first on, nobody has to guess.
pub(super) const TOLD: usize = 100;

/// Bytes of all files with rules that a walk comes by.
const BYTES: u64 = 32 << 20;
/// Rules that hold in folders with a file of their own, all told: those from above hold there too.
const RULES: usize = 1_000_000;
/// Bytes that all rules take once they are compiled.
const ROOM: usize = 96 << 20;
/// Steps of all questions whether a rule finds a name. About a nanosecond each, in what ships.
const WORK: u64 = 4 << 30;
/// So many steps may go by before anybody asks whether the answer is still wanted.
const UNASKED: u64 = 16 << 20;

/// What a walk may still spend on ignore files.
pub(super) struct Bounds<'a> {
    snapshot: &'a dyn Snapshot,
    bytes: u64,
    rules: usize,
    work: u64,
    unasked: u64,
}

impl<'a> Bounds<'a> {
    /// All of it.
    pub fn of(snapshot: &'a dyn Snapshot) -> Bounds<'a> {
        Bounds { snapshot, bytes: BYTES, rules: RULES, work: WORK, unasked: 0 }
    }

    /// With less work than that.
    #[cfg(test)]
    pub fn with_work(snapshot: &'a dyn Snapshot, work: u64) -> Bounds<'a> {
        Bounds { work, ..Bounds::of(snapshot) }
    }

    /// Whether a file of so many bytes may still be read.
    pub fn read(&mut self, bytes: u64) -> bool {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(0);
        left.is_some()
    }

    /// Whether so many rules more may hold, when those of the walk so far are compiled to so many bytes.
    pub fn hold(&mut self, rules: usize, compiled: usize) -> bool {
        let left = self.rules.checked_sub(rules);
        self.rules = left.unwrap_or(0);
        left.is_some() && compiled <= ROOM
    }

    /// Whether so many steps more may be taken.
    ///
    /// # Errors
    /// When nobody waits for the answer any more.
    pub fn work(&mut self, steps: u64) -> Result<bool, Unreadable> {
        self.unasked += steps;
        if self.unasked > UNASKED {
            self.unasked = 0;
            self.snapshot.stopped()?;
        }
        let left = self.work.checked_sub(steps);
        self.work = left.unwrap_or(0);
        Ok(left.is_some())
    }
}
