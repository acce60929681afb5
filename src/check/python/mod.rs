//! Whether Python can compile a file, and its syntax tree.
//!
//! The only module that knows the parser: its crates have no stable interface and are pinned to an exact version. CPython refuses
//! at three places, and so do we: the tokenizer ([`depth`], [`layout`]), the grammar (the parser, and [`grammar`] for what it lets
//! through), the symbol table and the compiler ([`walk`]).

mod codecs;
mod depth;
mod encoding;
mod expressions;
mod future;
mod generic;
mod grammar;
mod layout;
mod levels;
mod patterns;
mod place;
mod scope;
mod text_only;
mod walk;
mod wording;

use std::borrow::Cow;

use ruff_python_ast::PythonVersion;
use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_python_parser::{Mode, ParseOptions, Parsed};
use ruff_text_size::{TextRange, TextSize};

use super::target::Python;
use super::{Code, Issue};
use encoding::Decoded;
pub(super) use place::Lines;

pub use ruff_python_ast as ast;
pub(super) use ruff_text_size::Ranged;

/// Below this, a file is parsed without a word.
const LARGE: usize = 1 << 20;
/// Above this, it is not parsed, only its depth is measured: a tree with a mistake in each line takes seventy times the room of
/// its text.
const TOO_LARGE: usize = 4 << 20;
/// Above this, nobody can want that: Airflow would hold all of it, and a tree of fifty times its size.
const REFUSED: u64 = 10 << 20;

/// What the parser, the widest visitor and the drop of a tree need for one level of it, in a debug build.
const STACK_OF_A_LEVEL: usize = 8 << 10;
/// For levels that nobody counted.
const STACK_OF_A_BYTE: usize = 512;
const STACK_TO_SPARE: usize = 64 << 20;
/// What they need at all.
const STACK: usize = 1 << 20;

const LESS: &str = "generate less, or read data from a data file";

/// So many issues of a file are told: from the first mistake on, the others may be its echoes.
const TOLD: usize = 20;
/// So many mistakes of a tree are kept until they are in order.
const KEPT: usize = 1000;
/// So many line breaks in formats are mended, each by parsing again.
const LINE_BREAKS: usize = 32;

/// Compiles, as far as CPython does without running anything, and hands the tree to `look`, on a stack that is large enough for it.
/// Without a tree (a file that cannot be decoded or parsed, or is too large or nested too deeply) `look` is not called.
///
/// The text that `look` gets is what the ranges of the tree are of: decoded, without a byte order mark.
pub fn compile<R>(
    source: &[u8],
    python: Python,
    look: impl FnOnce(&ast::ModModule, &str) -> R,
) -> (Vec<Issue>, Option<R>) {
    if let Some(issue) = text_only::pointer(source) {
        return (vec![issue], None);
    }
    if let Some(issue) = too_large(source.len() as u64) {
        return (vec![issue], None);
    }
    let decoded = match encoding::decode(source) {
        Ok(decoded) => decoded,
        Err(issue) => return (vec![*issue], None),
    };
    let mut issues = Vec::new();
    let text = &*decoded.text;
    if text.starts_with('\u{feff}') {
        // The parser takes a second byte order mark for a first one.
        return (vec![Issue::at(1, 1, Code::PythonSyntax, "invalid non-printable character U+FEFF")], None);
    }
    issues.extend(large(source.len()));
    let (mut found, looked) = match source.len() > TOO_LARGE {
        true => (depth::measure(text).err().map_or(Vec::new(), |why| refused(text, python.minor, why)), None),
        false => parse(&decoded, python.minor, look),
    };
    found.sort_by_key(|found| found.at);
    found.truncate(TOLD);
    if found.is_empty() && looked.is_some() {
        return (issues, looked);
    }
    let lines = Lines::of(text);
    let marker = if looked.is_none() { text_only::conflict(text, &lines) } else { None };
    match marker {
        Some(marker) => issues.push(marker),
        None => issues.extend(found.into_iter().map(|Found { at, code, message }| {
            let (line, column) = lines.place(at);
            Issue { hint: wording::hint(&message), ..Issue::at(line, column, code, message) }
        })),
    }
    issues.sort();
    issues.dedup();
    (issues, looked)
}

/// What is said of a file of so many bytes if that is too much to be read at all.
pub fn too_large(bytes: u64) -> Option<Issue> {
    let message = || format!("{} MiB of Python: too large to be loaded", bytes >> 20);
    (bytes > REFUSED).then(|| Issue::of_file(Code::PythonSyntax, message()).hint(LESS))
}

/// What is said of a file of so many bytes that is read.
fn large(bytes: usize) -> Option<Issue> {
    let size = bytes as f64 / f64::from(1 << 20);
    let of = |why: &str| Issue::of_file(Code::LargeFile, format!("{size:.1} MiB of Python: {why}"));
    match bytes {
        _ if bytes > TOO_LARGE => {
            Some(of("too large to be parsed here, Airflow does it again and again").hint(LESS))
        }
        _ => (bytes > LARGE).then(|| of("Airflow parses it again and again")),
    }
}

