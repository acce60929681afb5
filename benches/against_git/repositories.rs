//! The repositories of the bench: by how many files and how many bytes, the same ones on every machine.

use tempfile::TempDir;

use crate::support::{GitServer, Repo};
use crate::world::World;

/// What a repository consists of.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// So many DAG files of about 1.5 KiB.
    Dags(usize),
    /// So many files of 100 KB that no compression makes smaller: data that somebody has committed.
    Heavy(usize),
}

/// A repository behind a server.
pub struct Served {
    pub repo: Repo,
    pub shape: Shape,
    pub url: String,
    _server: GitServer,
    _folder: TempDir,
}

/// Of a file of [`Shape::Heavy`].
const HEAVY: usize = 100_000;

impl Shape {
    pub fn files(self) -> usize {
        match self {
            Shape::Dags(files) | Shape::Heavy(files) => files,
        }
    }

    /// As the table calls it.
    pub fn name(self) -> String {
        match self {
            Shape::Dags(files) => format!("{files} files"),
            Shape::Heavy(files) => format!("{} MB in {files} files", files * HEAVY / 1_000_000),
        }
    }

    /// What anonymous memory may be during a first sync, in MiB.
    pub fn memory_bar(self) -> f64 {
        match self {
            Shape::Dags(_) => 70.0,
            Shape::Heavy(_) => 24.0,
        }
    }

    /// What a change of one file may take: a part of git's time, and milliseconds from poll to swap; a small repository has none.
    pub fn change_bars(self) -> Option<(f64, f64)> {
        match self {
            Shape::Dags(10_000) => Some((0.05, 30.0)),
            Shape::Dags(100_000) => Some((0.1, 200.0)),
            _ => None,
        }
    }

    /// A first sync, or a git that does the same, takes seconds.
    pub fn is_large(self) -> bool {
        matches!(self, Shape::Heavy(_)) || self.files() > 10_000
    }

    fn file(self, number: usize, round: usize) -> Vec<u8> {
        match self {
            Shape::Dags(_) => dag_file(number, round).into_bytes(),
            Shape::Heavy(_) => {
                let mut random = fastrand::Rng::with_seed((number << 16 | round) as u64);
                let mut bytes = vec![0; HEAVY];
                random.fill(&mut bytes);
                bytes
            }
        }
    }
}

impl World {
    /// A repository, packed as a host has it, behind a plain HTTP server.
    pub fn serve(&self, shape: Shape) -> Served {
        let folder = self.folder();
        let repo = Repo::bare(folder.path().join("repo.git"));
        repo.import((0..shape.files()).map(|n| (path_of(n), shape.file(n, 0))));
        repo.git(&["repack", "-q", "-a", "-d"]);
        let server = GitServer::plain(folder.path());
        let url = server.url("repo.git");
        Served { repo, shape, url, _server: server, _folder: folder }
    }
}

impl Served {
    /// A commit that changes the file in the middle of the tree; the commit. `round` makes it a new one.
    pub fn change(&self, round: usize) -> String {
        let number = self.shape.files() / 2;
        let (path, content) = (path_of(number), self.shape.file(number, round));
        let mut stream = format!(
            "feature done\ncommit refs/heads/main\ncommitter Ada <ada@example.com> {} +0000\ndata 6\nchange\nfrom \
             refs/heads/main^0\nM 100644 inline {path}\ndata {}\n",
            1_700_000_000 + round,
            content.len(),
        )
        .into_bytes();
        stream.extend_from_slice(&content);
        stream.extend_from_slice(b"\ndone\n");
        self.repo.git_input(&["fast-import", "--quiet", "--done"], &stream);
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
