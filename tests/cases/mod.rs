//! DAG files, good and bad in each way that is called an error.
//!
//! A name that begins with `bad_` is called wrong by us and by Airflow, `missed_` by Airflow only, any other by nobody.

mod files;
pub mod programs;

use files::FILES;

const HEAD: &str = "from airflow.sdk import DAG, task, dag, task_group, TaskGroup, chain, cross_downstream, Label, setup, \
                    teardown\nfrom airflow.providers.standard.operators.empty import EmptyOperator\n\
                    from airflow.providers.standard.operators.python import PythonOperator\n\
                    from airflow.providers.standard.operators.bash import BashOperator\n";

/// Files that load, in all the styles that people have; below the usual imports, each after its name.
const WORKING: &str = include_str!("working.txt");

/// Files that do not load and that we must see.
const BROKEN: &str = include_str!("broken.txt");

/// The first line of a file that needs a process of its own, as it changes Airflow.
const ALONE: &str = "# in a process of its own\n";

fn of_text(text: &'static str, prefix: &'static str) -> impl Iterator<Item = (String, String)> {
    text.split("### ").skip(1).map(move |part| {
        let (name, body) = part.split_once('\n').unwrap();
        let alone = if body.starts_with("# alone") { ALONE } else { "" };
        (format!("{prefix}_{name}"), format!("{alone}{HEAD}{body}"))
    })
}

