//! What hangs on something that nobody said: which folder has the DAGs, and how Airflow reads its ignore files.
//!
//! A walk of the wrong folder, or by the wrong rules, finds what no Airflow would find. Held back for that, a repository that works
//! would be held for ever, so it is told and holds nothing.

use gix::bstr::{BStr, ByteSlice as _};

use super::discover::Discovery;
use super::target::Assumed;
use super::{Code, Finding, Severity, Snapshot};

/// Whether it matters how ignore files are read.
pub(super) fn has_ignore_file(snapshot: &dyn Snapshot) -> bool {
    (0..snapshot.len()).any(|at| {
        let path = snapshot.entry(at).path;
        path.strip_suffix(b".airflowignore").is_some_and(|rest| rest.last().is_none_or(|last| *last == b'/'))
    })
}

/// What a walk found, with how bad that is. `other` is what it finds when ignore files are read in the other way, if that may be.
pub(super) fn of_walk(
    discovery: &Discovery,
    other: Option<&Discovery>,
    assumed: Assumed,
    snapshot: &dyn Snapshot,
) -> Vec<Finding> {
    let at_top = discovery.files.iter().any(|file| !file.path(snapshot).contains(&b'/'));
    let weigh = |finding: &Finding| {
        let code = finding.issue.code;
        let same = |it: &Finding| it.issue.code == code && it.path == finding.path;
        let is_ignored = matches!(code, Code::PathLoop | Code::NameEncoding)
            && other.is_some_and(|other| !other.findings.iter().any(same));
        let mut leads = discovery.loops.iter().filter(|(link, _)| *link == finding.path).peekable();
        let is_outside = assumed.folder
            && !at_top
            && leads.peek().is_some()
            && leads.all(|(link, real)| parts(link.as_bstr(), real.as_bstr()));
        match () {
            () if code == Code::PathLoop && is_outside => {
                doubted(finding, "`check-folder` says where the DAGs are: a walk from there may not find it")
            }
            () if is_ignored => {
                doubted(finding, "`check-airflow` says how ignore files are read: this may be ignored")
            }
            () => finding.clone(),
        }
    };
    discovery.findings.iter().map(weigh).collect()
}

fn doubted(finding: &Finding, hint: &str) -> Finding {
    Finding { issue: finding.issue.clone().hint(hint), severity: Severity::Warning, ..finding.clone() }
}

/// Whether a link in one folder of the top leads into another one: only a walk from the top comes to both.
fn parts(link: &BStr, real: &BStr) -> bool {
    let top = |path: &[u8]| path.split(|byte| *byte == b'/').next().map(<[u8]>::to_vec);
    link.contains(&b'/') && !real.is_empty() && top(link) != top(real)
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::super::discover::discover;
    use super::super::snapshot::{InMemory, Kind};
    use super::*;

    const DAG: &str = "from airflow import DAG";

    fn severities(files: &[(&str, &str)], links: &[(&str, &str)], assumed: Assumed) -> Vec<Severity> {
        let files = files.iter().map(|(path, text)| (*path, Kind::File, *text));
        let links = links.iter().map(|(path, to)| (*path, Kind::Link, *to));
        let snapshot = InMemory::new(files.chain(links));
        let target = Target::default();
        let discovery = discover(&snapshot, &target).unwrap();
        let other = discover(&snapshot, &target.with_other_ignore()).unwrap();
        let other = assumed.ignore.then_some(&other);
        of_walk(&discovery, other, assumed, &snapshot).into_iter().map(|finding| finding.severity).collect()
    }

    #[test]
    fn a_loop_that_only_a_walk_from_the_top_finds_is_doubted_while_nobody_said_where_the_dags_are() {
        let assumed = Assumed { folder: true, ..Assumed::default() };
        let files = [("dags/a.py", DAG), ("common/u.py", "x = 'airflow dag'")];
        let beside = [("dags/common", "../common")];
        assert_eq!(severities(&files, &beside, assumed), [Severity::Warning]);
        assert_eq!(severities(&files, &beside, Assumed::default()), [Severity::Fatal], "it was said");
        let at_top = [("a.py", DAG), ("dags/a.py", DAG), ("common/u.py", "")];
        assert_eq!(severities(&at_top, &beside, assumed), [Severity::Fatal], "there are DAGs at the top");
        for inside in
            [("dags/again", "."), ("dags/again", ".."), ("dags/sub/up", "../../dags"), ("again", "dags")]
        {
            assert_eq!(severities(&files, &[inside], assumed), [Severity::Fatal], "{inside:?}");
        }
    }

    #[test]
    fn a_loop_in_what_may_be_ignored_is_doubted_while_nobody_said_how_ignore_files_are_read() {
        let assumed = Assumed { ignore: true, ..Assumed::default() };
        let files = |ignore: &'static str| [("a.py", DAG), (".airflowignore", ignore), ("web/a/x.py", DAG)];
        let links = [("web/a/self", "../a")];
        assert_eq!(severities(&files("web/.*\n"), &links, assumed), [Severity::Warning]);
        assert_eq!(severities(&files("web/.*\n"), &links, Assumed::default()), [Severity::Fatal]);
        assert_eq!(severities(&files("other\n"), &links, assumed), [Severity::Fatal]);
        assert_eq!(severities(&files("web/\n"), &links, assumed), []);
    }
}
