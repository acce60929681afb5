//! Packs that no git would write: each is an error in bounded memory, and never in the way of the next honest one.

mod engine;
mod support;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dagsync::error::{Advice as _, Remedy};
use dagsync::git::Error;
use engine::{Engine, Site, failure};
use support::client::served;
use support::hostile::Asked;
use support::pack::{ObjectKind, Pack, Packet, body_of, checksum, delta, packets};
use support::repo::run_with_input;
use support::wait::PATIENCE;
use support::{Agent, Answer, Hostile, Repo, temp};

/// Answers fetches with what `spoil` makes of git's answer, as long as the switch is on.
fn over(
    repo: &Repo,
    spoil: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
) -> (Hostile, Arc<AtomicBool>) {
    let hostile = Arc::new(AtomicBool::new(true));
    let switch = hostile.clone();
    let server = Hostile::over(repo, move |asked, real| {
        if asked.is_fetch() && hostile.load(Ordering::SeqCst) { spoil(asked, real) } else { real }
    });
    (server, switch)
}

/// A fetch fails with a message about a damaged pack, leaves nothing, and the next honest one works.
#[track_caller]
fn refused(repo: &Repo, pack: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Error {
    let (server, hostile) = over(repo, move |_, real| real.with_pack(&pack));
    let mut engine = Engine::of(&server.url());
    let begun = Instant::now();
    let error = failure(engine.pull());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(matches!(error, Error::Pack { .. }), "{error:?}");
    assert!(error.to_string().contains("sent a damaged pack: "), "{error}");
    assert_eq!(error.remedy(), Remedy::Retry { after: None });
    let left: Vec<_> = fs::read_dir(engine.store.pack_dir()).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    hostile.store(false, Ordering::SeqCst);
    assert_eq!(engine.pull().unwrap(), repo.head());
    engine.git(&["fsck", "--no-dangling"]);
    error
}

/// A pack of exactly these objects of a repository.
fn pack_of(repo: &Repo, objects: &[String]) -> Vec<u8> {
    let list = objects.join("\n") + "\n";
    let packed = run_with_input(repo.command().args(["pack-objects", "-q", "--stdout"]), list.as_bytes());
    assert!(packed.status.success());
    packed.stdout
}

/// The objects of the tip, without its history and without those that `leave_out` names.
fn objects_of_tip(repo: &Repo, leave_out: &[String]) -> Vec<String> {
    let all = repo.git(&["rev-list", "--objects", "--no-walk", "HEAD"]);
    let ids = all.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned());
    ids.filter(|id| !leave_out.contains(id)).collect()
}

#[test]
fn truncated_pack() {
    let (_root, repo) = served();
    for keep in [0, 1, 11, 12, 13, 40] {
        refused(&repo, move |pack| pack.truncate(keep));
    }
    refused(&repo, |pack| pack.truncate(pack.len() - 1));
    refused(&repo, |pack| pack.truncate(pack.len() - 20));
}

