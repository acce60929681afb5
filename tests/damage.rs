//! Damage below the root: the store is a cache, the published tree is not.

mod support;
mod synced;

use std::fs;
use std::path::{Path, PathBuf};

use synced::{Synced, files, names};

fn packs(world: &Synced, ext: &str) -> Vec<PathBuf> {
    let dir = world.root.join(".git/objects/pack");
    names(&dir).into_iter().filter(|name| name.ends_with(ext)).map(|name| dir.join(name)).collect()
}

fn overwrite(path: &Path, content: impl AsRef<[u8]>) {
    // By a new file: cutting one that a process has mapped kills it, and no damage of a disk does that.
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

fn truncate(path: &Path, share: f64) {
    let content = fs::read(path).unwrap();
    overwrite(path, &content[..(content.len() as f64 * share) as usize]);
}

/// Ways to break a tree or its index.
type TreeWay = (&'static str, fn(&Path));

/// Ways to break the object store. Errors are ignored: in a running agent's store something may be gone already.
type Way = (&'static str, fn(&Synced));

const WAYS: &[Way] = &[
    ("packs deleted", |w| packs(w, ".pack").iter().for_each(|p| drop(fs::remove_file(p)))),
    ("indices deleted", |w| packs(w, ".idx").iter().for_each(|p| drop(fs::remove_file(p)))),
    ("packs empty", |w| packs(w, ".pack").iter().for_each(|p| overwrite(p, ""))),
    ("packs truncated", |w| packs(w, ".pack").iter().for_each(|p| truncate(p, 0.5))),
    ("packs cut in the header", |w| packs(w, ".pack").iter().for_each(|p| overwrite(p, "PACK\0\0"))),
    ("indices empty", |w| packs(w, ".idx").iter().for_each(|p| overwrite(p, ""))),
    ("indices truncated", |w| packs(w, ".idx").iter().for_each(|p| truncate(p, 0.9))),
    ("indices cut in the fan", |w| packs(w, ".idx").iter().for_each(|p| truncate(p, 0.1))),
    ("indices garbage", |w| packs(w, ".idx").iter().for_each(|p| overwrite(p, vec![0xff; 4096]))),
    ("packs garbage", |w| {
        for path in packs(w, ".pack") {
            let mut content = fs::read(&path).unwrap();
            content.iter_mut().skip(12).step_by(3).for_each(|byte| *byte ^= 0x5a);
            overwrite(&path, content);
        }
    }),
    ("objects deleted", |w| drop(fs::remove_dir_all(w.root.join(".git/objects")))),
    ("the folder of packs deleted", |w| drop(fs::remove_dir_all(w.root.join(".git/objects/pack")))),
    ("objects is a file", |w| {
        drop(fs::remove_dir_all(w.root.join(".git/objects")));
        drop(fs::write(w.root.join(".git/objects"), ""));
    }),
    ("refs deleted", |w| drop(fs::remove_dir_all(w.root.join(".git/refs")))),
    ("HEAD garbage", |w| drop(fs::write(w.root.join(".git/HEAD"), "\0\0\0"))),
    ("HEAD empty", |w| drop(fs::write(w.root.join(".git/HEAD"), ""))),
    ("HEAD deleted", |w| drop(fs::remove_file(w.root.join(".git/HEAD")))),
    ("config garbage", |w| drop(fs::write(w.root.join(".git/config"), "[[[\0"))),
    ("config empty", |w| drop(fs::write(w.root.join(".git/config"), ""))),
    ("config of another format", |w| {
        drop(fs::write(w.root.join(".git/config"), "[core]\n\trepositoryformatversion = 99\n"));
    }),
    ("config deleted", |w| drop(fs::remove_file(w.root.join(".git/config")))),
    ("config is a folder", |w| {
        drop(fs::remove_file(w.root.join(".git/config")));
        drop(fs::create_dir(w.root.join(".git/config")));
    }),
    ("shallow garbage", |w| drop(fs::write(w.root.join(".git/shallow"), "\u{1}nonsense\n"))),
    ("shallow of nothing", |w| drop(fs::write(w.root.join(".git/shallow"), format!("{}\n", "3".repeat(40))))),
    ("shallow deleted", |w| drop(fs::remove_file(w.root.join(".git/shallow")))),
    ("an alternate to nowhere", |w| {
        drop(fs::create_dir_all(w.root.join(".git/objects/info")));
        drop(fs::write(w.root.join(".git/objects/info/alternates"), "/nonexistent\n"));
    }),
    ("metadata deleted", |w| drop(fs::remove_dir_all(w.root.join(".git/worktrees")))),
    ("the whole store deleted", |w| drop(fs::remove_dir_all(w.root.join(".git")))),
    ("the store empty", |w| {
        drop(fs::remove_dir_all(w.root.join(".git")));
        drop(fs::create_dir(w.root.join(".git")));
    }),
];

#[test]
fn corrupt_object_store_keeps_current_release() {
    for (what, way) in WAYS {
        let world = Synced::new();
        world.repo.commit(&[("b.py", "2\n")]);
        world.once(&["--depth=1"]);
        let head = world.repo.head();
        way(&world);
        // The remote is away: a tree without its metadata may be built again from objects that are left, nothing may be lost.
        let before = files(&world.link());
        let away = world.path("away");
        fs::rename(world.repo.work(), &away).unwrap();
        let text = synced::fails(&world.launch().args(["--one-time", "--depth=1"]));
        assert_eq!((world.published(), files(&world.link())), (Some(head), before), "{what}");
        fs::rename(&away, world.repo.work()).unwrap();
        // It is back, with something new.
        let next = world.repo.commit(&[("a.py", "new\n")]);
        let finished = world.launch().args(["--one-time", "--depth=1"]).run(synced::RUN);
        assert!(finished.status.success(), "{what}: {text}\n{}", finished.stderr);
        world.shows(&next);
        assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "", "{what}");
        assert_eq!(world.git_in_tree(&["log", "--format=%H"]), next, "{what}");
        // Not `fsck`: the history of the replaced tree was lost with the store, and it looks at that too.
        world.git_in_tree(&["rev-list", "--objects", "HEAD"]);
        world.nothing_is_left_over();
    }
}

#[test]
fn a_store_that_breaks_while_we_run_is_fetched_again() {
    let world = Synced::new();
    let agent = world.launch().args(["--max-failures=-1"]).start();
    agent.wait_published(&world.root, "repo", &world.repo.head());
    for (what, way) in WAYS {
        way(&world);
        let next = world.repo.commit(&[("a.py", what)]);
        agent.wait_published(&world.root, "repo", &next);
        world.shows(&next);
    }
}

#[test]
fn damage_that_only_shows_when_packs_are_copied_is_told_once_and_mended() {
    let world = Synced::new();
    let mut noise = vec![0; 20_000];
    fastrand::Rng::with_seed(7).fill(&mut noise);
    world.repo.write("fixed.bin", &noise);
    let head = world.repo.commit_all("noise");
    let agent =
        world.launch().args(["--max-failures=-1", "--depth=1", "--stale-worktree-timeout=0s"]).start();
    agent.wait_published(&world.root, "repo", &head);
    let pack = packs(&world, ".pack").remove(0);
    let publish = |round: usize| {
        let next = world.repo.commit(&[("a.py", &format!("{round}\n"))]);
        agent.wait_published(&world.root, "repo", &next);
    };
    // Two trees take turns from here on, and no build needs the large file's object.
    (0..3).for_each(publish);
    let mut content = fs::read(&pack).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 4;
    overwrite(&pack, content);
    // Just as many packs as make it worth while to copy them.
    (3..60).take_while(|_| packs(&world, ".pack").len() <= 40).for_each(publish);
    const TOLD: &str = "the object store is damaged and is fetched again";
    agent.wait_for_text(TOLD, synced::RUN);
    // The next pass, though it has nothing to publish.
    agent.wait_until("a store of one fetch", || !pack.exists() && packs(&world, ".pack").len() == 1);
    (60..70).for_each(publish);
    // Not `fsck`: a replaced tree may be on its way out. This reads every file's object.
    world.git_in_tree(&["archive", "--format=tar", "-o", "/dev/null", "HEAD"]);
    assert_eq!(fs::read(world.link().join("fixed.bin")).unwrap(), noise);
    assert_eq!(agent.stderr().matches(TOLD).count(), 1);
}

#[test]
fn damaged_index_means_rebuild_not_crash() {
    let ways: &[TreeWay] = &[
        ("empty", |index| overwrite(index, "")),
        ("deleted", |index| fs::remove_file(index).unwrap()),
        ("garbage", |index| overwrite(index, vec![0xa5; 3000])),
        ("truncated", |index| truncate(index, 0.6)),
        ("its header only", |index| truncate(index, 0.05)),
        ("a bit turned", |index| {
            let mut content = fs::read(index).unwrap();
            content[60] ^= 1;
            overwrite(index, content);
        }),
        ("4 G entries", |index| {
            let mut content = fs::read(index).unwrap();
            content[8..12].fill(0xff);
            overwrite(index, content);
        }),
    ];
    for (what, way) in ways {
        let world = Synced::new();
        let head = world.repo.head();
        world.once(&[]);
        way(&world.root.join(".git/worktrees").join(&head).join("index"));
        let text = world.once(&[]).stderr;
        assert!(!text.contains("panicked"), "{what}: {text}");
        world.shows(&head);
        assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "", "{what}");
        world.once(&["--stale-worktree-timeout=0s"]);
        world.nothing_is_left_over();
    }
}

#[test]
fn a_published_tree_that_lost_files_is_built_again_aside() {
    let ways: &[TreeWay] = &[
        ("a file gone", |tree| fs::remove_file(tree.join("dags/b.py")).unwrap()),
        ("a folder gone", |tree| fs::remove_dir_all(tree.join("dags")).unwrap()),
        ("an empty file, as after a power loss", |tree| fs::write(tree.join("a.py"), "").unwrap()),
        ("a folder in place of a file", |tree| {
            fs::remove_file(tree.join("a.py")).unwrap();
            fs::create_dir(tree.join("a.py")).unwrap();
        }),
        ("its .git gone", |tree| fs::remove_file(tree.join(".git")).unwrap()),
        ("its .git empty", |tree| fs::write(tree.join(".git"), "").unwrap()),
        ("its .git elsewhere", |tree| fs::write(tree.join(".git"), "gitdir: ../../x\n").unwrap()),
        ("all of it gone", |tree| fs::remove_dir_all(tree).unwrap()),
    ];
    for (what, way) in ways {
        let world = Synced::new();
        let head = world.repo.head();
        world.once(&[]);
        way(&fs::canonicalize(world.link()).unwrap());
        let text = world.once(&[]).stderr;
        assert!(text.contains(r#""msg":"published""#), "{what}: {text}");
        world.shows(&head);
        assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "", "{what}");
    }
    // What Airflow adds, or a clock that moved, is no damage.
    let world = Synced::new();
    world.once(&[]);
    let tree = fs::canonicalize(world.link()).unwrap();
    fs::create_dir(tree.join("__pycache__")).unwrap();
    let file = fs::File::options().append(true).open(tree.join("a.py")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert!(world.once(&[]).stderr.contains("already published"));
}

#[test]
fn our_own_state_can_be_lost() {
    for content in [None, Some(""), Some("{"), Some("\0\0"), Some(r#"{"version":99}"#), Some("[]")] {
        let world = Synced::new();
        world.once(&[]);
        let seen = world.seen();
        let state = world.root.join(".dagsync/state.json");
        match content {
            None => fs::remove_dir_all(world.root.join(".dagsync")).unwrap(),
            Some(text) => fs::write(&state, text).unwrap(),
        }
        let text = world.once(&[]).stderr;
        assert!(text.contains("already published"), "{text}");
        assert_eq!(text.contains("state.json"), content.is_some(), "{text}");
        assert_eq!(world.seen(), seen);
        let next = world.repo.commit(&[("a.py", "2")]);
        world.once(&[]);
        world.shows(&next);
        assert!(!world.once(&[]).stderr.contains("state.json"));
    }
}
