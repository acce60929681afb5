//! The parser's errors in the words that people know from CPython.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{
    InterpolatedStringErrorType, LexicalErrorType, ParseErrorType, UnsupportedSyntaxError,
};
use ruff_text_size::TextRange;

/// A syntax error.
pub(super) fn parse(error: &ParseErrorType, text: &str, range: TextRange) -> String {
    let words = match error {
        ParseErrorType::ExpectedToken { expected: TokenKind::Colon, .. } => "expected ':'",
        ParseErrorType::ExpectedToken { expected: TokenKind::Indent, .. } => "expected an indented block",
        ParseErrorType::UnexpectedIndentation => "unexpected indent",
        ParseErrorType::ExpectedExpression | ParseErrorType::SimpleStatementsOnSameLine => "invalid syntax",
        ParseErrorType::PositionalAfterKeywordArgument => "positional argument follows keyword argument",
        ParseErrorType::PositionalAfterKeywordUnpacking => {
            "positional argument follows keyword argument unpacking"
        }
        ParseErrorType::InvalidArgumentUnpackingOrder => {
            "iterable argument unpacking follows keyword argument unpacking"
        }
        ParseErrorType::UnparenthesizedGeneratorExpression => "generator expression must be parenthesized",
        ParseErrorType::NonDefaultParamAfterDefaultParam => {
            "parameter without a default follows parameter with a default"
        }
        ParseErrorType::ExpectedKeywordParam => "named arguments must follow bare *",
        ParseErrorType::Lexical(LexicalErrorType::UnclosedStringError) => "unterminated string literal",
        ParseErrorType::Lexical(LexicalErrorType::LineContinuationError) => {
            "unexpected character after line continuation character"
        }
        ParseErrorType::Lexical(LexicalErrorType::Eof) => "unexpected EOF while parsing",
        ParseErrorType::FStringError(InterpolatedStringErrorType::UnterminatedTripleQuotedString) => {
            "unterminated triple-quoted f-string literal"
        }
        ParseErrorType::Lexical(LexicalErrorType::UnrecognizedToken { tok }) => {
            return if tok.is_ascii() {
                "invalid syntax".to_owned()
            } else {
                format!("invalid character '{tok}' (U+{:04X})", u32::from(*tok))
            };
        }
        ParseErrorType::InvalidAssignmentTarget => {
            return match text.get(range.start().to_usize()..range.end().to_usize()) {
                Some(target) if target.len() < 40 && !target.contains('\n') => {
                    format!("cannot assign to `{target}`")
                }
                _ => "cannot assign to that".to_owned(),
            };
        }
        other => return lowered(&other.to_string()),
    };
    words.to_owned()
}

/// Syntax of another version.
pub(super) fn unsupported(error: &UnsupportedSyntaxError) -> String {
    lowered(&error.to_string())
}

/// What to do, where that is plain from a message.
pub(super) fn hint(message: &str) -> Option<String> {
    let since = message
        .split_once("(syntax was added in ")
        .or(message.split_once("(relaxed decorator syntax was added in "));
    since.map(|(_, version)| {
        let version = version.trim_end_matches(')');
        format!(
            "it needs {version}: write it differently, or check for the Python that runs it with `--python`"
        )
    })
}

fn lowered(message: &str) -> String {
    let mut chars = message.chars();
    match chars.next() {
        Some(first) if !chars.as_str().starts_with(|next: char| next.is_uppercase()) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_of_a_later_python_says_which() {
        let hint =
            hint("cannot use `match` statement on Python 3.9 (syntax was added in Python 3.10)").unwrap();
        assert!(hint.starts_with("it needs Python 3.10:"), "{hint}");
        assert_eq!(lowered("Expected a pattern"), "expected a pattern");
        assert_eq!(lowered("IPython"), "IPython");
    }
}
