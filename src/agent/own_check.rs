//! The last part of **check**, after **stage**: the operator's own program looks at the tree that is to be published.

use std::num::NonZeroUsize;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Component, Path};
use std::process::ExitStatus;

use gix::ObjectId;
use rustix::process::Signal;

use super::child;
use super::failure::{Broken, Failure};
use super::found::names;
use super::gate::tell;
use super::limits::Limits;
use super::pass::Pass;
use super::resolve::Target;
use crate::check::command::{findings, reason, refusal};
use crate::check::verdict::Policy;
use crate::check::{Finding, OwnCheck};
use crate::error::Remedy;
use crate::git::store::Objects;
use crate::git::{AuthConfig, auth};
use crate::metrics::Stage;
use crate::publish::retain;
use crate::publish::state::Held;
use crate::secret::{Hidden, Secret};
use crate::tree::verify::{self, Subject};
use crate::tree::{manifest, survey, write};

/// What a program ends with that could not look: `EX_TEMPFAIL` of sysexits.h.
const NO_ANSWER: i32 = 75;

/// The revision that is on disk and not yet published.
pub(super) struct Staged<'a> {
    pub(super) tree: &'a Path,
    pub(super) commit: ObjectId,
    pub(super) root: ObjectId,
}

impl Pass<'_> {
    /// Asks the operator's program, if there is one. Unless the answer is `None`, the tree is gone again. A crash leaves what one
    /// in **stage** leaves.
    pub(super) fn ask(
        &mut self,
        objects: &Objects,
        staged: &Staged<'_>,
        target: &Target,
    ) -> Result<Option<Held>, Broken> {
        let source = &*self.source;
        let settings = &source.config.check;
        // What was let through before is only built again.
        let asked = source.state.of(&staged.commit).is_none();
        let Some(own) = settings.own.clone().filter(|_| asked) else { return Ok(None) };
        let refused = self.answer(&own, objects, staged, target);
        match &refused {
            Ok(None) => {}
            Ok(Some(_)) => self.take_back(staged.tree, true),
            Err(_) => self.take_back(staged.tree, false),
        }
        Ok(refused?.map(|reason| self.hold(staged.commit, target, "command", &reason)))
    }

    /// Why the program refuses the tree, if it does and that holds it back.
    fn answer(
        &mut self,
        own: &OwnCheck,
        objects: &Objects,
        staged: &Staged<'_>,
        target: &Target,
    ) -> Result<Option<String>, Broken> {
        let source = &*self.source;
        let mut environment = own.environment.clone();
        let ours = [
            ("DAGSYNC_SOURCE", source.config.name.clone()),
            ("DAGSYNC_COMMIT", staged.commit.to_string()),
            ("DAGSYNC_REF", target.reference.clone()),
            // Python's caches would be published with the tree.
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ];
        environment.extend(ours.map(|(name, value)| (name.to_owned(), Secret::new(value))));
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let limits = Limits::new(own.timeout, cores, own.memory);
        let mut hidden = own.hidden.clone();
        hide_files(&mut hidden, own);
        let ended = child::Program::new(&own.words, &environment, staged.tree, limits)
            .and_then(|mut program| {
                program.arg(staged.tree);
                child::run(program, &source.children, own.timeout, &self.deadline)
            })
            .map_err(|err| Broken::from(no_answer(&err)))?;
        // It may have seen a password that was changed meanwhile, before that or after it.
        hide_files(&mut hidden, own);
        if let Some(signal) = stopped_by(ended.status) {
            return Err(Broken::from(Failure::new(
                Stage::Check,
                &format!("the check command was killed by signal {signal}"),
                Some(
                    "somebody, or the kernel for want of memory or for its processor time, ended it: that is no answer",
                ),
                Remedy::Retry { after: None },
            )));
        }
        if ended.status.code() == Some(NO_ANSWER) {
            let output = [ended.stdout.bytes, b"\n".to_vec(), ended.stderr.bytes].concat();
            return Err(Broken::from(Failure::new(
                Stage::Check,
                &reason(&format!("has no answer (it ended with {NO_ANSWER})"), None, &output, &hidden),
                Some("it is asked again; see what it wrote"),
                Remedy::Retry { after: None },
            )));
        }
        self.is_untouched(objects, staged, &hidden)?;
        let is_there = |path: &str| is_of_tree(staged.tree, path);
        let mut told =
            if ended.stdout.cut { None } else { findings(&ended.stdout.bytes, &hidden, &is_there) };
        let refused = (!ended.status.success()).then(|| {
            let output = match told {
                Some(_) => ended.stderr.bytes,
                None => [ended.stdout.bytes, b"\n".to_vec(), ended.stderr.bytes].concat(),
            };
            reason(&how(ended.status), told.as_deref(), &output, &hidden)
        });
        let found = told.get_or_insert_default();
        found.extend(refused.as_deref().map(refusal));
        self.found(staged.commit, std::mem::take(found));
        // Whoever turns our check off has not turned off theirs.
        let holds = self.source.config.check.policy != Policy::Report;
        Ok(refused.filter(|_| holds))
    }

    /// Tells what the program found, and what was found of the revision all in all.
    fn found(&mut self, commit: ObjectId, found: Vec<Finding>) {
        tell(&found);
        self.findings.extend(found);
        self.findings.sort();
        self.findings.dedup();
        self.source.metrics.findings(names(&self.findings));
        self.source.remember_findings(&commit.to_string(), &self.findings);
    }

    /// A program that wrote to the tree, or a DAG file that it ran, would publish what no commit has.
    fn is_untouched(&self, objects: &Objects, staged: &Staged<'_>, hidden: &Hidden) -> Result<(), Broken> {
        let source = &*self.source;
        let subject = Subject {
            tree: staged.tree,
            store: &source.layout.store,
            commit: &staged.commit,
            root: Some(staged.root),
            checkout: source.config.checkout,
            group_write: source.config.group_write,
            holds_modes: source.holds_modes,
            limits: &source.config.limits,
        };
        // Whoever writes to a file changes its ctime, which nobody can set: what the manifest says of all others is true of them.
        let manifest = manifest::read_to_hold(staged.tree, &source.layout.store, staged.commit.kind());
        let expired = |expired| Broken::new(Stage::Check, &write::Error::Expired(expired));
        let doubtful = match &manifest {
            Some(manifest) => match survey::survey(staged.tree, manifest, &self.deadline) {
                Ok(seen) => seen.doubtful(manifest),
                Err(survey::Error::Expired(err)) => return Err(expired(err)),
                // A folder that cannot be listed: the look at the files says which.
                Err(survey::Error::Io(_)) => Vec::new(),
            },
            None => Vec::new(),
        };
        let damage = verify::these(&subject, objects, &doubtful, &self.deadline);
        let Some(first) = damage.first() else { return self.deadline.check().map_err(expired) };
        Err(Broken::from(Failure::new(
            Stage::Check,
            &hidden.hide(&format!("the check command changed the tree: {first}")),
            Some("let it write elsewhere, or work on a copy"),
            Remedy::Human,
        )))
    }

    /// A tree that is not published goes. With a time-out, one that was refused is kept out of sight for the next build, as what is
    /// past its time would be; without, there is no such place.
    fn take_back(&mut self, tree: &Path, is_whole: bool) {
        let source = &mut *self.source;
        let (lock, layout, settings) = (&source.lock, &source.layout, source.settings());
        let mut removal = retain::Removal::default();
        let keep = is_whole && source.policy().timeout.is_some();
        if keep && retain::park(lock, layout, tree, &settings, &mut removal) {
            source.inherited.remove(&layout.spare_of(&settings));
        } else {
            retain::remove(lock, layout, tree, &mut removal);
        }
        source.leftovers |= !removal.failed.is_empty();
        source.tell_removal(&removal);
    }
}

