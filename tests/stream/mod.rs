//! A remote that trees of the model are pushed to, and pods that follow it.

// Each integration test uses a part of it only.
#![allow(dead_code)]

pub mod model;
pub mod random;
pub mod table;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::agent::{Finished, Launch, published};
use crate::support::repo::{EPOCH, Repo};
use crate::support::temp;
use crate::synced::{Files, RUN, files};
use model::{File, Played, REFUSED, Tree, is_unfit, verdict};

/// So many first parents are played back at a first start.
pub const WINDOW: usize = 32;
/// What a message has when DAGs are meant to go.
pub const MEANT: &str = "dagsync-allow: shrink";

/// A commit and what it is to the model.
#[derive(Debug, Clone)]
pub struct Commit {
    pub id: String,
    pub tree: Tree,
    pub message: String,
    /// Numbers of commits, the first parent first.
    pub parents: Vec<usize>,
}

impl Commit {
    /// Whether it says that DAGs are to go.
    pub fn is_meant(&self) -> bool {
        self.message.lines().any(|line| line.trim() == MEANT)
    }

    /// What readers see of it.
    pub fn files(&self) -> Files {
        let shown = self.tree.iter().filter(|(_, file)| **file != File::Submodule);
        let seen = |(path, file): (&Vec<u8>, &File)| {
            let kind =
                if matches!(file, File::Link(_) | File::Loop | File::Outside) { "link" } else { "file" };
            (String::from_utf8_lossy(path).into_owned(), (kind.to_owned(), file.bytes()))
        };
        shown.map(seen).collect()
    }
}

/// What somebody works in, and the repository that they push to.
pub struct Upstream {
    pub dir: TempDir,
    work: Repo,
    pub served: Repo,
    pub commits: Vec<Commit>,
    /// The number of what `main` shows.
    pub tip: usize,
}

impl Upstream {
    pub fn new() -> Upstream {
        // In memory where there is such a folder: the disk is not the subject.
        let mut builder = tempfile::Builder::new();
        let dir = builder.prefix("dagsync-test-").tempdir_in("/dev/shm").unwrap_or_else(|_| temp());
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let work = Repo::bare(dir.path().join("work.git"));
        let served = Repo::bare(dir.path().join("up.git"));
        // What the hosts that people use allow.
        served.config("receive.denyNonFastForwards", "false");
        Upstream { dir, work, served, commits: Vec::new(), tip: 0 }
    }

    /// Makes commits, one import for all: a tree, a message and parents each. Nothing is pushed.
    pub fn import(&mut self, commits: Vec<(Tree, String, Vec<usize>)>) {
        let mut stream: Vec<u8> = b"feature done\n".to_vec();
        let first = self.commits.len();
        for (at, (tree, message, parents)) in commits.iter().enumerate() {
            let number = first + at;
            let when = EPOCH + 60 * i64::try_from(number).unwrap();
            let head = format!(
                "commit refs/heads/c{number}\nmark :{}\ncommitter Ada <ada@example.com> {when} +0000\ndata {}\n{message}\n",
                at + 1,
                message.len()
            );
            stream.extend_from_slice(head.as_bytes());
            for (parent, word) in parents.iter().zip(["from", "merge", "merge"]) {
                let name = match parent.checked_sub(first) {
                    Some(new) => format!(":{}", new + 1),
                    None => self.commits[*parent].id.clone(),
                };
                stream.extend_from_slice(format!("{word} {name}\n").as_bytes());
            }
            stream.extend_from_slice(b"deleteall\n");
            for (path, file) in tree {
                let mode = match file {
                    File::Link(_) | File::Loop | File::Outside => "120000",
                    File::Submodule => "160000",
                    _ => "100644",
                };
                let content = file.bytes();
                let what = if *file == File::Submodule { "1".repeat(40) } else { "inline".into() };
                stream.extend_from_slice(format!("M {mode} {what} ").as_bytes());
                stream.extend_from_slice(path);
                stream.push(b'\n');
                if what == "inline" {
                    stream.extend_from_slice(format!("data {}\n", content.len()).as_bytes());
                    stream.extend_from_slice(&content);
                    stream.push(b'\n');
                }
            }
        }
        stream.extend_from_slice(b"done\n");
        let marks = self.dir.path().join("marks");
        let export = format!("--export-marks={}", marks.display());
        self.work.git_input(&["fast-import", "--quiet", "--done", &export], &stream);
        let ids = fs::read_to_string(marks).unwrap();
        for (at, (tree, message, parents)) in commits.into_iter().enumerate() {
            let name = format!(":{} ", at + 1);
            let id =
                ids.lines().find_map(|line| line.strip_prefix(&name)).expect("it was imported").to_owned();
            self.commits.push(Commit { id, tree, message, parents });
        }
    }

    /// Pushes a commit as the new `main`, whatever it was before.
    pub fn push(&mut self, number: usize) {
        let served = self.served.git_dir().to_str().unwrap().to_owned();
        let refspec = format!("refs/heads/c{number}:refs/heads/main");
        self.work.git(&["push", "-q", "--force", &served, &refspec]);
        self.tip = number;
    }

