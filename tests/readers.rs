//! Processes that read what is published, as Airflow's do, while revisions follow each other as fast as they can.
//!
//! Every reader says in a file when a pass of it begins and ends. The publisher looks before each commit, and waits rather
//! than let a tree expire that a pass may still be in: so nothing that a reader sees is ever excused.

mod support;
mod synced;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gix::ObjectId;
use support::wait::{PATIENCE, wait_until};
use support::{Repo, temp};
use synced::Synced;

/// What the children of this program are told by: their kind, then the link, the progress file, the stop file.
const JOB: &str = "DAGSYNC_TEST_READER";
/// Replaced trees that stay: what a reader may rely on.
const KEPT: u64 = 20;
const SWAPS: u64 = 500;
/// For all swaps together.
const BUDGET: Duration = Duration::from_secs(60);

/// The files of a revision: one number in each of them, a package whose modules need each other, and a manifest. Some files are
/// there in some revisions only.
fn revision(number: u64) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for module in 0..8 {
        let next = (module + 1) % 8;
        let text = format!("NUMBER = {number:06}\n", number = number + 100_000);
        let text =
            format!("{text}from pipelines import m{next}\n\n\ndef seen():\n    return m{next}.NUMBER\n");
        files.insert(format!("pipelines/m{module}.py"), text);
    }
    let mut package = format!("NUMBER = {}\n", number + 100_000);
    package += "import importlib\n\n\ndef number_of_all():\n    seen = {NUMBER}\n    for at in range(8):\n        \
                module = importlib.import_module(f\"pipelines.m{at}\")\n        seen |= {module.NUMBER, module.seen()}\n    \
                assert len(seen) == 1, f\"modules of the commits {sorted(seen)}\"\n    return seen.pop()\n";
    files.insert("pipelines/__init__.py".into(), package);
    for at in (0..24).filter(|at| !(number + at).is_multiple_of(5)) {
        let path = format!("data/d{}/x{}/f{at}.txt", at % 4, number % 3);
        files
            .insert(path, format!("number = {}\n{}\n", number + 100_000, "filler ".repeat(at as usize * 40)));
    }
    let line = |(path, text): (&String, &String)| format!("{} {path}\n", blob_id(text.as_bytes()));
    let manifest = files.iter().map(line).collect();
    files.insert("MANIFEST".into(), manifest);
    files
}

fn blob_id(content: &[u8]) -> ObjectId {
    gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, content).unwrap()
}

/// All revisions as commits, each the child of the one before, on a branch that nobody follows; their ids.
fn history(repo: &Repo, revisions: u64) -> Vec<String> {
    let mut stream = b"feature done\n".to_vec();
    for number in 0..=revisions {
        let head = format!(
            "commit refs/heads/made\ncommitter Ada <ada@example.com> {} +0000\ndata 0\ndeleteall\n",
            1_700_000_000 + number
        );
        stream.extend_from_slice(head.as_bytes());
        for (path, text) in revision(number) {
            let file = format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len());
            stream.extend_from_slice(file.as_bytes());
        }
    }
    stream.extend_from_slice(b"done\n");
    repo.git_input(&["fast-import", "--quiet", "--done"], &stream);
    repo.git(&["rev-list", "--reverse", "refs/heads/made"]).lines().map(str::to_owned).collect()
}

/// The files of a tree but git's own, with their content. Caches are no part of it: readers themselves leave them.
fn files_of(tree: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut found = BTreeMap::new();
    let mut queue = vec![tree.to_owned()];
    while let Some(folder) = queue.pop() {
        let entries = fs::read_dir(&folder).map_err(|err| format!("{}: {err}", folder.display()))?;
        for entry in entries {
            let entry = entry.map_err(|err| format!("{}: {err}", folder.display()))?;
            let path = entry.path();
            let below = path.strip_prefix(tree).expect("below").display().to_string();
            match (entry.file_type().map_err(|err| format!("{below}: {err}"))?.is_dir(), below.as_str()) {
                (true, _) if entry.file_name() == "__pycache__" => {}
                (true, _) => queue.push(path),
                (false, ".git") => {}
                (false, _) => {
                    let content = fs::read(&path).map_err(|err| format!("{below}: {err}"))?;
                    found.insert(below, content);
                }
            }
        }
    }
    Ok(found)
}

