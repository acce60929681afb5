//! Indentation as CPython's tokenizer sees it.

use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_text_size::{Ranged, TextRange};

/// A tab goes to the next multiple of 8, and counts 1: both ways have to say the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Indent {
    wide: usize,
    narrow: usize,
}

impl Indent {
    /// Of what is before the first token of a line, and before a `\` at the end of a line that goes on.
    fn of(blank: &str) -> Indent {
        let mut indent = Indent::default();
        let mut continued = 0;
        for byte in blank.bytes() {
            match byte {
                b' ' => indent = Indent { wide: indent.wide + 1, narrow: indent.narrow + 1 },
                b'\t' => indent = Indent { wide: (indent.wide / 8 + 1) * 8, narrow: indent.narrow + 1 },
                b'\x0c' => indent = Indent::default(),
                // The first one in front of which something is decides, in both ways of counting: CPython takes one for the other.
                b'\\' if continued == 0 => continued = indent.wide,
                _ => {}
            }
        }
        if continued > 0 { Indent { wide: continued, narrow: continued } } else { indent }
    }
}

/// Whether a line begins with a `\`, for a version of before 3.10: they take its indentation otherwise than the parser does.
pub(super) fn begins_with_continuation(text: &str, minor: u8) -> bool {
    let blank = |line: &str| line.trim_start_matches([' ', '\t', '\x0c']).starts_with('\\');
    minor < 10 && text.contains('\\') && text.split(['\n', '\r']).any(blank)
}

/// The text as the parser has to have it so that its lines which begin with a `\` are indented as in a version of before 3.10: in 3.8 by
/// what is before the `\`, in 3.9 as the line before. Every byte keeps its place. A line that has no room for that is left as it is.
pub(super) fn continued(tokens: &Tokens, text: &str, minor: u8) -> Option<String> {
    let mut patched = None;
    // Of the line before.
    let mut indent = "";
    let (mut begins, mut start) = (true, 0);
    for token in tokens {
        match token.kind() {
            TokenKind::Newline => (begins, start) = (true, token.end().to_usize()),
            TokenKind::NonLogicalNewline if begins => start = token.end().to_usize(),
            TokenKind::Comment
            | TokenKind::NonLogicalNewline
            | TokenKind::Indent
            | TokenKind::Dedent
            | TokenKind::EndOfFile => {}
            // A dedent to nowhere.
            TokenKind::Unknown if text[token.range()].trim_matches(BLANKS).is_empty() => {}
            _ if begins => {
                begins = false;
                let blank = &text[start..token.start().to_usize()];
                let own = &blank[..blank.find('\\').unwrap_or(blank.len())];
                if own.len() == blank.len() || minor < 9 {
                    indent = own;
                }
                if own.len() < blank.len() && indent.len() <= blank.len() {
                    // Behind a form feed indentation begins anew.
                    let feeds = "\x0c".repeat(blank.len() - indent.len());
                    let patched = patched.get_or_insert_with(|| text.to_owned());
                    patched.replace_range(start..start + blank.len(), &[&feeds, indent].concat());
                }
            }
            _ => {}
        }
    }
    patched
}

const BLANKS: [char; 6] = [' ', '\t', '\x0c', '\\', '\n', '\r'];

/// Inconsistent tabs.
pub(super) fn check(tokens: &Tokens, text: &str) -> Vec<(TextRange, String)> {
    let mut found = Vec::new();
    if !text.contains('\t') {
        return found;
    }
    let mut open = vec![Indent::default()];
    let (mut begins, mut start) = (true, 0);
    for token in tokens {
        match token.kind() {
            TokenKind::Newline => (begins, start) = (true, token.end().to_usize()),
            TokenKind::NonLogicalNewline if begins => start = token.end().to_usize(),
            TokenKind::Comment | TokenKind::NonLogicalNewline | TokenKind::Indent | TokenKind::Dedent => {}
            TokenKind::EndOfFile => break,
            _ if begins => {
                begins = false;
                let at = token.start().to_usize();
                let indent = Indent::of(&text[start..at]);
                let mut wrong = false;
                let last = open.last().copied().unwrap_or_default();
                if indent.wide > last.wide {
                    wrong = indent.narrow <= last.narrow;
                    open.push(indent);
                } else {
                    while open.len() > 1 && open.last().is_some_and(|last| last.wide > indent.wide) {
                        open.pop();
                    }
                    let last = open.last().copied().unwrap_or_default();
                    wrong |= last.wide != indent.wide || last.narrow != indent.narrow;
                }
                if wrong {
                    found.push((
                        token.range(),
                        "inconsistent use of tabs and spaces in indentation".to_owned(),
                    ));
                    return found;
                }
            }
            _ => {}
        }
    }
    found
}
