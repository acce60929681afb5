//! What is newer: versions in the names of tags. Pure.

use semver::Version;

/// The version in a tag's name: `1.2.3`, also `v1.2.3` without a prefix, and with missing parts taken as zero.
pub(super) fn version(name: &str, prefix: Option<&str>) -> Option<Version> {
    let text = match prefix {
        Some(prefix) => name.strip_prefix(prefix)?,
        None => name.strip_prefix(['v', 'V']).unwrap_or(name),
    };
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let zeros = match numbers.split('.').count() {
        1 => ".0.0",
        2 => ".0",
        _ => return None,
    };
    Version::parse(&format!("{numbers}{zeros}{rest}")).ok()
}

/// Where a name stands in version order: the numbers it begins with, a release above its pre-releases. What follows
/// (a commit's id, a word) says nothing about age; a name without numbers is older than any with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    numbers: Vec<u64>,
    release: bool,
    stage: String,
    stage_number: u64,
}

impl Order {
    pub(super) fn of(text: &str) -> Self {
        let mut rest = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let mut numbers = Vec::new();
        while let Some(number) = take_number(&mut rest) {
            numbers.push(number);
            match rest.strip_prefix(['.', '_', '-']) {
                Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
                _ => break,
            }
        }
        // `1.0` and `1.0.0` are one version.
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        let rest = rest.trim_start_matches(['.', '_', '-', '~']).to_ascii_lowercase();
        let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        let known = ["a", "alpha", "b", "beta", "c", "rc", "dev", "pre", "preview", "snapshot"];
        if !known.contains(&word.as_str()) {
            return Order { numbers, release: true, stage: String::new(), stage_number: 0 };
        }
        let mut after = rest[word.len()..].trim_start_matches(['.', '_', '-']);
        Order { numbers, release: false, stage: word, stage_number: take_number(&mut after).unwrap_or(0) }
    }
}

fn take_number(text: &mut &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    // Longer than any version or date: somebody's id, of which we know no order.
    let number = digits.parse().ok()?;
    *text = rest;
    Some(number)
}
