//! Lines and columns of a source, as people count them.

use super::super::python::{self, Ranged};

/// Where something begins. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// Where the lines of a source begin, for the nodes of its tree.
pub(super) struct Lines<'a>(python::Lines<'a>);

impl<'a> Lines<'a> {
    pub(super) fn of(source: &'a str) -> Lines<'a> {
        Lines(python::Lines::of(source))
    }

    pub(super) fn place(&self, node: &impl Ranged) -> Place {
        let (line, column) = self.0.place(node.range().start());
        Place { line, column }
    }
}
