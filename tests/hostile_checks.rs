//! Repositories that are made to take the time or the memory of the check: it ends within its bounds, when it is told to, and
//! claims nothing of what it has not looked at.
//!
//! Memory is measured in a process of its own, this same test program.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dagsync::check::discover::discover;
use dagsync::check::report::Report;
use dagsync::check::snapshot::{Entry, InMemory, Kind};
use dagsync::check::target::{Airflow, IgnoreSyntax};
use dagsync::check::verdict::Verdict;
use dagsync::check::{Checker, Code, Published, Revision, Settings, Severity, Snapshot, Target, Unreadable};
use support::memory::{peak_of, tell_peak};

/// Kibibytes that may be resident.
const MEMORY: u64 = 400 << 10;
/// In a debug build, on a machine that builds; what ships takes a tenth.
const PATIENCE: Duration = Duration::from_secs(120);
/// Names the world that the child looks at.
const CHILD: &str = "DAGSYNC_TEST_HOSTILE";
const IGNORE: &str = ".airflowignore";
const DAG: &str = "from airflow.sdk import DAG\nwith DAG('one'):\n    pass\n";

type Files = Vec<(String, String)>;

fn numbered(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

/// Many stars, and many names that nearly fit. All of them take minutes.
fn stars(rules: usize, names: usize) -> Files {
    let text = numbered(rules, |at| format!("{}b{at}\n", "a*".repeat(30)));
    let names = (0..names).map(|at| (format!("{}{at:05}.py", "a".repeat(195)), DAG.to_owned()));
    names.chain([(IGNORE.to_owned(), text)]).collect()
}

/// Imports with more dots than any folder is deep, in a file that is loaded, and a mistake in one that is not.
fn dots(lines: usize, parts: usize) -> Files {
    let text = DAG.to_owned() + &numbered(lines, |at| format!("import a{at}.{}c{at}\n", "b.".repeat(parts)));
    let files = [("a.py", &*text), ("m.py", "x = = 1\n"), (IGNORE, "m.py\n")];
    files.map(|(path, text)| (path.to_owned(), text.to_owned())).to_vec()
}

/// Worlds by what they are made to take, with the syntax of their ignore files and whether something is too large.
fn world(name: &str) -> (Files, IgnoreSyntax, bool) {
    let ignore = |text: String| vec![(IGNORE.to_owned(), text), ("a.py".to_owned(), DAG.to_owned())];
    let (glob, regexp) = (IgnoreSyntax::Glob, IgnoreSyntax::Regexp);
    match name {
        "regexps" => (ignore(numbered(40_000, |at| format!("(x{{50}}|y{{50}}){{10}}{at}\n"))), regexp, true),
        "regexps within" => {
            (ignore(numbered(10_000, |at| format!("(x{{50}}|y{{50}}){{10}}{at}\n"))), regexp, true)
        }
        "backtracking" => {
            (ignore(numbered(10_000, |at| format!("(?!x{at})(y{{50}}|z){{9}}\\1\n"))), regexp, true)
        }
        "plain regexps" => (ignore(numbered(9_000, |at| format!("^team/{at}/.*\\.py$\n"))), regexp, false),
        "globs" => (ignore(numbered(1_500_000, |at| format!("{at}\n"))), glob, true),
        "globs within" => (ignore(numbered(10_000, |at| format!("{at:0100}\n"))), glob, false),
        "globs in many folders" => {
            let text = |folder| numbered(5_000, |at| format!("{folder}{at:0190}\n"));
            ((0..100).map(|at| (format!("{at}/{IGNORE}"), text(at))).collect(), glob, true)
        }
        "rules from above" => {
            let deep = |at: usize| (format!("{}{IGNORE}", "d/".repeat(at)), format!("{at}\n"));
            let mut files: Files = (1..1000).map(deep).collect();
            files.push((IGNORE.to_owned(), numbered(9_000, |at| format!("{at}\n"))));
            files.extend((1..1000).map(|at| (format!("{}a/x", "d/".repeat(at)), String::new())));
            (files, glob, true)
        }
        "mistakes" => (vec![("a.py".to_owned(), "x = = 1\n".repeat(1_200_000))], glob, true),
        "mistakes within" => (vec![("a.py".to_owned(), "x = = 1\n".repeat(520_000))], glob, false),
        "mistakes many times" => {
            let file = |at| (format!("{at}.py"), format!("#{at}\n{}", "x = = 1\n".repeat(520_000)));
            ((0..4).map(file).collect(), glob, false)
        }
        "returns" => (vec![("a.py".to_owned(), "return\n".repeat(590_000))], glob, false),
        "sums" => {
            let text = format!("{DAG}T = [{}]\n", "1, ".repeat(1_900));
            (
                vec![("a.py".to_owned(), text + &numbered(19_000, |at| format!("a{at} = T + [1]\n")))],
                glob,
                false,
            )
        }
        "long names" => {
            let text = format!("{DAG}import b as a0\n");
            let name = |at| format!("a{} = a{at}.b\n", at + 1);
            (vec![("a.py".to_owned(), text + &numbered(19_000, name))], glob, false)
        }
        "dots" => {
            let mut files = dots(170, 11_000);
            let text = files[0].1.clone();
            let more = |at| (format!("b{at}.py"), text.replace("'one'", &format!("'{at}'")));
            files.extend((0..8).map(more));
            (files, glob, false)
        }
        _ => panic!("{name}"),
    }
}

const WORLDS: &[&str] = &[
    "regexps",
    "regexps within",
    "backtracking",
    "plain regexps",
    "globs",
    "globs within",
    "globs in many folders",
    "rules from above",
    "mistakes",
    "mistakes within",
    "mistakes many times",
    "returns",
    "sums",
    "long names",
    "dots",
];

fn snapshot(files: &Files) -> InMemory {
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    InMemory::files(&files)
}

fn settings(ignore: IgnoreSyntax) -> Settings {
    // Regular expressions of Python, which may look back, too.
    let target = Target::of("3.0".parse::<Airflow>().unwrap(), Target::default().python);
    Settings { target: Target { ignore, safe_mode: false, ..target }, ..Settings::default() }
}

fn check(checker: &mut Checker, files: &dyn Snapshot, over: Option<&dyn Snapshot>) -> Report {
    let show = |look: &mut dagsync::check::Looking<'_>| {
        if let Some(files) = over {
            look(files);
        }
    };
    let published = over.map(|_| Published { commit: "old", files: &show });
    checker.check(Revision { commit: "new", message: "".into(), files }, published).unwrap()
}

