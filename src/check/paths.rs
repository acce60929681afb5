//! Many paths in as little memory as their names need.

use gix::bstr::{BStr, ByteSlice as _};

/// Paths in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    /// One behind the other.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Paths {
    /// Adds one.
    pub fn push(&mut self, path: &BStr) {
        self.bytes.extend_from_slice(path);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &BStr> + Clone {
        (0..self.len()).map(|at| {
            let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
            self.bytes[start..self.ends[at]].as_bstr()
        })
    }
}

impl<'p> FromIterator<&'p BStr> for Paths {
    fn from_iter<I: IntoIterator<Item = &'p BStr>>(paths: I) -> Paths {
        let mut all = Paths::default();
        paths.into_iter().for_each(|path| all.push(path));
        all
    }
}

/// What is in `before` and not in `now`, both ordered.
pub fn gone<'b, 'n>(
    before: impl IntoIterator<Item = &'b BStr>,
    now: impl IntoIterator<Item = &'n BStr>,
) -> impl Iterator<Item = &'b BStr> {
    let mut now = now.into_iter().peekable();
    before.into_iter().filter(move |path| {
        while now.next_if(|other| *other < *path).is_some() {}
        now.next_if(|other| *other == *path).is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_out_as_they_went_in_and_what_is_gone_is_told() {
        let of = |paths: &[&'static str]| paths.iter().map(|path| BStr::new(*path)).collect::<Paths>();
        let (before, now) = (of(&["", "a", "b/c", "d"]), of(&["a", "b", "d", "e"]));
        assert_eq!(before.iter().map(ToString::to_string).collect::<Vec<_>>(), ["", "a", "b/c", "d"]);
        assert_eq!(gone(before.iter(), now.iter()).collect::<Vec<_>>(), ["", "b/c"]);
        assert_eq!(gone(of(&[]).iter(), now.iter()).count(), 0);
    }
}