/// Below `with DAG("d"):`.
const IN_DAG: &[(&str, &str)] = &[
    (
        "operator_as_argument",
        "@task\ndef f(x=None):\n    return x\na = EmptyOperator(task_id='a')\nb = f(a.task_id)\nb >> a",
    ),
    (
        "teardown_in_group",
        "@task\ndef w():\n    pass\n@teardown\n@task\ndef t():\n    pass\nwith TaskGroup('g') as g:\n    w() >> t()\ng >> EmptyOperator(task_id='x')",
    ),
    (
        "branch_task_then_decorated",
        "import os\n@task\ndef f():\n    pass\nif os.environ.get('X'):\n    EmptyOperator(task_id='f')\nf()\nEmptyOperator(task_id='f__1')",
    ),
    ("conditional_expression", "EmptyOperator(task_id='a') if True else EmptyOperator(task_id='a')"),
    ("either_operator", "False and EmptyOperator(task_id='a b')"),
    ("one_task", "EmptyOperator(task_id='a')"),
    ("two_tasks", "a = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\na >> b"),
    ("bad_same_id", "EmptyOperator(task_id='a')\nEmptyOperator(task_id='a')"),
    ("bad_same_id_by_constant", "T = 'a'\nEmptyOperator(task_id=T)\nEmptyOperator(task_id=f'{T}')"),
    (
        "same_id_in_branches",
        "import os\nif os.environ.get('X'):\n    EmptyOperator(task_id='a')\nelse:\n    EmptyOperator(task_id='a')",
    ),
    (
        "same_id_in_try",
        "try:\n    EmptyOperator(task_id='a')\n    EmptyOperator(task_id='a')\nexcept Exception:\n    pass",
    ),
    ("bad_task_id_space", "EmptyOperator(task_id='a b')"),
    ("bad_task_id_empty", "EmptyOperator(task_id='')"),
    (
        "bad_task_id_long",
        "EmptyOperator(task_id='a' + 'a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890')",
    ),
    ("task_id_unicode", "EmptyOperator(task_id='größe.日本-1_٣')"),
    ("task_id_line_end", "EmptyOperator(task_id='a\\n')"),
    ("bad_task_id_two_line_ends", "EmptyOperator(task_id='a\\n\\n')"),
    ("bad_task_id_emoji", "EmptyOperator(task_id='a🎉')"),
    ("bad_task_id_accent_apart", "EmptyOperator(task_id='e\\u0301')"),
    ("bad_cycle_two", "a = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\na >> b\nb >> a"),
    ("bad_cycle_self", "a = EmptyOperator(task_id='a')\na >> a"),
    (
        "bad_cycle_three",
        "a, b, c = (EmptyOperator(task_id='a'), EmptyOperator(task_id='b'), EmptyOperator(task_id='c'))\na >> [b, c]\nc >> a",
    ),
    ("bad_cycle_chain", "a = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\nchain(a, b, a)"),
    (
        "bad_cycle_shift_left",
        "a = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\na << b\nb << a",
    ),
    (
        "bad_cycle_methods",
        "a = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\na.set_downstream(b)\na.set_upstream([b])",
    ),
    (
        "bad_cycle_cross",
        "a = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\ncross_downstream([a], [b])\nb >> a",
    ),
    (
        "no_cycle_reassigned",
        "a = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\na >> b\na = EmptyOperator(task_id='c')\nb >> a",
    ),
    (
        "no_cycle_diamond",
        "a, b, c, e = [EmptyOperator(task_id='a'), EmptyOperator(task_id='b'), EmptyOperator(task_id='c'), EmptyOperator(task_id='e')]\na >> [b, c] >> e\na >> e",
    ),
    (
        "no_cycle_chain_lists",
        "a, b, c, e = [EmptyOperator(task_id='a'), EmptyOperator(task_id='b'), EmptyOperator(task_id='c'), EmptyOperator(task_id='e')]\nchain([a, b], [c, e])",
    ),
    (
        "cycle_in_branch",
        "import os\na = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\na >> b\nif os.environ.get('X'):\n    b >> a",
    ),
    (
        "missed_cycle_through_label",
        "a = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\na >> Label('x') >> b\nb >> a",
    ),
    ("labels", "a = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\na >> Label('x') >> b"),
    (
        "group",
        "with TaskGroup('g') as g:\n    a = EmptyOperator(task_id='a')\nEmptyOperator(task_id='a') >> g",
    ),
    (
        "bad_group_same_inside",
        "with TaskGroup('g'):\n    EmptyOperator(task_id='a')\n    EmptyOperator(task_id='a')",
    ),
    (
        "bad_group_same_full",
        "with TaskGroup('g'):\n    EmptyOperator(task_id='a')\nEmptyOperator(task_id='g.a')",
    ),
    (
        "group_without_prefix",
        "with TaskGroup('g', prefix_group_id=False):\n    EmptyOperator(task_id='a')\nEmptyOperator(task_id='b')",
    ),
    (
        "bad_group_without_prefix_same",
        "with TaskGroup('g', prefix_group_id=False):\n    EmptyOperator(task_id='a')\nEmptyOperator(task_id='a')",
    ),
    (
        "bad_group_twice",
        "with TaskGroup('g'):\n    EmptyOperator(task_id='a')\nwith TaskGroup('g'):\n    EmptyOperator(task_id='b')",
    ),
    (
        "group_twice_renamed",
        "with TaskGroup('g', add_suffix_on_collision=True):\n    EmptyOperator(task_id='a')\nwith TaskGroup('g', add_suffix_on_collision=True):\n    EmptyOperator(task_id='a')",
    ),
    (
        "bad_group_and_task",
        "with TaskGroup('g'):\n    EmptyOperator(task_id='a')\nEmptyOperator(task_id='g')",
    ),
    (
        "bad_task_and_group",
        "EmptyOperator(task_id='g')\nwith TaskGroup('g'):\n    EmptyOperator(task_id='a')",
    ),
    ("bad_group_id", "with TaskGroup('g.h'):\n    EmptyOperator(task_id='a')"),
    ("bad_group_id_named", "with TaskGroup(group_id='g h'):\n    EmptyOperator(task_id='a')"),
    (
        "groups_nested",
        "with TaskGroup('g') as g:\n    with TaskGroup('h') as h:\n        EmptyOperator(task_id='a')\n    EmptyOperator(task_id='a')\n    with TaskGroup('i', prefix_group_id=False):\n        EmptyOperator(task_id='x')",
    ),
    (
        "bad_groups_nested_same",
        "with TaskGroup('g'):\n    with TaskGroup('h'):\n        EmptyOperator(task_id='a')\n    EmptyOperator(task_id='h.a')",
    ),
    (
        "groups_wired",
        "with TaskGroup('g') as g:\n    a = EmptyOperator(task_id='a')\n    b = EmptyOperator(task_id='b')\n    a >> b\nwith TaskGroup('h') as h:\n    c = EmptyOperator(task_id='c')\ng >> h >> EmptyOperator(task_id='end')",
    ),
    (
        "bad_groups_cycle",
        "with TaskGroup('g') as g:\n    a = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\ng >> b >> g",
    ),
    (
        "bad_groups_cycle_both",
        "with TaskGroup('g') as g:\n    a = EmptyOperator(task_id='a')\nwith TaskGroup('h') as h:\n    b = EmptyOperator(task_id='b')\ng >> h\nh >> g",
    ),
    ("decorated", "@task\ndef f():\n    return 1\nf()"),
    ("decorated_twice", "@task\ndef f():\n    return 1\nf()\nf()\nf()"),
    ("decorated_ids", "@task(task_id='x')\ndef f():\n    return 1\nf()\nf.override(task_id='y')()"),
    ("decorated_flow", "@task\ndef f():\n    return 1\n@task\ndef g(x):\n    return x\ng(g(f()))"),
    ("bad_decorated_then_operator", "@task\ndef f():\n    return 1\nf()\nEmptyOperator(task_id='f')"),
    ("operator_then_decorated", "@task\ndef f():\n    return 1\nEmptyOperator(task_id='f')\nf()"),
    (
        "bad_decorated_cycle",
        "@task\ndef f():\n    return 1\n@task\ndef g(x):\n    return x\na = f()\nb = g(a)\nb >> a",
    ),
    ("bad_decorated_id", "@task(task_id='a b')\ndef f():\n    return 1\nf()"),
    (
        "decorated_kinds",
        "@task.bash\ndef f():\n    return 'true'\n@task.branch\ndef g():\n    return 'f'\ng() >> f()",
    ),
    (
        "mapped",
        "@task\ndef f(x):\n    return x\nf.expand(x=[1, 2])\nBashOperator.partial(task_id='m').expand(bash_command=['true'])",
    ),
    (
        "bad_mapped_same",
        "BashOperator.partial(task_id='m').expand(bash_command=['true'])\nEmptyOperator(task_id='m')",
    ),
    ("group_decorated", "@task_group\ndef g():\n    EmptyOperator(task_id='a')\ng()\ng()"),
    (
        "bad_group_decorated_same",
        "@task_group\ndef g():\n    EmptyOperator(task_id='a')\n    EmptyOperator(task_id='a')\ng()",
    ),
    (
        "group_decorated_never_called",
        "@task_group\ndef g():\n    EmptyOperator(task_id='a')\n    EmptyOperator(task_id='a')\nEmptyOperator(task_id='b')",
    ),
    ("loop", "for i in range(3):\n    EmptyOperator(task_id=f't{i}')"),
    ("missed_loop_same", "for i in range(3):\n    EmptyOperator(task_id='t')"),
    (
        "loop_wired",
        "before = None\nfor i in range(3):\n    t = EmptyOperator(task_id=f't{i}')\n    if before:\n        before >> t\n    before = t",
    ),
    ("comprehension", "ts = [EmptyOperator(task_id=f't{i}') for i in range(3)]\nts[0] >> ts[1]"),
    ("helper", "def make(i):\n    return EmptyOperator(task_id=i)\nmake('a') >> make('b')"),
    ("bad_helper_same", "def make(i):\n    return EmptyOperator(task_id=i)\nmake('a') >> make('a')"),
    (
        "helper_returns_early",
        "def make(i):\n    if i:\n        return EmptyOperator(task_id='x')\n    return EmptyOperator(task_id='x')\nmake(1)",
    ),
    (
        "helper_guarded",
        "seen = {}\ndef make(i):\n    if i in seen:\n        return seen[i]\n    seen[i] = EmptyOperator(task_id=i)\n    return seen[i]\nmake('a')\nmake('a')",
    ),
    ("kwargs", "more = {'task_id': 'b'}\nEmptyOperator(task_id='a')\nEmptyOperator(**more)"),
    ("bad_provide_context", "PythonOperator(task_id='a', python_callable=print, provide_context=True)"),
    ("bad_task_concurrency", "EmptyOperator(task_id='a', task_concurrency=1)"),
    ("default_args_old", "EmptyOperator(task_id='a', default_args={'provide_context': True})"),
    (
        "setup_teardown",
        "@setup\n@task\ndef s():\n    pass\n@teardown\n@task\ndef t():\n    pass\ns() >> EmptyOperator(task_id='a') >> t()",
    ),
    ("walrus", "(a := EmptyOperator(task_id='a')) >> EmptyOperator(task_id='b')"),
    (
        "output",
        "p = PythonOperator(task_id='a', python_callable=print)\nPythonOperator(task_id='b', python_callable=print, op_args=[p.output])",
    ),
    (
        "own_class",
        "class Mine(EmptyOperator):\n    def __init__(self, task_id, **more):\n        super().__init__(task_id=task_id + str(id(self)), **more)\nMine(task_id='a')\nMine(task_id='a')",
    ),
    (
        "shadowed_operator",
        "def EmptyOperator(task_id):\n    return task_id\nEmptyOperator(task_id='a')\nEmptyOperator(task_id='a')\nEmptyOperator(task_id='a b')",
    ),
    (
        "list_mutated",
        "a = EmptyOperator(task_id='a')\nb = EmptyOperator(task_id='b')\nl = [a, b]\nl.pop(0)\na >> l",
    ),
];

