//! Which ref wins when several names are given, and which texts are refs at all. Pure functions.

/// What the Airflow chart has as the default of both its ref and its branch: it means "nobody chose".
const CHART_DEFAULT: &str = "v2-2-stable";

/// Who wins when a ref and a branch are given and differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precedence {
    /// The ref: what a user who pins one expects.
    Ref,
    /// The branch: what git-sync does (apache/airflow#42918).
    Branch,
}

/// The outcome of [`choose`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The ref to sync.
    pub reference: String,
    /// A ref and a branch were given, both chosen by somebody, and differ.
    pub conflict: bool,
}

/// The rule of the contract: `rev` first unless it is `HEAD`, then ref against branch. Empty is not set.
pub fn choose(
    reference: Option<&str>,
    branch: Option<&str>,
    rev: Option<&str>,
    precedence: Precedence,
) -> Choice {
    let set = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let sure = |reference: String| Choice { reference, conflict: false };
    if let Some(rev) = set(rev).filter(|rev| rev != "HEAD") {
        return sure(rev);
    }
    match (set(reference), set(branch)) {
        (None, None) => sure("HEAD".into()),
        (Some(only), None) | (None, Some(only)) => sure(only),
        (Some(reference), Some(branch)) if reference == branch || branch == CHART_DEFAULT => sure(reference),
        (Some(reference), Some(branch)) if reference == CHART_DEFAULT => sure(branch),
        (Some(reference), Some(_)) if precedence == Precedence::Ref => Choice { reference, conflict: true },
        (Some(_), Some(branch)) => Choice { reference: branch, conflict: true },
    }
}

/// A ref as the user may write it.
#[derive(Debug, Clone, PartialEq)]
pub enum RefSpec {
    /// `HEAD`, a branch, a tag, a full ref name or a full hash.
    Plain(String),
    /// `semver:<requirement>` or `semver:<prefix>:<requirement>`.
    Semver {
        /// What stands before the version in the tag; may be empty.
        prefix: String,
        /// The requirement.
        requirement: semver::VersionReq,
    },
    /// `tag:<glob>`.
    TagGlob(String),
}

/// Reads a ref. Also for the content of a `ref-file`. The error is a phrase such as "must not begin with `-`", in which
/// the text itself does not appear.
pub fn parse(text: &str) -> Result<RefSpec, String> {
    if text.starts_with('-') {
        // git-sync 4.7.1 runs a command for `--ref=--upload-pack=…`.
        return Err("must not begin with `-`".into());
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters".into());
    }
    if let Some(rest) = text.strip_prefix("semver:") {
        let (prefix, requirement) = rest.rsplit_once(':').unwrap_or(("", rest));
        well_formed(prefix, "")?;
        let requirement = semver::VersionReq::parse(requirement.trim())
            .map_err(|error| format!("has a version requirement that is not valid: {error}"))?;
        return Ok(RefSpec::Semver { prefix: prefix.to_owned(), requirement });
    }
    if let Some(glob) = text.strip_prefix("tag:") {
        if glob.is_empty() {
            return Err("has no pattern behind `tag:`".into());
        }
        well_formed(glob, "*?[]")?;
        if !brackets_are_closed(glob) {
            return Err("has a pattern with an open `[`".into());
        }
        return Ok(RefSpec::TagGlob(glob.to_owned()));
    }
    if text.is_empty() {
        return Err("is empty".into());
    }
    if text == "@" || text.ends_with('.') || text.ends_with('/') {
        return Err("is not a name that git allows".into());
    }
    well_formed(text, "")?;
    Ok(RefSpec::Plain(text.to_owned()))
}

/// The rules of `git check-ref-format` that hold for every part of a name; `extra` characters are allowed beside.
fn well_formed(text: &str, extra: &str) -> Result<(), String> {
    let forbidden = |c: char| " ~^:?*[\\".contains(c) && !extra.contains(c);
    if let Some(bad) = text.chars().find(|c| forbidden(*c)) {
        return Err(format!("must not contain `{bad}`"));
    }
    if text.contains("..") || text.contains("@{") || text.contains("//") || text.starts_with('/') {
        return Err("must not contain `..`, `@{` or an empty part".into());
    }
    if text.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock")) {
        return Err("must not have a part that begins with `.` or ends with `.lock`".into());
    }
    if text.len() > 1024 {
        return Err("is longer than 1024 bytes".into());
    }
    Ok(())
}

