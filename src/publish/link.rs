//! The swap: the only moment that readers see.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::error::Error;
use super::layout::{AtLink, Layout, unique};
use super::lock::RootLock;
use crate::disk::{self, Point};
use crate::path::relative;

/// Our temporary links begin with this, wherever they are.
const TEMP: &str = ".dagsync-link-";

/// Points the link at `tree`: a new link under a unique name, renamed over the old one, its folder flushed.
///
/// A crash before the rename leaves a temporary link, removed by the next start; after it, the new tree is published.
pub fn swap(_proof: &RootLock, layout: &Layout, tree: &Path) -> Result<(), Error> {
    if let AtLink::Foreign(what) = layout.at_link()? {
        return Err(Error::Occupied { path: layout.link.clone(), what });
    }
    let folder = layout.link.parent().expect("a link is in a folder");
    let target = relative(folder, tree);
    // A rename needs one file system: inside the root our own folder will do, where no walk of readers meets it.
    let place = if folder.starts_with(&layout.root) { &layout.state } else { folder };
    let temp = place.join(format!("{TEMP}{}", unique()));
    disk::symlink(Point::PublishLinkMake, &target, &temp).map_err(Error::io("make the link", &temp))?;
    if let Err(err) = disk::rename(Point::PublishLinkRename, &temp, &layout.link) {
        let _ = disk::remove_file(Point::PublishLinkDiscard, &temp);
        return Err(Error::io("put the link in place at", &layout.link)(err));
    }
    sync_folder(folder).map_err(Error::io("flush", folder))
}

/// Removes temporary links and files that a crash left, also git-sync's `tmp-link`, on which it wedges itself.
pub fn remove_leftovers(_proof: &RootLock, layout: &Layout) -> Result<(), Error> {
    let folder = layout.link.parent().expect("a link is in a folder");
    for dir in [folder, &layout.state, &layout.root] {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(err) if err.kind() == io::ErrorKind::NotFound => continue,
            Err(err) => return Err(Error::io("list", dir)(err)),
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let begins = |prefix: &str| name.as_encoded_bytes().starts_with(prefix.as_bytes());
            let link = begins(TEMP) || name == "tmp-link";
            let link = link && entry.file_type().is_ok_and(|kind| kind.is_symlink());
            // In our own folder: files that were to be renamed, and the question how the volume takes `a` and `A`.
            let state = begins("state-") && name.as_encoded_bytes().ends_with(b".tmp");
            let file =
                *dir == *layout.state && (state || begins("airflowignore-") || begins(".dagsync-case-"));
            if link || file {
                disk::remove_file(Point::RootLeftoverRemove, &entry.path())
                    .map_err(Error::io("remove", &entry.path()))?;
            }
        }
    }
    Ok(())
}

/// Flushes a folder's entries. Some file systems cannot; then nothing more can be done.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match disk::sync_folder(Point::PublishLinkSync, &File::open(folder)?) {
        Err(err) if err.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef01234567";

    fn world(link: &str) -> (tempfile::TempDir, Layout, RootLock) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let mut layout = Layout::sole(&root, &dir.path().join(link));
        layout.create(false).unwrap();
        let lock = RootLock::try_acquire(&layout).unwrap();
        fs::create_dir(layout.trees.join(HEX)).unwrap();
        (dir, layout, lock)
    }

    #[test]
    fn the_target_is_relative_wherever_the_link_is() {
        for (link, target) in [
            ("root/link", format!(".worktrees/{HEX}")),
            ("root/a/b/link", format!("../../.worktrees/{HEX}")),
            ("elsewhere/link", format!("../root/.worktrees/{HEX}")),
        ] {
            let (_dir, layout, lock) = world(link);
            swap(&lock, &layout, &layout.trees.join(HEX)).unwrap();
            assert_eq!(fs::read_link(&layout.link).unwrap(), Path::new(&target));
            assert!(layout.link.is_dir(), "{link} leads to the tree");
        }
    }

    #[test]
    fn stale_tmp_link_does_not_block_publish() {
        let (_dir, layout, lock) = world("root/link");
        for stale in ["tmp-link", ".dagsync-link-1-0"] {
            std::os::unix::fs::symlink("nowhere", layout.root.join(stale)).unwrap();
        }
        let files = ["state-1-0.tmp", "airflowignore-1-0", ".dagsync-case-1-0-a"];
        files.iter().for_each(|name| fs::write(layout.state.join(name), "").unwrap());
        fs::write(layout.root.join("a-file-of-a-user"), "kept").unwrap();
        swap(&lock, &layout, &layout.trees.join(HEX)).unwrap();
        remove_leftovers(&lock, &layout).unwrap();
        assert!(fs::symlink_metadata(layout.root.join("tmp-link")).is_err());
        assert!(files.iter().all(|name| !layout.state.join(name).exists()));
        assert!(layout.root.join("a-file-of-a-user").exists() && layout.link.is_dir());
    }

    #[test]
    fn something_else_in_the_place_of_the_link_is_an_error_and_stays() {
        let (_dir, layout, lock) = world("root/link");
        fs::create_dir(&layout.link).unwrap();
        fs::write(layout.link.join("precious"), "x").unwrap();
        let err = swap(&lock, &layout, &layout.trees.join(HEX)).unwrap_err();
        assert!(matches!(err, Error::Occupied { .. }), "{err}");
        assert_eq!(fs::read(layout.link.join("precious")).unwrap(), b"x");
    }
}
