//! What a file does behind the back of whoever reads it in order, found before it is read.
//!
//! A function may run at any time once it is defined: as a callback, a method, a decorator. What it declares `global`, what it
//! may change of others' lists, and what changes names or objects without naming them must be known before.

use std::collections::HashSet;

use super::super::python::Ranged;
use super::super::python::ast::visitor::{self, Visitor};
use super::super::python::ast::{self, Expr, ExprContext, Stmt};

/// What was found.
#[derive(Default)]
pub(super) struct Scan<'a> {
    /// Names that something other than the statements around them may give a value.
    pub(super) shared: HashSet<&'a str>,
    /// Names of which a function, a lambda or a class body has the value: it may change what is in it.
    pub(super) captured: HashSet<&'a str>,
    /// Where expressions end that may change any name. Ordered.
    names: Vec<u32>,
    /// Where expressions end that may change any DAG or task, or end the file. Ordered.
    objects: Vec<u32>,
    /// Whether the file changes which modules there are, or where a relative import begins.
    pub(super) modules: bool,
    /// The functions that are generators.
    generators: HashSet<*const ast::StmtFunctionDef>,
}

/// How much may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    Nothing,
    /// Any name may have another value.
    Names,
    /// Any DAG may be another one, too.
    Objects,
}

impl<'a> Scan<'a> {
    pub(super) fn of(body: &'a [Stmt]) -> Scan<'a> {
        let mut walk = Walk {
            scan: Scan::default(),
            scopes: Vec::new(),
            airflow: HashSet::new(),
            stores: Vec::new(),
            inner: 0,
        };
        walk.visit_body(body);
        let Walk { mut scan, airflow, stores, .. } = walk;
        let patched = stores.into_iter().filter(|(root, _)| airflow.contains(root));
        scan.objects.extend(patched.map(|(_, end)| end));
        scan.names.sort_unstable();
        scan.objects.sort_unstable();
        scan
    }

    /// What this very expression may change.
    pub(super) fn at(&self, node: &impl Ranged) -> Change {
        if self.names.is_empty() && self.objects.is_empty() {
            return Change::Nothing;
        }
        let end = u32::from(node.range().end());
        if self.objects.binary_search(&end).is_ok() {
            Change::Objects
        } else if self.names.binary_search(&end).is_ok() {
            Change::Names
        } else {
            Change::Nothing
        }
    }

    /// The most that anything in a definition may change.
    pub(super) fn within(&self, node: &impl Ranged) -> Change {
        let (start, end) = (u32::from(node.range().start()), u32::from(node.range().end()));
        let any = |ends: &[u32]| {
            let first = ends.partition_point(|at| *at <= start);
            ends.get(first).is_some_and(|at| *at <= end)
        };
        if any(&self.objects) {
            Change::Objects
        } else if any(&self.names) {
            Change::Names
        } else {
            Change::Nothing
        }
    }

    /// Whether a call of it runs nothing of its body.
    pub(super) fn is_generator(&self, def: &ast::StmtFunctionDef) -> bool {
        self.generators.contains(&std::ptr::from_ref(def))
    }
}

/// A function, lambda or class body that is being walked.
struct Inner<'a> {
    def: Option<*const ast::StmtFunctionDef>,
    used: HashSet<&'a str>,
    bound: HashSet<&'a str>,
}

struct Walk<'a> {
    scan: Scan<'a>,
    scopes: Vec<Inner<'a>>,
    /// Names that stand for something of Airflow.
    airflow: HashSet<&'a str>,
    /// Attributes that are set: the name at the beginning, and where the whole ends.
    stores: Vec<(&'a str, u32)>,
    /// How many comprehensions, or annotations, we are in: what is bound there is bound elsewhere, or at another time.
    inner: u32,
}

impl<'a> Walk<'a> {
    fn open(&mut self, def: Option<*const ast::StmtFunctionDef>) {
        self.scopes.push(Inner { def, used: HashSet::new(), bound: HashSet::new() });
    }

    fn close(&mut self) {
        let Some(scope) = self.scopes.pop() else { return };
        self.scan.captured.extend(scope.used.into_iter().filter(|name| !scope.bound.contains(name)));
    }

