//! A published tree that is not its commit any more: noticed, and built again beside itself.

mod engine;
mod support;
mod synced;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use dagsync::deadline::Deadline;
use dagsync::tree::Limits;
use dagsync::tree::verify::{self, Bounds, Damage, Progress, Subject};
use engine::{Engine, object};
use support::Agent;
use support::agent::Launch;
use support::observe::{address, sample};
use synced::{Synced, files};

const REPAIRS: &str = "dagsync_repairs_total{source=\"repo\"}";

fn launch(world: &Synced) -> Launch {
    world.launch().args([
        "--max-failures=-1",
        "--verify-period=20ms",
        "--http-bind=127.0.0.1:0",
        "--log-format=json",
        "--verbose=1",
    ])
}

fn world() -> Synced {
    let world = Synced::new();
    for name in ["one", "two", "three"] {
        world.repo.write(&format!("dags/{name}/x.py"), format!("{name} = 1\n"));
    }
    symlink("a.py", world.repo.work().join("alias.py")).unwrap();
    world.repo.git(&["add", "-A"]);
    world.repo.git(&["commit", "-q", "-m", "more"]);
    world
}

/// An agent that has published the tip, and the tree.
fn published(world: &Synced, launch: &Launch) -> (Agent, PathBuf) {
    let agent = launch.start();
    agent.wait_published(&world.root, "repo", &world.repo.head());
    (agent, fs::canonicalize(world.link()).unwrap())
}

/// Waits until the agent has looked at the whole tree since now.
fn wait_for_rounds(agent: &Agent) {
    let parts = || agent.stderr().matches("a part of the published tree was verified").count();
    let before = parts();
    agent.wait_until("the tree to be verified", || parts() >= before + 8);
}

/// A way to change a published tree, and what the log names.
type Way = (&'static str, &'static str, fn(&Path));

/// Other content of the same length, and the time set back.
fn forge(file: &Path) {
    let meta = fs::metadata(file).unwrap();
    let content = fs::read(file).unwrap();
    fs::write(file, content.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()).unwrap();
    let times = fs::FileTimes::new().set_modified(meta.modified().unwrap());
    fs::File::options().write(true).open(file).unwrap().set_times(times).unwrap();
}

const WAYS: &[Way] = &[
    ("content, with its time set back", "`dags/b.py` has other content", |tree| {
        forge(&tree.join("dags/b.py"))
    }),
    ("longer content", "`dags/b.py` has", |tree| {
        fs::write(tree.join("dags/b.py"), "much longer than before").unwrap()
    }),
    ("a missing file", "`dags/b.py` is missing", |tree| fs::remove_file(tree.join("dags/b.py")).unwrap()),
    ("a missing folder", "is missing", |tree| fs::remove_dir_all(tree.join("dags/one")).unwrap()),
    ("an extra file", "`dags/extra.py` is not in the commit", |tree| {
        fs::write(tree.join("dags/extra.py"), "x").unwrap();
    }),
    ("an extra file at the top", "`extra.py` is not in the commit", |tree| {
        fs::write(tree.join("extra.py"), "x").unwrap();
    }),
    ("an extra folder", "`dags/extra` is not in the commit", |tree| {
        fs::create_dir(tree.join("dags/extra")).unwrap()
    }),
    ("a mode", "`dags/b.py` has mode 0600", |tree| {
        fs::set_permissions(tree.join("dags/b.py"), fs::Permissions::from_mode(0o600)).unwrap();
    }),
    ("a folder's mode", "`dags/one` has mode 0700", |tree| {
        fs::set_permissions(tree.join("dags/one"), fs::Permissions::from_mode(0o700)).unwrap();
    }),
    ("a link's target", "`alias.py` leads to `dags/b.py`", |tree| {
        fs::remove_file(tree.join("alias.py")).unwrap();
        symlink("dags/b.py", tree.join("alias.py")).unwrap();
    }),
    ("a file that became a link to the same bytes", "`dags/b.py` is another kind of thing", |tree| {
        fs::rename(tree.join("dags/b.py"), tree.join("../copy-of-b")).unwrap();
        symlink("../../copy-of-b", tree.join("dags/b.py")).unwrap();
    }),
    ("a folder that became a link to itself elsewhere", "`dags/one` is not a folder", |tree| {
        fs::rename(tree.join("dags/one"), tree.join("../one")).unwrap();
        symlink("../../one", tree.join("dags/one")).unwrap();
    }),
    ("the manifest, to hide a change", "an index that is not of its commit", |tree| {
        fs::write(tree.join("a.py"), "evil\n").unwrap();
        synced::git_in(tree, &["add", "a.py"]);
    }),
    ("the manifest, garbage behind a good header", "an index that cannot be read", |tree| {
        let git = fs::read_to_string(tree.join(".git")).unwrap();
        let admin = tree.join(git.strip_prefix("gitdir: ").unwrap().trim());
        let mut bytes = fs::read(admin.join("index")).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::write(admin.join("index"), bytes).unwrap();
    }),
];

