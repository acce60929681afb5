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

/// Secrets that somebody else's words are searched for.
///
/// It is for accidents: a program that prints what it was called with, an exception that has a URL in it. Who means to tell a
/// secret that he has finds a spelling that is not looked for.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Hidden(Vec<Secret>);

impl Hidden {
    /// One more. An empty one is none.
    pub fn add(&mut self, secret: &str) {
        if !secret.is_empty() && self.0.iter().all(|known| known.expose() != secret) {
            self.0.push(Secret::new(secret));
        }
    }

    /// The password of a login, also as `Authorization: Basic` spells it.
    pub fn add_login(&mut self, username: &str, password: &Secret) {
        if !password.expose().is_empty() {
            self.add(password.expose());
            self.add(&STANDARD.encode(format!("{username}:{}", password.expose())));
        }
    }

    /// The text with `***` in place of every secret, as it is or as a URL spells it.
    pub fn hide(&self, text: &str) -> String {
        let mut begins = [false; 256];
        for secret in &self.0 {
            begins[usize::from(secret.expose().as_bytes()[0])] = true;
            begins[usize::from(b'%')] = true;
        }
        let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            let bytes = rest.as_bytes();
            let found = if begins[usize::from(bytes[0])] {
                self.0.iter().filter_map(|secret| spelt(secret.expose().as_bytes(), bytes)).max()
            } else {
                None
            };
            if found.is_some() {
                shown.push_str("***");
            } else {
                shown.push(first);
            }
            rest = rest.get(found.unwrap_or(first.len_utf8())..).unwrap_or_default();
        }
        shown
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
        hidden.add_login("ada", &Secret::new("hunter2"));
        hidden.add_login("bob", &Secret::new(""));
        for (text, shown) in [
            ("", ""),
            ("a pä%s@, b", "a ***, b"),
            ("pä%s@word", "***"),
            ("pä%s@wor", "***wor"),
            ("https://u:p%C3%a4%25s%40@h", "https://u:***@h"),
            ("p%C3%a4%s%40", "***"),
            ("x%78%7", "******%7"),
            ("Authorization: Basic YWRhOmh1bnRlcjI=", "Authorization: Basic ***"),
            ("hunter2hunter2hunter", "******hunter"),
            ("a ≠ b: 100% p", "a ≠ b: 100% p"),
        ] {
            assert_eq!(hidden.hide(text), shown, "{text}");
        }
        assert_eq!(format!("{hidden:?}").matches("hunter").count(), 0);
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
