//! How it looks: 80 columns, colour only where it is wanted, no movement of the cursor. Pure.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::Looks;
use super::upstream::Files;

/// Lines of one file's difference that are shown.
const MAX_LINES: usize = 4;

/// Colour, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// `no_color` and `term` are the variables of those names.
    pub(super) fn new(terminal: bool, no_color: Option<&str>, term: Option<&str>) -> Self {
        Paint { on: terminal && no_color.unwrap_or_default().is_empty() && term != Some("dumb") }
    }

    fn ink(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.ink("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.ink("2", text)
    }

    fn green(self, text: &str) -> String {
        self.ink("32", text)
    }

    fn red(self, text: &str) -> String {
        self.ink("31", text)
    }

    fn yellow(self, text: &str) -> String {
        self.ink("33", text)
    }

    fn cyan(self, text: &str) -> String {
        self.ink("36", text)
    }
}

/// What happened to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Added(String),
    Removed(String),
    Renamed(String, String),
    /// With the lines that went and came.
    Changed(String, Vec<String>, Vec<String>),
}

/// One publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) commit: String,
    pub(super) what: String,
    pub(super) took: Duration,
    pub(super) before: PathBuf,
    pub(super) after: PathBuf,
    pub(super) changes: Vec<Change>,
}

/// The whole demonstration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// From commit, or ref file, to live; without the first commit, which the agent has to be started for.
    pub(super) times: Vec<Duration>,
    pub(super) rollbacks: usize,
    pub(super) looks: Looks,
    /// The link, when the folder stays.
    pub(super) kept: Option<PathBuf>,
}

/// Where things are.
pub(super) fn welcome(paint: Paint, upstream: &Path, link: &Path, interval: Duration) -> String {
    let mut text =
        format!("\n{}\n\n", paint.bold("dagsync demo: a git repository, and a folder that follows it"));
    for (name, value) in [
        ("upstream", upstream.display().to_string()),
        ("link", link.display().to_string()),
        ("commits", format!("one every {}; Ctrl-C ends", humantime::format_duration(interval))),
    ] {
        let _ = writeln!(text, "  {}  {value}", paint.dim(&format!("{name:>8}")));
    }
    text.push('\n');
    text
}

/// The first publication, with the whole folder.
pub(super) fn first(
    paint: Paint,
    commit: &impl ToString,
    took: Duration,
    target: &Path,
    files: &Files,
) -> String {
    let mut text = headline(paint, &commit.to_string(), "the first commit");
    let _ = writeln!(
        text,
        "  live after {}   {}",
        paint.bold(&millis(took)),
        paint.green(&format!("+{}", files.len()))
    );
    let _ = writeln!(text, "  repo -> {}\n", paint.cyan(&short(target)));
    let paths: Vec<&str> = files.keys().map(String::as_str).collect();
    for line in tree(&paths) {
        let _ = writeln!(text, "    {line}");
    }
    text.push('\n');
    text
}

/// A publication.
pub(super) fn step(paint: Paint, shown: &Shown) -> String {
    let mut text = headline(paint, &shown.commit, &shown.what);
    let (added, changed, removed) = count(&shown.changes);
    let mark = |sign: char, number: usize, ink: fn(Paint, &str) -> String| {
        let text = format!("{sign}{number}");
        if number == 0 { paint.dim(&text) } else { ink(paint, &text) }
    };
    let _ = writeln!(
        text,
        "  live after {}   files {} {} {}",
        paint.bold(&millis(shown.took)),
        mark('+', added, Paint::green),
        mark('~', changed, Paint::yellow),
        mark('-', removed, Paint::red),
    );
    let _ = writeln!(
        text,
        "  repo -> {}   was {}",
        paint.cyan(&short(&shown.after)),
        paint.dim(&short(&shown.before))
    );
    for change in &shown.changes {
        match change {
            Change::Added(path) => {
                let _ = writeln!(text, "    {} {path}", paint.green("+"));
            }
            Change::Removed(path) => {
                let _ = writeln!(text, "    {} {path}", paint.red("-"));
            }
            Change::Renamed(from, to) => {
                let _ = writeln!(text, "    {} {from}", paint.red("-"));
                let _ = writeln!(text, "    {} {to}  {}", paint.green("+"), paint.dim("renamed"));
            }
            Change::Changed(path, went, came) => {
                let _ = writeln!(text, "    {} {path}", paint.yellow("~"));
                for line in went.iter().take(MAX_LINES) {
                    let _ = writeln!(text, "        {}", paint.red(&format!("- {}", line.trim())));
                }
                for line in came.iter().take(MAX_LINES) {
                    let _ = writeln!(text, "        {}", paint.green(&format!("+ {}", line.trim())));
                }
            }
        }
    }
    text.push('\n');
    text
}

