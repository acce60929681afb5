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
    fn of(line: &str) -> Indent {
        let mut indent = Indent::default();
        for byte in line.bytes() {
            match byte {
                b' ' => indent = Indent { wide: indent.wide + 1, narrow: indent.narrow + 1 },
                b'\t' => indent = Indent { wide: (indent.wide / 8 + 1) * 8, narrow: indent.narrow + 1 },
                b'\x0c' => indent = Indent::default(),
                _ => break,
            }
        }
        indent
    }
}

/// Inconsistent tabs.
pub(super) fn check(tokens: &Tokens, text: &str) -> Vec<(TextRange, String)> {
    let mut found = Vec::new();
    if !text.contains('\t') {
        return found;
    }
    let mut open = vec![Indent::default()];
    let mut begins = true;
    for token in tokens {
        match token.kind() {
            TokenKind::Newline => begins = true,
            TokenKind::Comment | TokenKind::NonLogicalNewline | TokenKind::Indent | TokenKind::Dedent => {}
            TokenKind::EndOfFile => break,
            _ if begins => {
                begins = false;
                let at = token.start().to_usize();
                let start = text[..at].rfind(['\n', '\r']).map_or(0, |end| end + 1);
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
