//! Whole files: everything but tasks and the arguments of a DAG.

/// By name, below the usual imports.
pub const FILES: &[(&str, &str)] = &[
    (
        "nonlocal",
        "def f():\n    n = 'a b'\n    def g():\n        nonlocal n\n        n = 'ab'\n    g()\n    return DAG(n)\nd = f()",
    ),
    ("default_of_definition", "N = 'ab'\ndef f(n=N):\n    return DAG(n)\nN = 'a b'\nd = f()"),
    (
        "match_captures",
        "n = 'a b'\nmatch {'n': 'ab'}:\n    case {'n': n}:\n        pass\nwith DAG(n):\n    pass",
    ),
    (
        "star_in_try",
        "try:\n    from beside import *\nexcept ImportError:\n    pass\nwith DAG('d'):\n    pass",
    ),
    (
        "except_name",
        "n = 'a b'\ntry:\n    raise ValueError\nexcept ValueError as n:\n    pass\nwith DAG('d'):\n    pass",
    ),
    ("loop_else", "for i in []:\n    break\nelse:\n    i = 'd'\nwith DAG(i):\n    pass"),
    (
        "try_else",
        "try:\n    n = 'd'\nexcept ValueError:\n    n = 'a b'\nelse:\n    m = 1\nwith DAG(n):\n    pass",
    ),
    ("shadowed_in_function", "N = 'a b'\ndef f(N):\n    return DAG(N)\nd = f('ab')"),
    (
        "subclass",
        "class D(DAG):\n    def __init__(self, name, **more):\n        super().__init__(name.replace(' ', ''))\nwith D('a b', concurrency=1):\n    pass",
    ),
    ("partial_dag", "import functools\nD = functools.partial(DAG, schedule=None)\nwith D('d'):\n    pass"),
    (
        "context_manager",
        "import contextlib\n@contextlib.contextmanager\ndef make(n):\n    with DAG(n.strip()) as d:\n        yield d\nwith make(' d ') as d:\n    EmptyOperator(task_id='a')",
    ),
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