#[test]
fn wrong_checksum() {
    let (_root, repo) = served();
    refused(&repo, |pack| *pack.last_mut().unwrap() ^= 1);
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let (_root, repo) = served();
    for at in [0, 5, 11, 12, 14, 30, 60] {
        refused(&repo, move |pack| pack[at] ^= 0x10);
    }
    // With the checksum made right again: only the objects themselves can tell.
    for at in [13, 16, 30, 60] {
        let error = {
            let (server, hostile) = over(&repo, move |_, real| {
                real.with_pack(|pack| {
                    pack[at] ^= 0x10;
                    let end = pack.len() - 20;
                    let sum = checksum(&pack[..end]);
                    pack.splice(end.., sum);
                })
            });
            let site = Site::new();
            let said = site.fails(&server.url(), &[], &["http://127.0.0.1"]);
            hostile.store(false, Ordering::SeqCst);
            site.publishes(&server.url(), &[], &repo.head());
            said
        };
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn garbage_for_a_pack_is_an_error() {
    let (_root, repo) = served();
    refused(&repo, |pack| *pack = b"PACK".to_vec());
    refused(&repo, |pack| pack[7] = 9);
    refused(&repo, |pack| *pack = vec![0xff; 100_000]);
    // An object type that does not exist.
    refused(&repo, |pack| {
        let mut fake = Pack::claiming(1).object(ObjectKind::Blob, b"x").finish();
        fake[12] = 0x51;
        *pack = fake;
    });
}

#[test]
fn thin_pack_bad_ofs_delta_is_an_error() {
    let (_root, repo) = served();
    for distance in [1, 12, 13, 1 << 20, 1 << 40, u64::MAX >> 2] {
        refused(&repo, move |pack| {
            *pack = Pack::claiming(2)
                .object(ObjectKind::Blob, b"base")
                .offset_delta(distance, &delta(4, b"two"))
                .finish();
        });
    }
    refused(&repo, |pack| {
        *pack = Pack::claiming(1).reference_delta(&"7".repeat(40), &delta(4, b"two")).finish();
    });
    // A delta that claims another base than it has, or copies beyond it.
    for bad in [delta(99, b"two"), vec![4, 9, 0x91, 3, 9], vec![4, 3, 0], vec![], vec![0xff; 12]] {
        refused(&repo, move |pack| {
            let base = Pack::claiming(2).object(ObjectKind::Blob, b"base");
            *pack = base.offset_delta(15, &bad).finish();
        });
    }
}

/// Runs the binary with this much address space against a server; it has to fail and to live. What it said.
#[track_caller]
fn within_memory(url: &str, site: &Site, mebibytes: u64) -> String {
    let inner = site.agent(url).args(["--one-time", "--max-failures=0"]).command();
    let mut limited = Command::new("/bin/sh");
    limited.env_clear().arg("-c").arg(format!("ulimit -v {}; exec \"$0\" \"$@\"", mebibytes * 1024));
    limited.arg(inner.get_program()).args(inner.get_args());
    let run = Agent::spawn(limited).finish(PATIENCE);
    assert_eq!(run.status.code(), Some(1), "an error, no crash: {} {}", run.status, run.stderr);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run.stderr
}

#[test]
fn deltas_that_must_all_wait_at_once_take_no_more_files_than_there_are() {
    const MIB: usize = 1 << 20;
    // One byte more than the base of this size.
    let one_more = |base: usize, byte: u8| -> Vec<u8> {
        let number = |value: usize| [0x80 | value as u8, 0x80 | (value >> 7) as u8, (value >> 14) as u8];
        let size = (base as u32).to_le_bytes();
        [&number(base)[..], &number(base + 1), &[0xf0, size[0], size[1], size[2], 1, byte]].concat()
    };
    let id = |data: &[u8]| {
        gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, data).unwrap().to_string()
    };
    let depth = 110;
    let mut content = vec![7; MIB];
    let mut pack = Pack::claiming(1 + 2 * depth).object(ObjectKind::Blob, &content);
    // Two deltas each: while one is made further, its base is still needed for the other.
    for _ in 0..depth {
        let base = id(&content);
        for byte in [9, 1] {
            pack = pack.reference_delta(&base, &one_more(content.len(), byte));
        }
        content.push(1);
    }
    let extra = pack.finish();
    let (_root, repo) = served();
    let (server, _) = over(&repo, move |_, real| real.with_pack(|pack| *pack = extra.clone()));
    let site = Site::new();
    let inner = site.agent(&server.url()).args(["--one-time", "--max-failures=0"]).command();
    let mut limited = Command::new("/bin/sh");
    limited.env_clear().args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]);
    limited.arg(inner.get_program()).args(inner.get_args());
    let run = Agent::spawn(limited).finish(PATIENCE);
    assert_eq!(run.status.code(), Some(1), "{}", run.stderr);
    // The pack was taken; the revision is not in it.
    assert!(run.stderr.contains("does not send the whole revision"), "{}", run.stderr);
}

#[test]
#[expect(non_snake_case, reason = "the name by which the attack is known")]
fn pack_declaring_8EiB_object_is_an_error() {
    let (_root, repo) = served();
    for size in [1 << 63, u64::MAX, (4 << 30) + 1, 3 << 30] {
        let (server, hostile) = over(&repo, move |_, real| {
            real.with_pack(|pack| {
                *pack = Pack::claiming(1).object_claiming(ObjectKind::Blob, size, b"x").finish();
            })
        });
        let site = Site::new();
        let said = within_memory(&server.url(), &site, 700);
        assert!(said.contains("sent a damaged pack"), "{said}");
        hostile.store(false, Ordering::SeqCst);
        site.publishes(&server.url(), &[], &repo.head());
    }
}

#[test]
#[expect(non_snake_case, reason = "the name by which the attack is known")]
fn pack_header_with_4G_objects_is_an_error() {
    let (_root, repo) = served();
    for count in [u32::MAX, u32::MAX / 2, 80_000_000] {
        for objects in [0, 1] {
            let (server, _) = over(&repo, move |_, real| {
                real.with_pack(|pack| {
                    let mut fake = Pack::claiming(count);
                    for _ in 0..objects {
                        fake = fake.object(ObjectKind::Blob, b"one");
                    }
                    *pack = fake.finish();
                })
            });
            let said = within_memory(&server.url(), &Site::new(), 700);
            assert!(said.contains("sent a damaged pack"), "{said}");
        }
    }
}

