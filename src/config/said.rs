//! What the user said, before anybody asks what it means: which option was set, where, to which text.
//!
//! Everything said is held as a [`Secret`], because a URL, a git setting or a mistyped flag may carry one.

mod children;
mod env;
mod file;
mod flags;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

pub use flags::arguments;

use crate::config::errors::{Errors, Problem};
use crate::config::options::{self, Opt};
use crate::path::absolute;
use crate::secret::Secret;

/// What the process knows of its surroundings, passed in so that nothing below reads process state.
#[derive(Debug, Clone)]
pub struct Surroundings {
    env: BTreeMap<String, Secret>,
    /// Where relative paths start. Absolute.
    pub cwd: PathBuf,
    /// Whether the log goes to a terminal.
    pub terminal: bool,
    /// Whether the machine has IPv6 (`/proc/net/if_inet6` exists): decides what `:1234` binds to.
    pub ipv6: bool,
}

impl Surroundings {
    /// From `std::env::vars_os()` and its like. Variables that are not UTF-8 cannot be settings of ours.
    pub fn new(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
        cwd: impl Into<PathBuf>,
        terminal: bool,
        ipv6: bool,
    ) -> Self {
        let utf8 = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, Secret::new(value.into_string().ok()?)))
        };
        Surroundings { env: vars.into_iter().filter_map(utf8).collect(), cwd: cwd.into(), terminal, ipv6 }
    }

    /// A variable that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(Secret::expose).filter(|value| !value.is_empty())
    }

    /// All variables, with their names.
    pub fn vars(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }
}

/// Flags and surroundings: what stays the same when the config file is read again.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The flags, and what is wrong with them.
    pub(crate) flags: Layer,
    pub(crate) flag_errors: Errors,
    /// Environment and the like.
    pub surroundings: Surroundings,
}

impl Inputs {
    /// From the arguments behind the program's name (and behind `run`).
    pub fn new(args: impl IntoIterator<Item = OsString>, surroundings: Surroundings) -> Self {
        let mut flag_errors = Errors::default();
        let flags = flags::read(args, &mut flag_errors);
        Inputs { flags, flag_errors, surroundings }
    }

    /// The config file to read, absolute. Its text goes to [`load`](crate::config::load).
    pub fn config_file(&self) -> Option<PathBuf> {
        let opt = options::find("config")?;
        let flag = self.flags.get(opt.name).map(Setting::text).filter(|path| !path.is_empty());
        let path = flag.or_else(|| opt.vars.iter().find_map(|var| self.surroundings.var(var)))?;
        Some(absolute(Path::new(path), &self.surroundings.cwd))
    }
}

/// Where a setting was said; shown at the start of every message about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// As a flag.
    Flag(&'static str),
    /// In a variable.
    Var(&'static str),
    /// In the file.
    File {
        /// The key.
        key: &'static str,
        /// The line, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) => write!(f, "--{name}"),
            Origin::Var(name) => f.write_str(name),
            Origin::File { key, line } => write!(f, "config file, line {line}: {key}"),
        }
    }
}

/// One option as it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// One, or more for a repeatable option. Never none.
    values: Vec<Secret>,
    /// Where.
    pub origin: Origin,
}

impl Setting {
    /// A setting of one value.
    pub fn one(value: impl Into<String>, origin: Origin) -> Self {
        Setting { values: vec![Secret::new(value)], origin }
    }

    /// A setting of several values; of none, it is one empty value.
    pub fn several(values: Vec<Secret>, origin: Origin) -> Self {
        Setting { values: if values.is_empty() { vec![Secret::new("")] } else { values }, origin }
    }

    /// The last value: of a flag given twice, the last one counts, as in git-sync.
    pub fn text(&self) -> &str {
        self.values.last().map(Secret::expose).unwrap_or_default()
    }

    /// Every value.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(Secret::expose)
    }

    /// Empty is not set.
    pub fn is_empty(&self) -> bool {
        self.texts().all(str::is_empty)
    }
}

/// The settings from one place, by option name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layer(BTreeMap<&'static str, Setting>);

impl Layer {
    /// The setting of an option, if it is there and not empty.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name).filter(|setting| !setting.is_empty())
    }

    /// Sets an option.
    pub fn set(&mut self, name: &'static str, setting: Setting) {
        self.0.insert(name, setting);
    }

    /// Every option that is set and not empty.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.0.iter().filter(|(_, setting)| !setting.is_empty()).map(|(name, setting)| (*name, setting))
    }
}

/// Everything that was said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Flags.
    pub flags: Layer,
    /// Variables.
    pub env: Layer,
    /// Top level of the file.
    pub file: Layer,
    /// `[[source]]` tables of the file, with their lines.
    pub sources: Vec<(Layer, usize)>,
    /// Names of variables that look like ours and are not.
    pub warnings: Vec<String>,
}

impl Said {
    /// Reads everything. Problems go to `errors`; what could be read is returned nevertheless, so that the rest is
    /// checked in the same go.
    pub fn read(inputs: &Inputs, file: Option<&str>, errors: &mut Errors) -> Said {
        errors.extend(inputs.flag_errors.clone());
        let (env, warnings) = env::read(&inputs.surroundings.env);
        let mut said = Said { flags: inputs.flags.clone(), env, warnings, ..Said::default() };
        if let Some(text) = file {
            file::read(text, &mut said, errors);
        }
        if !said.sources.is_empty() {
            said.refuse_identities(errors);
        }
        said
    }

    /// The effective settings of a source, or with `None` of the process.
    pub fn view<'a>(&'a self, source: Option<&'a Layer>) -> View<'a> {
        let layers = [Some(&self.flags), Some(&self.env), source, Some(&self.file)];
        View { layers: layers.into_iter().flatten().collect() }
    }

    /// A flag or variable cannot say which of several sources it means.
    fn refuse_identities(&self, errors: &mut Errors) {
        for (name, setting) in self.flags.iter().chain(self.env.iter()) {
            if options::find(name).is_some_and(|opt| opt.identity && is_supported(opt)) {
                errors.push(
                    Problem::new(format!(
                        "{}: cannot be used with [[source]] in the config file",
                        setting.origin
                    ))
                    .hint("say it in the file, for the source it is meant for"),
                );
            }
        }
    }
}

/// An option that means nothing to us cannot contradict the file.
fn is_supported(opt: &Opt) -> bool {
    matches!(opt.status, options::Status::Supported | options::Status::NotYet)
}

/// Layers laid over each other: flag, variable, source table, top level of the file.
#[derive(Debug, Clone)]
pub struct View<'a> {
    layers: Vec<&'a Layer>,
}

impl<'a> View<'a> {
    /// The setting that counts: the first layer that has one that is not empty.
    pub fn get(&self, name: &str) -> Option<&'a Setting> {
        self.layers.iter().find_map(|layer| layer.get(name))
    }

    /// Its text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).map(Setting::text)
    }
}

#[cfg(test)]
mod tests;
