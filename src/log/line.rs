//! One event as one line: for people, or as a JSON object.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};

use super::escape::{clip, escape};

/// No line is longer than this, in bytes, line break included: the container runtimes' log format splits lines at
/// 16 KiB, and half a JSON object is none.
pub const MAX_LINE: usize = 16 * 1024;
/// Bytes of a message, after escaping. Twice that (JSON quotes every backslash) still leaves room for fields.
const MAX_MESSAGE: usize = 4 * 1024;
/// Bytes of one value, after escaping.
const MAX_VALUE: usize = 2 * 1024;
/// Room for the mark of a cut line and the line break.
const TAIL: usize = 32;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Human { colour: bool },
    Json,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// Escaped and clipped.
    Text(String),
    /// A number or a truth value, as JSON has it.
    Literal(String),
}

/// The fields of an event or of a span. Text is escaped as it comes in, so nothing raw is ever held.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    message: String,
    source: Option<String>,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Adds the fields of an inner span; what is inside wins.
    pub(super) fn extend(&mut self, inner: &Fields) {
        if inner.source.is_some() {
            self.source.clone_from(&inner.source);
        }
        for (name, value) in &inner.others {
            self.set(name, value.clone());
        }
    }

    fn set(&mut self, name: &'static str, value: Value) {
        match self.others.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.others.push((name, value)),
        }
    }

    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "message" => self.message = clip(escape(text), MAX_MESSAGE).into_owned(),
            "source" => self.source = Some(clip(escape(text), MAX_VALUE).into_owned()),
            name => self.set(name, Value::Text(clip(escape(text), MAX_VALUE).into_owned())),
        }
    }

    fn literal(&mut self, field: &Field, value: impl fmt::Display) {
        match field.name() {
            "message" | "source" => self.text(field, &value.to_string()),
            name => self.set(name, Value::Literal(value.to_string())),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.literal(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.literal(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.text(field, &value.to_string());
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.text(field, &value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.literal(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity.
        if value.is_finite() { self.literal(field, value) } else { self.text(field, &value.to_string()) }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(inner) = cause {
            let shown = inner.to_string();
            // Wrappers that already show their cause would say it twice.
            if !text.ends_with(&shown) {
                text.push_str(": ");
                text.push_str(&shown);
            }
            cause = inner.source();
        }
        self.text(field, &text);
    }
}

/// The whole line, line break included.
pub(super) fn render(look: Look, now: SystemTime, metadata: &Metadata<'_>, fields: &Fields) -> String {
    let time = humantime::format_rfc3339_millis(now).to_string();
    let library = match metadata.target() {
        ours if ours == "dagsync" || ours.starts_with("dagsync::") => None,
        other => Some(escape(other)),
    };
    let mut line = String::with_capacity(256);
    match look {
        Look::Human { colour } => human(&mut line, colour, &time, *metadata.level(), library, fields),
        Look::Json => json(&mut line, &time, *metadata.level(), library, fields),
    }
    line.push('\n');
    line
}

fn human(
    line: &mut String,
    colour: bool,
    time: &str,
    level: Level,
    library: Option<Cow<'_, str>>,
    fields: &Fields,
) {
    let (name, paint) = match level {
        Level::ERROR => ("ERROR", "31"),
        Level::WARN => ("WARN", "33"),
        Level::INFO => ("INFO", "32"),
        Level::DEBUG => ("DEBUG", "34"),
        Level::TRACE => ("TRACE", "35"),
    };
    let painted = |line: &mut String, paint: &str, text: &str| {
        if colour {
            let _ = write!(line, "\u{1b}[{paint}m{text}\u{1b}[0m");
        } else {
            line.push_str(text);
        }
    };
    painted(line, "2", time);
    line.push(' ');
    painted(line, paint, name);
    line.push_str(if name.len() == 4 { "  " } else { " " });
    if let Some(source) = &fields.source {
        painted(line, "1", source);
        line.push_str(": ");
    }
    line.push_str(&fields.message);
    let library = library.map(|target| ("target", Value::Text(target.into_owned())));
    for (name, value) in library.iter().chain(&fields.others) {
        let shown = match value {
            Value::Literal(text) => Cow::Borrowed(text.as_str()),
            Value::Text(text) if is_one_word(text) => Cow::Borrowed(text.as_str()),
            Value::Text(text) => Cow::Owned(format!("\"{}\"", text.replace('"', "\\\""))),
        };
        if line.len() + name.len() + shown.len() + TAIL > MAX_LINE {
            line.push_str(" …");
            break;
        }
        line.push(' ');
        painted(line, "2", name);
        line.push('=');
        line.push_str(&shown);
    }
}

fn is_one_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"' || c == '=')
}

fn json(line: &mut String, time: &str, level: Level, library: Option<Cow<'_, str>>, fields: &Fields) {
    let level = match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let _ = write!(line, "{{\"ts\":\"{time}\",\"level\":\"{level}\"");
    if let Some(source) = &fields.source {
        let _ = write!(line, ",\"source\":{}", quoted(source));
    }
    let _ = write!(line, ",\"msg\":{}", quoted(&fields.message));
    if let Some(target) = &library {
        let _ = write!(line, ",\"target\":{}", quoted(target));
    }
    for (name, value) in &fields.others {
        let value = match value {
            Value::Literal(text) => Cow::Borrowed(text.as_str()),
            Value::Text(text) => Cow::Owned(quoted(text)),
        };
        // Two members of one name are read differently by every parser.
        let suffix = if matches!(*name, "ts" | "level" | "msg" | "target" | "truncated") { "_" } else { "" };
        if line.len() + name.len() + value.len() + TAIL > MAX_LINE {
            line.push_str(",\"truncated\":true");
            break;
        }
        let _ = write!(line, ",{}:{value}", quoted(&format!("{name}{suffix}")));
    }
    line.push('}');
}

/// As a JSON string.
fn quoted(text: &str) -> String {
    // A string always can be.
    serde_json::to_string(text).unwrap_or_default()
}
