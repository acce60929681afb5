//! Reads a file as Python would run it: expressions.

use super::super::python::ast::{self, Expr, Operator};
use super::reader::Reader;
use super::value::{Function, Kind, Shape, Value};

impl<'a> Reader<'a> {
    /// What an expression gives; what is called in it is called.
    pub(super) fn eval(&mut self, expression: &'a Expr) -> Value<'a> {
        match expression {
            Expr::StringLiteral(text) => self.made(Value::text(text.value.to_str())),
            Expr::NumberLiteral(number) => match &number.value {
                ast::Number::Int(number) => number.as_i64().map_or(Value::Unknown, Value::Number),
                _ => Value::Unknown,
            },
            Expr::BooleanLiteral(value) => Value::Bool(value.value),
            Expr::NoneLiteral(_) => Value::None,
            Expr::FString(text) => self.f_string(text),
            Expr::Name(name) => {
                self.beside(name);
                self.names.get(name.id.as_str())
            }
            Expr::Attribute(attribute) => self.attribute(attribute),
            Expr::Call(call) => self.call(call),
            Expr::BinOp(binary) => self.binary(binary),
            Expr::List(list) => self.list(Shape::List, &list.elts),
            Expr::Tuple(tuple) => self.list(Shape::Tuple, &tuple.elts),
            Expr::Set(set) => self.list(Shape::Set, &set.elts),
            Expr::Dict(dict) => self.dict(dict),
            Expr::Subscript(subscript) => self.subscript(subscript),
            Expr::Named(named) => {
                let value = self.eval(&named.value);
                self.bind(&named.target, value.clone());
                value
            }
            Expr::If(choice) => {
                self.eval(&choice.test);
                let mut branches = Vec::new();
                let mut either = |reader: &mut Self, choice: &'a Expr| {
                    let mark = reader.names.begin();
                    let value = reader.perhaps(|reader| reader.eval(choice));
                    branches.push(reader.names.end(mark));
                    value
                };
                let (one, other) = (either(self, &choice.body), either(self, &choice.orelse));
                self.names.join(branches, false);
                self.draft_loose(&one);
                self.draft_loose(&other);
                one.or(other)
            }
            Expr::BoolOp(choice) => {
                for (at, value) in choice.values.iter().enumerate() {
                    let value = if at == 0 { self.eval(value) } else { self.maybe(value) };
                    self.draft_loose(&value);
                }
                Value::Unknown
            }
            Expr::Compare(compare) => {
                self.eval(&compare.left);
                for (at, other) in compare.comparators.iter().enumerate() {
                    if at == 0 {
                        self.eval(other)
                    } else {
                        self.maybe(other)
                    };
                }
                Value::Unknown
            }
            Expr::UnaryOp(unary) => match (unary.op, self.eval(&unary.operand)) {
                (ast::UnaryOp::USub, Value::Number(number)) => {
                    number.checked_neg().map_or(Value::Unknown, Value::Number)
                }
                _ => Value::Unknown,
            },
            Expr::ListComp(each) => self.comprehension(&each.generators, &[&each.elt]),
            Expr::SetComp(each) => self.comprehension(&each.generators, &[&each.elt]),
            Expr::Generator(each) => self.comprehension(&each.generators, &[&each.elt]),
            Expr::DictComp(each) => match &each.key {
                Some(key) => self.comprehension(&each.generators, &[key, &each.value]),
                None => self.comprehension(&each.generators, &[&each.value]),
            },
            Expr::Starred(starred) => {
                let value = self.eval(&starred.value);
                self.draft_loose(&value);
                Value::Unknown
            }
            Expr::Await(inner) => {
                self.eval(&inner.value);
                Value::Unknown
            }
            Expr::Lambda(lambda) => {
                for parameter in lambda.parameters.iter().flat_map(|it| it.iter_non_variadic_params()) {
                    if let Some(default) = &parameter.default {
                        let value = self.eval(default);
                        self.draft_loose(&value);
                    }
                }
                let change = self.scan.within(lambda);
                self.lose(change);
                self.leaked |= !lambda.body.is_literal_expr();
                Value::Unknown
            }
            Expr::Slice(slice) => {
                for part in [&slice.lower, &slice.upper, &slice.step].into_iter().flatten() {
                    self.eval(part);
                }
                Value::Unknown
            }
            Expr::Yield(given) => {
                if let Some(value) = &given.value {
                    let value = self.eval(value);
                    self.draft_loose(&value);
                }
                Value::Unknown
            }
            _ => Value::Unknown,
        }
    }

