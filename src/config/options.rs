//! The one table of options. Flags, variables, keys of the file, the help, the manual, the completions and
//! `docs/options.md` all come from it; its rows are in the files below, one for each part of the documentation.

mod check;
mod connect;
mod process;
mod source;

use crate::config::value::Kind;

/// One option: everything there is to know about it.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    /// The long flag without its dashes, and the key in the file.
    pub name: &'static str,
    /// The shape of its value.
    pub kind: Kind,
    /// The default as the documentation shows it; empty when there is none. `resolve` has the value itself.
    pub default: &'static str,
    /// Variables; the first one that is set and not empty wins.
    pub vars: &'static [&'static str],
    /// Whether it belongs to the process or to a source.
    pub scope: Scope,
    /// Whether it says what a source *is*. Such flags and variables cannot describe several sources at once.
    pub identity: bool,
    /// Whether it may be given several times.
    pub repeatable: bool,
    /// What splits a variable that holds several values.
    pub split: Option<char>,
    /// A one-letter flag for it.
    pub short: Option<char>,
    /// Another long name for it.
    pub alias: Option<&'static str>,
    /// Where it can be said.
    pub places: Places,
    /// One line.
    pub help: &'static str,
    /// What else there is to know; may be empty.
    pub doc: &'static str,
    /// What we do about it.
    pub status: Status,
    /// The new name, when this one is deprecated. A deprecated name that is set overrides the new one.
    pub deprecated: Option<&'static str>,
}

/// Whether an option belongs to the process or to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Once in a process.
    Process,
    /// Once for each source.
    Source,
}

/// Where an option can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// As a flag, a variable and a key of the file.
    All,
    /// Not in the file: deprecated names, credentials, and the name of the file itself.
    NotFile,
    /// As a variable only.
    Variable,
}

/// What we do about an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Supported,
    /// Its feature comes later: a value other than the default is a usage error, so that nothing is silently ignored.
    NotYet,
    /// It refines another option and means nothing without it; type-checked only.
    Refines(&'static str),
    /// Accepted without a word because there is nothing to do for it. The text says why.
    Moot(&'static str),
    /// Accepted with this warning when set to something else than the default.
    Warns(&'static str),
}

impl Opt {
    const fn new(name: &'static str, scope: Scope, kind: Kind, help: &'static str) -> Opt {
        Opt {
            name,
            kind,
            default: "",
            vars: &[],
            scope,
            identity: false,
            repeatable: false,
            split: None,
            short: None,
            alias: None,
            places: Places::All,
            help,
            doc: "",
            status: Status::Supported,
            deprecated: None,
        }
    }

    const fn process(name: &'static str, kind: Kind, help: &'static str) -> Opt {
        Opt::new(name, Scope::Process, kind, help)
    }

    const fn source(name: &'static str, kind: Kind, help: &'static str) -> Opt {
        Opt::new(name, Scope::Source, kind, help)
    }

    const fn vars(mut self, vars: &'static [&'static str]) -> Opt {
        self.vars = vars;
        self
    }

    const fn default(mut self, default: &'static str) -> Opt {
        self.default = default;
        self
    }

    const fn doc(mut self, doc: &'static str) -> Opt {
        self.doc = doc;
        self
    }

    const fn identity(mut self) -> Opt {
        self.identity = true;
        self
    }

    const fn repeatable(mut self, split: Option<char>) -> Opt {
        self.repeatable = true;
        self.split = split;
        self
    }

    const fn short(mut self, short: char, alias: &'static str) -> Opt {
        self.short = Some(short);
        self.alias = Some(alias);
        self
    }

    const fn places(mut self, places: Places) -> Opt {
        self.places = places;
        self
    }

    const fn status(mut self, status: Status) -> Opt {
        self.status = status;
        self
    }

    const fn deprecated(mut self, new: &'static str) -> Opt {
        self.deprecated = Some(new);
        self.places = Places::NotFile;
        self
    }
}

/// A part of the documentation with its options.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// Its options, in the order they are shown.
    pub opts: &'static [Opt],
}

/// The table.
pub static SECTIONS: &[Section] = &[
    Section { title: "What to sync", opts: source::WHAT },
    Section { title: "When to sync", opts: source::WHEN },
    Section { title: "What is published", opts: source::PUBLISH },
    Section { title: "What is checked", opts: check::CHECK },
    Section { title: "Logging in", opts: connect::AUTH },
    Section { title: "Connecting", opts: connect::CONNECT },
    Section { title: "Telling others", opts: connect::HOOKS },
    Section { title: "The process", opts: process::PROCESS },
    Section { title: "Deprecated names", opts: process::DEPRECATED },
];

/// Every option.
pub fn all() -> impl Iterator<Item = &'static Opt> {
    SECTIONS.iter().flat_map(|section| section.opts)
}

/// The option of this name.
pub fn find(name: &str) -> Option<&'static Opt> {
    all().find(|opt| opt.name == name)
}

/// The candidate that looks most like `word`, if any is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= word.len().max(candidate.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests;
