//! Blobs that are larger than the memory they may take: from the network to the tree, and back out of a delta.

mod support;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use dagsync::git::pack::{Error, MOST_OBJECTS, read_blob, stream_blob};
use dagsync::git::{Store, pack};
use gix::ObjectId;
use gix::zlib::Compression;
use gix::zlib::stream::deflate;
use support::observe::sidecar;
use support::pack::{ObjectKind, Pack, delta_size};
use support::repo::run_with_input;
use support::{Agent, GitServer, Repo, temp};

const MIB: usize = 1 << 20;

/// The most anonymous memory that an agent has had, in KiB, looked at every millisecond.
struct Peak {
    most: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Peak {
    fn of(agent: &Agent) -> Peak {
        let status = format!("/proc/{}/status", agent.pid());
        let (most, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, end) = (most.clone(), done.clone());
        let watcher = std::thread::spawn(move || {
            // Nothing is ever sent: a pace, no wait for anything.
            let (_keep, pace) = std::sync::mpsc::channel::<()>();
            while !end.load(Ordering::Relaxed) {
                let text = fs::read_to_string(&status).unwrap_or_default();
                let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
                let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0);
                seen.fetch_max(number, Ordering::Relaxed);
                let _ = pace.recv_timeout(Duration::from_millis(1));
            }
        });
        Peak { most, done, watcher: Some(watcher) }
    }

    fn mebibytes(mut self) -> u64 {
        self.done.store(true, Ordering::Relaxed);
        self.watcher.take().unwrap().join().unwrap();
        self.most.load(Ordering::Relaxed) / 1024
    }
}

fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes
}

/// Compares without holding both whole.
#[track_caller]
fn same(path: &Path, wanted: &[u8]) {
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; MIB];
    let mut rest = wanted;
    loop {
        let len = file.read(&mut buffer).unwrap();
        if len == 0 {
            break;
        }
        assert!(rest.len() >= len && buffer[..len] == rest[..len], "{} differs", path.display());
        rest = &rest[len..];
    }
    assert!(rest.is_empty(), "{} is too short", path.display());
}

fn upstream(dir: &Path) -> Repo {
    let repo = Repo::bare(dir.join("srv/up.git"));
    // Not the compression is tested; it would take most of the time.
    repo.config("core.compression", "0").config("pack.compression", "0");
    repo
}

/// Publishes a random file of this size from an upstream at the place that `url` tells, and looks at the memory.
#[track_caller]
fn passes(len: usize, url: impl Fn(&Repo, &GitServer) -> String) {
    let dir = temp();
    let repo = upstream(dir.path());
    let content = random(len);
    repo.write("large.bin", &content).write("dags/a.py", "a = 1\n");
    let head = repo.commit_all("a large file");
    let server = GitServer::plain(dir.path().join("srv"));
    let root = dir.path().join("root");
    let agent = sidecar(url(&repo, &server), &root).args(["--period=100ms"]).start();
    let peak = Peak::of(&agent);
    agent.wait_published(&root, "current", &head);
    let peak = peak.mebibytes();
    assert!(peak <= 64, "{peak} MiB of memory");
    same(&root.join("current/large.bin"), &content);
}

#[test]
fn a_blob_of_256_mebibytes_passes_in_a_fraction_of_its_size() {
    passes(256 * MIB, |_, server| server.url("up.git"));
}

#[test]
fn a_large_blob_of_a_local_upstream_is_streamed_too() {
    passes(128 * MIB, |repo, _| repo.git_dir().display().to_string());
}

#[test]
fn a_large_blob_that_comes_as_a_delta_passes_in_bounded_memory() {
    let dir = temp();
    let repo = upstream(dir.path());
    let mut content = random(48 * MIB);
    repo.write("large.bin", &content);
    let first = repo.commit_all("a large file");
    let server = GitServer::plain(dir.path().join("srv"));
    let root = dir.path().join("root");
    let agent = sidecar(server.url("up.git"), &root).args(["--period=100ms"]).start();
    agent.wait_published(&root, "current", &first);
    content[20 * MIB..20 * MIB + 5].copy_from_slice(b"other");
    content.extend_from_slice(b"and a tail");
    repo.write("large.bin", &content);
    let second = repo.commit_all("it changes a little");
    let peak = Peak::of(&agent);
    agent.wait_published(&root, "current", &second);
    let peak = peak.mebibytes();
    assert!(peak <= 64, "{peak} MiB of memory");
    same(&root.join("current/large.bin"), &content);
    let blob = repo.id("HEAD:large.bin");
    assert_eq!(packs_with_delta(&repo, &root, &blob), 1, "it came as a delta, or this shows nothing");
}

/// Lines of text with a keyword in the first, one in the middle and one in the last line, and what git's checkout makes of them
/// with `$Id$` expanded and other ends of lines.
fn lines(len: usize, end: &str, id: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(len + len / 8);
    let count = len / 64;
    for number in 0..count {
        let keyword = [0, count / 2, count - 1].contains(&number);
        let word = if keyword { id } else { "a line of a table that somebody committed" };
        write!(text, "{number:09} {word}, \u{fc} and so on{end}").unwrap();
    }
    text
}

