//! File systems of a test's own: in memory, and in a file that can be copied as a power cut would leave it. Only root may mount.

#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::process::unproven;
use crate::synced::is_root;

/// Something mounted, unmounted on drop. A loop device below it goes with it.
pub struct Volume {
    at: PathBuf,
}

impl Volume {
    /// A file system in memory, with options of `mount`; `None` where that is not allowed, which it says.
    pub fn in_memory(at: &Path, options: &str) -> Option<Volume> {
        Volume::mount(at, &["-t", "tmpfs", "-o", options, "tmpfs"])
    }

    /// What is in this image.
    pub fn of_image(image: &Path, at: &Path, options: &str) -> Option<Volume> {
        Volume::mount(at, &["-o", &format!("loop,{options}"), image.to_str().expect("a path in UTF-8")])
    }

    fn mount(at: &Path, args: &[&str]) -> Option<Volume> {
        if !is_root() {
            unproven("only root can mount");
            return None;
        }
        fs::create_dir_all(at).expect("a folder to mount on");
        let output = Command::new("mount").args(args).arg(at).output();
        match output {
            Ok(output) if output.status.success() => Some(Volume { at: at.to_owned() }),
            other => {
                unproven(&format!("cannot mount: {other:?}"));
                None
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let unmount = |flags: &[&str]| {
            Command::new("umount").args(flags).arg(&self.at).output().is_ok_and(|out| out.status.success())
        };
        // Somebody may still be in it, when a test failed: then it goes as soon as they have left.
        if !unmount(&[]) {
            unmount(&["--lazy"]);
        }
    }
}

/// A new ext4 in a file of this size, which takes up as much as is in it.
pub fn new_image(path: &Path, bytes: u64) -> bool {
    let file = fs::File::create(path).expect("an image");
    file.set_len(bytes).expect("a size");
    let made = Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-J", "size=4"]).arg(path).output();
    let is_made = made.as_ref().is_ok_and(|out| out.status.success());
    if !is_made {
        unproven(&format!("no ext4 can be made: {made:?}"));
    }
    is_made
}

/// A new XFS in a file of 400 MiB, whose files may share their content.
pub fn new_xfs(path: &Path) -> bool {
    fs::File::create(path).expect("an image").set_len(400 << 20).expect("a size");
    let made = Command::new("mkfs.xfs").args(["-q", "-f", "-m", "reflink=1"]).arg(path).output();
    let is_made = made.as_ref().is_ok_and(|out| out.status.success());
    if !is_made {
        unproven(&format!("no XFS can be made: {made:?}"));
    }
    is_made
}

/// A folder in memory where there is one: images there cost no real disk anything.
pub fn fast_folder() -> TempDir {
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("dagsync-test-");
        builder
    };
    builder().tempdir_in("/dev/shm").or_else(|_| builder().tempdir()).expect("a temporary folder")
}
