//! What is known of Airflow's and Python's modules, as tables that were made by asking them.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::super::target::{Airflow, Python};

/// The feature release that has it no more, and whether its package still has a name like it.
type Since = ((u16, u16), bool);

static GONE: LazyLock<HashMap<&'static str, Since>> = LazyLock::new(|| {
    let rows = include_str!("gone.txt").lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| {
        let mut words = line.split(' ');
        let (name, since) = (words.next()?, words.next()?);
        let (major, minor) = since.split_once('.')?;
        Some((name, ((major.parse().ok()?, minor.parse().ok()?), words.next().is_some())))
    };
    rows.filter_map(row).collect()
});

static STDLIB: LazyLock<HashMap<&'static str, (u8, u8)>> = LazyLock::new(|| {
    let rows = include_str!("stdlib.txt").lines().filter(|line| !line.starts_with('#'));
    let row = |line: &'static str| match line.split_once(' ') {
        None => Some((line, (0, u8::MAX))),
        Some((name, span)) => {
            let (first, last) = span.split_once('-')?;
            Some((name, (first.parse().ok()?, last.parse().ok()?)))
        }
    };
    rows.filter_map(row).collect()
});

/// The part of a dotted module that an Airflow does not have any more, or not yet.
pub(super) fn gone_module(module: &str, airflow: Airflow) -> Option<&str> {
    if airflow.major < 3 {
        let sdk = module == "airflow.sdk" || module.starts_with("airflow.sdk.");
        return sdk.then_some("airflow.sdk");
    }
    let ends = module.match_indices('.').map(|(at, _)| at).chain([module.len()]);
    ends.map(|end| &module[..end])
        .find(|part| GONE.get(part).is_some_and(|((major, minor), _)| airflow.at_least(*major, *minor)))
}

/// Whether an Airflow's module has a name no more: one of its own, or a module below it.
pub(super) fn gone_name(module: &str, name: &str, airflow: Airflow) -> bool {
    if airflow.major < 3 {
        return module == "airflow" && name == "sdk";
    }
    let since = |key: &str| GONE.get(key).filter(|((major, minor), _)| airflow.at_least(*major, *minor));
    since(&format!("{module}:{name}")).is_some()
        || since(&format!("{module}.{name}")).is_some_and(|(_, module_only)| !module_only)
}

/// What to import instead, where that is one thing.
pub(super) fn instead(module: &str, name: Option<&str>) -> Option<&'static str> {
    let hint = match (module, name) {
        ("airflow.utils.dates", Some("days_ago")) | ("airflow.utils.dates.days_ago", _) => {
            "write a fixed date: `pendulum.datetime(2026, 1, 1)`"
        }
        (_, Some("apply_defaults")) => "remove it: operators apply the defaults by themselves",
        ("airflow.models.baseoperator", Some("BaseOperatorLink")) => "import it from `airflow.sdk`",
        ("airflow.operators.dummy" | "airflow.operators.dummy_operator", _) => {
            "import `EmptyOperator` from `airflow.providers.standard.operators.empty`"
        }
        ("airflow.operators.bash_operator", _) => {
            "import it from `airflow.providers.standard.operators.bash`"
        }
        ("airflow.operators.python_operator", _) => {
            "import it from `airflow.providers.standard.operators.python`"
        }
        ("airflow.operators.subdag" | "airflow.operators.subdag_operator" | "airflow.subdag", _) => {
            "use a `TaskGroup` instead"
        }
        ("airflow.datasets", _) => "import `Asset` from `airflow.sdk`",
        ("airflow.utils.helpers", Some("chain" | "cross_downstream")) => "import it from `airflow.sdk`",
        ("airflow.hooks.base_hook", _) => "import `BaseHook` from `airflow.sdk`",
        ("airflow.contrib", _) => "install the provider's package and import from `airflow.providers`",
        ("airflow.sdk", _) => "`airflow.sdk` came with Airflow 3.0",
        _ => return None,
    };
    Some(hint)
}

/// Whether any Python has a top-level module of this name, or of the first part of a dotted one.
pub(in crate::check) fn is_stdlib(symbol: &str) -> bool {
    STDLIB.contains_key(symbol.split('.').next().unwrap_or(symbol))
}

/// Whether a Python has this top-level module.
pub(super) fn is_stdlib_of(module: &str, python: Python) -> bool {
    STDLIB.get(module).is_some_and(|(first, last)| (*first..=*last).contains(&python.minor))
}

/// Whether a top-level package is there wherever Airflow is: itself, and what it cannot do without in any release we know.
pub(super) fn is_installed_with_airflow(top: &str) -> bool {
    const PACKAGES: &[&str] = &[
        "airflow",
        "alembic",
        "asgiref",
        "attr",
        "attrs",
        "colorlog",
        "cron_descriptor",
        "croniter",
        "cryptography",
        "dateutil",
        "deprecated",
        "dill",
        "fsspec",
        "httpx",
        "itsdangerous",
        "jinja2",
        "jsonschema",
        "jwt",
        "lazy_object_proxy",
        "lockfile",
        "markupsafe",
        "methodtools",
        "opentelemetry",
        "packaging",
        "pathspec",
        "pendulum",
        "pluggy",
        "psutil",
        "pygments",
        "requests",
        "rich",
        "setproctitle",
        "sqlalchemy",
        "tabulate",
        "tenacity",
        "termcolor",
        "universal_pathlib",
        "yaml",
    ];
    PACKAGES.contains(&top)
}
