//! What the policy says, once more and without the product: files that are good or wrong by construction, and the verdicts that
//! the documents promise for them.

use std::collections::{BTreeMap, BTreeSet};

/// What a file is to Airflow. Two that are equal have the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    /// A DAG file without fault, with a DAG of this number.
    Dag(u32),
    /// A DAG file of this number with one error, by its code.
    Wrong(&'static str, u32),
    /// A DAG file with a warning.
    Slow(u32),
    /// A DAG file that imports [`TOOLS`].
    Importing(u32),
    /// A DAG file to Airflow, in which there is no DAG.
    Idle(u32),
    /// Python that is no DAG file.
    Module(u32),
    /// Python that is no DAG file and does not compile.
    BrokenModule(u32),
    /// What Git LFS leaves in place of a file.
    Pointer,
    /// Anything that is not Python, as it is.
    Other(&'static [u8]),
    /// A symbolic link.
    Link(&'static str),
    /// A link that leads to a folder above itself.
    Loop,
    /// A link that leads out of the repository: such a tree is not written.
    Outside,
    /// A commit of another repository.
    Submodule,
}

/// Paths and what is there.
pub type Tree = BTreeMap<Vec<u8>, File>;

/// The one module that is imported.
pub const TOOLS: &str = "common/tools.py";
/// Another one of its package: as long as it is there, nobody can have installed the package instead.
pub const BASE: &str = "common/base.py";
/// Ignores a folder.
pub const IGNORES: File = File::Other(b"old/\n");
/// A pattern that makes Airflow's walk raise.
pub const BAD_PATTERN: File = File::Other(b"old/\n!\n");
/// Ignore files have to be UTF-8.
pub const BAD_ENCODING: File = File::Other(b"\xff\n");
/// The check command refuses a tree with this file.
pub const REFUSED: &str = "refused.txt";
/// More of the DAG files may not go at once, in percent.
const MOST: usize = 50;

const EMPTY: &str = "from airflow.providers.standard.operators.empty import EmptyOperator";

impl File {
    /// Its content; of a link its target.
    pub fn bytes(&self) -> Vec<u8> {
        let dag = |text: &str| format!("from airflow.sdk import DAG\n{text}").into_bytes();
        match self {
            File::Dag(n) => dag(&format!("\nwith DAG(\"dag{n}\"):\n    pass\n")),
            File::Wrong(code, n) => match *code {
                "python-syntax" => dag(&format!("\nwith DAG(\"wrong{n}\")\n    pass\n")),
                "python-encoding" => {
                    [&b"# -*- coding: utf-8 -*-\n"[..], &dag(&format!("x{n} = \""))[..], b"\xff\"\n"].concat()
                }
                "conflict-marker" => dag(&format!(
                    "<<<<<<< HEAD\nd = DAG(\"wrong{n}\")\n=======\nd = DAG(\"other{n}\")\n>>>>>>> theirs\n"
                )),
                "relative-import" => dag(&format!("from . import x\nd = DAG(\"wrong{n}\")\n")),
                "airflow-module" => dag(&format!(
                    "from airflow.operators.python_operator import PythonOperator\nd = DAG(\"wrong{n}\")\n"
                )),
                "dag-argument" => dag(&format!("d = DAG(\"wrong{n}\", schedule_interval=None)\n")),
                "dag-id" => dag(&format!("d = DAG(\"not an id {n}\")\n")),
                "duplicate-task-id" => {
                    let task = "    EmptyOperator(task_id=\"a\")\n";
                    dag(&format!("{EMPTY}\nwith DAG(\"wrong{n}\"):\n{task}{task}"))
                }
                "task-cycle" => dag(&format!(
                    "{EMPTY}\nwith DAG(\"wrong{n}\"):\n    a = EmptyOperator(task_id=\"a\")\n    \
                     b = EmptyOperator(task_id=\"b\")\n    a >> b >> a\n"
                )),
                "schedule" => dag(&format!("d = DAG(\"wrong{n}\", schedule=\"61 * * * *\")\n")),
                other => panic!("nobody knows how to make a file with `{other}`"),
            },
            File::Slow(n) => {
                dag(&format!("import requests\nrequests.get(\"http://x\")\nd = DAG(\"slow{n}\")\n"))
            }
            File::Importing(n) => dag(&format!("from common.tools import x\nd = DAG(\"uses{n}\")\n")),
            File::Idle(n) => format!("# airflow dag {n}\n").into_bytes(),
            File::Module(n) => format!("x = {n}\n").into_bytes(),
            File::BrokenModule(n) => format!("x = = {n}\n").into_bytes(),
            File::Pointer => {
                let sum = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
                format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sum}\nsize 12345\n").into()
            }
            File::Other(bytes) => bytes.to_vec(),
            File::Link(target) => target.as_bytes().to_vec(),
            File::Loop => b"..".to_vec(),
            File::Outside => b"../../etc/passwd".to_vec(),
            File::Submodule => Vec::new(),
        }
    }

    fn is_dag_file(&self) -> bool {
        matches!(self, File::Dag(_) | File::Wrong(..) | File::Slow(_) | File::Importing(_) | File::Idle(_))
    }
}

/// The DAG of a file, if that is to be told. What is wrong is different each time.
fn id(file: &File) -> Option<(&'static str, u32)> {
    match file {
        File::Dag(n) => Some(("dag", *n)),
        File::Slow(n) => Some(("slow", *n)),
        File::Importing(n) => Some(("uses", *n)),
        _ => None,
    }
}

/// Whether there may be a DAG in it that nobody knows.
fn is_open(file: &File) -> bool {
    matches!(file, File::Wrong("python-syntax" | "python-encoding" | "conflict-marker", _))
}

/// The DAG files that Airflow loads.
fn loaded(tree: &Tree) -> BTreeMap<&Vec<u8>, &File> {
    let ignores = tree.get(&b".airflowignore"[..]) == Some(&IGNORES);
    let files = tree.iter().filter(|(path, file)| path.ends_with(b".py") && file.is_dag_file());
    files.filter(|(path, _)| !(ignores && path.starts_with(b"old/"))).collect()
}

/// What stops Airflow's walk.
fn is_fatal(tree: &Tree) -> bool {
    let ignore = tree.get(&b".airflowignore"[..]);
    let named = |path: &&Vec<u8>| std::str::from_utf8(path).is_err();
    [Some(&BAD_PATTERN), Some(&BAD_ENCODING)].contains(&ignore)
        || tree.values().any(|file| *file == File::Loop)
        || loaded(tree).keys().any(named)
}

/// Whether the rules for what is written at all let it be.
pub fn is_unfit(tree: &Tree) -> bool {
    tree.values().any(|file| *file == File::Outside)
}

/// How many DAG files go: what is neither at another path, nor has its DAG elsewhere, nor its name at a new path.
fn gone(before: &Tree, now: &Tree) -> usize {
    let (had, has) = (loaded(before), loaded(now));
    let mut new: Vec<(&Vec<u8>, &File)> =
        has.iter().filter(|(path, _)| !had.contains_key(*path)).map(|(path, file)| (*path, *file)).collect();
    let mut lost: Vec<(&Vec<u8>, &File)> = Vec::new();
    for (path, file) in &had {
        let is_lost = match has.get(path) {
            Some(is) => matches!(is, File::Idle(_)) && (id(file).is_some() || is_known_wrong(file)),
            None => match new.iter().position(|(_, other)| other == file) {
                Some(at) => {
                    new.remove(at);
                    false
                }
                None => true,
            },
        };
        if is_lost {
            lost.push((path, file));
        }
    }
    lost.retain(|(_, file)| id(file).is_none_or(|dag| !has.values().any(|other| id(other) == Some(dag))));
    let name = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().map(<[u8]>::to_vec);
    lost.retain(|(path, _)| {
        let stands =
            |(at, file): &(&Vec<u8>, &File)| name(at) == name(path) && !matches!(file, File::Idle(_));
        match new.iter().position(stands).filter(|_| !has.contains_key(*path)) {
            Some(at) => {
                new.remove(at);
                false
            }
            None => true,
        }
    });
    lost.len()
}

/// Wrong, and all the same its DAG is known.
fn is_known_wrong(file: &File) -> bool {
    matches!(file, File::Wrong(..)) && !is_open(file)
}

/// An error as it is known again: where, of which kind, in which content.
type Error<'a> = (&'a Vec<u8>, &'static str, &'a File);

