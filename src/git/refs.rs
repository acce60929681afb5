//! Which ref: from what people write to one commit of a remote's list. Pure.
//!
//! A name is a branch first, then a tag, then what git itself tries; git prefers the tag, but a team that pins `main` means the branch,
//! and a tag pushed by mistake must not take production over. The clash is reported.

use std::cmp::Ordering;

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice as _};
use semver::{Version, VersionReq};

use super::remote::RemoteRef;

/// How many look-alikes an error names.
const SIMILAR: usize = 3;

/// A ref as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The remote's `HEAD`.
    Head,
    /// A branch or tag by its short name, or `heads/…`, `tags/…`.
    Name(String),
    /// `refs/…`.
    Full(String),
    /// A commit or an annotated tag by its full id.
    Id(ObjectId),
    /// `semver:[prefix:]requirement`: the highest version among the tags.
    Semver {
        /// What comes before the version; without it, a `v` is allowed.
        prefix: Option<String>,
        /// Which versions.
        requirement: VersionReq,
    },
    /// `tag:pattern`: the newest tag that matches a glob.
    Tags {
        /// With `*`, `?` and `[…]`.
        pattern: String,
    },
}

/// What a remote's list says about a wanted ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Found(Found),
    /// A branch without a commit.
    Unborn(BString),
    /// Nothing of that name.
    Missing,
    /// Several tags of the same version: the newest one wins, and only their objects know.
    Tie(Vec<Found>),
}

/// A ref that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its full name, or the id for a ref that is an id.
    pub name: String,
    /// What to fetch: the annotated tag if there is one, else the commit.
    pub fetch: ObjectId,
    /// The commit, if the list already says so.
    pub commit: Option<ObjectId>,
    /// For a branch: there is a tag of that name too.
    pub shadows_tag: bool,
}