    /// Something is done with what is in a list that is not followed, but not with the list.
    pub(super) fn draft_items(&mut self, value: &Value<'a>) {
        if !value.has_items() {
            return self.draft_loose(value);
        }
        value.spoil_items();
        self.loosen(value);
    }

    /// Something is done with a value that is not followed: DAGs may be kept, tasks may be wired.
    pub(super) fn draft_loose(&mut self, value: &Value<'a>) {
        value.spoil();
        self.loosen(value);
    }

    fn loosen(&mut self, value: &Value<'a>) {
        self.draft.keep(value, super::facts::Bound::Perhaps);
        let (draft, called, more) = (&mut self.draft, &mut self.called, &mut self.more_dags);
        let leaked = &mut self.leaked;
        value.each(&mut |value| match value {
            // Somebody else may call it.
            Value::Function(function) => {
                *leaked = true;
                *more |= called.insert(std::ptr::from_ref(function.def))
                    && matches!(function.kind, Kind::Dag(_) | Kind::Plain);
            }
            Value::Dag(dag) => draft.blur(Some(*dag)),
            Value::Task(task) => draft.blur(draft.tasks[*task].dag),
            Value::Group(group) => draft.blur(draft.groups[*group].dag),
            _ => {}
        });
    }

    /// Somebody has a function without its decorator.
    pub(super) fn bared(&mut self, function: &Function<'a>) {
        self.leaked = true;
        let change = self.scan.within(function.def);
        self.lose(change);
    }