/// An issue before its offset is a place.
struct Found {
    at: TextSize,
    code: Code,
    message: String,
}

impl Found {
    fn syntax((range, message): (TextRange, String)) -> Found {
        Found { at: range.start(), code: Code::PythonSyntax, message }
    }
}

fn parse<R>(
    decoded: &Decoded<'_>,
    minor: u8,
    look: impl FnOnce(&ast::ModModule, &str) -> R,
) -> (Vec<Found>, Option<R>) {
    let text = with_indentation_of(&decoded.text, minor);
    // A text has no more levels than bytes. If there is stack for so many, its tokens need not be read twice.
    let early = match stacker::remaining_stack() {
        Some(rest) if text.len() <= depth::DEEPEST && rest >= stack_of(&text, text.len()) => {
            tree(&text, minor).filter(|parsed| parsed.errors().is_empty())
        }
        _ => None,
    };
    if let Some(parsed) = early {
        return match depth::within_bounds(parsed.tokens()) {
            Ok(()) => judge(parsed, text, &decoded.strays, minor, look),
            Err(refusal) => (refused(&text, minor, refusal), None),
        };
    }
    let levels = match depth::measure(&text) {
        Ok(levels) => levels,
        Err(refusal) => return (refused(&text, minor, refusal), None),
    };
    on_stack(&text, levels, || {
        let mut text = Cow::Borrowed(&*text);
        let Some(mut parsed) = tree(&text, minor) else { return (Vec::new(), None) };
        for _ in 0..(LARGE / (text.len() + 1)).clamp(1, LINE_BREAKS) {
            let Some(patched) = grammar::without_line_breaks(&parsed, &text, minor) else { break };
            let Some(again) = tree(&patched, minor) else { break };
            (text, parsed) = (Cow::Owned(patched), again);
        }
        judge(parsed, text, &decoded.strays, minor, look)
    })
}

fn with_indentation_of(text: &str, minor: u8) -> Cow<'_, str> {
    let patched = match layout::begins_with_continuation(text, minor).then(|| depth::measure(text)) {
        Some(Ok(levels)) => on_stack(text, levels, || {
            tree(text, minor).and_then(|parsed| layout::continued(parsed.tokens(), text, minor))
        }),
        _ => None,
    };
    patched.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// What is wrong in a text that was parsed, and what `look` says of its tree if there is one.
fn judge<R>(
    parsed: Parsed<ast::ModModule>,
    text: Cow<'_, str>,
    stray: &[(usize, u8)],
    minor: u8,
    look: impl FnOnce(&ast::ModModule, &str) -> R,
) -> (Vec<Found>, Option<R>) {
    let text = &*text;
    let (mut found, mut whole) = strays(&parsed, stray);
    if !whole {
        return (found, None);
    }
    let tolerated = grammar::Tolerated::of(&parsed, text, minor);
    whole = parsed.errors().iter().all(|error| tolerated.has(error));
    let words = Words::of(parsed.tokens());
    found.extend(grammar_of(&parsed, text, minor, words));
    if !whole {
        return (found, None);
    }
    let semantic = walk::check(parsed.syntax(), text, minor, words);
    found.extend(semantic.into_iter().map(Found::syntax));
    let looked = look(parsed.syntax(), text);
    (found, Some(looked))
}

/// Words of a text without which some questions need not be asked.
#[derive(Debug, Clone, Copy, Default)]
struct Words {
    /// `global` or `nonlocal`.
    declares: bool,
    /// `:=`.
    extends: bool,
    /// `yield` or `match`: the only words with which the parser, from 3.10 on, takes what [`grammar`] refuses.
    peculiar: bool,
    /// The first number with one of the words behind it, and nothing between, that CPython since 3.10 does not take there.
    glued: Option<TextRange>,
}

impl Words {
    fn of(tokens: &Tokens) -> Words {
        let mut words = Words::default();
        let mut number = TextRange::default();
        for token in tokens {
            match token.kind() {
                TokenKind::Int | TokenKind::Float | TokenKind::Complex => number = token.range(),
                TokenKind::Global | TokenKind::Nonlocal => words.declares = true,
                TokenKind::ColonEqual => words.extends = true,
                TokenKind::Yield | TokenKind::Match => words.peculiar = true,
                TokenKind::As | TokenKind::From | TokenKind::Async
                    if number.end() == token.start() && !number.is_empty() =>
                {
                    words.glued = words.glued.or(Some(number));
                }
                _ => {}
            }
        }
        words
    }
}

/// Does something on a stack on which [`compile`] need not make one of its own for each file: that takes longer than most files do.
/// What is not touched of it costs nothing.
pub fn with_room<R>(work: impl FnOnce() -> R) -> R {
    let room = STACK_TO_SPARE + depth::DEEPEST * STACK_OF_A_LEVEL + 2 * STACK;
    stacker::maybe_grow(room, room, work)
}