    /// The same without a program, for upstreams on this machine that nobody fetches from meanwhile.
    pub fn point(&mut self, number: usize) {
        let work = self.work.git_dir();
        fs::write(work.join("refs/heads/main"), format!("{}\n", self.commits[number].id)).unwrap();
        self.tip = number;
    }

    /// What [`point`](Self::point) points in.
    pub fn here(&self) -> &Path {
        self.work.git_dir()
    }

    /// Pushes an annotated tag at the tip.
    pub fn push_tag(&self, name: &str) {
        let served = self.served.git_dir().to_str().unwrap().to_owned();
        self.work.git(&["tag", "-a", "-m", name, "--", name, &self.commits[self.tip].id]);
        self.work.git(&["push", "-q", &served, name]);
    }

    /// The tip and its first parents, the oldest first, as far as a replay reaches.
    pub fn first_parents(&self) -> Vec<usize> {
        let mut found = vec![self.tip];
        while let Some(parent) = self.commits[found[found.len() - 1]].parents.first()
            && found.len() < WINDOW
        {
            found.push(*parent);
        }
        found.reverse();
        found
    }

    /// What a pod serves that begins now, as the model says.
    pub fn replayed(&self) -> Option<usize> {
        let numbers = self.first_parents();
        let played: Vec<Played<'_>> =
            numbers.iter().map(|number| (&self.commits[*number].tree, self.is_meant(*number))).collect();
        model::replay(&played).map(|at| numbers[at])
    }

    /// Whether a commit, or what it merged, says that DAGs are to go.
    fn is_meant(&self, number: usize) -> bool {
        let old =
            self.commits[number].parents.first().map(|first| self.ancestors(*first)).unwrap_or_default();
        let new = self.ancestors(number).into_iter().filter(|commit| !old.contains(commit));
        new.into_iter().any(|commit| self.commits[commit].is_meant())
    }

    /// Whether the oldest commit that a replay reaches could be published over nothing.
    pub fn begins_clean(&self) -> bool {
        verdict(&self.commits[self.first_parents()[0]].tree, false, None).is_ok()
    }

    /// All that `of` was made of.
    fn ancestors(&self, of: usize) -> Vec<usize> {
        let mut found = vec![of];
        let mut at = 0;
        while at < found.len() {
            let parents = self.commits[found[at]].parents.iter().copied();
            let new: Vec<usize> = parents.filter(|parent| !found.contains(parent)).collect();
            found.extend(new);
            at += 1;
        }
        found
    }

    /// What a pod that serves `published` makes of the tip, as the model says: the word, if it holds it back.
    pub fn judged(&self, published: usize) -> Result<(), &'static str> {
        if published == self.tip {
            return Ok(());
        }
        if is_unfit(&self.commits[self.tip].tree) {
            return Err("unfit");
        }
        let old = self.ancestors(published);
        if old.contains(&self.tip) {
            return Err("rewind");
        }
        let new = self.ancestors(self.tip).into_iter().filter(|commit| !old.contains(commit));
        let meant = new.into_iter().any(|commit| self.commits[commit].is_meant());
        verdict(&self.commits[self.tip].tree, meant, Some(&self.commits[published].tree))
    }
}

/// A root, and how `dagsync` is run for it.
pub struct Pod {
    pub root: PathBuf,
    pub error_file: PathBuf,
    launch: Launch,
}

impl Pod {
    /// A pod without a past.
    pub fn new(dir: &Path, name: &str, url: &str) -> Pod {
        let root = dir.join(name);
        let error_file = dir.join(format!("{name}.json"));
        let refuse = dir.join("refuse.sh");
        if !refuse.exists() {
            fs::write(&refuse, format!("#!/bin/sh\n[ ! -e \"$1/{REFUSED}\" ]\n")).unwrap();
            fs::set_permissions(&refuse, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let launch = Launch::new([
            "--link=repo",
            "--check=gate",
            "--check-airflow=3.3",
            "--on-rewind=block",
            "--submodules=off",
            "--period=20ms",
        ])
        .set("repo", url)
        .set("root", &root)
        .set("ref", "main")
        .set("error-file", &error_file)
        .set("check-command", &refuse);
        Pod { root, error_file, launch }
    }

    /// With more arguments.
    pub fn with(self, args: &[&str]) -> Pod {
        Pod { launch: self.launch.args(args), ..self }
    }

    /// How it is run.
    pub fn launch(&self) -> Launch {
        self.launch.clone()
    }

    /// One pass.
    pub fn once(&self) -> Finished {
        self.launch.clone().args(["--one-time"]).run(RUN)
    }

    /// Forgets everything.
    pub fn renew(&self) {
        let _ = fs::remove_dir_all(&self.root);
        let _ = fs::remove_file(&self.error_file);
    }

    /// Loses its object store.
    pub fn lose_store(&self) {
        let _ = fs::remove_dir_all(self.root.join(".git"));
    }

    /// What readers see: the commit and the files.
    pub fn shows(&self) -> Option<(String, Files)> {
        Some((published(&self.root, "repo")?, files(&self.root.join("repo"))))
    }

    /// The `Err` of the error file, if there is one.
    pub fn error(&self) -> Option<String> {
        let text = fs::read_to_string(&self.error_file).ok()?;
        let report: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(report["Err"].as_str()?.to_owned())
    }
}
