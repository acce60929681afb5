//! The only way to hold a secret.
//!
//! A `Secret` has no `Display`, its `Debug` prints `***`, it is not serializable, and it can only be read through
//! [`Secret::expose`], so that `grep expose` lists every place where one leaves its wrapper.

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;

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
