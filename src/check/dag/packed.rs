//! What other files have to know of a file, of every file of a repository at once.
//!
//! It is remembered for as long as the repository has the file, so it is small: the facts of all files lie behind each other in one
//! piece, and what they import is a number. A file with one DAG and four imports takes some fifty bytes; as values it would be six
//! times that.

use std::collections::HashMap;
use std::sync::Arc;

use super::facts::{self, Bound, Facts, Guard};
use super::place::Place;

/// A DAG, as other files see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dag<'a> {
    /// Its id, if that is to be told without running the file.
    pub id: Option<&'a str>,
    /// Where it is made.
    pub place: Place,
    /// Whether it is surely made whenever the file is loaded, and once.
    pub sure: bool,
    /// Where it is kept.
    pub bound: Bound,
}

/// What an import names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Named {
    /// The dots before the module's name.
    pub level: u32,
    /// The module, without dots before it; empty in `from . import name`.
    pub module: String,
    /// What is taken out of it: `None` for `import module`, `*` for everything.
    pub name: Option<String>,
}

/// An import: one name of one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Import<'a> {
    /// What is imported.
    pub named: &'a Named,
    /// Where.
    pub place: Place,
    /// Why its failure may not matter.
    pub guard: Guard,
}

/// Where the facts of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct At(u32);

impl At {
    /// Of a file that says nothing.
    pub const NOTHING: At = At(u32::MAX);
}

/// The facts of many files.
#[derive(Debug, Default)]
pub struct Packed {
    bytes: Vec<u8>,
    files: usize,
    names: Vec<Arc<Named>>,
    numbers: HashMap<Arc<Named>, u32>,
}

/// What a file says that matters to others.
#[derive(Debug, Clone, Copy)]
pub struct Between<'a> {
    packed: &'a Packed,
    at: At,
}

/// In the first byte of a file.
const MORE_DAGS: u32 = 1;
const MOVES_PATH: u32 = 2;
const MAY_END: u32 = 4;
/// In the first byte of a DAG, above which is where it is kept.
const SURE: u32 = 1;
const KNOWN: u32 = 2;
const BOUND: [Bound; 4] = [Bound::Never, Bound::Perhaps, Bound::Global, Bound::With];
const GUARD: [Guard; 5] = [Guard::None, Guard::Caught, Guard::Typing, Guard::Condition, Guard::Function];

impl Packed {
    /// How many files were put here.
    pub fn files(&self) -> usize {
        self.files
    }

    /// Adds a file.
    pub fn put(&mut self, facts: &Facts) -> At {
        let dag = |dag: &facts::Dag| {
            let (place, sure, bound) = (dag.place, dag.sure, dag.bound);
            (dag.id.known().map(str::to_owned), place, sure, bound)
        };
        let import = |import: &facts::Import| {
            let facts::Import { place, level, module, name, guard } = import.clone();
            (Named { level, module, name }, place, guard)
        };
        let flag = |is: bool, flag: u32| u32::from(is) * flag;
        let flags = flag(facts.more_dags, MORE_DAGS)
            | flag(facts.moves_path, MOVES_PATH)
            | flag(facts.may_end, MAY_END);
        let Some(at) = self.begin(flags, facts.dags.len(), facts.imports.len()) else { return At::NOTHING };
        for (id, place, sure, bound) in facts.dags.iter().map(dag) {
            self.put_dag(Dag { id: id.as_deref(), place, sure, bound });
        }
        for (named, place, guard) in facts.imports.iter().map(import) {
            self.put_import(&named, place, guard);
        }
        at
    }

    /// Adds a file of another one.
    pub fn copy(&mut self, file: Between<'_>) -> At {
        let flags = file.reader().number();
        let Some(at) = self.begin(flags, file.dags().len(), file.imports().len()) else { return At::NOTHING };
        file.dags().for_each(|dag| self.put_dag(dag));
        file.imports().for_each(|import| self.put_import(import.named, import.place, import.guard));
        at
    }

    /// The file that was put there.
    pub fn get(&self, at: At) -> Between<'_> {
        Between { packed: self, at }
    }

    /// `None` beyond four gigabytes: then nothing is known of a file, which is no error.
    fn begin(&mut self, flags: u32, dags: usize, imports: usize) -> Option<At> {
        let at = u32::try_from(self.bytes.len()).ok().filter(|at| *at < u32::MAX)?;
        self.files += 1;
        self.number(flags);
        self.number(dags as u32);
        self.number(imports as u32);
        Some(At(at))
    }

    fn put_dag(&mut self, dag: Dag<'_>) {
        let known = u32::from(dag.id.is_some()) * KNOWN;
        self.number(u32::from(dag.sure) * SURE + known + ((dag.bound as u32) << 2));
        self.place(dag.place);
        if let Some(id) = dag.id {
            self.number(id.len() as u32);
            self.bytes.extend_from_slice(id.as_bytes());
        }
    }

    fn put_import(&mut self, named: &Named, place: Place, guard: Guard) {
        let number = match self.numbers.get(named) {
            Some(number) => *number,
            None => {
                let (named, number) = (Arc::new(named.clone()), self.names.len() as u32);
                self.names.push(named.clone());
                self.numbers.insert(named, number);
                number
            }
        };
        self.number(number);
        self.place(place);
        self.number(guard as u32);
    }

    fn place(&mut self, place: Place) {
        self.number(place.line);
        self.number(place.column);
    }

    /// Seven bits a byte, the lowest first; the last byte is below 128.
    fn number(&mut self, mut number: u32) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

impl<'a> Between<'a> {
    /// Whether there may be DAGs that are not in [`Between::dags`].
    pub fn more_dags(self) -> bool {
        self.reader().number() & MORE_DAGS != 0
    }

