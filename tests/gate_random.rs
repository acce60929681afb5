//! Random streams of commits: an agent in this process publishes what the model of the policy says, push by push and from nothing.
//!
//! A test program of its own: a child process, between its making and its program, holds every lock that is held here, and the agent
//! would find its root taken. All that git does is done before the first agent runs.

mod stream;
mod support;
mod synced;

use std::fs;
use std::sync::Mutex;
use std::thread;

use dagsync::agent::{App, End};
use dagsync::config::{self, Inputs, Surroundings};
use stream::Upstream;
use stream::model::is_unfit;
use stream::random::Stream;
use support::agent::published;
use support::wait::{PATIENCE, wait_until};

/// So many random streams.
const STREAMS: u64 = 120;
/// So many pushes each.
const PUSHES: usize = 8;

/// Runs an agent once, in this process, without a gate but ours.
fn run(upstream: &Upstream, name: &str, more: &[&str]) -> (End, Option<String>) {
    let root = upstream.dir.path().join(name);
    let own = [format!("--repo={}", upstream.here().display()), format!("--root={}", root.display())];
    let always = [
        "--link=repo",
        "--ref=main",
        "--check=gate",
        "--check-airflow=3.3",
        "--on-rewind=block",
        "--one-time",
    ];
    let args = own.iter().map(String::as_str).chain(always).chain(more.iter().copied());
    // A lock may be let go of a moment after its owner is gone.
    let is_free = || fs::File::open(root.join(".dagsync/lock")).map_or(true, |lock| lock.try_lock().is_ok());
    wait_until(PATIENCE, "the root to be free", is_free);
    let inputs = Inputs::new(args.map(Into::into), Surroundings::new([], "/", false, false));
    let config = config::load(&inputs, None).unwrap_or_else(|errors| panic!("{errors}"));
    let mut running = App::build(config).unwrap().spawn().unwrap();
    let end = running.wait(|| Err("there is no file".into()));
    running.drain();
    (end, published(&root, "repo"))
}

/// One random stream; what was not as the model says.
fn random(upstream: &mut Upstream, seed: u64, stream: &Stream, shown: &[usize]) -> Vec<String> {
    // Whoever blocks what goes back asks for as much history as that takes.
    let depth = if stream.is_plain || seed % 4 < 2 { "--depth=1" } else { "--depth=0" };
    let mut wrong = Vec::new();
    let mut serves: Option<usize> = None;
    for (push, tip) in shown.iter().copied().enumerate() {
        // After the first one all that follows is wrong too.
        if !wrong.is_empty() {
            break;
        }
        upstream.point(tip);
        let says = serves.map(|old| upstream.judged(old));
        let over = serves;
        serves = match serves {
            None => upstream.replayed(),
            Some(old) => Some(if upstream.judged(old).is_ok() { tip } else { old }),
        };
        let anew = upstream.replayed();
        if stream.is_plain && upstream.begins_clean() {
            assert_eq!(
                anew, serves,
                "seed {seed}, push {push}: what follows one by one ends where a replay does"
            );
        }
        for (kind, expected) in [("old", serves), ("new", anew)] {
            // A fresh one costs more, and the last push has all the history.
            if kind == "new" && !matches!(push, 3 | 7) {
                continue;
            }
            let name = if kind == "new" { format!("{seed}-{push}") } else { seed.to_string() };
            let (end, found) = run(upstream, &name, &[depth]);
            let expected = expected.map(|number| upstream.commits[number].id.clone());
            // What cannot be written is a failure, whatever is served.
            let is_fine = expected.is_some() && !is_unfit(&upstream.commits[tip].tree);
            let is_end = end == if is_fine { End::Fine } else { End::Failed };
            if found != expected || !is_end {
                let tree = |number: usize| format!("{:?}", upstream.commits[number].tree);
                wrong.push(format!(
                    "seed {seed}, push {push}, {kind}: {found:?} ({end:?}) and not {expected:?}: {says:?} of {} over {}",
                    tree(tip),
                    over.map(tree).unwrap_or_default()
                ));
            }
        }
    }
    wrong
}

#[test]
fn random_streams_end_where_the_model_does() {
    let first = std::env::var("DAGSYNC_SEED").ok().and_then(|text| text.parse().ok());
    let first: u64 = first.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("seeds {first} to {}: DAGSYNC_SEED={first} plays them again", first + STREAMS - 1);
    let streams = |from: u64| {
        let mut upstream = Upstream::new();
        let seeds = (from..first + STREAMS).step_by(2);
        let streams: Vec<(u64, Stream, Vec<usize>)> = seeds
            .map(|seed| {
                let mut stream = Stream::of(seed);
                let shown = stream.pushes(&mut upstream, PUSHES);
                (seed, stream, shown)
            })
            .collect();
        (upstream, streams)
    };
    let both = [streams(first), streams(first + 1)];
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for (mut upstream, streams) in both {
            let wrong = &wrong;
            scope.spawn(move || {
                for (seed, stream, shown) in streams {
                    let found = random(&mut upstream, seed, &stream, &shown);
                    wrong.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
}
