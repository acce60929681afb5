//! Which ref: from what people write to one commit of a remote's list. Pure.
//!
//! A name is a branch first, then a tag, then what git itself tries; git prefers the tag, but a team that pins `main` means the branch,
//! and a tag pushed by mistake must not take production over. The clash is reported.

mod order;
mod parse;

use std::cmp::Ordering;

use gix::ObjectId;
use gix::bstr::{BString, ByteSlice as _};
use semver::VersionReq;

use order::{Order, version};

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

impl Wanted {
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
