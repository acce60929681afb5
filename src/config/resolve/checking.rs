//! What a source's revisions are checked for.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use gix::bstr::BString;

use super::source::Reader;
use crate::check::target::{Airflow, IgnoreSyntax, Python};
use crate::check::verdict::Policy;
use crate::check::{Assumed, OnRewind, OwnCheck, Settings, Target};
use crate::config::value::{parse_bool, parse_size};
use crate::path::absolute;
use crate::secret::Hidden;

impl Reader<'_> {
    pub(super) fn check(&mut self) -> Settings {
        let airflow = self.version("check-airflow").unwrap_or(Airflow::NEWEST);
        let python = self.version("check-python").unwrap_or(Python::DEFAULT);
        let mut target = Target::of(airflow, python);
        match self.view.text("check-ignore-syntax") {
            Some("glob") => target.ignore = IgnoreSyntax::Glob,
            Some("regexp") => target.ignore = IgnoreSyntax::Regexp,
            _ => {}
        }
        target.safe_mode = self.view.text("check-safe-mode").and_then(parse_bool).unwrap_or(true);
        Settings {
            policy: match self.view.text("check") {
                Some("report") => Policy::Report,
                Some("off") => Policy::Off,
                _ => Policy::Gate,
            },
            target,
            assumed: self.assumed(),
            folder: self.check_folder(),
            max_removed: self.percent("max-removed-dags", 50),
            on_rewind: match self.view.text("on-rewind") {
                Some("allow") => OnRewind::Allow,
                Some("block") => OnRewind::Block,
                _ => OnRewind::Warn,
            },
            own: self.own_check(),
        }
    }

    fn assumed(&self) -> Assumed {
        let nobody_said = |name: &str| self.view.get(name).is_none();
        let airflow = nobody_said("check-airflow");
        let by_airflow = !matches!(self.view.text("check-ignore-syntax"), Some("glob" | "regexp"));
        Assumed {
            folder: nobody_said("check-folder"),
            airflow,
            ignore: airflow && by_airflow,
            python: nobody_said("check-python"),
        }
    }

    fn own_check(&mut self) -> Option<OwnCheck> {
        let timeout = self.duration("check-timeout").unwrap_or(Duration::from_secs(60));
        let memory = self.view.text("check-memory").and_then(parse_size).unwrap_or(4 << 30);
        let setting = self.view.get("check-command")?;
        let text = setting.text();
        let mut words = match shlex::split(text) {
            None => {
                self.wrong(
                    &setting.origin,
                    "a quote is not closed, or a backslash has nothing behind it",
                    None,
                );
                return None;
            }
            Some(words) if words.first().is_none_or(String::is_empty) || text.contains('\0') => {
                self.wrong(&setting.origin, "must name a program", None);
                return None;
            }
            Some(words) => words,
        };
        // It runs inside of the tree: there, a relative path would be a program of the repository.
        if words[0].contains('/') {
            words[0] = absolute(Path::new(&words[0]), &self.around.cwd).to_string_lossy().into_owned();
        }
        if timeout >= self.sync_timeout() {
            self.warnings.push(format!(
                "{}check-timeout is not shorter than sync-timeout, which ends the whole pass first",
                self.label
            ));
        }
        Some(OwnCheck {
            words,
            timeout,
            memory: Some(memory).filter(|memory| *memory > 0),
            environment: self.around.for_children(),
            // Those of all sources are known when all are read.
            hidden: Hidden::default(),
            password_files: Vec::new(),
        })
    }

    fn version<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let setting = self.view.get(name)?;
        let text = setting.text();
        match text.parse() {
            Ok(version) => Some(version),
            Err(why) => {
                self.wrong(
                    &setting.origin,
                    &format!("`{}` is not a version: {why}", text.escape_debug()),
                    None,
                );
                None
            }
        }
    }

    fn percent(&mut self, name: &str, default: u8) -> u8 {
        let Some(setting) = self.view.get(name) else { return default };
        match setting.text().parse() {
            Ok(percent @ 0..=100) => percent,
            _ => {
                self.wrong(&setting.origin, "must be a number from 0 to 100", None);
                default
            }
        }
    }

    /// By its parts: `./dags/` is `dags`.
    fn check_folder(&mut self) -> BString {
        let Some(setting) = self.view.get("check-folder") else { return BString::default() };
        let text = setting.text();
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if text.starts_with('/') || parts.contains(&"..") {
            self.wrong(&setting.origin, "must be below the top of the repository, and relative to it", None);
        }
        parts.join("/").into()
    }
}
