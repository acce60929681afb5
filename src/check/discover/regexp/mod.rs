//! Regular expressions of Airflow's ignore files: RE2's in Airflow 2, those of Python's `re` in Airflow 3.
//!
//! Rust's dialect is neither. A pattern is read as its own dialect reads it, into a tree, and refused where that refuses it; the
//! tree is written down again for the `regex` crate, whose time is linear in the text, or, with look-around and references, for
//! `fancy-regex`, whose steps are counted.

mod emit;
mod escape;
mod python;
mod re2;
mod tree;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use emit::{Form, emit};

/// Steps of one search with backtracking, about 50 ms. Python has no such bound: there, Airflow's walk would take hours.
const MOST_STEPS: usize = 1_000_000;
/// Bytes of one compiled pattern. What is larger finds nothing.
const LARGEST: usize = 1 << 20;

/// Who reads a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Dialect {
    /// The Python package `google-re2`.
    Re2,
    /// The `re` of Python 3.`n`.
    Python(u8),
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is an error of the dialect: Airflow logs it and goes on.
    Refused,
    /// Python raises something that Airflow does not expect.
    Raises(String),
}

/// A pattern that can be searched for.
#[derive(Debug)]
pub(super) struct Regexp {
    /// For all texts, or for most of them.
    plain: Option<regex::Regex>,
    /// For the others, made when the first of them comes.
    exact: OnceLock<Option<fancy_regex::Regex>>,
    exact_source: Option<String>,
    /// It took too many steps once, and would again.
    endless: AtomicBool,
}

/// Reads a pattern.
pub(super) fn compile(pattern: &str, dialect: Dialect) -> Result<Regexp, Fault> {
    let (node, flags, whose) = match dialect {
        Dialect::Re2 => (re2::parse(pattern)?, tree::Flags::default(), emit::Dialect::Re2),
        Dialect::Python(minor) => {
            let (node, flags) = python::parse(pattern, minor)?;
            (node, flags, emit::Dialect::Python)
        }
    };
    let (plain, needs) = emit(&node, flags, whose, Form::Plain);
    let plain = if needs.backtracking {
        None
    } else {
        regex::RegexBuilder::new(&plain).size_limit(LARGEST).nest_limit(1000).build().ok()
    };
    let exact = (needs.backtracking || needs.exact).then(|| emit(&node, flags, whose, Form::Exact).0);
    Ok(Regexp { plain, exact: OnceLock::new(), exact_source: exact, endless: AtomicBool::new(false) })
}

impl Regexp {
    /// Whether it is found anywhere in the text.
    pub fn finds(&self, text: &str) -> bool {
        let exact = self.exact_source.as_ref().filter(|_| {
            let is_usual = text.is_ascii() && !text.ends_with('\n');
            self.plain.is_none() || !is_usual
        });
        let Some(source) = exact else {
            return self.plain.as_ref().is_some_and(|regex| regex.is_match(text));
        };
        let exact = self.exact.get_or_init(|| {
            let mut builder = fancy_regex::RegexBuilder::new(source);
            builder.backtrack_limit(MOST_STEPS).delegate_size_limit(LARGEST).build().ok()
        });
        if self.endless.load(Ordering::Relaxed) {
            return false;
        }
        exact.as_ref().is_some_and(|regex| {
            regex.is_match(text).unwrap_or_else(|_| {
                self.endless.store(true, Ordering::Relaxed);
                false
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(pattern: &str) -> Result<Regexp, Fault> {
        compile(pattern, Dialect::Python(12))
    }

    #[test]
    fn python_finds_what_rust_alone_would_not() {
        for (pattern, yes, no) in [
            ("a$", "a\n", "a\n\n"),
            (r"a\Z", "a", "a\n"),
            (r"(a)\1", "aa", "a"),
            (r"(?P<x>a|b)-(?P=x)", "a-a", "a-b"),
            (r"(?<!x)a", "ba", "xa"),
            (r"a(?=b)", "ab", "ac"),
            (r"(?i)I", "\u{131}", "j"),
            (r"(?ai)k", "K", "\u{212a}"),
            (r"\d", "\u{663}", "x"),
            (r"(?a)\d", "3", "\u{663}"),
            (r"^\w$", "\u{b2}", "\u{301}"),
            (r"\bé\b", "a é b", "aé"),
            (r"a{,2}b", "aab", "c"),
            (r"x{,a", "x{,a", "x"),
            (r"[[]", "[", "]"),
            (r"[a&&b]", "&", "c"),
            (r"\101", "A", "B"),
            (r"(a)?(?(1)b|c)$", "ab", "aa"),
            (r"(?>a*)ab|c", "c", "aab"),
            (r"a++b", "aab", "c"),
            (r"\udcff", "\u{10dcff}", "\u{ff}"),
            (r"(?x) a b", "ab", "a b"),
            (r"(?<!a)?x", "ax", "a"),
            (r"(?<!a)+?x", "bx", "ax"),
            (r"(?:(?=a)|^)*x", "x", "a"),
        ] {
            let regexp = python(pattern).unwrap_or_else(|fault| panic!("{pattern}: {fault:?}"));
            assert!(regexp.finds(yes), "{pattern} in {yes:?}");
            assert!(!regexp.finds(no), "{pattern} in {no:?}");
        }
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for pattern in [
            "*",
            "a**",
            "(",
            ")",
            "[",
            "a\\",
            "[z-a]",
            "a{2,1}",
            "(?<=a*)b",
            r"\1",
            r"(a\1)",
            "(?P<a>)(?P<a>)",
            r"\y",
            "(?L)a",
            "a(?i)b",
            "^*",
            r"\b+",
            "(?P=x)",
            "(?<x>a)",
            "(?(2)a)",
            "(?au)a",
            r"[\d-z]",
            r"\z",
        ] {
            assert_eq!(python(pattern).err(), Some(Fault::Refused), "{pattern}");
        }
        for pattern in ["a{4294967295}", "(?a)(?u)a"] {
            assert!(matches!(python(pattern), Err(Fault::Raises(_))), "{pattern}");
        }
        for (pattern, minor) in [("a(?i)b", 10), (r"a\z", 14), ("a++", 11)] {
            assert!(compile(pattern, Dialect::Python(minor)).is_ok(), "{pattern}");
        }
        assert!(compile("a++", Dialect::Python(10)).is_err());
    }

    #[test]
    fn re2_refuses_what_needs_backtracking_and_knows_ascii_only() {
        for pattern in [r"(a)\1", "(?=a)", "a**", r"\Z", "a{1001}", "(a{100}){100}", r"\_", "(?P=x)", r"\1"] {
            assert_eq!(compile(pattern, Dialect::Re2).err(), Some(Fault::Refused), "{pattern}");
        }
        for (pattern, yes, no) in [
            (r"\d", "1", "\u{663}"),
            ("a$", "a", "a\n"),
            (r"\Qa.b\E", "a.b", "axb"),
            ("a(?i)b|c", "aB", "Ab"),
            ("[[:alpha:]]+$", "ab", "a1"),
            (r"\pL", "é", "1"),
            (r"a\b", "aé", "ab"),
        ] {
            let regexp = compile(pattern, Dialect::Re2).unwrap();
            assert!(regexp.finds(yes) && !regexp.finds(no), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_would_take_python_for_ever_is_given_up() {
        let regexp = python(r"(a*)*\1b").unwrap();
        let began = std::time::Instant::now();
        for _ in 0..1000 {
            assert!(!regexp.finds(&"a".repeat(60)));
        }
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