/// The number of the one commit that a tree is of, or what is wrong with it.
fn whole(tree: &Path) -> Result<u64, String> {
    let mut files = files_of(tree)?;
    let manifest = files.remove("MANIFEST").ok_or("no manifest")?;
    let manifest = String::from_utf8_lossy(&manifest);
    let mut numbers = BTreeSet::new();
    for (path, content) in &files {
        let line = content.split(|byte| *byte == b'\n').next().and_then(|line| str::from_utf8(line).ok());
        let number = line.and_then(|line| line.split_once(" = ")?.1.parse::<u64>().ok());
        numbers.insert(number.ok_or(format!("{path}: not a whole file"))?);
    }
    let found: BTreeMap<String, String> =
        files.into_iter().map(|(path, content)| (path, blob_id(&content).to_string())).collect();
    let read = |path: PathBuf| fs::read(&path).map_err(|err| format!("{}: {err}", path.display()));
    let text = |path| read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let said: BTreeMap<String, String> = manifest
        .lines()
        .filter_map(|line| line.split_once(' ').map(|(id, path)| (path.to_owned(), id.to_owned())))
        .collect();
    if found != said {
        let differs = |path: &&String| found.get(*path) != said.get(*path);
        let wrong: BTreeSet<_> = found.keys().chain(said.keys()).filter(differs).collect();
        return Err(format!("not the files of the manifest: {wrong:?}"));
    }
    let admin = text(tree.join(".git"))?;
    let index = read(tree.join(admin.trim().trim_start_matches("gitdir: ")).join("index"))?;
    let entries = index.get(8..12).map(|count| u32::from_be_bytes(count.try_into().expect("four bytes")));
    if entries != Some(found.len() as u32 + 1) {
        return Err(format!("git's index has {entries:?} entries, the tree {}", found.len() + 1));
    }
    match Vec::from_iter(numbers)[..] {
        [number] => Ok(number),
        ref numbers => Err(format!("files of the commits {numbers:?}")),
    }
}

/// A pass that holds what it has found: as its working directory, as open files, as a listing. Until the link has moved on by
/// all but a few of the trees that are kept, none of it may change.
fn hold(link: &Path, stop: &Path) -> Result<u64, String> {
    let tree = fs::canonicalize(link).map_err(|err| err.to_string())?;
    std::env::set_current_dir(&tree).map_err(|err| err.to_string())?;
    let here = Path::new(".");
    let number = whole(here)?;
    let files = files_of(here)?;
    let open: Vec<(String, File)> = files
        .keys()
        .map(|path| Ok((path.clone(), File::open(path).map_err(|err| format!("{path}: {err}"))?)))
        .collect::<Result<_, String>>()?;
    loop {
        for (path, file) in &open {
            let mut content = vec![0; files[path].len() + 1];
            let read = file.read_at(&mut content, 0).map_err(|err| format!("{path}, open: {err}"))?;
            if content[..read] != files[path] {
                return Err(format!("{path}, open since commit {number}, has other content now"));
            }
        }
        for (way, tree) in [("the working directory", here), ("the resolved path", tree.as_path())] {
            match whole(tree) {
                Ok(now) if now == number => {}
                other => return Err(format!("{way} of commit {number}: {other:?}")),
            }
        }
        let live =
            fs::canonicalize(link).and_then(|tree| fs::read_to_string(tree.join("pipelines/__init__.py")));
        let live = live.map_err(|err| format!("the link: {err}"))?;
        let live = live.lines().next().and_then(|line| line.split_once(" = ")?.1.parse().ok()).unwrap_or(0);
        if live >= number + KEPT - 4 || stop.exists() {
            return Ok(number);
        }
    }
}

