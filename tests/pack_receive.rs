//! Packs as git makes them, received by us: git finds in our index and our pack what its own would be.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use dagsync::git::Store;
use dagsync::git::pack::{Error, MOST_OBJECTS, Received, receive};
use gix::ObjectId;
use gix::hash::Kind;
use support::pack::{ObjectKind, Pack, checksum, delta, delta_size};
use support::repo::{git, run_with_input, text_of};
use support::{Repo, temp};
use tempfile::TempDir;

static GO_ON: AtomicBool = AtomicBool::new(false);

/// A store with nothing in it.
struct Empty {
    store: Store,
    dir: TempDir,
}

impl Empty {
    fn new(hash: Kind) -> Empty {
        let dir = temp();
        let mut store = Store::open(&dir.path().join(".git"), false).unwrap();
        store.set_hash(hash).unwrap();
        Empty { store, dir }
    }

    /// Receives a pack in pieces of this size, with deltas of what is there allowed or not.
    fn take(&self, pack: &[u8], piece: usize, thin: bool) -> Result<Received, Error> {
        let bases = thin.then(|| self.store.objects().unwrap());
        receive(&self.store, &mut BufReader::with_capacity(piece, pack), bases.as_ref(), MOST_OBJECTS, &GO_ON)
    }

    fn files(&self) -> BTreeSet<String> {
        let names = fs::read_dir(self.store.pack_dir()).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    fn git(&self, args: &[&str]) -> String {
        text_of("git", git().arg("--git-dir").arg(self.store.dir()).args(args).output().unwrap())
    }

    /// Git agrees with everything about the pack that was received.
    #[track_caller]
    fn approves(&self, received: &Received) {
        let pack = received.path.clone().expect("a pack");
        let text = pack.to_str().unwrap();
        let ours = fs::read(pack.with_extension("idx")).unwrap();
        let theirs = self.dir.path().join("theirs.idx");
        let _ = fs::remove_file(&theirs);
        let format = format!("--object-format={}", self.store.hash());
        self.git(&["index-pack", &format, "-o", theirs.to_str().unwrap(), text]);
        assert!(ours == fs::read(&theirs).unwrap(), "the index is git's");
        self.git(&["verify-pack", text]);
        assert_eq!(received.bytes, pack.metadata().unwrap().len());
        let asked: String = received.known.ids().map(|id| format!("{id}\n")).collect();
        let told = run_with_input(
            git().arg("--git-dir").arg(self.store.dir()).args(["cat-file", "--batch-check"]),
            asked.as_bytes(),
        );
        let told = text_of("git cat-file", told);
        assert_eq!(told.lines().count() as u64, received.objects);
        for (id, line) in received.known.ids().zip(told.lines()) {
            let header = received.known.header(&id).unwrap();
            assert_eq!(line, format!("{id} {} {}", header.kind, header.size));
        }
    }
}

/// Texts that change a little from commit to commit, small and not so small, and some that do not.
fn random_repository(seed: u64, hash: Kind) -> (TempDir, Repo) {
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = temp();
    let repo = match hash {
        Kind::Sha1 => Repo::bare(dir.path().join("repo")),
        _ => Repo::bare_sha256(dir.path().join("repo")),
    };
    let mut files: Vec<(String, Vec<String>)> = (0..12)
        .map(|n| {
            let lines = [3, 40, 400, 9000][n % 4];
            let text = (0..lines).map(|_| format!("{:016x} of a line\n", random.u64(..))).collect();
            (format!("dir{}/f{n}.py", n % 5), text)
        })
        .collect();
    for round in 0..10 {
        for (path, lines) in &mut files {
            for _ in 0..random.usize(0..4) {
                let at = random.usize(0..lines.len());
                match random.u8(0..3) {
                    0 => lines[at] = format!("changed in {round}\n"),
                    1 => lines.insert(at, format!("new in {round} {}\n", random.u32(..))),
                    _ => lines.rotate_left(at),
                }
            }
            repo.write(path, lines.concat());
        }
        repo.commit_all("a round");
    }
    repo.annotated_tag("v1", 1_700_000_000);
    (dir, repo)
}

/// What `pack-objects` makes of these revisions.
fn packed(repo: &Repo, options: &[&str], revisions: &str) -> Vec<u8> {
    let mut command = repo.command();
    command.args(["pack-objects", "--revs", "--stdout", "-q"]).args(options);
    let output = run_with_input(&mut command, revisions.as_bytes());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn git_finds_its_own_index_behind_every_pack() {
    for (seed, hash) in [(1, Kind::Sha1), (2, Kind::Sha256), (3, Kind::Sha1)] {
        let (_dir, repo) = random_repository(seed, hash);
        let everything = "HEAD\nv1\n";
        for (options, piece) in [
            (&["--delta-base-offset"][..], 65_536),
            (&["--delta-base-offset", "--depth=200", "--window=50", "--no-reuse-delta"], 100),
            (&["--no-reuse-delta"], 1),
            (&["--window=0"], 7),
        ] {
            let pack = packed(&repo, options, everything);
            let empty = Empty::new(hash);
            let received = empty.take(&pack, piece, false).unwrap();
            assert_eq!(fs::read(received.path.as_ref().unwrap()).unwrap(), pack, "as it came");
            empty.approves(&received);
            empty.git(&["fsck", "--full", "--strict"]);
            assert_eq!(empty.files().len(), 2);
        }
    }
}

#[test]
fn a_thin_pack_is_completed_and_git_finds_it_whole() {
    for (seed, hash) in [(4, Kind::Sha1), (5, Kind::Sha256)] {
        let (_dir, repo) = random_repository(seed, hash);
        for options in [&["--thin", "--delta-base-offset"][..], &["--thin"]] {
            let empty = Empty::new(hash);
            let before = packed(&repo, &["--delta-base-offset"], "HEAD~4\n");
            empty.approves(&empty.take(&before, 4096, false).unwrap());
            let thin = packed(&repo, options, "HEAD\n^HEAD~4\n");
            let lone = Empty::new(hash);
            let error = lone.take(&thin, 4096, false).unwrap_err();
            assert!(matches!(error, Error::Damaged(_)), "{error:?}");
            assert!(matches!(lone.take(&thin, 4096, true).unwrap_err(), Error::Damaged(_)));
            assert_eq!(lone.files().len(), 0);
            let received = empty.take(&thin, 4096, true).unwrap();
            assert!(received.bytes > thin.len() as u64, "bases were added");
            empty.approves(&received);
            let head = repo.head();
            assert_eq!(
                empty.git(&["rev-list", "--objects", &head]),
                repo.git(&["rev-list", "--objects", &head])
            );
            empty.git(&["fsck", "--full"]);
        }
    }
}

#[test]
fn deltas_may_come_before_their_bases_and_in_long_chains() {
    let texts: Vec<String> = (0..600).map(|n| format!("text {n}")).collect();
    let id =
        |text: &str| gix::objs::compute_hash(Kind::Sha1, gix::objs::Kind::Blob, text.as_bytes()).unwrap();
    // The last of the chain first; each is a delta of the one that comes next.
    let mut pack = Pack::claiming(texts.len() as u32);
    for pair in texts.windows(2).rev() {
        let base = u8::try_from(pair[0].len()).unwrap();
        pack = pack.reference_delta(&id(&pair[0]).to_string(), &delta(base, pair[1].as_bytes()));
    }
    let pack = pack.object(ObjectKind::Blob, texts[0].as_bytes()).finish();
    let empty = Empty::new(Kind::Sha1);
    let received = empty.take(&pack, 50, false).unwrap();
    empty.approves(&received);
    let wanted: BTreeSet<ObjectId> = texts.iter().map(|text| id(text)).collect();
    assert_eq!(received.known.ids().collect::<BTreeSet<_>>(), wanted);
}

/// A delta that keeps a base of this size, and adds a byte.
fn one_more(base: usize, byte: u8) -> Vec<u8> {
    let size = (base as u32).to_le_bytes();
    let copy = [0xf0, size[0], size[1], size[2]];
    [&delta_size(base as u64)[..], &delta_size(base as u64 + 1), &copy, &[1, byte]].concat()
}

#[test]
fn a_wide_tree_of_middling_deltas_is_made_whatever_must_wait_on_disk() {
    let id = |data: &[u8]| gix::objs::compute_hash(Kind::Sha1, gix::objs::Kind::Blob, data).unwrap();
    let mut contents = vec![vec![7; 6 << 20]];
    let mut pack = Pack::claiming(31);
    // Each has two deltas, which come before it or after it, and all of a path down are needed at once.
    for child in 1..31_usize {
        let parent = &contents[(child - 1) / 2];
        pack = pack.reference_delta(&id(parent).to_string(), &one_more(parent.len(), child as u8));
        let content = [&parent[..], &[child as u8]].concat();
        contents.push(content);
    }
    let pack = pack.object(ObjectKind::Blob, &contents[0]).finish();
    let empty = Empty::new(Kind::Sha1);
    let received = empty.take(&pack, 65_536, false).unwrap();
    let wanted: BTreeSet<ObjectId> = contents.iter().map(|content| id(content)).collect();
    assert_eq!(received.known.ids().collect::<BTreeSet<_>>(), wanted);
    empty.approves(&received);
    assert_eq!(empty.files().len(), 2);
}

#[test]
fn a_delta_that_asks_for_a_full_disk_is_refused_at_once() {
    for size in [(4 << 30) + 1, 1 << 40, u64::MAX] {
        let bomb = [&[4][..], &delta_size(size), &[0x90, 4]].concat();
        let pack = Pack::claiming(2).object(ObjectKind::Blob, b"base").offset_delta(16, &bomb).finish();
        let empty = Empty::new(Kind::Sha1);
        let error = empty.take(&pack, 64, false).unwrap_err();
        assert!(error.to_string().contains("too large"), "{error}");
        assert_eq!(empty.files().len(), 0);
    }
}

#[test]
fn a_pack_of_nothing_leaves_nothing() {
    let empty = Empty::new(Kind::Sha1);
    let received = empty.take(&Pack::claiming(0).finish(), 10, true).unwrap();
    assert_eq!((received.objects, received.path), (0, None));
    assert!(received.known.is_empty());
    assert_eq!(empty.files().len(), 0);
}

#[test]
fn a_circle_of_deltas_is_an_error() {
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    let pack =
        Pack::claiming(2).reference_delta(&a, &delta(1, b"x")).reference_delta(&b, &delta(1, b"y")).finish();
    for thin in [false, true] {
        let empty = Empty::new(Kind::Sha1);
        assert!(matches!(empty.take(&pack, 64, thin), Err(Error::Damaged(_))));
        assert_eq!(empty.files().len(), 0);
    }
}

#[test]
fn every_cut_every_flip_and_every_tail_leaves_nothing() {
    let base = b"a base that is long enough to copy from";
    let copies = [base.len() as u8, 8, 0x90, 4, 4, b'm', b'o', b'r', b'e'];
    let good = Pack::claiming(3)
        .object(ObjectKind::Blob, base)
        .offset_delta(52, &copies)
        .object(ObjectKind::Blob, b"last")
        .finish();
    let empty = Empty::new(Kind::Sha1);
    let received = empty.take(&good, 9, false).unwrap();
    empty.approves(&received);
    for end in 0..good.len() {
        let other = Empty::new(Kind::Sha1);
        assert!(other.take(&good[..end], 9, false).is_err(), "cut at {end}");
        assert_eq!(other.files().len(), 0, "cut at {end}");
    }
    let other = Empty::new(Kind::Sha1);
    assert!(other.take(&[&good[..], b"x"].concat(), 9, false).is_err());
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(other.take(&bad, 1000, false).is_err(), "bit {bit} of {at}");
            // With its checksum made right, it may be another good pack; never one that is not what it says.
            let end = bad.len() - 20;
            let sum = checksum(&bad[..end]);
            bad.splice(end.., sum);
            let once = Empty::new(Kind::Sha1);
            match once.take(&bad, 1000, true) {
                Err(Error::Damaged(_)) => assert_eq!(once.files().len(), 0),
                Err(error) => panic!("bit {bit} of {at}: {error:?}"),
                Ok(received) if at >= end => assert_eq!(received.objects, 3),
                Ok(received) => once.approves(&received),
            }
        }
    }
    assert_eq!(other.files().len(), 0);
}

