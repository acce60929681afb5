//! Random trees that are hard to walk: links that lead round, ignore files of both syntaxes, zips, names that are not UTF-8.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use dagsync::check::snapshot::Kind;
use dagsync::check::target::IgnoreSyntax;
use fastrand::Rng;

const FOLDERS: &[&[u8]] = &[b"a", b"b", b"sub", b".git", b"a.b", "\u{fc}".as_bytes()];
const FILES: &[&[u8]] = &[
    b"dag.py",
    b"x.py",
    b"ab.py",
    b"aa.py",
    b"t.txt",
    b"arch.zip",
    b"zip.dat",
    b"B.PY",
    b"..py",
    b".py",
    b"a b.py",
    b"z.py.py",
    "\u{fc}1.py".as_bytes(),
    b"n\n",
    b"lib.pyc",
];
const ODD: &[&[u8]] = &[b"f\xff.py", b"\xfeg", b"t\xe2\x82.txt"];
const CONTENTS: &[&[u8]] = &[
    b"from airflow import DAG",
    b"AIRFLOW Asset",
    b"dag only",
    b"",
    b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    b"x PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0hi",
];
const TARGETS: &[&str] = &[
    "a",
    "b",
    "../a",
    "..",
    ".",
    "../..",
    "a/../b",
    "../sub",
    "sub/..",
    "x.py",
    "dag.py/",
    "a/dag.py",
    "/etc/nothing",
    "nowhere",
    "../b/./a",
    "l1",
    "l2/a",
    "../l1",
];
const GLOBS: &[&str] = &[
    "a", "b", "sub", "*", "**", "/", "/", "?", "[ab]", "[!a]", "x.py", "dag", "*.py", "a/", "**/", "/**",
    ".", "\\*", " ", "é", "[]a]", "[^x]*", "a\\ ", "!", "[a-z]", "\u{fc}",
];
const TROUBLES: &[&str] =
    &["[z-a]", "[a--b]", "[a-\\]]", "[!z-a]", "[", "[]", "[!", "[a-", "[b", "]", "\\", "/", "\\[", "x"];
const REGEXPS: &[&str] = &[
    "a",
    "b",
    ".",
    "*",
    "+",
    "?",
    "^",
    "$",
    "(",
    ")",
    "(?:",
    "(?i)",
    "|",
    "[a-c]",
    "[^/]",
    r"\w",
    r"\d",
    r"\b",
    r"\B",
    r"\.",
    r"\Z",
    "{2}",
    "{,1}",
    "{1,}",
    "py",
    "sub",
    "/",
    "(?=",
    "(?!",
    "(?<=a)",
    "(?<!a)",
    r"\1",
    "(?P<n>a)",
    "(?P=n)",
    r"\x61",
    r"\u0061",
    r"[\w.]",
    "*+",
    "\u{fc}",
    r"\W",
    "(a)",
    "(?#c)",
    "(?s:.)",
    "(?-i:A)",
    "B",
    ")?",
    "(?(1)a|b)",
    r"\s",
    "[]a]",
    "[a&&b]",
    r"\n",
    "dag",
    "(?x)",
    " ",
    r"\A",
    "??",
    "(?>a)",
    r"\D",
    r"[^\W]",
    "(?a)",
    r"\141",
    "z$",
    "py$",
];

/// A tree: what is at each path.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    files: BTreeMap<Vec<u8>, (Kind, Vec<u8>)>,
}

impl Tree {
    /// The tree of a seed.
    pub fn grown(seed: u64, syntax: IgnoreSyntax) -> Tree {
        let mut rng = Rng::with_seed(seed);
        let mut tree = Tree::default();
        let odd = rng.u8(..8) == 0;
        // Half of the trees have no links, so that it is their patterns that matter.
        let links = if (seed / 2).is_multiple_of(2) { 4 } else { 1 };
        for _ in 0..rng.usize(2..14) {
            let names = if odd && rng.u8(..4) == 0 { ODD } else { FILES };
            let path = [folder(&mut rng, odd), rng.choice(names).unwrap().to_vec()].concat();
            tree.put(path, Kind::File, rng.choice(CONTENTS).unwrap().to_vec());
        }
        for _ in 0..rng.usize(..links) {
            let name = *rng.choice(&[&b"l1"[..], b"l2", b"a", b"link.py", b"sub"]).unwrap();
            let path = [folder(&mut rng, false), name.to_vec()].concat();
            tree.put(path, Kind::Link, rng.choice(TARGETS).unwrap().as_bytes().to_vec());
        }
        for _ in 0..rng.usize(..4) {
            let path = [folder(&mut rng, odd), b".airflowignore".to_vec()].concat();
            if rng.u8(..12) == 0 {
                tree.put(path, Kind::Link, b"t.txt".to_vec());
                continue;
            }
            let mut text = ignore_file(&mut rng, syntax);
            if rng.u8(..60) == 0 {
                text.extend(b"\n\xff");
            }
            tree.put(path, Kind::File, text);
        }
        tree
    }