    /// A name that something below is given; around everything, nobody asks.
    fn bound(&mut self, name: &'a str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.bound.insert(name);
        }
    }

    fn parameters(&mut self, parameters: &'a ast::Parameters) {
        for parameter in parameters {
            self.bound(parameter.name().as_str());
        }
    }

    fn import(&mut self, module: &str, alias: &'a ast::Alias, whole: bool) {
        let name = match &alias.asname {
            Some(name) => name.as_str(),
            None => alias.name.as_str().split('.').next().unwrap_or_default(),
        };
        self.bound(name);
        if module == "airflow" || module.starts_with("airflow.") {
            self.airflow.insert(name);
        }
        let full = if whole { String::new() } else { format!("{module}.{}", alias.name) };
        // What holds the DAG and the group that are current.
        let context = matches!(alias.name.as_str(), "DagContext" | "TaskGroupContext");
        if context || is_tool(module) || is_tool(&full) {
            self.scan.modules |= matches!(module, "builtins" | "sys");
            self.scan.objects.push(u32::from(alias.range().end()));
        }
    }

    fn attribute(&mut self, attribute: &'a ast::ExprAttribute) {
        let (name, end) = (attribute.attr.as_str(), u32::from(attribute.range().end()));
        let base = match &*attribute.value {
            Expr::Name(base) => base.id.as_str(),
            _ => "",
        };
        if attribute.ctx == ExprContext::Load {
            let modules = matches!((base, name), ("sys", "modules" | "meta_path" | "path_hooks"));
            self.scan.modules |= modules;
            let ends = modules
                || (base, name) == ("sys", "exit")
                || matches!((base, name), ("os", "_exit" | "abort" | "kill" | "killpg"))
                || (base == "os" && name.starts_with("exec"));
            if ends || reaches_in(name) {
                self.scan.objects.push(end);
            }
            return;
        }
        // An object's own `self.dag_id`: what is made of a class of the file is never sure.
        if base == "self" || base == "cls" {
            return;
        }
        if says_what_it_is(name) || reaches_in(name) || name.starts_with(|c: char| c.is_uppercase()) {
            self.scan.objects.push(end);
        } else if let Some(root) = root(&attribute.value) {
            if root.starts_with(|c: char| c.is_uppercase()) {
                self.scan.objects.push(end);
            } else {
                self.stores.push((root, end));
            }
        }
    }
}

impl<'a> Visitor<'a> for Walk<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(def) => {
                self.bound(def.name.as_str());
                for decorator in &def.decorator_list {
                    self.visit_decorator(decorator);
                }
                self.visit_parameters(&def.parameters);
                if let Some(returns) = &def.returns {
                    self.visit_annotation(returns);
                }
                self.open(Some(std::ptr::from_ref(def)));
                self.parameters(&def.parameters);
                self.visit_body(&def.body);
                self.close();
                return;
            }
            Stmt::ClassDef(class) => {
                self.bound(class.name.as_str());
                for decorator in &class.decorator_list {
                    self.visit_decorator(decorator);
                }
                if let Some(arguments) = &class.arguments {
                    self.visit_arguments(arguments);
                }
                // Its own names are not those of its methods: none counts as bound.
                self.open(None);
                self.visit_body(&class.body);
                if let Some(scope) = self.scopes.last_mut() {
                    scope.bound.clear();
                }
                self.close();
                return;
            }
            Stmt::Global(global) => self.scan.shared.extend(global.names.iter().map(|name| name.as_str())),
            Stmt::Nonlocal(other) => self.scan.shared.extend(other.names.iter().map(|name| name.as_str())),
            Stmt::Import(import) => {
                for alias in &import.names {
                    self.import(alias.name.as_str(), alias, true);
                }
            }
            Stmt::ImportFrom(import) if import.level == 0 => {
                let module = import.module.as_ref().map_or("", |module| module.as_str());
                for alias in &import.names {
                    self.import(module, alias, false);
                }
            }
            _ => {}
        }
        visitor::walk_stmt(self, statement);
    }

    fn visit_annotation(&mut self, expression: &'a Expr) {
        self.inner += 1;
        self.visit_expr(expression);
        self.inner -= 1;
    }

    fn visit_except_handler(&mut self, handler: &'a ast::ExceptHandler) {
        let ast::ExceptHandler::ExceptHandler(inner) = handler;
        if let Some(name) = &inner.name {
            self.bound(name.as_str());
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Name(name) => {
                let text = name.id.as_str();
                if name.ctx != ExprContext::Load {
                    self.scan.modules |= is_of_imports(text);
                    if self.inner == 0 {
                        self.bound(text);
                    }
                    return;
                }
                if let Some(scope) = self.scopes.last_mut() {
                    scope.used.insert(text);
                }
                match text {
                    "globals" => self.scan.names.push(u32::from(name.range().end())),
                    "exec" | "eval" | "setattr" | "delattr" | "__builtins__" => {
                        self.scan.objects.push(u32::from(name.range().end()));
                    }
                    _ => {}
                }
                return;
            }
            Expr::StringLiteral(text) => self.scan.modules |= is_of_imports(text.value.to_str()),
            Expr::Attribute(attribute) => self.attribute(attribute),
            Expr::Call(call) => {
                if let Expr::Name(name) = &*call.func {
                    let end = u32::from(name.range().end());
                    match name.id.as_str() {
                        "vars" if !call.arguments.is_empty() => self.scan.objects.push(end),
                        "vars" | "locals" => self.scan.names.push(end),
                        "exit" | "quit" => self.scan.objects.push(end),
                        "getattr" if call.arguments.args.get(1).is_some_and(names_what_reaches_in) => {
                            self.scan.objects.push(end);
                        }
                        _ => {}
                    }
                }
            }
            Expr::Named(named) if self.inner > 0 => {
                if let Expr::Name(name) = &*named.target {
                    self.scan.shared.insert(name.id.as_str());
                }
            }
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    self.visit_parameters(parameters);
                }
                self.open(None);
                if let Some(parameters) = &lambda.parameters {
                    self.parameters(parameters);
                }
                self.visit_expr(&lambda.body);
                self.close();
                return;
            }
            Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) | Expr::Generator(_) => {
                self.inner += 1;
                visitor::walk_expr(self, expression);
                self.inner -= 1;
                return;
            }
            Expr::Yield(_) | Expr::YieldFrom(_) => {
                if let Some(def) = self.scopes.last().and_then(|scope| scope.def) {
                    self.scan.generators.insert(def);
                }
            }
            _ => {}
        }
        visitor::walk_expr(self, expression);
    }
}

