use super::super::super::target::{Airflow, Python};
use super::super::super::{Code, Severity, Target};
use super::super::facts::{Bound, Facts, Guard};
use super::{Role, issues};

fn facts(source: &str) -> Facts {
    let parsed = ruff_python_parser::parse_module(source).unwrap_or_else(|error| panic!("{error}\n{source}"));
    Facts::of(parsed.syntax(), source)
}

fn found_for(source: &str, airflow: &str, role: Role) -> Vec<(Code, u32, u32)> {
    let target = Target::of(airflow.parse::<Airflow>().unwrap(), Python::DEFAULT);
    issues(&facts(source), &target, role).iter().map(|issue| (issue.code, issue.line, issue.column)).collect()
}

/// The codes in a DAG file for the newest Airflow.
fn codes(source: &str) -> Vec<Code> {
    found_for(source, "3", Role::DagFile).into_iter().map(|(code, ..)| code).collect()
}

const DAG: &str =
    "from airflow.sdk import DAG\nfrom airflow.providers.standard.operators.empty import EmptyOperator\n";

fn with(rest: &str) -> String {
    format!("{DAG}{rest}\n")
}

#[test]
fn a_finding_has_the_place_of_what_is_wrong_in_characters() {
    let source = with("with DAG('d', description='äöü', concurrency=1):\n    pass");
    assert_eq!(found_for(&source, "3", Role::DagFile), [(Code::DagArgument, 3, 34)]);
}

#[test]
fn every_kind_of_line_end_counts() {
    let source = with("x = 1").replace('\n', "\r\n") + "y = 2\rfrom . import z\r\nwith DAG('d'):\n    pass\n";
    assert_eq!(found_for(&source, "3", Role::DagFile), [(Code::RelativeImport, 5, 15)]);
}

#[test]
fn what_is_gone_depends_on_the_airflow() {
    let datasets = "from airflow.datasets import Dataset\nfrom airflow import DAG\nwith DAG('d'): pass\n";
    let has = |source: &str, airflow: &str| {
        found_for(source, airflow, Role::DagFile).iter().any(|(code, ..)| *code == Code::AirflowModule)
    };
    assert_eq!(
        ["2.11", "3.0", "3.1", "3.2", "3.3"].map(|airflow| has(datasets, airflow)),
        [false, false, false, true, true]
    );
    let days = "from airflow.utils.dates import days_ago\n";
    assert_eq!(["2.7", "3.0"].map(|airflow| has(days, airflow)), [false, true]);
    let sdk = "from airflow.sdk import DAG\n";
    assert_eq!(["2.11", "3.0"].map(|airflow| has(sdk, airflow)), [true, false]);
    let name = "from airflow.decorators import task_group\nfrom airflow import metrics\n";
    assert!(!has(name, "3.3"), "a name of the package, though the module of that name is gone");
    assert!(has("import airflow.decorators.task_group\n", "3.3"));
    assert!(has("import airflow.contrib.whatever.else_\n", "3.0"), "what is below a module goes with it");
    assert!(!has("import airflow_contrib\nimport airflow.contribs\n", "3.0"));
}

#[test]
fn arguments_that_are_gone_are_fine_before() {
    let source = "from airflow import DAG\nd = DAG('d', 'text', '@daily', concurrency=3, schedule_interval='@daily')\n";
    assert_eq!(found_for(source, "2.11", Role::DagFile), []);
    let old = "from airflow import DAG\nd = DAG('d', schedule_interval='@dayly')\n";
    assert_eq!(found_for(old, "2.11", Role::DagFile), [(Code::Schedule, 2, 14)]);
    assert_eq!(found_for(old, "3.0", Role::DagFile), [(Code::DagArgument, 2, 14)]);
}

#[test]
fn a_schedule_that_releases_read_differently_is_a_warning() {
    let source = with("with DAG('d', schedule='0 0 * * fri-mon'):\n    pass");
    assert_eq!(codes(&source), [Code::ScheduleVersion]);
    assert_eq!(Code::ScheduleVersion.severity(), Severity::Warning);
}

#[test]
fn relative_imports_matter_in_dag_files_only() {
    let source = with("from .helpers import x, y\nwith DAG('d'):\n    pass");
    assert_eq!(found_for(&source, "3", Role::DagFile), [(Code::RelativeImport, 3, 22)]);
    assert_eq!(found_for(&source, "3", Role::Module), []);
}

