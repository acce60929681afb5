//! `--git-config`: reading the pairs as git-sync does, and matching their keys as git does.

use crate::git::url::RepoUrl;
use crate::secret::Secret;

/// One setting. The value may be a credential (`http.extraHeader`), so it is held as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Section, lower case.
    pub section: String,
    /// Subsection, as written.
    pub subsection: Option<String>,
    /// Variable, lower case.
    pub variable: String,
    /// The value.
    pub value: Secret,
}

impl Pair {
    /// The key as it may be shown: a subsection is a URL more often than not, and may carry a credential.
    pub fn shown(&self) -> String {
        match &self.subsection {
            None => format!("{}.{}", self.section, self.variable),
            Some(sub) if sub.contains(['@', '?']) => format!("{}.….{}", self.section, self.variable),
            Some(sub) => format!("{}.{}.{}", self.section, sub.escape_debug(), self.variable),
        }
    }

    /// `section.variable`, for looking up.
    pub fn key(&self) -> (&str, &str) {
        (&self.section, &self.variable)
    }
}

/// Reads `key:value,key:value`. Keys and values may be quoted; a colon inside a key and a bare comma inside a value
/// need the quotes. The error contains nothing of the text.
pub fn parse_list(text: &str) -> Result<Vec<Pair>, String> {
    let mut chars = text.chars().peekable();
    let mut pairs = Vec::new();
    while chars.peek().is_some() {
        let number = pairs.len() + 1;
        let pair = parse_pair(&mut chars, true).map_err(|why| format!("setting {number}: {why}"))?;
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Reads one `key:value`, in which commas need no escape.
pub fn parse_one(text: &str) -> Result<Pair, String> {
    let mut chars = text.chars().peekable();
    let pair = parse_pair(&mut chars, false)?;
    if chars.next().is_some() { Err("there is something behind the quoted value".into()) } else { Ok(pair) }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn parse_pair(chars: &mut Chars<'_>, list: bool) -> Result<Pair, String> {
    // People write `a:b, c:d`.
    while chars.next_if(|c| c.is_whitespace()).is_some() {}
    let key = if chars.next_if_eq(&'"').is_some() {
        let key = quoted(chars)?;
        match chars.next() {
            Some(':') => key,
            _ => return Err("a `:` is expected behind the quoted key".into()),
        }
    } else {
        let mut key = String::new();
        loop {
            match chars.next() {
                Some(':') => break key,
                Some(c) => key.push(c),
                None => return Err("a key has no `:` and value behind it".into()),
            }
        }
    };
    let value = if chars.next_if_eq(&'"').is_some() {
        let value = quoted(chars)?;
        if list && chars.next().is_some_and(|c| c != ',') {
            return Err("a `,` is expected behind the quoted value".into());
        }
        value
    } else {
        let mut value = String::new();
        loop {
            match chars.next() {
                None => break value,
                Some(',') if list => break value,
                Some('\\') => value.push(escaped(chars)?),
                Some(c) => value.push(c),
            }
        }
    };
    split_key(key.trim(), value)
}

fn quoted(chars: &mut Chars<'_>) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match chars.next() {
            Some('"') => return Ok(text),
            Some('\\') => text.push(escaped(chars)?),
            Some(c) => text.push(c),
            None => return Err("a quote is not closed".into()),
        }
    }
}

fn escaped(chars: &mut Chars<'_>) -> Result<char, String> {
    match chars.next() {
        Some('n') => Ok('\n'),
        Some('t') => Ok('\t'),
        // git-sync knows no `\:`, but whoever writes it means the colon.
        Some(c @ ('"' | ',' | '\\' | ':')) => Ok(c),
        _ => Err("an escape is none of \\n, \\t, \\\", \\,, \\: and \\\\".into()),
    }
}

fn split_key(key: &str, value: String) -> Result<Pair, String> {
    let name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let (section, rest) = key.split_once('.').ok_or("a key has no `.`: it must be section.variable")?;
    let (subsection, variable) = match rest.rsplit_once('.') {
        Some((subsection, variable)) => (Some(subsection.to_owned()), variable),
        None => (None, rest),
    };
    if !name(section) || !name(variable) {
        return Err("a key is not section.variable or section.subsection.variable".into());
    }
    Ok(Pair {
        section: section.to_ascii_lowercase(),
        subsection,
        variable: variable.to_ascii_lowercase(),
        value: Secret::new(value),
    })
}

/// How well the URL in a key such as `http.<url>.proxy` fits; greater is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fit {
    host: usize,
    path: usize,
}

/// Whether, and how well, `pattern` fits the repository: git's `urlmatch`, without its user part, because the user
/// name may come from elsewhere and a setting for one user only is not what anyone writes.
pub fn fit(pattern: &str, repo: &RepoUrl) -> Option<Fit> {
    let RepoUrl::Http(repo) = repo else { return None };
    // `*` stands for one component of the host; the URL parser does not take it there.
    let pattern = url::Url::parse(&pattern.replace('*', "wild-card")).ok()?;
    if pattern.scheme() != repo.scheme() || pattern.port_or_known_default() != repo.port_or_known_default() {
        return None;
    }
    let wanted: Vec<&str> = pattern.host_str()?.split('.').collect();
    let host: Vec<&str> = repo.host_str()?.split('.').collect();
    let same = |(wanted, host): (&&str, &&str)| wanted == host || *wanted == "wild-card";
    if wanted.len() != host.len() || !wanted.iter().zip(&host).all(same) {
        return None;
    }
    let prefix = pattern.path().trim_end_matches('/');
    let rest = repo.path().strip_prefix(prefix)?;
    if !(rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    let exact = wanted.iter().filter(|part| **part != "wild-card").count();
    Some(Fit { host: exact, path: prefix.len() })
}

/// A boolean of git's configuration.
pub fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" | "" => Some(false),
        number => integer(number).map(|number| number != 0),
    }
}

