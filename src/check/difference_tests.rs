//! Which DAGs differ, in a few lines of Python.

use super::super::snapshot::InMemory;
use super::super::{Checker, Settings};
use super::*;

fn outline(files: &[(&str, &str)]) -> Outline {
    Checker::new(Settings::default()).outline(&InMemory::files(files)).unwrap()
}

/// The differences, one a line.
fn since(before: &[(&str, &str)], now: &[(&str, &str)]) -> Vec<String> {
    let line = |change: Change| {
        let id = change.id.as_deref().unwrap_or("?");
        let mut line = format!("{} {id} {}", change.kind.name(), change.path);
        line.extend(change.from_id.map(|id| format!(" was {id}")));
        line.extend(change.from_path.map(|path| format!(" from {path}")));
        line.extend(change.imports.iter().map(|path| format!(" by {path}")));
        line
    };
    outline(now).since(&outline(before)).into_iter().map(line).collect()
}

fn dag(id: &str) -> String {
    format!("from airflow.sdk import DAG\nwith DAG('{id}'):\n    pass\n")
}

const OPEN: &str = "from airflow.sdk import DAG\nfor i in range(9):\n    globals()[f'{i}'] = DAG(f'{i}')\n";

#[test]
fn dags_come_change_and_go_by_their_ids() {
    let edited = dag("b") + "# more\n";
    let (a, b, c) = (dag("a"), dag("b"), dag("c"));
    assert_eq!(
        since(&[("a.py", &a), ("b.py", &b)], &[("b.py", &edited), ("c.py", &c)]),
        ["removed a a.py", "changed b b.py", "added c c.py"]
    );
    assert_eq!(since(&[("a.py", &a)], &[("a.py", &a), ("readme.md", "x")]), [""; 0]);
    assert_eq!(since(&[], &[("a.py", &a)]), ["added a a.py"]);
}

#[test]
fn a_dag_in_another_file_is_moved_and_one_with_another_id_is_renamed() {
    let (a, z) = (dag("a"), dag("z"));
    let edited = dag("a") + "# more\n";
    assert_eq!(since(&[("a.py", &a)], &[("x/a.py", &a)]), ["moved a x/a.py from a.py"]);
    assert_eq!(since(&[("a.py", &a)], &[("x/a.py", &edited)]), ["moved a x/a.py from a.py"]);
    assert_eq!(since(&[("a.py", &a)], &[("a.py", &z)]), ["renamed z a.py was a"]);
    // Of two that come and two that go, nobody knows which is which.
    let (two, other) = (dag("a") + &dag("b"), dag("c") + &dag("d"));
    assert_eq!(
        since(&[("f.py", &two)], &[("f.py", &other)]),
        ["removed a f.py", "removed b f.py", "added c f.py", "added d f.py"]
    );
}

#[test]
fn copies_of_one_file_move_to_one_place_each() {
    let a = dag("a");
    assert_eq!(
        since(&[("1.py", &a), ("2.py", &a)], &[("2.py", &a), ("3.py", &a)]),
        ["moved a 3.py from 1.py"]
    );
    assert_eq!(
        since(&[("1.py", &a), ("2.py", &a)], &[("3.py", &a)]),
        ["removed a 2.py", "moved a 3.py from 1.py"]
    );
}