/// What it is, and how it gets there.
type Put = (&'static str, fn(&Path));

/// What somebody who may write in a tree may put in the place of its `.git` file.
const INSTEAD_OF_GIT: &[Put] = &[
    ("a pipe", |path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success())),
    ("a device without an end", |path| symlink("/dev/zero", path).unwrap()),
    ("a file without an end", |path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap()),
    ("a folder", |path| fs::create_dir(path).unwrap()),
    ("a link to itself", |path| symlink(".git", path).unwrap()),
];

#[test]
fn nothing_in_the_place_of_a_git_file_holds_the_agent_up() {
    for (what, put) in INSTEAD_OF_GIT {
        // In the tree that readers see, and in one that was replaced.
        let world = Synced::new();
        world.once(&[]);
        let first = fs::canonicalize(world.link()).unwrap();
        let next = world.repo.commit(&[("a.py", "2\n")]);
        world.once(&["--keep=1"]);
        let live = fs::canonicalize(world.link()).unwrap();
        for tree in [&first, &live] {
            fs::remove_file(tree.join(".git")).unwrap();
            put(&tree.join(".git"));
        }
        world.once(&["--keep=1"]);
        world.shows(&next);
        let more = world.repo.commit(&[("a.py", "3\n")]);
        world.once(&["--keep=1"]);
        world.shows(&more);
        assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "", "{what}");
    }
}