/// How it went, and what to do next.
pub(super) fn goodbye(paint: Paint, summary: &Summary) -> String {
    let mut times = summary.times.clone();
    times.sort();
    let commits = times.len() - summary.rollbacks.min(times.len());
    let mut text = String::new();
    let _ = write!(text, "{}", paint.bold(&plural(commits, "commit")));
    if summary.rollbacks > 0 {
        let _ = write!(text, " and {}", paint.bold(&plural(summary.rollbacks, "rollback")));
    }
    if let (Some(median), Some(slowest)) = (times.get(times.len() / 2), times.last()) {
        let _ = write!(
            text,
            " live after {} (median), {} at most",
            paint.bold(&millis(*median)),
            millis(*slowest)
        );
    }
    let walks = usize::try_from(summary.looks.walks).unwrap_or(usize::MAX);
    let _ = writeln!(
        text,
        ".\nA reader walked the folder {}: each walk saw exactly one commit.",
        plural(walks, "time")
    );
    if let Some(link) = &summary.kept {
        let _ = writeln!(text, "\nEverything is still there: {}", link.display());
    }
    let _ = writeln!(text, "\nNext, on a repository of yours: docs/vm.md, or docs/airflow.md for the chart:");
    let _ = writeln!(text, "  dagsync --repo=https://host/org/dags.git --root=/tmp/dags --link=repo");
    text
}

