//! The only way to hold a secret.
//!
//! A `Secret` has no `Display`, its `Debug` prints `***`, it is not serializable, and it can only be read through
//! [`Secret::expose`], so that `grep expose` lists every place where one leaves its wrapper. What others wrote goes through
//! [`Hidden`] before it is told.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A password, token or key. Never printed, never written, never compared in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret. Empty ones are allowed: some servers want a user name and no password.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The secret itself, for the one place that sends it to its origin.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it carries a byte that would end a line or a string in a protocol further down
    /// (CVE-2020-5260, CVE-2026-82249: a line break in a credential injects fields).
    pub fn has_control_character(&self) -> bool {
        self.0.chars().any(char::is_control)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Secret(value)
    }
}

/// A shorter secret may be any word, so it is hidden only where nothing else can be: without that, texts could not be read.
pub const SHORTEST: usize = 8;

/// A longer user name is a token.
const LONGEST_NAME: usize = 16;
/// A rest of a text that was cut may be the beginning of a secret if it has so many bytes.
const BEGINNING: usize = 4;
/// What shows that a text was cut.
const CUT: char = '…';

/// Secrets that somebody else's words are searched for.
///
/// It is for accidents: a program that prints what it was called with, an exception that has a URL in it. Who means to tell a
/// secret that he has finds a spelling that is not looked for.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Hidden(Vec<Place>);

/// A secret, and what has to stand around it to be one.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    before: &'static str,
    secret: Secret,
    after: &'static str,
}

impl Hidden {
    /// One more, wherever it stands. An empty one is none.
    pub fn add(&mut self, secret: &str) {
        self.add_between("", secret, "");
    }

    /// The password of a login, wherever it stands unless it is shorter than [`SHORTEST`], and a user that is a token.
    pub fn add_login(&mut self, username: &str, password: &Secret) {
        self.add_in_place(username, password.expose());
        if password.expose().len() >= SHORTEST {
            self.add(password.expose());
        }
        // Hosts take a token as the user, with nothing or this for a password.
        let is_token = ["", "x-oauth-basic"].contains(&password.expose()) && username.len() >= SHORTEST;
        if is_token || username.len() >= LONGEST_NAME {
            self.add(username);
            self.add_basic(username, password.expose());
        }
    }

    /// A password that may be any word: where only a password stands, in a URL and as `Authorization: Basic` spells it.
    pub fn add_in_place(&mut self, username: &str, password: &str) {
        if !password.is_empty() {
            self.add_between(":", password, "@");
            self.add_basic(username, password);
        }
    }

    /// A login as `Authorization: Basic` spells it.
    pub fn add_basic(&mut self, username: &str, password: &str) {
        let basic = STANDARD.encode(format!("{username}:{password}"));
        self.add_between(if basic.len() < SHORTEST { "Basic " } else { "" }, &basic, "");
    }

    fn add_between(&mut self, before: &'static str, secret: &str, after: &'static str) {
        let place = Place { before, secret: Secret::new(secret), after };
        if !secret.is_empty() && !self.0.contains(&place) {
            self.0.push(place);
        }
    }

    /// The text with `***` in place of every secret, as it is or as a URL spells it. Of one that was cut, the half goes too.
    pub fn hide(&self, text: &str) -> String {
        let mut begins = [false; 256];
        for place in &self.0 {
            begins[usize::from(place.first())] = true;
            begins[usize::from(b'%')] = true;
        }
        let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            let found = if begins[usize::from(rest.as_bytes()[0])] {
                let found = self.0.iter().filter_map(|place| Some((place.found(rest)?, place)));
                found.max_by_key(|(length, _)| *length)
            } else {
                None
            };
            match found {
                Some((_, place)) => shown.extend([place.before, "***", place.after]),
                None => shown.push(first),
            }
            let length = found.map_or(first.len_utf8(), |(length, _)| length);
            rest = rest.get(length..).unwrap_or_default();
        }
        shown
    }
}