#[test]
fn a_spare_that_claims_the_metadata_of_a_kept_tree_does_not_cost_it() {
    let world = Synced::new();
    let mut trees = Vec::new();
    for round in 0..3 {
        world.repo.commit(&[("a.py", &format!("{round}\n"))]);
        world.once(&["--keep=1"]);
        trees.push(fs::canonicalize(world.link()).unwrap());
    }
    let kept = trees[1].file_name().unwrap().to_str().unwrap().to_owned();
    fs::write(trees[0].join(".git"), format!("gitdir: ../../.git/worktrees/{kept}\n")).unwrap();
    let head = world.repo.commit(&[("a.py", "last\n")]);
    world.once(&["--keep=2"]);
    world.shows(&head);
    let output =
        support::repo::git().args(["status", "--porcelain"]).current_dir(&trees[1]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn without_the_remote_the_link_comes_back_and_a_damaged_tree_too() {
    let world = Synced::new();
    let agent = world.launch().args(["--max-failures=-1", "--verify-period=50ms"]).start();
    let head = world.repo.head();
    agent.wait_published(&world.root, "repo", &head);
    fs::rename(world.repo.work(), world.path("away")).unwrap();
    agent.wait_for_text("cannot read the repository", support::wait::PATIENCE);
    fs::remove_file(world.link()).unwrap();
    agent.wait_until("the link to come back", || world.published().is_some());
    let file = world.link().join("a.py");
    fs::write(&file, "changed\n").unwrap();
    agent.wait_until("the file to come back", || fs::read(&file).is_ok_and(|text| text == b"print(1)\n"));
    fs::rename(world.path("away"), world.repo.work()).unwrap();
    world.shows(&head);
    let next = world.repo.commit(&[("a.py", "print(3)\n")]);
    agent.wait_published(&world.root, "repo", &next);
}

#[test]
fn whatever_is_changed_in_a_published_tree_it_is_built_again_beside_it() {
    for (way, said, change) in WAYS {
        let world = world();
        let (agent, tree) = published(&world, &launch(&world));
        change(&tree);
        let damaged = files(&tree);
        let at = address(&agent);
        agent.wait_until(way, || sample(at, REPAIRS) == Some(1.0));
        world.shows(&world.repo.head());
        assert_ne!(fs::canonicalize(world.link()).unwrap(), tree, "{way}: it has another place");
        assert_eq!(files(&tree), damaged, "{way}: what readers may still hold was not touched");
        let log = agent.stderr();
        let line = log.lines().find(|line| line.contains("is built again")).expect(way);
        assert!(line.contains(&said.escape_debug().to_string()), "{way}: {line}");
        wait_for_rounds(&agent);
        assert_eq!(sample(at, REPAIRS), Some(1.0), "{way}: once is enough");
        assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "", "{way}");
    }
}

#[test]
fn a_link_or_a_tree_that_is_gone_is_seen_by_the_next_pass_without_any_verifying() {
    for (way, break_it) in [
        (
            "the tree",
            (|world| fs::remove_dir_all(fs::canonicalize(world.link()).unwrap()).unwrap()) as fn(&Synced),
        ),
        ("its `.git`", |world| fs::remove_file(world.link().join(".git")).unwrap()),
        ("the link", |world| fs::remove_file(world.link()).unwrap()),
    ] {
        let world = world();
        let (agent, _) = published(&world, &launch(&world).args(["--verify-period=0"]));
        let at = address(&agent);
        assert_eq!(sample(at, REPAIRS), Some(0.0), "{way}: the first publication is no repair");
        break_it(&world);
        agent.wait_until(way, || sample(at, REPAIRS) == Some(1.0));
        world.shows(&world.repo.head());
    }
}

#[test]
fn what_readers_leave_behind_is_no_damage() {
    let world = world();
    let (agent, tree) = published(&world, &launch(&world));
    for folder in ["", "dags", "dags/one"] {
        let cache = tree.join(folder).join("__pycache__");
        fs::create_dir(&cache).unwrap();
        fs::write(cache.join("x.cpython-312.pyc"), "x").unwrap();
    }
    fs::write(tree.join("dags/.nfs0000000000c0ffee00000001"), "still open somewhere").unwrap();
    wait_for_rounds(&agent);
    assert_eq!(sample(address(&agent), REPAIRS), Some(0.0), "{}", agent.stderr());
    assert_eq!(fs::canonicalize(world.link()).unwrap(), tree);
}

#[test]
fn without_a_verify_period_nothing_is_read() {
    let world = world();
    let (agent, tree) = published(&world, &launch(&world).args(["--verify-period=0"]));
    forge(&tree.join("a.py"));
    let at = address(&agent);
    let passes = || sample(at, "dagsync_passes_total{result=\"noop\",source=\"repo\"}").unwrap_or(0.0);
    let before = passes();
    agent.wait_until("more passes", || passes() >= before + 10.0);
    assert_eq!(sample(at, REPAIRS), Some(0.0));
    assert!(!agent.stderr().contains("was verified"));
}

#[test]
fn converted_files_are_compared_as_they_were_written_and_only_if_their_blobs_are_there() {
    let world = world();
    world.repo.commit(&[(".gitattributes", "*.py text eol=crlf\n"), ("dags/crlf.py", "a\nb\n")]);
    let (agent, tree) = published(&world, &launch(&world));
    assert_eq!(fs::read(tree.join("dags/crlf.py")).unwrap(), b"a\r\nb\r\n");
    wait_for_rounds(&agent);
    let at = address(&agent);
    assert_eq!(sample(at, REPAIRS), Some(0.0), "{}", agent.stderr());
    // As long as before, but with the line ends of the blob.
    fs::write(tree.join("dags/crlf.py"), b"a\n\nb\n\n").unwrap();
    agent.wait_until("the repair", || sample(at, REPAIRS) == Some(1.0));
    world.shows(&world.repo.head());
    // What is missing from the store is no damage of the tree. The rules go with the rest, so nothing is known of any file.
    for name in world.names(".git/objects/pack") {
        fs::remove_file(world.root.join(".git/objects/pack").join(name)).unwrap();
    }
    let tree = fs::canonicalize(world.link()).unwrap();
    wait_for_rounds(&agent);
    assert_eq!((sample(at, REPAIRS), fs::canonicalize(world.link()).unwrap()), (Some(1.0), tree));
}

#[test]
fn a_repair_that_cannot_be_done_leaves_readers_what_they_have_and_is_tried_again() {
    let world = world();
    let agent = launch(&world).start();
    agent.wait_published(&world.root, "repo", &world.repo.head());
    let target = fs::read_link(world.link()).unwrap();
    // Neither our store nor the upstream has what the tree is made of.
    let blob = world.repo.id("HEAD:dags/b.py");
    let loose = world.repo.git_dir().join("objects").join(&blob[..2]).join(&blob[2..]);
    let away = world.path("away");
    fs::rename(&loose, &away).unwrap();
    for name in world.names(".git/objects/pack") {
        fs::remove_file(world.root.join(".git/objects/pack").join(name)).unwrap();
    }
    fs::write(world.link().join("dags/b.py"), "changed\n").unwrap();
    let at = address(&agent);
    let errors = || sample(at, "dagsync_passes_total{result=\"error\",source=\"repo\"}").unwrap_or(0.0);
    agent.wait_until("passes that fail", || errors() >= 2.0);
    assert!(agent.stderr().contains("`dags/b.py` has"), "{}", agent.stderr());
    assert_eq!(fs::read_link(world.link()).unwrap(), target);
    assert_eq!(fs::read(world.link().join("dags/b.py")).unwrap(), b"changed\n", "not mended in place");
    fs::rename(&away, &loose).unwrap();
    agent.wait_until("the repair", || sample(at, REPAIRS) == Some(1.0));
    world.shows(&world.repo.head());
}

/// A published tree and the engine's view of it.
struct Looked {
    world: Synced,
    engine: Engine,
    deadline: Rc<Deadline>,
}

impl Looked {
    fn new(world: Synced) -> Looked {
        world.once(&[]);
        let mut engine = Engine::local(&world.repo);
        let deadline = engine.arm();
        engine.fetch(&world.repo.head(), &[], 1).unwrap();
        Looked { world, engine, deadline }
    }

    fn part(&self, progress: &mut Progress, bounds: Bounds) -> Vec<Damage> {
        let objects = self.engine.store.objects().unwrap();
        let commit = object(&self.world.repo.head());
        let (_, root) = self.engine.store.peel_to_commit(&objects, &commit, "").unwrap();
        let subject = Subject {
            tree: &fs::canonicalize(self.world.link()).unwrap(),
            store: &self.world.root.join(".git"),
            commit: &commit,
            root: Some(root),
            checkout: Default::default(),
            group_write: false,
            holds_modes: true,
            limits: &Limits::default(),
        };
        verify::part(&subject, &objects, progress, bounds, &self.deadline)
    }
}

#[test]
fn six_parts_are_the_whole_tree_wherever_they_begin() {
    let world = Synced::empty();
    let many: Vec<(String, String)> =
        (0..500).map(|at| (format!("dags/d{}/f{at}.py", at / 7), format!("x = {at}\n"))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    world.repo.commit(&many);
    let looked = Looked::new(world);
    let bounds = Bounds { time: Duration::from_secs(60), ..Bounds::default() };
    for at in [0, 99, 250, 499] {
        let file = looked.world.link().join(many[at].0);
        let right = fs::read(&file).unwrap();
        forge(&file);
        let mut progress = Progress::default();
        let found: Vec<_> = (0..6).flat_map(|_| looked.part(&mut progress, bounds)).collect();
        let paths: Vec<_> = found.iter().map(|damage| damage.path.to_string()).collect();
        assert_eq!(paths, [many[at].0], "exactly once in six parts");
        fs::write(&file, right).unwrap();
    }
}

#[test]
fn a_large_file_is_read_in_pieces_and_its_last_byte_counts() {
    let world = Synced::empty();
    world.repo.write("large.bin", vec![7_u8; 5 << 20]);
    world.repo.commit(&[("a.py", "1"), ("z.py", "2")]);
    let looked = Looked::new(world);
    let bounds = Bounds { parts: 1, bytes: 1 << 20, time: Duration::from_secs(60) };
    let mut progress = Progress::default();
    let calm: Vec<_> = (0..12).flat_map(|_| looked.part(&mut progress, bounds)).collect();
    assert_eq!(calm, [], "two rounds without damage");
    let file = looked.world.link().join("large.bin");
    let mut content = fs::read(&file).unwrap();
    *content.last_mut().unwrap() = 8;
    fs::write(&file, content).unwrap();
    let found: Vec<_> = (0..12).map(|_| looked.part(&mut progress, bounds).len()).collect();
    assert!(found.iter().sum::<usize>() >= 1, "{found:?}");
    assert!(found.contains(&0), "no part reads the whole file: {found:?}");
}

#[test]
fn the_modes_of_old_repositories_are_no_damage() {
    let world = Synced::new();
    // 100664 as git once wrote it: no index has that, so the hash of the index is not that of the tree.
    let blob = world.repo.git(&["rev-parse", "HEAD:a.py"]);
    let raw = world.path("tree");
    let mut bytes = b"100664 a.py\0".to_vec();
    bytes.extend_from_slice(object(blob.trim()).as_bytes());
    fs::write(&raw, bytes).unwrap();
    let tree = world.repo.git(&["hash-object", "-w", "-t", "tree", "--literally", raw.to_str().unwrap()]);
    let commit = world.repo.git(&["commit-tree", "-m", "old", tree.trim()]);
    world.repo.git(&["update-ref", "refs/heads/main", commit.trim()]);
    let looked = Looked::new(world);
    let bounds = Bounds { parts: 1, ..Bounds::default() };
    assert_eq!(looked.part(&mut Progress::default(), bounds), []);
    forge(&looked.world.link().join("a.py"));
    assert_eq!(looked.part(&mut Progress::default(), bounds).len(), 1);
}

#[test]
fn a_file_that_nobody_may_read_any_more_is_damage() {
    let world = Synced::new();
    let looked = Looked::new(world);
    let file = looked.world.link().join("a.py");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    let found = looked.part(&mut Progress::default(), Bounds { parts: 1, ..Bounds::default() });
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn what_a_mount_with_an_fs_group_does_to_every_file_is_no_damage() {
    let world = Synced::new();
    let looked = Looked::new(world);
    let mut queue = vec![fs::canonicalize(looked.world.link()).unwrap()];
    while let Some(path) = queue.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_symlink() {
            continue;
        }
        let more = if meta.is_dir() { 0o2070 } else { 0o060 };
        fs::set_permissions(&path, fs::Permissions::from_mode(meta.permissions().mode() | more)).unwrap();
        if meta.is_dir() {
            queue.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    let bounds = Bounds { parts: 1, ..Bounds::default() };
    assert_eq!(looked.part(&mut Progress::default(), bounds), []);
    // Others may not write there.
    fs::set_permissions(looked.world.link().join("a.py"), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(looked.part(&mut Progress::default(), bounds).len(), 1);
}
