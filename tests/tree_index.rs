//! Git's index as we read and write it, beside git's own and gix's.

mod support;

use std::fs;
use std::path::Path;

use dagsync::tree::index::{Index, Writer};
use gix::ObjectId;
use gix::bstr::BString;
use gix::hash::Kind;
use gix::index::decode::Options;
use gix::index::entry::stat::Time;
use gix::index::entry::{Mode, Stat};
use support::{Repo, temp};

type Entry = (BString, ObjectId, Mode, Stat);

/// As gix reads it.
fn by_gix(path: &Path) -> Vec<Entry> {
    let file = gix::index::File::at(path, Kind::Sha1, false, Options::default()).unwrap();
    file.entries()
        .iter()
        .map(|entry| (entry.path(&file).to_owned(), entry.id, entry.mode, entry.stat))
        .collect()
}

fn by_us(index: &Index) -> Vec<Entry> {
    let entries = index.entries();
    entries.map(|entry| (entry.path.to_owned(), entry.id.to_owned(), entry.mode, entry.stat())).collect()
}

/// A repository with files whose paths end at every place of a word.
fn repo(folder: &Path) -> Repo {
    let repo = Repo::new(folder.join("repo"));
    for length in 1..20 {
        repo.write(&format!("dags/{}", "n".repeat(length)), format!("{length}\n"));
    }
    repo.commit_all("files");
    repo
}

#[test]
fn whatever_git_made_of_an_index_it_is_read_as_gix_reads_it() {
    let folder = temp();
    let repo = repo(folder.path());
    let path = repo.work().join(".git/index");
    let commands: &[&[&str]] = &[
        &["update-index", "--index-version", "2"],
        &["update-index", "--assume-unchanged", "dags/n"],
        &["update-index", "--index-version", "4"],
        // An extended flag needs version 3.
        &["update-index", "--index-version", "2", "--skip-worktree", "dags/nn"],
        &["update-index", "--split-index"],
    ];
    for command in commands {
        repo.git(command);
        let index = Index::read(&path, Kind::Sha1).unwrap_or_else(|| panic!("{command:?}"));
        assert_eq!(by_us(&index), by_gix(&path), "{command:?}");
        let file = gix::index::File::at(&path, Kind::Sha1, false, Options::default()).unwrap();
        assert_eq!(index.checksum(), file.checksum().as_deref(), "{command:?}");
        assert_eq!(index.len(), 19);
    }
}

#[test]
fn what_is_written_is_read_by_gix_with_paths_of_any_length() {
    let folder = temp();
    let path = folder.path().join("index");
    let wrote: Vec<Entry> = [1, 2, 7, 8, 9, 62, 63, 255, 4093, 4094]
        .into_iter()
        .zip(1_u32..)
        .map(|(length, n)| {
            let (ctime, mtime) = (Time { secs: n, nsecs: n + 1 }, Time { secs: n + 2, nsecs: n + 3 });
            let stat =
                Stat { ctime, mtime, dev: n + 4, ino: n + 5, uid: n + 6, gid: n + 7, size: u32::MAX - n };
            let mode = [Mode::FILE, Mode::FILE_EXECUTABLE, Mode::SYMLINK, Mode::COMMIT][n as usize % 4];
            ("p".repeat(length).into(), ObjectId::from_bytes_or_panic(&[n as u8; 20]), mode, stat)
        })
        .collect();
    let mut writer = Writer::new(Vec::new(), wrote.len(), Kind::Sha1).unwrap();
    for (path, id, mode, stat) in &wrote {
        writer.put(path.as_ref(), id, *mode, stat).unwrap();
    }
    let (bytes, checksum) = writer.finish().unwrap();
    fs::write(&path, &bytes).unwrap();
    assert_eq!(by_gix(&path), wrote);
    let index = Index::read(&path, Kind::Sha1).unwrap();
    assert_eq!((by_us(&index), index.checksum()), (wrote, Some(checksum.as_ref())));
    // Longer than the flags can say: they end where their zeroes begin.
    let long = ["q".repeat(4095), "q".repeat(5000), "r".to_owned()];
    let mut writer = Writer::new(Vec::new(), long.len(), Kind::Sha1).unwrap();
    for path in &long {
        writer.put(path.as_str().into(), &checksum, Mode::FILE, &Stat::default()).unwrap();
    }
    let index = Index::of_bytes(&writer.finish().unwrap().0, Kind::Sha1).unwrap();
    assert!(index.entries().map(|entry| entry.path).eq(long.iter().map(|path| path.as_str())));
}

#[test]
fn an_index_that_is_cut_or_changed_anywhere_is_none() {
    let folder = temp();
    let repo = repo(folder.path());
    let bytes = fs::read(repo.work().join(".git/index")).unwrap();
    assert!(Index::of_bytes(&bytes, Kind::Sha1).is_some());
    for at in 0..bytes.len() {
        assert!(Index::of_bytes(&bytes[..at], Kind::Sha1).is_none(), "cut at {at}");
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(Index::of_bytes(&changed, Kind::Sha1).is_none(), "changed at {at}");
    }
    // Without a sum nothing shows that it was changed, but nothing leads out of it either.
    let end = bytes.len() - 20;
    for at in 0..end {
        for value in [0, 1, 0x0f, 0x40, 0x7f, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            changed[end..].fill(0);
            if let Some(index) = Index::of_bytes(&changed, Kind::Sha1) {
                let within = |entry: &Entry| entry.0.len() < bytes.len();
                assert!(by_us(&index).iter().all(within), "{value} at {at}");
            }
        }
    }
}
