//! One source.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::duration;
use crate::config::errors::Errors;
use crate::config::gitconfig::{Pair, parse_list, parse_one};
use crate::config::gitmeaning;
use crate::config::proxy;
use crate::config::ref_rule::{self, Precedence};
use crate::config::resolve::{problem, within};
use crate::config::resolved::{
    AuthConfig, CheckoutConfig, Durable, HttpConfig, Limits, RefChoice, RepoUrl, SourceConfig, Submodules,
    Symlinks, Times,
};
use crate::config::said::{Origin, Setting, Surroundings, View};
use crate::config::value::{parse_bool, parse_int, parse_size};
use crate::git::refs::Wanted;
use crate::git::url::{self, Login, UrlError};
use crate::path::absolute;
use crate::secret::{Hidden, Secret};

/// Git keeps its own things there, and so do we.
const RESERVED: &[&str] = &[".git", ".worktrees", ".dagsync", ".airflowignore"];

/// The settings of one source, and where to put what is wrong with them.
pub(super) struct Reader<'a> {
    pub view: &'a View<'a>,
    /// Which source it is, in front of messages; empty when there is only one.
    pub label: &'a str,
    pub around: &'a Surroundings,
    pub errors: &'a mut Errors,
    pub warnings: &'a mut Vec<String>,
}

/// `None` when something is wrong without which there is no source; it is in the errors then.
pub(super) fn resolve(r: &mut Reader<'_>) -> Option<SourceConfig> {
    // Everything is read before anything is given up, so that all problems are told at once.
    let repo = r.repo();
    let root = r.root();
    let (reference, ref_conflict) = r.reference();
    let auth = r.auth(repo.as_ref().and_then(|parsed| parsed.login.as_ref()));
    let (period, sync_timeout) = (r.period(), r.sync_timeout());
    let from_file = matches!(r.view.get("repo"), Some(Setting { origin: Origin::File { .. }, .. }));
    let max_failures = r.max_failures(from_file);
    let check = r.check();
    let (http, checkout) = r.git_config(repo.as_ref().map(|parsed| &parsed.repo));
    let (repo, root) = (repo?.repo, root?);
    let link = r.link(&root, &repo)?;
    let name = r.name(&link)?;
    let limits = Limits::default();
    let size = |name, default| r.view.text(name).and_then(parse_size).unwrap_or(default);
    Some(SourceConfig {
        name,
        reference,
        depth: NonZeroU32::new(u32::try_from(r.int("depth", 1)).unwrap_or(u32::MAX)),
        period,
        init_period: r.duration("init-period").unwrap_or(period),
        sync_timeout,
        max_failures,
        init_max_failures: r
            .view
            .text("init-max-failures")
            .and_then(parse_int)
            .map_or(max_failures, tolerated),
        stale_worktree_timeout: r.duration("stale-worktree-timeout"),
        keep: usize::try_from(r.int("keep", 0)).unwrap_or(0),
        mtime: if r.view.text("mtime") == Some("now") { Times::Now } else { Times::Preserve },
        durable: match r.view.text("durable") {
            Some("on") => Durable::On,
            Some("off") => Durable::Off,
            _ => Durable::Auto,
        },
        verify_period: Some(r.duration("verify-period").unwrap_or(Duration::from_secs(600)))
            .filter(|period| !period.is_zero()),
        touch_file: r.file_in("touch-file", &root),
        error_file: r.file_in("error-file", &root),
        group_write: r.bool("group-write", false),
        airflowignore_guard: r.bool("airflowignore-guard", true),
        submodules: match r.view.text("submodules") {
            Some("off") => Submodules::Off,
            Some("shallow") => Submodules::Shallow,
            _ => Submodules::Recursive,
        },
        auth,
        http,
        gc: r.view.text("git-gc") != Some("off"),
        checkout,
        check,
        limits: Limits {
            entries: u64::try_from(r.int("max-entries", limits.entries as i64)).unwrap_or(limits.entries),
            bytes: size("max-tree-bytes", limits.bytes),
            blob_bytes: size("max-blob-bytes", limits.blob_bytes),
            depth: u32::try_from(r.int("max-tree-depth", limits.depth.into())).unwrap_or(u32::MAX),
        },
        symlinks: if r.view.text("symlinks") == Some("any") { Symlinks::Any } else { Symlinks::Inside },
        ref_conflict,
        // What belongs to the environment is known when all sources are read.
        hidden: Hidden::default(),
        repo,
        root,
        link,
    })
}

/// Negative means for ever.
fn tolerated(failures: i64) -> Option<u32> {
    (failures >= 0).then(|| u32::try_from(failures).unwrap_or(u32::MAX))
}

