//! `dagsync check --repo`: the same for a revision of a remote, without a work tree.
//!
//! It is fetched into a folder that goes away, and never checked out.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use clap::{ArgMatches, parser::ValueSource};
use gix::ObjectId;
use gix::bstr::{BString, ByteSlice as _};

use super::{CheckArgs, answer};
use crate::agent::{Apart, Failure, Folder};
use crate::check::{self, Looking};
use crate::cli::scratch::{Ending, Scratch};
use crate::config::{self, Errors, Inputs, Problem, RefChoice, SourceConfig, Surroundings, options, proxy};

/// Where a revision comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Remote {
    /// As the agent's options say it. Its root is nowhere.
    pub source: SourceConfig,
    /// The DAGs folder below the top of the repository.
    pub folder: BString,
}

/// The agent's options that say which remote, which ref, and how to get there.
pub(in crate::cli) const OPTIONS: &[&str] =
    &["repo", "ref", "username", "password-file", "git-config", "git-config-add", "sync-timeout"];

/// Those whose variables count too: who logs in, and how. Never which remote, so that a variable turns no check of a folder into
/// another one.
const FROM_VARIABLES: &[&str] = &["username", "password", "password-file", "git-config", "sync-timeout"];

/// `None` without `--repo`.
pub(super) fn args(matches: &ArgMatches, around: &Surroundings, errors: &mut Errors) -> Option<Remote> {
    let given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    if !given("repo") {
        for name in OPTIONS.iter().filter(|name| given(name)) {
            errors.push(Problem::new(format!("--{name}: means nothing without `--repo`")));
        }
        return None;
    }
    if matches.get_flag("untracked") {
        errors.push(Problem::new("--untracked: means nothing with `--repo`"));
    }
    let folder = matches.get_one::<String>("folder").map_or("", String::as_str);
    let parts: Vec<&str> = folder.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if folder.starts_with('/') || parts.contains(&"..") {
        errors.push(Problem::new("DIR: with `--repo` it is a folder of the repository, relative to its top"));
    }
    let mut flags = vec!["--root=/nonexistent/dagsync-check".to_owned(), "--link=check".to_owned()];
    for name in OPTIONS {
        let values = matches.get_many::<String>(name).into_iter().flatten();
        flags.extend(values.map(|value| format!("--{name}={value}")));
    }
    let inputs = Inputs::new(flags.into_iter().map(Into::into), connecting(around));
    match config::load(&inputs, None) {
        Ok(config) => {
            let source = config.sources.into_iter().next()?;
            Some(Remote { source, folder: parts.join("/").into() })
        }
        Err(wrong) => {
            errors.extend(wrong);
            None
        }
    }
}

/// Of the surroundings what says how to reach a remote.
fn connecting(around: &Surroundings) -> Surroundings {
    let ours = FROM_VARIABLES.iter().filter_map(|name| options::find(name)).flat_map(|opt| opt.vars);
    let proxies = ["http", "https"].into_iter().flat_map(proxy::variables).chain(proxy::NO_PROXY);
    let names = ours.chain(proxies).copied().chain(["HOME"]);
    let vars = names.filter_map(|name| Some((name.into(), around.var(name)?.into())));
    Surroundings::new(vars, around.cwd.clone(), around.terminal, around.ipv6)
}

/// Fetches, checks, prints, and returns the exit code.
pub(super) fn run(args: &CheckArgs, remote: &Remote) -> anyhow::Result<u8> {
    let Remote { source, folder } = remote;
    let RefChoice::Fixed(reference) = &source.reference else { bail!("a ref is expected") };
    let scratch = Scratch::make("check").context("cannot make a folder to work in")?;
    let ending = Ending::listen()?;
    let mut apart = ending.apart(source, &scratch, Box::new(check::Open)).map_err(said)?;
    // What it is compared with first: the store ends up with the shallower history, and nobody asks for more then.
    let against = match &args.against {
        Some(against) if Path::new(against).is_dir() => {
            Some(Against::Folder(Folder::alone(Path::new(against), folder.as_bstr())?))
        }
        Some(against) => {
            let (name, steps) = steps_of(against).with_context(|| format!("--against: `{against}`"))?;
            Some(Against::Commit(apart.fetch(name, &steps).map_err(said).context("--against")?))
        }
        None => None,
    };
    let commit = apart.fetch(reference, &[]).map_err(said)?;
    let compare = |look: &mut Looking<'_>| -> anyhow::Result<()> {
        let is_read = match &against {
            Some(Against::Commit(commit)) => apart.show(*commit, folder.as_bstr(), look).map_err(said)?,
            Some(Against::Folder(files)) => look(files),
            None => true,
        };
        if is_read { Ok(()) } else { bail!("--against: it cannot be read") }
    };
    let mut code = Ok(1);
    let show = |apart: &Apart, look: &mut Looking<'_>| apart.show(commit, folder.as_bstr(), look);
    show(&apart, &mut |snapshot| {
        code = match snapshot.inside().is_empty() && !folder.is_empty() {
            true => Err(anyhow!("there is no folder `{folder}` in {commit}")),
            false => answer(args, snapshot, against.is_some().then_some(&compare)),
        };
        true
    })
    .map_err(said)?;
    code
}

/// What a revision is compared with.
enum Against {
    Commit(ObjectId),
    Folder(Folder<'static>),
}

fn said(failure: Failure) -> anyhow::Error {
    anyhow!("{}", failure.line())
}

/// A ref, and the steps from it to one of its ancestors, each the number of a parent: `main~2^2` is `main`, 1, 1, 2.
fn steps_of(text: &str) -> anyhow::Result<(&str, Vec<usize>)> {
    /// Whoever compares with more has another question.
    const MOST: usize = 10_000;
    let (name, mut rest) = text.split_at(text.find(['^', '~']).unwrap_or(text.len()));
    let mut steps = Vec::new();
    while let Some(sign) = rest.chars().next() {
        let digits = rest[1..].len() - rest[1..].trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest[1..].split_at(digits);
        let number = if number.is_empty() { 1 } else { number.parse().unwrap_or(usize::MAX) };
        match sign {
            '^' => steps.extend((number > 0).then_some(number)),
            '~' => steps.extend(std::iter::repeat_n(1, number.min(MOST + 1))),
            _ => bail!("`^`, `^2` or `~3` is expected behind the name"),
        }
        rest = tail;
    }
    if name.is_empty() || steps.len() > MOST {
        bail!("a branch, a tag or a commit is expected, and at most {MOST} steps back");
    }
    Ok((name, steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_are_named_as_git_names_them() {
        let steps = |text| steps_of(text).ok();
        assert_eq!(steps("main"), Some(("main", vec![])));
        assert_eq!(steps("v1^"), Some(("v1", vec![1])));
        assert_eq!(steps("a/b~2^2"), Some(("a/b", vec![1, 1, 2])));
        assert_eq!(steps("main^0~0"), Some(("main", vec![])));
        for wrong in ["", "^", "~3", "main^{tree}", "main~1x", "main~99999999999999999999", "main~10001"] {
            assert_eq!(steps(wrong), None, "{wrong}");
        }
    }
}