    /// For a snapshot in memory.
    pub fn entries(&self) -> Vec<(Vec<u8>, Kind, Vec<u8>)> {
        self.files.iter().map(|(path, (kind, bytes))| (path.clone(), *kind, bytes.clone())).collect()
    }

    /// On disk, in a folder that is not there yet. Links that lead to something outside of it go: nobody knows what is there.
    pub fn write(&mut self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (path, (kind, bytes)) in &self.files {
            let path = folder.join(OsStr::from_bytes(path));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match kind {
                Kind::Link => symlink(OsStr::from_bytes(bytes), &path).unwrap(),
                _ => fs::write(&path, bytes).unwrap(),
            }
        }
        let top = fs::canonicalize(folder).unwrap();
        // Without one of them another may lead elsewhere, but never further than before.
        self.files.retain(|path, (kind, _)| {
            let path = folder.join(OsStr::from_bytes(path));
            let stays =
                *kind != Kind::Link || fs::canonicalize(&path).is_ok_and(|real| real.starts_with(&top));
            if !stays && fs::canonicalize(&path).is_ok() {
                fs::remove_file(&path).unwrap();
                return false;
            }
            true
        });
        // A folder that held such a link only is none of a git tree.
        while remove_empty(folder) {}
    }

    /// Unless something is in its way.
    fn put(&mut self, path: Vec<u8>, kind: Kind, bytes: Vec<u8>) {
        let below =
            |path: &[u8], folder: &[u8]| path.starts_with(folder) && path.get(folder.len()) == Some(&b'/');
        let in_the_way = |other: &Vec<u8>| *other == path || below(other, &path) || below(&path, other);
        if !self.files.keys().any(in_the_way) {
            self.files.insert(path, (kind, bytes));
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, (kind, bytes)) in &self.files {
            writeln!(f, "  {kind:?} \"{}\": \"{}\"", path.escape_ascii(), bytes.escape_ascii())?;
        }
        Ok(())
    }
}

fn remove_empty(folder: &Path) -> bool {
    let mut removed = false;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            removed |= remove_empty(&entry.path()) || fs::remove_dir(entry.path()).is_ok();
        }
    }
    removed
}

fn folder(rng: &mut Rng, odd: bool) -> Vec<u8> {
    let mut path = Vec::new();
    for _ in 0..rng.usize(..4) {
        if odd && rng.u8(..10) == 0 {
            path.extend(b"\xfdd");
        } else {
            path.extend(*rng.choice(FOLDERS).unwrap());
        }
        path.push(b'/');
    }
    path
}

fn ignore_file(rng: &mut Rng, syntax: IgnoreSyntax) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..rng.usize(1..5) {
        let (pieces, most) = if syntax == IgnoreSyntax::Glob { (GLOBS, 5) } else { (REGEXPS, 7) };
        if syntax == IgnoreSyntax::Glob && rng.u8(..4) == 0 {
            text.push('!');
        }
        for _ in 0..rng.usize(1..most) {
            text.push_str(rng.choice(pieces).unwrap());
        }
        // Rare, because they end the walk, or hide what stands before them.
        match rng.u8(..80) {
            0 => text.push('\\'),
            1 => text.push_str("[z-a]"),
            2 => text.push_str("[a"),
            // Of several troubles in one line the order decides which is met.
            9 => (0..rng.usize(2..5)).for_each(|_| text.push_str(rng.choice(TROUBLES).unwrap())),
            3 => text.push_str("{4294967295}"),
            4..8 => text.push_str(" \t# comment"),
            8 => text.push_str("\u{a0}\u{b}#"),
            _ => {}
        }
        text.push_str(rng.choice(&["\n", "\n", "\n", "\r\n", "\r", " \n"]).unwrap());
    }
    text.into_bytes()
}