/// The arguments of a DAG, after its id.
const ARGUMENTS: &[(&str, &str)] = &[
    ("schedule_none", "schedule=None"),
    ("schedule_daily", "schedule='@daily'"),
    ("schedule_once", "schedule='@once'"),
    ("schedule_quarterly", "schedule='@quarterly'"),
    ("schedule_cron", "schedule='*/5 0 * * mon-fri'"),
    ("bad_schedule_range", "schedule='61 * * * *'"),
    ("bad_schedule_words", "schedule='every day'"),
    ("bad_schedule_four", "schedule='* * * *'"),
    ("bad_schedule_preset", "schedule='@dayly'"),
    ("bad_schedule_empty", "schedule=''"),
    ("schedule_back", "schedule='0 0 * * fri-mon'"),
    ("schedule_delta", "schedule=__import__('datetime').timedelta(days=1)"),
    ("bad_schedule_interval", "schedule_interval='@daily'"),
    ("bad_timetable", "timetable=None"),
    ("bad_default_view", "default_view='grid'"),
    ("bad_orientation", "orientation='LR'"),
    ("bad_concurrency", "concurrency=4"),
    ("bad_fail_stop", "fail_stop=True"),
    ("bad_full_filepath", "full_filepath='x'"),
    ("fail_fast", "fail_fast=True"),
    ("sla_miss_callback", "sla_miss_callback=None"),
    ("tags", "tags=['a', 'b']"),
    (
        "bad_tag_long",
        "tags=['a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a234567890a']",
    ),
    ("bad_positional", "'a description'"),
    ("now", "start_date=__import__('pendulum').now()"),
];

