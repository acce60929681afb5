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

/// Names, each with the feature release that first has it.
type Names = HashMap<&'static str, (u16, u16)>;

static EXPORTS: LazyLock<HashMap<&'static str, Names>> = LazyLock::new(|| {
    let mut modules: HashMap<&str, Names> = HashMap::new();
    for line in include_str!("exports.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (Some(module), Some(since)) = (words.next(), words.next()) else { continue };
        let Some((major, minor)) = since.split_once('.') else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        modules.entry(module).or_default().extend(words.map(|name| (name, (major, minor))));
    }
    modules
});

/// The last releases that were asked for all that they export. A later one may have more.
const ASKED: [(u16, u16, u16); 4] = [(3, 0, 6), (3, 1, 8), (3, 2, 2), (3, 3, 2)];

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
    ends.map(|end| &module[..end]).find(|part| {
        GONE.get(part).is_some_and(|((major, minor), _)| airflow.at_least(*major, *minor))
            || part.rsplit_once('.').is_some_and(|(parent, name)| is_no_export(parent, name, airflow))
    })
}

/// Whether all is known that a module of this Airflow exports, and a name is not of that.
fn is_no_export(module: &str, name: &str, airflow: Airflow) -> bool {
    let Some(names) = EXPORTS.get(module) else { return false };
    let is_asked = ASKED.iter().any(|(major, minor, patch)| {
        (airflow.major, airflow.minor) == (*major, *minor)
            && (airflow.patch <= *patch || airflow.patch == Airflow::LAST_PATCH)
    });
    // Below `airflow` any distribution may bring a package; what is private, or a star, is not told.
    let is_told = match module {
        "airflow" => name.starts_with(|c: char| c.is_ascii_uppercase()),
        _ => name.starts_with(|c: char| c.is_ascii_alphabetic()),
    };
    is_asked && is_told && !names.get(name).is_some_and(|(major, minor)| airflow.at_least(*major, *minor))
}

/// Whether an Airflow's module has a name no more: one of its own, or a module below it.
pub(super) fn gone_name(module: &str, name: &str, airflow: Airflow) -> bool {
    if airflow.major < 3 {
        return module == "airflow" && name == "sdk";
    }
    let since = |key: &str| GONE.get(key).filter(|((major, minor), _)| airflow.at_least(*major, *minor));
    since(&format!("{module}:{name}")).is_some()
        || since(&format!("{module}.{name}")).is_some_and(|(_, module_only)| !module_only)
        || is_no_export(module, name, airflow)
}

/// What to import instead, where that is one thing.
pub(super) fn instead(module: &str, name: Option<&str>, airflow: Airflow) -> Option<&'static str> {
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
        ("airflow.sdk", _) if airflow.major < 3 => "`airflow.sdk` came with Airflow 3.0",
        ("airflow.sdk", Some("Dataset")) => "it is `Asset` now",
        ("airflow.sdk" | "airflow", Some("DatasetAlias")) => "it is `AssetAlias` of `airflow.sdk` now",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_airflow_does_not_export_is_gone_and_what_a_later_one_may_is_not_judged() {
        let gone =
            |module: &str, name: &str, airflow: &str| gone_name(module, name, airflow.parse().unwrap());
        for (module, name) in [
            ("airflow.sdk", "nope"),
            ("airflow.sdk", "DatasetAlias"),
            ("airflow", "PY39"),
            ("airflow", "Nope"),
            ("airflow", "conf"),
            ("airflow.decorators", "branch"),
            ("airflow.decorators", "branch_task"),
            ("airflow.utils.task_group", "MappedTaskGroup"),
            ("airflow.utils.task_group", "task_group_to_dict"),
            ("airflow.triggers.external_task", "TaskStateTrigger"),
            ("airflow.dag_processing.processor", "DagFileProcessor"),
        ] {
            assert!(gone(module, name, "3.3") && gone(module, name, "3.3.2"), "{name} of {module}");
            assert!(!gone(module, name, "2.11"), "{name} of {module}");
        }
        for (module, name) in [
            ("airflow.sdk", "DAG"),
            ("airflow.sdk", "*"),
            ("airflow.sdk", "definitions"),
            ("airflow.sdk", "__doc__"),
            ("airflow", "plugin_of_ours"),
            ("airflow", "Dataset"),
            ("airflow", "providers"),
            ("airflow.decorators", "task"),
            ("airflow.decorators", "base"),
            ("airflow.models", "DagModel"),
        ] {
            assert!(!gone(module, name, "3.3") && !gone(module, name, "3.3.2"), "{name} of {module}");
        }
        assert!(gone("airflow.sdk", "BaseHook", "3.0.6") && !gone("airflow.sdk", "BaseHook", "3.1"));
        assert!(!gone("airflow.sdk", "nope", "3.3.3"), "a later one may have it");
        assert!(!gone("airflow.utils.task_group", "MappedTaskGroup", "3.0"));
    }

    #[test]
    fn modules_of_any_older_airflow_are_gone() {
        let gone = |module: &'static str| gone_module(module, Airflow::NEWEST);
        for (module, part) in [
            ("airflow.smart_sensor", "airflow.smart_sensor"),
            ("airflow.example_dags.subdags.subdag", "airflow.example_dags.subdags"),
            ("airflow.jobs.backfill_job", "airflow.jobs.backfill_job"),
            ("airflow.executors.celery_executor", "airflow.executors.celery_executor"),
            ("airflow.sdk.nope.more", "airflow.sdk.nope"),
        ] {
            assert_eq!(gone(module), Some(part));
        }
        for module in
            ["airflow.sdk.definitions.dag", "airflow.migrations.env", "airflow.ours", "airflow.jobs.job"]
        {
            assert_eq!(gone(module), None, "{module}");
        }
    }

    #[test]
    fn every_row_of_the_tables_is_read() {
        let rows = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(GONE.len(), rows(include_str!("gone.txt")));
        assert_eq!(STDLIB.len(), rows(include_str!("stdlib.txt")));
        let words = |line: &str| line.split(' ').count() - 2;
        let exports = include_str!("exports.txt").lines().filter(|line| !line.starts_with('#'));
        assert_eq!(EXPORTS.values().map(HashMap::len).sum::<usize>(), exports.map(words).sum::<usize>());
    }
}