    fn f_string(&mut self, text: &'a ast::ExprFString) -> Value<'a> {
        let mut whole = Some(String::new());
        let mut moving = None;
        let mut push = |piece: Option<&str>| match (&mut whole, piece) {
            (Some(text), Some(piece)) => text.push_str(piece),
            _ => whole = None,
        };
        for part in &text.value {
            match part {
                ast::FStringPart::Literal(literal) => push(Some(literal)),
                ast::FStringPart::FString(inner) => {
                    for element in &inner.elements {
                        match element {
                            ast::InterpolatedStringElement::Literal(literal) => push(Some(literal)),
                            ast::InterpolatedStringElement::Interpolation(piece) => {
                                let value = self.eval(&piece.expression);
                                let spec = piece.format_spec.iter().flat_map(|spec| &spec.elements);
                                for part in spec.filter_map(|part| part.as_interpolation()) {
                                    self.eval(&part.expression);
                                }
                                let plain = piece.format_spec.is_none()
                                    && piece.debug_text.is_none()
                                    && piece.conversion == ast::ConversionFlag::None;
                                match value {
                                    Value::Text(text) if plain => push(Some(&text)),
                                    Value::Number(number) if plain => push(Some(&number.to_string())),
                                    Value::Moving(name) => {
                                        moving = Some(name);
                                        push(None);
                                    }
                                    _ => push(None),
                                }
                            }
                        }
                    }
                }
            }
        }
        match (whole, moving) {
            (Some(text), _) => self.made(Value::text(&text)),
            (None, Some(name)) => Value::Moving(name),
            (None, None) => Value::Unknown,
        }
    }

    fn attribute(&mut self, attribute: &'a ast::ExprAttribute) -> Value<'a> {
        let name = attribute.attr.as_str();
        self.beside(attribute);
        match self.eval(&attribute.value) {
            Value::Symbol(symbol) => {
                // Whoever names it means to change it, in one of many ways.
                self.moves_path |= name == "path" && super::value::last(&symbol) == "sys";
                self.made(Value::Symbol(format!("{symbol}.{name}").into()))
            }
            Value::Task(task) if matches!(name, "output" | "operator") => Value::Task(task),
            Value::Moving(symbol) => Value::Moving(symbol),
            // A method of it, to be called later.
            value @ (Value::List(_) | Value::Dict(_) | Value::Partial(_)) => {
                self.draft_loose(&value);
                Value::Unknown
            }
            // `task.function` is what it decorates, and can be called.
            Value::Function(function) => {
                self.bared(&function);
                Value::Unknown
            }
            _ => Value::Unknown,
        }
    }

    fn subscript(&mut self, subscript: &'a ast::ExprSubscript) -> Value<'a> {
        let value = self.eval(&subscript.value);
        let key = self.eval(&subscript.slice);
        let found = match (&value, key) {
            // An item of what a task gives is still the task.
            (Value::Task(_), _) => return value,
            (Value::List(_), Value::Number(at)) => value.sequence().and_then(|items| {
                let from_end = if at < 0 { i64::try_from(items.len()).ok()? } else { 0 };
                items.get(usize::try_from(at + from_end).ok()?).cloned()
            }),
            (Value::Dict(_), Value::Text(key)) => value.table().and_then(|table| {
                let found = table.iter().rev().find(|(name, ..)| *name == key);
                found.map(|(_, _, value)| value.clone())
            }),
            _ => None,
        };
        found.unwrap_or_else(|| {
            self.draft_items(&value);
            Value::Unknown
        })
    }

    fn list(&mut self, shape: Shape, elements: &'a [Expr]) -> Value<'a> {
        let values: Vec<Value<'a>> = elements.iter().map(|element| self.eval(element)).collect();
        if elements.iter().any(Expr::is_starred_expr) {
            values.iter().for_each(|value| self.draft_loose(value));
            return Value::Unknown;
        }
        self.made(Value::items_of(shape, values))
    }

    fn dict(&mut self, dict: &'a ast::ExprDict) -> Value<'a> {
        let mut items = Vec::new();
        let mut whole = true;
        for item in &dict.items {
            let key = item.key.as_ref().map(|key| (self.lines.place(key), self.eval(key)));
            let value = self.eval(&item.value);
            match key {
                Some((place, Value::Text(key))) => items.push((key, place, value)),
                _ => {
                    self.draft_loose(&value);
                    whole = false;
                }
            }
        }
        if whole {
            return self.made(Value::dict(items));
        }
        items.iter().for_each(|(_, _, value)| self.draft_loose(value));
        Value::Unknown
    }

    fn binary(&mut self, binary: &'a ast::ExprBinOp) -> Value<'a> {
        let (left, right) = (self.eval(&binary.left), self.eval(&binary.right));
        match binary.op {
            Operator::RShift | Operator::LShift => {
                let place = self.lines.place(&*binary.right);
                if binary.op == Operator::RShift {
                    self.wire(&left, &right, place);
                } else {
                    self.wire(&right, &left, place);
                }
                right
            }
            Operator::Add => match (&left, &right) {
                (Value::Text(left), Value::Text(right)) => self.made(Value::text(&format!("{left}{right}"))),
                (Value::List(one), Value::List(other)) if one.shape == other.shape => {
                    match (left.sequence(), right.sequence()) {
                        (Some(left), Some(right)) => {
                            let items = left.iter().chain(right).cloned().collect();
                            self.made(Value::items_of(one.shape, items))
                        }
                        _ => self.loose(&left, &right),
                    }
                }
                (Value::Moving(name), _) | (_, Value::Moving(name)) => Value::Moving(name.clone()),
                _ => self.loose(&left, &right),
            },
            // `datetime.now() - timedelta(days=1)` moves too.
            Operator::Sub => match (&left, &right) {
                (Value::Moving(name), _) => Value::Moving(name.clone()),
                _ => self.loose(&left, &right),
            },
            Operator::Mod => match (&left, &right) {
                (Value::Text(text), Value::Text(value))
                    if text.matches('%').count() == 1 && text.contains("%s") =>
                {
                    self.made(Value::text(&text.replace("%s", value)))
                }
                (Value::Text(_), Value::Moving(name)) => Value::Moving(name.clone()),
                _ => self.loose(&left, &right),
            },
            _ => self.loose(&left, &right),
        }
    }

    fn loose(&mut self, left: &Value<'a>, right: &Value<'a>) -> Value<'a> {
        self.draft_loose(left);
        self.draft_loose(right);
        Value::Unknown
    }

    fn comprehension(&mut self, generators: &'a [ast::Comprehension], results: &[&'a Expr]) -> Value<'a> {
        let mark = self.names.begin();
        self.perhaps(|reader| {
            for generator in generators {
                let items = reader.eval(&generator.iter);
                reader.draft_items(&items);
                reader.names_in(&generator.target);
                for test in &generator.ifs {
                    reader.eval(test);
                }
            }
            for result in results {
                let value = reader.eval(result);
                reader.draft_loose(&value);
            }
        });
        // Its names are its own: as before again.
        drop(self.names.end(mark));
        Value::Unknown
    }

    fn names_in(&mut self, target: &'a Expr) {
        match target {
            Expr::Name(name) => self.names.set(name.id.as_str(), Value::Unknown),
            Expr::Tuple(tuple) => tuple.elts.iter().for_each(|target| self.names_in(target)),
            Expr::List(list) => list.elts.iter().for_each(|target| self.names_in(target)),
            Expr::Starred(starred) => self.names_in(&starred.value),
            _ => {}
        }
    }
}
