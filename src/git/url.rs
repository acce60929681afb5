//! The repository's address: which forms are allowed, and what of it may be shown.
//!
//! Two parsers that disagree about the host are a hole (CVE-2026-82247: `https://good?@evil/`), so there is one: whatever
//! goes over the network is a [`url::Url`], which is what the HTTP client uses, and text on which other parsers differ
//! from it is refused before. No error of this file contains any of its input (CVE-2022-29810 and its kin).

use std::fmt;
use std::path::{Path, PathBuf};

use crate::path::absolute;
use crate::secret::Secret;

/// A remote. Both `Display` and `Debug` hide what may be a credential.
#[derive(Clone, PartialEq, Eq)]
pub enum RepoUrl {
    /// `http` or `https`. The URL carries no userinfo: that went to [`AuthConfig`](crate::config::AuthConfig).
    Http(url::Url),
    /// `file://` or a bare path: absolute, opened as it is, nothing is searched for above it.
    Local(PathBuf),
}

impl RepoUrl {
    /// The address as it may be shown: without userinfo, query and fragment, where tokens live (CVE-2024-31216).
    pub fn shown(&self) -> String {
        match self {
            RepoUrl::Local(path) => path.display().to_string(),
            RepoUrl::Http(url) => {
                let host = url.host_str().unwrap_or_default();
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                format!("{}://{host}{port}{}", url.scheme(), url.path())
            }
        }
    }
}

impl fmt::Display for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// What an address says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The remote.
    pub repo: RepoUrl,
    /// User name and password out of its userinfo, percent-decoded. A lone user name comes with an empty password.
    pub login: Option<Login>,
}

/// The userinfo of a URL. The user name is a secret too: `https://TOKEN@host` is how some write a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The part before the colon.
    pub username: Secret,
    /// The part behind it.
    pub password: Secret,
}

/// Why an address is refused. The messages never contain the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// A line break, an escape, a NUL.
    #[error("contains a control character or a space in its address part")]
    ControlCharacter,
    /// Would be an option on a command line.
    #[error("must not begin with `-`")]
    OptionLike,
    /// A scheme that is not on the list.
    #[error("has a scheme that is not allowed: use https, http, file or a path")]
    Scheme,
    /// ssh, in either form.
    #[error("is an ssh address, which is not supported yet")]
    Ssh,
    /// A host that would be an option.
    #[error("has a host that begins with `-`")]
    DashHost,
    /// A user that would be an option.
    #[error("has a user that begins with `-`")]
    DashUser,
    /// A remote path that would be an option.
    #[error("has a path that begins with `-`")]
    DashPath,
    /// No host where one is needed.
    #[error("has no host")]
    NoHost,
    /// `file://host/…`.
    #[error("is a file URL with a host: write file:///path")]
    FileHost,
    /// Anything else that the URL parser does not take, or that parsers take in different ways.
    #[error("is not a valid URL")]
    Malformed,
    /// Bytes in the userinfo that would end a line in a protocol further down.
    #[error(
        "has a user name or password that cannot be sent: a control character, invalid UTF-8, or a colon in the user name"
    )]
    Login,
}

/// Reads an address; relative paths start at `cwd`.
pub fn parse(text: &str, cwd: &Path) -> Result<Parsed, UrlError> {
    if text.is_empty() {
        return Err(UrlError::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(UrlError::ControlCharacter);
    }
    if text.starts_with('-') {
        return Err(UrlError::OptionLike);
    }
    if let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        return match scheme.to_ascii_lowercase().as_str() {
            "https" | "http" => http(text, rest),
            "file" => file(rest),
            "ssh" | "git+ssh" | "ssh+git" => Err(ssh_url(rest)),
            _ => Err(UrlError::Scheme),
        };
    }
    // git's rule: a colon before the first slash means `host:path`, and two colons name a transport helper.
    let before_slash = text.split('/').next().unwrap_or_default();
    if let Some((host, path)) = before_slash.split_once(':') {
        if path.starts_with(':') || is_known_scheme(host) {
            return Err(UrlError::Scheme);
        }
        return Err(ssh_parts(host, &text[host.len() + 1..]));
    }
    Ok(Parsed { repo: RepoUrl::Local(absolute(Path::new(text), cwd)), login: None })
}

