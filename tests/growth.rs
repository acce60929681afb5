//! A thousand commits: an agent that has run for months costs what it cost in its first week.
//!
//! What is sawtoothed by design (packs pile up, then become one) is compared by its highest value in a window, what is noisy by
//! its median.

mod support;
mod synced;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use support::observe::{address, said, sample};
use support::{Agent, Repo};
use synced::{Synced, names};

const COMMITS: usize = 1_000;
/// Of the windows that are compared.
const EARLY: std::ops::Range<usize> = 200..400;
const LATE: std::ops::Range<usize> = 800..1_000;
/// What each commit brings that no compression makes smaller.
const NEW_BYTES: usize = 16 << 10;
/// For all commits together.
const BUDGET: Duration = Duration::from_secs(60);

/// What an operator could see after a commit.
#[derive(Debug, Clone, Copy)]
struct Sample {
    store_bytes: u64,
    tree_bytes: u64,
    trees: usize,
    metadata: usize,
    packs: usize,
    shallow: usize,
    anon_kib: u64,
    descriptors: usize,
    /// Nobody but root may look.
    mappings: Option<usize>,
    cpu: Duration,
    /// By the agent's own clock, in milliseconds.
    pass: f64,
}

/// A commit after the other, each with one changed file of fifty and one large one; their ids.
fn history(repo: &Repo) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut stream = b"feature done\n".to_vec();
    let file = |stream: &mut Vec<u8>, path: &str, content: &[u8]| {
        stream.extend_from_slice(format!("M 100644 inline {path}\ndata {}\n", content.len()).as_bytes());
        stream.extend_from_slice(content);
        stream.push(b'\n');
    };
    for number in 0..=COMMITS {
        let date = 1_700_000_000 + number;
        let head = format!("commit refs/heads/made\ncommitter Ada <ada@example.com> {date} +0000\ndata 0\n");
        stream.extend_from_slice(head.as_bytes());
        let changed = if number == 0 { 0..50 } else { number % 50..number % 50 + 1 };
        for at in changed {
            file(
                &mut stream,
                &format!("dags/team{}/dag{at}.py", at % 7),
                format!("n = {number}\n").as_bytes(),
            );
        }
        let mut bytes = vec![0; NEW_BYTES];
        random.fill(&mut bytes);
        file(&mut stream, "data/table.bin", &bytes);
    }
    stream.extend_from_slice(b"done\n");
    repo.git_input(&["fast-import", "--quiet", "--done"], &stream);
    repo.git(&["rev-list", "--reverse", "refs/heads/made"]).lines().map(str::to_owned).collect()
}

/// Follows all commits, one by one.
fn a_thousand_commits() -> (Synced, Agent, Vec<Sample>) {
    let world = Synced::in_memory();
    let commits = history(&world.repo);
    world.repo.set_ref("refs/heads/main", &commits[0]);
    let launch = world.launch().args([
        "--period=10ms",
        "--max-failures=-1",
        "--log-format=json",
        "--http-bind=127.0.0.1:0",
    ]);
    // What the C library keeps of freed memory would hide a leak: here it gives everything back at once.
    let agent =
        [("ARENA_MAX", "1"), ("TRIM_THRESHOLD_", "65536"), ("TOP_PAD_", "0"), ("MMAP_THRESHOLD_", "65536")]
            .into_iter()
            .fold(launch, |launch, (name, value)| launch.env(&format!("MALLOC_{name}"), value))
            .start();
    agent.wait_published(&world.root, "repo", &commits[0]);
    let began = Instant::now();
    let mut samples = Vec::new();
    for (number, commit) in commits.iter().enumerate().skip(1) {
        world.repo.set_ref("refs/heads/main", commit);
        agent.wait_published(&world.root, "repo", commit);
        // The pass goes on behind the swap, and its line comes last.
        let told = || agent.stderr().matches("\"msg\":\"published\"").count() > number;
        agent.wait_until("the pass to be told", told);
        samples.push(look(&world, &agent));
    }
    let took = began.elapsed();
    for (sample, line) in samples.iter_mut().zip(said(&agent, "published").iter().skip(1)) {
        sample.pass = line["total_ms"].as_f64().or(line["args"]["total_ms"].as_f64()).expect("a duration");
    }
    println!("{COMMITS} commits in {took:?}");
    assert!(took < BUDGET, "{took:?}");
    (world, agent, samples)
}