#[test]
fn guards_of_imports_are_seen() {
    let source = "import a\ntry:\n    import b\nexcept ValueError:\n    import c\nelse:\n    import d\nfinally:\n    import e\n\
                  def f():\n    import g\nif TYPE_CHECKING:\n    import h\nelse:\n    import i\nfor x in y:\n    import j\n\
                  with suppress(Exception):\n    import k\nclass C:\n    import l\ntry:\n    import m\nfinally:\n    pass\n\
                  def g():\n    try:\n        import n\n    except ImportError:\n        pass\n";
    let guards: Vec<(String, Guard)> =
        facts(source).imports.into_iter().map(|import| (import.module, import.guard)).collect();
    let expected = [
        ("a", Guard::None),
        ("b", Guard::Caught),
        ("c", Guard::Caught),
        ("d", Guard::Condition),
        ("e", Guard::None),
        ("g", Guard::Function),
        ("h", Guard::Typing),
        ("i", Guard::Condition),
        ("j", Guard::Condition),
        ("k", Guard::Caught),
        ("l", Guard::None),
        ("m", Guard::None),
        ("n", Guard::Function),
    ];
    assert_eq!(guards, expected.map(|(module, guard)| (module.to_owned(), guard)));
}

#[test]
fn values_that_move_are_warned_about_wherever_they_are() {
    for (source, count) in [
        ("from datetime import datetime\nwith DAG('d', start_date=datetime.now()):\n    pass", 1),
        (
            "import datetime as dt\nwith DAG('d', start_date=dt.datetime.utcnow() - dt.timedelta(days=1)):\n    pass",
            1,
        ),
        (
            "import pendulum\nargs = {'start_date': pendulum.now('UTC')}\nwith DAG('d', default_args=args):\n    pass",
            1,
        ),
        ("import uuid\nwith DAG(f'd_{uuid.uuid4()}'):\n    EmptyOperator(task_id=str(uuid.uuid4()))", 2),
        ("import uuid\nwith DAG('d_%s' % uuid.uuid4().hex):\n    pass", 1),
        ("from datetime import datetime\nwith DAG('d', start_date=datetime(2026, 1, 1)):\n    pass", 0),
        ("import mine\nwith DAG('d', start_date=mine.now()):\n    pass", 0),
        ("from datetime import datetime\nprint(datetime.now())\nwith DAG('d'):\n    pass", 0),
    ] {
        let codes = codes(&with(source));
        assert_eq!(codes, vec![Code::DynamicValue; count], "{source}");
    }
}

#[test]
fn slow_calls_are_told_where_parsing_runs_them() {
    for (source, expected) in [
        ("import requests\nrequests.get('x')", true),
        ("import requests as r\nx = r.get('x').json()", true),
        ("from airflow.models import Variable\nV = Variable.get('x')", true),
        ("from airflow.sdk import Variable\ndef f():\n    return Variable.get('x')\nf()", true),
        ("from time import sleep\nsleep(3)", true),
        ("import subprocess\nif True:\n    subprocess.run(['x'])", true),
        ("from airflow.sdk import Variable\ndef f():\n    return Variable.get('x')", false),
        ("from airflow.sdk import Variable, task\n@task\ndef f():\n    return Variable.get('x')\nf()", false),
        ("from airflow.sdk import Variable\nf = lambda: Variable.get('x')", false),
        ("import requests\nif __name__ == '__main__':\n    requests.get('x')", false),
        ("class requests:\n    get = print\nrequests.get('x')", false),
    ] {
        let source = with(&format!("{source}\nwith DAG('d'):\n    pass"));
        assert_eq!(codes(&source).contains(&Code::TopLevelCall), expected, "{source}");
    }
}

#[test]
fn a_dag_that_is_kept_nowhere_is_told_and_one_that_may_be_kept_is_not() {
    for (source, expected) in [
        ("DAG('d')", true),
        ("def f():\n    return DAG('d')\nf()", true),
        ("d = DAG('d')\nd = DAG('e')", true),
        ("from airflow.sdk import dag\n@dag\ndef f():\n    pass", true),
        ("d = DAG('d')", false),
        ("with DAG('d'):\n    pass", false),
        ("def f():\n    return DAG('d')", false),
        ("def f():\n    with DAG('d'):\n        pass\nf()", false),
        ("globals()['x'] = DAG('d')", false),
        ("import register\nregister.it(DAG('d'))", false),
        ("from airflow.sdk import dag\n@dag\ndef f():\n    pass\nfor g in [f]:\n    g()", false),
        ("from airflow.sdk import dag\n@dag\ndef f():\n    pass\nif x:\n    f()", false),
    ] {
        assert_eq!(codes(&with(source)), vec![Code::UnboundDag; usize::from(expected)], "{source}");
    }
}