/// What the password files hold now.
fn hide_files(hidden: &mut Hidden, own: &OwnCheck) {
    for (username, file) in &own.password_files {
        let config = AuthConfig::PasswordFile { username: username.clone(), file: file.clone() };
        // A file that cannot be read is a failure of the pass that needs it.
        if let Ok(Some(login)) = auth::login(&config) {
            hidden.add_login(&login.username, &login.password);
        }
    }
}

/// Whether it is the path of something in the tree, which nobody has changed.
fn is_of_tree(tree: &Path, path: &str) -> bool {
    let path = Path::new(path);
    path.components().all(|part| matches!(part, Component::Normal(_)))
        && tree.join(path).symlink_metadata().is_ok()
}

fn no_answer(err: &child::Error) -> Failure {
    let failure = Failure::of(Stage::Check, err);
    let hint = match err {
        child::Error::TooLong { .. } => Some("`--check-timeout` says how long it may take".to_owned()),
        child::Error::Expired { .. } if failure.remedy != Remedy::Stopped => {
            Some("`--sync-timeout` is for the whole pass, the check command included".to_owned())
        }
        _ => failure.hint,
    };
    Failure { message: format!("the check command: {}", failure.message), hint, ..failure }
}

/// The signal, if one from outside ended it. A program that crashes by itself (a DAG file may make Python do so) has answered.
fn stopped_by(status: ExitStatus) -> Option<i32> {
    let outside = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT].map(Signal::as_raw);
    status.signal().filter(|signal| outside.contains(signal))
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with {code}"),
        (None, Some(signal)) => format!("crashed with signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_no_answer_and_a_crash_is_one() {
        let status = ExitStatus::from_raw;
        for signal in [9, 15] {
            assert_eq!(stopped_by(status(signal)), Some(signal));
        }
        assert_eq!(stopped_by(status(11)), None);
        assert_eq!(how(status(11)), "crashed with signal 11");
        assert_eq!(stopped_by(status(9 << 8)), None, "an exit code");
        assert_eq!(how(status(9 << 8)), "ended with 9");
    }
}
