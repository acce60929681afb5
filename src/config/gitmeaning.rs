//! What the pairs of `--git-config` mean for a program without git: which act, which are moot, which are warned about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::errors::Problem;
use crate::config::gitconfig::{Fit, Pair, boolean, fit, integer};
use crate::config::proxy;
use crate::config::resolved::{AutoCrlf, CheckoutConfig, HttpConfig};
use crate::git::url::RepoUrl;
use crate::path::absolute;
use crate::secret::Secret;

/// The outcome of [`apply`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Meaning {
    /// The settings, but for `proxy`.
    pub http: HttpConfig,
    /// `http.proxy`: `Some(None)` = said to be none.
    pub proxy: Option<Option<Secret>>,
    /// What changes bytes on disk.
    pub checkout: CheckoutConfig,
    /// What is not done.
    pub warnings: Vec<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Sections that say nothing to a program that runs no git, keeps its own store and never commits.
const MOOT_SECTIONS: &[&str] = &[
    "advice",
    "alias",
    "author",
    "color",
    "column",
    "commitgraph",
    "committer",
    "diff",
    "feature",
    "fetch",
    "gc",
    "index",
    "init",
    "log",
    "maintenance",
    "merge",
    "pack",
    "pull",
    "push",
    "repack",
    "safe",
    "status",
    "trace2",
    "uploadpack",
    "user",
];

/// The same, single variables.
const MOOT: &[(&str, &str)] = &[
    ("checkout", "workers"),
    ("checkout", "thresholdforparallelism"),
    ("core", "askpass"),
    ("core", "bigfilethreshold"),
    ("core", "compression"),
    ("core", "commitgraph"),
    ("core", "deltabasecachelimit"),
    ("core", "fsync"),
    ("core", "fsyncmethod"),
    ("core", "fsyncobjectfiles"),
    ("core", "fsmonitor"),
    ("core", "hookspath"),
    ("core", "loosecompression"),
    ("core", "multipackindex"),
    ("core", "packedgitlimit"),
    ("core", "packedgitwindowsize"),
    ("core", "pager"),
    ("core", "preloadindex"),
    ("core", "quotepath"),
    ("core", "sharedrepository"),
    ("core", "untrackedcache"),
    ("http", "emptyauth"),
    ("http", "maxrequests"),
    ("http", "minsessions"),
    ("http", "postbuffer"),
];

/// Works out what the settings mean for a repository. Relative paths start at `cwd`, `~/` at `home`.
pub fn apply(pairs: &[Pair], repo: &RepoUrl, cwd: &Path, home: Option<&Path>) -> Meaning {
    let mut state = State { meaning: Meaning::default(), cwd, home, low_speed: (0, 0) };
    let mut best: BTreeMap<&str, Option<Fit>> = BTreeMap::new();
    let mut allow: Option<&Pair> = None;
    for pair in pairs {
        match (pair.key(), &pair.subsection) {
            (("http", _), _) if matches!(repo, RepoUrl::Local(_)) => {}
            (("http", variable), subsection) => {
                let fits = subsection.as_ref().map(|url| fit(url, repo));
                if fits == Some(None) {
                    state.warn(pair, "is for another URL than the repository's");
                    continue;
                }
                // git keeps a setting made for this URL when a later one is less specific.
                let fits = fits.flatten();
                let best = best.entry(variable).or_default();
                if fits >= *best {
                    *best = fits;
                    state.http(pair);
                }
            }
            (("protocol", "allow"), None) => allow = allow.or(Some(pair)),
            (("protocol", "allow"), Some(name)) if name == scheme(repo) => allow = Some(pair),
            (("protocol", "allow"), Some(_)) => {}
            (("protocol", "version"), None) => match integer(pair.value.expose()) {
                Some(2) => state.meaning.http.protocol_version = None,
                Some(old @ (0 | 1)) => state.meaning.http.protocol_version = Some(old as u8),
                _ => state.wrong(pair, "must be 0, 1 or 2"),
            },
            (("core", "autocrlf" | "eol"), None) => state.checkout(pair),
            ((section, _), _) if MOOT_SECTIONS.contains(&section) => {}
            (key, None) if MOOT.contains(&key) => {}
            _ => state.warn(pair, "means nothing to dagsync"),
        }
    }
    if let Some(pair) = allow {
        match pair.value.expose() {
            "never" => state.wrong(pair, "forbids the scheme of the repository"),
            "always" | "user" => {}
            _ => state.wrong(pair, "must be always, user or never"),
        }
    }
    if let (limit @ 1.., time @ 1..) = state.low_speed {
        state.meaning.http.low_speed = Some((limit, Duration::from_secs(time)));
    }
    state.meaning
}

fn scheme(repo: &RepoUrl) -> &str {
    match repo {
        RepoUrl::Http(url) => url.scheme(),
        RepoUrl::Local(_) => "file",
    }
}

struct State<'a> {
    meaning: Meaning,
    cwd: &'a Path,
    home: Option<&'a Path>,
    low_speed: (u64, u64),
}

