//! Streams that nobody thought of.

use fastrand::Rng;

use super::model::{BAD_PATTERN, BASE, File, IGNORES, TOOLS, Tree};
use super::{MEANT, Upstream};

const PATHS: &[&str] = &["a.py", "b.py", "c.py", "d.py", "old/a.py", "old/b.py", "sub/a.py", "sub/b.py"];
const CODES: &[&str] = &[
    "python-syntax",
    "python-encoding",
    "conflict-marker",
    "relative-import",
    "airflow-module",
    "dag-argument",
    "dag-id",
    "duplicate-task-id",
    "task-cycle",
    "schedule",
];

/// Something that may be pushed.
pub struct Stream {
    rng: Rng,
    /// Wrong files are all different, as those that people write are.
    made: u32,
    /// One commit a push, and none that takes back what was pushed.
    pub is_plain: bool,
}

impl Stream {
    pub fn of(seed: u64) -> Stream {
        let mut rng = Rng::with_seed(seed);
        let is_plain = rng.bool();
        Stream { rng, made: 0, is_plain }
    }

    /// A first tree: a few DAGs, seldom something wrong.
    fn first(&mut self) -> Tree {
        let count = self.rng.usize(1..6);
        let mut tree = Tree::new();
        for (at, path) in PATHS.iter().enumerate().take(count) {
            tree.insert(path.as_bytes().to_vec(), File::Dag(at as u32));
        }
        tree.insert(BASE.into(), File::Module(0));
        if self.rng.u8(..4) == 0 {
            self.edit(&mut tree);
        }
        tree
    }

    fn edit(&mut self, tree: &mut Tree) {
        let path = self.rng.choice(PATHS).unwrap().as_bytes().to_vec();
        self.made += 1;
        let n = self.made;
        match self.rng.u8(..22) {
            0..5 => _ = tree.insert(path, File::Dag(self.rng.u32(..8))),
            5..9 => _ = tree.insert(path, File::Wrong(self.rng.choice(CODES).unwrap(), n)),
            9..13 => _ = tree.remove(&path),
            13 => {
                if let Some(file) = tree.remove(&path) {
                    tree.insert(self.rng.choice(PATHS).unwrap().as_bytes().to_vec(), file);
                }
            }
            14 => _ = tree.insert(path, File::Importing(self.rng.u32(..4))),
            15 => _ = tree.insert(TOOLS.into(), File::Module(n)),
            16 => match self.rng.u8(..3) {
                0 => _ = tree.insert(TOOLS.into(), File::BrokenModule(n)),
                1 => _ = tree.insert(TOOLS.into(), File::Pointer),
                _ => _ = tree.remove(TOOLS.as_bytes()),
            },
            17 => match self.rng.u8(..3) {
                0 => _ = tree.insert(b".airflowignore".to_vec(), IGNORES),
                1 => _ = tree.insert(b".airflowignore".to_vec(), BAD_PATTERN),
                _ => _ = tree.remove(&b".airflowignore"[..]),
            },
            18 => {
                if tree.remove(&b"sub/up"[..]).is_none() && self.rng.bool() {
                    tree.insert(b"sub/up".to_vec(), File::Loop);
                }
            }
            19 => _ = tree.insert(path, File::Idle(n)),
            20 => {
                if tree.remove(&b"out"[..]).is_none() && self.rng.bool() {
                    tree.insert(b"out".to_vec(), File::Outside);
                }
            }
            _ => tree.retain(|_, _| self.rng.u8(..3) > 0),
        }
    }

    fn message(&mut self) -> String {
        let meant = self.rng.u8(..6) == 0;
        if meant { format!("Retire some\n\n{MEANT}\n") } else { "a change".into() }
    }

    /// So many pushes onto nothing: the commits that `main` shows one after the other. Each is new, or an older one.
    pub fn pushes(&mut self, upstream: &mut Upstream, count: usize) -> Vec<usize> {
        let start = upstream.commits.len();
        let mut made = vec![(self.first(), "the first".to_owned(), Vec::new())];
        let mut shown = vec![start];
        while shown.len() < count {
            let tip = shown[shown.len() - 1];
            if !self.is_plain && self.rng.u8(..8) == 0 {
                let parent = |at: usize| made[at - start].2.first().copied().unwrap_or(at);
                shown.push((0..self.rng.u8(1..3)).fold(tip, |at, _| parent(at)));
                continue;
            }
            let commits = if self.is_plain { 1 } else { self.rng.usize(1..4) };
            let mut at = tip;
            let mut tree: Tree = made[tip - start].0.clone();
            for _ in 0..commits {
                if self.rng.bool() {
                    self.mend(&mut tree);
                }
                for _ in 0..self.rng.u8(1..4) {
                    self.edit(&mut tree);
                }
                made.push((tree.clone(), self.message(), vec![at]));
                at = start + made.len() - 1;
            }
            if !self.is_plain && self.rng.u8(..6) == 0 {
                // What was on the branch counts as pushed, and no pod that begins now plays it back.
                made.push((tree, self.message(), vec![tip, at]));
                at += 1;
            }
            shown.push(at);
        }
        upstream.import(made);
        shown
    }

    /// Somebody makes good what is wrong, if that is in one file.
    fn mend(&mut self, tree: &mut Tree) {
        for file in tree.values_mut() {
            match file {
                File::Wrong(..) => *file = File::Slow(self.made),
                File::BrokenModule(_) | File::Pointer => *file = File::Module(self.made),
                file if *file == BAD_PATTERN => *file = IGNORES,
                _ => {}
            }
            self.made += 1;
        }
        tree.retain(|_, file| ![File::Loop, File::Outside].contains(file));
    }
}