#[test]
fn what_is_gone_has_neither_its_content_nor_its_name_nor_a_dag_of_it_elsewhere() {
    let idle = "# airflow dag\n";
    let gone = |before: &[(&str, &str)], now: &[(&str, &str)]| outline(now).gone_since(&outline(before));
    let (a, b, z) = (dag("a"), dag("b"), dag("z"));
    let two: &[(&str, &str)] = &[("x/a.py", &a), ("y/b.py", &b)];
    assert_eq!(gone(two, &[("1.py", idle), ("2.py", idle)]), 2, "what comes is something else");
    assert_eq!(gone(two, &[("x/a.py", idle), ("y/b.py", idle)]), 2, "nor is it a DAG file in name only");
    assert_eq!(gone(two, &[("new/a.py", idle), ("new/b.py", idle)]), 2);
    assert_eq!(gone(two, &[("1.py", &a), ("2.py", &b)]), 0, "the content");
    assert_eq!(gone(two, &[("new/a.py", &z), ("new/b.py", OPEN)]), 0, "the name");
    assert_eq!(gone(two, &[("new/a.py", &z), ("y/b.py", &b)]), 0);
    assert_eq!(gone(two, &[("all.py", &(a.clone() + &b))]), 0, "the DAGs");
    let same: &[(&str, &str)] = &[("1/dag.py", OPEN), ("2/dag.py", OPEN), ("3/dag.py", OPEN)];
    assert_eq!(gone(same, &[("new/dag.py", OPEN)]), 2, "one is no more than one");
    assert_eq!(gone(same, &[("new/dag.py", &z)]), 2);
    assert_eq!(gone(&[("a.py", idle)], &[("a.py", idle)]), 0, "there never was a DAG");
    assert_eq!(gone(&[("a.py", &a)], &[("a.py", &a.replace("):", ")"))]), 0, "broken is not gone");
    assert_eq!(gone(&[("o.py", OPEN)], &[("p.py", &z)]), 0, "nobody knows that it had no `z`");
    assert_eq!(gone(&[("a.py", &a)], &[("p.py", OPEN)]), 0, "nor that it has no `a`");
    assert_eq!(gone(&[("a.py", &a)], &[("p.py", &z)]), 1);
    let edited = OPEN.to_owned() + "# more\n";
    assert_eq!(gone(&[("o.py", OPEN), ("a.py", &a)], &[("p.py", &edited), ("q.py", &z)]), 0, "one for each");
    assert_eq!(gone(&[("o.py", OPEN), ("n.py", &edited)], &[("p.py", &z)]), 1, "and for one alone");
    assert_eq!(gone(&[("o.py", OPEN)], &[("p.py", idle)]), 1);
    assert_eq!(gone(&[("a.py", &a)], &[("a.py", idle), ("p.py", OPEN)]), 0, "it may be there now");
    assert_eq!(gone(&[("a.py", &a)], &[("a.py", idle), ("p.py", &z)]), 1);
    assert_eq!(gone(&[("o.py", OPEN)], &[("o.py", idle)]), 1, "emptied, whatever ids it had");
    let imports = "# airflow dag\nfrom factory import *\n";
    assert_eq!(gone(&[("a.py", &a)], &[("a.py", imports)]), 0, "what it imports may have DAGs");
}

#[test]
fn ids_that_only_airflow_knows_are_told_by_their_file() {
    let edited = OPEN.to_owned() + "# more\n";
    assert_eq!(since(&[], &[("o.py", OPEN)]), ["added ? o.py"]);
    assert_eq!(since(&[("o.py", OPEN)], &[("o.py", &edited)]), ["changed ? o.py"]);
    assert_eq!(since(&[("o.py", OPEN)], &[("p.py", OPEN)]), ["moved ? p.py from o.py"]);
    assert_eq!(since(&[("o.py", OPEN)], &[]), ["removed ? o.py"]);
}

#[test]
fn a_file_that_does_not_compile_any_more_still_has_its_dags() {
    let broken = dag("a").replace("):", ")");
    assert_eq!(since(&[("a.py", &dag("a"))], &[("a.py", &broken)]), ["changed a a.py"]);
    assert_eq!(since(&[("a.py", &broken)], &[("a.py", &dag("a"))]), ["changed a a.py"]);
}

#[test]
fn a_dag_is_another_one_when_something_it_imports_is_at_any_distance() {
    let importing = "from lib import near\n".to_owned() + &dag("a");
    let world = |far: &'static str| {
        vec![
            ("a.py", importing.clone()),
            ("b.py", dag("b")),
            ("lib/near.py", "def f():\n    from lib import far\n".to_owned()),
            ("lib/far.py", far.to_owned()),
        ]
    };
    let (before, now) = (world("x = 1\n"), world("x = 2\n"));
    fn borrow<'a>(files: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
        files.iter().map(|(path, text)| (*path, text.as_str())).collect()
    }
    assert_eq!(since(&borrow(&before), &borrow(&now)), ["changed a a.py by lib/far.py"]);
}
