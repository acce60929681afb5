//! The walk over expressions: `await`, `yield`, `:=`, comprehensions, stars and targets.

use std::collections::HashSet;

use ruff_python_ast::{self as ast, Expr, ExprContext};
use ruff_text_size::{Ranged, TextRange};

use super::scope::{self, Kind};
use super::walk::{FEW, Walk};

/// CPython's `sys.int_info.default_max_str_digits`.
const DIGITS: usize = 4300;

impl<'a> Walk<'a> {
    /// A target that must not be a lone star.
    pub(super) fn target(&mut self, target: &'a Expr) {
        if let Expr::Starred(starred) = target {
            self.wrong(starred.range, "starred assignment target must be in a list or tuple");
            self.expression(&starred.value);
        } else {
            self.expression(target);
        }
    }

    pub(super) fn expression(&mut self, expression: &'a Expr) {
        let around = self.descend(expression);
        match expression {
            Expr::BoolOp(boolean) => self.all(&boolean.values),
            Expr::Named(named) => self.named(named),
            Expr::BinOp(binary) => {
                self.expression(&binary.left);
                self.expression(&binary.right);
            }
            Expr::UnaryOp(unary) => self.expression(&unary.operand),
            Expr::Lambda(lambda) => self.lambda(lambda),
            Expr::If(choice) => {
                self.expression(&choice.test);
                self.expression(&choice.body);
                self.expression(&choice.orelse);
            }
            Expr::Dict(dict) => {
                for item in &dict.items {
                    match &item.key {
                        Some(key) => self.expression(key),
                        None => self.unpacked(&item.value),
                    }
                    self.expression(&item.value);
                }
            }
            Expr::Set(set) => {
                self.unpacked_elements(&set.elts);
                self.elements(&set.elts);
            }
            Expr::ListComp(list) => {
                self.comprehension(list.range, "list comprehension", &[&list.elt], &list.generators);
            }
            Expr::SetComp(set) => {
                self.comprehension(set.range, "set comprehension", &[&set.elt], &set.generators);
            }
            Expr::DictComp(dict) => {
                let parts: Vec<&Expr> = dict.key.iter().map(|key| &**key).chain([&*dict.value]).collect();
                self.comprehension(dict.range, "dict comprehension", &parts, &dict.generators);
            }
            Expr::Generator(generator) => {
                self.comprehension(generator.range, GENERATOR, &[&generator.elt], &generator.generators);
            }
            Expr::Await(awaited) => {
                self.awaits(awaited.range);
                self.expression(&awaited.value);
            }
            Expr::Yield(given) => {
                self.yields(given.range, "yield");
                given.value.iter().for_each(|value| self.expression(value));
            }
            Expr::YieldFrom(given) => {
                if self.compiled && self.scopes.here().kind == (Kind::Function { is_async: true }) {
                    self.wrong(given.range, "'yield from' inside async function");
                }
                self.yields(given.range, "yield");
                self.expression(&given.value);
            }
            Expr::Compare(compare) => {
                self.expression(&compare.left);
                self.all(&compare.comparators);
            }
            Expr::Call(call) => {
                self.expression(&call.func);
                self.arguments(&call.arguments);
            }
            Expr::FString(string) => {
                for part in string.value.iter() {
                    if let ast::FStringPart::FString(string) = part {
                        self.interpolated(&string.elements, 0);
                    }
                }
            }
            Expr::TString(string) => {
                string.value.iter().for_each(|part| self.interpolated(&part.elements, 0))
            }
            Expr::NumberLiteral(number) => self.number(number),
            Expr::Attribute(attribute) => {
                if attribute.ctx == ExprContext::Store {
                    self.debug(&attribute.attr, attribute.range);
                }
                self.expression(&attribute.value);
            }
            Expr::Subscript(subscript) => {
                self.expression(&subscript.value);
                match &*subscript.slice {
                    Expr::Starred(starred) => self.expression(&starred.value),
                    Expr::Tuple(tuple) if !tuple.parenthesized => self.elements(&tuple.elts),
                    slice => self.expression(slice),
                }
            }
            Expr::Starred(starred) => {
                if self.compiled {
                    self.wrong(starred.range, "can't use starred expression here");
                }
                self.expression(&starred.value);
            }
            Expr::Name(name) => self.name(name),
            Expr::List(list) => self.sequence(&list.elts, list.ctx, list.range),
            Expr::Tuple(tuple) => self.sequence(&tuple.elts, tuple.ctx, tuple.range),
            Expr::Slice(slice) => {
                slice
                    .lower
                    .iter()
                    .chain(&slice.upper)
                    .chain(&slice.step)
                    .for_each(|part| self.expression(part));
            }
            Expr::StringLiteral(_)
            | Expr::BytesLiteral(_)
            | Expr::BooleanLiteral(_)
            | Expr::NoneLiteral(_)
            | Expr::EllipsisLiteral(_)
            | Expr::IpyEscapeCommand(_) => {}
        }
        self.levels = around;
    }

