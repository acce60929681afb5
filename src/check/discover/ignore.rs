//! The rules of `.airflowignore` files, and what each Airflow makes of them.
//!
//! - Regular expressions are looked for in the path below the DAGs folder, wherever the file with them is. One that the dialect
//!   refuses is left out.
//! - Glob patterns with a slash at their start or in their middle are held against the path below the file's own folder, all others
//!   against the name alone. The last one that fits decides. What Airflow adds to that changed five times, see [`Globs`].

use std::sync::Arc;

use super::Unreadable;
use super::bounds::{self, Bounds};
use super::content::Memory;
use super::glob::{self, Glob};
use super::regexp::{Dialect, Fault, Regexp};
use super::text::{decoded, is_space, lines};
use crate::check::target::{Airflow, IgnoreSyntax, Target};

/// How a target reads its ignore files.
#[derive(Debug, Clone, Copy)]
pub(super) enum Syntax {
    Regexp(Dialect),
    Glob(Globs),
}

/// How glob patterns are held against paths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Globs {
    /// From 3.1 on the whole path is searched; before, the pattern had to fit from its first character on.
    anywhere: bool,
    /// When a slash is put behind a folder's path.
    slash: Slash,
    /// In 3.1.0 the first pattern that fits decided.
    first_wins: bool,
    /// Before 3.1 a line that came before was dropped, also when another one stood between.
    once: bool,
    /// From 3.2 on a pattern that ends in a slash leaves files alone.
    only_folders: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slash {
    /// Before 3.1: if the line ends in one.
    AsInPattern,
    /// From 3.1.0 to 3.1.5.
    Never,
    /// From 3.1.6 on.
    Always,
}

impl Syntax {
    /// That of a target.
    pub fn of(target: &Target) -> Syntax {
        let version = target.airflow;
        let is = |major, minor, patch| version >= Airflow { major, minor, patch };
        match target.ignore {
            IgnoreSyntax::Regexp if version.at_least(3, 0) => {
                Syntax::Regexp(Dialect::Python(target.python.minor))
            }
            IgnoreSyntax::Regexp => Syntax::Regexp(Dialect::Re2),
            IgnoreSyntax::Glob => Syntax::Glob(Globs {
                anywhere: is(3, 1, 0),
                slash: match () {
                    () if is(3, 1, 6) => Slash::Always,
                    () if is(3, 1, 0) => Slash::Never,
                    () => Slash::AsInPattern,
                },
                first_wins: is(3, 1, 0) && !is(3, 1, 1),
                once: !is(3, 1, 0),
                only_folders: is(3, 2, 0),
            }),
        }
    }

    /// What is left of a line without its comment. A `#` cannot be escaped.
    fn uncommented(self, line: &str, airflow_2: bool) -> &str {
        let Some(comment) = line.find('#') else { return line };
        // Airflow 2 cuts with RE2, whose white space is that of ASCII.
        let is_space =
            |c: char| if airflow_2 { matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ') } else { is_space(c) };
        line[..comment].trim_end_matches(is_space)
    }
}

/// A line that makes Airflow's walk raise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadLine {
    /// 1-based.
    pub number: u32,
    pub line: String,
    pub why: String,
}

/// A pattern, and where it holds.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pattern: Pattern,
    line: Arc<str>,
    /// For a pattern that is held against a path: where the path below its file's folder begins.
    base: Option<usize>,
    only_folders: bool,
}

#[derive(Debug, Clone)]
enum Pattern {
    Regexp(Arc<Result<Regexp, Fault>>),
    Glob(Arc<Result<Option<Glob>, glob::Raises>>),
}

/// Why the rules of a file are more than is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooMuch(pub String);

/// Adds the rules of a file to those from above. `folder` is the path of its folder, as the walk came there.
pub(super) fn add(
    rules: &mut Vec<Rule>,
    text: &str,
    folder: &[u8],
    target: &Target,
    memory: &mut Memory,
    bounds: &mut Bounds<'_>,
) -> Result<Result<Vec<BadLine>, TooMuch>, Unreadable> {
    let syntax = Syntax::of(target);
    let written = || {
        let lines = lines(text).map(|line| syntax.uncommented(line, !target.airflow.at_least(3, 0)));
        lines.enumerate().filter(|(_, line)| !line.is_empty())
    };
    let count = written().count();
    if count > bounds::LINES {
        return Ok(Err(TooMuch(format!("{count} patterns"))));
    }
    if let Some((index, _)) = written().find(|(_, line)| line.len() > bounds::LONGEST) {
        return Ok(Err(TooMuch(format!(
            "a pattern of more than {} KiB in line {}",
            bounds::LONGEST >> 10,
            index + 1
        ))));
    }
    let too_many = || Ok(Err(TooMuch("the last of too many patterns".to_owned())));
    if !bounds.hold(rules.len() + count, memory.room()) {
        return too_many();
    }
    let mut bad = Vec::new();
    for (index, line) in written() {
        // Compiling one is quick, compiling all of them need not be.
        if !bounds.work(OF_A_LINE)? || !bounds.hold(0, memory.room()) {
            return too_many();
        }
        match rule(line, folder, syntax, memory) {
            Ok(Some(rule)) => rules.push(rule),
            Ok(None) => {}
            Err(why) => {
                let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
                bad.push(BadLine { number, line: line.to_owned(), why });
            }
        }
        if bad.len() == bounds::TOLD {
            break;
        }
    }
    if let Syntax::Glob(Globs { once: true, .. }) = syntax {
        let mut seen = std::collections::HashSet::new();
        rules.retain(|rule| seen.insert((rule.line.clone(), rule.base)));
    }
    Ok(Ok(bad))
}

