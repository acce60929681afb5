//! The command line: which command was meant.
//!
//! Plain flags mean `run`, because git-sync's users give no sub-command and charts give no arguments at all. Pure: the
//! arguments and the surroundings are passed in, texts to print are returned.

pub mod ask;
pub mod check;
mod command;
pub mod demo;
pub mod plan;
mod probe;
mod scratch;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgMatches;
use clap::error::{ContextKind, ContextValue, ErrorKind};

pub use check::CheckArgs;
pub use command::command;
pub use plan::PlanArgs;
pub use probe::{Probe, ProbeArgs};

use crate::agent::limits::{self, Limits};
use crate::config::{self, Config, Errors, Inputs, Problem, Surroundings};
use crate::path::absolute;

/// What was asked for.
#[derive(Debug)]
pub enum Command {
    /// The agent. The inputs go to [`config::load`], together with the text of [`Inputs::config_file`].
    Run(Box<Inputs>),
    /// The demonstration.
    Demo(DemoArgs),
    /// What the gate would say of a folder.
    Check(Box<CheckArgs>),
    /// What is ahead of an agent with these settings.
    Plan(Box<PlanArgs>),
    /// An exec probe: ask the agent that runs beside.
    Probe(ProbeArgs),
    /// Print this and exit 0: help, manual, completions, version, the pages made of tables.
    Print(String),
    /// Exit 0: the image has no shell, and `/bin/true` is a link to us.
    True,
    /// Become the operator's program with these limits. Nobody types this: the agent does.
    Limited(Limited),
    /// Sleep, then exit 0: `/bin/sleep`. `None` = for ever.
    Sleep(Option<Duration>),
}

/// A program, its arguments, and what it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// What it may take.
    pub limits: Limits,
    /// Its name, as it was given.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
}

/// `dagsync demo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoArgs {
    /// Pause between two commits.
    pub interval: Duration,
    /// How many commits; 0 = for ever.
    pub commits: u64,
    /// Where to work, and leave it; without it a temporary folder goes away at the end. Absolute.
    pub keep_dir: Option<PathBuf>,
}

/// Reads the command line, the program's name first. Errors are printed and end in exit code 64; problems with the
/// options of `run` come later, from [`config::load`], together with all others.
pub fn parse(args: impl IntoIterator<Item = OsString>, around: Surroundings) -> Result<Command, Errors> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let program = if args.is_empty() { OsString::new() } else { args.remove(0) };
    match Path::new(&program).file_name().and_then(|name| name.to_str()) {
        Some("true") => return Ok(Command::True),
        Some("sleep") => return read_sleep(&args),
        // The image's name for those who call git-sync by path: it has no sub-commands.
        Some("git-sync") => return run(args, around),
        _ => {}
    }
    match args.first().and_then(|arg| arg.to_str()) {
        Some("run") => {
            args.remove(0);
            run(args, around)
        }
        Some("plan") => {
            args.remove(0);
            plan(args, around)
        }
        Some(limits::COMMAND) => limited(&args[1..]),
        Some(name) if command::is_subcommand(name) => subcommand(args, &around),
        Some(name) if !name.starts_with('-') => Err(unknown_command(name)),
        _ => run(args, around),
    }
}

fn unknown_command(name: &str) -> Errors {
    let shown: String = name.chars().take(40).collect();
    let problem = Problem::new(format!("unknown command `{}`", shown.escape_debug()));
    match config::options::nearest(name, command::SUBCOMMANDS.iter().copied()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("see `dagsync --help`; flags are `--flag=value` or `--flag value`"),
    }
    .into()
}

fn limited(args: &[OsString]) -> Result<Command, Errors> {
    let number = |at: usize| args.get(at)?.to_str()?.parse().ok();
    match (number(0), number(1), args.get(2..).and_then(<[_]>::split_first)) {
        (Some(seconds), Some(memory), Some((program, args))) => {
            let limits = Limits { seconds, memory };
            Ok(Command::Limited(Limited { limits, program: program.clone(), args: args.to_vec() }))
        }
        _ => Err(unknown_command(limits::COMMAND)),
    }
}

fn run(args: Vec<OsString>, around: Surroundings) -> Result<Command, Errors> {
    // What prints and exits wins over whatever else is there, wrong settings included.
    let mut rest = Vec::with_capacity(args.len());
    let mut print = None;
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--help" | "-h" | "-?") => print = print.or(Some(command::help())),
            Some("--man") => print = print.or(Some(command::manual())),
            Some("--version") => print = print.or(Some(command::version())),
            // A value that looks like one of those flags is still a value.
            Some(flag) if command::takes_next(flag) => {
                rest.push(arg);
                rest.extend(args.next());
            }
            _ => rest.push(arg),
        }
    }
    Ok(match print {
        Some(text) => Command::Print(text),
        None => Command::Run(Box::new(Inputs::new(rest, around))),
    })
}

/// The agent's options, and a format.
fn plan(args: Vec<OsString>, around: Surroundings) -> Result<Command, Errors> {
    let mut rest = Vec::with_capacity(args.len());
    let mut format = None;
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--help" | "-h" | "-?") => return Ok(Command::Print(command::help_of("plan"))),
            Some("--format") => {
                let next = args.next().map(|value| value.to_string_lossy().into_owned());
                format = Some(next.unwrap_or_default());
            }
            Some(flag) if flag.starts_with("--format=") => {
                format = flag.strip_prefix("--format=").map(str::to_owned);
            }
            Some(flag) if command::takes_next(flag) => {
                rest.push(arg);
                rest.extend(args.next());
            }
            _ => rest.push(arg),
        }
    }
    let inputs = Inputs::new(rest, around.clone());
    Ok(Command::Plan(Box::new(plan::args(format.as_deref(), inputs, &around)?)))
}