#[test]
fn a_file_without_a_dag_is_told_unless_one_may_come_from_somewhere() {
    for (source, expected) in [
        ("import os\nfrom airflow.models import BaseOperator\nclass MyDag:\n    pass", true),
        ("x = [i for i in range(3)]\nprint(x)", true),
        ("from factory import make\nmake()", false),
        ("from .other import dag", false),
        ("def f(x):\n    return x\nf(globals)()", false),
        ("from airflow.sdk import asset\n@asset(schedule=None)\ndef a():\n    pass", false),
        ("with open('x') as f:\n    exec(f.read())", false),
    ] {
        assert_eq!(codes(source).contains(&Code::NoDag), expected, "{source}");
        assert!(!found_for(source, "3", Role::Module).iter().any(|(code, ..)| *code == Code::NoDag));
    }
}

#[test]
fn ids_of_every_spelling_of_a_dag() {
    let source = "import airflow\nimport airflow.models as m\nfrom airflow.models.dag import DAG as D\nN = 'n'\n\
                  a = airflow.DAG('a')\nb = m.DAG(dag_id='b')\nwith D(f'{N}_c') as c: pass\nd = D(N + '_d')\n\
                  e = D(unknown)\nfor x in y:\n    f = D(f'{x}')\n";
    let facts = facts(source);
    let ids: Vec<_> =
        facts.dags.iter().map(|dag| (dag.id.known().unwrap_or("?"), dag.bound, dag.sure)).collect();
    let expected = [
        ("a", Bound::Global, true),
        ("b", Bound::Global, true),
        ("n_c", Bound::With, true),
        ("n_d", Bound::Global, true),
        ("?", Bound::Global, true),
    ];
    assert_eq!(ids[..5], expected);
    assert_eq!((ids[5].0, ids[5].2), ("?", false));
}