#[test]
fn an_interrupted_pack_leaves_nothing() {
    let (_dir, repo) = random_repository(6, Kind::Sha1);
    let pack = packed(&repo, &["--delta-base-offset"], "HEAD\n");
    let empty = Empty::new(Kind::Sha1);
    let stopped = receive(&empty.store, &mut &pack[..], None, MOST_OBJECTS, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert_eq!(empty.files().len(), 0);
}

#[test]
fn what_is_in_place_can_be_read_by_everybody_and_written_by_nobody() {
    use std::os::unix::fs::PermissionsExt as _;
    let empty = Empty::new(Kind::Sha1);
    let received = empty.take(&Pack::claiming(1).object(ObjectKind::Blob, b"x").finish(), 64, false).unwrap();
    let path: PathBuf = received.path.unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.with_extension("idx"))), (0o444, 0o444));
}

#[test]
fn a_pack_of_more_objects_than_can_be_wanted_is_refused_before_they_take_memory() {
    let empty = Empty::new(Kind::Sha1);
    let three = |claimed| {
        let pack = Pack::claiming(claimed).object(ObjectKind::Blob, b"a").object(ObjectKind::Blob, b"b");
        pack.object(ObjectKind::Blob, b"c").finish()
    };
    let receive = |pack: &[u8], most| receive(&empty.store, &mut &pack[..], None, most, &GO_ON);
    let error = receive(&three(3), 2).unwrap_err();
    assert_eq!(error.to_string(), "it is of 3 objects, 2 at most can be wanted");
    // More than it claims is no way around.
    assert!(matches!(receive(&three(2), 2), Err(Error::Damaged(_))));
    assert!(empty.files().is_empty(), "{:?}", empty.files());
    assert_eq!(receive(&three(3), 3).unwrap().objects, 3);
}

