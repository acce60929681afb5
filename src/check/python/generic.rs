//! Where types are written: annotations, type parameters, `type X = …`.

use std::collections::HashSet;

use ruff_python_ast::{self as ast, Expr};
use ruff_text_size::Ranged;

use super::scope::{self, Kind};
use super::walk::Walk;

/// The name of a class that mangles nothing.
const UNNAMED: &str = "_";
const NO_DEFAULTS: &str =
    "cannot set default type for a type parameter on Python 3.12 (syntax was added in Python 3.13)";

impl<'a> Walk<'a> {
    pub(super) fn annotated(&mut self, assign: &'a ast::StmtAnnAssign) {
        match &*assign.target {
            Expr::Name(name) => {
                self.debug(&name.id, name.range);
                if assign.simple {
                    let noted = self.scopes.annotate(&name.id);
                    self.noted(name.range, noted);
                } else if assign.value.is_some() {
                    let noted = self.scopes.note(&name.id, scope::BOUND);
                    self.noted(name.range, noted);
                }
            }
            target => {
                if self.minor >= 9 && target.start() == assign.start() && begins_with_target(target) {
                    self.wrong(target.range(), "illegal target for annotation");
                }
                self.expression(target);
            }
        }
        let compiled = self.compiled;
        if self.scopes.here().kind.is_function() {
            self.compiled = false;
        }
        self.annotation(&assign.annotation);
        self.compiled = compiled;
        assign.value.iter().for_each(|value| self.expression(value));
    }

    pub(super) fn annotation(&mut self, annotation: &'a Expr) {
        let kept_as_text = self.future.annotations && self.minor < 14;
        let apart = self.minor >= 14 || (self.future.annotations && self.minor >= 10);
        let compiled = self.compiled;
        self.compiled &= !kept_as_text;
        if apart {
            self.scopes.enter(Kind::Annotation("an annotation"), None);
        }
        // `*args: *Ts`
        match annotation {
            Expr::Starred(starred) => {
                self.unpacked(&starred.value);
                self.expression(&starred.value);
            }
            plain => self.expression(plain),
        }
        if apart {
            self.scopes.leave();
        }
        self.compiled = compiled;
    }

    /// Enters the scope of type parameters, if there are any. `class` is the name of what they are of, if that is a class: their names
    /// are mangled by it, like those in its body.
    pub(super) fn type_parameters(
        &mut self,
        parameters: Option<&'a ast::TypeParams>,
        class: Option<&'a str>,
    ) {
        let Some(parameters) = parameters else { return };
        // In the bases 3.12 mangles by the class too, later versions by none.
        self.scopes.enter(Kind::Generic, class.map(|class| if self.minor < 13 { class } else { UNNAMED }));
        let mangles = class.or(self.scopes.class());
        let mut seen = HashSet::new();
        let mut defaults = false;
        for parameter in parameters {
            let name = parameter.name();
            if !seen.insert(scope::mangled(name, mangles)) {
                self.wrong(name.range, format!("duplicate type parameter '{name}'"));
            }
            self.bind(name);
            let (bound, default, kind) = match parameter {
                ast::TypeParam::TypeVar(kind) => (kind.bound.as_deref(), kind.default.as_deref(), "TypeVar"),
                ast::TypeParam::TypeVarTuple(kind) => (None, kind.default.as_deref(), "TypeVarTuple"),
                ast::TypeParam::ParamSpec(kind) => (None, kind.default.as_deref(), "ParamSpec"),
            };
            if let Some(bound) = bound {
                let place = if bound.is_tuple_expr() { "a TypeVar constraint" } else { "a TypeVar bound" };
                self.apart(bound, place);
            }
            if defaults && default.is_none() {
                self.wrong(
                    name.range,
                    format!("non-default type parameter '{name}' follows default type parameter"),
                );
            }
            if let Some(default) = default {
                defaults = true;
                // The parser knows it of `T = …`.
                if self.minor == 12 && kind != "TypeVar" {
                    self.wrong(parameter.range(), NO_DEFAULTS);
                }
                match (kind, default) {
                    ("TypeVarTuple", Expr::Starred(starred)) => {
                        self.unpacked(&starred.value);
                        self.apart(&starred.value, "a TypeVarTuple default")
                    }
                    ("TypeVar", _) => self.apart(default, "a TypeVar default"),
                    _ => self.apart(default, "a ParamSpec default"),
                }
            }
        }
    }

    /// An expression that is evaluated later, in a scope of its own.
    fn apart(&mut self, expression: &'a Expr, place: &'static str) {
        self.scopes.enter(Kind::Annotation(place), None);
        self.expression(expression);
        self.scopes.leave();
    }

    pub(super) fn alias(&mut self, alias: &'a ast::StmtTypeAlias) {
        self.expression(&alias.name);
        self.type_parameters(alias.type_params.as_deref(), None);
        self.apart(&alias.value, "a type alias");
        if alias.type_params.is_some() {
            self.scopes.leave();
        }
    }
}

/// `(a).b`, `(a)[0].b`: CPython takes the brackets for those of the whole target, and does not look again.
fn begins_with_target(target: &Expr) -> bool {
    let mut outer = target;
    loop {
        let inner = match outer {
            Expr::Attribute(attribute) => &attribute.value,
            Expr::Subscript(subscript) => &subscript.value,
            Expr::Call(call) => &call.func,
            _ => return false,
        };
        if inner.start() > outer.start() {
            return matches!(**inner, Expr::Name(_) | Expr::Attribute(_) | Expr::Subscript(_));
        }
        outer = inner;
    }
}
