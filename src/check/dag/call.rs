//! Reads a file as Python would run it: calls, which is where DAGs and tasks are made.

use std::rc::Rc;

use super::super::python::ast::{self, Expr, Stmt};
use super::facts::{Argument, Bound, Call, Dag, Group, Id, Task};
use super::place::Place;
use super::reader::Reader;
use super::symbols;
use super::value::{Decoration, Function, Kind, Partial, Value};

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

    fn values(&self) -> impl Iterator<Item = &Value<'a>> {
        self.positional.iter().map(|(_, value)| value).chain(self.named.iter().map(|(_, _, value)| value))
    }

    fn arguments(&self) -> Vec<Argument> {
        let argument = |name: Option<&str>, place: Place, value: &Value<'a>| Argument {
            name: name.map(str::to_owned),
            place,
            value: value.known(),
        };
        let positional = self.positional.iter().map(|(place, value)| argument(None, *place, value));
        positional
            .chain(self.named.iter().map(|(name, place, value)| argument(Some(name), *place, value)))
            .collect()
    }

    /// An argument by its name, or by its position if it has no name here.
    fn either(&self, name: &str, at: usize) -> Option<&Value<'a>> {
        self.get(name).or_else(|| self.positional.get(at).map(|(_, value)| value))
    }
}