/// The last path component, as git-sync takes it for the default link: literally, also with `.git` at its end.
/// `None` when there is none that could be a file name.
pub fn last_component(repo: &RepoUrl) -> Option<String> {
    let path = match repo {
        RepoUrl::Http(url) => url.path().to_owned(),
        RepoUrl::Local(path) => path.to_str()?.to_owned(),
    };
    let last = path.trim_matches('/').rsplit('/').next()?;
    (!matches!(last, "" | "." | "..")).then(|| last.to_owned())
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Words that are a mistyped URL rather than the host of `host:path`.
fn is_known_scheme(text: &str) -> bool {
    ["https", "http", "file", "ftp", "ftps", "git"].iter().any(|scheme| text.eq_ignore_ascii_case(scheme))
}

fn http(text: &str, rest: &str) -> Result<Parsed, UrlError> {
    let authority = authority(rest);
    if authority.contains(char::is_whitespace) {
        return Err(UrlError::ControlCharacter);
    }
    // The URL standard reads `\` as `/`, others do not; it also skips slashes to find a host in `https:///host`.
    if rest.contains('\\') || text.trim() != text {
        return Err(UrlError::Malformed);
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return Err(UrlError::NoHost);
    }
    if host.starts_with('-') {
        return Err(UrlError::DashHost);
    }
    let mut url = url::Url::parse(text).map_err(|_| UrlError::Malformed)?;
    if url.host_str().is_none_or(|host| host.is_empty() || host.starts_with('-')) {
        return Err(UrlError::DashHost);
    }
    let login = login(&url)?;
    url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| UrlError::Malformed)?;
    url.set_fragment(None);
    Ok(Parsed { repo: RepoUrl::Http(url), login })
}

/// Everything up to the first `/`, `?` or `#`: the only place where a host may come from.
fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn login(url: &url::Url) -> Result<Option<Login>, UrlError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    // The server splits `user:password` at the first colon, so a user cannot have one.
    if percent_decode(url.username()).is_none_or(|user| user.contains(':')) {
        return Err(UrlError::Login);
    }
    let decode = |text: &str| {
        let secret = Secret::new(percent_decode(text).ok_or(UrlError::Login)?);
        if secret.has_control_character() { Err(UrlError::Login) } else { Ok(secret) }
    };
    Ok(Some(Login {
        username: decode(url.username())?,
        password: decode(url.password().unwrap_or_default())?,
    }))
}

fn file(rest: &str) -> Result<Parsed, UrlError> {
    let (host, path) = rest.split_at(rest.find('/').ok_or(UrlError::FileHost)?);
    if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
        return Err(UrlError::FileHost);
    }
    // git decodes file URLs as it does all others.
    let path = percent_decode(path).ok_or(UrlError::Malformed)?;
    if path.chars().any(char::is_control) {
        return Err(UrlError::ControlCharacter);
    }
    Ok(Parsed { repo: RepoUrl::Local(absolute(Path::new(&path), Path::new("/"))), login: None })
}

/// Which refusal `ssh://…` gets. The dangerous ones are told apart, so that the day ssh comes they are refused already.
fn ssh_url(rest: &str) -> UrlError {
    let authority = authority(rest);
    let path = rest[authority.len()..].trim_start_matches('/');
    ssh_parts(authority, path)
}

fn ssh_parts(authority: &str, path: &str) -> UrlError {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let dash = |text: &str| percent_decode(text).is_none_or(|text| text.starts_with('-'));
    match () {
        () if dash(user) => UrlError::DashUser,
        () if host.is_empty() => UrlError::NoHost,
        () if dash(host) => UrlError::DashHost,
        () if dash(path) => UrlError::DashPath,
        () => UrlError::Ssh,
    }
}

/// `None` when the bytes are not UTF-8. A lone `%` stays what it is, as in git and curl.
pub fn percent_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| (*b as char).to_digit(16));
        match (bytes[index], hex(index + 1), hex(index + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                index += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                index += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests;
