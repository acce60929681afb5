//! Which dotted names mean what, in any Airflow.

/// Whether a name is the class `DAG`, wherever it was imported from.
pub(super) fn is_dag(symbol: &str) -> bool {
    matches!(
        symbol,
        "airflow.DAG"
            | "airflow.models.DAG"
            | "airflow.models.dag.DAG"
            | "airflow.sdk.DAG"
            | "airflow.sdk.definitions.dag.DAG"
    )
}

pub(super) fn is_dag_decorator(symbol: &str) -> bool {
    matches!(
        symbol,
        "airflow.decorators.dag"
            | "airflow.models.dag.dag"
            | "airflow.sdk.dag"
            | "airflow.sdk.definitions.dag.dag"
    )
}

/// `task` and its kinds, `task.branch`.
pub(super) fn is_task_decorator(symbol: &str) -> bool {
    ["airflow.decorators.task", "airflow.sdk.task"].iter().any(|task| {
        symbol.strip_prefix(task).is_some_and(|kind| {
            kind.is_empty()
                || kind.strip_prefix('.').is_some_and(|kind| !kind.contains('.') && !kind.is_empty())
        })
    })
}

/// `setup` and `teardown`, which hand on the task that they are put on.
pub(super) fn is_pass_through(symbol: &str) -> bool {
    matches!(
        symbol,
        "airflow.decorators.setup"
            | "airflow.decorators.teardown"
            | "airflow.sdk.setup"
            | "airflow.sdk.teardown"
    )
}

pub(super) fn is_group_decorator(symbol: &str) -> bool {
    matches!(
        symbol,
        "airflow.decorators.task_group"
            | "airflow.decorators.task_group.task_group"
            | "airflow.sdk.task_group"
    )
}

pub(super) fn is_group(symbol: &str) -> bool {
    matches!(
        symbol,
        "airflow.utils.task_group.TaskGroup"
            | "airflow.sdk.TaskGroup"
            | "airflow.sdk.definitions.taskgroup.TaskGroup"
    )
}

/// Whether a name is an operator's or a sensor's class of Airflow or one of its providers.
pub(super) fn is_operator(symbol: &str) -> bool {
    let name = super::value::last(symbol);
    let home =
        ["airflow.operators.", "airflow.sensors.", "airflow.providers.", "airflow.models.", "airflow.sdk."];
    home.iter().any(|home| symbol.starts_with(home))
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && ["Operator", "Sensor"].iter().any(|ending| name.ends_with(ending))
}

/// Whether it is one of all these.
pub(super) fn is_known(symbol: &str) -> bool {
    let tests = [
        is_dag,
        is_dag_decorator,
        is_task_decorator,
        is_pass_through,
        is_group_decorator,
        is_group,
        is_operator,
    ];
    wiring(symbol).is_some() || tests.iter().any(|test| test(symbol))
}

/// Whether a module is somebody's who knows nothing of DAGs: what it gives is none, and keeps none.
pub(super) fn is_foreign(symbol: &str) -> bool {
    const MODULES: &[&str] = &[
        "boto3",
        "botocore",
        "dateutil",
        "google",
        "httpx",
        "jinja2",
        "numpy",
        "pandas",
        "pendulum",
        "psycopg2",
        "pymysql",
        "pytz",
        "requests",
        "snowflake",
        "sqlalchemy",
        "structlog",
        "tenacity",
        "tomli",
        "yaml",
    ];
    MODULES.contains(&symbol.split('.').next().unwrap_or(symbol))
}

/// How a function of Airflow sets dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wiring {
    Chain,
    Linear,
    Cross,
}

pub(super) fn wiring(symbol: &str) -> Option<Wiring> {
    let home = ["airflow.models.baseoperator.", "airflow.sdk.", "airflow.utils.helpers.", "airflow.models."];
    let name = home.iter().find_map(|home| symbol.strip_prefix(home))?;
    match name {
        "chain" => Some(Wiring::Chain),
        "chain_linear" => Some(Wiring::Linear),
        "cross_downstream" => Some(Wiring::Cross),
        _ => None,
    }
}