#[test]
fn a_large_text_that_attributes_convert_passes_in_bounded_memory() {
    let dir = temp();
    let repo = upstream(dir.path());
    let utf16 = |text: &[u8]| -> Vec<u8> {
        std::str::from_utf8(text).unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    repo.write("guessed.txt", lines(24 * MIB, "\n", "$Id$"));
    repo.write("binary.txt", [lines(8 * MIB, "\n", "$Id$"), vec![0]].concat());
    repo.write("large.sql", lines(200 * MIB, "\n", "$Id$"));
    // Without rules, or git would convert them the other way.
    repo.commit_all("large texts");
    let rules = "*.sql text eol=crlf ident\n*.txt text=auto eol=crlf ident\nguessed.txt working-tree-encoding=UTF-16LE\n";
    let head = repo.commit(&[(".gitattributes", rules)]);
    let server = GitServer::plain(dir.path().join("srv"));
    let root = dir.path().join("root");
    let agent = sidecar(server.url("up.git"), &root)
        .args(["--period=100ms", "--verify-period=20ms", "--log-format=json", "--verbose=1"])
        .start();
    let peak = Peak::of(&agent);
    agent.wait_published(&root, "current", &head);
    let id = |path: &str| format!("$Id: {} $", repo.id(&format!("HEAD:{path}")));
    same(&root.join("current/large.sql"), &lines(200 * MIB, "\r\n", &id("large.sql")));
    same(&root.join("current/guessed.txt"), &utf16(&lines(24 * MIB, "\r\n", &id("guessed.txt"))));
    let binary = [lines(8 * MIB, "\n", &id("binary.txt")), vec![0]].concat();
    same(&root.join("current/binary.txt"), &binary);
    // It is compared with its commit in as little memory.
    let parts = || agent.stderr().matches("a part of the published tree was verified").count();
    agent.wait_until("the tree to be verified", || parts() >= 5);
    assert!(!agent.stderr().contains("other content"), "{}", agent.stderr());
    let peak = peak.mebibytes();
    assert!(peak <= 64, "{peak} MiB of memory");
}

/// In how many packs of an agent a blob is a delta.
fn packs_with_delta(repo: &Repo, root: &Path, blob: &str) -> usize {
    let deltas = fs::read_dir(root.join(".git/objects/pack")).unwrap().filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        let is_pack = path.extension().is_some_and(|ext| ext == "pack");
        // A delta's line has two fields more: its depth and its base.
        is_pack
            && repo
                .git(&["verify-pack", "-v", path.to_str().unwrap()])
                .lines()
                .any(|line| line.starts_with(blob) && line.split_whitespace().count() == 7)
    });
    deltas.count()
}

#[test]
fn a_small_blob_that_comes_as_a_delta_of_a_large_one_passes_in_bounded_memory() {
    let dir = temp();
    let repo = upstream(dir.path());
    let content = random(100 * MIB);
    repo.write("large.bin", &content);
    let first = repo.commit_all("a large file");
    let server = GitServer::plain(dir.path().join("srv"));
    let root = dir.path().join("root");
    let agent = sidecar(server.url("up.git"), &root).args(["--period=100ms"]).start();
    agent.wait_published(&root, "current", &first);
    // Below what is streamed for its own size, and not below a 32nd of its base, or git would not make a delta of it.
    let kept = &content[..3 * MIB + MIB / 2];
    repo.write("large.bin", kept);
    let second = repo.commit_all("it is cut");
    let peak = Peak::of(&agent);
    agent.wait_published(&root, "current", &second);
    let peak = peak.mebibytes();
    assert!(peak <= 64, "{peak} MiB of memory");
    same(&root.join("current/large.bin"), kept);
    let blob = repo.id("HEAD:large.bin");
    assert_eq!(packs_with_delta(&repo, &root, &blob), 1, "it came as a delta, or this shows nothing");
}

fn id_of(kind: gix::objs::Kind, content: &[u8]) -> ObjectId {
    gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, content).unwrap()
}

#[test]
fn an_object_of_one_byte_never_takes_the_memory_of_its_base() {
    let go_on = AtomicBool::new(false);
    for (kind, code) in [(gix::objs::Kind::Blob, ObjectKind::Blob), (gix::objs::Kind::Tag, ObjectKind::Tag)] {
        let base = vec![0; 40 * MIB];
        // Inserts one byte and copies nothing.
        let delta = [&delta_size(base.len() as u64)[..], &[1, 1, b'x']].concat();
        let base_id = id_of(kind, &base);
        let bytes =
            Pack::claiming(2).object(code, &base).reference_delta(&base_id.to_string(), &delta).finish();
        let dir = temp();
        let store = Store::open(&dir.path().join("root/.git"), false).unwrap();
        pack::receive(&store, &mut &bytes[..], None, MOST_OBJECTS, &go_on).unwrap();
        let objects = store.objects().unwrap();
        let id = id_of(kind, b"x");
        let mut buffer = Vec::new();
        // No honest repository has such a commit, tree or tag.
        assert!(store.find(&objects, &id, &mut buffer).is_err(), "{kind}");
        assert!(buffer.capacity() < 25 * MIB, "{kind}: {} bytes", buffer.capacity());
        let mut buffer = Vec::new();
        let read = read_blob(&objects, &id, &mut buffer, &go_on);
        match kind {
            gix::objs::Kind::Blob => {
                read.unwrap();
                assert_eq!(buffer, b"x");
                assert!(buffer.capacity() < MIB, "{} bytes", buffer.capacity());
            }
            _ => assert!(matches!(read, Err(Error::Damaged(_))), "{read:?}"),
        }
    }
}

