use gix::bstr::BStr;

use super::super::super::snapshot::{InMemory, Kind};
use super::super::super::target::{Airflow, Python};
use super::super::super::{Code, Finding, Severity, Snapshot as _, Target};
use super::super::Facts;
use super::super::packed::{At, Packed};
use super::{File, case_clashes, duplicate_dag_ids, missing_modules, reached, shadowed_modules, skipped};

/// A revision in memory: its files, and the facts of those that are Python.
struct World {
    snapshot: InMemory,
    facts: Vec<(String, At, bool)>,
    packed: Packed,
}

impl World {
    /// Files that say `DAG` are loaded.
    fn of(files: &[(&str, &str)]) -> World {
        let mut packed = Packed::default();
        let python = files.iter().filter(|(path, _)| path.ends_with(".py"));
        let facts = python.map(|(path, text)| {
            let parsed = ruff_python_parser::parse_module(text).unwrap();
            let facts = packed.put(&Facts::of(parsed.syntax(), text));
            ((*path).to_owned(), facts, text.contains("DAG"))
        });
        World { facts: facts.collect(), packed, snapshot: InMemory::files(files) }
    }

    fn files(&self) -> Vec<File<'_>> {
        self.facts
            .iter()
            .map(|(path, facts, loaded)| {
                let path = BStr::new(path.as_str());
                File {
                    path,
                    below: self.snapshot.below(path),
                    facts: self.packed.get(*facts),
                    loaded: *loaded,
                }
            })
            .collect()
    }

    fn missing(&self, published: &[(&str, &str)]) -> Vec<String> {
        let published = InMemory::files(published);
        let published = published.inside().map(|at| published.entry(at).path);
        missing_modules(&self.files(), &self.snapshot, published).unwrap().iter().map(told).collect()
    }
}

/// With a question mark if it is a warning of what may be an error.
fn told(finding: &Finding) -> String {
    let lowered = finding.severity < finding.issue.code.severity();
    debug_assert!(!lowered || finding.severity == Severity::Warning);
    let doubt = if lowered { "?" } else { "" };
    format!("{}:{}{doubt}", finding.path, finding.issue.message.split('`').nth(1).unwrap_or_default())
}

const HEAD: &str = "from airflow.sdk import DAG\n";

#[test]
fn a_dag_of_a_file_that_may_end_on_purpose_is_nobodys_second() {
    let dag = format!("{HEAD}with DAG('one'):\n    pass\n");
    let told = |head: &str, tail: &str| {
        let other = format!("import os\n{head}\n{dag}{tail}\n");
        !duplicate_dag_ids(&World::of(&[("a.py", &dag), ("b.py", &other)]).files()).is_empty()
    };
    for (head, tail) in [
        ("if os.environ.get('ENV') != 'prod': raise RuntimeError()", ""),
        ("if x:\n    pass\nelse:\n    raise RuntimeError()", ""),
        ("assert os.environ.get('ENV') == 'prod'", ""),
        ("", "if os.environ.get('ENV') != 'prod': raise RuntimeError()"),
        ("", "assert x, 'not here'"),
        ("def only():\n    if x: raise RuntimeError()\nonly()", ""),
        ("def only():\n    raise RuntimeError()\nonly()", ""),
        ("for a in x:\n    assert a", ""),
        ("try:\n    if x: raise E()\nexcept F:\n    pass", ""),
        ("match x:\n    case 1:\n        raise E()", ""),
        ("if x: import sys; sys.exit()", ""),
    ] {
        assert!(!told(head, tail), "{head}{tail}");
    }
    for head in [
        "",
        "def later():\n    raise RuntimeError()",
        "try:\n    import x\nexcept ImportError:\n    raise RuntimeError()",
        "try:\n    if x: raise E()\nexcept Exception:\n    pass",
        "if __name__ == '__main__':\n    raise E()",
    ] {
        assert!(told(head, ""), "{head}");
    }
}