impl State<'_> {
    /// By name only: the value may be a credential.
    fn warn(&mut self, pair: &Pair, why: &str) {
        self.meaning.warnings.push(format!("git-config: `{}` {why}, ignored", pair.shown()));
    }

    fn wrong(&mut self, pair: &Pair, why: &str) {
        self.meaning.problems.push(Problem::new(format!("git-config: `{}` {why}", pair.shown())));
    }

    fn http(&mut self, pair: &Pair) {
        let value = pair.value.expose();
        let count = || integer(value).and_then(|number| u64::try_from(number).ok());
        match pair.variable.as_str() {
            "sslverify" => match boolean(value) {
                Some(on) => self.meaning.http.ssl_verify = on,
                None => self.wrong(pair, "is neither true nor false"),
            },
            "sslcainfo" => self.meaning.http.ssl_ca_info = self.path(value),
            "proxy" if value.is_empty() => self.meaning.proxy = Some(None),
            "proxy" => match proxy::normal(value) {
                Ok(proxy) => self.meaning.proxy = Some(Some(proxy)),
                Err(why) => self.wrong(pair, &why),
            },
            "extraheader" if value.is_empty() => self.meaning.http.extra_headers.clear(),
            "extraheader" => match header(value) {
                Some(header) => self.meaning.http.extra_headers.push(header),
                None => self.wrong(pair, "is not a header, as in `Name: value`"),
            },
            "useragent" if pair.value.has_control_character() || !value.is_ascii() => {
                self.wrong(pair, "must be plain ASCII");
            }
            "useragent" => {
                self.meaning.http.user_agent = Some(value.to_owned()).filter(|text| !text.is_empty())
            }
            "lowspeedlimit" => match count() {
                Some(limit) => self.low_speed.0 = limit,
                None => self.wrong(pair, "is not a number of bytes"),
            },
            "lowspeedtime" => match count() {
                Some(time) => self.low_speed.1 = time,
                None => self.wrong(pair, "is not a number of seconds"),
            },
            "version" => match value {
                "HTTP/1.1" => self.meaning.http.http1_only = Some(true),
                "HTTP/2" | "" => self.meaning.http.http1_only = None,
                _ => self.wrong(pair, "must be HTTP/1.1 or HTTP/2"),
            },
            "followredirects" if value.eq_ignore_ascii_case("initial") => {
                self.meaning.http.follow_redirects = true
            }
            "followredirects" => match boolean(value) {
                Some(on) => self.meaning.http.follow_redirects = on,
                None => self.wrong(pair, "must be true, false or initial"),
            },
            variable if MOOT.contains(&("http", variable)) => {}
            _ => self.warn(pair, "means nothing to dagsync"),
        }
    }

    fn checkout(&mut self, pair: &Pair) {
        let value = pair.value.expose().to_ascii_lowercase();
        let checkout = &mut self.meaning.checkout;
        match (pair.variable.as_str(), value.as_str()) {
            ("autocrlf", "input") => checkout.autocrlf = AutoCrlf::Input,
            ("autocrlf", _) => match boolean(&value) {
                Some(true) => checkout.autocrlf = AutoCrlf::True,
                Some(false) => checkout.autocrlf = AutoCrlf::False,
                None => self.wrong(pair, "must be true, false or input"),
            },
            (_, "crlf") => checkout.eol_crlf = true,
            (_, "lf" | "native") => checkout.eol_crlf = false,
            _ => self.wrong(pair, "must be lf, crlf or native"),
        }
    }

    fn path(&self, value: &str) -> Option<PathBuf> {
        if value.is_empty() {
            return None;
        }
        Some(match (value.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => absolute(Path::new(rest), home),
            _ => absolute(Path::new(value), self.cwd),
        })
    }
}

