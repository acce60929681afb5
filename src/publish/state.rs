//! What a source remembers across restarts: `.dagsync/state.json`.
//!
//! Everything in it can be lost: the link says what is published, the remote what should be. It tells which settings a
//! tree was built with, and since when a replaced tree is out of use. A file of a version that we do not know, or that is damaged, counts as
//! absent and is replaced by the next publish.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::layout::{Layout, unique};
use super::lock::RootLock;
use crate::disk::{self, Point};

/// So many revisions that were held back are remembered.
const REFUSED: usize = 8;

/// The same as long as nothing is published: a first start that is interrupted goes on where it was.
pub const SEARCHED: usize = 40;

/// Grows when an older dagsync would misread the file.
const VERSION: u32 = 1;

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// What is published, as far as we did it.
    pub published: Option<Published>,
    /// Trees that were replaced, oldest first.
    #[serde(default)]
    pub retired: Vec<Retired>,
    /// What the gate held back last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The last ones that it held back, the newest first: branches go to and fro.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Held>,
}

/// A revision that was not published, so that it is not looked at again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The commit.
    pub commit: String,
    /// Why, in a word.
    pub because: String,
    /// Why, in one line for people.
    pub reason: String,
    /// What the answer depended on, apart from the commit.
    pub rules: String,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// What was published last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The remote, safe to show.
    pub repo: String,
    /// The ref as it was configured.
    pub wanted: String,
    /// The ref's full name.
    pub reference: String,
    /// The commit.
    pub commit: String,
    /// Commits of history, 0 = all.
    pub depth: u32,
    /// The settings that shape a tree's bytes and modes.
    pub settings: String,
    /// Bytes of its files.
    #[serde(default)]
    pub bytes: u64,
    /// What its manifest is worth.
    #[serde(default)]
    pub passed: Option<Passed>,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// A manifest that holds just what passed the rules for trees, with the sizes of the blobs: the next tree need not be looked
/// through where it is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The rules.
    pub rules: String,
    /// The manifest's checksum, in hex: somebody's git may write it again.
    pub manifest: String,
}

impl Published {
    /// Whether it is this commit.
    pub fn is(&self, commit: &gix::oid) -> bool {
        is(&self.commit, commit)
    }
}

impl Held {
    /// Whether it is this commit.
    pub fn is(&self, commit: &gix::oid) -> bool {
        is(&self.commit, commit)
    }
}

fn is(hex: &str, commit: &gix::oid) -> bool {
    gix::ObjectId::from_hex(hex.as_bytes()).is_ok_and(|id| id == commit)
}

/// A tree that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of its files; 0 if another agent built it.
    #[serde(default)]
    pub bytes: u64,
    /// The settings it was built with; empty if another agent built it.
    #[serde(default)]
    pub settings: String,
    /// When it was replaced, in seconds since 1970.
    pub at: u64,
}

impl Retired {
    /// A tree of which nothing is remembered: of another agent, or of a crash. Replaced now, as far as we know.
    pub fn unknown(path: PathBuf, now: u64) -> Self {
        Retired { path, bytes: 0, settings: String::new(), at: now }
    }
}

impl Default for State {
    fn default() -> Self {
        State { version: VERSION, published: None, retired: Vec::new(), held: None, refused: Vec::new() }
    }
}

impl State {
    /// Reads the file; the default if it is absent, and a warning with it if it is unusable.
    pub fn load(dir: &Path) -> (Self, Option<String>) {
        let path = dir.join("state.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return (Self::default(), None),
            Err(err) => {
                return (
                    Self::default(),
                    Some(format!("state file `{}` is not used: {err}", path.display())),
                );
            }
        };
        match serde_json::from_str::<State>(&text) {
            Ok(state) if state.version == VERSION => (state, None),
            Ok(state) => {
                let why = format!("it has version {}, this dagsync knows {VERSION}", state.version);
                (Self::default(), Some(format!("state file `{}` is not used: {why}", path.display())))
            }
            Err(err) => {
                (Self::default(), Some(format!("state file `{}` is not used: {err}", path.display())))
            }
        }
    }

    /// What is remembered of the published tree, if that is of `commit`: another agent, or we before a crash, may have
    /// moved the link since.
    pub fn of(&self, commit: &gix::oid) -> Option<&Published> {
        self.published.as_ref().filter(|published| published.is(commit))
    }

    /// A revision is held back.
    pub fn hold(&mut self, held: Held) {
        self.refused.retain(|other| other.commit != held.commit);
        self.refused.insert(0, held.clone());
        self.refused.truncate(if self.published.is_none() { SEARCHED } else { REFUSED });
        self.held = Some(held);
    }

