//! `dagsync check`: what the gate would say, on a laptop, before a commit, and in a merge request.

mod remote;

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, bail};
use clap::ArgMatches;
use gix::bstr::{BStr, BString, ByteSlice as _};

pub(super) use self::remote::OPTIONS as REMOTE_OPTIONS;
pub use self::remote::Remote;
use super::{no_colour, print};
use crate::agent::{self, Folder};
use crate::check::report::{self, Format, Place, Style};
use crate::check::snapshot::Kind;
use crate::check::target::{Airflow, IgnoreSyntax, Python};
use crate::check::{Checker, Looking, Published, Revision, Settings, Snapshot, Target};
use crate::config::{Errors, Problem, Surroundings};
use crate::git::worktree::WorkTree;
use crate::log::escape;
use crate::path::absolute;
use crate::tree::{CheckoutConfig, Limits};

/// `dagsync check`.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckArgs {
    /// The DAGs folder. Absolute.
    pub folder: PathBuf,
    /// What it is called from where the command runs: empty if it is that folder, or not below it.
    pub named: BString,
    /// Another place than the folder: a revision of a remote.
    pub remote: Option<Box<Remote>>,
    /// What errors are compared with: a folder, or a revision of the repository.
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
    let folder = absolute(Path::new(text("folder").unwrap_or(".")), &around.cwd);
    let named = folder.strip_prefix(&around.cwd).map(|path| path.as_os_str().as_bytes().into());
    CheckArgs {
        named: named.unwrap_or_default(),
        folder,
        remote: remote::args(matches, around, errors).map(Box::new),
        against: text("against").map(str::to_owned),
        untracked: matches.get_flag("untracked"),
        target,
        format: text("format").and_then(Format::named).unwrap_or(Format::Text),
        list: matches.get_flag("list"),
        style: if no_colour(around) { Style::Plain } else { Style::Coloured },
    }
}

/// Checks, prints, and returns the exit code: 0 when nothing worse than a warning was found, else 1. With something to compare
/// with, errors that were there before do not count.
///
/// # Errors
/// A folder or a revision that cannot be read, a remote that cannot be reached.
pub fn run(args: &CheckArgs) -> anyhow::Result<u8> {
    if let Some(remote) = &args.remote {
        return remote::run(args, remote);
    }
    let top = std::fs::canonicalize(&args.folder)
        .with_context(|| format!("cannot look at `{}`", args.folder.display()))?;
    if !top.is_dir() {
        bail!("`{}` is not a folder", args.folder.display());
    }
    let work_tree = WorkTree::around(&top);
    // Paths are those of the repository, so that links out of the folder lead somewhere.
    let below = work_tree.as_ref().and_then(|work_tree| top.strip_prefix(work_tree.top()).ok());
    let folder: BString = below.map(|path| path.as_os_str().as_bytes().into()).unwrap_or_default();
    let folder = folder.as_bstr();
    let snapshot = match &work_tree {
        Some(work_tree) if !args.untracked => {
            let kind = |is_link| if is_link { Kind::Link } else { Kind::File };
            let tracked = work_tree.tracked()?.into_iter().map(|(path, is_link)| (path, kind(is_link)));
            let tracked = Folder::tracked(work_tree.top(), folder, tracked);
            // A folder that git ignores is one to look at as it is.
            if tracked.inside().is_empty() { Folder::alone(&top, folder)? } else { tracked }
        }
        _ => Folder::alone(&top, folder)?,
    };
    let compare = |look: &mut Looking<'_>| match &args.against {
        Some(against) => against_of(against, work_tree.as_ref(), folder, look),
        None => Ok(()),
    };
    answer(args, &snapshot, args.against.is_some().then_some(&compare))
}

/// Shows what a revision is compared with.
type Compare<'a> = dyn Fn(&mut Looking<'_>) -> anyhow::Result<()> + 'a;

/// Checks a revision's files, prints, and returns the exit code.
fn answer(args: &CheckArgs, snapshot: &dyn Snapshot, against: Option<&Compare<'_>>) -> anyhow::Result<u8> {
    // Whoever takes DAGs away in a merge request sees it there.
    let settings = Settings { target: args.target, max_removed: 100, ..Settings::default() };
    let mut checker = Checker::new(settings);
    if args.list {
        return list(&mut checker, snapshot);
    }
    let revision = Revision { commit: "", message: BStr::new(""), files: snapshot };
    let report = match against {
        None => checker.check(revision, None)?,
        Some(against) => {
            let failed = Cell::new(None);
            let files = |look: &mut Looking<'_>| failed.set(against(look).err());
            let report = checker.check(revision, Some(Published { commit: "", files: &files }))?;
            if let Some(err) = failed.into_inner() {
                return Err(err);
            }
            report
        }
    };
    // Paths as the host of the repository shows them, but as they were given for whoever reads text.
    let (seen_from, named) = match args.format {
        Format::Text if args.remote.is_none() => (snapshot.folder(), args.named.as_bstr()),
        Format::Text | Format::Json => (snapshot.folder(), BStr::new("")),
        _ => (BStr::new(""), BStr::new("")),
    };
    let read = |path: &BStr| snapshot.read(snapshot.find(path)?).ok();
    let style = if std::io::stdout().is_terminal() { args.style } else { Style::Plain };
    let text = report::render(&report, args.format, &Place { seen_from, named, read: &read, style });
    print(text.as_bytes())?;
    let held = match against {
        Some(_) => report.verdict.name() == "reject",
        None => report.has_errors(),
    };
    Ok(u8::from(held))
}

/// The files that Airflow loads, one path a line: of a name that would be more than that, the characters are escaped.
fn list(checker: &mut Checker, snapshot: &dyn Snapshot) -> anyhow::Result<u8> {
    let looked = checker.look(snapshot, None)?;
    let mut lines = Vec::new();
    for path in looked.loaded() {
        for chunk in path.utf8_chunks() {
            lines.extend_from_slice(escape(chunk.valid()).as_bytes());
            lines.extend_from_slice(chunk.invalid());
        }
        lines.push(b'\n');
    }
    print(&lines)?;
    Ok(0)
}

fn against_of(
    against: &str,
    work_tree: Option<&WorkTree>,
    folder: &BStr,
    look: &mut Looking<'_>,
) -> anyhow::Result<()> {
    let is_read = match (Path::new(against), work_tree) {
        (dir, _) if dir.is_dir() => look(&Folder::alone(dir, folder)?),
        (_, Some(work_tree)) => {
            let (_, root) = work_tree.revision(against)?;
            let (objects, never) = (work_tree.objects()?, AtomicBool::new(false));
            let (limits, checkout) = (Limits::default(), CheckoutConfig::default());
            agent::show(&objects, &root, &limits, checkout, folder, &never, look)?
        }
        (_, None) => {
            bail!("--against: `{against}` is no folder, and there is no git repository with such a revision")
        }
    };
    if !is_read {
        bail!("--against: `{against}` cannot be read");
    }
    Ok(())
}