/// Reads the agent's configuration, at start and on every change of its file.
pub fn load(inputs: &Inputs) -> Result<Config, Errors> {
    let text =
        match inputs.config_file() {
            None => None,
            Some(path) => Some(std::fs::read_to_string(&path).map_err(|err| {
                Errors::from(Problem::new(format!("config file `{}`: {err}", path.display())))
            })?),
        };
    config::load(inputs, text.as_deref())
}

/// Whether whoever reads the output wants no colours, wherever it goes.
fn no_colour(around: &Surroundings) -> bool {
    around.var("NO_COLOR").is_some() || around.var("TERM") == Some("dumb")
}

fn subcommand(args: Vec<OsString>, around: &Surroundings) -> Result<Command, Errors> {
    let matches = match command().no_binary_name(true).try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Command::Print(error.to_string()));
        }
        Err(error) => return Err(misused(&error)),
    };
    let mut errors = Errors::default();
    let command = match matches.subcommand() {
        Some(("demo", demo)) => Command::Demo(demo_args(demo, around, &mut errors)),
        Some(("check", check)) => Command::Check(Box::new(check::args(check, around, &mut errors))),
        Some(("probe", probe)) => Command::Probe(probe::args(probe, around, &mut errors)),
        Some(("completions", shell)) => {
            match shell.get_one::<String>("shell").and_then(|name| name.parse().ok()) {
                Some(shell) => Command::Print(command::completions(shell)),
                None => return Err(Problem::new("completions: a shell is expected").into()),
            }
        }
        Some(("man", _)) => Command::Print(command::manual()),
        Some(("options-doc", _)) => Command::Print(config::docs::options_page()),
        Some(("findings-doc", _)) => Command::Print(crate::check::docs::findings_page()),
        _ => Command::Print(command::help()),
    };
    if errors.is_empty() { Ok(command) } else { Err(errors) }
}

/// `clap`'s complaint in our style. No value is repeated.
fn misused(error: &clap::Error) -> Errors {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.split(['=', ' ']).next().unwrap_or_default().to_owned(),
        Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    let message = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            format!("unknown flag `{}`", argument.escape_debug())
        }
        ErrorKind::UnknownArgument => "unexpected argument".to_owned(),
        ErrorKind::InvalidValue => format!("{argument}: the value is not one of those allowed, or missing"),
        ErrorKind::MissingRequiredArgument => format!("missing argument: {argument}"),
        _ => "the arguments cannot be read".to_owned(),
    };
    Problem::new(message).hint("see `dagsync help`").into()
}

fn demo_args(matches: &ArgMatches, around: &Surroundings, errors: &mut Errors) -> DemoArgs {
    let interval = duration(matches, "interval", errors).unwrap_or(Duration::from_secs(3));
    let commits = matches.get_one::<String>("commits").map_or(Some(0), |text| text.parse().ok());
    if commits.is_none() {
        errors.push(Problem::new("--commits: is not a whole number"));
    }
    let keep_dir = matches.get_one::<String>("keep-dir").map(|path| absolute(Path::new(path), &around.cwd));
    DemoArgs { interval, commits: commits.unwrap_or(0), keep_dir }
}

/// A duration that was given, or `None` when it was not or is wrong, which is in the errors then.
fn duration(matches: &ArgMatches, name: &str, errors: &mut Errors) -> Option<Duration> {
    let text = matches.get_one::<String>(name)?;
    config::duration::parse(text)
        .map_err(|why| {
            errors.push(Problem::new(format!("--{name}: `{}` is not a duration: {why}", text.escape_debug())))
        })
        .ok()
}

/// `/bin/sleep`, and its exit code; `None` = for ever.
#[expect(clippy::disallowed_methods, reason = "it is what was asked for")]
pub fn sleep(time: Option<Duration>) -> u8 {
    match time {
        Some(time) => std::thread::sleep(time),
        None => loop {
            std::thread::park();
        },
    }
    0
}

/// Writes what a command has to say. A pager that was closed early is no error; a full disk is.
///
/// # Errors
/// Of the write.
pub fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(err) if err.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

/// The end, at once: somebody asked twice. A crash at any point is safe.
#[expect(clippy::disallowed_methods, reason = "threads are abandoned on purpose")]
pub fn exit_now(code: u8) -> ! {
    std::process::exit(code.into())
}

/// coreutils' `sleep`, as far as exec probes and `preStop` hooks use it: numbers with an optional unit, summed up.
fn read_sleep(args: &[OsString]) -> Result<Command, Errors> {
    let mut total = Duration::ZERO;
    for arg in args {
        let text = arg.to_string_lossy();
        if matches!(text.as_ref(), "infinity" | "inf") {
            return Ok(Command::Sleep(None));
        }
        let text =
            if text.ends_with(|c: char| c.is_ascii_digit()) { format!("{text}s") } else { text.into_owned() };
        match config::duration::parse(&text) {
            Ok(part) => total += part,
            Err(_) => return Err(Problem::new("sleep: a number of seconds is expected").into()),
        }
    }
    if args.is_empty() {
        return Err(Problem::new("sleep: a number of seconds is expected").into());
    }
    Ok(Command::Sleep(Some(total)))
}
