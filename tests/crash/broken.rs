//! A disk that fails for a while, and an agent that lives through it.
//!
//! Own changes fail by their crash points. What libraries write below them fails by [`Shim`], which stands between the
//! program and the C library.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Signal;
use serde_json::Value;

use super::{VARIABLE, World, paths};
use crate::support::agent::{Agent, Launch};
use crate::support::process::program;
use crate::support::wait::{PATIENCE, holds_within};
use crate::synced::{Files, RUN, ok};

/// How long an agent may take to mend all, once the disk is well: a few of its longest pauses.
const MENDS: Duration = Duration::from_secs(20);

/// The library that fails.
pub struct Shim(PathBuf);

impl Shim {
    /// Built into `folder`.
    pub fn build(folder: &Path) -> Shim {
        let library = folder.join("shim.so");
        let source = folder.join("shim.c");
        fs::write(&source, include_str!("shim.c")).unwrap();
        ok(Command::new(program("cc"))
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl"));
        Shim(library)
    }

    fn around(&self, launch: Launch, world: &World, calls: &str) -> Launch {
        launch.env("LD_PRELOAD", &self.0).env("SHIM_BELOW", &world.synced.root).env("SHIM_CALLS", calls)
    }

    /// How many calls of these kinds a pass makes.
    pub fn count(&self, world: &World, calls: &str) -> usize {
        world.prepare();
        let log = world.synced.path("calls");
        let launch = world.launch(world.scenario.args).args(["--one-time"]).env("SHIM_LOG", &log);
        let finished = self.around(launch, world, calls).run(RUN);
        assert!(finished.status.success(), "{finished:?}");
        let count = fs::read_to_string(&log).unwrap_or_default().lines().count();
        assert!(count > 0, "the program does not use the C library for: {calls}");
        count
    }

    /// These calls fail from the n-th one on until the test ends that, or the n-th one alone. Whether there was an n-th.
    pub fn survives(
        &self,
        world: &World,
        fault: &Fault<'_>,
        nth: usize,
        undisturbed: &BTreeSet<String>,
    ) -> Result<bool, String> {
        let Fault { calls, errno, lasts } = *fault;
        let (during, log) = (world.synced.path("during"), world.synced.path("calls"));
        let _ = fs::remove_file(&log);
        let launch = self
            .around(world.launch(world.scenario.args), world, calls)
            .env("SHIM_ERRNO", errno.raw_os_error().to_string())
            .env("SHIM_NTH", nth.to_string())
            .env("SHIM_LOG", &log);
        let (launch, during, on) = match lasts {
            Lasts::Awhile => (launch.env("SHIM_WHILE", &during), Some(during.as_path()), " on"),
            Lasts::Once => (launch.env("SHIM_ONCE", "1"), None, ""),
        };
        let what = format!("{}: {errno:?} from call {nth}{on} of {calls}", world.scenario.name);
        world.recovers(&launch, during, undisturbed).map_err(|err| format!("{what}: {err}"))?;
        Ok(fs::read_to_string(&log).unwrap_or_default().lines().any(|line| line == "struck"))
    }
}

/// What fails, and how.
#[derive(Debug, Clone, Copy)]
pub struct Fault<'a> {
    /// Which calls, as the shim knows them.
    pub calls: &'a str,
    /// With what.
    pub errno: Errno,
    /// How often.
    pub lasts: Lasts,
}

/// How long a fault goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// For a whole pass at least, until the test ends it.
    Awhile,
    /// One call: all others work.
    Once,
}

impl World {
    /// A change with this point fails, and all later ones, until the test ends that.
    pub fn survives_failing(
        &self,
        point: &str,
        when: &str,
        errno: &str,
        undisturbed: &BTreeSet<String>,
    ) -> Result<(), String> {
        let during = self.synced.path("during");
        let fault = format!("error:{errno}:{point}:{when}:1:until-file:{}", during.display());
        let launch = self.launch(self.scenario.args).env(VARIABLE, &fault);
        let what = format!("{}: {errno} {when} {point}", self.scenario.name);
        self.recovers(&launch, Some(&during), undisturbed).map_err(|err| format!("{what}: {err}"))
    }