/// All files, by their names.
pub fn all() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, body) in IN_DAG {
        let body: String = body.lines().map(|line| format!("    {line}\n")).collect();
        all.push(((*name).to_owned(), format!("{HEAD}with DAG('d'):\n{body}")));
    }
    for (name, arguments) in ARGUMENTS {
        for (way, text) in [
            ("with", format!("with DAG('d', {arguments}):\n    EmptyOperator(task_id='a')\n")),
            ("name", format!("it = DAG('d', {arguments})\n")),
        ] {
            all.push((format!("{name}_{way}"), format!("{HEAD}{text}")));
        }
    }
    for (name, text) in FILES {
        all.push(((*name).to_owned(), format!("{HEAD}{text}\n")));
    }
    all.extend(of_text(WORKING, "works"));
    all.extend(of_text(BROKEN, "bad_still"));
    let names: std::collections::BTreeSet<&String> = all.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), all.len(), "each has a name of its own");
    all
}

/// A DAG of random statements over few ids and names, so that they meet: mostly plain, sometimes in a branch or a loop.
pub fn random(random: &mut fastrand::Rng) -> String {
    let mut text = format!(
        "{HEAD}import os\n@task\ndef f(x=None):\n    return x\n@task_group\ndef part(x=None):\n    a = EmptyOperator(task_id='in')\n    \
         return None\ndef make(i):\n    return EmptyOperator(task_id=i)\nwith DAG('d') as d:\n    a = EmptyOperator(task_id='start')\n    \
         b = c = a\n"
    );
    let count = random.usize(2..8);
    statements(random, &mut text, 1, count);
    text
}

fn statements(random: &mut fastrand::Rng, text: &mut String, depth: usize, count: usize) {
    let ids = ["t1", "t2", "t3", "t4", "t5", "t6", "g1", "g1.t1", "f", "f__1", "part", "part.in"];
    let pick = |random: &mut fastrand::Rng, of: &[&str]| of[random.usize(..of.len())].to_owned();
    for _ in 0..count {
        let name = pick(random, &["a", "b", "c"]);
        let other = pick(random, &["a", "b", "c"]);
        let id = pick(random, &ids);
        let line = match random.u32(0..18) {
            0..4 => format!("{name} = EmptyOperator(task_id='{id}')"),
            4 => format!("{name} = make('{id}')"),
            5 => format!("{name} = f({other})"),
            6 => format!("{name} = f.override(task_id='{}')()", id.replace('.', "_")),
            7 => format!("{name} = BashOperator.partial(task_id='{id}').expand(bash_command=['true'])"),
            8..11 => format!("{name} >> {other}"),
            11 => format!("{name} << [{other}]"),
            12 => format!("chain({name}, {other}, {})", pick(random, &["a", "b", "c"])),
            13 => format!("{name} = part()"),
            14 => format!("{name} = {other}"),
            15 => format!("{name}, {other} = {other}, {name}"),
            _ if depth < 4 => {
                let opening = match random.u32(0..8) {
                    0..3 => format!("with TaskGroup('{}') as {name}:", id.replace('.', "_")),
                    3 => format!(
                        "with TaskGroup('{}', prefix_group_id=False) as {name}:",
                        id.replace('.', "_")
                    ),
                    4 => "if os.environ.get('NOTHING'):".to_owned(),
                    5 => "for i in range(0):".to_owned(),
                    6 => "if not os.environ.get('NOTHING'):".to_owned(),
                    _ => "while os.environ.get('NOTHING'):".to_owned(),
                };
                text.push_str(&format!("{}{opening}\n", "    ".repeat(depth)));
                let inner = random.usize(1..4);
                statements(random, text, depth + 1, inner);
                continue;
            }
            _ => "pass".to_owned(),
        };
        text.push_str(&format!("{}{line}\n", "    ".repeat(depth)));
    }
}
