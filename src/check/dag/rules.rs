//! What is wrong in one file, by its facts, for a target.
//!
//! An error here is sure: the fact is sure, and Airflow was seen to refuse it. Whatever depends on a condition, a loop or a value
//! that cannot be told is no error.

use std::collections::{BTreeSet, HashMap};

use super::super::target::Target;
use super::super::{Code, Issue};
use super::cron::{self, Dialect};
use super::facts::{Argument, Bound, Dag, Facts, Guard, Id, Known, Task};
use super::place::Place;
use super::{graph, tables};

/// What a file is to Airflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It is loaded as a DAG file.
    DagFile,
    /// Others may import it.
    Module,
}

/// The longest id of a DAG or a task.
const KEY: usize = 250;
/// The longest id of a group.
const GROUP: usize = 200;
/// The longest tag.
const TAG: usize = 100;

/// What is wrong in a file, ordered by place.
pub fn issues(facts: &Facts, target: &Target, role: Role) -> Vec<Issue> {
    let mut found = Found { target, role, issues: Vec::new() };
    found.imports(facts);
    for call in &facts.calls {
        found.push(
            call.place,
            Code::TopLevelCall,
            format!("`{}` is called whenever the file is parsed", call.name),
        );
    }
    for dag in &facts.dags {
        found.dag(dag);
    }
    if role == Role::DagFile && facts.dags.is_empty() && !facts.more_dags && !brings_dags(facts) {
        found.issues.push(Issue::of_file(Code::NoDag, "there is no DAG in it"));
    }
    found.issues.sort();
    found.issues.dedup();
    found.issues
}

/// Whether something imported may be, or make, a DAG.
fn brings_dags(facts: &Facts) -> bool {
    facts.imports.iter().any(|import| {
        let known = import.module == "airflow" || import.module.starts_with("airflow.");
        let elsewhere = import.level > 0 || !(known || tables::is_stdlib(&import.module));
        elsewhere && !matches!(import.guard, Guard::Function | Guard::Typing)
    })
}

struct Found<'a> {
    target: &'a Target,
    role: Role,
    issues: Vec<Issue>,
}