fn look(world: &Synced, agent: &Agent) -> Sample {
    let proc = Path::new("/proc").join(agent.pid().to_string());
    let text = |name: &str| fs::read_to_string(proc.join(name)).expect("the agent runs");
    let anon = text("status")
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.trim().trim_end_matches(" kB").parse::<u64>().ok());
    let tasks = fs::read_dir(proc.join("task")).expect("the agent runs").flatten();
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    let git = world.root.join(".git");
    let shallow = fs::read_to_string(git.join("shallow")).unwrap_or_default();
    Sample {
        store_bytes: bytes_of(&git),
        tree_bytes: bytes_of(&world.root.join(".worktrees")),
        trees: synced::trees(&world.root).len(),
        metadata: names(&git.join("worktrees")).len(),
        packs: names(&git.join("objects/pack")).iter().filter(|name| name.ends_with(".pack")).count(),
        shallow: shallow.lines().count(),
        anon_kib: anon.expect("a line of the status"),
        descriptors: sample(address(agent), "process_open_fds").expect("a number") as usize,
        mappings: fs::read_to_string(proc.join("maps")).ok().map(|maps| maps.lines().count()),
        cpu: Duration::from_nanos(nanos.sum()),
        pass: f64::NAN,
    }
}

/// Of all files below a folder. What goes while we look is not there.
fn bytes_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.filter_map(|entry| {
        let meta = entry.metadata().ok()?;
        Some(if meta.is_dir() { bytes_of(&entry.path()) } else { meta.size() })
    });
    bytes.sum()
}

/// The highest in either window.
fn highest<T: Ord + Copy>(samples: &[Sample], of: impl Fn(&Sample) -> T) -> (T, T) {
    let [early, late] = [EARLY, LATE].map(|window| samples[window].iter().map(&of).max().unwrap());
    (early, late)
}

/// The median in either window.
fn middle(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> (u64, u64) {
    let [early, late] = [EARLY, LATE].map(|window| {
        let mut values: Vec<u64> = samples[window].iter().map(&of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    });
    (early, late)
}

#[test]
fn the_thousandth_commit_costs_what_the_two_hundredth_did() {
    let (world, agent, samples) = a_thousand_commits();
    println!(
        "after {}: {:?}\nafter {COMMITS}: {:?}",
        EARLY.end,
        samples[EARLY.end - 1],
        samples[LATE.end - 1]
    );
    // Two trees, the live one and the one to be used up, and what git knows of them: not one more, not a byte of theirs but
    // for what manifests differ in.
    assert_eq!(highest(&samples, |sample| (sample.trees, sample.metadata)), ((2, 2), (2, 2)));
    let (early, late) = highest(&samples, |sample| sample.tree_bytes);
    assert!(late <= early + 4096, "trees: {early} bytes, then {late}");
    let (early, late) = highest(&samples, |sample| sample.packs);
    assert!(late <= early + 2 && late <= 45, "packs: {early}, then {late}");
    let (early, late) = highest(&samples, |sample| sample.shallow);
    assert!(early <= 3 && late <= early, "shallow lines: {early}, then {late}");
    let (early, late) = highest(&samples, |sample| sample.descriptors);
    assert!(late <= early + 2, "descriptors: {early}, then {late}");
    let (early, late) = highest(&samples, |sample| sample.mappings);
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!((early.is_some(), late.is_some()), (is_root, is_root));
    assert!(late <= early.map(|early| early + 16), "mappings: {early:?}, then {late:?}");
    // 600 passes lie between: a leak of half a KiB a pass shows.
    let (early, late) = middle(&samples, |sample| sample.anon_kib);
    assert!(late <= early + 256, "anonymous memory: {early} KiB, then {late}");
    // Half as much again, of processor time; twice, on the clock, which belongs to everybody on the machine.
    let cpu = |window: std::ops::Range<usize>| samples[window.end - 1].cpu - samples[window.start].cpu;
    let (early, late) = (cpu(EARLY), cpu(LATE));
    assert!(late < early.mul_f64(1.5), "processor time of 200 passes: {early:?}, then {late:?}");
    let (early, late) = middle(&samples, |sample| (sample.pass * 10.0) as u64);
    assert!(late < early * 2 + 50, "a pass: {early} tenths of a millisecond, then {late}");
    // The store has what came, once, and its indexes; never more.
    let came = COMMITS as u64 * (NEW_BYTES as u64 + 1024);
    let (_, late) = highest(&samples, |sample| sample.store_bytes);
    assert!(late < came + came / 2, "{late} bytes in the store of {came} that came");
    drop(agent);
    world.once(&[]);
    world.nothing_is_left_over();
    world.git_in_tree(&["fsck", "--no-dangling"]);
}

#[test]
fn the_store_does_not_grow_with_what_nobody_needs_any_more() {
    let (world, agent, samples) = a_thousand_commits();
    let (early, late) = highest(&samples, |sample| sample.store_bytes);
    // Garbage may weigh as much as what is needed, and eight MiB on top, before somebody looks.
    assert!(late <= early + early / 4 && late < 10 << 20, "{early} bytes, then {late}");
    drop((world, agent));
}