    fn all(&mut self, expressions: &'a [Expr]) {
        expressions.iter().for_each(|expression| self.expression(expression));
    }

    /// Where stars are at home.
    fn elements(&mut self, elements: &'a [Expr]) {
        for element in elements {
            match element {
                Expr::Starred(starred) => self.expression(&starred.value),
                plain => self.expression(plain),
            }
        }
    }

    fn unpacked_elements(&mut self, elements: &'a [Expr]) {
        elements.iter().filter_map(Expr::as_starred_expr).for_each(|starred| self.unpacked(&starred.value));
    }

    /// What is behind a `*` or `**`, but for arguments and indexes, binds as tight as `|`. The parser forgets that if it begins with a
    /// bracket: `[*(a) and b]`.
    pub(super) fn unpacked(&mut self, value: &Expr) {
        let loose = matches!(value, Expr::BoolOp(_) | Expr::Compare(_));
        let before = &self.source[..value.start().to_usize()];
        if loose && before.trim_end_matches([' ', '\t', '\x0c', '\\', '\n', '\r']).ends_with('*') {
            self.wrong(value.range(), "invalid syntax");
        }
    }

    fn sequence(&mut self, elements: &'a [Expr], context: ExprContext, range: TextRange) {
        if context == ExprContext::Store {
            let mut stars = elements.iter().enumerate().filter(|(_, element)| element.is_starred_expr());
            let first = stars.next().map(|(at, _)| at);
            if stars.next().is_some() {
                self.wrong(range, "multiple starred expressions in assignment");
            } else if first.is_some_and(|before| before >= 256) {
                self.wrong(range, "too many expressions in star-unpacking assignment");
            }
        }
        self.unpacked_elements(elements);
        if context == ExprContext::Del { self.all(elements) } else { self.elements(elements) }
    }

    fn name(&mut self, name: &'a ast::ExprName) {
        match name.ctx {
            ExprContext::Load | ExprContext::Invalid => {
                let noted = self.scopes.note(&name.id, scope::USED);
                self.noted(name.range, noted);
            }
            ExprContext::Store | ExprContext::Del => {
                self.name_in(&name.id, name.ctx, name.range);
                let noted = self.scopes.note(&name.id, scope::BOUND);
                self.noted(name.range, noted);
            }
        }
    }

    fn name_in(&mut self, name: &str, context: ExprContext, range: TextRange) {
        match context {
            ExprContext::Store => self.debug(name, range),
            ExprContext::Del if name == "__debug__" && self.minor >= 10 => {
                self.wrong(range, "cannot delete __debug__");
            }
            _ => {}
        }
    }

    fn named(&mut self, named: &'a ast::ExprNamed) {
        let here = self.scopes.here();
        let (kind, iterables) = (here.kind, here.iterables);
        self.refused(kind, named.range, "named expression");
        if self.minor >= 9 && named.target.start() != named.start() {
            self.wrong(named.range, "cannot use assignment expressions with a name in parentheses");
        }
        if iterables > 0 {
            self.wrong(
                named.range,
                "assignment expression cannot be used in a comprehension iterable expression",
            );
        }
        if let (Kind::Comprehension { .. }, Expr::Name(name)) = (kind, &*named.target) {
            let extended = self.scopes.extend(&name.id);
            self.noted(named.range, extended);
            self.expression(&named.value);
            self.debug(&name.id, name.range);
        } else {
            self.expression(&named.value);
            self.expression(&named.target);
        }
    }

    /// What may not be where types are written.
    fn refused(&mut self, kind: Kind, range: TextRange, what: &str) {
        match kind {
            Kind::Annotation(place) => self.wrong(range, format!("{what} cannot be used within {place}")),
            Kind::Generic => {
                self.wrong(range, format!("{what} cannot be used within the definition of a generic"));
            }
            _ => {}
        }
    }

    fn awaits(&mut self, range: TextRange) {
        let scope = self.scopes.here_mut();
        scope.coroutine = true;
        let kind = scope.kind;
        self.refused(kind, range, "await expression");
        if !self.compiled {
            return;
        }
        match kind {
            Kind::Module | Kind::Class => self.wrong(range, "'await' outside function"),
            Kind::Function { is_async: false } | Kind::Lambda => {
                self.wrong(range, "'await' outside async function")
            }
            _ => {}
        }
    }

    fn yields(&mut self, range: TextRange, what: &str) {
        let scope = self.scopes.here_mut();
        scope.yields = true;
        let kind = scope.kind;
        self.refused(kind, range, &format!("{what} expression"));
        match kind {
            Kind::Module | Kind::Class if self.compiled => self.wrong(range, "'yield' outside function"),
            Kind::Comprehension { name, .. } => self.wrong(range, format!("'yield' inside {name}")),
            _ => {}
        }
        self.mixed();
    }