/// What a child of this program does.
fn read_on(job: &str) -> Result<(), String> {
    let [kind, link, progress, stop] = Vec::from_iter(job.split('\n'))[..] else { panic!("a job: {job}") };
    let (link, stop) = (Path::new(link), Path::new(stop));
    let progress = File::options().write(true).open(progress).expect("the progress file is there");
    let (mut passes, mut last) = (0_u64, 0);
    while !stop.exists() {
        progress.write_all_at(&(2 * passes + 1).to_le_bytes(), 0).expect("progress is told");
        let number = match kind {
            "hold" => hold(link, stop),
            _ => fs::canonicalize(link).map_err(|err| err.to_string()).and_then(|tree| whole(&tree)),
        }?;
        if number < last {
            return Err(format!("commit {number} after {last}"));
        }
        (passes, last) = (passes + 1, number);
        progress.write_all_at(&(2 * passes).to_le_bytes(), 0).expect("progress is told");
    }
    Ok(())
}

/// A reader, seen from outside.
struct Reader {
    kind: &'static str,
    child: Child,
    progress: PathBuf,
    /// The number that the progress file showed, and the oldest revision that a pass with this number may be in.
    seen: (u64, u64),
}

impl Reader {
    fn start(kind: &'static str, name: usize, link: &Path, folder: &Path) -> Reader {
        let (progress, stop) = (folder.join(format!("progress-{name}")), folder.join("stop"));
        fs::write(&progress, 0_u64.to_le_bytes()).unwrap();
        let mut command = match kind {
            "import" => {
                let mut command = behind(&support::python());
                command.arg(script(folder)).args([link, &progress, &stop]);
                command
            }
            _ => {
                let mut command = behind(&Command::new(std::env::current_exe().unwrap()));
                // Whoever runs the tests may have chosen one of them, or threads: a reader is always this one.
                command.args(["--exact", "readers_notice_what_is_not_one_whole_commit", "--nocapture"]);
                let words = [Path::new(kind), link, &progress, &stop].map(|word| word.to_str().unwrap());
                command.env(JOB, words.join("\n"));
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Reader { kind, child: command.spawn().expect("a reader starts"), progress, seen: (0, 0) }
    }

    fn number(&self) -> u64 {
        let bytes = fs::read(&self.progress).unwrap();
        u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }

    /// The oldest revision that it may be in, when `live` is published and was so at the last look too, or is its successor.
    fn oldest(&mut self, live: u64) -> u64 {
        let number = self.number();
        if number != self.seen.0 {
            // It began since the last look: with what was published then, at the oldest.
            self.seen = (number, live.saturating_sub(1));
        }
        if number % 2 == 1 { self.seen.1 } else { live }
    }

    /// It must not have ended by itself.
    #[track_caller]
    fn runs(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let said = self.said();
            panic!("a reader ({}) has ended: {status}\n{said}", self.kind);
        }
    }

    fn said(&mut self) -> String {
        let mut said = String::new();
        let _ = self.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
        said
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that lets others go first: eight readers take two cores, and the swaps are what there shall be many of.
fn behind(command: &Command) -> Command {
    let mut nice = Command::new(support::process::program("nice"));
    nice.args(["-n", "10"]).arg(command.get_program()).env_clear();
    nice.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    nice
}

/// The Python reader where this uid can read it: a checkout may be closed to it.
fn script(folder: &Path) -> PathBuf {
    let path = folder.join("reader.py");
    fs::write(&path, include_str!("readers/reader.py")).unwrap();
    path
}

#[test]
fn eight_processes_see_whole_commits_only_during_500_swaps() {
    let world = Synced::in_memory();
    let commits = history(&world.repo, SWAPS);
    let upstream = |number: u64| {
        world.repo.set_ref("refs/heads/main", &commits[number as usize]);
    };
    upstream(0);
    let keep = format!("--keep={KEPT}");
    let agent = world.launch().args([&keep, "--period=10ms", "--max-failures=-1"]).start();
    agent.wait_published(&world.root, "repo", &commits[0]);
    let folder = temp();
    let kinds = ["walk", "walk", "walk", "hold", "import", "import", "import", "import"];
    let start = |(name, kind): (usize, &'static str)| Reader::start(kind, name, &world.link(), folder.path());
    let mut readers: Vec<Reader> = kinds.into_iter().enumerate().map(start).collect();
    wait_until(PATIENCE, "every reader to have read once", || {
        readers.iter_mut().for_each(Reader::runs);
        readers.iter().all(|reader| reader.number() > 0)
    });
    let began = Instant::now();
    for number in 1..=SWAPS {
        agent.wait_until("passes to end that a swap could take the tree from", || {
            readers.iter_mut().for_each(Reader::runs);
            readers.iter_mut().all(|reader| number - reader.oldest(number - 1) <= KEPT)
        });
        upstream(number);
        agent.wait_published(&world.root, "repo", &commits[number as usize]);
    }
    let took = began.elapsed();
    fs::write(folder.path().join("stop"), "").unwrap();
    let mut passes = BTreeMap::<&str, Vec<u64>>::new();
    for reader in &mut readers {
        let mut status = None;
        wait_until(PATIENCE, "a reader to end", || {
            status = reader.child.try_wait().unwrap();
            status.is_some()
        });
        let said = reader.said();
        assert!(status.unwrap().success(), "{}: {said}", reader.kind);
        passes.entry(reader.kind).or_default().push(reader.number() / 2);
    }
    println!("{SWAPS} swaps in {took:?}, passes of the readers: {passes:?}");
    let fewest = |kind: &str| passes[kind].iter().copied().min().unwrap();
    assert!(fewest("walk") > 100 && fewest("import") > 50 && fewest("hold") > 10, "{passes:?}");
    assert!(took < BUDGET, "{took:?}");
    assert_eq!(whole(&fs::canonicalize(world.link()).unwrap()), Ok(SWAPS + 100_000));
    assert_eq!(world.git_in_tree(&["status", "--porcelain", "--untracked-files=no"]), "");
}

/// Also what the children of this program run: then it reads until it is told to stop.
#[test]
fn readers_notice_what_is_not_one_whole_commit() {
    if let Some(job) = std::env::var_os(JOB).map(OsString::into_string) {
        return read_on(&job.expect("paths in UTF-8")).unwrap();
    }
    let world = Synced::empty();
    let commits = history(&world.repo, 0);
    world.repo.set_ref("refs/heads/main", &commits[0]);
    world.once(&[]);
    let tree = fs::canonicalize(world.link()).unwrap();
    assert_eq!(whole(&tree), Ok(100_000));
    let folder = temp();
    let python = |expected: bool, why: &str| {
        let mut reader = Reader::start("import", 0, &world.link(), folder.path());
        wait_until(PATIENCE, why, || {
            let ended = reader.child.try_wait().unwrap();
            assert!(!expected || ended.is_none(), "{why}: {}", reader.said());
            if expected { reader.number() > 4 } else { ended.is_some_and(|status| !status.success()) }
        });
    };
    python(true, "a whole tree");
    let (file, module) = (tree.join("data/d1/x0/f1.txt"), tree.join("pipelines/m3.py"));
    let text = fs::read_to_string(&file).unwrap();
    for torn in [text.replace("100000", "100001"), text.replacen("filler", "filleR", 1), String::new()] {
        fs::write(&file, torn).unwrap();
        assert!(whole(&tree).is_err());
        python(false, "a file of another commit is noticed");
    }
    fs::remove_file(&file).unwrap();
    assert!(whole(&tree).is_err());
    python(false, "a file that is missing is noticed");
    fs::write(&file, &text).unwrap();
    fs::write(tree.join("data/more.txt"), "number = 100000\n").unwrap();
    assert!(whole(&tree).is_err());
    python(false, "a file too many is noticed");
    fs::remove_file(tree.join("data/more.txt")).unwrap();
    assert_eq!(whole(&tree), Ok(100_000));
    // A cache that a module of another commit has left: the files are whole, what is imported is not.
    let source = fs::read_to_string(&module).unwrap();
    let meta = fs::metadata(&module).unwrap();
    fs::write(&module, source.replace("100000", "100001")).unwrap();
    let set = |time| File::options().write(true).open(&module).unwrap().set_modified(time).unwrap();
    set(meta.modified().unwrap());
    let _ = fs::remove_dir_all(tree.join("pipelines/__pycache__"));
    let mut compile = support::python();
    compile.args(["-m", "compileall", "-q"]).arg(tree.join("pipelines"));
    synced::ok(&mut compile);
    fs::write(&module, source).unwrap();
    set(meta.modified().unwrap());
    assert_eq!(whole(&tree), Ok(100_000));
    python(false, "a stale cache is noticed");
}
