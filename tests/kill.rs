//! The agent dies at any moment: readers see a whole tree, and the next start mends everything.

#![cfg(debug_assertions)]

mod crash;
mod support;
mod synced;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crash::scenarios::ALL;
use crash::{Scenario, World, point_at, side_by_side};
use dagsync::disk::Point;
use synced::{Files, Synced, files, names, of_commit, try_files};

/// So many scenarios die at each point that more of them reach.
const SCENARIOS_A_POINT: usize = 2;
/// So many deaths share an upstream.
const DEATHS_A_WORLD: usize = 12;

/// So many lives end at a random moment.
const LIVES: usize = 500;
/// The longest of them.
const LONGEST: Duration = Duration::from_millis(90);

/// Points that no scenario reaches, and why.
const UNREACHED: &[(&str, &str)] =
    &[("tree.file.clone", "few file systems share content: `tests/reflinks.rs` brings one, and dies there")];

#[test]
fn kill_9_at_every_crash_point() {
    let scenarios: Vec<&'static Scenario> = ALL.iter().collect();
    let looked = side_by_side(&scenarios, |scenario| {
        let world = World::new(scenario);
        (scenario.name, (world.points(), world.undisturbed()))
    });
    let looked: BTreeMap<_, _> = looked.into_iter().collect();
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    let mut jobs: Vec<(&'static Scenario, BTreeSet<String>, Vec<String>)> = Vec::new();
    for scenario in scenarios {
        let (points, undisturbed) = &looked[scenario.name];
        let undisturbed = undisturbed.as_ref().unwrap_or_else(|err| panic!("{}: {err}", scenario.name));
        let mut deaths = Vec::new();
        for (point, times) in points.iter().filter(|(point, _)| !scenario.fault.contains(*point)) {
            let before = reached.entry(point).or_default();
            *before += 1;
            if *before > SCENARIOS_A_POINT {
                continue;
            }
            deaths.extend([format!("kill:{point}:before:1"), format!("kill:{point}:after:1")]);
            if *times > 1 {
                deaths.push(format!("kill:{point}:after:{times}"));
            }
        }
        let chunks = deaths.chunks(DEATHS_A_WORLD);
        jobs.extend(chunks.map(|chunk| (scenario, undisturbed.clone(), chunk.to_vec())));
    }
    let unreached: BTreeSet<_> =
        Point::ALL.iter().map(|point| point.name()).filter(|name| !reached.contains_key(name)).collect();
    let known: BTreeSet<_> = UNREACHED.iter().map(|(name, _)| *name).collect();
    assert_eq!(unreached, known, "points that no scenario reaches, and those that are known");
    let failures: Vec<String> = side_by_side(&jobs, |(scenario, undisturbed, deaths)| {
        let world = World::new(scenario);
        let died = deaths.iter().map(|kill| world.survives(kill, undisturbed));
        died.filter_map(Result::err).collect::<Vec<_>>()
    })
    .concat();
    let deaths: usize = jobs.iter().map(|(_, _, deaths)| deaths.len()).sum();
    println!("{deaths} deaths");
    assert!(failures.is_empty(), "{} of {deaths}:\n{}", failures.len(), failures.join("\n"));
}

/// Readers beside the agent that lives and dies: they look at the link all the time.
struct Readers {
    threads: Vec<(JoinHandle<usize>, Sender<()>)>,
}

impl Readers {
    fn start(link: &Path, contents: &BTreeMap<String, Files>) -> Readers {
        let reader = || {
            let (link, contents) = (link.to_owned(), contents.clone());
            let (stop, stopped) = channel();
            let thread = std::thread::spawn(move || {
                let mut looks = 0;
                // Without a pause they would take the processor that the agent needs.
                while stopped.recv_timeout(Duration::from_millis(2)) == Err(RecvTimeoutError::Timeout) {
                    looks += usize::from(is_whole(&link, &contents));
                }
                looks
            });
            (thread, stop)
        };
        Readers { threads: vec![reader(), reader()] }
    }

    /// How often a whole commit was seen. Panics if anything else was.
    fn stop(self) -> usize {
        let end = |(thread, stop): (JoinHandle<usize>, Sender<()>)| {
            drop(stop);
            thread.join().expect("whole commits only")
        };
        self.threads.into_iter().map(end).sum()
    }
}

/// Looks at the tree that the link leads to; `false` if it leads nowhere yet, or elsewhere when the look ends: a tree that was
/// replaced may be on its way to become the next one.
fn is_whole(link: &Path, contents: &BTreeMap<String, Files>) -> bool {
    // Each swap is a new link, also one that leads back to where it led before.
    let which = || {
        let meta = fs::symlink_metadata(link).ok()?;
        Some((meta.ino(), meta.ctime(), meta.ctime_nsec(), fs::read_link(link).ok()?))
    };
    let Some(before) = which() else { return false };
    let seen = try_files(link);
    if which().as_ref() != Some(&before) {
        return false;
    }
    let target = before.3;
    let commit = target.file_name().and_then(|name| name.to_str()).expect("the name of a commit");
    assert_eq!(seen.expect("it can be read"), contents[commit], "{commit}");
    true
}

#[test]
fn kill_9_at_random_moments_never_shows_half_a_tree() {
    let seed =
        std::env::var("DAGSYNC_TEST_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("the same again: DAGSYNC_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let synced = Synced::empty();
    let mut commits = crash::scenarios::three_commits(&synced.repo);
    for n in 0..20 {
        let path = format!("dags/{}/{n}.py", n % 3);
        synced.repo.remove(&format!("dags/{}/{}.py", n % 3, n as i32 - 3));
        commits.push(synced.repo.commit(&[(&path, &"x\n".repeat(n)), ("a.py", &format!("print({n})\n"))]));
    }
    let contents: BTreeMap<_, _> =
        commits.iter().map(|commit| (commit.clone(), of_commit(&synced.repo, commit))).collect();
    let (_hold, never) = channel::<()>();
    let live_for = |most: Duration, random: &mut fastrand::Rng| {
        // Not a wait for anything: the moment is what is drawn.
        let _ = never.recv_timeout(most.mul_f64(random.f64()));
    };
    let readers = Readers::start(&synced.link(), &contents);
    let (mut last, mut swaps) = (None, 0);
    for life in 0..LIVES {
        let launch = synced.launch().set("max-failures", "-1");
        let agent = match random.u8(..4) {
            0 => launch.args(["--stale-worktree-timeout=0s"]).start(),
            1 => launch.args(["--keep=1"]).start(),
            _ => launch.start(),
        };
        for _ in 0..random.u8(1..4) {
            point_at(&synced.repo, random.choice(&commits).unwrap());
            // On a busy machine a life has to be longer to come to anything.
            let behind = (life / 5).saturating_sub(swaps) as u32;
            live_for(LONGEST / 2 * (1 + behind / 4).min(8), &mut random);
        }
        drop(agent);
        let published = synced.published();
        let Some(commit) = &published else {
            assert!(
                last.is_none() && !synced.link().is_symlink(),
                "life {life}, seed {seed}: the link is gone"
            );
            continue;
        };
        assert_eq!(files(&synced.link()), contents[commit], "life {life}, seed {seed}");
        swaps += usize::from(published != last);
        last = published;
    }
    let looks = readers.stop();
    println!("{swaps} of {LIVES} lives swapped the link, {looks} looks at it saw a whole commit");
    assert!(looks > LIVES, "the readers hardly looked: {looks}");
    assert!(swaps > LIVES / 10, "the agent did not live long enough to do anything: {swaps}");
    let newest = random.choice(&commits).unwrap();
    point_at(&synced.repo, newest);
    synced.once(&["--stale-worktree-timeout=0s"]);
    synced.shows(newest);
    synced.nothing_is_left_over();
    // Trees that were built before a death may have had the commit's own name when it was built once more.
    let folder = synced.root.join(".worktrees");
    let trees: Vec<String> = names(&folder)
        .into_iter()
        .map(|name| match name.starts_with("again-") {
            true => names(&folder.join(name)).join(" "),
            false => name,
        })
        .collect();
    assert_eq!(trees, [newest.as_str()]);
}
