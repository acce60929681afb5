//! `dagsync demo`: the real agent on a small repository of its own, and what a reader of the link sees.
//!
//! Owns a folder with a bare repository ([`upstream`]), a ref file and a root. It commits what [`script`] says, waits for the link
//! to show it, and prints the difference ([`show`]) while [`reader`] keeps looking through the link. Everything is measured from
//! outside, as a reader does; the agent runs in this process, with no log of its own, and is told nothing but its flags.

mod reader;
mod script;
mod show;
mod upstream;

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gix::ObjectId;

use super::DemoArgs;
use crate::agent::status::Board;
use crate::agent::{App, Message, Running, signals};
use crate::config::{self, Inputs, Surroundings};
use reader::Reader;
use script::{Deed, Script};
use show::{Paint, Shown, Summary};
use upstream::{Files, Upstream};

/// How long a revision may take to go live. Milliseconds are usual; a machine that builds something else is slow.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at the link.
const LOOK: Duration = Duration::from_micros(500);
/// The link's name, as in the Airflow chart.
const LINK: &str = "repo";
const BRANCH: &str = "main";

/// Runs the demonstration. Ctrl-C and a closed pipe end it well.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let (send, asked_to_end) = channel();
    let _signals = signals::listen_at_a_terminal(move |event| match event {
        signals::SignalEvent::TerminateNow { .. } => super::exit_now(1),
        // Nobody listens any more when the demonstration is on its way out.
        _ => drop(send.send(())),
    })
    .context("cannot listen for signals")?;
    let place = Place::make(args.keep_dir.as_deref())?;
    let var = |name: &str| std::env::var(name).ok();
    let paint = Paint::new(io::stdout().is_terminal(), var("NO_COLOR").as_deref(), var("TERM").as_deref());
    match Demo::start(args, &place.path, paint, asked_to_end)?.play() {
        Err(err) if is_closed_pipe(&err) => Ok(()),
        other => other,
    }
}

fn is_closed_pipe(err: &anyhow::Error) -> bool {
    err.downcast_ref::<io::Error>().is_some_and(|err| err.kind() == io::ErrorKind::BrokenPipe)
}

/// The folder of a demonstration; a temporary one goes away with it.
struct Place {
    path: PathBuf,
    temporary: bool,
}

impl Place {
    #[expect(
        clippy::disallowed_methods,
        reason = "a demonstration has no root to work below; its folder is private"
    )]
    fn make(keep: Option<&Path>) -> anyhow::Result<Place> {
        let (path, temporary) = match keep {
            Some(path) => (path.to_owned(), false),
            None => {
                let name = format!("dagsync-demo-{}-{:04x}", std::process::id(), fastrand::u16(..));
                (std::env::temp_dir().join(name), true)
            }
        };
        let shown = path.display();
        if fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) {
            anyhow::bail!("`{shown}` is not empty\nhint: give `--keep-dir` a new folder or an empty one");
        }
        fs::DirBuilder::new()
            .recursive(!temporary)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make the folder `{shown}`"))?;
        let path =
            fs::canonicalize(&path).with_context(|| format!("cannot use the folder `{}`", path.display()))?;
        Ok(Place { path, temporary })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.temporary {
            // What is left is in the system's folder for such things.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The agent, handling its messages in a thread of its own.
struct Agent {
    messages: Sender<Message>,
    thread: JoinHandle<()>,
}

impl Agent {
    fn start(mut running: Running) -> io::Result<Self> {
        let messages = running.sender();
        let thread = thread::Builder::new().name("agent".into()).spawn(move || {
            running.wait(|| Err("the demonstration has no configuration file".into()));
            running.drain();
        })?;
        Ok(Agent { messages, thread })
    }

    fn stop(self) {
        // An agent that has ended hears nothing any more.
        let _ = self.messages.send(Message::Terminate);
        let _ = self.thread.join();
    }
}

struct Demo<'a> {
    args: &'a DemoArgs,
    paint: Paint,
    asked_to_end: Receiver<()>,
    script: Script,
    /// The commit that is there when the agent starts, and when that was.
    first: (ObjectId, Instant),
    upstream: Upstream,
    ref_file: PathBuf,
    link: PathBuf,
    agent: Option<Agent>,
    board: Board,
    reader: Reader,
    times: Vec<Duration>,
    rollbacks: usize,
}

impl<'a> Demo<'a> {
    fn start(
        args: &'a DemoArgs,
        place: &Path,
        paint: Paint,
        asked_to_end: Receiver<()>,
    ) -> anyhow::Result<Self> {
        let mut upstream = Upstream::create(&place.join("dags.git"))?;
        let (ref_file, root) = (place.join("ref"), place.join("git"));
        fs::write(&ref_file, format!("{BRANCH}\n")).context("cannot write the ref file")?;
        let mut flags = Vec::new();
        for (name, value) in [
            ("repo", upstream.path().as_os_str()),
            ("root", root.as_os_str()),
            ("ref-file", ref_file.as_os_str()),
            ("link", LINK.as_ref()),
            // The watch wakes the agent; the period is for where nothing can be watched.
            ("period", "3s".as_ref()),
            ("max-failures", "-1".as_ref()),
        ] {
            let mut flag = OsString::from(format!("--{name}="));
            flag.push(value);
            flags.push(flag);
        }
        let around = Surroundings::new([], place, false, false);
        let config = config::load(&Inputs::new(flags, around), None)
            .map_err(|errors| anyhow::anyhow!("the demonstration's settings: {errors}"))?;
        let link = root.join(LINK);
        let reader = Reader::start(&link).context("cannot start a thread")?;
        let script = Script::new();
        let first = upstream.write_commit("first commit", script.files())?;
        reader.expect(first, script.files().clone());
        upstream.set_ref(&format!("refs/heads/{BRANCH}"), first)?;
        let since = Instant::now();
        let running = App::build(config).and_then(App::spawn).context("cannot start the agent")?;
        let board = running.board();
        let agent = Agent::start(running).context("cannot start a thread")?;
        Ok(Demo {
            args,
            paint,
            asked_to_end,
            script,
            first: (first, since),
            upstream,
            ref_file,
            link,
            agent: Some(agent),
            board,
            reader,
            times: Vec::new(),
            rollbacks: 0,
        })
    }

