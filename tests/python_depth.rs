//! A million of anything: refused or clean, in little memory and little time, and never the end of the process.
//!
//! Each text is compiled in a process of its own, this same test program, with a bound on its memory.

mod python;
mod support;

use std::time::{Duration, Instant};

use dagsync::check::python::{compile, with_room};
use dagsync::check::target::Python;
use python::Oracle;
use support::memory::{peak_of, tell_peak};

const MILLION: usize = 1_000_000;
/// Kibibytes that may be resident.
const MEMORY: u64 = 400 << 10;
/// In a debug build, on a machine that builds; a build that ships takes a tenth.
const PATIENCE: Duration = Duration::from_secs(20);
/// Names the text that the child compiles.
const CHILD: &str = "DAGSYNC_TEST_NESTED";

/// Before, what is there a million times, and after.
const TEXTS: &[(&str, &str, &str)] = &[
    ("", "(", ""),
    ("", "[", ""),
    ("", "{", ""),
    ("", "f(", ""),
    ("", ")", ""),
    ("a", ".a", ""),
    ("a", "()", ""),
    ("a", "[0]", ""),
    ("a", "+a", ""),
    ("a", "**a", ""),
    ("a", " and a", ""),
    ("a", "<a", ""),
    ("a", " if a else a", ""),
    ("", "not ", "a"),
    ("", "-", "a"),
    ("", "*", "a"),
    ("", "await ", "a"),
    ("", "yield ", "a"),
    ("", "yield from ", "a"),
    ("", "lambda: ", "a"),
    ("", "lambda a=", "1"),
    ("", "a, ", ""),
    ("", "a = ", "a"),
    ("", "a := ", "a"),
    ("", "a; ", ""),
    ("", "'a' ", ""),
    ("", "f'{a}' ", ""),
    ("", "f'{", ""),
    ("", "f\"{a:", ""),
    ("", "@a\n", "def f(): pass\n"),
    ("if a:\n pass\n", "elif a:\n pass\n", ""),
    ("", "if a: ", ""),
    ("", "match a: ", ""),
    ("", "else: ", ""),
    ("", "async ", ""),
    ("", "return ", ""),
    ("", "type a = ", ""),
    ("", "->", ""),
    ("", ".", ""),
    ("", ":", ""),
    ("", "\\\n", ""),
    ("", "\n", ""),
    ("", "(\nif a:", ""),
    ("match a:\n case 1", "|1", ": pass\n"),
    ("match a:\n case a", ".a", ": pass\n"),
    ("[a", " for a in a", "]"),
    ("[a for a in a", " if a", "]"),
    ("with a", ", a", ": pass\n"),
    ("a[", ":", "]"),
    ("", "\"", ""),
    ("", "\t", "a"),
    ("", "$", ""),
    ("def f(", "*a, ", "): pass\n"),
    ("f(", "*a, ", ")"),
    ("", "x = = 1\n", ""),
    ("", "return\n", ""),
    ("(\n", "x = = 1\n", ")"),
    ("", "match a:\n case 1: return\n", ""),
];

#[test]
fn a_million_of_anything_neither_kills_nor_stalls() {
    if let Some(at) = std::env::var(CHILD).ok().and_then(|at| at.parse::<usize>().ok()) {
        return child(TEXTS[at]);
    }
    for (at, text) in TEXTS.iter().enumerate() {
        let test = "a_million_of_anything_neither_kills_nor_stalls";
        println!("{text:?}");
        let peak = peak_of(test, (CHILD, &at.to_string()), PATIENCE);
        assert!(peak < MEMORY, "{text:?}: {peak} KiB");
    }
}

/// With room on the stack a short text is parsed before its depth is known.
#[test]
fn twelve_thousand_bytes_of_anything_are_answered_alike_with_room_and_without() {
    for (before, unit, after) in TEXTS {
        for most in [250, 11_900] {
            let text = [before, &*unit.repeat(most / unit.len()), after].concat();
            let compiled = || compile(text.as_bytes(), Python { minor: 13 }, |tree, _| tree.body.len());
            let started = Instant::now();
            let with = with_room(compiled);
            let took = started.elapsed();
            assert!(took < PATIENCE, "{took:?}: {most} bytes of {unit:?}");
            // Here a thread has two mebibytes.
            assert_eq!(with, compiled(), "{most} bytes of {unit:?}");
        }
    }
}