#[test]
fn two_files_with_one_dag_are_told_in_both_places() {
    let dag = |id: &str| format!("{HEAD}with DAG('{id}'):\n    pass\n");
    let maybe = format!("{HEAD}if x:\n    with DAG('one'):\n        pass\n");
    let world = World::of(&[
        ("a.py", &dag("one")),
        ("b/c.py", &dag("one")),
        ("d.py", &dag("two")),
        ("e.py", &maybe),
        ("f.py", &format!("{HEAD}DAG('two')\n")),
        ("g.py", &format!("{HEAD}with DAG('three'):\n    pass\nwith DAG('three'):\n    pass\n")),
    ]);
    let found = duplicate_dag_ids(&world.files());
    let lines: Vec<String> = found
        .iter()
        .map(|finding| format!("{}:{} {}", finding.path, finding.issue.line, finding.issue.message))
        .collect();
    assert_eq!(
        lines,
        [
            "a.py:2 the DAG `one` is also in `b/c.py`, line 2",
            "b/c.py:2 the DAG `one` is also in `a.py`, line 2",
        ]
    );
}

#[test]
fn what_dag_files_import_is_reached_and_what_they_may_import_is_not() {
    let world = World::of(&[
        (
            "dag.py",
            &format!(
                "{HEAD}import one\nfrom pack import two\nfrom space.deep import three\ntry:\n    import four\nexcept ImportError:\n    pass\ndef f():\n    import five\n"
            ),
        ),
        ("one.py", "from pack.inner import x\n"),
        ("pack/__init__.py", "from .beside import y\n"),
        ("pack/two.py", "from ..outside import z\n"),
        ("pack/beside.py", ""),
        ("pack/inner/__init__.py", ""),
        ("pack/other.py", ""),
        ("space/deep/three.py", "import json\n"),
        ("json.py", ""),
        ("four.py", ""),
        ("five.py", ""),
    ]);
    let files = world.files();
    let reached: Vec<String> =
        reached(&files, &world.snapshot).unwrap().iter().map(ToString::to_string).collect();
    let expected = [
        "dag.py",
        "one.py",
        "pack/__init__.py",
        "pack/beside.py",
        "pack/inner/__init__.py",
        "pack/two.py",
        "space/deep/three.py",
    ];
    assert_eq!(reached, expected);
}

#[test]
fn where_a_file_changes_the_path_only_names_with_one_place_are_followed() {
    let dag = format!("{HEAD}import common\nimport lib.inner\nimport alone\nfrom pack import part\n");
    let moving = "import os, sys\nsys.path.insert(0, os.path.dirname(__file__) + '/libs')\n";
    let reached = |moved: bool, more: &[(&str, Kind)]| -> Vec<String> {
        let dag = if moved { format!("{moving}{dag}") } else { dag.clone() };
        let python = [
            ("dags/alone.py", ""),
            ("dags/common.py", ""),
            ("dags/lib/__init__.py", ""),
            ("dags/lib/inner.py", "from . import beside\n"),
            ("dags/lib/beside.py", ""),
            ("dags/pack/part.py", "import alone\n"),
            ("dags/team/dag.py", &dag),
        ];
        let files = python.iter().map(|(path, text)| (*path, Kind::File, *text));
        let more = more.iter().map(|(path, kind)| (*path, *kind, ""));
        let world =
            World { snapshot: InMemory::new(files.chain(more)).with_folder("dags"), ..World::of(&python) };
        let found = reached(&world.files(), &world.snapshot).unwrap();
        found.iter().map(|path| path.to_string().replacen("dags/", "", 1)).collect()
    };
    let all = [
        "alone.py",
        "common.py",
        "lib/__init__.py",
        "lib/beside.py",
        "lib/inner.py",
        "pack/part.py",
        "team/dag.py",
    ];
    let without = |gone: &str| all.iter().copied().filter(|path| !path.starts_with(gone)).collect::<Vec<_>>();
    assert_eq!(reached(true, &[]), all);
    for (more, kind, gone) in [
        ("dags/team/libs/common.py", Kind::File, "common"),
        ("dags/team/libs/common/__init__.py", Kind::File, "common"),
        ("dags/v2/common/deep/x.py", Kind::File, "common"),
        ("plugins/common.so", Kind::File, "common"),
        ("shared/common", Kind::Link, "common"),
        ("shared/common", Kind::Submodule, "common"),
        ("src/lib/x.py", Kind::File, "lib/"),
        ("src/pack.py", Kind::File, "pack/"),
    ] {
        assert_eq!(reached(true, &[(more, kind)]), without(gone), "{more}");
        assert_eq!(reached(false, &[(more, kind)]), all, "{more}, and the path stays as it is");
    }
    // Not modules of that name.
    for more in ["dags/common/readme.txt", "docs/common.md", "dags/team/lib.yaml", "dags/common/x.py"] {
        assert_eq!(reached(true, &[(more, Kind::File)]), all, "{more}");
    }
}