#[test]
fn no_repository_takes_the_memory_or_the_time_of_the_check() {
    if let Ok(name) = std::env::var(CHILD) {
        return child(&name);
    }
    for name in WORLDS {
        let test = "no_repository_takes_the_memory_or_the_time_of_the_check";
        let peak = peak_of(test, (CHILD, name), PATIENCE);
        assert!(peak < MEMORY, "{name}: {peak} KiB");
    }
}

fn child(name: &str) {
    let (files, ignore, is_large) = world(name);
    let files = snapshot(&files);
    let began = Instant::now();
    let report = check(&mut Checker::new(settings(ignore)), &files, None);
    let found = &report.findings;
    let too_much =
        |code, text: &str| found.iter().any(|it| it.issue.code == code && it.issue.message.contains(text));
    let unparsed = ["to be checked", "to be parsed"];
    let told = unparsed.iter().any(|text| too_much(Code::LargeFile, text));
    assert_eq!(told, is_large, "{:?}", found.first());
    // What was not looked at is no error.
    let wrong = found.iter().find(|finding| finding.severity > Severity::Warning);
    assert_eq!(wrong.is_some(), name.starts_with("mistakes ") || name == "returns", "{wrong:?}");
    println!("\n{:?}", began.elapsed());
    tell_peak();
}

/// A revision that nobody waits for any more once it was asked for so often.
struct Stopping {
    inner: InMemory,
    asks: AtomicUsize,
    most: usize,
}

