//! The first stage of a pass: which commit should be live. Changes nothing.

use std::path::Path;

use gix::ObjectId;
use gix::objs::Exists as _;

use super::failure::{Failure, failed};
use super::pass::Pass;
use crate::config::RefChoice;
use crate::error::Remedy;
use crate::git::refs::{Choice, Found, Wanted};
use crate::git::{self, auth};
use crate::metrics::Stage;
use crate::publish::state::Published;

/// A ref, resolved.
pub(super) struct Target {
    /// Its full name.
    pub(super) reference: String,
    /// As it was asked for.
    pub(super) wanted: String,
    /// What to ask the remote for: a commit, or a tag that leads to one.
    pub(super) fetch: ObjectId,
    /// The commit, where that is known without a fetch.
    pub(super) commit: Option<ObjectId>,
    /// Its objects are here, and the gate has looked at it.
    pub(super) looked_at: bool,
}

impl Target {
    /// A commit that is known, as what `reference` is.
    pub(super) fn of_commit(commit: ObjectId, reference: &str, wanted: &str) -> Target {
        let (reference, wanted) = (reference.to_owned(), wanted.to_owned());
        Target { reference, wanted, fetch: commit, commit: Some(commit), looked_at: false }
    }

    /// What was published last. Nobody is asked.
    pub(super) fn of_published(published: &Published) -> Option<Target> {
        let commit = ObjectId::from_hex(published.commit.as_bytes()).ok()?;
        Some(Target::of_commit(commit, &published.reference, &published.wanted))
    }
}

impl Pass<'_> {
    /// **resolve**: which commit should be live. Changes nothing.
    pub(super) fn resolve(&mut self) -> Result<Target, Failure> {
        let source = &mut *self.source;
        let text = asked_for(&source.config.reference)?;
        let wanted = Wanted::parse(&text).map_err(|err| {
            Failure::new(Stage::Resolve, &format!("the ref cannot be used: {err}"), None, Remedy::Human)
        })?;
        let login = auth::login(&source.config.auth).map_err(failed(Stage::Resolve))?;
        source.remote.arm(&self.deadline, login.as_ref());
        let found = self.find(&wanted).map_err(failed(Stage::Resolve))?;
        if found.shadows_tag && self.source.warned_shadow.as_deref() != Some(&found.name) {
            tracing::warn!(reference = found.name, "a tag has the same name; the branch wins");
            self.source.warned_shadow = Some(found.name.clone());
        }
        if let Some(commit) = found.commit {
            self.source.metrics.remote(&commit.to_string(), &found.name);
        }
        Ok(Target {
            reference: found.name,
            wanted: text,
            fetch: found.fetch,
            commit: found.commit,
            looked_at: false,
        })
    }

    fn find(&mut self, wanted: &Wanted) -> Result<Found, git::Error> {
        let remote = self.source.remote.shown().to_owned();
        if let Wanted::Id(id) = wanted {
            // An id never moves: nothing to ask.
            let Choice::Found(mut found) = wanted.choose(&[]) else { unreachable!("an id is always found") };
            if id.kind() == self.source.store.hash()
                && let Ok(objects) = self.source.store.objects()
                && let Ok((commit, _)) = self.source.store.peel_to_commit(&objects, id, &remote)
            {
                found.commit = Some(commit);
            }
            self.source.set_hash(id.kind())?;
            return Ok(found);
        }
        let listed = self.source.remote.list(&wanted.prefixes())?;
        match wanted.choose(&listed.refs) {
            Choice::Found(found) => {
                self.source.set_hash(listed.hash)?;
                Ok(found)
            }
            Choice::Tie(tied) => {
                self.source.set_hash(listed.hash)?;
                self.newest(tied)
            }
            Choice::Unborn(branch) => {
                Err(git::Error::Empty { remote, detail: format!("`{branch}` has no commit yet") })
            }
            Choice::Missing => {
                let all =
                    self.source.remote.list(&["HEAD".into(), "refs/heads/".into(), "refs/tags/".into()])?;
                if !all.refs.iter().any(|found| found.id.is_some()) {
                    return Err(git::Error::Empty { remote, detail: "it has no branch and no tag".into() });
                }
                Err(git::Error::NoSuchRef {
                    remote,
                    wanted: wanted.shown(),
                    similar: wanted.similar(&all.refs),
                })
            }
        }
    }

    /// Among tags of one version the youngest wins; only their objects tell when they were made.
    fn newest(&mut self, tied: Vec<Found>) -> Result<Found, git::Error> {
        let source = &mut *self.source;
        let unknown: Vec<ObjectId> =
            tied.iter().map(|tag| tag.fetch).filter(|id| !source.tag_dates.contains_key(id)).collect();
        if !unknown.is_empty() {
            let objects = source.store.objects()?;
            let absent: Vec<ObjectId> = unknown.iter().filter(|id| !objects.exists(id)).copied().collect();
            if !absent.is_empty() {
                source.remote.fetch_heads(&source.store, &absent)?;
            }
            let objects = source.store.objects()?;
            for id in unknown {
                let date = source.store.date(&objects, &id)?;
                source.tag_dates.insert(id, date);
            }
        }
        let youngest = tied.into_iter().max_by(|a, b| {
            let date = |tag: &Found| source.tag_dates.get(&tag.fetch).copied().unwrap_or_default();
            date(a).cmp(&date(b)).then_with(|| a.name.cmp(&b.name))
        });
        Ok(youngest.expect("a tie has at least two"))
    }
}

/// The ref, as it was asked for: from the option, or from the file as it is now.
pub(super) fn asked_for(choice: &RefChoice) -> Result<String, Failure> {
    match choice {
        RefChoice::Fixed(text) => Ok(text.clone()),
        RefChoice::File(path) => read_ref_file(path).map_err(|reason| {
            let message = format!("ref file `{}`: {reason}", path.display());
            Failure::new(Stage::Resolve, &message, Some("its first line is the ref"), Remedy::Human)
        }),
    }
}

/// The first line of the file.
fn read_ref_file(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|err| err.to_string())?;
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).map_err(|err| err.to_string())?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err("empty".into()),
    }
}
