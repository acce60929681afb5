//! On a file system that can, a tree built beside its predecessor shares the content of what is the same.

#![cfg(debug_assertions)]

mod support;
mod synced;
mod volume;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use synced::{RUN, Synced};
use volume::{Volume, fast_folder, new_xfs};

const MEBIBYTE: u64 = 1 << 20;

/// A root on an XFS of its own.
fn world() -> Option<(Synced, Volume, tempfile::TempDir)> {
    let folder = fast_folder();
    let image = folder.path().join("xfs");
    if !new_xfs(&image) {
        return None;
    }
    let volume = Volume::of_image(&image, &folder.path().join("volume"), "rw")?;
    let mut world = Synced::new();
    world.root = volume.path().join("root");
    Some((world, volume, folder))
}

/// Bytes in use on the volume, when all that was written has its place.
fn used(volume: &Path) -> u64 {
    let folder = fs::File::open(volume).unwrap();
    rustix::fs::syncfs(&folder).unwrap();
    let stat = rustix::fs::statvfs(volume).unwrap();
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize
}

#[test]
fn what_is_the_same_is_shared_and_what_differs_is_not() {
    let Some((world, volume, _folder)) = world() else { return };
    // The same bytes again and again take no room in a pack, but all of it in a tree.
    world.repo.write("large.bin", vec![7; 60 * MEBIBYTE as usize]);
    world.repo.write("dags/run.sh", "#!/bin/sh\n");
    world.repo.commit_all("large");
    // A replaced tree that is promised to readers is no spare: the next one is built beside it.
    let args = ["--stale-worktree-timeout=1h"];
    world.once(&args);
    let (before, first) = (used(volume.path()), fs::canonicalize(world.link()).unwrap());
    let commit = world.repo.commit(&[("dags/b.py", "changed")]);
    // Dying in it leaves the first tree, and nothing that lasts.
    let seen = world.seen();
    for when in ["before", "after"] {
        let fault = format!("kill:tree.file.clone:{when}:1");
        let died = world.launch().args(args).args(["--one-time"]).env("DAGSYNC_TEST_FAULT", fault).run(RUN);
        assert_eq!(died.status.signal(), Some(9), "{when}");
        assert_eq!(world.seen(), seen);
    }
    world.once(&args);
    world.shows(&commit);
    world.nothing_is_left_over();
    let second = fs::canonicalize(world.link()).unwrap();
    let grown = used(volume.path()) - before;
    assert!(grown < 20 * MEBIBYTE, "{grown} bytes more for one changed file");
    let (old, new) = (first.join("large.bin"), second.join("large.bin"));
    let facts =
        |path: &Path| fs::metadata(path).map(|meta| (meta.mtime(), meta.mtime_nsec(), meta.mode())).unwrap();
    assert_eq!(facts(&old), facts(&new), "time and mode are its own, and the same");
    assert_ne!(fs::metadata(&old).unwrap().ino(), fs::metadata(&new).unwrap().ino(), "a file of its own");
    // A file that somebody changed in the published tree is not handed on, whatever its time says.
    let mtime = fs::metadata(&new).unwrap().modified().unwrap();
    fs::write(&new, vec![8; 60 * MEBIBYTE as usize]).unwrap();
    fs::File::options().write(true).open(&new).unwrap().set_modified(mtime).unwrap();
    let commit = world.repo.commit(&[("dags/b.py", "changed again")]);
    world.once(&args);
    world.shows(&commit);
    assert!(fs::read(&old).unwrap().iter().all(|byte| *byte == 7), "the first tree is as it was");
}