/// Why a text is no ref.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Wanted {
    /// Reads a ref. The error does not repeat the text: it may be a token pasted into the wrong place.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: String| Err(Invalid(why));
        if text.is_empty() || text == "HEAD" || text == "@" {
            return Ok(Wanted::Head);
        }
        if text.starts_with('-') {
            return invalid("a ref must not begin with `-`".into());
        }
        if let Some(rest) = text.strip_prefix("semver:") {
            // A requirement has no colon, a tag's name neither; so the last one parts them.
            let (prefix, requirement) = match rest.rsplit_once(':') {
                Some((prefix, requirement)) => (Some(prefix), requirement),
                None => (None, rest),
            };
            let requirement = VersionReq::parse(requirement.trim())
                .map_err(|err| Invalid(format!("not a version requirement: {err}")))?;
            if prefix.is_some_and(|prefix| prefix.starts_with('-') || !is_ref_part(prefix)) {
                return invalid("the prefix before the requirement cannot begin a tag's name".into());
            }
            return Ok(Wanted::Semver { prefix: prefix.map(str::to_owned), requirement });
        }
        if let Some(pattern) = text.strip_prefix("tag:") {
            let literal: String = pattern.chars().filter(|c| !"*?[]!^".contains(*c)).collect();
            if pattern.is_empty() || pattern.starts_with('-') || !is_ref_part(&literal) {
                return invalid("not a pattern for tags".into());
            }
            return Ok(Wanted::Tags { pattern: pattern.to_owned() });
        }
        if matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return match ObjectId::from_hex(text.to_ascii_lowercase().as_bytes()) {
                Ok(id) => Ok(Wanted::Id(id)),
                Err(_) => invalid("not an object id".into()),
            };
        }
        if gix::validate::reference::name_partial(text.into()).is_err() {
            return invalid("not a valid name of a ref".into());
        }
        Ok(match text.strip_prefix("refs/") {
            Some(_) => Wanted::Full(text.to_owned()),
            None => Wanted::Name(text.to_owned()),
        })
    }

    /// What to ask the remote for. Empty for an id: there is nothing to ask.
    pub fn prefixes(&self) -> Vec<BString> {
        match self {
            Wanted::Head => vec!["HEAD".into()],
            Wanted::Name(name) => self.candidates(name).into_iter().map(BString::from).collect(),
            Wanted::Full(name) => vec![name.as_str().into()],
            Wanted::Id(_) => Vec::new(),
            Wanted::Semver { prefix, .. } => {
                vec![format!("refs/tags/{}", prefix.as_deref().unwrap_or("")).into()]
            }
            Wanted::Tags { pattern } => vec![format!("refs/tags/{}", literal_prefix(pattern)).into()],
        }
    }

    /// The full names a short one may stand for, best first.
    fn candidates(&self, name: &str) -> Vec<String> {
        vec![format!("refs/heads/{name}"), format!("refs/tags/{name}"), format!("refs/{name}")]
    }

    /// Finds it in what the remote lists.
    pub fn choose(&self, refs: &[RemoteRef]) -> Choice {
        match self {
            Wanted::Head => exactly(refs, "HEAD").map_or(Choice::Missing, |found| found),
            Wanted::Full(name) => exactly(refs, name).map_or(Choice::Missing, |found| found),
            Wanted::Id(id) => {
                Choice::Found(Found { name: id.to_string(), fetch: *id, commit: None, shadows_tag: false })
            }
            Wanted::Name(name) => {
                let found: Vec<_> = self.candidates(name).iter().map(|full| exactly(refs, full)).collect();
                let clash = found[0].is_some() && found[1].is_some();
                match found.into_iter().flatten().next() {
                    Some(Choice::Found(found)) => Choice::Found(Found { shadows_tag: clash, ..found }),
                    Some(other) => other,
                    None => Choice::Missing,
                }
            }
            Wanted::Semver { prefix, requirement } => {
                let best = tags(refs)
                    .filter_map(|(name, tag)| Some((version(name, prefix.as_deref())?, name, tag)))
                    .filter(|(version, ..)| requirement.matches(version))
                    // Two spellings of one version (`1.2` and `v1.2.0`): any rule will do that always says the same.
                    .max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(a.1)));
                best.and_then(|(.., tag)| found(tag)).map_or(Choice::Missing, Choice::Found)
            }
            Wanted::Tags { pattern } => newest(refs, pattern),
        }
    }

    /// The name for people: what it could have been.
    pub fn shown(&self) -> String {
        match self {
            Wanted::Head => "`HEAD`".into(),
            Wanted::Name(name) => format!("branch or tag `{name}`"),
            Wanted::Full(name) => format!("ref `{name}`"),
            Wanted::Id(id) => format!("commit `{id}`"),
            Wanted::Semver { prefix: None, requirement } => format!("tag with a version `{requirement}`"),
            Wanted::Semver { prefix: Some(prefix), requirement } => {
                format!("tag `{prefix}…` with a version `{requirement}`")
            }
            Wanted::Tags { pattern } => format!("tag `{pattern}`"),
        }
    }

    /// Refs that look like the one that is missing, best first.
    pub fn similar(&self, refs: &[RemoteRef]) -> Vec<String> {
        let text = match self {
            Wanted::Head | Wanted::Id(_) => return Vec::new(),
            Wanted::Name(name) | Wanted::Full(name) => name.as_str(),
            Wanted::Semver { prefix, .. } => prefix.as_deref().unwrap_or("v"),
            Wanted::Tags { pattern } => literal_prefix(pattern),
        };
        let only_tags = matches!(self, Wanted::Semver { .. } | Wanted::Tags { .. });
        let mut scored: Vec<(f64, String)> = refs
            .iter()
            .filter_map(|found| {
                let full = found.name.to_str().ok()?;
                let short = full.strip_prefix("refs/heads/").filter(|_| !only_tags);
                let short = short.or_else(|| full.strip_prefix("refs/tags/"))?;
                let name = if matches!(self, Wanted::Full(_)) { full } else { short };
                let score = strsim::jaro_winkler(&text.to_lowercase(), &name.to_lowercase());
                (score > 0.7).then(|| (score, name.to_owned()))
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(&a.1)));
        scored.dedup_by(|a, b| a.1 == b.1);
        scored.into_iter().take(SIMILAR).map(|(_, name)| name).collect()
    }
}

/// Whether a tag's name could hold it.
fn is_ref_part(text: &str) -> bool {
    gix::validate::reference::name(format!("refs/tags/x{text}x").as_str().into()).is_ok()
}

fn literal_prefix(pattern: &str) -> &str {
    &pattern[..pattern.find(['*', '?', '[', '\\']).unwrap_or(pattern.len())]
}

fn exactly(refs: &[RemoteRef], name: &str) -> Option<Choice> {
    let remote = refs.iter().find(|found| found.name == name)?;
    Some(match found(remote) {
        Some(found) => Choice::Found(found),
        None => Choice::Unborn(remote.target.clone().unwrap_or_else(|| remote.name.clone())),
    })
}

fn found(remote: &RemoteRef) -> Option<Found> {
    let commit = remote.id?;
    // `HEAD` is shown as the branch it leads to.
    let name = remote.target.as_ref().unwrap_or(&remote.name);
    Some(Found {
        name: name.to_str_lossy().into_owned(),
        fetch: remote.tag.unwrap_or(commit),
        commit: Some(commit),
        shadows_tag: false,
    })
}

