//! What was said, as the configuration the rest of the house reads.

mod checking;
mod checks;
mod hidden;
mod source;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::config::errors::{Errors, Problem};
use crate::config::options::Scope;
use crate::config::resolved::{Config, LogFormat, OnLocked, ProcessConfig, SourceConfig};
use crate::config::said::{Inputs, Said, Surroundings, View};
use crate::config::value::{parse_bind, parse_bool, parse_int, parse_signal};

/// Works it out. When `errors` is not empty afterwards, the result is not to be used.
pub(super) fn resolve(said: &Said, inputs: &Inputs, errors: &mut Errors) -> Config {
    let mut warnings = said.warnings.clone();
    let view = said.view(None);
    checks::check(&view, Scope::Process, errors, &mut warnings);
    let process = process(&view, inputs);

    let mut sources = Vec::new();
    if said.sources.is_empty() {
        sources.extend(one(&view, "", &inputs.surroundings, errors, &mut warnings));
    }
    for (layer, line) in &said.sources {
        let label = format!("[[source]] at line {line}: ");
        sources.extend(one(&said.view(Some(layer)), &label, &inputs.surroundings, errors, &mut warnings));
    }
    checks::across(&sources, errors);
    hidden::tell_all(&mut sources, &inputs.surroundings);
    Config { process, sources, warnings }
}

fn one(
    view: &View<'_>,
    label: &str,
    around: &Surroundings,
    errors: &mut Errors,
    warnings: &mut Vec<String>,
) -> Option<SourceConfig> {
    let mut own = Vec::new();
    checks::check(view, Scope::Source, errors, &mut own);
    let source = source::resolve(&mut source::Reader { view, label, around, errors, warnings: &mut own });
    // The same default may be wrong for every source, but is told once.
    for warning in own {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    source
}

/// Values were checked before: one that cannot be read has its problem already, and the default stands in.
fn process(view: &View<'_>, inputs: &Inputs) -> ProcessConfig {
    let bool = |name, default| view.text(name).and_then(parse_bool).unwrap_or(default);
    let around = &inputs.surroundings;
    let human = match view.text("log-format") {
        Some("human") => true,
        Some("json") => false,
        _ => around.terminal,
    };
    ProcessConfig {
        http_bind: view.text("http-bind").and_then(|text| parse_bind(text, around.ipv6).ok()),
        http_metrics: bool("http-metrics", true),
        log_format: if human { LogFormat::Human } else { LogFormat::Json },
        verbose: view.text("verbose").and_then(parse_int).unwrap_or(0).clamp(0, 9) as u8,
        one_time: bool("one-time", false),
        sync_on_signal: view.text("sync-on-signal").and_then(|text| parse_signal(text).ok()),
        on_locked: if view.text("on-locked") == Some("fail") { OnLocked::Fail } else { OnLocked::Wait },
        config_file: inputs.config_file(),
    }
}

/// A problem with a source that no single setting is to blame for.
fn problem(label: &str, message: impl std::fmt::Display) -> Problem {
    Problem::new(format!("{label}{message}"))
}

/// Whether `path` is `folder` or lies in it.
fn within(path: &Path, folder: &Path) -> bool {
    path.starts_with(folder)
}