/// A file that does not load is broken as a whole.
fn kind(code: &'static str) -> &'static str {
    match code {
        "python-syntax" | "python-encoding" | "conflict-marker" | "relative-import" | "airflow-module" => {
            "does not load"
        }
        code => code,
    }
}

/// What is wrong with a tree, taking the place of `before`.
fn errors<'a>(tree: &'a Tree, before: Option<&Tree>) -> BTreeSet<Error<'a>> {
    let loaded = loaded(tree);
    let mut found: BTreeSet<Error<'a>> = BTreeSet::new();
    let mut ids: BTreeMap<(bool, u32), Vec<Error<'a>>> = BTreeMap::new();
    for (path, file) in &loaded {
        match file {
            File::Wrong(code, _) => _ = found.insert((path, kind(code), file)),
            File::Dag(n) => ids.entry((true, *n)).or_default().push((path, "duplicate-dag-id", file)),
            File::Importing(n) => ids.entry((false, *n)).or_default().push((path, "duplicate-dag-id", file)),
            _ => {}
        }
    }
    found.extend(ids.into_values().filter(|same| same.len() > 1).flatten());
    let importing = loaded.iter().filter(|(_, file)| matches!(file, File::Importing(_)));
    match tree.get_key_value(TOOLS.as_bytes()) {
        Some((path, file @ (File::BrokenModule(_) | File::Pointer)))
            if importing.clone().next().is_some() =>
        {
            found.insert((path, "does not load", file));
        }
        None if tree.contains_key(BASE.as_bytes())
            && before.is_some_and(|before| before.contains_key(TOOLS.as_bytes())) =>
        {
            found.extend(importing.map(|(path, file)| (*path, "does not load", *file)));
        }
        _ => {}
    }
    found
}