impl Reader<'_> {
    pub(super) fn wrong(&mut self, origin: &Origin, why: &str, hint: Option<&str>) {
        // An origin in the file names its line already.
        let problem = problem("", format!("{origin}: {why}"));
        self.errors.push(match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
    }

    fn missing(&mut self, what: &str, hint: &str) {
        self.errors.push(problem(self.label, what).hint(hint));
    }

    fn bool(&self, name: &str, default: bool) -> bool {
        self.view.text(name).and_then(parse_bool).unwrap_or(default)
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.view.text(name).and_then(parse_int).unwrap_or(default)
    }

    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        self.view.text(name).and_then(|text| duration::parse(text).ok())
    }

    fn path(&self, name: &str, base: &Path) -> Option<PathBuf> {
        self.view.text(name).map(|text| absolute(Path::new(text), base))
    }

    fn repo(&mut self) -> Option<url::Parsed> {
        let Some(setting) = self.view.get("repo") else {
            self.missing("repo: required", "set `--repo` or `GITSYNC_REPO` to the URL of the git repository");
            return None;
        };
        match url::parse(setting.text(), &self.around.cwd) {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let hint =
                    matches!(error, UrlError::Ssh).then_some("use the https address of the repository");
                self.wrong(&setting.origin, &format!("the address {error}"), hint);
                None
            }
        }
    }

    fn root(&mut self) -> Option<PathBuf> {
        let Some(root) = self.path("root", &self.around.cwd) else {
            self.missing("root: required", "set `--root` or `GITSYNC_ROOT` to the folder to work in");
            return None;
        };
        if root == Path::new("/") {
            self.errors.push(problem(self.label, "root: must not be `/`"));
            return None;
        }
        Some(root)
    }

    fn link(&mut self, root: &Path, repo: &RepoUrl) -> Option<PathBuf> {
        let said =
            self.view.get("dest").or_else(|| self.view.get("link")).map(|setting| setting.text().to_owned());
        let Some(text) = said.or_else(|| url::last_component(repo)) else {
            self.missing(
                "link: required, because the repository's address has no last component",
                "set `--link`",
            );
            return None;
        };
        let link = absolute(Path::new(&text), root);
        let inside =
            link.strip_prefix(root).ok().and_then(|rest| rest.iter().next()).and_then(|name| name.to_str());
        let why = if within(root, &link) {
            "would be in the place of root or of a folder above it"
        } else if inside.is_some_and(|name| RESERVED.contains(&name)) {
            "would be in the place of our own files in root"
        } else {
            return Some(link);
        };
        self.errors.push(problem(self.label, format!("link: `{}` {why}", text.escape_debug())));
        None
    }

    fn name(&mut self, link: &Path) -> Option<String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let Some(setting) = self.view.get("name") else {
            let last = link.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let last = last.strip_suffix(".git").filter(|stem| !stem.is_empty()).unwrap_or(&last);
            return Some(last.chars().map(|c| if allowed(c) { c } else { '-' }).collect());
        };
        let name = setting.text();
        if name.len() > 100 || !name.chars().all(allowed) {
            self.wrong(
                &setting.origin,
                "may have letters, digits, `.`, `_` and `-`, and at most 100 of them",
                None,
            );
            return None;
        }
        Some(name.to_owned())
    }

    fn file_in(&mut self, name: &str, root: &Path) -> Option<PathBuf> {
        let file = self.path(name, root)?;
        let first =
            file.strip_prefix(root).ok().map(|rest| rest.iter().next().and_then(|name| name.to_str()));
        if first.is_some_and(|first| first.is_none_or(|first| RESERVED.contains(&first))) {
            let message = format!("{name}: `{}` is in the place of our own files in root", file.display());
            self.errors.push(problem(self.label, message));
        }
        Some(file)
    }

    fn reference(&mut self) -> (RefChoice, bool) {
        let names = ["rev", "branch", "ref"].map(|name| self.view.get(name));
        if let Some(file) = self.path("ref-file", &self.around.cwd) {
            for setting in names.into_iter().flatten().filter(|setting| setting.text() != "HEAD") {
                self.warnings.push(format!("{}: not used, `ref-file` wins", setting.origin));
            }
            return (RefChoice::File(file), false);
        }
        let [rev, branch, reference] = names.map(|setting| setting.map(Setting::text));
        let said = self.view.text("ref-precedence");
        let precedence = if said == Some("branch") { Precedence::Branch } else { Precedence::Ref };
        let choice = ref_rule::choose(reference, branch, rev, precedence);
        if choice.conflict && said.is_none() {
            let branch = branch.unwrap_or_default().escape_debug().to_string();
            self.warnings.push(format!(
                "{}both a ref and a branch are set and differ: using the ref `{}`, not the branch `{branch}` \
                 (git-sync would use the branch; `--ref-precedence` decides)",
                self.label,
                choice.reference.escape_debug(),
            ));
        }
        if let Err(why) = Wanted::parse(&choice.reference) {
            let blamed = names.into_iter().flatten().find(|setting| setting.text() == choice.reference);
            if let Some(setting) = blamed {
                let why = format!("`{}` {why}", choice.reference.escape_debug());
                self.wrong(
                    &setting.origin,
                    &why,
                    Some("a branch, a tag, a full ref name or a full hash is expected"),
                );
            }
        }
        (RefChoice::Fixed(choice.reference), choice.conflict)
    }

    fn period(&mut self) -> Duration {
        let wait = self
            .view
            .get("wait")
            .and_then(|setting| Some((setting, duration::parse_seconds(setting.text()).ok()?)));
        match wait.filter(|(_, wait)| !wait.is_zero()) {
            Some((setting, wait)) => {
                if wait < Duration::from_millis(10) {
                    self.wrong(&setting.origin, "must be at least 0.01", None);
                }
                wait
            }
            None => self.duration("period").unwrap_or(Duration::from_secs(10)),
        }
    }

    pub(super) fn sync_timeout(&self) -> Duration {
        match u64::try_from(self.int("timeout", 0)) {
            Ok(seconds @ 1..) => Duration::from_secs(seconds),
            _ => self.duration("sync-timeout").unwrap_or(Duration::from_secs(120)),
        }
    }

    fn max_failures(&mut self, from_file: bool) -> Option<u32> {
        if let Some(setting) =
            self.view.get("change-permissions").filter(|setting| parse_int(setting.text()) != Some(0))
        {
            self.wrong(&setting.origin, "file modes can no longer be set", Some("use `--group-write`"));
        }
        let default = if from_file { -1 } else { 0 };
        match self.int("max-sync-failures", 0) {
            0 => tolerated(self.int("max-failures", default)),
            deprecated => tolerated(deprecated),
        }
    }

    fn auth(&mut self, login: Option<&Login>) -> AuthConfig {
        let settings = ["username", "password", "password-file"].map(|name| self.view.get(name));
        let [username, password, file] = settings;
        if let (Some(password), Some(file)) = (password, file) {
            self.wrong(&file.origin, &format!("cannot be used together with {}", password.origin), None);
            return AuthConfig::None;
        }
        let Some(username) = username else {
            if let Some(lonely) = password.or(file) {
                self.wrong(
                    &lonely.origin,
                    "needs a user name",
                    Some("set `--username` or `GITSYNC_USERNAME`"),
                );
            }
            return match login {
                Some(Login { username, password }) => {
                    AuthConfig::Fixed { username: username.expose().to_owned(), password: password.clone() }
                }
                None => AuthConfig::None,
            };
        };
        if login.is_some() {
            self.wrong(&username.origin, "the repository's URL carries credentials already", None);
        }
        let name = username.text().to_owned();
        if name.contains(':') || name.chars().any(char::is_control) {
            self.wrong(&username.origin, "must not contain a colon or control characters", None);
        }
        if let Some(file) = self.path("password-file", &self.around.cwd) {
            return AuthConfig::PasswordFile { username: name, file };
        }
        let Some(setting) = password else {
            let hint = "set `--password-file` or the variable `GITSYNC_PASSWORD`";
            self.wrong(&username.origin, "needs a password or a password file", Some(hint));
            return AuthConfig::None;
        };
        // `echo secret | kubectl create secret …` leaves a line break at the end; the file is read so too.
        let password = Secret::new(setting.text().trim_end_matches(['\r', '\n']));
        if password.has_control_character() {
            self.wrong(&setting.origin, "must not contain line breaks or control characters", None);
        }
        AuthConfig::Fixed { username: name, password }
    }

    fn git_config(&mut self, repo: Option<&RepoUrl>) -> (HttpConfig, CheckoutConfig) {
        let mut pairs: Vec<Pair> = Vec::new();
        let mut wrong = Vec::new();
        if let Some(setting) = self.view.get("git-config") {
            match parse_list(setting.text()) {
                Ok(list) => pairs.extend(list),
                Err(why) => wrong.push((setting, why)),
            }
        }
        if let Some(setting) = self.view.get("git-config-add") {
            for text in setting.texts().filter(|text| !text.is_empty()) {
                match parse_one(text) {
                    Ok(pair) => pairs.push(pair),
                    Err(why) => wrong.push((setting, why)),
                }
            }
        }
        for (setting, why) in wrong {
            self.wrong(
                &setting.origin,
                &why,
                Some("write key:value,key:value; quote a key that has a colon in it"),
            );
        }
        let Some(repo) = repo else { return Default::default() };
        let home = self.around.var("HOME").map(Path::new).filter(|home| home.is_absolute());
        let meaning = gitmeaning::apply(&pairs, repo, &self.around.cwd, home);
        self.warnings.extend(meaning.warnings);
        meaning.problems.into_iter().for_each(|problem| self.errors.push(problem));
        let mut http = meaning.http;
        if let RepoUrl::Http(url) = repo {
            http.no_proxy = proxy::NO_PROXY.iter().find_map(|name| self.around.var(name)).map(str::to_owned);
            let excepted = http.no_proxy.as_deref().is_some_and(|list| {
                proxy::is_excepted(list, url.host_str().unwrap_or_default(), url.port_or_known_default())
            });
            http.proxy = match meaning.proxy {
                _ if excepted => None,
                Some(said) => said,
                None => self.proxy_variable(url.scheme()),
            };
        }
        (http, meaning.checkout)
    }

    fn proxy_variable(&mut self, scheme: &str) -> Option<Secret> {
        let around = self.around;
        let (name, text) =
            proxy::variables(scheme).iter().find_map(|name| Some((*name, around.var(name)?)))?;
        proxy::normal(text)
            .map_err(|why| self.errors.push(problem("", format!("{name}: the value {why}"))))
            .ok()
    }
}