/// The name that a chain of attributes, items and calls begins with.
fn root(expression: &Expr) -> Option<&str> {
    let mut at = expression;
    loop {
        at = match at {
            Expr::Name(name) => return Some(name.id.as_str()),
            Expr::Attribute(attribute) => &attribute.value,
            Expr::Subscript(subscript) => &subscript.value,
            Expr::Call(call) => &call.func,
            _ => return None,
        };
    }
}

/// Modules, and names of them, that are there to change what others do, or to end the process.
fn is_tool(name: &str) -> bool {
    const TOOLS: &[&str] = &[
        "unittest.mock",
        "mock",
        "ctypes",
        "gc",
        "builtins",
        "sys.exit",
        "sys.modules",
        "sys.meta_path",
        "sys.path_hooks",
        "os._exit",
        "os.abort",
        "importlib.reload",
    ];
    TOOLS.contains(&name)
}

/// Attributes through which names, or what Airflow keeps of DAGs and tasks, are reached from the side.
fn reaches_in(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "__builtins__",
        "__code__",
        "__defaults__",
        "__dict__",
        "__enter__",
        "__exit__",
        "__getattribute__",
        "__globals__",
        "__kwdefaults__",
        "__setattr__",
        "_getframe",
        "_remove_task",
        "attrgetter",
        "children",
        "currentframe",
        "downstream_group_ids",
        "downstream_task_ids",
        "enter_context",
        "f_globals",
        "f_locals",
        "methodcaller",
        "push_context_managed_dag",
        "push_context_managed_task_group",
        "reload",
        "task_dict",
        "upstream_group_ids",
        "upstream_task_ids",
        "used_group_ids",
    ];
    NAMES.binary_search(&name).is_ok()
}

/// What Python asks of a module when it imports relatively.
fn is_of_imports(name: &str) -> bool {
    matches!(name, "__package__" | "__spec__" | "__path__" | "__import__")
}

fn names_what_reaches_in(expression: &Expr) -> bool {
    matches!(expression, Expr::StringLiteral(text) if reaches_in(text.value.to_str()))
}

/// Attributes of DAGs, tasks and groups that say which they are, when they run, and what they belong to.
fn says_what_it_is(name: &str) -> bool {
    let name = name.trim_start_matches('_');
    const NAMES: &[&str] = &[
        "class__",
        "dag",
        "dag_id",
        "group_id",
        "init__",
        "label",
        "new__",
        "node_id",
        "parent_group",
        "prefix_group_id",
        "schedule",
        "schedule_interval",
        "task_group",
        "task_id",
        "timetable",
    ];
    NAMES.binary_search(&name).is_ok()
}
