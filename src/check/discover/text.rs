//! What Python makes of bytes: its decoded names, its lines, its white space.

use std::borrow::Cow;

/// Where a byte of a name that is not UTF-8 is put: Python keeps it as the lone surrogate `U+DC80`…`U+DCFF`, which a Rust string
/// cannot hold. The last private plane behaves as surrogates do: no letter, no digit, no space, no case.
pub(super) const UNDECODED: u32 = 0x10_0000;

/// A name as Python's `os.fsdecode` gives it.
pub(super) fn decoded(name: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(name) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(name.len() * 2);
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        let bytes = chunk.invalid().iter();
        text.extend(bytes.filter_map(|byte| char::from_u32(UNDECODED + 0xDC00 + u32::from(*byte))));
    }
    Cow::Owned(text)
}

/// Whether Python's `str.isspace` and the `\s` of its `re` take it: Unicode's white space, and four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// `str.rstrip()`.
pub(super) fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// The lines of a file that Python opened as text: all three kinds of line ends are one.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            return rest.take();
        };
        let width = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + width..]);
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_that_is_not_utf8_is_a_character_of_its_own() {
        assert_eq!(decoded(b"a.py"), "a.py");
        assert_eq!(decoded(b"a\xff\xe2\x82b").chars().count(), 5);
        assert_ne!(decoded(b"\xff"), decoded(b"\xfe"));
    }

    #[test]
    fn lines_end_as_python_ends_them() {
        let read = |text| lines(text).collect::<Vec<_>>();
        assert_eq!(read("a\r\nb\rc\nd"), ["a", "b", "c", "d"]);
        assert_eq!(read("a\n\r\n"), ["a", "", ""]);
        assert_eq!(read("\u{2028}\u{85}"), ["\u{2028}\u{85}"]);
    }

    #[test]
    fn white_space_is_that_of_python() {
        let mut spaces: Vec<u32> = (0..0x3001).filter(|c| char::from_u32(*c).is_some_and(is_space)).collect();
        spaces.retain(|c| *c > 0x20);
        assert_eq!(spaces[..3], [0x85, 0xa0, 0x1680]);
        assert!(is_space('\u{1c}') && is_space('\u{0b}') && !is_space('\u{200b}') && !is_space('\u{feff}'));
    }
}
