//! Glob patterns, as the Python package `pathspec` reads them for Airflow.
//!
//! `pathspec` makes a regular expression of a pattern, and Airflow uses that alone, without `pathspec`'s own rules about folders:
//! what matters here is what that expression finds, oddities included. A pattern becomes a list of [`Step`]s, each of which takes
//! a set of positions in the name to the next one: pattern times name at most, where Python's expression may take exponential
//! time.
//!
//! This is `pathspec` 1.x, which every Airflow takes from PyPI today. 0.12, which images of 2.x and early 3.x came with, differs
//! for an unclosed bracket, for leading spaces and for `**/` .

use super::text::trim_end;

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    /// Whether what it finds is ignored, or with a `!` before it, is not.
    pub ignores: bool,
    program: Program,
}

/// A pattern that makes `pathspec` raise, and with it Airflow's walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raises(pub String);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Program {
    /// A character that is not the end of a line, anywhere.
    Anything,
    /// A slash anywhere.
    Slash,
    /// From the start.
    Steps(Vec<Step>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Char(char),
    /// `?`
    One,
    /// `*` beside something else.
    Star,
    /// `*` as a whole part of the path.
    Part,
    /// `[…]`, which may find a slash when it is negated.
    Class(Box<Class>),
    /// `**/` at the start: `(?:.+/)?`
    AnyFolders,
    /// `/**` in the middle: `(?:/.+)?`
    MoreFolders,
    /// The end, where Python also stops before a last newline, or a slash.
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

/// Reads a pattern. `None` if it is one that finds nothing: blank, or a range that is not closed.
pub(super) fn compile(line: &str) -> Result<Option<Glob>, Raises> {
    // A space behind a backslash is meant.
    let pattern = if line.ends_with("\\ ") { line } else { trim_end(line) };
    if pattern.is_empty() || pattern.starts_with('#') || pattern == "/" {
        return Ok(None);
    }
    let (ignores, pattern) = match pattern.strip_prefix('!') {
        Some(rest) => (false, rest),
        None => (true, pattern),
    };
    let mut parts: Vec<&str> = pattern.split('/').collect();
    let only_folders = parts.last().is_some_and(|part| part.is_empty());
    if parts[0].is_empty() {
        parts.remove(0);
    } else if (parts.len() == 1 || (parts.len() == 2 && parts[1].is_empty())) && parts[0] != "**" {
        parts.insert(0, "**");
    }
    match parts.last_mut() {
        None => return Err(Raises("`!` with nothing behind it".into())),
        Some(last) if last.is_empty() => *last = "**",
        Some(_) => {}
    }
    parts.dedup_by(|later, earlier| *later == "**" && *earlier == "**");
    let mut program = match parts.as_slice() {
        ["**"] | ["**", "*", "**"] if only_folders => Program::Slash,
        ["**", "*", "**"] => Program::Slash,
        ["**"] | ["**", "*"] => Program::Anything,
        parts => match steps(parts)? {
            Some(steps) => Program::Steps(steps),
            None => return Ok(None),
        },
    };
    if let Program::Steps(steps) = &mut program {
        steps.shrink_to_fit();
    }
    Ok(Some(Glob { ignores, program }))
}

fn steps(parts: &[&str]) -> Result<Option<Vec<Step>>, Raises> {
    let mut steps = Vec::new();
    let mut slash = false;
    // Python sees a range only in an expression that is whole: where a bracket stays open there is none.
    let mut reversed = None;
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        if *part == "**" {
            match (at, last) {
                (0, _) => steps.push(Step::AnyFolders),
                (_, false) => {
                    steps.push(Step::MoreFolders);
                    slash = true;
                }
                (_, true) => steps.push(Step::Char('/')),
            }
            continue;
        }
        if slash {
            steps.push(Step::Char('/'));
        }
        if *part == "*" {
            steps.push(Step::Part);
        } else if !translate(part, &mut steps, &mut reversed)? {
            return Ok(None);
        }
        if last {
            steps.push(Step::End);
        }
        slash = true;
    }
    reversed.map_or(Ok(Some(steps)), Err)
}

