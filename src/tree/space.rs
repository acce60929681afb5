//! Whether a tree fits on its disk, asked before anything of it is written: a build that fills the disk takes the state file, the
//! log and everybody else on the volume with it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::plan::Plan;
use super::{Kind, Listing};

/// What is left over of a build: metadata of the tree, its `.git` file, and a folder or two above it.
const FILES_BESIDE: u64 = 8;
/// Bytes of an entry in the manifest beside its path: 62 and some padding, and what is written at its end.
const ENTRY_BYTES: u64 = 72;
/// A link's target up to this is kept in its inode.
const SHORT_LINK: u64 = 60;
/// Estimates below these are not looked at: a disk that has no room for them has none for the fetch that came before.
const TINY: Need = Need { bytes: 1 << 20, inodes: 64 };

/// What a build takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Need {
    /// On disk: whole blocks.
    pub bytes: u64,
    /// Files, folders and links.
    pub inodes: u64,
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// For those without privileges.
    pub bytes: u64,
    /// `None`: the file system makes them as they are needed.
    pub inodes: Option<u64>,
}

/// A disk that is too small.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the tree needs {} and {} inodes on `{}`; there are {} and {}",
    Bytes(self.need.bytes), Thousands(self.need.inodes), self.path.display(), Bytes(self.free.bytes),
    self.free.inodes.map_or_else(|| "enough".to_owned(), |inodes| Thousands(inodes).to_string())
)]
pub struct Shortage {
    /// What is needed.
    pub need: Need,
    /// What there is.
    pub free: Free,
    /// Where.
    pub path: PathBuf,
}

/// What this plan takes up in blocks of `block` bytes. The sizes are those of the blobs; a conversion can make files larger. What a
/// spare frees on the way is not subtracted: it is freed after the new files are there. `shared`: what readers have is cloned.
pub fn need(plan: &Plan, listing: &Listing, shared: bool, block: u64) -> Need {
    let block = block.max(1);
    let whole = |bytes: u64| bytes.div_ceil(block).saturating_mul(block);
    let files = plan.write.iter().filter(|work| !(shared && work.same));
    let files = files.map(|work| listing.entry(work.entry)).map(|entry| match entry.kind {
        Kind::Symlink if entry.size < SHORT_LINK => 0,
        _ => whole(entry.size),
    });
    let folders = plan.make_folders.len() as u64;
    let manifest: u64 = listing.paths().map(|path| path.len() as u64 + ENTRY_BYTES).sum();
    let bytes = files.fold(0, u64::saturating_add);
    let beside = (folders + FILES_BESIDE).saturating_mul(block);
    Need {
        bytes: bytes.saturating_add(whole(manifest)).saturating_add(beside),
        inodes: plan.write.len() as u64 + folders + FILES_BESIDE,
    }
}

/// Whether it fits.
pub fn fits(need: Need, free: Free) -> bool {
    let tiny = need.bytes <= TINY.bytes && need.inodes <= TINY.inodes;
    tiny || (need.bytes <= free.bytes && free.inodes.is_none_or(|inodes| need.inodes <= inodes))
}

/// Asks the file system of `dir` whether there is room for what the plan writes. One that does not answer is taken to have room:
/// the write will tell.
pub fn check(plan: &Plan, listing: &Listing, shared: bool, dir: &Path) -> Result<(), Shortage> {
    let Ok(disk) = rustix::fs::statvfs(dir) else { return Ok(()) };
    let block = if disk.f_frsize == 0 { disk.f_bsize } else { disk.f_frsize };
    let need = need(plan, listing, shared, block);
    let free = Free {
        bytes: disk.f_bavail.saturating_mul(block),
        // btrfs has no number of inodes at all.
        inodes: (disk.f_files > 0).then_some(disk.f_favail),
    };
    // A file server that does not know the size of its own disk says that it has none.
    if disk.f_blocks == 0 || fits(need, free) {
        return Ok(());
    }
    Err(Shortage { need, free, path: dir.to_owned() })
}

/// `12.3 MiB`.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        write!(f, "{value:.1} {}", UNITS[unit])
    }
}

/// `4,012`.
struct Thousands(u64);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.char_indices() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Entry;
    use super::super::plan::{Mtime, OnDisk, plan};
    use super::*;
    use gix::ObjectId;

    fn listing(files: &[(&'static str, Kind, u64)]) -> Listing {
        let id = ObjectId::null(gix::hash::Kind::Sha1);
        let entry = |(path, kind, size): &(&'static str, Kind, u64)| Entry {
            path: (*path).into(),
            kind: *kind,
            id,
            size: *size,
        };
        Listing::of(files.iter().map(entry))
    }

    #[test]
    fn files_are_counted_in_whole_blocks_and_short_links_in_none() {
        let listing = listing(&[
            ("a.py", Kind::File, 1),
            ("dags/b.py", Kind::Executable, 4097),
            ("dags/empty", Kind::File, 0),
            ("dags/link", Kind::Symlink, 20),
            ("sub", Kind::Submodule, 0),
        ]);
        let all = plan(OnDisk::default(), OnDisk::default(), &listing, Mtime::default());
        let need = need(&all, &listing, false, 4096);
        // 1 + 2 blocks of files, the manifest, and the top, `dags`, `sub` and what is beside.
        assert_eq!(need, Need { bytes: (3 + 1 + 3 + 8) * 4096, inodes: 4 + 3 + 8 });
        assert_eq!(
            super::need(&all, &listing, false, 0).inodes,
            need.inodes,
            "a file system that names no block size"
        );
    }

    #[test]
    fn both_bytes_and_inodes_must_fit_and_tiny_things_are_let_through() {
        let need = Need { bytes: 10 << 20, inodes: 1000 };
        let free = |bytes, inodes| Free { bytes, inodes };
        assert!(fits(need, free(10 << 20, Some(1000))));
        assert!(!fits(need, free((10 << 20) - 1, Some(1000))));
        assert!(!fits(need, free(10 << 20, Some(999))));
        assert!(fits(need, free(10 << 20, None)), "inodes are made as they are needed");
        assert!(fits(Need { bytes: 1 << 20, inodes: 64 }, free(0, Some(0))));
        assert!(!fits(Need { bytes: 1, inodes: 65 }, free(0, Some(0))));
        assert!(!fits(Need { bytes: u64::MAX, inodes: 1 }, free(u64::MAX - 1, None)));
    }

    #[test]
    fn a_shortage_is_told_in_units_that_people_read() {
        let shortage = Shortage {
            need: Need { bytes: 12_900_000, inodes: 4012 },
            free: Free { bytes: 3_250_000, inodes: Some(40) },
            path: "/git".into(),
        };
        assert_eq!(
            shortage.to_string(),
            "the tree needs 12.3 MiB and 4,012 inodes on `/git`; there are 3.1 MiB and 40"
        );
        assert_eq!(Thousands(1_234_567).to_string(), "1,234,567");
        assert_eq!(Bytes(5 << 40).to_string(), "5.0 TiB");
    }
}