impl Found<'_> {
    fn push(&mut self, place: Place, code: Code, message: String) -> &mut Issue {
        self.issues.push(Issue::at(place.line, place.column, code, message));
        let last = self.issues.len() - 1;
        &mut self.issues[last]
    }

    fn hinted(&mut self, place: Place, code: Code, message: String, hint: &str) {
        self.push(place, code, message).hint = Some(hint.to_owned());
    }

    fn imports(&mut self, facts: &Facts) {
        let airflow = self.target.airflow;
        let mut told = BTreeSet::new();
        for import in facts.imports.iter().filter(|import| import.guard == Guard::None) {
            if import.level > 0 {
                if self.role == Role::DagFile && told.insert((import.place.line, String::new())) {
                    self.hinted(
                        import.place,
                        Code::RelativeImport,
                        format!("relative import of `{}{}`", ".".repeat(import.level as usize), import.module),
                        "Airflow loads a DAG file without its package: import by the path below the DAGs folder",
                    );
                }
                continue;
            }
            if !(import.module == "airflow" || import.module.starts_with("airflow.")) {
                continue;
            }
            let name = import.name.as_deref();
            let gone = match tables::gone_module(&import.module, airflow) {
                Some(module) => (module, name),
                None => match name {
                    Some(name) if tables::gone_name(&import.module, name, airflow) => {
                        (import.module.as_str(), Some(name))
                    }
                    _ => continue,
                },
            };
            let module = tables::gone_module(&import.module, airflow).is_some();
            let what = match name {
                Some(name) if !module => format!("`{name}` of `{}`", gone.0),
                _ => format!("`{}`", import.module),
            };
            if !told.insert((import.place.line, what.clone())) {
                continue;
            }
            let instead = |module: &str, name| tables::instead(module, name, airflow);
            let hint = instead(gone.0, gone.1).or_else(|| instead(&import.module, name));
            let issue =
                self.push(import.place, Code::AirflowModule, format!("Airflow {airflow} has no {what}"));
            issue.hint = hint.map(str::to_owned);
        }
    }

    fn dag(&mut self, dag: &Dag) {
        // Only what ends up in Airflow's bag has its graph and its schedule looked at.
        let bagged = dag.sure && dag.bound >= Bound::Global && self.role == Role::DagFile;
        if dag.sure {
            self.id(&dag.id, argument(&dag.arguments, "dag_id").map_or(dag.place, |id| id.place));
            self.tags(dag);
            self.arguments(dag);
        }
        if bagged {
            self.schedule(dag);
            if let Some((place, text)) = graph::cycle(dag) {
                self.push(place, Code::TaskCycle, format!("the tasks wait for each other: {text}"));
            }
        }
        self.ids(dag);
        for task in &dag.tasks {
            self.task(task);
        }
        self.moving(dag);
        if self.role == Role::DagFile && dag.bound == Bound::Never {
            let id = dag.id.known().unwrap_or("…");
            if dag.decorated {
                let message = format!("the function of the DAG `{id}` is never called");
                self.hinted(dag.place, Code::UnboundDag, message, "call it at the top level of the file");
            } else if dag.sure {
                let message = format!("the DAG `{id}` is kept in no global name");
                self.hinted(
                    dag.place,
                    Code::UnboundDag,
                    message,
                    "assign it to a name of the module, or use it in `with`",
                );
            }
        }
    }

    fn id(&mut self, id: &Id, place: Place) {
        let Some(text) = id.known() else { return };
        if let Some(why) = refused(text, KEY, ".-") {
            self.push(place, Code::DagId, format!("`{}` is no id for a DAG: {why}", shown(text)));
        }
    }

    fn tags(&mut self, dag: &Dag) {
        let Some(Argument { value: Known::List(tags), place, .. }) = argument(&dag.arguments, "tags") else {
            return;
        };
        for tag in tags {
            if let Known::Text(tag) = tag
                && tag.chars().count() > TAG
            {
                self.push(
                    *place,
                    Code::DagId,
                    format!("the tag `{}` is longer than {TAG} characters", shown(tag)),
                );
            }
        }
    }

    fn arguments(&mut self, dag: &Dag) {
        if self.target.airflow.major < 3 {
            return;
        }
        for given in &dag.arguments {
            if let Some((name, hint)) = given.name.as_deref().and_then(removed_of_dag) {
                let message = format!("Airflow {} knows no `{name}` of a DAG", self.target.airflow);
                self.hinted(given.place, Code::DagArgument, message, hint);
            }
        }
        let positional = dag.arguments.iter().filter(|argument| argument.name.is_none()).nth(1);
        if let (Some(second), false) = (positional, dag.decorated || dag.open) {
            let message = format!("Airflow {} takes only `dag_id` without a name", self.target.airflow);
            self.hinted(second.place, Code::DagArgument, message, "give the other arguments by their names");
        }
    }

    fn schedule(&mut self, dag: &Dag) {
        let old = ["schedule_interval", "schedule"];
        let names = if self.target.airflow.major < 3 { &old[..] } else { &old[1..] };
        for given in names.iter().filter_map(|name| argument(&dag.arguments, name)) {
            let Known::Text(text) = &given.value else { continue };
            let answers = Dialect::ALL.map(|dialect| (dialect, cron::schedule(text, dialect)));
            let refusals: Vec<_> = answers
                .iter()
                .filter_map(|(dialect, answer)| Some((dialect, answer.as_ref().err()?)))
                .collect();
            let [.., (_, why)] = refusals.as_slice() else { continue };
            if refusals.len() == answers.len() {
                self.push(given.place, Code::Schedule, format!("`{}` is no schedule: {why}", shown(text)));
            } else {
                let who: Vec<&str> = refusals.iter().map(|(dialect, _)| dialect.release()).collect();
                let message =
                    format!("`{}` is no schedule for croniter {}: {why}", shown(text), who.join(" and "));
                self.push(given.place, Code::ScheduleVersion, message);
            }
        }
    }

    fn ids(&mut self, dag: &Dag) {
        for group in dag.groups.iter().filter(|group| group.sure) {
            if let (Some(label), false) = (group.label.known(), group.renamed)
                && let Some(why) = refused(label, GROUP, "-")
            {
                self.push(
                    group.place,
                    Code::DagId,
                    format!("`{}` is no id for a group: {why}", shown(label)),
                );
            }
        }
        let tasks =
            dag.tasks.iter().map(|task| (task.order, &task.id, task.place, task.sure, !task.decorated));
        let groups =
            dag.groups.iter().map(|group| (group.order, &group.id, group.place, group.sure, !group.renamed));
        let mut all: Vec<_> = tasks.chain(groups).filter(|(.., sure, _)| *sure).collect();
        all.sort_by_key(|(order, ..)| *order);
        let mut first: HashMap<&str, Place> = HashMap::new();
        for (_, id, place, _, explicit) in all {
            let Some(id) = id.known() else { continue };
            match first.get(id) {
                Some(other) if explicit => {
                    let message = format!("`{}` is also the id of line {}", shown(id), other.line);
                    self.push(place, Code::DuplicateTaskId, message);
                }
                Some(_) => {}
                None => drop(first.insert(id, place)),
            }
        }
    }

    fn task(&mut self, task: &Task) {
        let given = argument(&task.arguments, "task_id");
        if task.sure
            && let (Some(id), Some(given)) = (task.id.known(), given)
            && let Some(why) = refused(id, KEY, ".-")
        {
            self.push(given.place, Code::DagId, format!("`{}` is no id for a task: {why}", shown(id)));
        }
        let core =
            ["airflow.operators.", "airflow.sensors.", "airflow.providers.standard.", "airflow.models."];
        let ours = !task.decorated && core.iter().any(|home| task.class.starts_with(home));
        if task.sure && ours && self.target.airflow.major >= 3 {
            for given in &task.arguments {
                let (name, hint) = match given.name.as_deref() {
                    Some(name @ "provide_context") => (name, "remove it: the context is always given"),
                    Some(name @ "task_concurrency") => (name, "it is `max_active_tis_per_dag` now"),
                    _ => continue,
                };
                let message = format!("Airflow {} knows no `{name}` of an operator", self.target.airflow);
                self.hinted(given.place, Code::DagArgument, message, hint);
            }
        }
    }

    fn moving(&mut self, dag: &Dag) {
        let tasks = dag.tasks.iter().flat_map(|task| &task.arguments);
        for given in dag.arguments.iter().chain(tasks) {
            match (given.name.as_deref(), &given.value) {
                (Some(name @ ("dag_id" | "task_id" | "start_date")), Known::Moving(call)) => {
                    self.changes(given.place, name, call);
                }
                (None, Known::Moving(call)) => self.changes(given.place, "dag_id", call),
                (Some("default_args"), Known::Dict(items)) => {
                    for (name, place, value) in items {
                        if let (true, Known::Moving(call)) = (name == "start_date", value) {
                            self.changes(*place, name, call);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn changes(&mut self, place: Place, name: &str, call: &str) {
        let message = format!("`{name}` is another one at each parse: `{call}()`");
        self.hinted(place, Code::DynamicValue, message, "write a fixed value");
    }
}

fn argument<'a>(arguments: &'a [Argument], name: &str) -> Option<&'a Argument> {
    arguments.iter().find(|argument| argument.name.as_deref() == Some(name))
}

fn removed_of_dag(name: &str) -> Option<(&str, &'static str)> {
    let hint = match name {
        "schedule_interval" | "timetable" => "it is `schedule` now",
        "concurrency" => "it is `max_active_tasks` now",
        "fail_stop" => "it is `fail_fast` now",
        "default_view" | "orientation" | "full_filepath" => "remove it",
        _ => return None,
    };
    Some((name, hint))
}

/// Why a text is no id, by Python's `^[\w.-]+$` and a length in characters.
fn refused(text: &str, most: usize, punctuation: &str) -> Option<String> {
    let count = text.chars().count();
    if count > most {
        return Some(format!("it has {count} characters, {most} are allowed"));
    }
    // Python's `$` is also before a last line end.
    let inner = text.strip_suffix('\n').unwrap_or(text);
    if inner.is_empty() {
        return Some("it is empty".into());
    }
    let good = |c: char| c.is_alphanumeric() || c == '_' || punctuation.contains(c);
    let bad = inner.chars().find(|c| !good(*c))?;
    let marks = if punctuation.contains('.') { "`_`, `-` and `.`" } else { "`_` and `-`" };
    Some(format!("{bad:?} is in it, and only letters, digits, {marks} are allowed"))
}

/// As much of a text as a line can show.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().count() > 60 { short + "…" } else { short }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