/// One part of the path; `false` if a bracket is not closed. `reversed` becomes what Python says of the first range that is.
fn translate(part: &str, steps: &mut Vec<Step>, reversed: &mut Option<Raises>) -> Result<bool, Raises> {
    let chars: Vec<char> = part.chars().collect();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        at += 1;
        match c {
            '\\' => {
                let Some(&escaped) = chars.get(at) else {
                    return Err(Raises("a backslash with nothing behind it".into()));
                };
                steps.push(Step::Char(escaped));
                at += 1;
            }
            '*' => steps.push(Step::Star),
            '?' => steps.push(Step::One),
            '[' => {
                let negated = matches!(chars.get(at), Some('!' | '^'));
                let from = at + usize::from(negated);
                // A bracket that comes first is one of the characters.
                let search = from + usize::from(chars.get(from) == Some(&']'));
                let Some(length) = chars.get(search..).and_then(|rest| rest.iter().position(|c| *c == ']'))
                else {
                    return Ok(false);
                };
                let close = search + length;
                match ranges(&chars[from..close]) {
                    Ok(ranges) => steps.push(Step::Class(Box::new(Class { negated, ranges }))),
                    Err(why) => *reversed = reversed.take().or(Some(why)),
                }
                at = close + 1;
            }
            c => steps.push(Step::Char(c)),
        }
    }
    Ok(true)
}

/// What stands between brackets, as Python's `re` takes it; a backslash is doubled by `pathspec` and stands for itself.
fn ranges(body: &[char]) -> Result<Vec<(char, char)>, Raises> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(&low) = body.get(at) {
        match (body.get(at + 1), body.get(at + 2)) {
            (Some('-'), Some(&high)) => {
                if high < low {
                    return Err(Raises(format!("the range `{low}-{high}` is the wrong way round")));
                }
                ranges.push((low, high));
                at += 3;
            }
            _ => {
                ranges.push((low, low));
                at += 1;
            }
        }
    }
    Ok(ranges)
}

impl Glob {
    /// Whether the expression finds something in `name`: from its first character on, as Python's `match` does, or `anywhere`.
    /// Adds what that took to `work`.
    pub fn finds(&self, name: &str, anywhere: bool, work: &mut u64) -> bool {
        *work += OF_A_QUESTION;
        match &self.program {
            Program::Anything if anywhere => name.chars().any(|c| c != '\n'),
            Program::Slash if anywhere => name.contains('/'),
            Program::Anything => name.chars().next().is_some_and(|c| c != '\n'),
            Program::Slash => name.starts_with('/'),
            Program::Steps(steps) => walk(steps, name, work),
        }
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        let Program::Steps(steps) = &self.program else { return 0 };
        let of = |step: &Step| match step {
            Step::Class(class) => size_of::<Class>() + class.ranges.capacity() * size_of::<(char, char)>(),
            _ => 0,
        };
        steps.capacity() * size_of::<Step>() + steps.iter().map(of).sum::<usize>()
    }
}

/// What a question costs that is answered at once, and what a place in a name does at each step.
const OF_A_QUESTION: u64 = 16;
const OF_A_PLACE: u64 = 4;

/// Whether the steps lead from the start to anywhere.
fn walk(steps: &[Step], name: &str, work: &mut u64) -> bool {
    let mut here = vec![0];
    let mut next = Vec::new();
    for step in steps {
        step.lead(name, &here, &mut next);
        *work += OF_A_PLACE * ((1 + here.len() + next.len()) as u64 * step.weight(name));
        if next.is_empty() {
            return false;
        }
        // Each position once, in order: there are never more than characters.
        next.sort_unstable();
        next.dedup();
        std::mem::swap(&mut here, &mut next);
        next.clear();
    }
    true
}

impl Step {
    /// How much there is to look at for one place.
    fn weight(&self, name: &str) -> u64 {
        match self {
            Step::Class(class) => 1 + class.ranges.len() as u64 / 4,
            // Once at most, at the start.
            Step::AnyFolders => 1 + name.len() as u64 / 64,
            _ => 1,
        }
    }

