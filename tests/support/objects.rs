//! Repositories object by object, and by the hundred thousand: what no sane `git commit` makes.

use std::fmt::Write as _;
use std::fs;

use super::repo::{EPOCH, Repo};

/// One entry of a tree as it is stored: nothing is checked, so `..`, `.git`, `a/b` and duplicates are possible.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As stored: `100644`, `100755`, `120000`, `40000`, `160000`, or nonsense.
    pub mode: &'static str,
    /// Any bytes but NUL.
    pub name: Vec<u8>,
    /// Hex id of the object.
    pub id: String,
}

impl Entry {
    /// An ordinary file.
    pub fn file(name: impl AsRef<[u8]>, id: &str) -> Entry {
        Entry { mode: "100644", name: name.as_ref().to_vec(), id: id.to_owned() }
    }

    /// A symbolic link; `id` is a blob holding the target.
    pub fn link(name: impl AsRef<[u8]>, id: &str) -> Entry {
        Entry { mode: "120000", ..Entry::file(name, id) }
    }

    /// A folder.
    pub fn tree(name: impl AsRef<[u8]>, id: &str) -> Entry {
        Entry { mode: "40000", ..Entry::file(name, id) }
    }

    /// A submodule at a commit.
    pub fn submodule(name: impl AsRef<[u8]>, id: &str) -> Entry {
        Entry { mode: "160000", ..Entry::file(name, id) }
    }
}

impl Repo {
    /// Stores a blob; its id.
    pub fn blob(&self, content: impl AsRef<[u8]>) -> String {
        self.git_input(&["hash-object", "-w", "--stdin"], content.as_ref())
    }

    /// Stores a tree of exactly these entries in exactly this order; its id.
    pub fn mktree(&self, entries: &[Entry]) -> String {
        let mut raw = Vec::new();
        for entry in entries {
            raw.extend_from_slice(entry.mode.as_bytes());
            raw.push(b' ');
            raw.extend_from_slice(&entry.name);
            raw.push(0);
            raw.extend(bytes_of_hex(&entry.id));
        }
        self.raw_object("tree", &raw)
    }

    /// Stores an object of any content without a check; its id.
    pub fn raw_object(&self, kind: &str, raw: &[u8]) -> String {
        self.git_input(&["hash-object", "-t", kind, "--literally", "-w", "--stdin"], raw)
    }

    /// Stores a commit of a tree; its id. No ref moves.
    pub fn commit_tree(&self, tree: &str, parents: &[&str]) -> String {
        let mut args = vec!["commit-tree", tree, "-m", "by hand"];
        args.extend(parents.iter().flat_map(|parent| ["-p", parent]));
        self.git(&args)
    }

    /// Commits a tree onto nothing and points branch `main` at it; the commit. The repository's files are not touched.
    pub fn publish_tree(&self, tree: &str) -> String {
        let commit = self.commit_tree(tree, &[]);
        self.set_ref("refs/heads/main", &commit);
        commit
    }

    /// Adds `count` branches named `{prefix}{number}` at the tip, written straight into `packed-refs`: an `update-ref`
    /// each would take minutes.
    pub fn many_refs(&self, prefix: &str, count: usize) -> &Self {
        self.git(&["pack-refs", "--all"]);
        let path = self.git_dir().join("packed-refs");
        let old = fs::read_to_string(&path).unwrap_or_default();
        let mut refs: Vec<(String, String)> = Vec::new();
        for line in old.lines().filter(|line| !line.starts_with('#')) {
            // `^id` is the peeled object of the tag in the line before; it has to stay right behind it.
            match (line.strip_prefix('^'), refs.last_mut()) {
                (Some(_), Some((_, text))) => _ = write!(text, "\n{line}"),
                _ => {
                    refs.push((line.split_once(' ').expect("a line of packed-refs").1.into(), line.into()));
                }
            }
        }
        let head = self.head();
        for number in 0..count {
            let name = format!("refs/heads/{prefix}{number}");
            refs.push((name.clone(), format!("{head} {name}")));
        }
        refs.sort();
        let mut text = String::from("# pack-refs with: peeled fully-peeled sorted \n");
        refs.iter().for_each(|(_, line)| _ = writeln!(text, "{line}"));
        fs::write(path, text).expect("packed-refs is written");
        self
    }

    /// One commit on `main` with all these files, through `git fast-import`: a hundred thousand files take a second. The
    /// repository's own files are not touched; `reset("main")` brings them, if they are wanted.
    pub fn import<P: AsRef<str>, C: AsRef<[u8]>>(&self, files: impl IntoIterator<Item = (P, C)>) -> String {
        let mut stream = Vec::new();
        stream.extend_from_slice(b"feature done\ncommit refs/heads/main\n");
        stream.extend_from_slice(
            format!("committer Ada <ada@example.com> {EPOCH} +0000\ndata 6\nimport\n").as_bytes(),
        );
        for (path, content) in files {
            let (path, content) = (path.as_ref(), content.as_ref());
            stream.extend_from_slice(format!("M 100644 inline {path}\ndata {}\n", content.len()).as_bytes());
            stream.extend_from_slice(content);
            stream.push(b'\n');
        }
        stream.extend_from_slice(b"done\n");
        self.git_input(&["fast-import", "--quiet", "--force", "--done"], &stream);
        self.id("refs/heads/main")
    }

    /// A repository of `count` small DAG files, a hundred to a folder; the commit.
    pub fn big(&self, count: usize) -> String {
        self.import(
            (0..count)
                .map(|number| (format!("dags/team{:04}/dag_{number:06}.py", number / 100), dag_file(number))),
        )
    }
}

fn dag_file(number: usize) -> String {
    format!(
        "from airflow.sdk import DAG\nfrom airflow.providers.standard.operators.empty import EmptyOperator\n\n\
         with DAG(dag_id=\"dag_{number:06}\", schedule=None):\n    EmptyOperator(task_id=\"only\")\n"
    )
}

/// The bytes that a hex text spells.
pub fn bytes_of_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}