/// Whole texts, in which only the depth is wrong: the parser has nothing to say.
#[test]
fn what_is_nested_too_deeply_and_otherwise_well_is_refused_with_room_and_without() {
    let brackets = |levels: usize| format!("x = {}1{}\n", "[".repeat(levels), "]".repeat(levels));
    let indented = |levels: usize| {
        let mut text: String = (0..levels).map(|level| format!("{}if a:\n", " ".repeat(level))).collect();
        text += &format!("{}pass\n", " ".repeat(levels));
        text
    };
    let strings = |levels: usize| format!("{}1{}\n", "f'{".repeat(levels), "}'".repeat(levels));
    for (most, text, refusal) in [
        (200, &brackets as &dyn Fn(usize) -> String, "too many nested parentheses"),
        (99, &indented, "too many levels of indentation"),
        (149, &strings, "f-string: too many nested f-strings"),
    ] {
        for (levels, refused) in [(most, false), (most + 1, true)] {
            let text = text(levels);
            let compiled = || compile(text.as_bytes(), Python { minor: 13 }, |tree, _| tree.body.len());
            let (issues, looked) = with_room(compiled);
            assert_eq!((issues.clone(), looked), compiled(), "{levels}: {refusal}");
            let said = issues.last().map(|issue| &*issue.message);
            assert_eq!(said, refused.then_some(refusal), "{levels}: {issues:?}");
            assert_eq!(looked.is_none(), refused, "{levels}: {refusal}");
        }
    }
}

fn child((before, unit, after): (&str, &str, &str)) {
    // No more than the 10 MiB from which on a file is not read at all.
    let count = MILLION.min(((10 << 20) - 100) / unit.len());
    let text = [before, &unit.repeat(count), after].concat();
    let (issues, looked) = compile(text.as_bytes(), Python::DEFAULT, |tree, _| tree.body.len());
    for issue in &issues {
        assert!(issue.line as usize <= count * 2 + 3 && issue.column as usize <= text.len() + 1, "{issue:?}");
    }
    assert!(looked.is_some() || !issues.is_empty());
    tell_peak();
}

#[test]
fn what_cpython_still_compiles_is_not_too_deep() {
    for (before, unit, count) in [
        ("a", "+a", 9990),
        ("a", ".a", 9990),
        ("a", "()", 9990),
        ("a", "**a", 2980),
        ("a", " if a else a", 5960),
        ("a", " and a", 60_000),
        ("a", "<a", 60_000),
    ] {
        let text = format!("{before}{}\n", unit.repeat(count));
        let (issues, looked) =
            compile(text.as_bytes(), Python { minor: 13 }, |tree, _| tree.clone().body.len());
        assert_eq!((issues, looked), (Vec::new(), Some(1)), "{unit}");
    }
    for (unit, count) in [("not ", 5960), ("-", 5960), ("lambda: ", 2980)] {
        let text = format!("{}a\n", unit.repeat(count));
        let (issues, _) = compile(text.as_bytes(), Python { minor: 13 }, |_, _| ());
        assert_eq!(issues, Vec::new(), "{unit}");
    }
}