    /// Where one may be after this step, from these places, which are in order.
    fn lead(&self, name: &str, from: &[usize], to: &mut Vec<usize>) {
        // What was reached from an earlier place need not be looked at again: without this, many stars take quadratic time.
        let mut covered = None;
        for &at in from {
            let rest = &name[at..];
            let first = rest.chars().next();
            let mut one = |yes: bool| to.extend(first.filter(|_| yes).map(|c| at + c.len_utf8()));
            match self {
                Step::Char(c) => one(first == Some(*c)),
                Step::One => one(first != Some('/')),
                Step::Class(class) => {
                    let inside = |c: char| class.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                    one(first.is_some_and(|c| inside(c) != class.negated));
                }
                Step::Star | Step::Part => {
                    if covered.is_some_and(|end| at <= end) {
                        continue;
                    }
                    let run = rest.find('/').unwrap_or(rest.len());
                    covered = Some(at + run);
                    let ends = rest[..run].char_indices().map(|(offset, _)| offset).chain([run]);
                    to.extend(ends.skip(usize::from(*self == Step::Part)).map(|offset| at + offset));
                }
                Step::AnyFolders => {
                    let line = first_line(rest);
                    let slashes = line.match_indices('/').filter(|(offset, _)| *offset > 0);
                    to.push(at);
                    to.extend(slashes.map(|(offset, _)| at + offset + 1));
                }
                Step::MoreFolders => {
                    to.push(at);
                    if first == Some('/') && covered.is_none_or(|end| at > end) {
                        let line = first_line(&rest[1..]);
                        covered = Some(at + 1 + line.len());
                        to.extend(line.char_indices().map(|(offset, c)| at + 1 + offset + c.len_utf8()));
                    }
                }
                Step::End => {
                    if matches!(rest, "" | "\n") || first == Some('/') {
                        to.push(at);
                    }
                }
            }
        }
    }
}

/// As far as Python's `.` goes.
fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn finds(pattern: &str, name: &str) -> bool {
        compile(pattern).unwrap().is_some_and(|glob| glob.finds(name, true, &mut 0))
    }

    #[test]
    fn patterns_find_what_pathspec_finds() {
        for (pattern, yes, no) in [
            ("a", "a", "ab"),
            ("a", "x/a", "xa"),
            ("a", "a/b", "b"),
            ("a", "a\n", "a\nb"),
            ("a/", "a/", "a"),
            ("/a", "a", "b/a"),
            ("a/b", "a/b", "x/a/b"),
            ("*.py", "x.py", "x.pyc"),
            ("?", "é", "éé"),
            ("**/a", "x/y/a", "x/ya"),
            ("a/**/b", "a/x/y/b", "ab"),
            ("a/**", "a/b", "a"),
            ("[a-c]x", "bx", "dx"),
            ("[!a-c]x", "dx", "bx"),
            ("[^a]x", "/x", "ax"),
            ("[]a]x", "]x", "bx"),
            ("[\\-a]x", "]x", "bx"),
            ("a\\*", "a*", "ab"),
            ("a\\ ", "a ", "a"),
            ("*", "x", "\n"),
            ("*/", "x/", "x"),
            ("**/", "x/y", "x"),
            ("a//b", "a//b", "a/b"),
            ("!a", "a", "b"),
        ] {
            assert!(finds(pattern, yes), "{pattern} in {yes}");
            assert!(!finds(pattern, no), "{pattern} in {no}");
        }
    }

    #[test]
    fn what_raises_and_what_finds_nothing_are_told_apart() {
        for raises in [
            "!",
            "a\\",
            "\\",
            "a/\\",
            "[z-a]",
            "!  ",
            "a\\  ",
            "[z-a]]",
            "[z-a]/x",
            "[z-a]\\",
            "a\\/[b",
            "[z-a]\\[b",
        ] {
            assert!(compile(raises).is_err(), "{raises:?}");
        }
        for nothing in ["", "  ", "/", "/  ", "[a", "a[", "[]", "[!]", "#a", "[b/a\\", "[a\\"] {
            assert_eq!(compile(nothing), Ok(None), "{nothing:?}");
        }
    }

    #[test]
    fn a_range_the_wrong_way_round_raises_nothing_where_a_bracket_stays_open() {
        for nothing in [
            "[z-a]x[b",
            "[z-a][",
            "[z-a][]",
            "$x*[a-\\]][a-",
            "[a--b]{2}[]b\\/",
            "[z-a]/[b",
            "!x/[z-a]/y/[",
            "[z-a][!]",
        ] {
            assert_eq!(compile(nothing), Ok(None), "{nothing:?}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_few() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!finds(&pattern, &"a".repeat(4000)));
    }

    #[test]
    fn from_the_first_character_on_a_slash_is_never_found() {
        let glob = compile("*/").unwrap().unwrap();
        assert!(glob.finds("a/", true, &mut 0) && !glob.finds("a/", false, &mut 0));
    }
}
