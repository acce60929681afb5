//! What other files have to know of a file: little, as it is remembered of every file of a repository.

use std::collections::HashSet;
use std::sync::Arc;

use super::facts::{Bound, Facts, Guard, Id};
use super::place::Place;

/// A DAG, as other files see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dag {
    /// Its id.
    pub id: Id,
    /// Where it is made.
    pub place: Place,
    /// Whether it is surely made whenever the file is loaded, and once.
    pub sure: bool,
    /// Where it is kept.
    pub bound: Bound,
}

/// An import: one name of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Where.
    pub place: Place,
    /// The dots before the module's name.
    pub level: u32,
    /// The module, without dots before it; empty in `from . import name`.
    pub module: Arc<str>,
    /// What is taken out of it: `None` for `import module`, `*` for everything.
    pub name: Option<Arc<str>>,
    /// Why its failure may not matter.
    pub guard: Guard,
}

/// What a file says that matters to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Between {
    /// The DAGs, in the order in which they are made.
    pub dags: Vec<Dag>,
    /// What is imported, in the file's order.
    pub imports: Vec<Import>,
    /// Whether there may be DAGs that are not in [`Between::dags`].
    pub more_dags: bool,
    /// Whether the file changes where modules are looked for.
    pub moves_path: bool,
}

impl Between {
    /// Of a file that says nothing.
    pub const NOTHING: Between =
        Between { dags: Vec::new(), imports: Vec::new(), more_dags: false, moves_path: false };

    /// Of all that a file says.
    pub fn of(facts: &Facts) -> Between {
        let dag = |dag: &super::facts::Dag| Dag {
            id: dag.id.clone(),
            place: dag.place,
            sure: dag.sure,
            bound: dag.bound,
        };
        let import = |import: &super::facts::Import| Import {
            place: import.place,
            level: import.level,
            module: import.module.as_str().into(),
            name: import.name.as_deref().map(Into::into),
            guard: import.guard,
        };
        Between {
            dags: facts.dags.iter().map(dag).collect(),
            imports: facts.imports.iter().map(import).collect(),
            more_dags: facts.more_dags,
            moves_path: facts.moves_path,
        }
    }
}

/// The names of modules, each held once: a thousand files import the same ones.
#[derive(Debug, Default)]
pub struct Words(HashSet<Arc<str>>);

impl Words {
    /// Makes a file's names those that are held already.
    pub fn share(&mut self, between: &mut Between) {
        for import in &mut between.imports {
            for word in [Some(&mut import.module), import.name.as_mut()].into_iter().flatten() {
                match self.0.get(word) {
                    Some(known) => *word = known.clone(),
                    None => {
                        self.0.insert(word.clone());
                    }
                }
            }
        }
    }

    /// Forgets what nobody names any more.
    pub fn tidy(&mut self) {
        self.0.retain(|word| Arc::strong_count(word) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_once_and_no_longer_than_they_are_needed() {
        let import = |module: &str| Import {
            place: Place::default(),
            level: 0,
            module: module.into(),
            name: None,
            guard: Guard::None,
        };
        let between = || Between { imports: vec![import("airflow"), import("json")], ..Between::default() };
        let (mut words, mut one, mut two) = (Words::default(), between(), between());
        words.share(&mut one);
        words.share(&mut two);
        assert!(Arc::ptr_eq(&one.imports[0].module, &two.imports[0].module));
        assert_eq!(words.0.len(), 2);
        drop((one, two));
        words.tidy();
        assert!(words.0.is_empty());
    }
}