    /// Prints until the script's commits are through or somebody asks to end.
    fn play(mut self) -> anyhow::Result<()> {
        let (upstream, link) = (self.upstream.path().to_owned(), self.link.clone());
        say(&show::welcome(self.paint, &upstream, &link, self.args.interval))?;
        let first = self.script.files().clone();
        let (commit, since) = self.first;
        if let Some(took) = self.await_live(commit, since)? {
            say(&show::first(self.paint, &commit, took, &self.read_link()?, &first))?;
            let mut live = first;
            let mut commits = 0;
            while self.args.commits == 0 || commits < self.args.commits {
                if !self.pause(self.args.interval) {
                    // Below the terminal's `^C`.
                    say("\n")?;
                    break;
                }
                let deed = self.script.next();
                commits += u64::from(deed.commits());
                if !self.step(deed, &mut live)? {
                    break;
                }
            }
        }
        let summary = Summary {
            times: std::mem::take(&mut self.times),
            rollbacks: self.rollbacks,
            looks: self.reader.stop(),
            kept: self.args.keep_dir.is_some().then(|| self.link.clone()),
        };
        self.stop_agent();
        anyhow::ensure!(summary.looks.torn == 0, "a reader saw {} torn revisions", summary.looks.torn);
        say(&show::goodbye(self.paint, &summary))
    }

    /// One thing of the script; `false` when it is time to end.
    fn step(&mut self, deed: Deed, live: &mut Files) -> anyhow::Result<bool> {
        let before = self.read_link()?;
        let what = deed.what();
        let (commit, since, files) = match deed {
            Deed::Commit { message, files, tag, follow } => {
                let (commit, mut since) = self.commit(&message, &files)?;
                if let Some(tag) = tag {
                    self.upstream.set_ref(&format!("refs/tags/{tag}"), commit)?;
                }
                if follow {
                    since = self.set_ref_file(BRANCH)?;
                }
                (commit, since, files)
            }
            Deed::RollBack { tag, files } => {
                let commit = self.upstream.at(&format!("refs/tags/{tag}"))?;
                self.rollbacks += 1;
                (commit, self.set_ref_file(&tag)?, files)
            }
        };
        let Some(took) = self.await_live(commit, since)? else { return Ok(false) };
        self.times.push(took);
        let shown = Shown {
            commit: commit.to_string(),
            what,
            took,
            before,
            after: self.read_link()?,
            changes: show::compare(live, &files),
        };
        say(&show::step(self.paint, &shown))?;
        *live = files;
        Ok(true)
    }

    /// Commits to the branch. The time is that of the push: the moment the branch moves.
    fn commit(&mut self, message: &str, files: &Files) -> anyhow::Result<(ObjectId, Instant)> {
        let commit = self.upstream.write_commit(message, files)?;
        self.reader.expect(commit, files.clone());
        let since = Instant::now();
        self.upstream.set_ref(&format!("refs/heads/{BRANCH}"), commit)?;
        Ok((commit, since))
    }

    /// Replaces the ref file, as a ConfigMap would be.
    fn set_ref_file(&self, name: &str) -> anyhow::Result<Instant> {
        let new = self.ref_file.with_extension("new");
        let replace = || fs::write(&new, format!("{name}\n")).and_then(|()| fs::rename(&new, &self.ref_file));
        replace().context("cannot write the ref file")?;
        Ok(Instant::now())
    }

    /// Waits until the link shows `commit`; `None` when it is time to end.
    fn await_live(&mut self, commit: ObjectId, since: Instant) -> anyhow::Result<Option<Duration>> {
        let name = commit.to_string();
        loop {
            let target = fs::read_link(&self.link).unwrap_or_default();
            if target.file_name().is_some_and(|last| last == name.as_str()) {
                return Ok(Some(since.elapsed()));
            }
            if since.elapsed() > PATIENCE {
                let board = self.board.read();
                let why = board.first().and_then(|status| status.error.clone());
                anyhow::bail!(
                    "{name} did not go live within {PATIENCE:?}: {}",
                    why.as_deref().unwrap_or("no error")
                );
            }
            if !self.pause(LOOK) {
                return Ok(None);
            }
        }
    }

    /// `false` when somebody asked to end.
    fn pause(&self, time: Duration) -> bool {
        matches!(self.asked_to_end.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }

    fn stop_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.stop();
        }
    }

    fn read_link(&self) -> anyhow::Result<PathBuf> {
        fs::read_link(&self.link).with_context(|| format!("cannot read the link `{}`", self.link.display()))
    }
}

impl Drop for Demo<'_> {
    fn drop(&mut self) {
        // The folder goes next: nobody may be writing in it.
        self.stop_agent();
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