    /// 3.12 has no scope in the scope of types in a class.
    fn within_types_of_a_class(&mut self, range: TextRange, what: &str) {
        if self.minor == 12 && self.scopes.here().sees_class {
            self.wrong(range, format!("cannot use {what} in annotation scope within class scope"));
        }
    }

    fn lambda(&mut self, lambda: &'a ast::ExprLambda) {
        if let Some(parameters) = &lambda.parameters {
            self.defaults(parameters);
        }
        self.within_types_of_a_class(lambda.range, "lambda");
        self.scopes.enter(Kind::Lambda, None);
        if let Some(parameters) = &lambda.parameters {
            self.parameters(parameters);
        }
        self.expression(&lambda.body);
        self.scopes.leave();
    }

    fn comprehension(
        &mut self,
        range: TextRange,
        name: &'static str,
        parts: &[&'a Expr],
        generators: &'a [ast::Comprehension],
    ) {
        let Some(first) = generators.first() else { return };
        let generator = name == GENERATOR;
        self.within_types_of_a_class(range, "comprehension");
        self.iterable(&first.iter);
        let outer = self.scopes.here();
        let (around, inside_coroutine) = (outer.kind, outer.coroutine);
        self.scopes.enter(Kind::Comprehension { generator, name }, None);
        for (at, each) in generators.iter().enumerate() {
            self.scopes.here_mut().coroutine |= each.is_async;
            self.scopes.here_mut().iterating = true;
            self.target(&each.target);
            self.scopes.here_mut().iterating = false;
            if at > 0 {
                self.iterable(&each.iter);
            }
            self.all(&each.ifs);
        }
        for part in parts {
            match part {
                // PEP 798; the parser knows since when.
                Expr::Starred(starred) => self.expression(&starred.value),
                part => self.expression(part),
            }
        }
        let coroutine = self.scopes.here().coroutine;
        self.scopes.leave();
        if !coroutine || generator {
            return;
        }
        let fine = match around {
            Kind::Function { is_async } => is_async,
            // Before 3.11 the one around had to be asynchronous already.
            Kind::Comprehension { .. } => self.minor >= 11 || inside_coroutine,
            _ => false,
        };
        if !fine && self.compiled {
            self.wrong(range, "asynchronous comprehension outside of an asynchronous function");
        }
        if self.minor >= 11 {
            self.scopes.here_mut().coroutine = true;
        }
    }

    fn iterable(&mut self, iterable: &'a Expr) {
        self.scopes.here_mut().iterables += 1;
        self.expression(iterable);
        self.scopes.here_mut().iterables -= 1;
    }

    pub(super) fn arguments(&mut self, arguments: &'a ast::Arguments) {
        self.elements(&arguments.args);
        let many = arguments.keywords.len() > FEW;
        let mut seen = HashSet::new();
        for (at, keyword) in arguments.keywords.iter().enumerate() {
            if let Some(name) = &keyword.arg
                && self.compiled
            {
                self.debug(name, name.range);
                let is_it = |earlier: &ast::Keyword| {
                    earlier.arg.as_ref().is_some_and(|earlier| earlier.as_str() == name.as_str())
                };
                let twice = match many {
                    true => !seen.insert(name.as_str()),
                    false => arguments.keywords[..at].iter().any(is_it),
                };
                if twice {
                    self.wrong(keyword.range, format!("keyword argument repeated: {name}"));
                }
            }
            self.expression(&keyword.value);
        }
    }

    fn interpolated(&mut self, elements: &'a [ast::InterpolatedStringElement], nested: u32) {
        for element in elements {
            if let ast::InterpolatedStringElement::Interpolation(element) = element {
                if nested > if self.minor < 12 { 1 } else { 2 } {
                    self.wrong(element.range, "f-string: expressions nested too deeply");
                }
                if self.minor < 12 && element.conversion != ast::ConversionFlag::None {
                    self.converted(element);
                }
                self.expression(&element.expression);
                if let Some(format) = &element.format_spec {
                    self.interpolated(&format.elements, nested + 1);
                }
            }
        }
    }

    /// Before 3.12 nothing may be between a conversion and what ends it.
    fn converted(&mut self, element: &ast::InterpolatedElement) {
        let end = element.format_spec.as_ref().map_or(element.end(), |format| format.start());
        let before = self.source[..end.to_usize()].strip_suffix([':', '}']);
        if before.is_some_and(|before| !before.ends_with(['a', 'r', 's'])) {
            self.wrong(element.range, "f-string: expecting '}'");
        }
    }

    fn number(&mut self, number: &ast::ExprNumberLiteral) {
        let text = &self.source[number.range()];
        let decimal = number.value.is_int() && !text.starts_with("0");
        if decimal && text.len() > DIGITS && text.bytes().filter(u8::is_ascii_digit).count() > DIGITS {
            self.wrong(
                number.range,
                format!("exceeds the limit ({DIGITS} digits) for integer string conversion"),
            );
        }
    }
}

const GENERATOR: &str = "generator expression";
