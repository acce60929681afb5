//! From offsets to lines and columns.

use gix::bstr::ByteSlice as _;
use ruff_text_size::TextSize;

/// Where the lines of a text begin. A line ends with `\n`, `\r\n` or `\r`, as Python reads files.
#[derive(Debug)]
pub(in crate::check) struct Lines<'a> {
    text: &'a str,
    starts: Vec<u32>,
    /// Every byte is a character.
    ascii: bool,
}

impl<'a> Lines<'a> {
    pub(in crate::check) fn of(text: &'a str) -> Lines<'a> {
        let bytes = text.as_bytes();
        let mut starts = Vec::with_capacity(1 + bytes.len() / 32);
        starts.push(0);
        let mut rest = 0;
        while let Some(end) = bytes[rest..].find_byteset(b"\r\n") {
            rest += end + 1;
            if bytes[rest - 1] == b'\r' && bytes.get(rest) == Some(&b'\n') {
                rest += 1;
            }
            starts.push(u32::try_from(rest).unwrap_or(u32::MAX));
        }
        Lines { text, starts, ascii: text.is_ascii() }
    }

    /// The 1-based line and column, in characters, of an offset.
    pub(in crate::check) fn place(&self, at: TextSize) -> (u32, u32) {
        let at = self.text.floor_char_boundary(at.to_usize());
        let line = self.starts.partition_point(|start| *start as usize <= at);
        let start = self.starts[line - 1] as usize;
        let column = 1 + if self.ascii { at - start } else { self.text[start..at].chars().count() };
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    /// The lines, without their ends.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a str> {
        let ends = self.starts.iter().skip(1).map(|start| *start as usize).chain([self.text.len()]);
        let spans = self.starts.iter().map(|start| *start as usize).zip(ends);
        spans.map(|(start, end)| self.text[start..end].trim_end_matches(['\n', '\r']))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_and_every_kind_of_line_end_counts() {
        let lines = Lines::of("ä = 1\r\nb\rc\n");
        assert_eq!(lines.place(0.into()), (1, 1));
        assert_eq!(lines.place(2.into()), (1, 2));
        assert_eq!(lines.place(8.into()), (2, 1));
        assert_eq!(lines.place(10.into()), (3, 1));
        assert_eq!(lines.place(12.into()), (4, 1));
        assert_eq!(lines.iter().collect::<Vec<_>>(), ["ä = 1", "b", "c", ""]);
        let plain = Lines::of("a = 1\r\n\rb = 2");
        assert_eq!([0, 4, 7, 8, 12, 99].map(|at: u32| plain.place(at.into()).1), [1, 5, 1, 1, 5, 6]);
    }
}