/// Whether a call gives something else each time.
pub(super) fn is_moving(symbol: &str) -> bool {
    const NAMES: &[&str] = &[
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "pendulum.now",
        "pendulum.today",
        "pendulum.yesterday",
        "pendulum.tomorrow",
        "airflow.utils.timezone.utcnow",
        "airflow.utils.timezone.now",
        "airflow.sdk.timezone.utcnow",
        "airflow.utils.dates.days_ago",
        "time.time",
        "time.time_ns",
        "uuid.uuid1",
        "uuid.uuid4",
        "random.random",
        "random.randint",
        "random.choice",
        "secrets.token_hex",
    ];
    NAMES.contains(&symbol)
}

/// Whether a call is slow, or asks somebody else.
pub(super) fn is_slow(symbol: &str) -> bool {
    const NAMES: &[&str] = &[
        "time.sleep",
        "os.system",
        "os.popen",
        "urllib.request.urlopen",
        "urllib.request.urlretrieve",
        "socket.create_connection",
        "socket.gethostbyname",
        "smtplib.SMTP",
        "psycopg2.connect",
        "pymysql.connect",
        "MySQLdb.connect",
        "snowflake.connector.connect",
        "pyodbc.connect",
        "pandas.read_sql",
        "pandas.read_sql_query",
        "airflow.models.Variable.get",
        "airflow.models.variable.Variable.get",
        "airflow.sdk.Variable.get",
        "airflow.models.Connection.get_connection_from_secrets",
        "airflow.models.connection.Connection.get_connection_from_secrets",
        "airflow.sdk.Connection.get",
        "airflow.hooks.base.BaseHook.get_connection",
        "airflow.hooks.base.BaseHook.get_hook",
        "airflow.sdk.BaseHook.get_connection",
        "airflow.sdk.bases.hook.BaseHook.get_connection",
        "airflow.utils.session.create_session",
        "airflow.settings.Session",
    ];
    const VERBS: &[&str] = &["get", "post", "put", "patch", "delete", "head", "options", "request"];
    if let Some((module, name)) = symbol.rsplit_once('.') {
        match module {
            "requests" | "httpx" => return VERBS.contains(&name),
            "subprocess" => {
                return matches!(
                    name,
                    "run"
                        | "call"
                        | "check_call"
                        | "check_output"
                        | "Popen"
                        | "getoutput"
                        | "getstatusoutput"
                );
            }
            _ => {}
        }
    }
    NAMES.contains(&symbol)
}

/// Whether a builtin function leaves a list as it is, and gives nobody what is in it.
pub(super) fn only_looks(builtin: &str) -> bool {
    matches!(
        builtin,
        "print"
            | "len"
            | "str"
            | "int"
            | "float"
            | "bool"
            | "isinstance"
            | "issubclass"
            | "repr"
            | "hash"
            | "id"
            | "type"
    )
}

/// Whether a method leaves a list or dict as it is. What is in it may be handed on.
pub(super) fn only_reads(method: &str) -> bool {
    matches!(method, "get" | "keys" | "values" | "items" | "copy" | "index" | "count")
}

/// Whether to set this attribute of a DAG changes nothing but what people see of it.
pub(super) fn is_cosmetic(attribute: &str) -> bool {
    matches!(attribute, "doc" | "doc_md" | "doc_json" | "doc_yaml" | "doc_rst" | "description" | "ui_color")
}

/// Whether a builtin function, called with anything, leaves DAGs and names alone.
pub(super) fn is_harmless(builtin: &str) -> bool {
    matches!(
        builtin,
        "print"
            | "len"
            | "range"
            | "str"
            | "int"
            | "float"
            | "bool"
            | "list"
            | "tuple"
            | "set"
            | "dict"
            | "sorted"
            | "zip"
            | "enumerate"
            | "isinstance"
            | "issubclass"
            | "open"
            | "repr"
            | "min"
            | "max"
            | "sum"
            | "any"
            | "all"
            | "abs"
            | "round"
            | "hasattr"
            | "getattr"
            | "type"
            | "super"
            | "frozenset"
            | "reversed"
            | "iter"
            | "format"
            | "bytes"
            | "hash"
            | "id"
            | "dir"
            | "callable"
            | "object"
            | "property"
    )
}
