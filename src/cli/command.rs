//! The whole command for `clap`: help, manual and completions come out of it, and the sub-commands are read with it. The
//! options of `run` are the table's.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};
use clap_complete::Shell;

use crate::config::options;
use crate::config::said::arguments;
use crate::config::value::Kind;

/// The names that are commands when they stand first.
pub(super) const SUBCOMMANDS: &[&str] =
    &["run", "plan", "check", "demo", "probe", "man", "completions", "help", "options-doc", "findings-doc"];

const ABOUT: &str = "Keeps a directory of Airflow DAGs equal to a ref of a git repository";

const LONG_ABOUT: &str = "Keeps a directory of Airflow DAGs equal to a ref of a git repository, and replaces git-sync \
by changing one image name. Without a command it runs the agent. Every option can be a flag, a variable or a key of the \
config file; a flag beats a variable, a variable beats the file.";

pub(super) fn is_subcommand(name: &str) -> bool {
    SUBCOMMANDS.contains(&name)
}

/// The command with everything in it.
pub fn command() -> Command {
    let printing = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
    };
    let value = |name: &'static str, placeholder: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(placeholder).value_parser(ValueParser::string()).help(help)
    };
    // The root's own help flag is only read by `run`; the sub-commands have clap's.
    let help = || Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Print help");
    let demo = Command::new("demo")
        .arg(help())
        .about("Show what it does: offline, with a small repository of its own")
        .arg(value("interval", "DURATION", "Pause between two commits [default: 3s]"))
        .arg(value("commits", "NUMBER", "How many commits to make; 0 = for ever [default: 0]"))
        .arg(value("keep-dir", "PATH", "Work in this folder and leave it there"));
    let formats = ["text", "json", "sarif", "junit", "github", "gitlab"];
    let check = Command::new("check")
        .arg(help())
        .about("Check a DAGs folder as the gate does: exit 0 clean, 1 findings, 64 wrong usage")
        .arg(
            Arg::new("folder")
                .value_name("DIR")
                .help("The DAGs folder [default: .]; with `--repo` below its top"),
        )
        .arg(value("against", "DIR|REV", "Errors that this folder or revision has already do not count"))
        .arg(value("airflow", "VERSION", "For this Airflow, 2.7 to 3.3 [default: 3.3]"))
        .arg(value("python", "VERSION", "On this Python, 3.8 to 3.15 [default: 3.12]"))
        .arg(
            value("ignore-syntax", "SYNTAX", "How `.airflowignore` is read [default: that of the Airflow]")
                .value_parser(["glob", "regexp"]),
        )
        .arg(printing("no-safe-mode", "As Airflow with `dag_discovery_safe_mode = False`"))
        .arg(printing("untracked", "In a git work tree, check also what git does not track"))
        .arg(value("format", "FORMAT", "How findings are written [default: text]").value_parser(formats))
        .arg(printing("list", "Print the files that Airflow would load, one a line"))
        .args(arguments().into_iter().filter(is_of_remote).map(|arg| match arg.get_id().as_str() {
            "repo" => arg.help("Check a revision of this repository, which is fetched and never checked out"),
            "ref" => arg.help("Which revision of it [default: HEAD]"),
            _ => arg,
        }));
    let plan = Command::new("plan")
        .arg(help())
        .about("Show what the remote has that is not published, and what the agent would do: exit 0, 1 held back, 64")
        .arg(value("format", "FORMAT", "How it is written [default: text]").value_parser(["text", "json"]))
        .args(arguments());
    let probe = Command::new("probe")
        .arg(help())
        .about("Ask the agent that runs beside, for exec probes: exit 0 or 1")
        .arg(Arg::new("question").required(true).value_parser(["live", "ready"]).help("Which probe"))
        .arg(value("http-bind", "ADDRESS", "Whom to ask [default: GITSYNC_HTTP_BIND, else :1234]"))
        .arg(value("timeout", "DURATION", "How long to wait [default: 1s]"));
    let completions = Command::new("completions")
        .arg(help())
        .about("Print shell completions")
        .arg(Arg::new("shell").required(true).value_parser(["bash", "zsh", "fish"]).help("For which shell"));
    Command::new("dagsync")
        .bin_name("dagsync")
        .override_usage("dagsync --repo <URL> --root <PATH> [OPTIONS]\n       dagsync <COMMAND>")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args_conflicts_with_subcommands(true)
        .args(arguments())
        .arg(printing("help", "Print help and exit").short('h').short_alias('?'))
        .arg(printing("man", "Print the manual and exit"))
        .arg(printing("version", "Print the version and exit"))
        .subcommand(Command::new("run").about("Run the agent; the same as no command").args(arguments()))
        .subcommand(plan)
        .subcommand(check)
        .subcommand(demo)
        .subcommand(probe)
        .subcommand(completions)
        .subcommand(Command::new("man").about("Print the manual"))
        .subcommand(Command::new("help").about("Print help"))
        .subcommand(Command::new("options-doc").hide(true).about("Print docs/options.md"))
        .subcommand(Command::new("findings-doc").hide(true).about("Print docs/findings.md"))
}

fn is_of_remote(arg: &Arg) -> bool {
    super::check::REMOTE_OPTIONS.contains(&arg.get_id().as_str())
}

/// Whether the argument is a flag whose value is the argument behind it.
pub(super) fn takes_next(arg: &str) -> bool {
    match arg.strip_prefix("--") {
        Some(name) => {
            options::all().any(|opt| (opt.name == name || opt.alias == Some(name)) && opt.kind != Kind::Bool)
        }
        None => options::all().any(|opt| {
            opt.short.is_some_and(|short| arg.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4])))
        }),
    }
}

pub(super) fn help() -> String {
    command().render_help().to_string()
}

pub(super) fn help_of(name: &str) -> String {
    let command = command();
    let found = command.find_subcommand(name).cloned();
    let usage = format!("dagsync {name} [OPTIONS]");
    let own = |found: Command| found.disable_help_flag(true).override_usage(usage).render_help().to_string();
    found.map(own).unwrap_or_default()
}

pub(super) fn version() -> String {
    format!("dagsync {}\n", env!("CARGO_PKG_VERSION"))
}

/// roff, for `man -l -`.
pub(super) fn manual() -> String {
    // The page has room for what the help leaves out: the variables and the longer texts.
    let detailed = command().mut_args(|arg| match options::find(arg.get_id().as_str()) {
        Some(opt) => {
            let vars = opt.vars.join(", ");
            let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
            text += ".";
            for more in [opt.doc, vars.as_str()].into_iter().filter(|more| !more.is_empty()) {
                text += &format!(" {more}");
            }
            arg.long_help(text)
        }
        None => arg,
    });
    let mut roff = Vec::new();
    match clap_mangen::Man::new(detailed).render(&mut roff) {
        Ok(()) => String::from_utf8_lossy(&roff).into_owned(),
        // Writing to memory does not fail.
        Err(error) => error.to_string(),
    }
}

pub(super) fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "dagsync", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