/// Before, what is there many times, and after; the first count that we refuse, of 3.8, of 3.9 to 3.11, and of 3.12 and 3.13.
type Chain = (&'static str, &'static str, &'static str, [usize; 3]);
const CHAINS: &[Chain] = &[
    ("a", "+a", "", [2999, 2999, 9999]),
    ("a", "*a", "", [2999, 2999, 9999]),
    ("a", ".a", "", [2999, 2999, 9999]),
    ("a", "()", "", [2999, 2999, 9999]),
    ("a", "[0]", "", [2999, 2999, 9999]),
    ("a", ".a(b)", "", [1500, 1500, 5000]),
    ("def f():\n return a", "+a", "", [2998, 2998, 9998]),
    ("a", "**a", "", [851, 2999, 3001]),
    ("a", " if a else a", "", [1701, 2999, 6001]),
    ("", "not ", "a", [1701, 2999, 6001]),
    ("", "lambda: ", "a", [851, 2999, 3001]),
    ("if a: pass\n", "elif a: pass\n", "", [2999, 2999, 6001]),
];
/// So many levels more than we measured: what is above the module's own.
const MARGIN: usize = 40;

#[test]
fn a_chain_is_refused_from_just_above_what_the_python_of_its_version_compiles() {
    let mut oracles = Oracle::all();
    for (before, unit, after, firsts) in CHAINS {
        for (minor, first) in (8..=13).zip([0, 1, 1, 1, 2, 2].map(|of| firsts[of])) {
            let text = |count: usize| format!("{before}{}{after}\n", unit.repeat(count));
            for (count, refused) in [(first - 1, false), (first, true)] {
                let text = text(count);
                let compiled = || compile(text.as_bytes(), Python { minor }, |_, _| ()).0;
                let issues = with_room(compiled);
                assert_eq!(issues, compiled(), "{count} times {unit:?}");
                let said = issues.iter().any(|issue| issue.message.contains("too deeply nested"));
                assert_eq!(said, refused, "3.{minor}, {count} times {unit:?}: {issues:?}");
            }
            let Some(oracle) = oracles.iter_mut().find(|oracle| oracle.hello.minor == minor) else {
                continue;
            };
            let theirs = oracle.refusal(text(first).as_bytes());
            assert!(theirs.is_some(), "3.{minor} compiles {first} times {unit:?}");
            // 3.12 goes so far from 3.12.3 on.
            if minor != 12 {
                assert_eq!(oracle.refusal(text(first - MARGIN).as_bytes()), None, "3.{minor}: {unit:?}");
            }
        }
    }
}

/// Before 3.10 a constant was made of them before anybody counted.
#[test]
fn a_chain_of_constants_is_refused_by_no_version_that_folds_it() {
    for mut oracle in Oracle::all() {
        let minor = oracle.hello.minor;
        for (first, unit) in [("1", "+1"), ("'a'", "+'a'"), ("a+1", "+1")] {
            let text = format!("{first}{}\n", unit.repeat(4000));
            let (issues, _) = compile(text.as_bytes(), Python { minor }, |_, _| ());
            let theirs = oracle.refusal(text.as_bytes());
            assert!(issues.is_empty() || theirs.is_some(), "3.{minor}: {first}: {issues:?}");
            assert!(theirs.is_none() || !issues.is_empty() || minor == 12, "3.{minor}: {first}: {theirs:?}");
        }
    }
}

#[test]
fn a_file_too_large_is_told_and_not_parsed() {
    let text = "a = 1\n".repeat((5 << 20) / 6);
    let (issues, looked) = compile(text.as_bytes(), Python::DEFAULT, |_, _| ());
    assert!(looked.is_none() && issues[0].message.contains("too large"), "{issues:?}");
    assert_eq!((issues.len(), issues[0].code.name()), (1, "large-file"));
    // Its depth is what would stop Python, or this program, and is measured without a tree.
    let text = format!("a = 1\nx = {}1\n", "lambda: ".repeat(1_000_000));
    let (issues, looked) = compile(text.as_bytes(), Python::DEFAULT, |_, _| ());
    let codes: Vec<_> = issues.iter().map(|issue| (issue.line, issue.code.name())).collect();
    assert_eq!((codes, looked), (vec![(0, "large-file"), (2, "python-syntax")], None), "{issues:?}");
    let text = "a = 1\n".repeat((11 << 20) / 6);
    let (issues, looked) = compile(text.as_bytes(), Python::DEFAULT, |_, _| ());
    assert_eq!((issues.len(), issues[0].code.name(), looked), (1, "python-syntax", None), "{issues:?}");
    let text = "# a comment of a file that is a little large\n".repeat(25_000);
    let (issues, looked) = compile(text.as_bytes(), Python::DEFAULT, |_, _| ());
    assert!(looked.is_some() && issues[0].code.name() == "large-file", "{issues:?}");
}