#[test]
fn hostile_files_are_read_in_time_and_without_a_panic() {
    let deep = format!("x = {}1{}\n", "(".repeat(150), ")".repeat(150));
    let wide = format!("{DAG}{}", "def f(x):\n    return f(x) + f(x)\nf(1)\n".repeat(50));
    let fan: String =
        (0..14).map(|n| format!("def f{n}():\n    f{0}()\n    f{0}()\n", n + 1)).collect::<String>()
            + "def f14():\n    pass\nf0()\n";
    let groups: String = (0..60).fold(with("with DAG('d'):"), |text, n| {
        text + &format!("{}with __import__('x').y({n}):\n", " ".repeat(n + 1))
    }) + &" ".repeat(70)
        + "pass\n";
    let many: String = (0..3000).fold(with("with DAG('d'):"), |text, n| {
        text + &format!("    t{n} = EmptyOperator(task_id='t{n}')\n    t{} >> t{n}\n", n.max(1) - 1)
    });
    let text = "x = 'a'\n".to_owned() + &"x = x + x\n".repeat(100) + &"x = f'{x}{x}'\n".repeat(100);
    let list = with("x = [DAG('d')]") + &"x = [x, x]\n".repeat(200) + "print(x)\n";
    let added = with("x = [DAG('d')]") + &"x = x + x\n".repeat(200) + "print(x)\n";
    let nested = with("x = [DAG('d')]") + &"x = [x]\n".repeat(10_000) + "print(x)\n";
    let cross = with("with DAG('d'):")
        + &(0..1500).map(|n| format!("    t{n} = EmptyOperator(task_id='t{n}')\n")).collect::<String>()
        + &format!("    x = [{}]\n", (0..1500).map(|n| format!("t{n}")).collect::<Vec<_>>().join(", "))
        + &"    x >> x\n".repeat(30);
    let named = with("from airflow.sdk import task\n@task\ndef f():\n    pass\nwith DAG('d'):")
        + &"    f()\n".repeat(8_000);
    for source in [deep, wide, fan, groups, many, text, list, added, nested, cross, named] {
        let began = std::time::Instant::now();
        let _ = codes(&source);
        println!("{:?} for {} bytes", began.elapsed(), source.len());
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[test]
fn a_circle_of_as_many_tasks_as_fit_in_a_file_is_seen() {
    let circle =
        (0..20_000).fold(with("with DAG('d'):"), |text, n| {
            text + &format!("    t{n} = EmptyOperator(task_id='t{n}')\n")
        }) + &(0..20_000).map(|n| format!("    t{n} >> t{}\n", (n + 1) % 20_000)).collect::<String>();
    assert_eq!(codes(&circle), [Code::TaskCycle]);
}

#[test]
fn what_a_file_makes_of_one_long_text_is_held_in_bounds() {
    let text = format!("T = '{}'\n", "t".repeat(1_900));
    let items = format!("T = [{}]\n", "1, ".repeat(1_900));
    let lines = |line: &dyn Fn(usize) -> String| (0..19_000).map(line).collect::<String>();
    let flood = [
        format!("{items}{}", lines(&|n| format!("a{n} = T + [1]\n"))),
        format!("{text}{}", lines(&|n| format!("a{n} = T + 'a'\n"))),
        format!("{text}{}", lines(&|n| format!("a{n} = f'{{T}}'\n"))),
        format!("{text}{}", format!("a = [{}]\n", "T + 'a', ".repeat(1_900)).repeat(40)),
        format!("import foo as a0\n{}", lines(&|n| format!("a{} = a{n}.b\n", n + 1))),
        format!("{text}with DAG('d'):\n{}", lines(&|_| "    EmptyOperator(task_id=T)\n".into())),
        format!("{text}{}", lines(&|_| "DAG(T, description=T)\n".into())),
        format!("def f():\n    return [{}]\n{}", "1, ".repeat(1_900), "a = f()\n".repeat(9_000)),
    ];
    for more in flood {
        let source = with(&more) + "d = DAG('behind')\n";
        let parsed = ruff_python_parser::parse_module(&source).unwrap_or_else(|error| panic!("{error}"));
        let facts = Facts::of(parsed.syntax(), &source);
        let behind = facts.dags.iter().filter(|dag| dag.id.known() == Some("behind"));
        assert!(!behind.into_iter().any(|dag| dag.sure), "{}", &more[more.len() - 40..]);
    }
}

#[test]
fn files_of_many_names_changes_and_groups_are_read_in_a_time_that_grows_with_their_size() {
    let lines = |count: usize, line: fn(usize) -> String| (0..count).map(line).collect::<String>();
    let constants = lines(9_000, |n| format!("a{n} = 'x'\n"));
    let changed = constants.clone() + "if x:\n" + &lines(9_000, |n| format!("    a{n} = 'y'\n"));
    let elifs =
        constants.clone() + "if x:\n    pass\n" + &lines(5_000, |n| format!("elif x:\n    a{n} = 'y'\n"));
    let nested = constants.clone()
        + &(0..18).map(|n| format!("{}try:\n", " ".repeat(n))).collect::<String>()
        + &lines(4_000, |n| format!("{}a{n} = 'y'\n", " ".repeat(18)))
        + &(0..18)
            .rev()
            .map(|n| format!("{}except x:\n{}pass\n", " ".repeat(n), " ".repeat(n + 1)))
            .collect::<String>();
    let names = lines(9_000, |n| format!("a{n}, "));
    let global = format!("def f():\n    global {}b\n", names)
        + &lines(9_000, |n| format!("    a{n} = 'y'\n"))
        + "f()\n";
    let wide = format!("def f({names}b):\n    pass\n")
        + &format!("f({}b=1)\n", lines(9_000, |n| format!("a{n}=1, "))).repeat(30);
    let groups = with("with DAG('d'):\n  with TaskGroup('g') as g:").replacen(
        '\n',
        "\nfrom airflow.sdk import TaskGroup\n",
        1,
    ) + &lines(5_000, |n| {
        format!("    t{n} = EmptyOperator(task_id='t{n}')\n    t{} >> t{n}\n", n.max(1) - 1)
    }) + "  x = EmptyOperator(task_id='x')\n"
        + &"  g >> x\n".repeat(9_000);
    let tags = with("T = [").replace("[\n", "[")
        + &"'t', ".repeat(1_900)
        + "]\n"
        + &"DAG('d', tags=T, x=T)\n".repeat(15_000);
    let closures = (0..90).map(|n| format!("{}def f{n}():\n", " ".repeat(n))).collect::<String>()
        + &lines(20_000, |n| format!("{}a{n}.b\n", " ".repeat(90)));
    let hazards = "def f():\n    exec(x)\n    setattr(a, b, c)\n    a.dag_id = 1\n".repeat(4_000);
    let lists = "x = [1]\n".to_owned() + &"y = x\nx.append(y)\nx[0] = y\n".repeat(6_000);
    let large = "some_name = other.attribute(1)\n".repeat(350_000);
    for source in [changed, elifs, nested, global, wide, groups, tags, closures, hazards, lists, large] {
        let parsed = ruff_python_parser::parse_module(&source).unwrap_or_else(|error| panic!("{error}"));
        let began = std::time::Instant::now();
        let facts = Facts::of(parsed.syntax(), &source);
        let read = began.elapsed();
        let _ = issues(&facts, &Target::default(), Role::DagFile);
        println!("{read:?} and {:?} for {} bytes", began.elapsed(), source.len());
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
