//! Everything that is wrong with what the user said, at once.

use std::fmt;

use crate::config::options::{Opt, nearest};

/// The exit code for a usage error, as `sysexits.h` names it.
pub const EXIT_USAGE: u8 = 64;

/// One thing that is wrong. Never carries a credential: values of secret kinds are not repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One line, lower case.
    pub message: String,
    /// What to do about it, if there is something to say.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        Problem { message: message.into(), hint: None }
    }

    /// The same, with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with "did you mean …" when a candidate is near enough.
    pub fn nearest<'a>(self, word: &str, candidates: impl Iterator<Item = &'a str>) -> Self {
        match nearest(word, candidates) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// "not supported yet": the answer to a setting of git-sync whose feature dagsync does not have so far.
    pub fn not_yet(opt: &Opt, origin: &dyn fmt::Display) -> Self {
        Problem::new(format!("{origin}: `{}` is not supported yet", opt.name))
            .hint("remove the setting, or stay with git-sync for this repository until it is")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// All problems of one reading, in the order they were found, each once. Printed one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Errors(Vec<Problem>);

impl Errors {
    /// Adds a problem unless it is already there: with several sources a bad default would be told once for each.
    pub fn push(&mut self, problem: Problem) {
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Adds all problems of `other`.
    pub fn extend(&mut self, other: Errors) {
        other.0.into_iter().for_each(|problem| self.push(problem));
    }
}

impl From<Problem> for Errors {
    fn from(problem: Problem) -> Self {
        Errors(vec![problem])
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "error: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_shown_once_each_with_their_hints() {
        let mut errors = Errors::default();
        errors.push(Problem::new("one").hint("do this"));
        errors.push(Problem::new("two"));
        errors.push(Problem::new("one").hint("do this"));
        assert_eq!(errors.len(), 2);
        assert_eq!(errors.to_string(), "error: one\nhint: do this\nerror: two");
    }
}