impl<'a> Reader<'a> {
    pub(super) fn call(&mut self, call: &'a ast::ExprCall) -> Value<'a> {
        if let Expr::Attribute(attribute) = &*call.func {
            let object = self.eval(&attribute.value);
            if !matches!(object, Value::Symbol(_)) {
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
                // A list of tasks may be made of another one.
                for value in given.values() {
                    self.draft_loose(value);
                }
                given.values().find_map(moving).unwrap_or(Value::Unknown)
            }
            _ => {
                let custom = matches!(&*call.func, Expr::Name(name) if name.id.starts_with(|c: char| c.is_uppercase()));
                let given = self.given(call);
                if custom && given.get("task_id").is_some() {
                    return self.make_task("", &given, place, false);
                }
                if matches!(&*call.func, Expr::Name(name) if matches!(name.id.as_str(), "exec" | "eval")) {
                    // Any name may be another one from here on.
                    self.unsure += 1;
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
    fn stranger(&mut self, given: &Given<'a>) -> Value<'a> {
        for value in given.values() {
            self.draft_loose(value);
        }
        if let Some(context) = self.contexts.last() {
            self.draft.blur(context.dag);
        }
        self.more_dags = true;
        given.values().find_map(moving).unwrap_or(Value::Unknown)
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
                return self.stranger(&given);
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
                // It may be another list now.
                given.values().for_each(|value| self.draft_loose(value));
                if let Expr::Name(name) = &*attribute.value {
                    self.names.set(name.id.as_str(), Value::Unknown);
                }
                Value::Unknown
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

    fn make_dag(&mut self, given: &Given<'a>, place: Place) -> Value<'a> {
        let id = given.either("dag_id", 0).map_or(Id::Dynamic, Value::id);
        let dag = Dag {
            id,
            place,
            sure: self.sure(),
            decorated: false,
            bound: Bound::Never,
            arguments: given.arguments(),
            open: given.open,
            tasks: Vec::new(),
            groups: Vec::new(),
            edges: Vec::new(),
            opaque: false,
        };
        Value::Dag(self.draft.dag(dag))
    }

    /// The DAG and the group that something belongs to, and whether that is sure.
    fn home(&self, given: &Given<'a>, group_name: &str) -> (Option<usize>, Option<usize>, bool) {
        let context = self.contexts.last();
        let mut sure = !given.open;
        let mut dag = context.and_then(|context| context.dag);
        let mut group = context.and_then(|context| context.group);
        match given.get("dag") {
            Some(Value::Dag(other)) => {
                if dag != Some(*other) {
                    group = None;
                }
                dag = Some(*other);
            }
            None | Some(Value::None) => {}
            Some(_) => (dag, group, sure) = (None, None, false),
        }
        match given.get(group_name) {
            Some(Value::Group(other)) => {
                group = Some(*other);
                dag = dag.or(self.draft.groups[*other].dag);
            }
            None => {}
            Some(_) => sure = false,
        }
        (dag, group, sure)
    }

    fn make_task(&mut self, class: &str, given: &Given<'a>, place: Place, ours: bool) -> Value<'a> {
        let (dag, group, sure) = self.home(given, "task_group");
        let label = given.get("task_id").map_or(Id::Dynamic, Value::id);
        let task = Task {
            id: Id::Dynamic,
            label,
            place,
            class: class.to_owned(),
            decorated: false,
            sure: sure && ours && self.sure(),
            order: 0,
            arguments: given.arguments(),
        };
        let task = self.draft.task(dag, group, task);
        // What another task gives is waited for, if it is in a field that is a template: which, the class knows.
        let mut first = Vec::new();
        given.values().for_each(|value| value.each(&mut |value| first.extend(task_of(value))));
        for other in first {
            self.draft.edge(other, task, place, false);
        }
        Value::Task(task)
    }

    fn partial(&mut self, class: &str, given: &Given<'a>, place: Place) -> Value<'a> {
        let (dag, group, sure) = self.home(given, "task_group");
        let label = given.get("task_id").map_or(Id::Dynamic, Value::id);
        let arguments = given.arguments();
        let sure = sure && self.sure();
        Value::Partial(Rc::new(Partial { class: class.into(), label, place, arguments, sure, dag, group }))
    }

    fn make_group(&mut self, given: &Given<'a>, place: Place) -> Value<'a> {
        let (dag, parent, sure) = self.home(given, "parent_group");
        let prefix = match given.either("prefix_group_id", usize::MAX) {
            None if !given.open && given.positional.len() <= 1 => Some(true),
            Some(Value::Bool(value)) => Some(*value),
            _ => None,
        };
        let group = Group {
            id: Id::Dynamic,
            label: given.either("group_id", 0).map_or(Id::Dynamic, Value::id),
            place,
            renamed: given.get("add_suffix_on_collision").is_some(),
            sure: sure && self.sure(),
            order: 0,
        };
        Value::Group(self.draft.group(dag, parent, prefix, group))
    }

    /// What decorators make of a function; `None` if that is not known.
    pub(super) fn decorated(&mut self, def: &'a ast::StmtFunctionDef) -> Option<Kind> {
        let mut kind = Kind::Plain;
        // The one next to the function comes first.
        for decorator in def.decorator_list.iter().rev() {
            let (symbol, given) = match &decorator.expression {
                Expr::Call(call) => (self.eval(&call.func), self.given(call)),
                plain => (self.eval(plain), Given::default()),
            };
            let Value::Symbol(symbol) = symbol else { return None };
            if symbols::is_pass_through(&symbol) {
                continue;
            }
            if kind != Kind::Plain {
                return None;
            }
            let (task, dag, group) = (
                symbols::is_task_decorator(&symbol),
                symbols::is_dag_decorator(&symbol),
                symbols::is_group_decorator(&symbol),
            );
            let id = if task {
                given.get("task_id")
            } else if dag {
                given.either("dag_id", 0)
            } else {
                given.either("group_id", 0)
            };
            let prefix = match given.get("prefix_group_id") {
                None => Some(true),
                Some(Value::Bool(value)) => Some(*value),
                Some(_) => None,
            };
            let id = id.map(Value::id);
            let decoration =
                Rc::new(Decoration { symbol, id, arguments: given.arguments(), open: given.open, prefix });
            kind = match (task, dag, group) {
                (true, ..) => Kind::Task(decoration),
                (_, true, _) => Kind::Dag(decoration),
                (.., true) => Kind::Group(decoration),
                _ => return None,
            };
        }
        Some(kind)
    }

    /// `task.override(task_id=…)` and `task.partial(…)`.
    fn configured(&mut self, function: &Rc<Function<'a>>, name: &str, given: &Given<'a>) -> Value<'a> {
        given.values().for_each(|value| self.draft_loose(value));
        let changed = |decoration: &Rc<Decoration>, id: &str| {
            let mut decoration = (**decoration).clone();
            decoration.open |= given.open;
            if name == "override" {
                if let Some(value) = given.get(id) {
                    decoration.id = Some(value.id());
                }
                if given.get("prefix_group_id").is_some() {
                    decoration.prefix = None;
                }
            }
            Rc::new(decoration)
        };
        let kind = match &function.kind {
            Kind::Task(decoration) => Kind::Task(changed(decoration, "task_id")),
            Kind::Group(decoration) => Kind::Group(changed(decoration, "group_id")),
            _ => return Value::Unknown,
        };
        Value::Function(Rc::new(Function { kind, ..(**function).clone() }))
    }

    fn call_function(
        &mut self,
        function: &Rc<Function<'a>>,
        call: &'a ast::ExprCall,
        place: Place,
    ) -> Value<'a> {
        let given = self.given(call);
        match &function.kind {
            Kind::Task(decoration) => self.decorated_task(function, decoration, &given, place),
            _ => self.invoke(function, Some(&given)),
        }
    }

    fn decorated_task(
        &mut self,
        function: &Function<'a>,
        decoration: &Decoration,
        given: &Given<'a>,
        place: Place,
    ) -> Value<'a> {
        self.called.insert(std::ptr::from_ref(function.def));
        let context = self.contexts.last().copied();
        let (dag, group) = context.map_or((None, None), |context| (context.dag, context.group));
        let label = decoration.id.clone().unwrap_or_else(|| Id::Known(function.def.name.to_string()));
        let here =
            |name: &str| decoration.arguments.iter().any(|argument| argument.name.as_deref() == Some(name));
        let task = Task {
            id: Id::Dynamic,
            label,
            place,
            class: decoration.symbol.to_string(),
            decorated: true,
            sure: self.sure() && !decoration.open && !here("dag") && !here("task_group"),
            order: 0,
            arguments: decoration.arguments.clone(),
        };
        let task = self.draft.task(dag, group, task);
        let mut first = Vec::new();
        given.values().for_each(|value| value.each(&mut |value| first.extend(task_of(value))));
        for other in first {
            let sure = self.sure();
            self.draft.edge(other, task, place, sure);
        }
        Value::Task(task)
    }

    /// Reads a function's body, as a call with these arguments would run it.
    pub(super) fn invoke(&mut self, function: &Rc<Function<'a>>, given: Option<&Given<'a>>) -> Value<'a> {
        let def: &'a ast::StmtFunctionDef = function.def;
        let this = std::ptr::from_ref(def);
        self.called.insert(this);
        let hidden = def.is_async || yields(&def.body) || !self.names.is_alive(function.home);
        if hidden || self.active.len() >= 8 || self.active.contains(&this) {
            return given.map_or(Value::Unknown, |given| self.stranger(given));
        }
        let place = self.lines.place(&def.name);
        let label = |decoration: &Decoration| {
            decoration.id.clone().unwrap_or_else(|| Id::Known(def.name.to_string()))
        };
        let mut made = None;
        let depth = self.contexts.len();
        match &function.kind {
            Kind::Dag(decoration) => {
                let dag = self.draft.dag(Dag {
                    id: label(decoration),
                    place,
                    sure: self.sure(),
                    decorated: true,
                    bound: Bound::Never,
                    arguments: decoration.arguments.clone(),
                    open: decoration.open,
                    tasks: Vec::new(),
                    groups: Vec::new(),
                    edges: Vec::new(),
                    opaque: false,
                });
                self.draft.enter(dag);
                self.contexts.push(super::reader::Context { dag: Some(dag), group: None });
                made = Some(Value::Dag(dag));
            }
            Kind::Group(decoration) => {
                let context = self.contexts.last().copied();
                let (dag, parent) = context.map_or((None, None), |context| (context.dag, context.group));
                let group = Group {
                    id: Id::Dynamic,
                    label: label(decoration),
                    place,
                    renamed: true,
                    sure: self.sure() && !decoration.open,
                    order: 0,
                };
                let group = self.draft.group(dag, parent, decoration.prefix, group);
                self.contexts.push(super::reader::Context { dag, group: Some(group) });
                made = Some(Value::Group(group));
            }
            Kind::Plain | Kind::Task(_) => {}
        }
        self.active.push(this);
        let values = self.parameters(def, given, matches!(function.kind, Kind::Dag(_)));
        self.names.enter(function.home.0);
        for (name, value) in values {
            self.names.set(name, value);
        }
        self.block(&def.body);
        let returned = self.names.leave().unwrap_or(Value::None);
        self.active.pop();
        self.contexts.truncate(depth);
        match (made, &function.kind) {
            (Some(dag), Kind::Dag(_)) => dag,
            (Some(group), _) if returned == Value::None => group,
            _ => returned,
        }
    }

    fn parameters(
        &mut self,
        def: &'a ast::StmtFunctionDef,
        given: Option<&Given<'a>>,
        wrapped: bool,
    ) -> Vec<(&'a str, Value<'a>)> {
        let parameters = &def.parameters;
        let mut values = Vec::new();
        let positional = parameters.posonlyargs.iter().chain(&parameters.args);
        for (at, parameter) in positional.chain(&parameters.kwonlyargs).enumerate() {
            let name = parameter.parameter.name.as_str();
            let value = match given {
                // The arguments of a `@dag` are stand-ins for what a run is given.
                Some(given) if !given.open && !wrapped => {
                    match (given.either(name, at), &parameter.default) {
                        (Some(value), _) => value.clone(),
                        (None, Some(default)) => self.eval(default),
                        (None, None) => Value::Unknown,
                    }
                }
                _ => Value::Unknown,
            };
            values.push((name, value));
        }
        for more in [&parameters.vararg, &parameters.kwarg].into_iter().flatten() {
            values.push((more.name.as_str(), Value::Unknown));
        }
        values
    }
}

fn task_of(value: &Value<'_>) -> Option<usize> {
    match value {
        Value::Task(task) => Some(*task),
        _ => None,
    }
}

fn moving<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    matches!(value, Value::Moving(_)).then(|| value.clone())
}

/// Whether a function is a generator: its body does not run when it is called.
fn yields(body: &[Stmt]) -> bool {
    let is = |value: &Expr| matches!(value, Expr::Yield(_) | Expr::YieldFrom(_));
    body.iter().any(|statement| match statement {
        Stmt::Expr(statement) => is(&statement.value),
        Stmt::Assign(assign) => is(&assign.value),
        Stmt::If(branch) => {
            yields(&branch.body) || branch.elif_else_clauses.iter().any(|clause| yields(&clause.body))
        }
        Stmt::For(each) => yields(&each.body),
        Stmt::While(each) => yields(&each.body),
        Stmt::With(with) => yields(&with.body),
        Stmt::Try(attempt) => yields(&attempt.body) || yields(&attempt.finalbody),
        _ => false,
    })
}
