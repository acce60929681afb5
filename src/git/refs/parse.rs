//! Which texts are refs. Pure.

use gix::ObjectId;
use semver::VersionReq;

use super::Wanted;

impl Wanted {
    /// Reads a ref: from an option, or the first line of a ref file.
    ///
    /// # Errors
    /// A phrase such as "must not begin with `-`". It does not repeat the text: that may be a token pasted into the wrong
    /// place.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('-') {
            // git-sync 4.7.1 runs a command for `--ref=--upload-pack=…`.
            return Err("must not begin with `-`".into());
        }
        if text.chars().any(char::is_control) {
            return Err("must not contain control characters".into());
        }
        if matches!(text, "" | "HEAD" | "@") {
            return Ok(Wanted::Head);
        }
        if let Some(rest) = text.strip_prefix("semver:") {
            // A requirement has no colon, a tag's name neither; so the last one parts them.
            let (prefix, requirement) = match rest.rsplit_once(':') {
                Some((prefix, requirement)) => (Some(prefix), requirement),
                None => (None, rest),
            };
            well_formed(prefix.unwrap_or_default(), "")?;
            let requirement = VersionReq::parse(requirement.trim())
                .map_err(|error| format!("has a version requirement that is not valid: {error}"))?;
            return Ok(Wanted::Semver { prefix: prefix.map(str::to_owned), requirement });
        }
        if let Some(pattern) = text.strip_prefix("tag:") {
            if pattern.is_empty() {
                return Err("has no pattern behind `tag:`".into());
            }
            well_formed(pattern, "*?[]")?;
            if !brackets_are_closed(pattern) {
                return Err("has a pattern with an open `[`".into());
            }
            return Ok(Wanted::Tags { pattern: pattern.to_owned() });
        }
        if matches!(text.len(), 40 | 64)
            && let Ok(id) = ObjectId::from_hex(text.to_ascii_lowercase().as_bytes())
        {
            return Ok(Wanted::Id(id));
        }
        well_formed(text, "")?;
        if gix::validate::reference::name_partial(text.into()).is_err() {
            return Err("is not a name that git allows".into());
        }
        Ok(match text.strip_prefix("refs/") {
            Some(_) => Wanted::Full(text.to_owned()),
            None => Wanted::Name(text.to_owned()),
        })
    }
}

/// The rules of `git check-ref-format` that hold for every part of a name; `extra` characters are allowed beside.
fn well_formed(text: &str, extra: &str) -> Result<(), String> {
    let forbidden = |c: char| " ~^:?*[\\".contains(c) && !extra.contains(c);
    if let Some(bad) = text.chars().find(|c| forbidden(*c)) {
        return Err(format!("must not contain `{bad}`"));
    }
    if text.contains("..") || text.contains("@{") || text.contains("//") || text.starts_with('/') {
        return Err("must not contain `..`, `@{` or an empty part".into());
    }
    if text.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock")) {
        return Err("must not have a part that begins with `.` or ends with `.lock`".into());
    }
    if text.len() > 1024 {
        return Err("is longer than 1024 bytes".into());
    }
    Ok(())
}

/// Whether every `[` of a glob has its `]`; a `]` right behind `[` or `[!` is a member of the set.
fn brackets_are_closed(glob: &str) -> bool {
    let mut rest = glob;
    while let Some((_, set)) = rest.split_once('[') {
        let set = set.strip_prefix(['!', '^']).unwrap_or(set);
        let members = set.strip_prefix(']').unwrap_or(set);
        match members.split_once(']') {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ids_and_patterns_are_told_apart() {
        assert_eq!(Wanted::parse(""), Ok(Wanted::Head));
        assert_eq!(Wanted::parse("HEAD"), Ok(Wanted::Head));
        assert_eq!(Wanted::parse("main"), Ok(Wanted::Name("main".into())));
        assert_eq!(Wanted::parse("refs/pull/7/head"), Ok(Wanted::Full("refs/pull/7/head".into())));
        assert!(matches!(Wanted::parse(&"aB".repeat(20)), Ok(Wanted::Id(_))));
        assert!(matches!(Wanted::parse(&"ab".repeat(32)), Ok(Wanted::Id(_))));
        assert!(
            matches!(Wanted::parse(&"ab".repeat(19)), Ok(Wanted::Name(_))),
            "an abbreviated id is a name"
        );
    }

    #[test]
    fn patterns_and_prefixes_are_kept_as_they_are() {
        for pattern in ["release-*", "v?.[0-9]", "a/[!b]*", "[]]x"] {
            assert_eq!(
                Wanted::parse(&format!("tag:{pattern}")),
                Ok(Wanted::Tags { pattern: pattern.into() })
            );
        }
        for (text, prefix) in [("semver:>=1.0, <2", None), ("semver:dags/v:~1.2", Some("dags/v"))] {
            let parsed = Wanted::parse(text).unwrap();
            assert!(
                matches!(&parsed, Wanted::Semver { prefix: p, .. } if p.as_deref() == prefix),
                "{parsed:?}"
            );
        }
    }

    #[test]
    fn what_is_no_ref_is_refused() {
        for bad in [
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "refs/heads/*",
            "a?",
            "a[",
            "a\\b",
            "a@{1}",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "a\nb",
            "a\rb",
            "a\u{1b}[0m",
            "a\0",
            "a\u{7f}",
            "semver:",
            "semver:abc",
            "semver:a b:^1",
            "semver:^1:",
            "semver:..:^1",
            "tag:",
            "tag:a b",
            "tag:[a",
            "tag:../x",
            "tag:a\nb",
        ] {
            assert!(Wanted::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Wanted::parse(&"a".repeat(2000)).is_err());
    }

    /// git-sync 4.7.1 runs a command for this.
    #[test]
    fn option_like_ref_is_refused() {
        for bad in ["--upload-pack=touch /tmp/x", "-x", "-", "--"] {
            assert_eq!(Wanted::parse(bad), Err("must not begin with `-`".into()), "{bad}");
        }
    }
}