    /// The scenario's pass while something fails: readers see a whole tree. As soon as `during` is gone the same process publishes
    /// the newest commit and leaves what an undisturbed one leaves. Without `during` the fault is over by itself: then no more
    /// than one pass may fail.
    fn recovers(
        &self,
        launch: &Launch,
        during: Option<&Path>,
        undisturbed: &BTreeSet<String>,
    ) -> Result<(), String> {
        self.prepare();
        let before = self.synced.seen();
        if let Some(during) = during {
            fs::write(during, "").unwrap();
        }
        let mut agent = launch.clone().args(["--max-failures=-1"]).start();
        let result = self.fails_and_mends(&agent, during, undisturbed, &before);
        agent.signal(Signal::TERM);
        let ended = agent.wait_exit(PATIENCE);
        let said = agent.stderr();
        result.map_err(|err| format!("{err}\n{said}"))?;
        if !ended.is_some_and(|status| status.success()) {
            return Err(format!("ended with {ended:?}\n{said}"));
        }
        let failed = said.matches(r#""level":"error""#).count();
        if during.is_none() && failed > 1 {
            return Err(format!("{failed} passes failed of one fault\n{said}"));
        }
        is_clear(&said).map_err(|err| format!("{err}\n{said}"))
    }

    fn fails_and_mends(
        &self,
        agent: &Agent,
        during: Option<&Path>,
        undisturbed: &BTreeSet<String>,
        before: &Option<(PathBuf, Files)>,
    ) -> Result<(), String> {
        let words = [r#""level":"error""#, r#""msg":"published""#, r#""msg":"already published""#];
        let has_tried = || words.iter().any(|word| agent.stderr().contains(word));
        if !holds_within(PATIENCE, has_tried) {
            return Err("neither a failure nor a publication".into());
        }
        if self.synced.seen() != *before {
            self.shows_the_newest().map_err(|err| format!("while it fails: {err}"))?;
        }
        if let Some(during) = during {
            fs::remove_file(during).unwrap();
        }
        let may_keep = |path: &&String| self.scenario.may_keep.iter().any(|begin| path.starts_with(begin));
        let is_tidy = |now: &BTreeSet<String>| {
            // A change that was made and said to have failed costs what a crash there costs.
            let may_lack = |path: &String| self.scenario.may_lack.iter().any(|begin| path.starts_with(begin));
            // For want of room, a replaced tree that nobody is promised is given up.
            let newest = self.commits.last().expect("a commit");
            let no_room = ["No space left", "quota exceeded"].iter().any(|why| agent.stderr().contains(why));
            let is_replaced = |path: &String| {
                (path.starts_with(".worktrees/") || path.starts_with(".git/worktrees/"))
                    && !path.contains(newest.as_str())
            };
            undisturbed.difference(now).all(|path| may_lack(path) || (no_room && is_replaced(path)))
                && now.difference(undisturbed).all(|path| may_keep(&path))
        };
        let mended = || self.shows_the_newest().is_ok() && is_tidy(&paths(&self.synced.root));
        if holds_within(MENDS, mended) {
            return Ok(());
        }
        self.shows_the_newest()?;
        let now = paths(&self.synced.root);
        let left: Vec<_> = now.difference(undisturbed).collect();
        let lost: Vec<_> = undisturbed.difference(&now).collect();
        Err(format!("left over: {left:?}, not there: {lost:?}"))
    }
}

/// What an agent says of a failure: lines for people, and for each failure what to do.
fn is_clear(stderr: &str) -> Result<(), String> {
    for line in stderr.lines() {
        let json: Value = serde_json::from_str(line).map_err(|_| format!("not a line of the log: {line}"))?;
        let said = json["msg"].as_str().unwrap_or_default();
        let inner = ["panicked", "Os {", "Error(", "Some(", "None", "::", "\n"];
        if let Some(word) = inner.iter().find(|word| said.contains(**word)) {
            return Err(format!("`{word}` is nothing for people: {said}"));
        }
        if json["level"] == "error" && !said.contains("(hint: ") {
            return Err(format!("no hint: {said}"));
        }
    }
    Ok(())
}
