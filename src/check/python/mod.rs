//! Whether Python can compile a file, and its syntax tree.
//!
//! The only module that knows the parser: its crates have no stable interface and are pinned to an exact version.

mod place;

use ruff_python_ast::PythonVersion;
use ruff_python_parser::{Mode, ParseOptions, Parsed};
use ruff_text_size::{Ranged, TextSize};

use super::target::Python;
use super::{Code, Issue};
use place::Lines;

pub use ruff_python_ast as ast;

/// Enough to parse, look at and drop the deepest tree that is let through.
const STACK: usize = 64 << 20;

/// Compiles, as far as CPython does without running anything, and hands the tree to `look`, on a stack that is large enough for it.
/// Without a tree (a file that cannot be decoded or parsed, or nested too deeply) `look` is not called.
pub fn compile<R>(
    source: &[u8],
    python: Python,
    look: impl FnOnce(&ast::ModModule, &str) -> R,
) -> (Vec<Issue>, Option<R>) {
    let source = source.strip_prefix(b"\xef\xbb\xbf").unwrap_or(source);
    let text = match std::str::from_utf8(source) {
        Ok(text) => text,
        Err(error) => {
            let line = source[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            let line = u32::try_from(line + 1).unwrap_or(u32::MAX);
            return (vec![Issue::at(line, 0, Code::PythonEncoding, "a byte that is not UTF-8")], None);
        }
    };
    stacker::grow(STACK, || {
        let options = ParseOptions::from(Mode::Module)
            .with_target_version(PythonVersion { major: 3, minor: python.minor });
        let parsed = ruff_python_parser::parse_unchecked(text, options).try_into_module();
        let Some(parsed) = parsed else { return (Vec::new(), None) };
        let issues = issues(&parsed, text);
        let looked = parsed.has_valid_syntax().then(|| look(parsed.syntax(), text));
        (issues, looked)
    })
}

fn issues(parsed: &Parsed<ast::ModModule>, text: &str) -> Vec<Issue> {
    let lines = Lines::of(text);
    let issue = |at: TextSize, message: String| {
        let (line, column) = lines.place(at);
        Issue::at(line, column, Code::PythonSyntax, message)
    };
    let errors = parsed.errors().iter().map(|error| issue(error.range().start(), error.error.to_string()));
    let unsupported = parsed
        .unsupported_syntax_errors()
        .iter()
        .map(|error| issue(error.range().start(), error.to_string()));
    let mut issues: Vec<Issue> = errors.chain(unsupported).collect();
    issues.sort();
    issues
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
}
