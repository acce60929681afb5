//! The programs that are compared, each on one core.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::cost::{self, Cost};
use crate::series::Series;
use crate::support::process::program;

/// What the numbers of the documentation were measured against.
const RUFF: &str = "ruff==0.17.6";

/// Where they are.
pub struct Programs {
    dagsync: PathBuf,
    python: PathBuf,
    ruff: Option<PathBuf>,
}

impl Programs {
    /// Finds them; ruff is installed if need be, unless it has to be quick.
    pub fn find(quick: bool) -> Programs {
        let dagsync = match std::env::var_os("DAGSYNC_BENCH_BINARY") {
            Some(path) => path.into(),
            None => env!("CARGO_BIN_EXE_dagsync").into(),
        };
        Programs { dagsync, python: python(), ruff: ruff(quick) }
    }

    /// Lets all of them look at a folder, by turns; what came out, as JSON.
    pub fn race(&self, name: &str, folder: &Path, rounds: usize, bar: Option<f64>) -> Value {
        println!(
            "\n{name}, one core{:<18} wall: min, median    processor time: min, median    ratio of minima",
            ""
        );
        let cache = tempfile::tempdir().expect("a temporary folder");
        let mut runners: Vec<(&str, Command, Vec<Cost>)> =
            vec![("dagsync check", self.check(folder), vec![])];
        runners.push(("python -m compileall", self.compileall(folder, cache.path()), vec![]));
        runners.extend(self.ruff.as_ref().map(|ruff| ("ruff check --select E9", e9(ruff, folder), vec![])));
        // Each reads the files once before: whoever is the first pays no disk.
        for round in 0..=rounds {
            for (_, command, costs) in &mut runners {
                let (cost, _) = cost::run(command);
                if round > 0 {
                    costs.push(cost);
                }
            }
        }
        let mut json = json!({ "name": name });
        let mut ours = None;
        for (name, _, costs) in &runners {
            let wall = Series::millis(costs.iter().map(|cost| cost.wall));
            let cpu = Series::millis(costs.iter().map(|cost| cost.cpu));
            let (our_wall, our_cpu) = *ours.get_or_insert((wall.min(), cpu.min()));
            let verdict = match *name {
                "dagsync check" => crate::held(wall.min(), bar),
                _ => format!("  {:.2} wall, {:.2} processor", our_wall / wall.min(), our_cpu / cpu.min()),
            };
            println!(
                "  {name:<24} {:>8.1} {:>8.1} ms  {:>8.1} {:>8.1} ms{verdict}",
                wall.min(),
                wall.median(),
                cpu.min(),
                cpu.median(),
            );
            json[*name] = json!({ "wall": wall.json(), "cpu": cpu.json() });
        }
        json
    }

    fn check(&self, folder: &Path) -> Command {
        let mut command = on_one_core(&self.dagsync);
        command.arg("check").arg(folder).env_clear();
        command
    }

    /// Everything anew, on one core, with what it writes away from the folder.
    fn compileall(&self, folder: &Path, cache: &Path) -> Command {
        let mut command = on_one_core(&self.python);
        command
            .args(["-m", "compileall", "-q", "-f", "-j", "1"])
            .arg(folder)
            .env("PYTHONPYCACHEPREFIX", cache);
        command
    }
}

impl fmt::Display for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "dagsync: {}", self.dagsync.display())?;
        let version = |program: &Path| {
            let output =
                Command::new(program).arg("--version").output().expect("a program to measure starts");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let ruff = self.ruff.as_deref().map_or_else(|| "no ruff".to_owned(), version);
        write!(f, "{}, {ruff}", version(&self.python))
    }
}

fn e9(ruff: &Path, folder: &Path) -> Command {
    let mut command = on_one_core(ruff);
    command.args(["check", "--select", "E9", "--no-cache", "--isolated", "--quiet"]).arg(folder);
    command
}

/// The last core, so that whoever measures has another one.
fn on_one_core(of: &Path) -> Command {
    let core = std::thread::available_parallelism().map_or(1, |cores| cores.get()) - 1;
    let mut command = Command::new(program("taskset"));
    command.args(["--cpu-list", &core.to_string()]).arg(of);
    command
}

/// The interpreter itself: what is called so may be a script of a version manager that looks for it.
fn python() -> PathBuf {
    let mut command = Command::new(program("python3"));
    let output = command.args(["-c", "import sys; print(sys.executable)"]).output().expect("Python starts");
    String::from_utf8_lossy(&output.stdout).trim().into()
}

/// ruff from PyPI, below `target/`.
fn ruff(quick: bool) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(RUFF);
    let ruff = folder.join("bin/ruff");
    if !ruff.exists() && !quick {
        let run = |command: &mut Command| command.status().is_ok_and(|status| status.success());
        let _ = run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            && run(Command::new(folder.join("bin/pip")).args([
                "install",
                "--quiet",
                "--only-binary",
                ":all:",
                RUFF,
            ]));
    }
    ruff.exists().then_some(ruff)
}