    /// What is remembered of a commit that was held back, by what the answer depended on.
    pub fn refusal(&self, commit: &gix::oid, rules: &str) -> Option<&Held> {
        let all = self.held.iter().chain(&self.refused);
        all.into_iter().find(|held| held.is(commit) && held.rules == rules)
    }

    /// Replaces the file: unique temporary name, flush, rename. A crash leaves the old one or the new one.
    pub fn save(&self, _proof: &RootLock, layout: &Layout) -> Result<(), Error> {
        let dir = &layout.state;
        let path = dir.join("state.json");
        let temp = dir.join(format!("state-{}.tmp", unique()));
        let write = || -> io::Result<()> {
            let file = disk::create_ours(Point::PublishStateCreate, &temp, layout.group_write)?;
            let text = serde_json::to_vec_pretty(self).expect("plain data");
            file.write_all(Point::PublishStateWrite, &text)?;
            file.sync_all(Point::PublishStateSync)?;
            disk::rename(Point::PublishStateRename, &temp, &path)
        };
        write().map_err(|err| {
            let _ = disk::remove_file(Point::PublishStateDiscard, &temp);
            Error::io("write", &path)(err)
        })
    }
}

/// Seconds since 1970; 0 for a clock before that.
pub fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downgrade_of_our_state_file() {
        let dir = tempfile::tempdir().unwrap();
        for (text, word) in
            [(r#"{"version": 99, "new": []}"#, "99"), ("{", "EOF"), ("\0\0\0", "expected value")]
        {
            fs::write(dir.path().join("state.json"), text).unwrap();
            let (state, warning) = State::load(dir.path());
            assert_eq!(state, State::default());
            assert!(warning.is_some_and(|warning| warning.contains(word)), "{text}");
        }
    }

    #[test]
    fn the_last_refusals_are_remembered_one_of_each_commit() {
        let held = |number: usize, rules: &str| Held {
            commit: format!("{number:040x}"),
            because: "error".to_owned(),
            reason: String::new(),
            rules: rules.to_owned(),
            at: 0,
        };
        let published = Published {
            repo: String::new(),
            wanted: String::new(),
            reference: String::new(),
            commit: String::new(),
            depth: 0,
            settings: String::new(),
            bytes: 0,
            passed: None,
            at: 0,
        };
        let mut state = State { published: Some(published), ..State::default() };
        let id = |number: usize| gix::ObjectId::from_hex(format!("{number:040x}").as_bytes()).unwrap();
        for number in [0, 1, 0, 1] {
            state.hold(held(number, "a"));
        }
        assert_eq!(state.refused.len(), 2);
        assert!(state.refusal(&id(0), "a").is_some() && state.refusal(&id(0), "b").is_none());
        state.hold(held(0, "b"));
        assert!(state.refusal(&id(0), "a").is_none() && state.refusal(&id(0), "b").is_some());
        (2..=REFUSED).for_each(|number| state.hold(held(number, "a")));
        assert!(state.refusal(&id(1), "a").is_none() && state.refusal(&id(0), "b").is_some());
        // A file of a dagsync that remembered one.
        let text = serde_json::to_string(&State { refused: Vec::new(), ..state.clone() }).unwrap();
        let one: State = serde_json::from_str(&text).unwrap();
        assert!(!text.contains("refused") && one.refusal(&id(REFUSED), "a").is_some());
        // A first start searches further.
        let mut first = State::default();
        (0..=SEARCHED).for_each(|number| first.hold(held(number, "a")));
        assert_eq!(first.refused.len(), SEARCHED);
        assert!(first.refusal(&id(0), "a").is_none() && first.refusal(&id(1), "a").is_some());
    }

    #[test]
    fn what_was_saved_is_loaded_and_no_temporary_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut layout = Layout::sole(dir.path(), &dir.path().join("link"));
        layout.create(false).unwrap();
        let lock = RootLock::try_acquire(&layout).unwrap();
        let state = State {
            retired: vec![Retired {
                path: "/r/.worktrees/x".into(),
                bytes: 3,
                settings: String::new(),
                at: 7,
            }],
            ..Default::default()
        };
        let home = dir.path().join(".dagsync");
        state.save(&lock, &layout).unwrap();
        assert_eq!(State::load(&home), (state, None));
        assert_eq!(fs::read_dir(&home).unwrap().count(), 2, "lock and state");
    }
}