impl Snapshot for Stopping {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        self.inner.entry(at)
    }

    fn read(&self, at: usize) -> Result<Vec<u8>, Unreadable> {
        self.inner.read(at)
    }

    fn stopped(&self) -> Result<(), Unreadable> {
        match self.asks.fetch_add(1, Ordering::Relaxed) < self.most {
            true => Ok(()),
            false => Err(Unreadable("stopped".to_owned())),
        }
    }
}

#[test]
fn a_check_that_nobody_waits_for_ends_wherever_it_is() {
    let mut files = dots(20, 50);
    files.extend(
        [(IGNORE, "m.py\n[!a]/*\n"), ("json.py", ""), ("J.py", "import json\n"), ("j.py", "")]
            .map(|(path, text)| (path.to_owned(), text.to_owned())),
    );
    let before = snapshot(&[files.clone(), vec![("gone.py".to_owned(), String::new())]].concat());
    let stopping = |most| Stopping { inner: snapshot(&files), asks: AtomicUsize::new(0), most };
    let look = |files: &Stopping| {
        let mut checker = Checker::new(settings(IgnoreSyntax::Glob));
        let before = checker.look(&before, None).unwrap();
        checker.look(files, Some(&before))
    };
    let whole = stopping(usize::MAX);
    let found = look(&whole).unwrap().found;
    let told = |code| found.iter().any(|(finding, _)| finding.issue.code == code);
    assert!([Code::PythonSyntax, Code::ShadowedModule, Code::CaseClash].into_iter().all(told), "{found:?}");
    let asks = whole.asks.into_inner();
    // Files, names of the walk, and imports, more than once each.
    assert!(asks > 100, "{asks}");
    for most in 0..asks {
        let stopping = stopping(most);
        assert_eq!(look(&stopping).err().map(|err| err.0), Some("stopped".to_owned()), "after {most}");
        assert_eq!(stopping.asks.into_inner(), most + 1, "after {most}");
    }
}

#[test]
fn many_patterns_of_one_name_are_left_soon_after_somebody_wants_it() {
    let inner = snapshot(&stars(10_000, 1));
    // Reading the patterns asks less than ten times, and the walk once for each name.
    let files = Stopping { inner, asks: AtomicUsize::new(0), most: 12 };
    let target = settings(IgnoreSyntax::Glob).target;
    let began = Instant::now();
    assert!(discover(&files, &target).is_err());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn an_ignore_file_that_is_too_much_costs_neither_an_error_nor_a_dag_of_what_it_hides() {
    let of = |ignore: &str, broken: &str| {
        InMemory::new([
            (format!("team/{IGNORE}"), Kind::File, ignore.to_owned()),
            ("team/one.py".to_owned(), Kind::File, DAG.to_owned()),
            ("team/two.py".to_owned(), Kind::File, broken.to_owned()),
            ("three.py".to_owned(), Kind::File, DAG.replace("one", "three")),
        ])
    };
    let many = numbered(10_001, |at| format!("{at}\n"));
    let long = format!("{}\n", "a".repeat(20_000));
    let large = numbered(9_000, |at| format!("{at:0200}\n"));
    for text in [&many, &long, &large] {
        let (good, bad) = (of("x\n", DAG), of(text, "import airflow, dag\nx = = 1\n"));
        let mut checker = Checker::new(settings(IgnoreSyntax::Glob));
        let report = check(&mut checker, &bad, Some(&good));
        assert_eq!((&report.verdict, report.dag_files), (&Verdict::Pass, 1));
        let large = report.findings.iter().filter(|it| it.issue.code == Code::LargeFile);
        let paths: Vec<_> = large.map(|it| it.path.to_string()).collect();
        assert_eq!(paths, [format!("team/{IGNORE}")]);
        // What comes to light when it is mended may have been so all the time.
        let mended = of("x\n", "import airflow, dag\nx = = 1\n");
        let report = check(&mut Checker::new(settings(IgnoreSyntax::Glob)), &mended, Some(&bad));
        assert_eq!(report.verdict, Verdict::Pass);
        // It is an error where somebody has looked before.
        let report = check(&mut Checker::new(settings(IgnoreSyntax::Glob)), &mended, Some(&good));
        assert!(matches!(report.verdict, Verdict::Reject { because: "error", .. }), "{:?}", report.verdict);
    }
}
