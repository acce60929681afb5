//! For commands that ask a remote without an agent: a folder of their own, which goes with them, and what ends their work.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Context as _;
use tokio::runtime::Handle;

use crate::agent::{Apart, Failure, signals};
use crate::check::Gate;
use crate::config::SourceConfig;
use crate::deadline::{Deadline, Stop};

/// A private folder, gone when it is dropped.
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new one in the system's folder for such things, which `TMPDIR` names.
    #[expect(
        clippy::disallowed_methods,
        reason = "the command has no root to work below, or must not write there; the folder is private"
    )]
    pub(super) fn make(what: &str) -> io::Result<Scratch> {
        let name = format!("dagsync-{what}-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = std::env::temp_dir().join(name);
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|err| io::Error::new(err.kind(), format!("{}: {err}", path.display())))?;
        // A link on the way to it is no matter to whoever made it.
        Ok(Scratch { path: fs::canonicalize(&path).unwrap_or(path) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What ends the work of a command: its time, and whoever runs it.
pub(super) struct Ending {
    stop: Stop,
    clock: Handle,
    _signals: signals::Listener,
}

impl Ending {
    /// Listens from here on. The second signal ends the process at once.
    pub(super) fn listen() -> anyhow::Result<Ending> {
        let stop = Stop::new();
        let asked = stop.clone();
        let signals = signals::listen_at_a_terminal(move |event| match event {
            signals::SignalEvent::TerminateNow { .. } => super::exit_now(1),
            _ => asked.request(),
        })
        .context("cannot listen for signals")?;
        let clock = || -> io::Result<Handle> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
            let handle = runtime.handle().clone();
            let wait = move || runtime.block_on(std::future::pending::<()>());
            std::thread::Builder::new().name("clock".into()).spawn(wait)?;
            Ok(handle)
        };
        Ok(Ending { stop, clock: clock().context("cannot start a thread")?, _signals: signals })
    }

    /// A source apart from its root, in `scratch`, until its `sync-timeout`.
    pub(super) fn apart(
        &self,
        config: &SourceConfig,
        scratch: &Scratch,
        gate: Box<dyn Gate>,
    ) -> Result<Apart, Failure> {
        let deadline = Deadline::start(config.sync_timeout, &self.stop, &self.clock);
        Apart::open(config.clone(), scratch.path(), gate, Rc::new(deadline))
    }
}
