//! `dagsync check`: what the gate would say, on a laptop, before a commit, and in a merge request.

mod folder;

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, bail};
use clap::ArgMatches;
use gix::bstr::{BStr, ByteSlice as _};

use self::folder::Folder;
use super::print;
use crate::agent::Candidate;
use crate::check::report::{self, Format, Place, Style};
use crate::check::target::{Airflow, IgnoreSyntax, Python};
use crate::check::{Checker, Looking, Published, Revision, Settings, Snapshot, Target, python};
use crate::config::{Errors, Problem, Surroundings};
use crate::git::worktree::WorkTree;
use crate::path::absolute;
use crate::tree::attributes::Converter;
use crate::tree::{self, CheckoutConfig, Limits, Policy};

/// `dagsync check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckArgs {
    /// The DAGs folder. Absolute.
    pub folder: PathBuf,
    /// What errors are compared with: a folder, or a revision of the folder's repository.
    pub against: Option<String>,
    /// Everything in the folder, also what git does not track.
    pub untracked: bool,
    /// What it is checked for.
    pub target: Target,
    /// How findings are written.
    pub format: Format,
    /// Print the files that Airflow would load, and nothing else.
    pub list: bool,
    /// Whether a terminal reads the text, and shows colours.
    pub style: Style,
}

pub(super) fn args(matches: &ArgMatches, around: &Surroundings, errors: &mut Errors) -> CheckArgs {
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    fn read<T: std::str::FromStr<Err: std::fmt::Display>>(
        name: &str,
        text: Option<&str>,
        errors: &mut Errors,
    ) -> Option<T> {
        let text = text?;
        let value = text.parse().map_err(|why| {
            errors.push(Problem::new(format!("--{name}: `{}` is not a version: {why}", text.escape_debug())));
        });
        value.ok()
    }
    let airflow = read("airflow", text("airflow"), errors).unwrap_or(Airflow::NEWEST);
    let python = read("python", text("python"), errors).unwrap_or(Python::DEFAULT);
    let mut target = Target::of(airflow, python);
    match text("ignore-syntax") {
        Some("glob") => target.ignore = IgnoreSyntax::Glob,
        Some("regexp") => target.ignore = IgnoreSyntax::Regexp,
        _ => {}
    }
    target.safe_mode = !matches.get_flag("no-safe-mode");
    let plain =
        around.var("NO_COLOR").is_some_and(|value| !value.is_empty()) || around.var("TERM") == Some("dumb");
    CheckArgs {
        folder: absolute(Path::new(text("folder").unwrap_or(".")), &around.cwd),
        against: text("against").map(str::to_owned),
        untracked: matches.get_flag("untracked"),
        target,
        format: text("format").and_then(Format::named).unwrap_or(Format::Text),
        list: matches.get_flag("list"),
        style: if plain { Style::Plain } else { Style::Coloured },
    }
}

/// Checks, prints, and returns the exit code: 0 when nothing worse than a warning was found, else 1. With something to compare
/// with, errors that were there before do not count.
///
/// # Errors
/// A folder or a revision that cannot be read.
pub fn run(args: &CheckArgs) -> anyhow::Result<u8> {
    let top = std::fs::canonicalize(&args.folder)
        .with_context(|| format!("cannot look at `{}`", args.folder.display()))?;
    if !top.is_dir() {
        bail!("`{}` is not a folder", args.folder.display());
    }
    let work_tree = WorkTree::around(&top);
    let snapshot = match &work_tree {
        Some(work_tree) if !args.untracked => {
            let tracked = work_tree.tracked(&top)?;
            // A folder that git ignores is one to look at as it is.
            if tracked.is_empty() { Folder::whole(&top)? } else { Folder::tracked(&top, tracked.into_iter()) }
        }
        _ => Folder::whole(&top)?,
    };
    // Whoever takes DAGs away in a merge request sees it there.
    let settings = Settings { target: args.target, max_removed: 100, ..Settings::default() };
    let mut checker = Checker::new(settings);
    if args.list {
        return list(&mut checker, &snapshot);
    }
    let below = work_tree.as_ref().and_then(|work_tree| top.strip_prefix(work_tree.top()).ok());
    let below = below.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let revision = Revision { commit: "", message: BStr::new(""), files: &snapshot };
    // Files are checked on this thread too.
    let report = python::with_room(|| match &args.against {
        None => Ok(checker.check(revision, None)),
        Some(against) => {
            let failed = Cell::new(None);
            let files = |look: &mut Looking<'_>| {
                failed.set(against_of(against, work_tree.as_ref(), &below, look).err());
            };
            let report = checker.check(revision, Some(Published { commit: "", files: &files }));
            failed.into_inner().map_or(Ok(report), Err)
        }
    })?;
    // Paths as the host of the repository shows them, but as they were given for whoever reads text.
    let prefix = match (args.format, below.as_str()) {
        (Format::Text | Format::Json, _) | (_, "") => String::new(),
        (_, below) => format!("{below}/"),
    };
    let read = |path: &BStr| snapshot.read(snapshot.find(path)?).ok();
    let style = if std::io::stdout().is_terminal() { args.style } else { Style::Plain };
    let text = report::render(&report, args.format, &Place { prefix: &prefix, read: &read, style });
    print(text.as_bytes())?;
    let held = match args.against {
        Some(_) => report.verdict.name() == "reject",
        None => report.has_errors(),
    };
    Ok(u8::from(held))
}

/// The files that Airflow loads, one path a line.
fn list(checker: &mut Checker, snapshot: &dyn Snapshot) -> anyhow::Result<u8> {
    let looked = checker.look(snapshot, None);
    let mut lines = Vec::new();
    for file in &looked.discovery.files {
        lines.extend_from_slice(&file.path);
        lines.push(b'\n');
    }
    print(&lines)?;
    Ok(0)
}

fn against_of(
    against: &str,
    work_tree: Option<&WorkTree>,
    below: &str,
    look: &mut Looking<'_>,
) -> anyhow::Result<()> {
    let folder = Path::new(against);
    if folder.is_dir() {
        look(&Folder::whole(folder)?);
        return Ok(());
    }
    let Some(work_tree) = work_tree else {
        bail!("--against: `{against}` is no folder, and there is no git repository with such a revision");
    };
    let (_, root) = work_tree.revision(against)?;
    let objects = work_tree.objects()?;
    let never = AtomicBool::new(false);
    let listing = tree::walk(&objects, &root, &Limits::default(), &Policy::ANYTHING, &never)?;
    let converter = Converter::new(&listing, &objects, CheckoutConfig::default())?;
    look(&Candidate::new(&listing, below.as_bytes().as_bstr(), &objects, converter.as_ref(), &never));
    Ok(())
}
