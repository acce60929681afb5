//! parse → build → spawn → wait → drain.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context as _;
use dagsync::agent::limits::become_program;
use dagsync::agent::{App, End, Message, pid1, signals};
use dagsync::cli::{self, Command};
use dagsync::config::{self, Config, EXIT_USAGE, Inputs, LogFormat, Surroundings};
use dagsync::log;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// What a sync that failed ends in.
const EXIT_FAILED: u8 = 1;

fn main() -> ExitCode {
    // Before anything else: what runs with our uid, as a check command does, could read our environment and memory in /proc. Where
    // the kernel refuses this, all else works.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let code = match cli::parse(std::env::args_os(), surroundings()) {
        Err(errors) => usage(&errors),
        Ok(Command::Run(inputs)) => run(&inputs).unwrap_or_else(failed),
        Ok(Command::Demo(args)) => cli::demo::run(&args).map_or_else(failed, |()| 0),
        Ok(Command::Check(args)) => cli::check::run(&args).unwrap_or_else(failed),
        Ok(Command::Plan(args)) => match cli::load(&args.inputs) {
            Ok(config) => cli::plan::run(&args, &config).unwrap_or_else(failed),
            Err(errors) => usage(&errors),
        },
        Ok(Command::Probe(args)) => cli::ask::run(&args),
        Ok(Command::Print(text)) => cli::print(text.as_bytes()).map_or_else(failed, |()| 0),
        Ok(Command::True) => 0,
        Ok(Command::Limited(it)) => failed(become_program(it.limits, &it.program, &it.args).into()),
        Ok(Command::Sleep(time)) => cli::sleep(time),
    };
    ExitCode::from(code)
}

/// What the process knows of where it is.
fn surroundings() -> Surroundings {
    // A folder that was removed has no name; then only absolute paths work, and those that are not say so.
    let cwd = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let ipv6 = std::path::Path::new("/proc/net/if_inet6").exists();
    Surroundings::new(std::env::vars_os(), cwd, std::io::stderr().is_terminal(), ipv6)
}

/// All that is wrong with the settings, at once.
fn usage(errors: &config::Errors) -> u8 {
    eprintln!("{errors}");
    EXIT_USAGE
}

fn failed(err: anyhow::Error) -> u8 {
    eprintln!("error: {}", log::escape(&format!("{err:#}")));
    EXIT_FAILED
}

/// The agent.
fn run(inputs: &Inputs) -> anyhow::Result<u8> {
    let config = match cli::load(inputs) {
        Ok(config) => config,
        Err(errors) => return Ok(usage(&errors)),
    };
    start_log(&config)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), sources = config.sources.len(), "dagsync");
    let sync_on_signal = config.process.sync_on_signal;
    let app = App::build(config).context("cannot serve HTTP")?;
    let _reaper = pid1::spawn(app.children()).context("cannot watch for children")?;
    // Before anything runs: as process 1, a signal without a handler is lost.
    let messages = app.sender();
    let _signals = signals::listen(sync_on_signal, move |event| {
        // Nobody listens any more when the process is on its way out.
        let _ = match event {
            signals::SignalEvent::Sync => messages.send(Message::Sync),
            signals::SignalEvent::Terminate { .. } => messages.send(Message::Terminate),
            signals::SignalEvent::TerminateNow { .. } => cli::exit_now(EXIT_FAILED),
        };
    })
    .context("cannot listen for signals")?;
    if let Some(address) = app.local_addr() {
        tracing::info!(%address, "probes and metrics are served");
    }
    let mut running = app.spawn().context("cannot start a thread")?;
    let end = running.wait(|| cli::load(inputs).map_err(|errors| errors.to_string()));
    running.drain();
    Ok(if end == End::Fine { 0 } else { EXIT_FAILED })
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    let var = |name: &str| std::env::var(name).ok();
    let colour = config.process.log_format == LogFormat::Human
        && log::wants_colour(var("NO_COLOR").as_deref(), var("TERM").as_deref());
    let options = log::Options { format: config.process.log_format, verbose: config.process.verbose, colour };
    log::init(options).context("the log was started twice")
}
