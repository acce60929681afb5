//! Reads a file as Python would run it: calls, which is where DAGs and tasks are made.

use std::rc::Rc;

use super::super::python::ast::{self, Expr};
use super::facts::{Argument, Bound, Call, Id, Known, Task};
use super::place::Place;
use super::reader::Reader;
use super::symbols;
use super::value::{Kind, Value};

/// The arguments of a call, read.
#[derive(Default)]
pub(super) struct Given<'a> {
    pub(super) positional: Vec<(Place, Value<'a>)>,
    pub(super) named: Vec<(&'a str, Place, Value<'a>)>,
    /// Whether there are `*more` or `**more`.
    pub(super) open: bool,
}

impl<'a> Given<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.named.iter().find(|(other, ..)| *other == name).map(|(_, _, value)| value)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Value<'a>> {
        self.positional.iter().map(|(_, value)| value).chain(self.named.iter().map(|(_, _, value)| value))
    }

    pub(super) fn arguments(&self) -> Vec<Argument> {
        let argument = |name: Option<&str>, place: Place, value: &Value<'a>| {
            // Nobody asks for more than these, and a list may be given to thousands of tasks.
            let asked = match name {
                None => !value.has_items(),
                Some("dag_id" | "task_id" | "start_date" | "schedule" | "schedule_interval") => {
                    !value.has_items()
                }
                Some(name) => matches!(name, "tags" | "default_args") && value.is_small(),
            };
            let value = if asked { value.known() } else { Known::Other };
            Argument { name: name.map(str::to_owned), place, value }
        };
        let positional = self.positional.iter().map(|(place, value)| argument(None, *place, value));
        positional
            .chain(self.named.iter().map(|(name, place, value)| argument(Some(name), *place, value)))
            .collect()
    }

    /// An argument by its name, or by its position if it has no name here.
    pub(super) fn either(&self, name: &str, at: usize) -> Option<&Value<'a>> {
        self.get(name).or_else(|| self.positional.get(at).map(|(_, value)| value))
    }
}

