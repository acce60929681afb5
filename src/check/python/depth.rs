//! How deep the tree of a text will be, before anything recursive sees it.
//!
//! CPython has bounds of its own: 200 open brackets, 100 levels of indentation, and a stack that ends at less than ten thousand
//! nested expressions. What is beyond them is refused here, so that the parser, the visitors and the drop of the tree work in a
//! bounded stack. One pass over the tokens; operators are reduced by precedence, so that a long flat list stays flat.

use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_python_parser::{Mode, lexer};

/// More than any CPython compiles, of what it does not make a constant of: the most we measured is 9,997 (3.13). What a version
/// refuses of less is asked of the tree, by [`levels`](super::levels).
pub(super) const DEEPEST: usize = 12_000;
/// CPython's `MAXLEVEL`.
const BRACKETS: usize = 200;
/// CPython's `MAXINDENT`.
const INDENTS: usize = 99;
/// CPython's `MAXFSTRINGLEVEL`.
const STRINGS: usize = 149;

/// So many tokens where no grammar has them. A few are for the parser to tell, which knows better words; it recovers from each of
/// them, though, and a million of them would take its time and memory.
const ODDITIES: usize = 64;

/// Said of both: of what is beyond [`DEEPEST`], and of what is too deep for its version.
pub(super) const TOO_DEEP: &str = "too deeply nested to be compiled";

/// Why a text is refused, in CPython's words.
pub(super) type Refusal = &'static str;

/// What is open at a token, of what CPython bounds.
#[derive(Debug, Default)]
struct Open {
    brackets: usize,
    indents: usize,
    strings: usize,
}

impl Open {
    fn count(&mut self, kind: TokenKind) -> Result<(), Refusal> {
        match kind {
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => {
                self.brackets += 1;
                if self.brackets > BRACKETS {
                    return Err("too many nested parentheses");
                }
            }
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace => {
                self.brackets = self.brackets.saturating_sub(1);
            }
            TokenKind::FStringStart | TokenKind::TStringStart => {
                self.strings += 1;
                if self.strings > STRINGS {
                    return Err("f-string: too many nested f-strings");
                }
            }
            TokenKind::FStringEnd | TokenKind::TStringEnd => self.strings = self.strings.saturating_sub(1),
            TokenKind::Newline => (self.brackets, self.strings) = (0, 0),
            TokenKind::Indent => {
                self.indents += 1;
                if self.indents > INDENTS {
                    return Err("too many levels of indentation");
                }
            }
            TokenKind::Dedent => self.indents = self.indents.saturating_sub(1),
            _ => {}
        }
        Ok(())
    }
}

/// An operand, or several with operators between them, between two brackets or separators.
#[derive(Debug, Default)]
struct Frame {
    /// The levels above this frame.
    base: usize,
    /// Of a lambda's parameters: ends with the colon.
    lambda: bool,
    /// Operators whose right side is not complete: precedence, and the depth of what is on their left.
    operators: Vec<(u8, usize)>,
    /// The depth of the operand that is being read; 0 before one.
    operand: usize,
    /// The deepest of the elements before this one.
    deepest: usize,
}

const ELSE: u8 = 1;
const IF: u8 = 2;
const OR: u8 = 3;
const AND: u8 = 4;
const NOT: u8 = 5;
const COMPARE: u8 = 6;
const UNARY: u8 = 13;
const POWER: u8 = 14;

/// The precedence of a binary operator.
fn precedence(kind: TokenKind) -> Option<u8> {
    Some(match kind {
        TokenKind::Or => OR,
        TokenKind::And => AND,
        TokenKind::In
        | TokenKind::Is
        | TokenKind::Less
        | TokenKind::Greater
        | TokenKind::EqEqual
        | TokenKind::NotEqual
        | TokenKind::LessEqual
        | TokenKind::GreaterEqual => COMPARE,
        TokenKind::Vbar => 7,
        TokenKind::CircumFlex => 8,
        TokenKind::Amper => 9,
        TokenKind::LeftShift | TokenKind::RightShift => 10,
        TokenKind::Plus | TokenKind::Minus => 11,
        TokenKind::Star | TokenKind::Slash | TokenKind::DoubleSlash | TokenKind::Percent | TokenKind::At => {
            12
        }
        TokenKind::DoubleStar => POWER,
        _ => return None,
    })
}

impl Frame {
    /// Completes what binds tighter than `precedence`.
    fn reduce(&mut self, precedence: u8) {
        while let Some((_, left)) = self.operators.pop_if(|(top, _)| *top >= precedence) {
            self.operand = self.operand.max(left) + 1;
        }
    }

    fn binary(&mut self, precedence: u8) {
        if precedence == POWER {
            self.operators.push((POWER, self.operand));
        } else {
            self.reduce(precedence + 1);
            let chained = matches!(precedence, IF | OR | AND | COMPARE);
            match self.operators.last_mut() {
                // `a and b and c`, `a < b < c`, `for … if … if`: one node.
                Some((top, left)) if *top == precedence && chained => *left = (*left).max(self.operand),
                _ => {
                    self.reduce(precedence);
                    self.operators.push((precedence, self.operand));
                }
            }
        }
        self.operand = 0;
    }

