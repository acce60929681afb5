//! DAG files, good and bad in each way that is called an error.
//!
//! A name that begins with `bad_` is called wrong by us and by Airflow, `missed_` by Airflow only, any other by nobody.

const HEAD: &str = "from airflow.sdk import DAG, task, dag, task_group, TaskGroup, chain, cross_downstream, Label, setup, \
                    teardown\nfrom airflow.providers.standard.operators.empty import EmptyOperator\n\
                    from airflow.providers.standard.operators.python import PythonOperator\n\
                    from airflow.providers.standard.operators.bash import BashOperator\n";

/// Below `with DAG("d"):`.
const IN_DAG: &[(&str, &str)] = &[
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

/// Whole files.
const FILES: &[(&str, &str)] = &[
    ("bad_relative", "from . import beside\nwith DAG('d'):\n    pass"),
    ("bad_relative_deep", "from ..x import y\nwith DAG('d'):\n    pass"),
    (
        "relative_caught",
        "try:\n    from . import beside\nexcept ImportError:\n    import beside\nwith DAG('d'):\n    pass",
    ),
    ("relative_in_function", "def f():\n    from . import beside\nwith DAG('d'):\n    pass"),
    (
        "relative_typing",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import beside\nwith DAG('d'):\n    pass",
    ),
    ("local", "import beside\nwith DAG('d' + str(beside.VALUE)):\n    pass"),
    ("bad_days_ago", "from airflow.utils.dates import days_ago\nwith DAG('d'):\n    pass"),
    ("bad_contrib", "from airflow.contrib.operators.x import Y\nwith DAG('d'):\n    pass"),
    ("bad_contrib_import", "import airflow.contrib.hooks\nwith DAG('d'):\n    pass"),
    ("bad_datasets", "from airflow.datasets import Dataset\nwith DAG('d'):\n    pass"),
    ("bad_subdag", "from airflow.operators.subdag import SubDagOperator\nwith DAG('d'):\n    pass"),
    (
        "bad_bash_operator",
        "from airflow.operators.bash_operator import BashOperator as B\nwith DAG('d'):\n    pass",
    ),
    ("bad_apply_defaults", "from airflow.utils.decorators import apply_defaults\nwith DAG('d'):\n    pass"),
    ("bad_name_of_package", "from airflow.utils import weekday\nwith DAG('d'):\n    pass"),
    (
        "old_paths",
        "from airflow.operators.bash import BashOperator as B\nfrom airflow.models.baseoperator import chain as c\nfrom airflow.utils.task_group import TaskGroup as T\nfrom airflow.decorators import task_group as t\nwith DAG('d'):\n    B(task_id='a', bash_command='true')",
    ),
    (
        "gone_caught",
        "try:\n    from airflow.utils.dates import days_ago\nexcept ImportError:\n    days_ago = None\nwith DAG('d'):\n    pass",
    ),
    (
        "gone_suppressed",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    from airflow.contrib import x\nwith DAG('d'):\n    pass",
    ),
    (
        "gone_by_version",
        "from airflow import __version__\nif __version__.startswith('2.'):\n    from airflow.contrib import x\nwith DAG('d'):\n    pass",
    ),
    (
        "bad_gone_in_with",
        "with DAG('d') as d:\n    EmptyOperator(task_id='a')\nfrom airflow.contrib import x",
    ),
    ("bad_dag_id_space", "with DAG('a b'):\n    pass"),
    ("bad_dag_id_slash", "d = DAG(dag_id='a/b')"),
    ("bad_dag_id_empty", "d = DAG('')"),
    ("bad_dag_id_never_kept", "DAG('a b')"),
    ("dag_id_unicode", "with DAG('größe-日本.1'):\n    pass"),
    ("bad_dag_id_constant", "NAME = 'a'\nwith DAG(f'{NAME} b'):\n    pass"),
    ("dag_id_in_function", "def f():\n    return DAG('a b')\nwith DAG('d'):\n    pass"),
    ("bad_dag_id_in_called_function", "def f(x):\n    return DAG(x)\nd = f('a b')"),
    (
        "dag_ids_of_function",
        "def f(x):\n    with DAG(f'pre_{x}') as d:\n        EmptyOperator(task_id='a')\n    return d\na = f('a')\nb = f(x='b')",
    ),
    ("function_with_default", "def f(x='q'):\n    return DAG(x)\nd = f()"),
    ("function_not_kept", "def f(x):\n    return DAG(x)\nf('a')\nd = f('b')"),
    (
        "function_with_block_not_kept",
        "def f(x):\n    with DAG(x):\n        EmptyOperator(task_id='a')\nf('a')",
    ),
    ("decorated_dag", "@dag(schedule=None)\ndef flow():\n    EmptyOperator(task_id='a')\nflow()"),
    (
        "decorated_dag_id",
        "@dag(dag_id='other', schedule=None)\ndef flow():\n    EmptyOperator(task_id='a')\nx = flow()",
    ),
    ("decorated_dag_plain", "@dag\ndef flow():\n    EmptyOperator(task_id='a')\nflow()"),
    ("decorated_dag_positional", "@dag('third')\ndef flow():\n    EmptyOperator(task_id='a')\nflow()"),
    (
        "decorated_dag_parameters",
        "@dag(schedule=None, params={'n': 1})\ndef flow(n=1):\n    PythonOperator(task_id='a', python_callable=print, op_args=[n])\nflow()",
    ),
    (
        "decorated_dag_never_called",
        "@dag(schedule_interval='@daily')\ndef flow():\n    EmptyOperator(task_id='a b')\nwith DAG('d'):\n    pass",
    ),
    (
        "bad_decorated_dag_argument",
        "@dag(schedule_interval='@daily')\ndef flow():\n    EmptyOperator(task_id='a')\nflow()",
    ),
    (
        "bad_decorated_dag_cycle",
        "@dag\ndef flow():\n    a = EmptyOperator(task_id='a')\n    b = EmptyOperator(task_id='b')\n    a >> b >> a\nflow()",
    ),
    ("bad_decorated_dag_id", "@dag(dag_id='a b')\ndef flow():\n    pass\nflow()"),
    (
        "global_dag",
        "d = DAG('d')\na = EmptyOperator(task_id='a', dag=d)\nb = EmptyOperator(task_id='b', dag=d)\na >> b",
    ),
    (
        "bad_global_dag_same",
        "d = DAG('d')\nEmptyOperator(task_id='a', dag=d)\nEmptyOperator(task_id='a', dag=d)",
    ),
    (
        "two_dags_same_tasks",
        "with DAG('d'):\n    EmptyOperator(task_id='a')\nwith DAG('e'):\n    EmptyOperator(task_id='a')",
    ),
    ("overwritten", "d = DAG('d')\nd = DAG('e')"),
    ("not_registered", "with DAG('d', auto_register=False):\n    pass\nwith DAG('e'):\n    pass"),
    ("not_registered_kept", "with DAG('d', auto_register=False) as x:\n    pass"),
    (
        "cycle_not_kept",
        "def f():\n    d = DAG('d')\n    a = EmptyOperator(task_id='a', dag=d)\n    a >> a\nf()\nwith DAG('e'):\n    pass",
    ),
    ("schedule_not_kept", "DAG('d', schedule='x')\nwith DAG('e'):\n    pass"),
    (
        "main",
        "with DAG('d') as d:\n    EmptyOperator(task_id='a')\nif __name__ == '__main__':\n    from airflow.contrib import x\n    d.test()",
    ),
    (
        "old_names",
        "import airflow.models.dag\nfrom airflow.models import DAG as D\nwith D('d'):\n    pass\nx = airflow.models.dag.DAG('e')",
    ),
    ("module_alias", "import airflow.sdk as sdk\nwith sdk.DAG('d'):\n    pass"),
    ("bad_module_alias", "import airflow.sdk as sdk\nwith sdk.DAG('d', concurrency=1):\n    pass"),
    (
        "shadowed_dag",
        "def DAG(x, **more):\n    return x\nDAG('a b', concurrency=1)\nfrom airflow.sdk import DAG\nwith DAG('d'):\n    pass",
    ),
    (
        "dag_in_try",
        "try:\n    with DAG('a b', concurrency=3):\n        pass\nexcept Exception:\n    pass\nwith DAG('d'):\n    pass",
    ),
    (
        "either_import",
        "try:\n    from airflow.nowhere import DAG\nexcept ImportError:\n    from airflow.sdk import DAG\nwith DAG('d'):\n    pass",
    ),
    (
        "bad_either_import",
        "try:\n    from airflow.sdk import DAG\nexcept ImportError:\n    from airflow import DAG\nwith DAG('d', concurrency=1):\n    pass",
    ),
    (
        "star",
        "from airflow.sdk import *\nfrom beside import *\nwith DAG('d'):\n    EmptyOperator(task_id='a')",
    ),
    ("globals_loop", "for i in range(2):\n    globals()[f'd{i}'] = DAG(f'd{i}')"),
    ("generator", "def many():\n    yield DAG('a b')\nwith DAG('d'):\n    pass"),
    ("lambda_call", "f = lambda: DAG('a b')\nwith DAG('d'):\n    pass"),
    ("class_body", "class Settings:\n    NAME = 'd'\nwith DAG(Settings.NAME):\n    pass"),
    ("no_dag", "x = 1"),
    ("dag_kwargs", "more = {'schedule': None}\nwith DAG('d', **more):\n    pass"),
    (
        "formatted",
        "with DAG('%s_x' % 'd'):\n    pass\nwith DAG('a' 'b'):\n    pass\nwith DAG('{}'.format('z')):\n    pass",
    ),
    ("number_in_id", "N = 3\nwith DAG(f'd{N}'):\n    pass"),
    ("dict_item", "C = {'id': 'd'}\nwith DAG(C['id']):\n    pass"),
    ("bad_dict_item", "C = {'id': 'a b'}\nwith DAG(C['id']):\n    pass"),
    ("dict_item_changed", "C = {'id': 'a b'}\nC['id'] = 'ab'\nwith DAG(C['id']):\n    pass"),
    ("deleted", "d = DAG('d')\ndel d\nwith DAG('e'):\n    pass"),
    (
        "global_statement",
        "NAME = 'a b'\ndef f():\n    global NAME\n    NAME = 'ab'\nf()\nwith DAG(NAME):\n    pass",
    ),
    ("while_loop", "n = 'a b'\nwhile ' ' in n:\n    n = n.replace(' ', '')\nwith DAG(n):\n    pass"),
    (
        "exec",
        "exec('EmptyOperator = lambda **more: None')\nEmptyOperator(task_id='a b')\nwith DAG('d'):\n    pass",
    ),
    ("raise_in_branch", "import os\nif os.environ.get('X'):\n    raise ValueError\nwith DAG('d'):\n    pass"),
    (
        "bad_after_raise_in_branch",
        "import os\nif os.environ.get('X'):\n    raise ValueError\nwith DAG('a b'):\n    pass",
    ),
    (
        "match",
        "match 3:\n    case 3:\n        n = 'd'\n    case _:\n        n = 'a b'\nwith DAG(n):\n    pass",
    ),
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
    all
}
