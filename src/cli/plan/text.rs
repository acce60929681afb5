//! For people: what would come, go and change, the verdict, and the counts in the last line. Pure.

use std::fmt::Write as _;

use super::Ahead;
use super::seen::Seen;
use crate::agent::{Commit, Next};
use crate::check::difference::{Change, Kind};
use crate::check::report::Style;
use crate::check::verdict::Policy;
use crate::check::{Age, Finding, Severity, age};
use crate::log::{date, escape};

/// One source.
pub(super) fn source(ahead: &Ahead<'_>, style: Style) -> String {
    let upcoming = &ahead.upcoming;
    let mut out = String::new();
    let heading = format!("{}: {} at {}", ahead.config.name, upcoming.repo, upcoming.reference);
    let _ = writeln!(out, "{}", style.paint("1", &escape(&heading)));
    let published = upcoming.published.as_ref().map_or_else(|| "nothing yet".to_owned(), commit);
    let _ = writeln!(out, "  published  {published}\n  remote     {}", commit(&upcoming.remote));
    if let Some(seen) = &ahead.seen {
        if !seen.changes.is_empty() {
            out.push('\n');
        }
        let width = seen.changes.iter().map(|change| name(change).chars().count()).max().unwrap_or(0).min(48);
        for change in &seen.changes {
            out += &line(change, width, style);
        }
        if !seen.findings.is_empty() {
            out.push('\n');
        }
        for (found, age) in &seen.findings {
            out += &finding(found, *age, style);
        }
    }
    out.push('\n');
    out += &verdict(ahead, style);
    out
}

fn commit(commit: &Commit) -> String {
    let id = commit.id.to_string();
    match &commit.about {
        Some(about) => {
            let subject = about.subject.to_string();
            format!(
                "{}  {}  {} ({})",
                &id[..12],
                date(about.seconds),
                escape(&subject),
                escape(&about.author.to_string())
            )
        }
        None => id,
    }
}

fn name(change: &Change) -> String {
    let id = change.id.as_deref().unwrap_or("(ids that only Airflow knows)");
    match &change.from_id {
        Some(from) => escape(&format!("{from} -> {id}")).into_owned(),
        None => escape(id).into_owned(),
    }
}

fn line(change: &Change, width: usize, style: Style) -> String {
    let (sign, colour) = match change.kind {
        Kind::Added => ("+", "32"),
        Kind::Changed => ("~", "33"),
        Kind::Moved => (">", "36"),
        Kind::Renamed => ("%", "36"),
        Kind::Removed => ("-", "31"),
    };
    let path = match &change.from_path {
        Some(from) => format!("{from} -> {}", change.path),
        None => change.path.to_string(),
    };
    let mut why = Vec::new();
    if change.kind == Kind::Moved && change.is_edited {
        why.push("edited".to_owned());
    }
    if !change.imports.is_empty() {
        let names: Vec<String> = change.imports.iter().map(ToString::to_string).collect();
        why.push(format!("imports {}, which differs", names.join(", ")));
    }
    let why = if why.is_empty() { String::new() } else { format!("  ({})", escape(&why.join("; "))) };
    let sign = style.paint(colour, &format!("{sign} {:width$}", name(change)));
    format!("  {sign}  {}{why}\n", escape(&path))
}

fn finding(finding: &Finding, age: Age, style: Style) -> String {
    let mut at = finding.path.to_string();
    for number in [finding.issue.line, finding.issue.column].into_iter().take_while(|number| *number > 0) {
        let _ = write!(at, ":{number}");
    }
    let colour = if finding.severity == Severity::Warning { "1;33" } else { "1;31" };
    let severity = style.paint(colour, finding.severity.name());
    let message = escape(&finding.issue.message);
    let age = age.adjective();
    format!("  {}: {age}{severity}: {message} [{}]\n", escape(&at), finding.issue.code)
}

fn verdict(ahead: &Ahead<'_>, style: Style) -> String {
    let upcoming = &ahead.upcoming;
    let mut out = String::new();
    let answer = match &upcoming.next {
        Next::Nothing => return "nothing to do: it is published\n".to_owned(),
        Next::Again => {
            return "it is published, and would be built again with the settings as they are now\n"
                .to_owned();
        }
        Next::Publish => style.paint("1;32", "would be published"),
        Next::Hold { reason, .. } => {
            format!("{}: {}", style.paint("1;31", "would be held back"), escape(reason))
        }
    };
    if let Some(seen) = &ahead.seen
        && seen.is_blind
    {
        out += "what is published cannot be read any more: everything seems to be new\n";
    }
    if let Some(held) = &upcoming.held {
        let since = date(i64::try_from(held.at).unwrap_or_default());
        let _ = writeln!(out, "held back since {since}: {}", escape(&held.reason));
    }
    let check = &ahead.config.check;
    match (&upcoming.next, check.policy) {
        (Next::Publish, Policy::Off) => out += "with `check=off` nothing holds it back\n",
        (Next::Publish, Policy::Report) => out += "with `check=report` errors hold nothing back\n",
        _ => {}
    }
    if check.own.is_some() && upcoming.next == Next::Publish {
        out += "`check-command` is asked when it is on disk, and may refuse it\n";
    }
    if let Next::Hold { instead: Some(instead), .. } = &upcoming.next {
        let what = if *instead == upcoming.remote.id {
            "it would be published all the same: no commit before it is better".to_owned()
        } else {
            format!("nothing is published yet: {instead} would be, which is older")
        };
        let _ = writeln!(out, "{what}");
    }
    let _ = writeln!(out, "{answer}");
    if let Some(seen) = &ahead.seen {
        let _ = writeln!(out, "{}", counts(seen));
    }
    out
}

/// The last line.
fn counts(seen: &Seen) -> String {
    let count = |kind: Kind| seen.changes.iter().filter(|change| change.kind == kind).count();
    let kinds = Kind::ALL.map(|kind| format!("{} {}", count(kind), kind.name()));
    let found = age::counts(seen.findings.iter().map(|(finding, age)| (finding, *age)));
    format!("{} of {} DAGs; {found}", kinds.join(", "), seen.dags)
}
