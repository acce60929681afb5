//! The Pythons of this machine, asked whether they compile a source; and sources to ask about.

#![allow(dead_code, reason = "each test program uses what it needs")]

pub mod mutation;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde::Deserialize;

/// A Python that says whether it compiles what it is given.
pub struct Oracle {
    child: Child,
    answers: BufReader<ChildStdout>,
    program: PathBuf,
    pub hello: Hello,
}

#[derive(Debug, Deserialize)]
pub struct Hello {
    pub minor: u8,
    pub stdlib: PathBuf,
}

impl Oracle {
    /// None if the program is no Python that runs.
    pub fn start(program: &Path) -> Option<Oracle> {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").arg("-X").arg("utf8");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/oracle.py"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let mut answers = BufReader::new(child.stdout.take()?);
        let mut line = String::new();
        answers.read_line(&mut line).ok()?;
        let hello = serde_json::from_str(&line);
        let Ok(hello) = hello else {
            let _ = child.wait();
            return None;
        };
        Some(Oracle { child, answers, program: program.to_owned(), hello })
    }

    /// One of each version: Debian's, and every `python3.x` on `PATH` that runs.
    pub fn all() -> Vec<Oracle> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).flat_map(versions).collect();
        let named = (8..=13)
            .flat_map(|minor| folders.iter().map(move |folder| folder.join(format!("python3.{minor}"))));
        let mut all: Vec<Oracle> = Vec::new();
        for program in
            std::iter::once(PathBuf::from("/usr/bin/python3")).chain(named).filter(|path| path.is_file())
        {
            if let Some(oracle) = Oracle::start(&program)
                && all.iter().all(|other| other.hello.minor != oracle.hello.minor)
                && (8..=15).contains(&oracle.hello.minor)
            {
                all.push(oracle);
            }
        }
        assert!(!all.is_empty(), "the tests need a `python3`");
        all
    }

    /// What this Python says of a source, if it does not compile it.
    pub fn refusal(&mut self, source: &[u8]) -> Option<String> {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{}", source.len()).and_then(|()| stdin.write_all(source)).unwrap();
        stdin.flush().unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        if line.is_empty() {
            // 3.8 dies of some sources.
            *self = Oracle::start(&self.program.clone()).unwrap();
            return Some("no answer".to_owned());
        }
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.answers.read_to_string(&mut String::new());
        let _ = self.child.wait();
    }
}

/// The Python files below a folder.
pub fn python_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut entries: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.is_symlink() {
            python_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "py") {
            files.push(path);
        }
    }
}

/// A shim of pyenv runs no version that was not chosen; the versions are beside it.
fn versions(folder: PathBuf) -> Vec<PathBuf> {
    let beside = folder.ends_with("shims").then(|| fs::read_dir(folder.join("../versions")).ok()).flatten();
    match beside {
        Some(versions) => versions.flatten().map(|version| version.path().join("bin")).collect(),
        None => vec![folder],
    }
}