/// `Name: value`. A line break in it would be a header of its own.
fn header(text: &str) -> Option<(String, Secret)> {
    let (name, value) = text.split_once(':')?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let value = value.trim();
    let fits = !name.is_empty() && name.chars().all(token) && !value.chars().any(char::is_control);
    fits.then(|| (name.to_owned(), Secret::new(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::gitconfig::parse_list;

    fn meaning_for(repo: &str, text: &str) -> Meaning {
        let repo = crate::git::url::parse(repo, Path::new("/")).unwrap().repo;
        apply(&parse_list(text).unwrap(), &repo, Path::new("/somewhere"), Some(Path::new("/home/me")))
    }

    fn meaning(text: &str) -> Meaning {
        meaning_for("https://git.example.com/org/dags.git", text)
    }

    #[test]
    fn keys_that_make_sense_act() {
        let http = meaning(
            "http.sslVerify:no,http.sslCAInfo:ca.pem,http.userAgent:x/1,http.lowSpeedLimit:1k,http.lowSpeedTime:30,\
             http.version:HTTP/1.1,http.followRedirects:false,protocol.version:1,\
             http.extraHeader:A: 1,http.extraHeader:B: 2",
        )
        .http;
        assert!(!http.ssl_verify && !http.follow_redirects);
        assert_eq!(http.ssl_ca_info, Some("/somewhere/ca.pem".into()));
        assert_eq!(http.user_agent.as_deref(), Some("x/1"));
        assert_eq!(http.low_speed, Some((1024, Duration::from_secs(30))));
        assert_eq!((http.http1_only, http.protocol_version), (Some(true), Some(1)));
        let headers: Vec<_> = http.extra_headers.iter().map(|(n, v)| (n.as_str(), v.expose())).collect();
        assert_eq!(headers, [("A", "1"), ("B", "2")]);
    }

    #[test]
    fn an_empty_extra_header_forgets_those_before() {
        let http = meaning(r#"http.extraHeader:A: 1,http.extraHeader:"",http.extraHeader:B: 2"#).http;
        assert_eq!(http.extra_headers.len(), 1);
        assert_eq!(http.extra_headers[0].0, "B");
    }

    #[test]
    fn proxy_can_be_set_and_set_to_none() {
        assert_eq!(meaning("").proxy, None);
        assert_eq!(meaning("http.proxy:").proxy, Some(None));
        assert_eq!(meaning("http.proxy:p:1").proxy, Some(Some(Secret::new("http://p:1"))));
        assert_eq!(meaning("http.sslCAInfo:~/ca").http.ssl_ca_info, Some("/home/me/ca".into()));
    }

    #[test]
    fn settings_of_one_url_hold_for_it_only_and_beat_general_ones() {
        for text in [
            r#""http.https://git.example.com/.userAgent":here,http.userAgent:general"#,
            r#"http.userAgent:general,"http.https://git.example.com/.userAgent":here"#,
            r#""http.https://git.example.com/org.userAgent":here,"http.https://git.example.com/.userAgent":general"#,
        ] {
            assert_eq!(meaning(text).http.user_agent.as_deref(), Some("here"), "{text}");
        }
        let other = meaning(r#""http.https://other.example.com/.extraHeader":"Authorization: CANARY""#);
        assert!(other.http.extra_headers.is_empty());
        assert_eq!(other.warnings.len(), 1);
        assert!(!other.warnings[0].contains("CANARY"));
    }

    #[test]
    fn moot_keys_are_silent_and_unknown_ones_warn_by_name() {
        let moot = "safe.directory:*,gc.auto:0,pack.threads:1,user.name:me,fetch.prune:true,core.compression:1,\
                    init.defaultBranch:main,advice.detachedHead:false,http.postBuffer:1,protocol.ext.allow:never,\
                    protocol.file.allow:always";
        assert_eq!(meaning(moot), Meaning::default());
        let unknown = meaning(
            "credential.helper:CANARY,http.cookieFile:CANARY,core.sshCommand:CANARY,url.x.insteadOf:y",
        );
        assert_eq!(unknown.warnings.len(), 4);
        assert!(!unknown.warnings.concat().contains("CANARY"));
        let local = meaning_for("/srv/dags", "http.proxy:p,http.nonsense:1");
        assert_eq!((local.proxy, local.warnings.len()), (None, 0));
    }

    #[test]
    fn a_forbidden_scheme_is_an_error() {
        for (repo, text, forbidden) in [
            ("https://x/y", "protocol.https.allow:never", true),
            ("https://x/y", "protocol.http.allow:never", false),
            ("https://x/y", "protocol.allow:never", true),
            ("https://x/y", "protocol.allow:never,protocol.https.allow:always", false),
            ("https://x/y", "protocol.https.allow:always,protocol.allow:never", false),
            ("/srv/x", "protocol.file.allow:never", true),
            ("/srv/x", "protocol.file.allow:user", false),
            ("/srv/x", "protocol.file.allow:sometimes", true),
        ] {
            assert_eq!(!meaning_for(repo, text).problems.is_empty(), forbidden, "{repo} {text}");
        }
    }

    #[test]
    fn line_endings_are_read() {
        let crlf = meaning("core.autocrlf:input,core.eol:crlf").checkout;
        assert_eq!(crlf, CheckoutConfig { autocrlf: AutoCrlf::Input, eol_crlf: true });
        assert_eq!(meaning("core.autocrlf:on").checkout.autocrlf, AutoCrlf::True);
    }

    #[test]
    fn wrong_values_are_problems_that_do_not_repeat_them() {
        for text in [
            "http.sslVerify:CANARY",
            "http.extraHeader:CANARY",
            r#"http.extraHeader:"A: CANARY\nB: x""#,
            r#"http.extraHeader:"CANARY x: y""#,
            "http.lowSpeedLimit:CANARY",
            "http.lowSpeedTime:-1",
            "http.version:HTTP/9",
            "http.proxy:socks5://CANARY",
            "http.followRedirects:CANARY",
            r#"http.userAgent:"CANARY\n""#,
            "protocol.version:3",
            "core.autocrlf:CANARY",
            "core.eol:CANARY",
        ] {
            let problems = meaning(text).problems;
            assert_eq!(problems.len(), 1, "{text}");
            assert!(!problems[0].to_string().contains("CANARY"), "{text}");
        }
    }
}