#[test]
fn more_objects_than_a_bounded_history_can_have_are_refused() {
    let (_root, repo) = served();
    let (server, hostile) = over(&repo, |_, real| {
        real.with_pack(|pack| *pack = Pack::claiming(104_001).object(ObjectKind::Blob, b"one").finish())
    });
    let site = Site::new();
    // With the gate, a first start asks for more history.
    let args = ["--max-entries=1000", "--depth=1", "--check=off"];
    site.fails(&server.url(), &args, &["it is of 104001 objects, 104000 at most can be wanted"]);
    hostile.store(false, Ordering::SeqCst);
    site.publishes(&server.url(), &args, &repo.head());
}

#[test]
fn an_empty_packet_in_the_sideband_is_no_panic() {
    let (_root, repo) = served();
    let ways: [fn(Answer) -> Answer; 3] = [
        |real| real.with_empty_packet(),
        |real| real.with_empty_packet().with_empty_packet(),
        |real| real.body(b"000dpackfile\n0004000500080000".to_vec()),
    ];
    for way in ways {
        let (server, hostile) = over(&repo, move |_, real| way(real));
        let site = Site::new();
        let run = site.once(&server.url(), &[]);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        hostile.store(false, Ordering::SeqCst);
        site.publishes(&server.url(), &[], &repo.head());
    }
}

#[test]
fn the_last_words_of_a_host_beside_the_pack_are_repeated() {
    let (_root, repo) = served();
    let words = "aborting due to possible \x1b[1mrepository corruption";
    let (server, hostile) = over(&repo, move |_, real| {
        let mut all = packets(&real.body);
        let pack =
            all.iter().position(|one| matches!(one, Packet::Data(payload) if payload.first() == Some(&1)));
        let last = format!("\x03{words}\n").into_bytes();
        all.splice(pack.unwrap().., [Packet::Data(b"\x01PACK".to_vec()), Packet::Data(last), Packet::Flush]);
        let body = body_of(&all);
        real.body(body)
    });
    let mut engine = Engine::of(&server.url());
    let error = failure(engine.pull());
    assert!(matches!(&error, Error::ServerSaid { message, .. } if message == words), "{error:?}");
    let said = Site::new().fails(&server.url(), &[], &[" says: aborting due to possible "]);
    assert!(!said.contains('\x1b'), "{said:?}");
    hostile.store(false, Ordering::SeqCst);
    assert_eq!(engine.pull().unwrap(), repo.head());
}

#[test]
fn an_object_missing_from_the_pack_is_found_before_publishing() {
    let (_root, repo) = served();
    let first = repo.head();
    let omit = Arc::new(std::sync::Mutex::new(Vec::new()));
    let repo = Arc::new(repo);
    let (source, left_out) = (repo.clone(), omit.clone());
    let (server, _) = over(&repo, move |_, real| {
        let left_out = left_out.lock().unwrap().clone();
        if left_out.is_empty() {
            return real;
        }
        let pack = pack_of(&source, &objects_of_tip(&source, &left_out));
        real.with_pack(|whole| *whole = pack)
    });
    let site = Site::new();
    let agent = site.serving(&site.agent(&server.url()), &first);
    for (number, missing) in ["HEAD:dags/a.py", "HEAD:dags", "HEAD^{tree}", "HEAD"].iter().enumerate() {
        let before = site.published();
        let count = || agent.stderr().matches("\"failures\":1").count();
        let failures = count();
        // Told while the lock is held, so that no fetch of the new commit sees the old list.
        let next = {
            let mut omit = omit.lock().unwrap();
            let next = repo.commit(&[("dags/a.py", &format!("missing = {number}\n"))]);
            *omit = vec![repo.id(missing)];
            next
        };
        agent.wait_until(&format!("an error about {missing}"), || count() > failures);
        assert_eq!(site.published(), before, "nothing is published without {missing}");
        assert_eq!(site.git(&["status", "--porcelain"]), "");
        let said = agent.stderr();
        let line = said.lines().rfind(|line| line.contains("\"failures\":1")).unwrap_or_default();
        assert!(line.contains(&repo.id(missing)), "names what is missing: {line}");
        omit.lock().unwrap().clear();
        agent.wait_published(&site.root(), "live", &next);
        assert_eq!(site.git(&["status", "--porcelain"]), "");
    }
    assert!(!agent.stderr().contains("panicked"), "{}", agent.stderr());
    assert_eq!(site.git(&["fsck", "--no-dangling"]), "");
}

#[test]
fn objects_that_nobody_asked_for_change_nothing() {
    let (_root, repo) = served();
    let folder = temp();
    let other = Repo::bare(folder.path());
    let blob = other.blob("unasked");
    let extra = pack_of(&other, &[blob]);
    let (server, hostile) = over(&repo, move |_, real| {
        let extra = extra.clone();
        real.with_pack(move |pack| *pack = extra)
    });
    let site = Site::new();
    site.fails(&server.url(), &[], &["does not send the whole revision", "lacks or cannot read"]);
    hostile.store(false, Ordering::SeqCst);
    site.publishes(&server.url(), &[], &repo.head());
}
