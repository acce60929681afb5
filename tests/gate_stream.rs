//! A stream of commits, good and bad in every class, pushed to a git host: what each kind of pod publishes after each push is what the
//! policy says.
//!
//! `stream/table.rs` has the pushes and what follows; `stream/model.rs` computes the same once more from what the files are.

mod stream;
mod support;
mod synced;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::thread;

use dagsync::check::{Code, Severity};
use stream::table::{Expect, Push, Row, rows};
use stream::{Pod, Upstream};
use support::GitServer;
use support::agent::{Agent, http_get};
use support::observe::{address, metrics};
use synced::Files;

/// What is expected of all pods after a push.
struct Step<'a> {
    row: &'a Row,
    tip: &'a str,
    /// What pods have that were there before, and one that begins now.
    old: Seen,
    fresh: Seen,
    /// What is not as it should be.
    wrong: &'a Mutex<Vec<String>>,
}

/// What a reader would see: the commit, and its files.
type Seen = Option<(String, Files)>;

impl Step<'_> {
    /// Whether the newest commit is held back for pods that were there, and why.
    fn held(&self) -> Option<(&'static str, &'static str)> {
        match self.row.expect {
            Expect::Held(because, says) => Some((because, says)),
            Expect::Published | Expect::Fails(_) | Expect::Same => None,
        }
    }

    /// Notes it if something is not as it should be: all rows are told at once.
    fn is<T: PartialEq + Debug>(&self, kind: &str, what: &str, found: &T, expected: &T) {
        if found != expected {
            let line = format!("{}, {kind}, {what}: {found:?} and not {expected:?}", self.row.what);
            self.wrong.lock().unwrap().push(line);
        }
    }

    /// What readers see.
    fn shows(&self, kind: &str, pod: &Pod, expected: &Seen) {
        let seen = pod.shows();
        let commit = |seen: &Seen| seen.as_ref().map(|(commit, _)| commit.clone());
        self.is(kind, "the commit", &commit(&seen), &commit(expected));
        if commit(&seen) == commit(expected) {
            self.is(kind, "the files", &seen, expected);
        }
    }

    /// What the error file says.
    fn tells(&self, kind: &str, pod: &Pod) {
        let error = pod.error();
        if let Expect::Fails(says) = self.row.expect {
            let is_told = error.as_ref().is_some_and(|error| error.contains(says));
            return self.is(kind, "the error file", &is_told, &true);
        }
        let is_right = match (self.held(), &error) {
            (Some((_, says)), Some(error)) => error.contains(self.tip) && error.contains(says),
            (held, error) => held.is_none() && error.is_none(),
        };
        if !is_right {
            self.is(kind, "the error file", &error, &Some(format!("{:?}", self.row.expect)));
        }
    }

    /// A pod that runs once: on what is there, or from nothing.
    fn once(&self, kind: &str, pod: &Pod, expected: &Seen) {
        let finished = pod.once();
        self.shows(kind, pod, expected);
        let fails = expected.is_none() || matches!(self.row.expect, Expect::Fails(_));
        self.is(kind, "the exit code", &finished.status.code(), &Some(i32::from(fails)));
    }
}

/// The process that is there from the first commit to the last.
struct Follower {
    pod: Pod,
    agent: Agent,
    at: SocketAddr,
    rejected: BTreeMap<&'static str, u32>,
}

impl Follower {
    fn start(pod: Pod) -> Follower {
        let agent = pod.launch().args(["--http-bind=127.0.0.1:0", "--max-failures=-1"]).start();
        let at = address(&agent);
        Follower { pod, agent, at, rejected: BTreeMap::new() }
    }

    /// What it has counted, by reason.
    fn counted(&self) -> BTreeMap<String, u32> {
        let page = metrics(self.at);
        let series = page.lines().filter_map(|line| {
            let rest = line.strip_prefix("dagsync_revisions_rejected_total{reason=\"")?;
            let (reason, rest) = rest.split_once('"')?;
            Some((reason.to_owned(), rest.rsplit_once(' ')?.1.parse().ok()?))
        });
        series.filter(|(_, count)| *count > 0).collect()
    }

