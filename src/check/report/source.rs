//! The lines that findings are about.

use gix::bstr::{BString, ByteSlice as _};

use super::Place;
use crate::check::Finding;

/// Reads each file once, whatever is wrong in it, and only those with a finding at a line. Findings of a file follow each other.
pub(super) struct Source<'a> {
    place: &'a Place<'a>,
    file: Option<(&'a BString, Vec<String>)>,
}

impl<'a> Source<'a> {
    pub(super) fn new(place: &'a Place<'a>) -> Source<'a> {
        Source { place, file: None }
    }

    /// The line that a finding is about, without its end.
    pub(super) fn line(&mut self, finding: &'a Finding) -> Option<&str> {
        let number = finding.issue.line.checked_sub(1)?;
        if self.file.as_ref().is_none_or(|(path, _)| **path != finding.path) {
            self.file = Some((&finding.path, self.lines(finding)));
        }
        let (_, lines) = self.file.as_ref()?;
        lines.get(number as usize).map(String::as_str)
    }

    /// As Python counts them.
    fn lines(&self, finding: &Finding) -> Vec<String> {
        let Some(bytes) = (self.place.read)(finding.path.as_bstr()) else { return Vec::new() };
        let unified = bytes.to_str_lossy().replace("\r\n", "\n").replace('\r', "\n");
        unified.split('\n').map(str::to_owned).collect()
    }
}