#[test]
fn a_chain_of_deltas_may_be_as_long_as_git_makes_them_and_no_longer() {
    let texts: Vec<String> = (0..=4096).map(|n| format!("text {n}")).collect();
    let id =
        |text: &str| gix::objs::compute_hash(Kind::Sha1, gix::objs::Kind::Blob, text.as_bytes()).unwrap();
    let step = |pack: Pack, pair: &[String]| {
        let base = u8::try_from(pair[0].len()).unwrap();
        pack.reference_delta(&id(&pair[0]).to_string(), &delta(base, pair[1].as_bytes()))
    };
    for (deltas, good) in [(4095, true), (4096, false)] {
        let texts = &texts[..=deltas];
        let pack = Pack::claiming(texts.len() as u32);
        // Made when all is there: the base comes last.
        let late = texts.windows(2).rev().fold(pack, step).object(ObjectKind::Blob, texts[0].as_bytes());
        // Made while they come: the base of each is the entry before it.
        let mut early = Pack::claiming(texts.len() as u32).object(ObjectKind::Blob, texts[0].as_bytes());
        let mut entry = early.len() - 12;
        for pair in texts.windows(2) {
            let begin = early.len();
            let base = u8::try_from(pair[0].len()).unwrap();
            early = early.offset_delta(entry as u64, &delta(base, pair[1].as_bytes()));
            entry = early.len() - begin;
        }
        for pack in [late.finish(), early.finish()] {
            let empty = Empty::new(Kind::Sha1);
            match empty.take(&pack, 65_536, false) {
                Ok(received) => assert!(good && received.objects == deltas as u64 + 1, "{deltas}"),
                Err(err) => {
                    assert!(
                        !good && err.to_string() == "a chain of more than 4095 deltas",
                        "{deltas}: {err}"
                    );
                    assert!(empty.files().is_empty(), "{:?}", empty.files());
                }
            }
        }
    }
}
