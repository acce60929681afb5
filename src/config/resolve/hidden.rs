//! What no output of a check command may show: every secret that the agent has, whichever source it is for.

use std::path::PathBuf;

use crate::config::options;
use crate::config::resolved::{AuthConfig, RepoUrl, SourceConfig};
use crate::config::said::Surroundings;
use crate::config::value::Kind;
use crate::git::url::percent_decode;
use crate::secret::Hidden;

/// Words in the names of variables that hold a credential, whosever.
const NAMES: &[&str] = &["KEY", "SECRET", "PASSWORD", "PASSWD", "TOKEN", "CONN", "CREDENTIAL"];
/// Ends of names of such variables that only say where it is.
const PLACES: &[&str] = &["_FILE", "_PATH", "_DIR", "_CMD"];
/// A shorter value of a variable, part of a header or of a query may be any word: without it, texts could not be read.
const SHORTEST: usize = 8;
/// A longer user name is a token.
const LONGEST_NAME: usize = 16;

/// Gives each check command the secrets of all sources and of the environment.
pub(super) fn tell_all(sources: &mut [SourceConfig], around: &Surroundings) {
    let mut hidden = Hidden::default();
    of_variables(around, &mut hidden);
    sources.iter().for_each(|source| of_source(source, &mut hidden));
    let files = |source: &SourceConfig| match &source.auth {
        AuthConfig::PasswordFile { username, file } => Some((username.clone(), file.clone())),
        _ => None,
    };
    let files: Vec<(String, PathBuf)> = sources.iter().filter_map(files).collect();
    for own in sources.iter_mut().filter_map(|source| source.check.own.as_mut()) {
        own.hidden = hidden.clone();
        own.password_files = files.clone();
    }
}

fn of_variables(around: &Surroundings, hidden: &mut Hidden) {
    for opt in options::all().filter(|opt| opt.kind == Kind::Secret) {
        for value in opt.vars.iter().filter_map(|name| around.var(name)) {
            hidden.add(value.trim_end_matches(['\r', '\n']));
        }
    }
    for (name, value) in around.vars() {
        let credential = NAMES.iter().any(|word| name.contains(word))
            && !PLACES.iter().any(|end| name.ends_with(end))
            && value.len() >= SHORTEST;
        if of_url(value, hidden) || credential {
            hidden.add(value);
        }
    }
}

fn of_source(source: &SourceConfig, hidden: &mut Hidden) {
    if let AuthConfig::Fixed { username, password } = &source.auth {
        hidden.add_login(username, password);
        // Hosts take a token as the user, with nothing or this for a password.
        if ["", "x-oauth-basic"].contains(&password.expose()) || username.len() >= LONGEST_NAME {
            hidden.add(username);
        }
    }
    if let RepoUrl::Http(url) = &source.repo {
        let values = url.query_pairs().map(|(_, value)| value.into_owned());
        let query = url.query().map(str::to_owned);
        values.chain(query).filter(|text| text.len() >= SHORTEST).for_each(|text| hidden.add(&text));
    }
    if let Some(proxy) = &source.http.proxy
        && of_url(proxy.expose(), hidden)
    {
        hidden.add(proxy.expose());
    }
    for (_, value) in &source.http.extra_headers {
        let words = value.expose().split_whitespace().filter(|word| word.len() >= SHORTEST);
        words.chain([value.expose()]).for_each(|text| hidden.add(text));
    }
}

/// Whether it is a URL with a password, which is hidden.
fn of_url(text: &str, hidden: &mut Hidden) -> bool {
    let url = text.contains("://").then(|| url::Url::parse(text).ok()).flatten();
    let Some(password) = url.as_ref().and_then(url::Url::password).filter(|text| !text.is_empty()) else {
        return false;
    };
    hidden.add(password);
    hidden.add(&percent_decode(password).unwrap_or_default());
    true
}