/// A number of git's configuration, with its unit.
pub fn integer(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        _ => (text.as_str(), 0),
    };
    digits.parse::<i64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let pairs = parse_list(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        pairs.iter().map(|pair| (pair.shown(), pair.value.expose().to_owned())).collect()
    }

    #[test]
    fn pairs_are_read_as_git_sync_does() {
        for (text, expected) in [
            ("", &[][..]),
            ("a.b:c", &[("a.b", "c")]),
            ("a.b:c,d.e:f", &[("a.b", "c"), ("d.e", "f")]),
            ("a.b:c,", &[("a.b", "c")]),
            ("a.b:c, d.e:f", &[("a.b", "c"), ("d.e", "f")]),
            ("A.B:C", &[("a.b", "C")]),
            ("a.b:c:d", &[("a.b", "c:d")]),
            ("a.b:", &[("a.b", "")]),
            ("a.b:,c.d:e", &[("a.b", ""), ("c.d", "e")]),
            (r#"a.b:"""#, &[("a.b", "")]),
            (r#""a.b":"c""#, &[("a.b", "c")]),
            (r#"a.b:"c,d""#, &[("a.b", "c,d")]),
            (r"a.b:c\,d", &[("a.b", "c,d")]),
            (r#"a.b:"c\"d\\e\nf\tg""#, &[("a.b", "c\"d\\e\nf\tg")]),
            (r#""http.https://x.y/z.proxy":"v",a.b:c"#, &[("http.https://x.y/z.proxy", "v"), ("a.b", "c")]),
            (
                "safe.directory:/tmp/x/git,http.sslCAInfo:/tmp/ca.crt",
                &[("safe.directory", "/tmp/x/git"), ("http.sslcainfo", "/tmp/ca.crt")],
            ),
        ] {
            let expected: Vec<_> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            assert_eq!(pairs(text), expected, "{text}");
        }
    }

    #[test]
    fn malformed_pairs_are_refused_and_not_repeated() {
        for text in [
            "CANARY",
            "CANARY.b",
            r#""CANARY.b"c"#,
            r#""CANARY.b:c"#,
            r#"a.b:"CANARY"#,
            r#"a.b:"CANARY"x"#,
            r"a.b:CANARY\x",
            r"a.b:CANARY\",
            "CANARY:x",
            ".CANARY:x",
            "a_CANARY.b:c",
            "a.b:c,CANARY",
        ] {
            let error = parse_list(text).unwrap_err();
            assert!(!error.contains("CANARY"), "{error}");
        }
    }

    #[test]
    fn one_pair_may_have_commas_in_its_value() {
        let pair = parse_one("http.noProxy:a,b,c").unwrap();
        assert_eq!((pair.shown().as_str(), pair.value.expose()), ("http.noproxy", "a,b,c"));
        assert_eq!(parse_one(r#"a.b:"x""#).unwrap().value.expose(), "x");
        assert!(parse_one(r#"a.b:"x",c.d:e"#).is_err());
    }

    #[test]
    fn keys_that_may_carry_a_credential_are_not_shown() {
        let pair = &parse_list(r#""http.https://u:CANARY@x/.proxy":"CANARY""#).unwrap()[0];
        assert_eq!(pair.shown(), "http.….proxy");
        assert!(!pair.shown().contains("CANARY"));
    }

    #[test]
    fn urls_in_keys_fit_as_in_git() {
        let repo =
            crate::git::url::parse("https://git.example.com/org/dags.git", Path::new("/")).unwrap().repo;
        for (pattern, fits) in [
            ("https://git.example.com", true),
            ("https://git.example.com/", true),
            ("HTTPS://GIT.example.com:443/", true),
            ("https://*.example.com/", true),
            ("https://git.example.com/org", true),
            ("https://git.example.com/org/", true),
            ("https://git.example.com/org/dags.git", true),
            ("https://user@git.example.com/", true),
            ("https://git.example.com/or", false),
            ("https://example.com/", false),
            ("https://*.com/", false),
            ("http://git.example.com/", false),
            ("https://git.example.com:8443/", false),
            ("https://git.example.com/other", false),
            ("git.example.com", false),
            ("", false),
        ] {
            assert_eq!(fit(pattern, &repo).is_some(), fits, "{pattern}");
        }
        let fit = |pattern| fit(pattern, &repo).unwrap();
        assert!(fit("https://git.example.com/org") > fit("https://git.example.com"));
        assert!(fit("https://git.example.com") > fit("https://*.example.com/org"));
    }

    #[test]
    fn booleans_and_numbers_are_gits() {
        for (text, value) in [
            ("true", Some(true)),
            ("Yes", Some(true)),
            ("on", Some(true)),
            ("1", Some(true)),
            ("2k", Some(true)),
            ("", Some(false)),
            ("off", Some(false)),
            ("0", Some(false)),
            ("maybe", None),
        ] {
            assert_eq!(boolean(text), value, "{text}");
        }
        for (text, value) in [
            ("1", Some(1)),
            ("2k", Some(2048)),
            ("3M", Some(3 << 20)),
            ("1g", Some(1 << 30)),
            ("", None),
            ("k", None),
            ("1x", None),
        ] {
            assert_eq!(integer(text), value, "{text}");
        }
    }
}
