//! Objects that are out of use while everything is fetched again.
//!
//! Damage in the store is answered by a fetch from nothing. Until that has worked, what was there stays aside: a server that leaves
//! out an object, or a disk that fills up, must not cost the published tree its history.

use std::io;

use gix::ObjectId;
use gix::objs::Exists as _;

use super::error::Error;
use super::store::{OURS, Store};
use crate::disk::{self, Point, remove_any, rename_if_there};

/// Objects that a fetch from nothing is to replace, and the shallow list that goes with them.
const ASIDE: &str = "objects.aside";
const SHALLOW_ASIDE: &str = "shallow.aside";

impl Store {
    /// Removes all objects. The trees' own metadata (`worktrees/`) stays, so that what is published remains whole.
    pub fn wipe(&self) -> Result<(), Error> {
        self.set_aside()?;
        self.discard_aside()
    }

    /// Takes all objects out of use, for a fetch from nothing: until [`Store::discard_aside`] says that it has all that
    /// is needed, or [`Store::restore`] that it has not. A crash in between leaves them aside; the next start restores. An
    /// error leaves them in use.
    pub fn set_aside(&self) -> Result<(), Error> {
        let (objects, shallow) = (self.dir().join(ASIDE), self.dir().join(SHALLOW_ASIDE));
        let clear = || -> io::Result<()> {
            // A list without its objects is of those in use: it was moved, and they could not be.
            if objects.is_dir() {
                remove_any(Point::StoreAsideClear, &shallow)?;
            }
            // Also what is no folder: it would be in the way.
            remove_any(Point::StoreAsideClear, &objects)
        };
        clear().map_err(|err| self.error(&err))?;
        let set_aside = || -> io::Result<()> {
            rename_if_there(Point::StoreAsideShallow, &self.shallow_file(), &shallow)?;
            rename_if_there(Point::StoreAsideObjects, &self.dir().join("objects"), &objects)?;
            self.lay_out()
        };
        set_aside().map_err(|err| {
            // What is wrong with the disk may be in its way too; then the next good pass does it.
            let _ = self.restore();
            self.error(&err)
        })
    }

    /// Takes back what was set aside; what came since goes. Nothing aside: nothing happens.
    pub fn restore(&self) -> Result<(), Error> {
        let restore = || -> io::Result<()> {
            let (aside, objects) = (self.dir().join(ASIDE), self.dir().join("objects"));
            if aside.exists() {
                remove_any(Point::StoreRestoreClear, &objects)?;
                disk::rename(Point::StoreRestoreObjects, &aside, &objects)?;
                remove_any(Point::StoreRestoreForget, &self.shallow_file())?;
            }
            let aside = self.dir().join(SHALLOW_ASIDE);
            rename_if_there(Point::StoreRestoreShallow, &aside, &self.shallow_file())
        };
        restore().map_err(|err| self.error(&err))
    }

    /// Removes what was set aside, and the refs that lead to it.
    ///
    /// A repository that we did not make (a root taken over, or somebody's own clone by mistake) may hold what nobody
    /// else has: its objects are kept, once, not removed.
    pub fn discard_aside(&self) -> Result<(), Error> {
        let discard = || -> io::Result<()> {
            if !self.is_ours() {
                let kept = self.dir().join("objects.before-dagsync");
                rename_if_there(Point::StoreAsideKeep, &self.dir().join(ASIDE), &kept)?;
                self.write(Point::StoreMarkWrite, OURS, "")?;
            }
            // The objects late: as long as they are there, an error here is made up for.
            for name in ["packed-refs", "refs", "ORIG_HEAD", "FETCH_HEAD", "logs", ASIDE, SHALLOW_ASIDE] {
                remove_any(Point::StoreAsideDiscard, &self.dir().join(name))?;
            }
            self.lay_out()
        };
        discard().map_err(|err| self.error(&err))
    }

    /// Removes what a failed pass left and could not remove: nothing is under way between passes. Objects that are still aside are
    /// taken back, unless those in use have what is `live`.
    pub fn tidy(&self, live: Option<ObjectId>) -> Result<(), Error> {
        let replaced = || -> Result<bool, Error> {
            let objects = self.objects()?;
            Ok(live.is_some_and(|live| live.kind() == self.hash() && objects.exists(&live)))
        };
        // With nothing but the list aside, those in use are the ones from before.
        match self.dir().join(ASIDE).exists() && replaced()? {
            true => self.discard_aside()?,
            false => self.restore()?,
        }
        self.remove_leftovers().map_err(|err| self.error(&err))
    }
}
