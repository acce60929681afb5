//! Lines and columns of a source, as people count them.

use ruff_text_size::Ranged;

/// Where something begins. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// The starts of a source's lines.
pub(super) struct Lines<'a> {
    source: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(source: &'a str) -> Lines<'a> {
        let mut starts = vec![0];
        if source.contains('\r') {
            let bytes = source.as_bytes();
            for (at, byte) in bytes.iter().enumerate() {
                // As Python reads them: `\r\n` is one end, and so is a lone `\r`.
                if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                    starts.push(at + 1);
                }
            }
        } else {
            starts.extend(source.match_indices('\n').map(|(at, _)| at + 1));
        }
        Lines { source, starts }
    }

    pub(super) fn place(&self, node: &impl Ranged) -> Place {
        let offset = node.range().start().to_usize();
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts[line - 1];
        let column = self.source.get(start..offset).map_or(0, |text| text.chars().count());
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Place { line: short(line), column: short(column + 1) }
    }
}
