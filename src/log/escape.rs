//! Text from outside, made safe to show.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Replaces what a terminal or a reader could take for something else than text.
///
/// Server messages, refs, paths and commit subjects are chosen by others; printed raw they move the cursor, hide lines
/// or turn text around (CVE-2024-43785). Escaped are control characters (C0, DEL, C1: line breaks, ESC, CSI), the
/// direction controls of Unicode ("trojan source"), line and paragraph separators, invisible tag characters and byte
/// order marks. They come out as `\n`, `\r`, `\t` or `\u{1b}`. A backslash stays as it is: the result is for people, not for
/// turning back.
pub fn escape(text: &str) -> Cow<'_, str> {
    let Some(first) = text.char_indices().find_map(|(at, c)| deceives(c).then_some(at)) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for c in text[first..].chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if deceives(c) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Cuts at most to `max` bytes, at a character, and shows that something is missing.
pub(super) fn clip(text: Cow<'_, str>, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return text;
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}…", &text[..end]))
}

fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}'      // marks of direction
            | '\u{202a}'..='\u{202e}'                 // embeddings and overrides
            | '\u{2066}'..='\u{2069}'                 // isolates
            | '\u{2028}' | '\u{2029}'                 // line and paragraph separators
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'    // byte order mark, annotations
            | '\u{e0000}'..='\u{e007f}'               // tags
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_borrowed() {
        for plain in ["", "v2-2-stable", "grün 漢字 🛰 a\\b \"c\""] {
            assert!(matches!(escape(plain), Cow::Borrowed(same) if same == plain), "{plain}");
        }
    }

    #[test]
    fn controls_and_direction_marks_are_named() {
        assert_eq!(escape("a\u{1b}[2Jb\nc\r\td\u{9b}m"), "a\\u{1b}[2Jb\\nc\\r\\td\\u{9b}m");
        assert_eq!(escape("abc\u{202e}gpj.exe\u{2069}"), "abc\\u{202e}gpj.exe\\u{2069}");
        assert_eq!(
            escape("\u{feff}x\u{2028}\u{e0041}\0\u{7f}"),
            "\\u{feff}x\\u{2028}\\u{e0041}\\u{0}\\u{7f}"
        );
    }

    #[test]
    fn clipping_keeps_characters_whole() {
        assert_eq!(clip("äöü".into(), 3), "ä…");
        assert_eq!(clip("abc".into(), 3), "abc");
        assert_eq!(clip("漢字".into(), 1), "…");
    }
}
