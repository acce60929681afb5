//! Flags: the arguments of `clap` come out of the table, and pflag's ways are kept.

use std::ffi::OsString;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use crate::config::errors::{Errors, Problem};
use crate::config::options::{self, Opt, Places};
use crate::config::said::{Layer, Origin, Setting};
use crate::config::value::Kind;
use crate::secret::Secret;

/// The arguments of every option, for help, manual, completions and reading alike.
pub fn arguments() -> Vec<Arg> {
    options::SECTIONS
        .iter()
        .flat_map(|section| section.opts.iter().map(move |opt| (section.title, opt)))
        .filter(|(_, opt)| opt.places != Places::Variable)
        .map(|(title, opt)| argument(opt).help_heading(title))
        .collect()
}

fn argument(opt: &'static Opt) -> Arg {
    let mut arg = Arg::new(opt.name)
        .long(opt.name)
        .value_name(opt.kind.placeholder().to_ascii_uppercase())
        .value_parser(ValueParser::string())
        .action(ArgAction::Append)
        .help(help(opt))
        .hide(opt.deprecated.is_some());
    if let Some(short) = opt.short {
        arg = arg.short(short);
    }
    if let Some(alias) = opt.alias {
        arg = arg.alias(alias);
    }
    match opt.kind {
        // As in pflag the value of a boolean needs the `=`.
        Kind::Bool => {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL")
        }
        Kind::Choice(words) => arg.allow_hyphen_values(true).value_name(words.join("|")),
        _ => arg.allow_hyphen_values(true),
    }
}

fn help(opt: &Opt) -> String {
    let mut text = opt.help.to_owned();
    if !opt.default.is_empty() {
        text += &format!(" [default: {}]", opt.default);
    }
    if opt.status == options::Status::NotYet {
        text += " (not supported yet)";
    }
    text
}

/// Reads flags. Every unknown one is told, not only the first.
pub(super) fn read(args: impl IntoIterator<Item = OsString>, errors: &mut Errors) -> Layer {
    let mut args = utf8(args, errors);
    // `clap` stops at the first thing it does not know: take that away and try again.
    for _ in 0..=args.len() {
        let command = Command::new("dagsync")
            .no_binary_name(true)
            .disable_help_flag(true)
            .disable_version_flag(true)
            .args(arguments());
        match command.try_get_matches_from(&args) {
            Ok(matches) => return layer(&matches),
            Err(error) => match blame(&error, &mut args) {
                Some(problem) => errors.push(problem),
                None => break,
            },
        }
    }
    errors.push(Problem::new("the flags cannot be read").hint("see `dagsync --help`"));
    Layer::default()
}

fn utf8(args: impl IntoIterator<Item = OsString>, errors: &mut Errors) -> Vec<String> {
    let mut texts = Vec::new();
    for (index, arg) in args.into_iter().enumerate() {
        match arg.into_string() {
            Ok(text) => texts.push(text),
            Err(_) => errors.push(Problem::new(format!("argument {} is not valid UTF-8", index + 1))),
        }
    }
    texts
}

fn layer(matches: &clap::ArgMatches) -> Layer {
    let mut layer = Layer::default();
    for opt in options::all().filter(|opt| opt.places != Places::Variable) {
        if let Some(values) = matches.get_many::<String>(opt.name) {
            let values = values.map(|value| Secret::new(value.as_str())).collect();
            layer.set(opt.name, Setting::several(values, Origin::Flag(opt.name)));
        }
    }
    layer
}

/// What is wrong, without any value: `--pasword hunter2` must not end in a log. Takes the culprit out of `args`.
fn blame(error: &clap::Error, args: &mut Vec<String>) -> Option<Problem> {
    let invalid = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.first()?.clone(),
        _ => return None,
    };
    match error.kind() {
        ErrorKind::UnknownArgument if invalid.starts_with('-') => {
            let flag = invalid.split(['=', ' ']).next().unwrap_or_default().to_owned();
            let names = |arg: &String| {
                *arg == flag || arg.strip_prefix(&flag).is_some_and(|rest| rest.starts_with('='))
            };
            // `-xyz` is blamed as `-x`.
            let at =
                args.iter().position(names).or_else(|| args.iter().position(|arg| arg.starts_with(&flag)))?;
            let lone = args.remove(at) == flag;
            if lone && args.get(at).is_some_and(|next| !next.starts_with('-')) {
                args.remove(at);
            }
            let known = options::all().filter(|opt| opt.places != Places::Variable).map(|opt| opt.name);
            let known: Vec<String> = known.map(|name| format!("--{name}")).collect();
            let problem = Problem::new(format!("unknown flag `{}`", flag.escape_debug()));
            Some(problem.nearest(&flag, known.iter().map(String::as_str)))
        }
        ErrorKind::UnknownArgument => {
            let at = args.iter().position(|arg| *arg == invalid)?;
            args.remove(at);
            let problem = Problem::new(format!("unexpected argument at position {}", at + 1));
            Some(problem.hint("flags are `--flag=value` or `--flag value`; a boolean's value needs the `=`"))
        }
        // The only thing left that can go wrong: the last argument is a flag without its value.
        _ => {
            let flag = invalid.split([' ', '=']).next().unwrap_or_default().to_owned();
            let last = args.pop()?;
            if !last.starts_with('-') {
                return None;
            }
            Some(Problem::new(format!("{flag}: a value is expected")))
        }
    }
}