    /// Passes so far.
    fn passes(&self) -> f64 {
        let page = metrics(self.at);
        let passes = page.lines().filter(|line| line.starts_with("dagsync_passes_total{"));
        passes.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Waits until it has seen the push, and asserts all that it shows.
    #[track_caller]
    fn follows(&mut self, step: &Step<'_>) {
        let what = step.row.what;
        if let Some((because, _)) = step.held() {
            *self.rejected.entry(because).or_default() += 1;
        }
        let remote = format!("dagsync_remote_info{{commit=\"{}\"", step.tip);
        self.agent.wait_until(what, || metrics(self.at).contains(&remote));
        // The pass that saw it has ended when another one has begun and ended.
        let before = self.passes();
        self.agent.wait_until(what, || self.passes() > before + 1.0);
        step.shows("first", &self.pod, &step.old);
        let expected: BTreeMap<String, u32> =
            self.rejected.iter().map(|(because, count)| ((*because).to_owned(), *count)).collect();
        step.is("first", "what is counted", &self.counted(), &expected);
        step.tells("first", &self.pod);
        let ready = http_get(self.at, "/", &[]).expect("the probe is answered").status;
        step.is("first", "the probe", &ready, &if step.old.is_some() { 200 } else { 503 });
        let page = metrics(self.at);
        let published = page.lines().find_map(|line| {
            line.strip_prefix("dagsync_published_info{commit=\"")?.split('"').next().map(String::from)
        });
        step.is("first", "the metric", &published, &step.old.as_ref().map(|(commit, _)| commit.clone()));
    }
}

/// Pushes what a row says.
fn push(upstream: &mut Upstream, row: &Row) {
    let tip = upstream.tip;
    let last = upstream.commits.len().checked_sub(1);
    let tree = |number: usize| upstream.commits[number].tree.clone();
    let onto = |number, edits: &[stream::table::Edit]| {
        let mut tree = tree(number);
        edits.iter().for_each(|edit| edit.apply(&mut tree));
        tree
    };
    match &row.push {
        Push::Commits(commits) => {
            let mut at = last.map(|_| tip);
            let mut new = last.map(|_| tree(tip)).unwrap_or_default();
            let first = upstream.commits.len();
            let mut made = Vec::new();
            for (message, edits) in commits {
                edits.iter().for_each(|edit| edit.apply(&mut new));
                made.push((new.clone(), (*message).to_owned(), at.into_iter().collect()));
                at = Some(first + made.len() - 1);
            }
            upstream.import(made);
        }
        Push::Instead(edits) => {
            let parents = upstream.commits[tip].parents.clone();
            let new = onto(tip, edits);
            upstream.import(vec![(new, row.what.to_owned(), parents)]);
        }
        Push::Merge(edits) => {
            let base = upstream.commits[tip].parents[0];
            let (side, both) = (onto(base, edits), onto(tip, edits));
            let first = upstream.commits.len();
            let commits =
                vec![(side, "side".to_owned(), vec![base]), (both, row.what.to_owned(), vec![tip, first])];
            upstream.import(commits);
        }
        Push::Back(count) => {
            let to = (0..*count).fold(tip, |at, _| upstream.commits[at].parents[0]);
            return upstream.push(to);
        }
        Push::Forth => {}
        Push::Tag(name) => return upstream.push_tag(name),
    }
    upstream.push(upstream.commits.len() - 1);
}

#[test]
fn every_pod_publishes_what_the_policy_says_of_each_push() {
    let mut upstream = Upstream::new();
    let server = GitServer::plain(upstream.dir.path());
    let url = server.url("up.git");
    let dir = upstream.dir.path().to_owned();
    let pod = |name: &str| Pod::new(&dir, name, &url);
    let (restarted, storeless) = (pod("restarted"), pod("storeless"));
    let fresh = [pod("fresh"), pod("fresh-with-history").with(&["--depth=0"])];
    let mut follower: Option<Follower> = None;
    let wrong = Mutex::new(Vec::new());
    let mut published: Option<usize> = None;
    for row in &rows() {
        push(&mut upstream, row);
        let says = match published {
            None => upstream.replayed().map_or(Err("fatal"), |_| Ok(())),
            Some(published) => upstream.judged(published),
        };
        let because = match row.expect {
            Expect::Held(because, _) => Err(because),
            Expect::Fails(_) => Err("unfit"),
            Expect::Published | Expect::Same => Ok(()),
        };
        assert_eq!(says, because, "{}: the table and the model", row.what);
        if says.is_ok() {
            published = Some(upstream.tip);
        }
        let anew = upstream.replayed();
        assert_eq!(anew != published, row.apart.is_some(), "{}: {anew:?} and {published:?}", row.what);
        let shown = |number: usize| (upstream.commits[number].id.clone(), upstream.commits[number].files());
        let tip = upstream.commits[upstream.tip].id.clone();
        let step = Step { row, tip: &tip, old: published.map(shown), fresh: anew.map(shown), wrong: &wrong };
        let follower = follower.get_or_insert_with(|| Follower::start(pod("first")));
        thread::scope(|scope| {
            let restarted = scope.spawn(|| {
                step.once("restarted", &restarted, &step.old);
                step.tells("restarted", &restarted);
                // Whoever lost its objects has lost nothing that counts.
                storeless.lose_store();
                step.once("without its store", &storeless, &step.old);
            });
            let fresh = scope.spawn(|| {
                for pod in &fresh {
                    pod.renew();
                    step.once("from nothing", pod, &step.fresh);
                    if row.apart.is_none() {
                        step.tells("from nothing", pod);
                    }
                }
            });
            follower.follows(&step);
            restarted.join().unwrap_or_else(|panic| resume_unwind(panic));
            fresh.join().unwrap_or_else(|panic| resume_unwind(panic));
        });
    }
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_stream_has_every_code_that_holds_a_revision_back() {
    let rows = rows();
    let commits: usize =
        rows.iter().map(|row| if let Push::Commits(made) = &row.push { made.len() } else { 1 }).sum();
    assert!(commits >= 50, "{commits}");
    let said: Vec<&str> = rows
        .iter()
        .filter_map(|row| if let Expect::Held(_, says) = row.expect { Some(says) } else { None })
        .collect();
    // Those that the reason names by their place or their message instead.
    let others = [("schedule", "`61 * * * *`"), ("command", "check command")];
    for code in Code::ALL.iter().filter(|code| code.severity() > Severity::Warning) {
        let name = code.name();
        let by = others.iter().find(|(code, _)| *code == name).map_or(name, |(_, says)| says);
        assert!(said.contains(&by), "{name} is in no row");
    }
    for because in ["fatal", "error", "shrink", "rewind", "command"] {
        assert!(
            rows.iter().any(|row| matches!(row.expect, Expect::Held(word, _) if word == because)),
            "{because}"
        );
    }
}
