//! Reads a file as Python would run it: functions of the file, and what decorators make of them.

use std::collections::HashMap;
use std::rc::Rc;

use super::super::python::ast::{self, Expr};
use super::call::Given;
use super::facts::{Bound, Dag, Group, Id, Task};
use super::made::task_of;
use super::place::Place;
use super::reader::{Context, Flow, Reader};
use super::symbols;
use super::value::{Decoration, Function, Kind, Value};

impl<'a> Reader<'a> {
    /// What decorators make of a function; `None` if that is not known.
    pub(super) fn decorated(&mut self, def: &'a ast::StmtFunctionDef) -> Option<Kind> {
        let mut kind = Kind::Plain;
        let mut passed = false;
        // The one next to the function comes first.
        for decorator in def.decorator_list.iter().rev() {
            let (symbol, given) = match &decorator.expression {
                Expr::Call(call) => (self.eval(&call.func), self.given(call)),
                plain => (self.eval(plain), Given::default()),
            };
            let Value::Symbol(symbol) = symbol else { return None };
            if symbols::is_pass_through(&symbol) {
                passed = true;
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
        match &mut kind {
            // What waits for a teardown, and where a group ends, has rules of its own.
            Kind::Task(decoration) if passed => Rc::make_mut(decoration).open = true,
            _ if passed => return None,
            _ => {}
        }
        Some(kind)
    }

    /// `task.override(task_id=…)` and `task.partial(…)`.
    pub(super) fn configured(
        &mut self,
        function: &Rc<Function<'a>>,
        name: &str,
        given: &Given<'a>,
    ) -> Value<'a> {
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

    pub(super) fn call_function(
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

    pub(super) fn decorated_task(
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
            // What an operator gives is waited for; the operator itself, as an argument, is not.
            let sure = self.sure() && self.draft.tasks[other].task.decorated;
            self.draft.edge(other, task, place, sure);
        }
        Value::Task(task)
    }

    /// Reads a function's body, as a call with these arguments would run it.
    pub(super) fn invoke(&mut self, function: &Rc<Function<'a>>, given: Option<&Given<'a>>) -> Value<'a> {
        let def: &'a ast::StmtFunctionDef = function.def;
        let this = std::ptr::from_ref(def);
        self.called.insert(this);
        let hidden = def.is_async || self.scan.is_generator(def) || !self.names.is_alive(function.home);
        if hidden || self.active.len() >= 8 || self.active.contains(&this) {
            self.leaked = true;
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
                let sure = self.sure();
                self.draft.enter(dag, sure);
                self.contexts.push(Context { dag: Some(dag), group: None });
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
                self.contexts.push(Context { dag, group: Some(group) });
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
        if self.block(&def.body) != Flow::Left {
            self.returns(Value::None);
        }
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
        // The arguments of a `@dag` are stand-ins for what a run is given.
        let all = given;
        let given = given.filter(|given| !given.open && !wrapped);
        let named: HashMap<&str, &Value<'a>> = given
            .map(|given| given.named.iter().map(|(name, _, value)| (*name, value)).collect())
            .unwrap_or_default();
        let positional = parameters.posonlyargs.len() + parameters.args.len();
        for (at, parameter) in parameters.iter_non_variadic_params().enumerate() {
            let name = parameter.parameter.name.as_str();
            let by_place = given.and_then(|given| given.positional.get(at)).filter(|_| at < positional);
            let by_name = named.get(name).filter(|_| at >= parameters.posonlyargs.len());
            let value = match (given, by_place, by_name, &parameter.default) {
                (None, ..) => Value::Unknown,
                (_, Some((_, value)), ..) => value.clone(),
                (_, _, Some(value), _) => (*value).clone(),
                // Others had the value that they had at the definition.
                (.., Some(default)) if default.is_literal_expr() => self.eval(default),
                _ => Value::Unknown,
            };
            values.push((name, value));
        }
        // Some are in `*more` and `**more`, or it is not known where they are.
        if let Some(all) = all
            && (given.is_none() || parameters.vararg.is_some() || parameters.kwarg.is_some())
        {
            all.values().for_each(|value| self.draft_loose(value));
        }
        for more in [&parameters.vararg, &parameters.kwarg].into_iter().flatten() {
            values.push((more.name.as_str(), Value::Unknown));
        }
        values
    }
}
