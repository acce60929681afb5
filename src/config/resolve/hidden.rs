//! What nothing that others say may show: of a server the secrets that it was told, of a check command every secret that the agent
//! has, whichever source it is for.

use std::path::PathBuf;

use crate::config::options;
use crate::config::resolved::{AuthConfig, RepoUrl, SourceConfig};
use crate::config::said::Surroundings;
use crate::config::value::Kind;
use crate::git::url::percent_decode;
use crate::secret::{Hidden, SHORTEST};

/// Words in the names of variables that hold a credential, whosever.
const NAMES: &[&str] = &["KEY", "SECRET", "PASSWORD", "PASSWD", "TOKEN", "CONN", "CREDENTIAL"];
/// Ends of names of such variables that only say where it is.
const PLACES: &[&str] = &["_FILE", "_PATH", "_DIR", "_CMD"];
/// Letters without a capital, digit or sign among them are a word of some language up to here: `changeme`, `postgresql`.
const LONGEST_WORD: usize = 12;

/// Gives each source its secrets and those of the environment, and each check command those of all sources.
pub(super) fn tell_all(sources: &mut [SourceConfig], around: &Surroundings) {
    let mut hidden = Hidden::default();
    of_variables(around, &mut hidden);
    for source in sources.iter_mut() {
        // Not those of others, which its server never hears: with these, a change of one source would restart all.
        let mut own = hidden.clone();
        of_source(source, &mut own);
        source.hidden = own;
    }
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
        let values = opt.vars.iter().filter_map(|name| around.var(name));
        let values = values.map(|value| value.trim_end_matches(['\r', '\n']));
        values.filter(|value| value.len() >= SHORTEST).for_each(|value| hidden.add(value));
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
        let words = value.expose().split_whitespace().chain([value.expose()]);
        words.filter(|text| text.len() >= SHORTEST).for_each(|text| hidden.add(text));
    }
}

/// Whether it is a URL with a password, which is hidden.
fn of_url(text: &str, hidden: &mut Hidden) -> bool {
    let url = text.contains("://").then(|| url::Url::parse(text).ok()).flatten();
    let Some(url) = url else { return false };
    let Some(spelt) = url.password().filter(|text| !text.is_empty()) else { return false };
    let username = percent_decode(url.username()).unwrap_or_default();
    for password in [spelt, &percent_decode(spelt).unwrap_or_default()] {
        hidden.add_in_place(&username, password);
        if !may_be_a_word(password, &username) {
            hidden.add(password);
        }
    }
    true
}

/// Databases and queues are given such passwords by every example (`airflow:airflow@`), and then the word is everywhere: in the names
/// of modules, of files, of hosts.
fn may_be_a_word(password: &str, username: &str) -> bool {
    let is_word =
        password.len() <= LONGEST_WORD && password.bytes().all(|letter| letter.is_ascii_lowercase());
    password.len() < SHORTEST || password == username || is_word
}