/// What is said of a tree that is to take the place of `before`; `meant` is whether somebody said that DAGs are to go. The word is
/// that of the metric.
pub fn verdict(tree: &Tree, meant: bool, before: Option<&Tree>) -> Result<(), &'static str> {
    if is_unfit(tree) {
        return Err("unfit");
    }
    if is_fatal(tree) {
        return Err("fatal");
    }
    let old = before.map(|before| errors(before, None)).unwrap_or_default();
    let is_old = |(path, kind, file): &Error<'_>| {
        let uncovers = |of: &str| of == "does not load" && *kind != "duplicate-dag-id";
        old.iter().any(|(at, of, content)| match at == path {
            true => of == kind || uncovers(of),
            false => of == kind && content == file,
        })
    };
    if !errors(tree, before).iter().all(is_old) {
        return Err("error");
    }
    if let Some(before) = before {
        let (had, gone) = (loaded(before).len(), gone(before, tree));
        if !meant && gone > 0 && (gone == had || gone * 100 > had * MOST) {
            return Err("shrink");
        }
    }
    if tree.contains_key(REFUSED.as_bytes()) { Err("command") } else { Ok(()) }
}

/// A commit as the replay sees it: its tree, and whether it, or what it merged, says that DAGs are to go.
pub type Played<'a> = (&'a Tree, bool);

/// Where a pod stands that begins with these commits, the oldest first: at the one where a pod would that had followed them one by
/// one, from the oldest without errors on; or, without any such, from the oldest that Airflow survives.
pub fn replay(commits: &[Played<'_>]) -> Option<usize> {
    let follow = |from: Option<usize>| {
        let mut stands = from;
        for (at, (tree, _)) in commits.iter().enumerate().skip(from.map_or(0, |from| from + 1)) {
            let meant =
                commits[stands.map_or(0, |stands: usize| stands + 1)..=at].iter().any(|(_, meant)| *meant);
            if verdict(tree, meant, stands.map(|stands| commits[stands].0)).is_ok() {
                stands = Some(at);
            }
        }
        stands
    };
    let survives =
        |(tree, _): &Played<'_>| !is_unfit(tree) && !is_fatal(tree) && !tree.contains_key(REFUSED.as_bytes());
    follow(None).or_else(|| follow(Some(commits.iter().position(survives)?)))
}
