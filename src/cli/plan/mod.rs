//! `dagsync plan`: what the remote has that is not published, in Airflow's terms, and what an agent would do about it.
//!
//! It takes the agent's settings and its stages, in a folder of its own: it locks nothing and writes nothing below the root, so it runs
//! beside an agent, or in place of one that is to be set up.

mod json;
mod seen;
mod text;

use std::fs;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::symlink;

use anyhow::Context as _;

use self::seen::{Noting, Seen};
use super::scratch::{Ending, Scratch};
use super::{no_colour, print};
use crate::agent::{self, Failure, Next, Upcoming};
use crate::check::report::Style;
use crate::config::{Config, Errors, Inputs, Problem, SourceConfig, Surroundings};
use crate::log::escape;
use crate::publish::{AtLink, Layout};

/// `dagsync plan`.
#[derive(Debug)]
pub struct PlanArgs {
    /// The agent's own settings.
    pub inputs: Inputs,
    /// For programs.
    pub json: bool,
    /// Whether a terminal reads the text, and shows colours.
    pub style: Style,
}

/// A source, and what is ahead of it.
struct Ahead<'a> {
    config: &'a SourceConfig,
    upcoming: Upcoming,
    /// Nothing if there is nothing to look at.
    seen: Option<Seen>,
}

pub(super) fn args(format: Option<&str>, inputs: Inputs, around: &Surroundings) -> Result<PlanArgs, Errors> {
    let json = match format {
        None | Some("text") => false,
        Some("json") => true,
        Some(_) => {
            return Err(Problem::new("--format: the value is not one of those allowed")
                .hint("text or json")
                .into());
        }
    };
    Ok(PlanArgs { inputs, json, style: if no_colour(around) { Style::Plain } else { Style::Coloured } })
}

/// Looks, prints, and returns the exit code: 0 when there is nothing to do or it would be published, 1 when a revision would be held
/// back or could not be looked at.
///
/// # Errors
/// Standard output, or a folder to work in, cannot be used.
pub fn run(args: &PlanArgs, config: &Config) -> anyhow::Result<u8> {
    for warning in &config.warnings {
        eprintln!("warning: {}", escape(warning));
    }
    let ending = Ending::listen()?;
    let layouts = agent::layouts(&config.sources);
    let style = if io::stdout().is_terminal() { args.style } else { Style::Plain };
    let (mut code, mut all) = (0, Vec::new());
    for (number, (source, layout)) in config.sources.iter().zip(&layouts).enumerate() {
        let ahead = look_ahead(&ending, source, layout)?;
        match &ahead {
            Ok(ahead) if matches!(ahead.upcoming.next, Next::Hold { .. }) => code = 1,
            Ok(_) => {}
            Err(failure) => {
                eprintln!("error: source `{}`: {}", source.name, failure.line());
                code = 1;
            }
        }
        match (&ahead, args.json) {
            (ahead, true) => all.push(json::source(source, ahead.as_ref())),
            (Ok(ahead), false) => {
                let gap = if number > 0 { "\n" } else { "" };
                print(format!("{gap}{}", text::source(ahead, style)).as_bytes())?;
            }
            (Err(_), false) => {}
        }
    }
    if args.json {
        print(json::page(all).as_bytes())?;
    }
    Ok(code)
}

fn look_ahead<'a>(
    ending: &Ending,
    config: &'a SourceConfig,
    root: &Layout,
) -> anyhow::Result<Result<Ahead<'a>, Failure>> {
    let scratch = Scratch::make("plan").context("cannot make a folder to work in")?;
    let (gate, noted) = Noting::new(config.check.clone());
    let look = || -> Result<Upcoming, Failure> {
        let mut apart = ending.apart(config, &scratch, Box::new(gate))?;
        apart.look_ahead(root, &mut |to| lend(root, to))
    };
    Ok(look().map(|upcoming| Ahead { config, upcoming, seen: noted.take() }))
}

/// Gives what a root has to a source that is apart from it. Only read through there.
fn lend(root: &Layout, to: &Layout) -> io::Result<()> {
    if let Ok(AtLink::Tree { path, .. }) = root.at_link() {
        symlink(path, &to.link)?;
    }
    let objects = root.store.join("objects");
    if !objects.is_dir() {
        return Ok(());
    }
    // First where history ends: objects without it would be taken for all.
    match fs::copy(root.store.join("shallow"), to.store.join("shallow")) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
        _ => {}
    }
    let mut line = objects.into_os_string();
    line.push("\n");
    fs::write(to.store.join("objects/info/alternates"), line.as_encoded_bytes())
}