#[test]
fn a_module_that_goes_while_it_is_imported_is_told() {
    let dag = |imports: &str| format!("{HEAD}{imports}\nwith DAG('d'):\n    pass\n");
    for (imports, rest, published, expected) in [
        ("import gone", "", "gone.py", vec!["dag.py:gone"]),
        ("from lib.gone import x", "lib/__init__.py", "lib/gone.py", vec!["dag.py:lib.gone"]),
        ("import lib.gone", "lib/other.py", "lib/gone.py", vec!["dag.py:lib.gone"]),
        ("from lib import gone", "lib/other.py", "lib/gone.py", vec!["dag.py:lib.gone"]),
        // What goes as a whole may be installed from now on.
        ("from lib import gone", "", "lib/gone.py", vec!["dag.py:lib.gone?"]),
        // The package may have a name like it.
        ("from lib import gone", "lib/__init__.py", "lib/gone.py", vec![]),
        ("import lib", "", "lib/__init__.py", vec!["dag.py:lib?"]),
        ("import lib", "lib/x.py", "lib/__init__.py", vec![]),
        ("import gone", "gone/__init__.py", "gone.py", vec![]),
        ("import gone", "", "other.py", vec![]),
        ("import gone", "src/gone.py", "gone.py", vec![]),
        ("import json", "", "json.py", vec![]),
        ("import yaml", "", "yaml.py", vec![]),
        ("try:\n    import gone\nexcept ImportError:\n    pass", "", "gone.py", vec![]),
        ("def f():\n    import gone", "", "gone.py", vec![]),
        ("import sys\nsys.path.insert(0, '/opt')\nimport gone", "", "gone.py", vec![]),
        ("import sys\nsys.path += ['/opt']\nimport gone", "", "gone.py", vec![]),
        ("import sys\nsys.path[:0] = ['/opt']\nimport gone", "", "gone.py", vec![]),
        ("import os\nos.sys.path.append('/opt')\nimport gone", "", "gone.py", vec![]),
        ("from sys import path\npath.append('/opt')\nimport gone", "", "gone.py", vec![]),
        ("import site\nsite.addsitedir('/opt')\nimport gone", "", "gone.py", vec![]),
    ] {
        let text = dag(imports);
        let mut now = vec![("dag.py", text.as_str())];
        if !rest.is_empty() {
            now.push((rest, ""));
        }
        let found = World::of(&now).missing(&[("dag.py", &text), (published, "")]);
        assert_eq!(found, expected, "{imports} with {rest:?} after {published}");
    }
}

#[test]
fn a_module_that_moves_out_of_the_folder_is_not_gone_and_behind_a_link_nobody_knows() {
    let dag = format!("{HEAD}import lib.gone\nfrom pack import other\nwith DAG('d'):\n    pass\n");
    let missing = |more: &[(&str, Kind, &str)]| -> Vec<String> {
        let files = [("dags/dag.py", Kind::File, dag.as_str()), ("dags/lib/kept.py", Kind::File, "")];
        let files = files.iter().chain(more).map(|(path, kind, text)| (*path, *kind, *text));
        let world = World {
            snapshot: InMemory::new(files).with_folder("dags"),
            ..World::of(&[("dags/dag.py", &dag), ("dags/lib/kept.py", "")])
        };
        let published = ["dag.py", "lib/gone.py", "lib/kept.py", "pack/__init__.py", "pack/other.py"];
        let published = published.iter().map(|path| BStr::new(*path));
        missing_modules(&world.files(), &world.snapshot, published).unwrap().iter().map(told).collect()
    };
    assert_eq!(missing(&[]), ["dags/dag.py:lib.gone", "dags/dag.py:pack?"]);
    let moved = [("plugins/lib/gone.py", Kind::File, ""), ("plugins/pack/__init__.py", Kind::File, "")];
    assert_eq!(missing(&moved), [""; 0]);
    let links = [("dags/lib/gone", Kind::Link, "/opt/gone"), ("dags/pack", Kind::Link, "../pack")];
    assert_eq!(missing(&links), [""; 0]);
}