fn headline(paint: Paint, commit: &str, what: &str) -> String {
    format!("{}  {}\n", paint.yellow(&commit[..commit.len().min(7)]), paint.bold(what))
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn plural(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `.worktrees/<commit>` with a commit that fits the line.
fn short(target: &Path) -> String {
    let text = target.display().to_string();
    match target.file_name().and_then(|name| name.to_str()) {
        Some(name) if name.len() > 12 => format!("{}…", &text[..text.len() - name.len() + 7]),
        _ => text,
    }
}

/// New paths, differing ones, gone ones: as the agent counts them, to which a rename is a path that goes and one that comes.
fn count(changes: &[Change]) -> (usize, usize, usize) {
    changes.iter().fold((0, 0, 0), |(added, changed, removed), change| match change {
        Change::Added(_) => (added + 1, changed, removed),
        Change::Changed(..) => (added, changed + 1, removed),
        Change::Removed(_) => (added, changed, removed + 1),
        Change::Renamed(..) => (added + 1, changed, removed + 1),
    })
}

/// The difference between two revisions, by path.
pub(super) fn compare(old: &Files, new: &Files) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut gone: Vec<(&String, &String)> = old.iter().filter(|(path, _)| !new.contains_key(*path)).collect();
    for (path, content) in new {
        match old.get(path) {
            Some(before) if before == content => {}
            Some(before) => {
                let only = |one: &str, other: &str| -> Vec<String> {
                    one.lines().filter(|line| !other.lines().any(|l| l == *line)).map(str::to_owned).collect()
                };
                changes.push(Change::Changed(path.clone(), only(before, content), only(content, before)));
            }
            None => match gone.iter().position(|(_, before)| *before == content) {
                Some(at) => changes.push(Change::Renamed(gone.remove(at).0.clone(), path.clone())),
                None => changes.push(Change::Added(path.clone())),
            },
        }
    }
    changes.extend(gone.into_iter().map(|(path, _)| Change::Removed(path.clone())));
    changes
}

/// A picture of sorted paths.
fn tree(paths: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < paths.len() {
        let (name, below) = match paths[at].split_once('/') {
            None => (paths[at].to_owned(), Vec::new()),
            Some((folder, _)) => {
                let inside = |path: &&&str| path.split_once('/').is_some_and(|(first, _)| first == folder);
                let group: Vec<&str> = paths[at..].iter().take_while(inside).copied().collect();
                let rest: Vec<&str> =
                    group.iter().filter_map(|path| path.split_once('/')).map(|p| p.1).collect();
                (format!("{folder}/"), rest)
            }
        };
        at += below.len().max(1);
        let last = at >= paths.len();
        lines.push(format!("{} {name}", if last { "└─" } else { "├─" }));
        let stem = if last { "   " } else { "│  " };
        lines.extend(tree(&below).into_iter().map(|line| format!("{stem}{line}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Paint = Paint { on: false };
    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    fn shown(old: &Files, new: &Files) -> Shown {
        Shown {
            commit: B.into(),
            what: "what happened".into(),
            took: Duration::from_micros(9_870),
            before: format!(".worktrees/{A}").into(),
            after: format!(".worktrees/{B}").into(),
            changes: compare(old, new),
        }
    }

    #[test]
    fn a_step_says_how_long_what_and_from_where_to_where() {
        let old = files(&[("a.py", "x = 1\ny = 2\n"), ("b.py", "b"), ("old/c.py", "c")]);
        let new = files(&[("a.py", "x = 3\ny = 2\n"), ("d.py", "d"), ("new/c.py", "c")]);
        assert_eq!(
            step(PLAIN, &shown(&old, &new)),
            "bbbbbbb  what happened
  live after 9.9 ms   files +2 ~1 -2
  repo -> .worktrees/bbbbbbb…   was .worktrees/aaaaaaa…
    ~ a.py
        - x = 1
        + x = 3
    + d.py
    - old/c.py
    + new/c.py  renamed
    - b.py

"
        );
    }

    #[test]
    fn colour_is_for_terminals_that_want_it_and_changes_nothing_else() {
        assert_eq!(Paint::new(true, None, Some("xterm")), Paint { on: true });
        for (terminal, no_color, term) in
            [(false, None, None), (true, Some("1"), None), (true, None, Some("dumb"))]
        {
            assert_eq!(Paint::new(terminal, no_color, term), PLAIN);
        }
        assert_eq!(Paint::new(true, Some(""), None), Paint { on: true }, "an empty NO_COLOR is none");
        let shown = shown(&files(&[("a", "1")]), &files(&[("a", "2"), ("b", "3")]));
        let coloured = step(Paint { on: true }, &shown);
        assert!(coloured.contains('\x1b'));
        let mut stripped = String::new();
        for (number, part) in coloured.split("\x1b[").enumerate() {
            stripped += if number == 0 { part } else { part.split_once('m').unwrap().1 };
        }
        assert_eq!(stripped, step(PLAIN, &shown));
    }

    #[test]
    fn a_tree_is_drawn_with_its_last_branches() {
        assert_eq!(
            tree(&["README.md", "dags/a.py", "dags/sales/b.py", "sql/c.sql"]),
            [
                "├─ README.md",
                "├─ dags/",
                "│  ├─ a.py",
                "│  └─ sales/",
                "│     └─ b.py",
                "└─ sql/",
                "   └─ c.sql",
            ]
        );
    }

    #[test]
    fn nothing_is_wider_than_80_columns() {
        let mut script = super::super::script::Script::new();
        let mut live = script.files().clone();
        let summary = Summary {
            times: vec![Duration::from_millis(345); 1_000],
            rollbacks: 123,
            looks: Looks { walks: 1_000_000_000, torn: 0 },
            kept: None,
        };
        let mut text =
            first(PLAIN, &A, Duration::from_secs(20), Path::new(&format!(".worktrees/{A}")), &live);
        text += &welcome(PLAIN, Path::new("/tmp/x"), Path::new("/tmp/y"), Duration::from_millis(1500));
        text += &goodbye(PLAIN, &summary);
        for _ in 0..40 {
            let deed = script.next();
            let what = deed.what();
            let (super::super::script::Deed::Commit { files, .. }
            | super::super::script::Deed::RollBack { files, .. }) = deed;
            text += &step(PLAIN, &Shown { what, ..shown(&live, &files) });
            live = files;
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn the_summary_counts_and_has_a_median() {
        let summary = Summary {
            times: [9, 5, 7].map(Duration::from_millis).into(),
            rollbacks: 1,
            looks: Looks { walks: 12, torn: 0 },
            kept: Some("/keep/git/repo".into()),
        };
        let text = goodbye(PLAIN, &summary);
        assert!(
            text.contains("2 commits and 1 rollback live after 7.0 ms (median), 9.0 ms at most."),
            "{text}"
        );
        assert!(text.contains("12 times") && text.contains("/keep/git/repo"), "{text}");
        let nothing = Summary { times: vec![], rollbacks: 0, looks: Looks::default(), kept: None };
        assert!(goodbye(PLAIN, &nothing).starts_with("0 commits.\n"));
    }
}
