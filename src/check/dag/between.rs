//! What other files have to know of a file: little, as it is remembered of every file of a repository.

use std::collections::HashSet;
use std::sync::Arc;

use super::facts::{Bound, Facts, Guard};
use super::place::Place;

/// A DAG, as other files see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dag {
    /// Its id, if that is to be told without running the file.
    pub id: Option<Box<str>>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// What is imported.
    pub named: Arc<Named>,
    /// Where.
    pub place: Place,
    /// Why its failure may not matter.
    pub guard: Guard,
}

/// What a file says that matters to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Between {
    /// The DAGs, in the order in which they are made.
    pub dags: Box<[Dag]>,
    /// What is imported, in the file's order.
    pub imports: Box<[Import]>,
    /// Whether there may be DAGs that are not in [`Between::dags`].
    pub more_dags: bool,
    /// Whether the file changes where modules are looked for.
    pub moves_path: bool,
}

impl Between {
    /// Of all that a file says.
    pub fn of(facts: &Facts, imports: &mut Imports) -> Between {
        let dag = |dag: &super::facts::Dag| Dag {
            id: dag.id.known().map(Into::into),
            place: dag.place,
            sure: dag.sure,
            bound: dag.bound,
        };
        let import = |import: &super::facts::Import| {
            let super::facts::Import { place, level, module, name, guard } = import.clone();
            Import { named: imports.share(Named { level, module, name }), place, guard }
        };
        Between {
            dags: facts.dags.iter().map(dag).collect(),
            imports: facts.imports.iter().map(import).collect(),
            more_dags: facts.more_dags,
            moves_path: facts.moves_path,
        }
    }
}

/// What is imported anywhere, each held once: a thousand files import the same.
#[derive(Debug, Default)]
pub struct Imports(HashSet<Arc<Named>>);

impl Imports {
    fn share(&mut self, named: Named) -> Arc<Named> {
        if let Some(known) = self.0.get(&named) {
            return known.clone();
        }
        let named = Arc::new(named);
        self.0.insert(named.clone());
        named
    }

    /// Forgets what nobody imports any more.
    pub fn tidy(&mut self) {
        self.0.retain(|named| Arc::strong_count(named) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_once_and_no_longer_than_they_are_needed() {
        let named = |module: &str| Named { level: 0, module: module.to_owned(), name: None };
        let mut imports = Imports::default();
        let (one, two) = (imports.share(named("airflow")), imports.share(named("airflow")));
        assert!(Arc::ptr_eq(&one, &two));
        drop((one, two, imports.share(named("json"))));
        let kept = imports.share(named("kept"));
        imports.tidy();
        assert_eq!(imports.0.into_iter().collect::<Vec<_>>(), [kept]);
    }
}