/// A store with what `pack-objects` makes of a repository.
fn store_of(repo: &Repo, dir: &Path, options: &[&str]) -> Store {
    let store = Store::open(&dir.join("root/.git"), false).unwrap();
    let mut command = repo.command();
    command.args(["pack-objects", "--all", "--revs", "--stdout", "-q"]).args(options);
    let packed = run_with_input(&mut command, b"");
    assert!(packed.status.success());
    pack::receive(&store, &mut &packed.stdout[..], None, MOST_OBJECTS, &AtomicBool::new(false)).unwrap();
    store
}

#[test]
fn a_chain_of_large_deltas_is_streamed_as_it_was() {
    let dir = temp();
    let repo = upstream(dir.path());
    let mut content = random(10 * MIB);
    let mut versions = Vec::new();
    for round in 0..4_usize {
        content[round * MIB] ^= 1;
        content.extend_from_slice(format!("round {round}").as_bytes());
        repo.write("large.bin", &content);
        repo.commit_all("a round");
        versions.push((repo.id("HEAD:large.bin"), content.clone()));
    }
    for options in [&["--delta-base-offset"][..], &[]] {
        let folder = temp();
        let store = store_of(&repo, folder.path(), options);
        let objects = store.objects().unwrap();
        for (id, wanted) in &versions {
            let mut out = Vec::new();
            let id = ObjectId::from_hex(id.as_bytes()).unwrap();
            let size = stream_blob(&objects, &id, &mut out, &AtomicBool::new(false)).unwrap();
            assert_eq!(size, wanted.len() as u64);
            assert!(out == *wanted);
        }
        let left = fs::read_dir(store.pack_dir()).unwrap().count();
        assert_eq!(left, 2, "the pack and its index");
    }
}

#[test]
fn loose_blobs_are_streamed_and_damage_is_noticed() {
    let dir = temp();
    let repo = upstream(dir.path());
    let content = random(5 * MIB);
    repo.write("large.bin", &content);
    repo.commit_all("loose");
    let store = Store::open(&dir.path().join("root/.git"), false).unwrap();
    let id = repo.id("HEAD:large.bin");
    let place = store.dir().join("objects").join(&id[..2]);
    fs::create_dir_all(&place).unwrap();
    let from = repo.git_dir().join("objects").join(&id[..2]).join(&id[2..]);
    let to = place.join(&id[2..]);
    let mut bytes = fs::read(from).unwrap();
    fs::write(&to, &bytes).unwrap();
    let objects = store.objects().unwrap();
    let id = ObjectId::from_hex(id.as_bytes()).unwrap();
    let go_on = AtomicBool::new(false);
    let mut out = Vec::new();
    assert_eq!(stream_blob(&objects, &id, &mut out, &go_on).unwrap(), content.len() as u64);
    assert!(out == content);
    let stopped = stream_blob(&objects, &id, &mut Vec::new(), &AtomicBool::new(true));
    assert!(matches!(stopped, Err(Error::Interrupted)), "{stopped:?}");
    // A bit of the content; zlib's own sum and ours both see it.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&to, &bytes).unwrap();
    let damaged = stream_blob(&objects, &id, &mut Vec::new(), &go_on);
    assert!(matches!(damaged, Err(Error::Damaged(_))), "{damaged:?}");
    fs::remove_file(&to).unwrap();
    let missing = stream_blob(&objects, &id, &mut Vec::new(), &go_on);
    assert!(matches!(missing, Err(Error::Damaged(_))), "{missing:?}");
}

#[test]
fn a_loose_blob_that_never_ends_is_cut_off_where_it_should_have_ended() {
    let dir = temp();
    let store = Store::open(&dir.path().join("root/.git"), false).unwrap();
    let id = ObjectId::from_hex(&[b'5'; 40]).unwrap();
    let file = store.dir().join("objects/55").join("5".repeat(38));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let bomb = [b"blob 5000000\0".to_vec(), vec![0; 64 * MIB]].concat();
    let mut deflated = deflate::Write::new(File::create(&file).unwrap(), Compression::DEFAULT);
    deflated.write_all(&bomb).unwrap();
    deflated.flush().unwrap();
    let mut out = Vec::new();
    let said = stream_blob(&store.objects().unwrap(), &id, &mut out, &AtomicBool::new(false));
    assert!(matches!(&said, Err(Error::Damaged(why)) if why.contains("longer")), "{said:?}");
    assert!(out.len() <= 5_000_000, "{} bytes came", out.len());
}