    /// Whether the file may end on purpose before it has made its DAGs.
    pub fn may_end(self) -> bool {
        self.reader().number() & MAY_END != 0
    }

    /// Whether the file changes where modules are looked for.
    pub fn moves_path(self) -> bool {
        self.reader().number() & MOVES_PATH != 0
    }

    /// The DAGs, in the order in which they are made.
    pub fn dags(self) -> impl ExactSizeIterator<Item = Dag<'a>> {
        let (dags, _, mut reader) = self.begin();
        (0..dags).map(move |_| reader.dag())
    }

    /// What is imported, in the file's order.
    pub fn imports(self) -> impl ExactSizeIterator<Item = Import<'a>> {
        let (dags, imports, mut reader) = self.begin();
        (0..dags).for_each(|_| {
            reader.dag();
        });
        (0..imports).map(move |_| reader.import(&self.packed.names))
    }

    /// From its first byte on; a file knows its end.
    fn reader(self) -> Reader<'a> {
        Reader(if self.at == At::NOTHING { &[0, 0, 0] } else { &self.packed.bytes[self.at.0 as usize..] })
    }

    fn begin(self) -> (usize, usize, Reader<'a>) {
        let mut reader = self.reader();
        reader.number();
        (reader.number() as usize, reader.number() as usize, reader)
    }
}

/// Reads what [`Packed`] wrote.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> u32 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.0[0];
            self.0 = &self.0[1..];
            number |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    fn place(&mut self) -> Place {
        let line = self.number();
        Place { line, column: self.number() }
    }

    fn dag(&mut self) -> Dag<'a> {
        let (flags, place) = (self.number(), self.place());
        let id = (flags & KNOWN != 0).then(|| {
            let length = self.number() as usize;
            let (id, rest) = self.0.split_at(length);
            self.0 = rest;
            std::str::from_utf8(id).unwrap_or_default()
        });
        Dag { id, place, sure: flags & SURE != 0, bound: BOUND[(flags >> 2) as usize] }
    }

    fn import(&mut self, names: &'a [Arc<Named>]) -> Import<'a> {
        let named = &names[self.number() as usize];
        Import { named, place: self.place(), guard: GUARD[self.number() as usize] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(text: &str) -> Facts {
        let parsed = ruff_python_parser::parse_module(text).unwrap();
        Facts::of(parsed.syntax(), text)
    }

    #[test]
    fn what_was_put_comes_out_again_also_from_a_copy() {
        let long = format!("{}{}", "\n".repeat(70_000), " ".repeat(300));
        let texts = [
            "".to_owned(),
            "from airflow.sdk import DAG\nwith DAG('one') as d, DAG(f()) as e:\n    pass\nDAG('gone')\n".to_owned(),
            "import sys, os.path as p\nfrom . import x\nfrom ..y import *\ntry:\n    import z\nexcept E:\n    pass\nassert x\nsys.path.append('.')\n".to_owned(),
            "from airflow.sdk import dag\n@dag\ndef ünïcode():\n    import inner\nif x:\n    ünïcode()\nfor i in x:\n    exec(i)\n".to_owned(),
            format!("({long}\n)\nimport airflow\nwith airflow.DAG('far'): pass\n"),
        ];
        let mut packed = Packed::default();
        let all: Vec<Facts> = texts.iter().map(|text| facts(text)).collect();
        let places: Vec<At> = all.iter().map(|facts| packed.put(facts)).collect();
        let mut copied = Packed::default();
        let copies: Vec<At> = places.iter().rev().map(|at| copied.copy(packed.get(*at))).collect();
        assert_eq!((copied.files(), copied.bytes.len()), (packed.files(), packed.bytes.len()));
        let both = places.iter().map(|at| packed.get(*at)).zip(copies.iter().rev().map(|at| copied.get(*at)));
        for (facts, (first, second)) in all.iter().zip(both) {
            for file in [first, second] {
                let dags: Vec<_> = file.dags().map(|dag| (dag.id, dag.place, dag.sure, dag.bound)).collect();
                let expected = facts.dags.iter().map(|dag| (dag.id.known(), dag.place, dag.sure, dag.bound));
                assert_eq!(dags, expected.collect::<Vec<_>>());
                let imports = file.imports().map(|it| {
                    let Named { level, module, name } = it.named.clone();
                    facts::Import { place: it.place, level, module, name, guard: it.guard }
                });
                assert_eq!(imports.collect::<Vec<_>>(), facts.imports);
                let flags = (file.more_dags(), file.moves_path(), file.may_end());
                assert_eq!(flags, (facts.more_dags, facts.moves_path, facts.may_end));
            }
        }
        assert!(
            all.iter().any(|facts| facts.moves_path && facts.may_end)
                && all.iter().any(|facts| facts.dags.len() == 3)
        );
        let nothing = packed.get(At::NOTHING);
        assert_eq!((nothing.dags().len(), nothing.imports().len()), (0, 0));
        assert!(!nothing.more_dags() && !nothing.moves_path() && !nothing.may_end());
    }

    #[test]
    fn what_is_imported_often_is_held_once() {
        let mut packed = Packed::default();
        let one = facts("import json\nfrom json import dumps\n");
        let (first, second) = (packed.put(&one), packed.put(&one));
        assert_eq!(packed.names.len(), 2);
        assert!(std::ptr::eq(
            packed.get(first).imports().next().unwrap().named,
            packed.get(second).imports().next().unwrap().named
        ));
    }

    #[test]
    fn every_kind_is_known_again() {
        assert!(BOUND.iter().enumerate().all(|(at, bound)| *bound as usize == at));
        assert!(GUARD.iter().enumerate().all(|(at, guard)| *guard as usize == at));
    }
}