/// Whether every `[` of a glob has its `]`; a `]` right behind `[` or `[!` is a member of the set.
fn brackets_are_closed(glob: &str) -> bool {
    let mut rest = glob;
    while let Some((_, set)) = rest.split_once('[') {
        let set = set.strip_prefix(['!', '^']).unwrap_or(set);
        let members = set.strip_prefix(']').unwrap_or(set);
        match members.split_once(']') {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    /// Every combination of what each of the three names can be, against the rule written out as a table.
    #[test]
    fn which_ref_wins_is_the_contracts_rule() {
        use Precedence::{Branch, Ref};
        for rev in [None, Some(""), Some("HEAD")] {
            for (reference, branch, by_ref, by_branch, conflict) in [
                (None, None, "HEAD", "HEAD", false),
                (Some(""), Some(""), "HEAD", "HEAD", false),
                (Some("v1.2.3"), None, "v1.2.3", "v1.2.3", false),
                (Some("v1.2.3"), Some(""), "v1.2.3", "v1.2.3", false),
                (None, Some("main"), "main", "main", false),
                (Some(""), Some("main"), "main", "main", false),
                (Some("main"), Some("main"), "main", "main", false),
                (Some("v2-2-stable"), Some("main"), "main", "main", false),
                (Some("v1.2.3"), Some("v2-2-stable"), "v1.2.3", "v1.2.3", false),
                (Some("v2-2-stable"), Some("v2-2-stable"), "v2-2-stable", "v2-2-stable", false),
                (Some("v2-2-stable"), None, "v2-2-stable", "v2-2-stable", false),
                (None, Some("v2-2-stable"), "v2-2-stable", "v2-2-stable", false),
                (Some("v1.2.3"), Some("main"), "v1.2.3", "main", true),
                (Some("HEAD"), Some("main"), "HEAD", "main", true),
            ] {
                for (precedence, expected) in [(Ref, by_ref), (Branch, by_branch)] {
                    let expected = Choice { reference: expected.into(), conflict };
                    let case = (reference, branch, rev, precedence);
                    assert_eq!(choose(reference, branch, rev, precedence), expected, "{case:?}");
                }
            }
        }
    }

    #[test]
    fn a_rev_other_than_head_beats_branch_and_ref() {
        for reference in [None, Some("v1"), Some("v2-2-stable")] {
            for branch in [None, Some("main"), Some("v2-2-stable")] {
                for precedence in [Precedence::Ref, Precedence::Branch] {
                    let expected = Choice { reference: HASH.into(), conflict: false };
                    assert_eq!(choose(reference, branch, Some(HASH), precedence), expected);
                }
            }
        }
    }

    #[test]
    fn names_hashes_versions_and_patterns_are_refs() {
        let sha256 = HASH.repeat(2)[..64].to_owned();
        for plain in [
            "HEAD",
            "main",
            "feature/x-1",
            "v1.2.3",
            "refs/heads/main",
            "refs/tags/v1",
            HASH,
            &sha256,
            "a@b",
            "häß",
        ] {
            assert_eq!(parse(plain), Ok(RefSpec::Plain(plain.into())), "{plain}");
        }
        let requirement = |text| semver::VersionReq::parse(text).unwrap();
        for (text, prefix, req) in [
            ("semver:^1.4", "", "^1.4"),
            ("semver:airflow-v:>=2", "airflow-v", ">=2"),
            ("semver:>=1.0, <2", "", ">=1.0, <2"),
            ("semver:*", "", "*"),
            ("semver:dags/v:~1.2", "dags/v", "~1.2"),
        ] {
            assert_eq!(
                parse(text),
                Ok(RefSpec::Semver { prefix: prefix.into(), requirement: requirement(req) }),
                "{text}"
            );
        }
        for glob in ["release-*", "v?.[0-9]", "a/[!b]*", "[]]x"] {
            assert_eq!(parse(&format!("tag:{glob}")), Ok(RefSpec::TagGlob(glob.into())), "{glob}");
        }
    }

    #[test]
    fn what_is_no_ref_is_refused() {
        for bad in [
            "",
            "@",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "refs/heads/*",
            "a?",
            "a[",
            "a\\b",
            "a@{1}",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "a\nb",
            "a\rb",
            "a\u{1b}[0m",
            "a\0",
            "a\u{7f}",
            "semver:",
            "semver:abc",
            "semver:a b:^1",
            "semver:^1:",
            "semver:..:^1",
            "tag:",
            "tag:a b",
            "tag:[a",
            "tag:../x",
            "tag:a\nb",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse(&"a".repeat(2000)).is_err());
    }

    /// git-sync 4.7.1 runs a command for this.
    #[test]
    fn option_like_ref_is_refused() {
        for bad in ["--upload-pack=touch /tmp/x", "-x", "-", "--"] {
            assert_eq!(parse(bad), Err("must not begin with `-`".into()), "{bad}");
        }
    }
}