#[test]
fn relative_imports_of_a_package_are_followed_and_files_that_nobody_loads_are_not() {
    let world = World::of(&[
        ("dag.py", &format!("{HEAD}import lib\n")),
        ("lib/__init__.py", "from .gone import x\nfrom ..far import y\n"),
        ("tests/test.py", "import lib.gone\n"),
    ]);
    assert_eq!(world.missing(&[("lib/__init__.py", ""), ("lib/gone.py", "")]), ["lib/__init__.py:lib.gone"]);
}

#[test]
fn a_module_behind_an_installed_one_is_told_where_it_is_imported() {
    let target = Target::of(Airflow::NEWEST, Python { minor: 12 });
    let shadowed = |files: &[(&str, &str)]| -> Vec<String> {
        let world = World::of(files);
        let found = shadowed_modules(&world.files(), &world.snapshot, &target).unwrap();
        assert!(found.iter().all(|finding| finding.issue.code == Code::ShadowedModule));
        found.iter().map(told).collect()
    };
    assert_eq!(shadowed(&[("dag.py", "import calendar\n"), ("calendar.py", "")]), ["dag.py:calendar"]);
    assert_eq!(
        shadowed(&[("dag.py", "from email.mine import x\n"), ("email/mine.py", "")]),
        ["dag.py:email"]
    );
    assert_eq!(shadowed(&[("dag.py", "import airflow.mine\n"), ("airflow/mine.py", "")]), ["dag.py:airflow"]);
    assert_eq!(
        shadowed(&[("dag.py", "import email\n"), ("email/mine.py", "")]),
        [""; 0],
        "the installed one is meant"
    );
    assert_eq!(shadowed(&[("dag.py", "import imp\n"), ("imp.py", "")]), [""; 0], "not in this Python");
    assert_eq!(shadowed(&[("dag.py", "import helpers\n"), ("helpers.py", "")]), [""; 0]);
    assert_eq!(
        shadowed(&[("a/dag.py", "import calendar\n"), ("a/calendar.py", "")]),
        [""; 0],
        "not at the top"
    );
}

#[test]
fn names_that_differ_in_case_only_are_told_once_for_each_folder() {
    let snapshot = InMemory::files(&[
        ("A.py", ""),
        ("a.py", ""),
        ("lib/x.py", ""),
        ("Lib/x.py", ""),
        ("Lib/y.py", ""),
        ("ok/A.txt", ""),
        ("ok/b/a.txt", ""),
        ("ä", ""),
        ("Ä", ""),
    ]);
    let found: Vec<String> =
        case_clashes(&snapshot).unwrap().iter().map(|finding| finding.path.to_string()).collect();
    assert_eq!(found, ["a.py", "lib", "ä"]);
}

#[test]
fn a_file_that_safe_mode_skips_now_is_told_and_one_that_is_ignored_is_not() {
    let paths = |paths: &'static [&str]| paths.iter().map(|path| BStr::new(*path));
    let read = |path: &BStr| {
        let text = match path.to_string().as_str() {
            "lost.py" => "from factory import make\n",
            "ignored.py" => "from airflow import DAG\n",
            "asset.py" => "from airflow.sdk import Asset\n",
            _ => return Ok::<_, ()>(None),
        };
        Ok(Some((path.to_owned(), text.as_bytes().to_vec())))
    };
    let told = |airflow: &str, safe_mode: bool| -> Vec<String> {
        let target = Target { safe_mode, ..Target::of(airflow.parse().unwrap(), Python::DEFAULT) };
        let before = paths(&["asset.py", "gone.py", "ignored.py", "kept.py", "lost.py"]);
        let found = skipped(before, paths(&["kept.py"]), &target, read).unwrap();
        found.iter().map(|finding| finding.path.to_string()).collect()
    };
    assert_eq!(told("3", true), ["lost.py"]);
    assert_eq!(told("2", true), ["asset.py", "lost.py"]);
    assert_eq!(told("3", false), [""; 0]);
}