/// What reading a line costs, in steps of the walk.
const OF_A_LINE: u64 = 10_000;

fn rule(line: &str, folder: &[u8], syntax: Syntax, memory: &mut Memory) -> Result<Option<Rule>, String> {
    let (pattern, base, only_folders) = match syntax {
        Syntax::Regexp(dialect) => {
            let regexp = memory.regexp(line, dialect);
            match regexp.as_ref() {
                Ok(_) => {}
                Err(Fault::Refused) => return Ok(None),
                Err(Fault::Raises(why)) => return Err(why.clone()),
            }
            (Pattern::Regexp(regexp), Some(0), false)
        }
        Syntax::Glob(globs) => {
            if line.trim_matches(is_space) == "/" {
                return Ok(None);
            }
            let glob = memory.glob(line);
            match glob.as_ref() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(glob::Raises(why)) => return Err(why.clone()),
            }
            let below = if folder.is_empty() { 0 } else { folder.len() + 1 };
            let has_slash = line.starts_with('/') || line.trim_end_matches('/').contains('/');
            let plain = line.trim_start_matches('!').trim_end_matches(is_space);
            let only_folders = globs.only_folders && plain.ends_with('/');
            (Pattern::Glob(glob), has_slash.then_some(below), only_folders)
        }
    };
    Ok(Some(Rule { pattern, line: line.into(), base, only_folders }))
}

/// What the rules say of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Kept,
    Ignored,
    /// RE2 cannot be asked about such a name.
    NotUtf8,
    /// Finding out would take too long.
    TooMuch,
}

/// Whether asking the rules about this path raises.
fn is_unmatchable(rules: &[Rule], path: &[u8], syntax: Syntax) -> bool {
    let is_re2 = matches!(syntax, Syntax::Regexp(Dialect::Re2));
    is_re2 && !rules.is_empty() && std::str::from_utf8(path).is_err()
}

/// Whether the rules leave this path out. It is as the walk came there, and below the DAGs folder.
pub(super) fn ask(
    rules: &[Rule],
    path: &[u8],
    is_folder: bool,
    syntax: Syntax,
    bounds: &mut Bounds<'_>,
) -> Result<Answer, Unreadable> {
    if rules.is_empty() {
        return Ok(Answer::Kept);
    }
    if is_unmatchable(rules, path, syntax) {
        return Ok(Answer::NotUtf8);
    }
    // After the last step was taken, nothing more is asked.
    if !bounds.work(1)? {
        return Ok(Answer::TooMuch);
    }
    match syntax {
        Syntax::Regexp(_) => any(rules, path, bounds),
        Syntax::Glob(globs) => globs.ask(rules, path, is_folder, bounds),
    }
}

/// Whether a regular expression finds the path.
fn any(rules: &[Rule], path: &[u8], bounds: &mut Bounds<'_>) -> Result<Answer, Unreadable> {
    let path = decoded(path);
    for rule in rules {
        let Pattern::Regexp(regexp) = &rule.pattern else { continue };
        let Ok(regexp) = regexp.as_ref() else { continue };
        let mut work = 0;
        if regexp.finds(&path, &mut work) {
            return Ok(Answer::Ignored);
        }
        if !bounds.work(work)? {
            return Ok(Answer::TooMuch);
        }
    }
    Ok(Answer::Kept)
}

impl Globs {
    fn ask(
        self,
        rules: &[Rule],
        path: &[u8],
        is_folder: bool,
        bounds: &mut Bounds<'_>,
    ) -> Result<Answer, Unreadable> {
        let name_at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let mut slashed = path.to_vec();
        slashed.push(b'/');
        // Decoding is only needed for names that are not UTF-8, and would shift the places in them.
        let whole = std::str::from_utf8(&slashed).ok();
        let mut answer = Answer::Kept;
        for rule in rules {
            if rule.only_folders && !is_folder {
                continue;
            }
            let Pattern::Glob(glob) = &rule.pattern else { continue };
            let Ok(Some(glob)) = glob.as_ref() else { continue };
            let with_slash = is_folder
                && match self.slash {
                    Slash::AsInPattern => rule.line.ends_with('/'),
                    Slash::Never => false,
                    Slash::Always => true,
                };
            let part = rule.base.unwrap_or(name_at)..slashed.len() - usize::from(!with_slash);
            let mut work = 0;
            let found = match whole {
                Some(text) => glob.finds(&text[part], self.anywhere, &mut work),
                None => glob.finds(&decoded(&slashed[part]), self.anywhere, &mut work),
            };
            if found {
                answer = if glob.ignores { Answer::Ignored } else { Answer::Kept };
                if self.first_wins {
                    return Ok(answer);
                }
            }
            if !bounds.work(work)? {
                return Ok(Answer::TooMuch);
            }
        }
        Ok(answer)
    }
}