fn tags(refs: &[RemoteRef]) -> impl Iterator<Item = (&str, &RemoteRef)> {
    refs.iter().filter_map(|tag| Some((tag.name.to_str().ok()?.strip_prefix("refs/tags/")?, tag)))
}

/// The version in a tag's name: `1.2.3`, also `v1.2.3` without a prefix, and with missing parts taken as zero.
fn version(name: &str, prefix: Option<&str>) -> Option<Version> {
    let text = match prefix {
        Some(prefix) => name.strip_prefix(prefix)?,
        None => name.strip_prefix(['v', 'V']).unwrap_or(name),
    };
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let zeros = match numbers.split('.').count() {
        1 => ".0.0",
        2 => ".0",
        _ => return None,
    };
    Version::parse(&format!("{numbers}{zeros}{rest}")).ok()
}

fn newest(refs: &[RemoteRef], pattern: &str) -> Choice {
    let prefix = literal_prefix(pattern).len();
    let matches = |name: &str| {
        // `*` also crosses a slash, as in `git tag --list`.
        gix::glob::wildmatch(pattern.into(), name.into(), gix::glob::wildmatch::Mode::empty())
    };
    let mut best: Vec<(Order, &RemoteRef)> = Vec::new();
    for (name, tag) in tags(refs).filter(|(name, _)| matches(name)) {
        let order = Order::of(&name[prefix.min(name.len())..]);
        match best.first().map(|(highest, _)| order.cmp(highest)) {
            None | Some(Ordering::Equal) => best.push((order, tag)),
            Some(Ordering::Greater) => best = vec![(order, tag)],
            Some(Ordering::Less) => {}
        }
    }
    let mut found: Vec<Found> = best.into_iter().filter_map(|(_, tag)| found(tag)).collect();
    match found.len() {
        0 => Choice::Missing,
        1 => Choice::Found(found.remove(0)),
        _ => Choice::Tie(found),
    }
}

/// Where a name stands in version order: the numbers it begins with, a release above its pre-releases. What follows
/// (a commit's id, a word) says nothing about age; a name without numbers is older than any with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    numbers: Vec<u64>,
    release: bool,
    stage: String,
    stage_number: u64,
}

impl Order {
    fn of(text: &str) -> Self {
        let mut rest = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let mut numbers = Vec::new();
        while let Some(number) = take_number(&mut rest) {
            numbers.push(number);
            match rest.strip_prefix(['.', '_', '-']) {
                Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
                _ => break,
            }
        }
        // `1.0` and `1.0.0` are one version.
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        let rest = rest.trim_start_matches(['.', '_', '-', '~']).to_ascii_lowercase();
        let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        let known = ["a", "alpha", "b", "beta", "c", "rc", "dev", "pre", "preview", "snapshot"];
        if !known.contains(&word.as_str()) {
            return Order { numbers, release: true, stage: String::new(), stage_number: 0 };
        }
        let mut after = rest[word.len()..].trim_start_matches(['.', '_', '-']);
        Order { numbers, release: false, stage: word, stage_number: take_number(&mut after).unwrap_or(0) }
    }
}

