//! What a Python sees that lives through many revisions: every new module at once, the new content of every changed one.

mod seen;
mod support;
mod synced;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use seen::{Dice, Seen, checkout, compare, git_finds_nothing, look, mutate, without_times};
use synced::Synced;

const NAMES: &[&str] = &["a.py", "b.py", "c", "ü.py", "lib", "dags", "x y", "empty"];
const STEPS: usize = 80;

/// A Python that imports through the link.
struct Importer {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Importer {
    /// With its caches in the published tree, or in a folder of their own.
    fn start(link: &Path, folder: &Path, caches: Option<&Path>) -> Importer {
        let script = folder.join("importer.py");
        fs::write(&script, include_str!("imports/importer.py")).unwrap();
        let mut python = support::python();
        if let Some(caches) = caches {
            python.env("PYTHONPYCACHEPREFIX", caches);
        }
        python.arg(script).arg(link).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().expect("Python starts");
        let answers = BufReader::new(child.stdout.take().unwrap());
        Importer { child, answers }
    }

    /// What is wrong with these modules, if anything.
    fn finds(&mut self, modules: &BTreeMap<String, String>) -> Result<(), String> {
        let line = serde_json::to_string(modules).unwrap() + "\n";
        self.child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        if answer == "ok\n" { Ok(()) } else { Err(answer) }
    }
}

impl Drop for Importer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn source(value: &str) -> String {
    format!("VALUE = \"{value}\"\n")
}

/// The modules of a tree: their names, and the value that each has. Those that are links only if `links`.
fn modules(seen: &Seen, tree: &Path, links: bool) -> BTreeMap<String, String> {
    let module = |(path, (mode, ..)): (&std::path::PathBuf, &seen::Facts)| {
        let name = path.to_str().unwrap().strip_suffix(".py")?;
        if name.contains('.') || seen::is_folder(*mode) || (mode & 0o170000 == 0o120000 && !links) {
            return None;
        }
        // Of a link what is behind it, if that is a module.
        let text = fs::read_to_string(tree.join(path)).ok()?;
        let value = text.strip_prefix("VALUE = \"")?.strip_suffix("\"\n")?;
        Some((name.replace('/', "."), value.to_owned()))
    };
    seen.iter().filter_map(module).collect()
}

fn follows_random_trees(caches_apart: bool) {
    let mut dice = Dice::new();
    let world = Synced::in_memory();
    let first = world.repo.commit(&[("a.py", &source("0")), ("lib/b.py", &source("0"))]);
    // Random links are loops to Airflow.
    let args = ["--period=10ms", "--max-failures=-1", "--check=off"];
    let agent = world.launch().args(args).start();
    agent.wait_published(&world.root, "repo", &first);
    let apart = world.path("caches");
    let mut python =
        Importer::start(&world.link(), world.dir.path(), caches_apart.then_some(apart.as_path()));
    let (mut before, mut count, mut cached) = (Seen::new(), 0, 0);
    let (mut present, mut gone) = (BTreeSet::new(), BTreeSet::new());
    for step in 0..STEPS {
        let commit = mutate(&world.repo, &mut dice.rng, NAMES, source);
        agent.wait_published(&world.root, "repo", &commit);
        let tree = fs::canonicalize(world.link()).unwrap();
        let after = look(&tree);
        let theirs = checkout(&world.repo, &commit, &world.path("checkout"));
        assert_eq!(without_times(&after), without_times(&theirs), "step {step}");
        compare(&before, &after);
        git_finds_nothing(&tree);
        // From here on Python leaves its caches, in the tree if it may.
        let mut modules = modules(&after, &tree, !caches_apart);
        if caches_apart {
            // Nobody remembers the time of a file that two trees ago was another one. If that was within the same second, with
            // the same size, a cache far from the tree is as good for the one as for the other.
            let now: BTreeSet<String> = modules.keys().cloned().collect();
            gone.extend(present.difference(&now).cloned());
            present = now;
            modules.retain(|name, _| !gone.contains(name));
        }
        count += modules.len();
        python.finds(&modules).unwrap_or_else(|wrong| panic!("step {step}: {wrong}"));
        // The times that count are those that readers left: a folder is later by the cache that Python put into it.
        before = look(&tree);
        let all = before.len();
        before.retain(|path, _| !path.components().any(|part| part.as_os_str() == "__pycache__"));
        cached += usize::from(before.len() < all);
    }
    assert!(count > STEPS, "{count} modules");
    assert!(if caches_apart { cached == 0 } else { cached > STEPS / 3 }, "{cached} trees with caches");
}

#[test]
fn a_python_that_lives_long_sees_every_new_and_every_changed_module() {
    follows_random_trees(false);
}

#[test]
fn a_python_with_its_caches_apart_sees_every_new_and_every_changed_module() {
    follows_random_trees(true);
}

/// The tests above prove something only if Python says what it misses.
#[test]
fn what_keeps_its_times_is_what_python_misses() {
    let world = Synced::new();
    let tree = world.path("tree");
    fs::create_dir(&tree).unwrap();
    let modules = |values: &[(&str, &str)]| values.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
    let write = |name: &str, value: &str| {
        let path = tree.join(name);
        fs::write(&path, source(value)).unwrap();
        // A whole second that never changes, for the file and for the folder.
        for path in [path, tree.clone()] {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
            fs::File::open(path).unwrap().set_modified(time).unwrap();
        }
    };
    write("a.py", "1");
    let mut python = Importer::start(&tree, world.dir.path(), Some(&world.path("caches")));
    assert_eq!(python.finds(&modules(&[("a", "1")])), Ok(()));
    write("a.py", "2");
    write("b.py", "2");
    let missed = python.finds(&modules(&[("a", "2"), ("b", "2")])).unwrap_err();
    assert!(missed.contains("a is '1' and not '2'"), "a stale cache: {missed}");
    assert!(missed.contains("b: ModuleNotFoundError"), "a stale listing: {missed}");
}
