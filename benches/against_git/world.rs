//! What both sides work on: the program, the disk, the repositories, the servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::repo::git;
use crate::support::{GitServer, Repo};

/// What was asked for.
pub struct Options {
    pub quick: bool,
    large: bool,
    only: Option<String>,
    pairs: Option<usize>,
    polls: Option<usize>,
}

impl Options {
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options { quick: false, large: false, only: None, pairs: None, polls: None };
        let number = |text: &str| text.parse().map_err(|_| format!("not a number: `{text}`"));
        for arg in args {
            match arg.split_once('=').unwrap_or((&arg, "")) {
                // Cargo's own.
                ("--bench", "") => {}
                ("--quick", "") => options.quick = true,
                ("--large", "") => options.large = true,
                ("--only", part @ ("poll" | "cold" | "change" | "size")) => options.only = Some(part.into()),
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

    /// Files of the repositories.
    pub fn sizes(&self) -> Vec<usize> {
        match (self.quick, self.large) {
            (true, _) => vec![500],
            (false, false) => vec![10_000],
            (false, true) => vec![10_000, 100_000],
        }
    }

    pub fn pairs(&self, files: usize) -> usize {
        self.pairs.unwrap_or(match (self.quick, files) {
            (true, _) => 2,
            (false, ..=10_000) => 11,
            (false, _) => 5,
        })
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
    /// The fastest disk there is, in words.
    pub disk: String,
    fast: TempDir,
}

/// A repository behind a server.
pub struct Served {
    pub repo: Repo,
    _server: GitServer,
    pub url: String,
    pub files: usize,
    _folder: TempDir,
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
        let (disk, fast) = match temp.tempdir_in("/dev/shm") {
            Ok(folder) => ("memory (/dev/shm)".into(), folder),
            Err(_) => ("the temporary folder".into(), temp.tempdir().expect("a temporary folder")),
        };
        World { options, program, disk, fast }
    }

    /// A fresh folder on the fast disk.
    pub fn folder(&self) -> TempDir {
        tempfile::tempdir_in(self.fast.path()).expect("a folder on the fast disk")
    }

    /// A repository of `files` DAG files, packed as a host has it, behind a plain HTTP server.
    pub fn serve(&self, files: usize) -> Served {
        let folder = self.folder();
        let repo = Repo::bare(folder.path().join("repo.git"));
        repo.import((0..files).map(|n| (path_of(n), dag_file(n, 0))));
        repo.git(&["repack", "-q", "-a", "-d"]);
        let server = GitServer::plain(folder.path());
        let url = server.url("repo.git");
        Served { repo, url, files, _server: server, _folder: folder }
    }

    /// Our program, with nothing of this environment.
    pub fn dagsync<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).env_clear().stdin(Stdio::null());
        command
    }

    /// The git program, quiet.
    pub fn git<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = git();
        command.args(args);
        command
    }
}

impl Served {
    /// A commit that changes the file in the middle of the tree; the commit. `round` makes it a new one.
    pub fn change(&self, round: usize) -> String {
        let number = self.files / 2;
        let (path, content) = (path_of(number), dag_file(number, round));
        let stream = format!(
            "feature done\ncommit refs/heads/main\ncommitter Ada <ada@example.com> {} +0000\ndata 6\nchange\nfrom \
             refs/heads/main^0\nM 100644 inline {path}\ndata {}\n{content}\ndone\n",
            1_700_000_000 + round,
            content.len(),
        );
        self.repo.git_input(&["fast-import", "--quiet", "--done"], stream.as_bytes());
        self.repo.id("refs/heads/main")
    }
}

/// Twenty files to a folder, a thousand to a team.
fn path_of(number: usize) -> String {
    format!("dags/team{:03}/area{:02}/pipeline_{number:06}.py", number / 1000, number / 20 % 50)
}

/// About 1.5 KiB of Python, each file a little different from all others.
fn dag_file(number: usize, round: usize) -> String {
    let mut text = format!(
        "\"\"\"Pipeline {number}, round {round}.\"\"\"\nfrom __future__ import annotations\n\nimport pendulum\n\
         from airflow.sdk import dag, task\n\n\n@dag(\n    dag_id=\"pipeline_{number:06}\",\n    \
         schedule=\"{} {} * * *\",\n    start_date=pendulum.datetime(2024, {}, {}, tz=\"UTC\"),\n    catchup=False,\n)\n\
         def pipeline():\n",
        number * 7 % 60,
        number * 11 % 24,
        number % 12 + 1,
        number % 28 + 1,
    );
    for step in 0..6 {
        let key = (number * 6 + step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        text += &format!(
            "    @task(retries={}, pool=\"pool_{:x}\")\n    def step_{step}(rows: int = {}) -> int:\n        \
             \"\"\"Loads table {key:016x}.\"\"\"\n        return rows + {}\n\n",
            key % 5,
            key >> 52,
            key >> 20 & 0xffff,
            key >> 36 & 0xfff,
        );
    }
    text + "    step_5(step_4(step_3(step_2(step_1(step_0())))))\n\n\npipeline()\n"
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