fn take_number(text: &mut &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    // Longer than any version or date: somebody's id, of which we know no order.
    let number = digits.parse().ok()?;
    *text = rest;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes_or_panic(&[n; 20])
    }

    fn list(names: &[&str]) -> Vec<RemoteRef> {
        let make = |(n, name): (usize, &&str)| RemoteRef {
            name: BString::from(*name),
            id: Some(id(n as u8)),
            tag: None,
            target: None,
        };
        names.iter().enumerate().map(make).collect()
    }

    fn chosen(wanted: &str, names: &[&str]) -> Option<String> {
        match Wanted::parse(wanted).unwrap().choose(&list(names)) {
            Choice::Found(found) => Some(found.name),
            Choice::Missing => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn option_like_ref_is_refused() {
        for bad in ["--upload-pack=touch /tmp/x", "-x", "-"] {
            assert!(Wanted::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_git_would_not_call_a_ref_is_refused() {
        for bad in [
            "a..b",
            "a b",
            "a\nb",
            "a~1",
            "a^",
            "a:b",
            "a.lock",
            "/a",
            "a/",
            "a//b",
            "semver:",
            "semver:x.y",
            "tag:",
        ] {
            assert!(Wanted::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_ids_and_patterns_are_told_apart() {
        assert_eq!(Wanted::parse(""), Ok(Wanted::Head));
        assert_eq!(Wanted::parse("HEAD"), Ok(Wanted::Head));
        assert_eq!(Wanted::parse("main"), Ok(Wanted::Name("main".into())));
        assert_eq!(Wanted::parse("refs/pull/7/head"), Ok(Wanted::Full("refs/pull/7/head".into())));
        assert!(matches!(Wanted::parse(&"aB".repeat(20)), Ok(Wanted::Id(_))));
        assert!(matches!(Wanted::parse(&"ab".repeat(32)), Ok(Wanted::Id(_))));
        assert!(
            matches!(Wanted::parse(&"ab".repeat(19)), Ok(Wanted::Name(_))),
            "an abbreviated id is a name"
        );
    }

    #[test]
    fn a_prefix_is_not_the_ref() {
        assert_eq!(chosen("b7", &["refs/heads/b77", "refs/heads/b7/x"]), None);
        assert_eq!(chosen("b7", &["refs/heads/b77", "refs/heads/b7"]).unwrap(), "refs/heads/b7");
    }

    #[test]
    fn a_branch_wins_over_a_tag_of_its_name_and_says_so() {
        let refs = list(&["refs/tags/v1", "refs/heads/v1"]);
        match Wanted::parse("v1").unwrap().choose(&refs) {
            Choice::Found(found) => assert!(found.shadows_tag && found.name == "refs/heads/v1"),
            other => panic!("{other:?}"),
        }
        assert_eq!(chosen("tags/v1", &["refs/tags/v1", "refs/heads/v1"]).unwrap(), "refs/tags/v1");
    }

    #[test]
    fn semver_takes_the_highest_version_not_the_last_name() {
        let tags = [
            "refs/tags/v1.4.9",
            "refs/tags/v1.10.0",
            "refs/tags/v2.0.0",
            "refs/tags/v1.11.0-rc.1",
            "refs/tags/x",
        ];
        assert_eq!(chosen("semver:^1.4", &tags).unwrap(), "refs/tags/v1.10.0");
        assert_eq!(chosen("semver:*", &tags).unwrap(), "refs/tags/v2.0.0");
        assert_eq!(chosen("semver:>=1.11.0-rc.0, <2", &tags).unwrap(), "refs/tags/v1.11.0-rc.1");
        assert_eq!(chosen("semver:^3", &tags), None);
        assert_eq!(chosen("semver:^1", &["refs/heads/v1.0.0"]), None, "branches are no releases");
    }

    #[test]
    fn semver_with_a_prefix_looks_at_those_tags_only() {
        let tags = ["refs/tags/airflow-v2.1.0", "refs/tags/airflow-v2.10", "refs/tags/v9.0.0"];
        assert_eq!(chosen("semver:airflow-v:>=2", &tags).unwrap(), "refs/tags/airflow-v2.10");
        assert_eq!(Wanted::parse("semver:airflow-v:>=2").unwrap().prefixes(), vec!["refs/tags/airflow-v"]);
    }

    #[test]
    fn tag_patterns_go_by_version_order() {
        let tags =
            ["refs/tags/release-9", "refs/tags/release-10", "refs/tags/release-10-rc2", "refs/tags/other-11"];
        assert_eq!(chosen("tag:release-*", &tags).unwrap(), "refs/tags/release-10");
        let dates = ["refs/tags/prod-2024.9.30", "refs/tags/prod-2024.10.1-abc", "refs/tags/prod-x"];
        assert_eq!(chosen("tag:prod-*", &dates).unwrap(), "refs/tags/prod-2024.10.1-abc");
        assert_eq!(
            chosen("tag:*-rc?", &["refs/tags/1-rc1", "refs/tags/1-rc2", "refs/tags/2"]).unwrap(),
            "refs/tags/1-rc2"
        );
    }

    #[test]
    fn tags_of_one_version_are_a_tie_for_their_dates() {
        let refs = list(&["refs/tags/nightly-blue", "refs/tags/nightly-red"]);
        match Wanted::parse("tag:nightly-*").unwrap().choose(&refs) {
            Choice::Tie(tied) => assert_eq!(tied.len(), 2),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_missing_ref_has_look_alikes() {
        let refs = list(&["refs/heads/main", "refs/heads/release/2.0", "refs/tags/v1.0"]);
        assert_eq!(Wanted::parse("mian").unwrap().similar(&refs), vec!["main"]);
        assert!(Wanted::parse("zzz").unwrap().similar(&refs).is_empty());
    }

    #[test]
    fn an_unborn_head_is_no_commit() {
        let refs =
            [RemoteRef { name: "HEAD".into(), id: None, tag: None, target: Some("refs/heads/main".into()) }];
        assert_eq!(Wanted::Head.choose(&refs), Choice::Unborn("refs/heads/main".into()));
    }
}