    fn prefix(&mut self, precedence: u8) {
        self.operators.push((precedence, 0));
    }

    fn separate(&mut self) {
        self.reduce(0);
        self.deepest = self.deepest.max(self.operand);
        self.operand = 0;
    }

    fn levels(&self) -> usize {
        let left = self.operators.last().map_or(0, |(_, left)| *left);
        self.base + self.operators.len() + left.max(self.operand).max(self.deepest)
    }

    fn inner(&self, lambda: bool) -> Frame {
        Frame { base: self.base + self.operators.len() + 1, lambda, ..Frame::default() }
    }
}

/// Whether no grammar has this token after those two.
fn odd(earlier: TokenKind, before: TokenKind, kind: TokenKind) -> bool {
    let starts = |before| {
        matches!(
            before,
            TokenKind::Newline | TokenKind::Semi | TokenKind::Colon | TokenKind::Indent | TokenKind::Dedent
        )
    };
    let operand = |kind: TokenKind| {
        matches!(kind, TokenKind::Name | TokenKind::Int | TokenKind::Float | TokenKind::Complex)
            || kind.is_soft_keyword()
    };
    match kind {
        TokenKind::Assert
        | TokenKind::Break
        | TokenKind::Continue
        | TokenKind::Del
        | TokenKind::Global
        | TokenKind::Nonlocal
        | TokenKind::Pass
        | TokenKind::Raise
        | TokenKind::Return => !starts(before),
        TokenKind::Class
        | TokenKind::Elif
        | TokenKind::Except
        | TokenKind::Finally
        | TokenKind::Try
        | TokenKind::While => !starts(before) || before == TokenKind::Colon,
        TokenKind::Def | TokenKind::With => {
            before != TokenKind::Async && (!starts(before) || before == TokenKind::Colon)
        }
        TokenKind::If | TokenKind::Else | TokenKind::For => before == TokenKind::Colon,
        TokenKind::Async => before == TokenKind::Async || before == TokenKind::Colon,
        // `match x: match y:`
        kind if operand(kind)
            && matches!(before, TokenKind::Match | TokenKind::Case)
            && earlier == TokenKind::Colon =>
        {
            true
        }
        kind if operand(kind) => operand(before) && !(before.is_soft_keyword() && starts(earlier)),
        _ => false,
    }
}

/// Reads the tokens of a text; no path from the top of its tree has more levels than it says.
///
/// # Errors
/// It is nested deeper than CPython goes.
pub(super) fn measure(text: &str) -> Result<usize, Refusal> {
    let mut tokens = lexer::lex(text, Mode::Module);
    let mut levels = 0_usize;
    let mut below: Vec<Frame> = Vec::new();
    let mut frame = Frame::default();
    let (mut open, mut oddities) = (Open::default(), 0_usize);
    let (mut earlier, mut before) = (TokenKind::Newline, TokenKind::Newline);
    loop {
        let kind = tokens.next_token();
        open.count(kind)?;
        match kind {
            TokenKind::EndOfFile => break,
            TokenKind::Comment | TokenKind::NonLogicalNewline | TokenKind::Unknown => continue,
            TokenKind::Indent | TokenKind::Dedent => {}
            TokenKind::Newline => {
                below.clear();
                frame = Frame::default();
            }
            TokenKind::Lpar
            | TokenKind::Lsqb
            | TokenKind::Lbrace
            | TokenKind::FStringStart
            | TokenKind::TStringStart => {
                let inner = frame.inner(false);
                below.push(std::mem::replace(&mut frame, inner));
            }
            TokenKind::Rpar
            | TokenKind::Rsqb
            | TokenKind::Rbrace
            | TokenKind::FStringEnd
            | TokenKind::TStringEnd => {
                while frame.lambda
                    && let Some(outer) = below.pop()
                {
                    frame = outer;
                }
                if let Some(mut outer) = below.pop() {
                    frame.separate();
                    outer.operand = outer.operand.max(frame.deepest) + 1;
                    frame = outer;
                }
            }
            TokenKind::Lambda => {
                let inner = frame.inner(true);
                below.push(std::mem::replace(&mut frame, inner));
            }
            TokenKind::Colon if frame.lambda => {
                frame.separate();
                let parameters = frame.deepest;
                frame = below.pop().unwrap_or_default();
                frame.operators.push((ELSE, parameters));
                frame.operand = 0;
            }
            TokenKind::If => frame.binary(IF),
            TokenKind::Else => {
                frame.reduce(IF);
                frame.operators.push((ELSE, frame.operand));
                frame.operand = 0;
            }
            TokenKind::Not if frame.operand == 0 => frame.prefix(NOT),
            TokenKind::Await | TokenKind::Tilde => frame.prefix(UNARY),
            TokenKind::Plus | TokenKind::Minus | TokenKind::Star | TokenKind::DoubleStar
                if frame.operand == 0 =>
            {
                frame.prefix(UNARY);
            }
            TokenKind::Yield => frame.prefix(ELSE),
            TokenKind::From if before == TokenKind::Yield => {}
            TokenKind::Not => {}
            TokenKind::Dot => frame.operand += 1,
            _ => match precedence(kind) {
                Some(precedence) => frame.binary(precedence),
                None if kind.is_non_soft_keyword()
                    && !matches!(kind, TokenKind::None | TokenKind::True | TokenKind::False)
                    || kind.is_operator() =>
                {
                    frame.separate();
                }
                None => frame.operand = frame.operand.max(1),
            },
        }
        if odd(earlier, before, kind) {
            oddities += 1;
            if oddities > ODDITIES {
                return Err("invalid syntax");
            }
        }
        (earlier, before) = (before, kind);
        levels = levels.max(open.indents + frame.levels());
        if levels > DEEPEST {
            return Err(TOO_DEEP);
        }
    }
    Ok(levels)
}

