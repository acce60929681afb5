//! What both sides work on: the program, the disk, the repositories, the servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::repositories::Shape;
use crate::support::repo::git;

/// What was asked for.
pub struct Options {
    pub quick: bool,
    /// Whether each revision is checked.
    pub gate: bool,
    large: bool,
    only: Option<String>,
    on: Option<PathBuf>,
    pairs: Option<usize>,
    polls: Option<usize>,
}

impl Options {
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            quick: false,
            gate: false,
            large: false,
            only: None,
            on: None,
            pairs: None,
            polls: None,
        };
        let number = |text: &str| text.parse().map_err(|_| format!("not a number: `{text}`"));
        for arg in args {
            match arg.split_once('=').unwrap_or((&arg, "")) {
                // Cargo's own.
                ("--bench", "") => {}
                ("--quick", "") => options.quick = true,
                ("--gate", "") => options.gate = true,
                ("--large", "") => options.large = true,
                ("--only", part @ ("poll" | "cold" | "change" | "growth" | "size")) => {
                    options.only = Some(part.into())
                }
                ("--on", folder) if !folder.is_empty() => options.on = Some(folder.into()),
                ("--pairs", n) => options.pairs = Some(number(n)?),
                ("--polls", n) => options.polls = Some(number(n)?),
                _ => {
                    return Err(format!(
                        "unknown: `{arg}`\nhint: see the top of benches/against_git/main.rs"
                    ));
                }
            }
        }
        Ok(options)
    }

    pub fn runs(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }

    /// The repositories.
    pub fn shapes(&self) -> Vec<Shape> {
        match (self.quick, self.large) {
            (true, _) => vec![Shape::Dags(200), Shape::Heavy(20)],
            (false, false) => vec![Shape::Dags(200), Shape::Dags(10_000)],
            (false, true) => {
                vec![Shape::Dags(200), Shape::Dags(10_000), Shape::Dags(100_000), Shape::Heavy(2_000)]
            }
        }
    }

    pub fn pairs(&self, shape: Shape) -> usize {
        self.pairs.unwrap_or(match self.quick {
            true => 2,
            false if shape.is_large() => 5,
            false => 11,
        })
    }

    /// Commits one after the other, to see what is left of them.
    pub fn commits(&self) -> usize {
        if self.quick { 40 } else { 400 }
    }

    /// Polls in a round, and rounds.
    pub fn polls(&self) -> (usize, usize) {
        if self.quick { (self.polls.unwrap_or(20), 2) } else { (self.polls.unwrap_or(200), 7) }
    }
}

/// What all measurements share.
pub struct World {
    pub options: Options,
    pub program: PathBuf,
    /// Where everything is, in words.
    pub disk: String,
    fast: TempDir,
}

impl World {
    pub fn new(options: Options) -> World {
        let program = match std::env::var_os("DAGSYNC_BENCH_BINARY") {
            Some(path) => path.into(),
            None if options.quick => env!("CARGO_BIN_EXE_dagsync").into(),
            None => build(),
        };
        let mut temp = tempfile::Builder::new();
        temp.prefix("dagsync-bench-");
        // Memory, so that a ratio is about the programs and not about a disk's mood.
        let (disk, fast) = match (&options.on, temp.tempdir_in("/dev/shm")) {
            (Some(on), _) => {
                (on.display().to_string(), temp.tempdir_in(on).expect("a folder where you said"))
            }
            (None, Ok(folder)) => ("memory (/dev/shm)".into(), folder),
            (None, Err(_)) => ("the temporary folder".into(), temp.tempdir().expect("a temporary folder")),
        };
        World { options, program, disk, fast }
    }

    /// A fresh folder on the fast disk.
    pub fn folder(&self) -> TempDir {
        tempfile::tempdir_in(self.fast.path()).expect("a folder on the fast disk")
    }

    /// Our program, with nothing of this environment.
    pub fn dagsync<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        // git looks at nothing either, unless the gate is what is asked about.
        let check = if self.options.gate { "--check=gate" } else { "--check=off" };
        command.args(args).arg(check).env_clear().stdin(Stdio::null());
        command
    }

    /// The git program, quiet.
    pub fn git<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = git();
        command.args(args);
        command
    }
}

/// Builds what ships.
fn build() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--profile=dist", "--locked", "--bin=dagsync", "--message-format=json"]);
    let output = cargo.current_dir(manifest).stderr(Stdio::inherit()).output().expect("cargo runs");
    assert!(output.status.success(), "the program was not built");
    let artifact = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "dagsync")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    artifact.expect("cargo names the program it has built")
}

/// How busy the machine is: read it before believing a number.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
