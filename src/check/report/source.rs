//! The lines that findings are about.

use std::collections::BTreeMap;

use gix::bstr::{BString, ByteSlice as _};

use super::Place;
use crate::check::Finding;

/// Reads each file once, whatever is wrong in it, and only those with a finding at a line.
pub(super) struct Source<'a> {
    place: &'a Place<'a>,
    files: BTreeMap<&'a BString, Option<Vec<u8>>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(place: &'a Place<'a>) -> Source<'a> {
        Source { place, files: BTreeMap::new() }
    }

    /// The line that a finding is about, without its end.
    pub(super) fn line(&mut self, finding: &'a Finding) -> Option<String> {
        let number = finding.issue.line.checked_sub(1)?;
        let read = || (self.place.read)(finding.path.as_bstr());
        let text = self.files.entry(&finding.path).or_insert_with(read).as_deref()?.to_str_lossy();
        // Lines as Python counts them.
        let unified = text.replace("\r\n", "\n").replace('\r', "\n");
        unified.split('\n').nth(number as usize).map(str::to_owned)
    }
}