/// The same refusals from the tokens of a text that was parsed without an error, and that is too short for [`DEEPEST`] levels.
///
/// # Errors
/// It is nested deeper than CPython goes.
pub(super) fn within_bounds(tokens: &Tokens) -> Result<(), Refusal> {
    let mut open = Open::default();
    tokens.iter().try_for_each(|token| open.count(token.kind()))
}

/// Where [`measure`] gives up: the lexer does not tell, but the shortest text that is refused does.
pub(super) fn place(text: &str) -> usize {
    let (mut fine, mut refused) = (0, text.len());
    // The lexer stops where it gives up, so find out roughly where that is before halving.
    let mut reach = 4096;
    while reach < refused {
        let end = text.floor_char_boundary(reach);
        if measure(&text[..end]).is_err() {
            refused = end;
        } else {
            fine = end;
        }
        reach *= 2;
    }
    while refused - fine > 1 {
        let middle = text.floor_char_boundary(usize::midpoint(fine, refused));
        if middle <= fine {
            break;
        }
        if measure(&text[..middle]).is_err() {
            refused = middle;
        } else {
            fine = middle;
        }
    }
    // To the beginning of the word.
    fine - text[..fine].bytes().rev().take_while(u8::is_ascii_alphabetic).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(text: &str) -> usize {
        measure(text).unwrap()
    }

    #[test]
    fn what_is_long_is_not_deep() {
        assert!(levels(&"a, ".repeat(50_000)) < 5);
        assert!(levels(&format!("[{}]", "a + b, ".repeat(50_000))) < 6);
        assert!(levels(&format!("a{}", " and a < b + c".repeat(50_000))) < 8);
        assert!(levels(&format!("[{}]", "lambda x, y: x + y, ".repeat(50_000))) < 8);
        assert!(levels(&format!("{{{}}}", "'a': f(x) if y else z, ".repeat(50_000))) < 9);
        assert!(levels(&format!("[a for a in a{}]", " if a".repeat(50_000))) < 9);
        assert!(levels(&"x = a.b(c)[d]\n".repeat(50_000)) < 9);
        assert!(levels(&"'a' ".repeat(50_000)) < 3);
    }

    #[test]
    fn a_long_file_of_anything_ordinary_is_not_odd() {
        for text in [
            "match x:\n    case 1: pass\n    case a: pass\n",
            "type A = int\nif a: type B = int\nmatch = case = type\n",
            "async def f():\n    async with a: pass\n    [a async for a in b]\n",
            "if a: pass\nelif b: pass\nelse: pass\nwhile a: break\n",
            "try: pass\nexcept a as b: pass\nelse: pass\nfinally: pass\n",
            "class A: pass\ndef f(a: int = 1) -> None: return\nx = not a if b is not c else lambda: None\n",
        ] {
            assert!(measure(&text.repeat(200)).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_deep_is_refused() {
        for unit in ["+a", ".a", "()", "[0]", "**a", " if a else a", " if a else lambda: a"] {
            assert!(measure(&format!("a{}", unit.repeat(3000))).is_ok(), "{unit}");
            assert!(measure(&format!("a{}", unit.repeat(20_000))).is_err(), "{unit}");
        }
        for unit in [
            "not ",
            "-",
            "~",
            "await ",
            "lambda: ",
            "lambda a=",
            "lambda: a if a else ",
            "yield ",
            "yield from ",
        ] {
            assert!(measure(&format!("{}a", unit.repeat(700))).is_ok(), "{unit}");
            assert!(measure(&format!("{}a", unit.repeat(20_000))).is_err(), "{unit}");
        }
        assert_eq!(measure(&"(".repeat(201)), Err("too many nested parentheses"));
        assert_eq!(place(&"[".repeat(300)), 200);
        for unit in ["if a: ", "async ", "return ", "else: ", "type a = ", "match a: match b: ", "x y "] {
            assert!(measure(&unit.repeat(30)).is_ok(), "{unit}");
            assert!(measure(&unit.repeat(1000)).is_err(), "{unit}");
        }
        assert_eq!(place(&format!("é = 1\n{}", "if a: ".repeat(66))), 7 + 65 * 6);
    }
}
