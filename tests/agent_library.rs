//! The agent as a library: what no configuration can bring about, a gate and a listener of the test's own.

mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use dagsync::agent::{App, End, MakeParts, Message, Parts};
use dagsync::check::report::Report;
use dagsync::check::verdict::Verdict;
use dagsync::check::{Gate, Open, Published, Revision, Snapshot, Unreadable};
use dagsync::config::{self, Inputs, SourceConfig, Surroundings};
use dagsync::hooks::{Announcer, Nobody, Publication};
use support::agent::published;
use support::observe::{metrics, ready, sample, wait_for_passes};
use support::wait::{PATIENCE, wait_until};
use support::{Repo, temp};
use tempfile::TempDir;

/// An agent in this process, drained on drop.
struct Agent {
    at: SocketAddr,
    messages: Sender<Message>,
    thread: Option<JoinHandle<End>>,
}

impl Agent {
    fn start(args: &[String], parts: MakeParts) -> Agent {
        let around = Surroundings::new([], "/", false, false);
        let args = args.iter().map(Into::into).chain(["--http-bind=127.0.0.1:0".into()]);
        let inputs = Inputs::new(args, around);
        let config = config::load(&inputs, None).unwrap_or_else(|errors| panic!("{errors}"));
        let app = App::build(config).unwrap().with_parts(parts);
        let (at, messages) = (app.local_addr().unwrap(), app.sender());
        let mut running = app.spawn().unwrap();
        let thread = std::thread::spawn(move || {
            let end = running.wait(|| Err("there is no file".into()));
            running.drain();
            end
        });
        Agent { at, messages, thread: Some(thread) }
    }

    fn stop(mut self) -> End {
        self.messages.send(Message::Terminate).unwrap();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Terminate);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct World {
    _folder: TempDir,
    repo: Repo,
    root: PathBuf,
}

impl World {
    fn new() -> World {
        let folder = temp();
        let repo = Repo::bare(folder.path().join("up.git"));
        repo.commit(&[("dags/a.py", "a = 1\n")]);
        let root = folder.path().join("root");
        World { _folder: folder, repo, root }
    }

    fn args(&self, more: &[&str]) -> Vec<String> {
        let own = [
            format!("--repo={}", self.repo.git_dir().display()),
            format!("--root={}", self.root.display()),
            "--link=current".into(),
            "--check=gate".into(),
        ];
        own.into_iter().chain(more.iter().map(|arg| (*arg).to_owned())).collect()
    }

    #[track_caller]
    fn wait_published(&self, commit: &str) {
        wait_until(PATIENCE, "the commit to be published", || {
            published(&self.root, "current").as_deref() == Some(commit)
        });
    }
}

/// Panics at the numbered judgements, and rejects revisions with a file `bad`.
struct Moody(Arc<AtomicUsize>, &'static [usize]);

impl Gate for Moody {
    fn judge(
        &mut self,
        revision: Revision<'_>,
        published: Option<Published<'_>>,
    ) -> Result<Report, Unreadable> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        assert!(!self.1.contains(&number), "the gate is out of order");
        let verdict = match revision.files.find("bad".into()) {
            Some(_) => Verdict::Reject { because: "fatal", reason: "it is bad".into() },
            None => Verdict::Pass,
        };
        // What is published was let through.
        let clean = &mut |files: &dyn Snapshot| {
            assert!(files.find("bad".into()).is_none());
            true
        };
        published.inspect(|published| (published.files)(clean));
        Ok(Report { verdict, ..Open.judge(revision, published)? })
    }
}

fn moody(panics: &'static [usize]) -> MakeParts {
    let judged = Arc::new(AtomicUsize::new(0));
    Arc::new(move |_: &SourceConfig| Parts {
        gate: Box::new(Moody(judged.clone(), panics)),
        announcer: Box::new(Nobody),
    })
}

#[test]
fn a_panic_costs_a_pass_and_the_next_one_publishes() {
    let world = World::new();
    let agent = Agent::start(&world.args(&["--period=30ms", "--max-failures=-1"]), moody(&[0, 1]));
    world.wait_published(&world.repo.head());
    wait_for_passes(agent.at, "current", "success", 1);
    let errors = sample(agent.at, r#"dagsync_passes_total{result="error",source="current"}"#);
    assert_eq!(errors, Some(2.0));
    let next = world.repo.commit(&[("dags/a.py", "a = 2\n")]);
    world.wait_published(&next);
    assert_eq!(agent.stop(), End::Fine);
}

#[test]
fn a_pass_that_panics_for_ever_uses_the_budget_up() {
    let world = World::new();
    let agent = Agent::start(&world.args(&["--period=10ms", "--max-failures=1"]), moody(&[0, 1, 2]));
    let end = { agent }.thread.take().unwrap().join().unwrap();
    assert_eq!(end, End::Failed);
    assert!(!world.root.join("current").exists());
}

#[test]
fn a_first_revision_that_is_held_back_is_nothing_to_be_ready_for() {
    let world = World::new();
    // There never was another one.
    world.repo.amend(&[("bad", "x")]);
    let agent = Agent::start(&world.args(&["--period=30ms"]), moody(&[]));
    wait_for_passes(agent.at, "current", "rejected", 1);
    assert_eq!(ready(agent.at), 503);
    assert_eq!(published(&world.root, "current"), None);
    world.repo.remove("bad");
    let good = world.repo.commit(&[]);
    world.wait_published(&good);
    wait_until(PATIENCE, "readiness", || ready(agent.at) == 200);
    // Held back later, what is published stays, and stays ready.
    let rejected = sample(agent.at, r#"dagsync_passes_total{result="rejected",source="current"}"#).unwrap();
    world.repo.commit(&[("bad", "x")]);
    wait_for_passes(agent.at, "current", "rejected", rejected as u32 + 1);
    assert_eq!(ready(agent.at), 200);
    assert_eq!(published(&world.root, "current"), Some(good));
    assert!(
        !metrics(agent.at).contains("git_sync_count_total{status=\"rejected\"}"),
        "git-sync has no such status"
    );
}

struct Listener(Arc<Mutex<Vec<Publication>>>);

impl Announcer for Listener {
    fn published(&mut self, publication: &Publication) {
        // Told after the fact: readers see it already.
        assert!(publication.tree.join("dags/a.py").is_file());
        self.0.lock().unwrap().push(publication.clone());
    }
}

#[test]
fn listeners_hear_of_each_publication_once() {
    let world = World::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = heard.clone();
    let parts: MakeParts = Arc::new(move |_: &SourceConfig| Parts {
        gate: Box::new(Open),
        announcer: Box::new(Listener(told.clone())),
    });
    let agent = Agent::start(&world.args(&["--period=20ms"]), parts);
    wait_for_passes(agent.at, "current", "noop", 2);
    let first = world.repo.head();
    let second = world.repo.commit(&[("dags/a.py", "a = 2\n")]);
    wait_for_passes(agent.at, "current", "success", 2);
    let heard: Vec<Publication> = heard.lock().unwrap().clone();
    let pairs: Vec<_> = heard.iter().map(|one| (one.commit.clone(), one.previous.clone())).collect();
    assert_eq!(pairs, [(first.clone(), None), (second, Some(first))]);
    assert_eq!(heard[0].source, "current");
}