impl Place {
    fn first(&self) -> u8 {
        let secret = self.secret.expose().as_bytes();
        self.before.as_bytes().first().copied().unwrap_or(secret[0])
    }

    /// How many bytes at the beginning of `text` it is, with what stands around it.
    fn found(&self, text: &str) -> Option<usize> {
        let secret = self.secret.expose().as_bytes();
        let rest = text.as_bytes().strip_prefix(self.before.as_bytes())?;
        let whole = spelt(secret, rest).filter(|length| rest[*length..].starts_with(self.after.as_bytes()));
        if let Some(length) = whole {
            return Some(self.before.len() + length + self.after.len());
        }
        let half = text.strip_suffix(CUT).filter(|half| self.before.is_empty() && half.len() >= BEGINNING)?;
        secret.starts_with(half.as_bytes()).then_some(half.len())
    }
}

/// How many bytes at the beginning of `text` are this secret, if they are.
fn spelt(secret: &[u8], text: &[u8]) -> Option<usize> {
    if text.starts_with(secret) {
        return Some(secret.len());
    }
    let hex = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut at = 0;
    for byte in secret {
        at += match text.get(at)? {
            b'%' if hex(at + 1).zip(hex(at + 2)) == Some((u32::from(byte >> 4), u32::from(byte & 15))) => 3,
            other if other == byte => 1,
            _ => return None,
        };
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_nowhere_in_the_text_as_it_is_or_as_a_url_spells_it() {
        let mut hidden = Hidden::default();
        assert_eq!(hidden.hide("pä%ss"), "pä%ss", "nothing is known");
        ["pä%s@", "pä%s@word", "x", ""].iter().for_each(|secret| hidden.add(secret));
        hidden.add_login("ada", &Secret::new("hunter22"));
        hidden.add_login("bob", &Secret::new(""));
        for (text, shown) in [
            ("", ""),
            ("a pä%s@, b", "a ***, b"),
            ("pä%s@word", "***"),
            ("pä%s@wor", "***wor"),
            ("https://u:p%C3%a4%25s%40@h", "https://u:***@h"),
            ("p%C3%a4%s%40", "***"),
            ("x%78%7", "******%7"),
            ("Authorization: Basic YWRhOmh1bnRlcjIy", "Authorization: Basic ***"),
            ("hunter22hunter22hunter", "******hunter"),
            ("hunter22 hunte…", "*** ***…"),
            ("hunter22 hun…", "*** hun…"),
            ("a ≠ b: 100% p", "a ≠ b: 100% p"),
        ] {
            assert_eq!(hidden.hide(text), shown, "{text}");
        }
        assert_eq!(format!("{hidden:?}").matches("hunter").count(), 0);
    }

    #[test]
    fn a_short_password_is_hidden_where_only_a_password_stands() {
        let mut hidden = Hidden::default();
        hidden.add_login("u", &Secret::new("x"));
        hidden.add_in_place("airflow", "airflow");
        for (text, shown) in [
            ("No module named airflow.providers.x", "No module named airflow.providers.x"),
            ("postgres://airflow:airflow@postgres/airflow", "postgres://airflow:***@postgres/airflow"),
            ("https://u:%78@host/x: no", "https://u:***@host/x: no"),
            ("Authorization: Basic dTp4, not dTp4", "Authorization: Basic ***, not dTp4"),
            ("Basic YWlyZmxvdzphaXJmbG93", "Basic ***"),
        ] {
            assert_eq!(hidden.hide(text), shown, "{text}");
        }
    }

    #[test]
    fn debug_of_a_secret_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
        assert_eq!(format!("{:#?}", Some(Secret::new("hunter2"))).matches("hunter").count(), 0);
    }

    #[test]
    fn line_breaks_in_a_secret_are_seen() {
        for bad in ["a\nb", "a\rb", "a\0b", "\u{1b}[0m"] {
            assert!(Secret::new(bad).has_control_character(), "{bad:?}");
        }
        assert!(!Secret::new("pässwörd !\"§$%").has_control_character());
    }
}
