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

/// Steps of a search with backtracking. Nearly all take less than the first; Python has no bound: there, Airflow's walk would take
/// hours. The last is about 50 ms.
const STEPS: [usize; 3] = [200, 20_000, 1_000_000];
/// Bytes of one compiled pattern. What is larger finds nothing.
const LARGEST: usize = 1 << 20;
/// Nobody says how large a compiled pattern is, only whether it is larger than something: it takes about the least of these.
const SIZES: [usize; 9] =
    [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, LARGEST];
/// What a step of backtracking costs, in those of the walk.
const OF_A_STEP: u64 = 25;

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
    /// For the others, one for each number of steps, made when the first text needs it.
    exact: [OnceLock<Option<fancy_regex::Regex>>; STEPS.len()],
    exact_source: Option<String>,
    /// The one of [`SIZES`] that it keeps.
    bound: usize,
    /// How many times that it takes.
    times: usize,
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
    let compiled = |bound| {
        regex::RegexBuilder::new(&plain)
            .size_limit(bound)
            .dfa_size_limit(bound.max(CACHE))
            .nest_limit(1000)
            .build()
    };
    let mut plain = None;
    let mut bound = SIZES[0];
    if !needs.backtracking {
        for size in SIZES {
            bound = size;
            match compiled(size) {
                Ok(regex) => plain = Some(regex),
                Err(regex::Error::CompiledTooBig(_)) => continue,
                Err(_) => {}
            }
            break;
        }
    }
    let is_exact = needs.backtracking || (needs.exact && plain.is_some());
    let exact = is_exact.then(|| emit(&node, flags, whose, Form::Exact).0);
    let mut regexp = Regexp {
        plain,
        exact: Default::default(),
        times: 1 + usize::from(is_exact),
        exact_source: exact,
        bound,
        endless: AtomicBool::new(false),
    };
    if needs.backtracking {
        regexp.measure();
    }
    Ok(regexp)
}

/// What searches may leave behind in a pattern, for the next ones. With less, the smallest take a slower way.
const CACHE: usize = 16 << 10;

impl Regexp {
    /// Finds the bound that one with backtracking keeps. It is made of parts, each of which keeps it.
    fn measure(&mut self) {
        let Some(source) = &self.exact_source else { return };
        let parts = source.bytes().filter(|byte| matches!(byte, b'(' | b'\\' | b'|')).count();
        let mut fits = None;
        for size in SIZES {
            self.bound = size;
            fits = exact(source, STEPS[0], size);
            if fits.is_some() {
                break;
            }
        }
        self.times = 1 + parts;
        self.exact[0] = OnceLock::from(fits);
    }

    /// Bytes that it takes, at most.
    pub fn size(&self) -> usize {
        self.bound * self.times
    }

    /// Whether it is found anywhere in the text. Adds what that took to `work`.
    pub fn finds(&self, text: &str, work: &mut u64) -> bool {
        // Where a search has no room for the way it likes best, it looks at more of the pattern for each character.
        let looks = text.len() * (1 + self.bound / 1024);
        *work += (32 + looks) as u64;
        let source = self.exact_source.as_ref().filter(|_| {
            let is_usual = text.is_ascii() && !text.ends_with('\n');
            self.plain.is_none() || !is_usual
        });
        let Some(source) = source else {
            return self.plain.as_ref().is_some_and(|regex| regex.is_match(text));
        };
        if self.endless.load(Ordering::Relaxed) {
            return false;
        }
        for (steps, known) in STEPS.into_iter().zip(&self.exact) {
            *work += steps as u64 * OF_A_STEP;
            // Nearly always it keeps the bound of the other one.
            let sizes = || SIZES.into_iter().filter(|size| *size >= self.bound);
            let made = || sizes().find_map(|size| exact(source, steps, size));
            let Some(regex) = known.get_or_init(made) else { return false };
            if let Ok(found) = regex.is_match(text) {
                return found;
            }
        }
        self.endless.store(true, Ordering::Relaxed);
        false
    }
}

fn exact(source: &str, steps: usize, size: usize) -> Option<fancy_regex::Regex> {
    let mut builder = fancy_regex::RegexBuilder::new(source);
    builder.backtrack_limit(steps).delegate_size_limit(size).delegate_dfa_size_limit(size.max(CACHE));
    builder.build().ok()
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
            assert!(regexp.finds(yes, &mut 0), "{pattern} in {yes:?}");
            assert!(!regexp.finds(no, &mut 0), "{pattern} in {no:?}");
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
            assert!(regexp.finds(yes, &mut 0) && !regexp.finds(no, &mut 0), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_would_take_python_for_ever_is_given_up() {
        let regexp = python(r"(a*)*\1b").unwrap();
        let began = std::time::Instant::now();
        for _ in 0..1000 {
            assert!(!regexp.finds(&"a".repeat(60), &mut 0));
        }
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
