//! What can be checked without knowing what a setting means: its type, its status, and sources against each other.

use crate::config::errors::{Errors, Problem};
use crate::config::options::{self, Opt, Scope, Status};
use crate::config::resolve::{problem, within};
use crate::config::resolved::SourceConfig;
use crate::config::said::{Origin, Setting, View};
use crate::config::value::{Kind, parse_bool, parse_int};

/// Checks every option of a scope that is set.
pub(super) fn check(view: &View<'_>, scope: Scope, errors: &mut Errors, warnings: &mut Vec<String>) {
    for opt in options::all().filter(|opt| opt.scope == scope) {
        let Some(setting) = view.get(opt.name) else { continue };
        let origin = &setting.origin;
        if matches!(opt.status, Status::Moot(_)) {
            continue;
        }
        for text in setting.texts().filter(|text| !text.is_empty()) {
            if let Err(why) = opt.kind.check(text) {
                let value = if opt.kind.may_be_shown() {
                    format!("`{}`", text.escape_debug())
                } else {
                    "the value".into()
                };
                errors.push(Problem::new(format!("{origin}: {value} {why}")));
            }
        }
        let matters = setting.texts().any(|text| !is_default(opt, text));
        match opt.status {
            Status::NotYet if matters => errors.push(Problem::not_yet(opt, origin)),
            Status::Warns(why) if matters => warnings.push(format!("{origin}: ignored, {why}")),
            _ => {}
        }
        warn_deprecated(opt, setting, view, warnings);
    }
}

/// Deprecated variables alone are what the charts set, on purpose, for ever: only flags are worth a word, and a
/// deprecated name that takes the place of a new one.
fn warn_deprecated(opt: &Opt, setting: &Setting, view: &View<'_>, warnings: &mut Vec<String>) {
    let origin = &setting.origin;
    if opt.name == "password" && matches!(origin, Origin::Flag(_)) {
        warnings.push(
            "--password: deprecated, every process of the machine can read it: use `password-file`".into(),
        );
    }
    let Some(new) = opt.deprecated else { return };
    if matches!(origin, Origin::Flag(_)) {
        warnings.push(format!("{origin}: deprecated, use `--{new}`"));
    }
    // Ref against branch has a rule and a warning of its own.
    if matches!(opt.name, "wait" | "timeout" | "max-sync-failures" | "dest")
        && !matches!(setting.text(), "0" | "0.0")
        && let Some(newer) = view.get(new)
        && newer.text().trim_end_matches('s') != setting.text()
    {
        warnings.push(format!("{origin}: overrides {}, as in git-sync", newer.origin));
    }
}

/// Whether a value says no more than the default does.
fn is_default(opt: &Opt, text: &str) -> bool {
    match opt.kind {
        _ if text.is_empty() => true,
        Kind::Bool => parse_bool(text) == parse_bool(opt.default),
        Kind::Int { .. } => parse_int(text) == parse_int(opt.default),
        _ => text == opt.default,
    }
}

/// Checks sources against each other: nobody may write into what another one publishes.
pub(super) fn across(sources: &[SourceConfig], errors: &mut Errors) {
    for (index, source) in sources.iter().enumerate() {
        for other in &sources[..index] {
            let label = format!("source `{}`: ", source.name);
            if source.name == other.name {
                let problem = problem(&label, "two sources have this name");
                errors.push(problem.hint("give each [[source]] a `name` of its own"));
            }
            let (mine, theirs) = (&source.link, &other.link);
            if mine == theirs {
                errors.push(problem(
                    &label,
                    format!("link `{}` is that of `{}` too", mine.display(), other.name),
                ));
            } else if within(mine, theirs) || within(theirs, mine) {
                errors.push(problem(
                    &label,
                    format!("its link and that of `{}` lie inside each other", other.name),
                ));
            }
        }
        for other in sources {
            if source.name != other.name && within(&other.root, &source.link) {
                let message = format!("its link is in the place of the root of `{}`", other.name);
                errors.push(problem(&format!("source `{}`: ", source.name), message));
            }
            for (option, file) in [("touch-file", &source.touch_file), ("error-file", &source.error_file)] {
                let Some(file) = file else { continue };
                if within(file, &other.link) || within(&other.link, file) {
                    let message =
                        format!("{option} `{}` is in the place of the published tree", file.display());
                    errors.push(problem(&format!("source `{}`: ", source.name), message));
                }
            }
        }
    }
}
