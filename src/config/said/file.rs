//! The file `dagsync.toml`.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::config::errors::{Errors, Problem};
use crate::config::options::{self, Opt, Places, Scope};
use crate::config::said::{Layer, Origin, Said, Setting};
use crate::config::value::Kind;
use crate::secret::Secret;

/// Reads the file's text into `said`.
pub(super) fn read(text: &str, said: &mut Said, errors: &mut Errors) {
    let lines = Lines(text);
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            // Only the bare message: the parser's full text repeats the line, and there may be a token in it.
            let line = error.span().map_or(1, |span| lines.of(span.start));
            let message = error.message().lines().next().unwrap_or("not valid TOML").to_owned();
            errors.push(Problem::new(format!("config file, line {line}: {message}")));
            return;
        }
    };
    for (key, value) in table.get_ref() {
        if key.get_ref() == "source" {
            read_sources(value, &lines, said, errors);
        } else {
            read_key(key, value, None, &lines, &mut said.file, errors);
        }
    }
}

fn read_sources(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>, said: &mut Said, errors: &mut Errors) {
    let line = lines.of(value.span().start);
    let DeValue::Array(tables) = value.get_ref() else {
        let problem = Problem::new(format!("config file, line {line}: source must be a list of tables"));
        errors.push(problem.hint("write `[[source]]`, with two brackets"));
        return;
    };
    for table in tables.iter() {
        let line = lines.of(table.span().start);
        let DeValue::Table(table) = table.get_ref() else {
            errors.push(Problem::new(format!("config file, line {line}: source must be a list of tables")));
            continue;
        };
        let mut layer = Layer::default();
        for (key, value) in table {
            read_key(key, value, Some(Scope::Source), lines, &mut layer, errors);
        }
        said.sources.push((layer, line));
    }
}

fn read_key(
    key: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
    only: Option<Scope>,
    lines: &Lines<'_>,
    layer: &mut Layer,
    errors: &mut Errors,
) {
    let name = key.get_ref().as_ref();
    let line = lines.of(key.span().start);
    let here = |what: &str| Problem::new(format!("config file, line {line}: {what}"));
    let opt = match options::find(name) {
        Some(opt) if opt.kind == Kind::Secret => {
            let problem = here(&format!("{name}: a credential does not belong in the file"));
            errors.push(problem.hint("use `password-file`, or the variable `GITSYNC_PASSWORD`"));
            return;
        }
        Some(opt) if opt.places != Places::All => {
            let problem = here(&format!("{name}: cannot be set in the file"));
            errors.push(match opt.deprecated {
                Some(new) => problem.hint(format!("its new name is `{new}`")),
                None => problem.hint("it is a flag or variable only"),
            });
            return;
        }
        Some(opt) if only.is_some_and(|scope| opt.scope != scope) => {
            errors.push(
                here(&format!("{name}: belongs to the process")).hint("move it above the first [[source]]"),
            );
            return;
        }
        Some(opt) => opt,
        None => {
            let keys = options::all().filter(|opt| opt.places == Places::All).map(|opt| opt.name);
            let keys = keys.chain(["source"]);
            errors.push(here(&format!("unknown key `{}`", name.escape_debug())).nearest(name, keys));
            return;
        }
    };
    let origin = Origin::File { key: opt.name, line };
    match values(opt, value.get_ref()) {
        Ok(values) => layer.set(opt.name, Setting::several(values, origin)),
        Err(expected) => errors.push(Problem::new(format!("{origin}: {expected} is expected"))),
    }
}

/// The value as the text that a flag would have, or what is expected instead.
fn values(opt: &Opt, value: &DeValue<'_>) -> Result<Vec<Secret>, &'static str> {
    if let (true, DeValue::Array(items)) = (opt.repeatable, value) {
        return items.iter().map(|item| one(opt, item.get_ref())).collect();
    }
    Ok(vec![one(opt, value)?])
}

fn one(opt: &Opt, value: &DeValue<'_>) -> Result<Secret, &'static str> {
    let number = matches!(opt.kind, Kind::Int { .. } | Kind::Size | Kind::Signal);
    match (opt.kind, value) {
        (_, DeValue::String(text)) => Ok(Secret::new(text.as_ref())),
        (Kind::Bool, DeValue::Boolean(on)) => Ok(Secret::new(on.to_string())),
        (_, DeValue::Integer(digits)) if number => i64::from_str_radix(digits.as_str(), digits.radix())
            .map(|n| Secret::new(n.to_string()))
            .map_err(|_| "a number"),
        // `0` is the one duration that needs no unit.
        (Kind::Duration { .. }, DeValue::Integer(digits)) if digits.as_str() == "0" => Ok(Secret::new("0")),
        (Kind::Duration { .. }, _) => Err("a duration in quotes, as in \"10s\","),
        (Kind::Bool, _) => Err("true or false"),
        _ if number => Err("a number"),
        _ => Err("a text in quotes"),
    }
}

/// Line numbers of byte offsets.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn of(&self, offset: usize) -> usize {
        1 + self.0.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
    }
}