impl<'a> Reader<'a> {
    pub(super) fn call(&mut self, call: &'a ast::ExprCall) -> Value<'a> {
        if let Expr::Attribute(attribute) = &*call.func {
            let object = self.eval(&attribute.value);
            if !matches!(object, Value::Symbol(_)) {
                self.beside(attribute);
                return self.method(call, attribute, object);
            }
        }
        let callee = self.eval(&call.func);
        let place = self.lines.place(&*call.func);
        match callee {
            Value::Symbol(symbol) => self.call_symbol(&symbol, call, place),
            Value::Function(function) => self.call_function(&function, call, place),
            Value::Unbound if matches!(&*call.func, Expr::Name(name) if symbols::is_harmless(name.id.as_str())) =>
            {
                let given = self.given(call);
                let looks = matches!(&*call.func, Expr::Name(name) if symbols::only_looks(name.id.as_str()));
                for value in given.values() {
                    if looks {
                        self.draft.keep(value, Bound::Perhaps);
                    } else {
                        // A list of tasks may be made of another one, and an attribute reached by its name.
                        self.draft_loose(value);
                        let reaches =
                            matches!(&*call.func, Expr::Name(name) if name.id.as_str() == "getattr");
                        self.hand_out_all(value, reaches || self.leaked);
                    }
                }
                given.values().find_map(moving).unwrap_or(Value::Unknown)
            }
            _ => {
                let custom = matches!(&*call.func, Expr::Name(name) if name.id.starts_with(|c: char| c.is_uppercase()));
                let given = self.given(call);
                if custom && given.get("task_id").is_some() {
                    return self.make_task("", &given, place, false);
                }
                self.stranger(&given)
            }
        }
    }

    pub(super) fn given(&mut self, call: &'a ast::ExprCall) -> Given<'a> {
        let mut given = Given::default();
        for argument in &call.arguments.args {
            let value = self.eval(argument);
            given.open |= argument.is_starred_expr();
            given.positional.push((self.lines.place(argument), value));
        }
        for keyword in &call.arguments.keywords {
            let value = self.eval(&keyword.value);
            match &keyword.arg {
                Some(name) => given.named.push((name.as_str(), self.lines.place(keyword), value)),
                None => {
                    self.draft_loose(&value);
                    given.open = true;
                }
            }
        }
        given
    }

    /// A call of something that is not known: it may make tasks in the DAG around it, and DAGs.
    pub(super) fn stranger(&mut self, given: &Given<'a>) -> Value<'a> {
        for value in given.values() {
            self.draft_loose(value);
            self.hand_out(value);
        }
        self.unfollowed();
        self.more_dags = true;
        given.values().find_map(moving).unwrap_or(Value::Unknown)
    }

    /// Something is run that is not read: it may add to the DAG around it, and to others if it can call what is in the file.
    pub(super) fn unfollowed(&mut self) {
        if let Some(context) = self.contexts.last() {
            self.draft.blur(context.dag);
        }
        if self.leaked {
            self.draft.blur_all();
        }
    }

    /// Somebody has the DAGs of a value, and may give them another id or schedule.
    pub(super) fn hand_out(&mut self, value: &Value<'a>) {
        self.hand_out_all(value, self.leaked);
    }

    fn hand_out_all(&mut self, value: &Value<'a>, tasks: bool) {
        let draft = &mut self.draft;
        value.each(&mut |value| match value {
            Value::Dag(dag) => draft.hand_out(*dag),
            // The file's own code may do more to a task than set what it waits for.
            Value::Task(task) if tasks => {
                if let Some(dag) = draft.tasks[*task].dag {
                    draft.rewire(dag);
                }
            }
            _ => {}
        });
    }

    fn call_symbol(&mut self, symbol: &Rc<str>, call: &'a ast::ExprCall, place: Place) -> Value<'a> {
        if let Some(class) = symbol.strip_suffix(".partial")
            && symbols::is_operator(class)
        {
            let given = self.given(call);
            return self.partial(class, &given, place);
        }
        let given = self.given(call);
        if symbols::is_dag(symbol) {
            return self.make_dag(&given, place);
        }
        if symbols::is_operator(symbol) {
            return self.make_task(symbol, &given, place, true);
        }
        if symbols::is_group(symbol) {
            return self.make_group(&given, place);
        }
        if let Some(wiring) = symbols::wiring(symbol) {
            let values: Vec<Value<'a>> = given.values().cloned().collect();
            if given.open {
                values.iter().for_each(|value| self.draft_loose(value));
                return Value::Unknown;
            }
            self.wired(wiring, &values, place);
            return Value::None;
        }
        if symbols::is_slow(symbol) && self.active.len() <= 4 {
            self.calls.push(Call { name: symbol.to_string(), place });
        }
        if symbols::is_moving(symbol) {
            return Value::Moving(symbol.clone());
        }
        if &**symbol == "site.addsitedir" {
            self.moves_path = true;
        }
        // An operator of somebody else: a class, by its name, with a task's id.
        let class = super::value::last(symbol).starts_with(|c: char| c.is_ascii_uppercase());
        if class && given.get("task_id").is_some() {
            return self.make_task(symbol, &given, place, false);
        }
        let ours =
            symbol.starts_with("airflow.") || super::tables::is_stdlib(symbol) || symbols::is_foreign(symbol);
        if ours {
            for value in given.values() {
                self.draft_loose(value);
            }
            return given.values().find_map(moving).unwrap_or(Value::Unknown);
        }
        self.stranger(&given)
    }

    fn method(
        &mut self,
        call: &'a ast::ExprCall,
        attribute: &'a ast::ExprAttribute,
        object: Value<'a>,
    ) -> Value<'a> {
        let given = self.given(call);
        let place = self.lines.place(&attribute.attr);
        let name = attribute.attr.as_str();
        match (&object, name) {
            (Value::Task(_) | Value::Group(_), "set_downstream" | "set_upstream") => {
                let other = given.positional.first().map_or(Value::Unknown, |(_, value)| value.clone());
                if name == "set_downstream" {
                    self.wire(&object, &other, place);
                } else {
                    self.wire(&other, &object, place);
                }
                Value::None
            }
            (Value::Task(_), "as_setup" | "as_teardown") => {
                // A teardown has edges of its own.
                self.draft_loose(&object);
                object
            }
            (Value::Function(function), "override" | "partial") => self.configured(function, name, &given),
            (Value::Function(function), "expand" | "expand_kwargs") => match &function.kind {
                Kind::Task(decoration) => {
                    self.decorated_task(function, decoration, &given, self.lines.place(call))
                }
                Kind::Group(_) => self.invoke(&function.clone(), Some(&given)),
                _ => self.stranger(&given),
            },
            (Value::Partial(partial), "expand" | "expand_kwargs") => {
                let task = Task {
                    id: Id::Dynamic,
                    label: partial.label.clone(),
                    place: partial.place,
                    class: partial.class.to_string(),
                    decorated: false,
                    sure: partial.sure && self.sure(),
                    order: 0,
                    arguments: partial.arguments.clone(),
                };
                let (dag, group) = (partial.dag, partial.group);
                // What it is mapped over comes first, somehow.
                given.values().for_each(|value| self.draft_loose(value));
                Value::Task(self.draft.task(dag, group, task))
            }
            (Value::List(_) | Value::Dict(_), _) => {
                given.values().for_each(|value| self.draft_loose(value));
                if symbols::only_reads(name) {
                    self.draft_items(&object);
                } else {
                    // It may be another list now.
                    self.draft_loose(&object);
                }
                Value::Unknown
            }
            (Value::Function(function), _) => {
                self.bared(&function.clone());
                self.stranger(&given)
            }
            (Value::Text(_) | Value::Moving(_), _) => {
                let moving = given.values().find_map(moving);
                moving.or_else(|| self::moving(&object)).unwrap_or(Value::Unknown)
            }
            (Value::Unknown | Value::Unbound, _) if !matches!(name, "update" | "register") => {
                let silent =
                    matches!(name, "info" | "debug" | "warning" | "append" | "extend" | "format" | "join");
                let more = self.more_dags;
                self.draft_loose(&object);
                let value = self.stranger(&given);
                self.more_dags = more || !silent;
                value
            }
            _ => {
                self.draft_loose(&object);
                self.stranger(&given)
            }
        }
    }
}

fn moving<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    matches!(value, Value::Moving(_)).then(|| value.clone())
}