/// Whatever is done with a tree, its drop too, has to be done in here.
fn on_stack<R>(text: &str, levels: usize, work: impl FnOnce() -> R) -> R {
    let stack = stack_of(text, levels);
    stacker::maybe_grow(stack, stack, work)
}

/// More than the levels need: should the parser, recovering from an error, nest what we did not see nested, there is room.
/// What is not touched costs nothing.
fn stack_of(text: &str, levels: usize) -> usize {
    STACK + levels * STACK_OF_A_LEVEL + (text.len() * STACK_OF_A_BYTE).min(STACK_TO_SPARE)
}

fn tree(text: &str, minor: u8) -> Option<Parsed<ast::ModModule>> {
    let options = ParseOptions::from(Mode::Module).with_target_version(PythonVersion { major: 3, minor });
    ruff_python_parser::parse_unchecked(text, options).try_into_module()
}

/// Bytes that are not UTF-8: fine in comments, at most. False when that is not so, and the rest of what is wrong means nothing.
fn strays(parsed: &Parsed<ast::ModModule>, strays: &[(usize, u8)]) -> (Vec<Found>, bool) {
    let mut comments = parsed.tokens().iter().filter(|token| token.kind() == TokenKind::Comment).peekable();
    let mut first = None;
    for (at, byte) in strays {
        let at = TextSize::try_from(*at).unwrap_or_default();
        while comments.next_if(|comment| comment.end() <= at).is_some() {}
        if comments.peek().is_none_or(|comment| comment.start() > at) {
            let message = format!("the utf-8 codec cannot decode byte 0x{byte:02x}");
            return (vec![Found { at, code: Code::PythonEncoding, message }], false);
        }
        let message = format!("byte 0x{byte:02x} in a comment is not UTF-8");
        first = first.or(Some(Found { at, code: Code::PythonCommentEncoding, message }));
    }
    (first.into_iter().collect(), true)
}

fn grammar_of(parsed: &Parsed<ast::ModModule>, text: &str, minor: u8, words: Words) -> Vec<Found> {
    let tolerated = grammar::Tolerated::of(parsed, text, minor);
    let errors = parsed.errors().iter().filter(|error| !tolerated.has(error));
    let errors = errors.map(|error| (error.range(), wording::parse(&error.error, text, error.range())));
    let unsupported = parsed.unsupported_syntax_errors().iter().filter(|error| !grammar::had(error, text));
    let unsupported = unsupported.map(|error| (error.range(), wording::unsupported(error)));
    let grammar = match words.peculiar || minor < 10 {
        true => grammar::check(parsed, text, minor),
        false => Vec::new(),
    };
    let glued = words.glued.filter(|_| minor >= 10);
    let glued = glued.map(|number| (number, "invalid decimal literal".to_owned()));
    let grammar = glued.into_iter().chain(grammar);
    let own = layout::check(parsed.tokens(), text).into_iter().take(TOLD).chain(grammar);
    errors.take(TOLD).chain(unsupported.take(TOLD)).chain(own.take(TOLD)).map(Found::syntax).collect()
}

/// What is too deep is not parsed, but what is before it is: an earlier error is the better one.
fn refused(text: &str, minor: u8, refusal: depth::Refusal) -> Vec<Found> {
    let at = depth::place(text);
    let before = &text[..text[..at].rfind(['\n', '\r']).map_or(0, |line| line + 1)];
    let mut found = Vec::new();
    if before.len() <= TOO_LARGE
        && let Ok(levels) = depth::measure(before)
    {
        on_stack(before, levels, || {
            if let Some(parsed) = tree(before, minor) {
                let end = TextSize::try_from(before.len()).unwrap_or_default();
                let words = Words::of(parsed.tokens());
                let earlier = grammar_of(&parsed, before, minor, words);
                found.extend(earlier.into_iter().filter(|found| found.at < end));
            }
        });
    }
    let at = TextSize::try_from(at).unwrap_or_default();
    found.push(Found { at, code: Code::PythonSyntax, message: refusal.to_owned() });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_looked_at_and_an_error_has_its_place() {
        let count = |source: &str| compile(source.as_bytes(), Python::DEFAULT, |tree, _| tree.body.len());
        assert_eq!(count("a = 1\nb = 2\n"), (Vec::new(), Some(2)));
        let (issues, looked) = count("a = 1\nb = = 2\n");
        assert_eq!(looked, None);
        assert_eq!((issues[0].line, issues[0].column, issues[0].code), (2, 5, Code::PythonSyntax));
    }

    #[test]
    fn the_tree_is_looked_at_also_when_the_compiler_would_refuse_it() {
        let (issues, looked) = compile(b"\xef\xbb\xbfx = 1\nreturn\n", Python::DEFAULT, |tree, text| {
            (tree.body.len(), text[tree.body[1].range()].to_owned())
        });
        assert_eq!(looked, Some((2, "return".to_owned())));
        assert_eq!((issues[0].line, issues[0].message.as_str()), (2, "'return' outside function"));
    }
}
