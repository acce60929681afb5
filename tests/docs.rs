//! The users' documents: their links lead somewhere, they name exactly the metrics that exist, and their examples can be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dagsync::cli::Command;
use dagsync::config::Surroundings;
use dagsync::metrics::{Format, Hook, Metrics, PassResult, Stage};

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let in_docs =
        fs::read_dir(top().join("docs")).expect("docs").map(|entry| entry.expect("an entry").path());
    let at_top = ["README.md", "CHANGELOG.md"].map(|name| top().join(name));
    let pages: Vec<_> =
        in_docs.chain(at_top).filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    assert!(pages.len() > 8, "{pages:?}");
    pages
}

/// The text without its code blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// A heading's anchor as GitHub makes it.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings = headings.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            text.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
        })
        .collect()
}

#[test]
fn every_relative_link_resolves() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = prose(&fs::read_to_string(&page).expect("a page"));
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = target.split_once('#').map_or((target, None), |(f, a)| (f, Some(a)));
            let file =
                if file.is_empty() { page.clone() } else { page.parent().expect("a folder").join(file) };
            let found = file.exists()
                && anchor.is_none_or(|anchor| {
                    fs::read_to_string(&file).is_ok_and(|text| anchors(&text).contains(anchor))
                });
            if !found {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(seen > 5, "no links are found");
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

/// Every name of the page, from a process in which everything happened.
fn names_that_exist() -> BTreeSet<String> {
    let metrics = Metrics::new();
    let source = metrics.source("x");
    source.pass(PassResult::Success, Default::default(), std::time::SystemTime::UNIX_EPOCH);
    source.published("c", "r", 1);
    source.remote("c", "r");
    source.stage(Stage::Fetch, Default::default());
    source.objects_bytes(1);
    source.checked(Default::default(), [("error", "python-syntax")].into_iter());
    source.rejected("error");
    metrics.config_reload(true);
    metrics.askpass(true);
    metrics.github_app_token(true);
    metrics.hook_run(Hook::Exec, true);
    let page = String::from_utf8(metrics.render(Format::Text).1).expect("text");
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Words in a text that begin like our metrics.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours =
        |word: &&str| ["dagsync_", "git_sync_", "git_fetch_", "process_"].iter().any(|p| word.starts_with(p));
    words.filter(ours).map(str::to_owned).collect()
}

#[test]
fn every_metric_is_documented_and_every_documented_one_exists() {
    let exist = names_that_exist();
    let page = fs::read_to_string(top().join("docs/metrics-and-alerts.md")).expect("the metrics page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: String = rows.filter_map(|row| row.split('`').next()).map(|name| format!("{name}\n")).collect();
    assert_eq!(
        names_in(&rows),
        exist,
        "left: the tables of docs/metrics-and-alerts.md, right: what is served"
    );
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        let unknown: Vec<_> = names_in(&text).difference(&exist).cloned().collect();
        assert!(unknown.is_empty(), "{} names metrics that do not exist: {unknown:?}", page.display());
    }
}

#[test]
fn flags_and_variables_in_the_documents_exist() {
    let command = dagsync::cli::command();
    let of_commands = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let args = command.get_arguments().chain(of_commands);
    let mut known: BTreeSet<String> = args.filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
    for opt in dagsync::config::options::all() {
        known.insert(format!("--{}", opt.name));
        known.extend(opt.vars.iter().map(|var| (*var).to_owned()));
    }
    // Flags of other programs in the examples, and the families of variables.
    let others = [
        "--flag",
        "--locked",
        "--sanitizer",
        "--release",
        "--profile",
        "--no-install",
        "--system",
        "--no-create-home",
        "--gid",
        "--now",
        "--bench",
        "--large",
        "--on",
        "--only",
        "--quick",
        "--rounds",
        "--select",
        "DAGSYNC_BENCH_BINARY",
        // What a check command is given, and what ours takes.
        "DAGSYNC_SOURCE",
        "DAGSYNC_COMMIT",
        "DAGSYNC_REF",
        "--strict",
        "--format",
        "--folder",
        "--seconds",
        "--memory-mib",
        "--jobs",
    ];
    let mut unknown = Vec::new();
    for page in pages() {
        for word in fs::read_to_string(&page)
            .expect("a page")
            .split(|c: char| !(c.is_alphanumeric() || "-_".contains(c)))
        {
            let flag =
                word.starts_with("--") && word.len() > 3 && word.contains(|c: char| c.is_ascii_lowercase());
            let variable =
                ["GITSYNC_", "GIT_SYNC_", "DAGSYNC_"].iter().any(|p| word.starts_with(p) && word != *p);
            if (flag || variable) && !known.contains(word) && !others.contains(&word) {
                unknown.push(format!("{}: {word}", page.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "not options of ours:\n{}", unknown.join("\n"));
}

/// The code blocks of a page, with the word behind their fence.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    text.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

/// What a page tells people to type that begins like this, in its code blocks and between backticks.
fn commands(text: &str, start: &str) -> Vec<String> {
    let blocks: Vec<String> = blocks(text).iter().map(|(_, block)| block.replace("\\\n", " ")).collect();
    let prose = prose(text);
    let inline = prose.split('`').skip(1).step_by(2).filter(|text| text.starts_with(start));
    let lines = blocks.iter().flat_map(|block| block.lines());
    let typed = lines.filter_map(|line| line.find(start).map(|at| &line[at..]));
    typed
        .chain(inline)
        .map(|text| {
            let ends = [" > ", " || ", " #", "   ", "`"].iter().filter_map(|end| text.find(end));
            text[..ends.min().unwrap_or(text.len())].to_owned()
        })
        .collect()
}

/// As a shell without variables and quotes would hand it over.
fn parsed(command: &str) -> Result<Command, String> {
    let words = command.split_whitespace().map(|word| word.trim_matches('"').into());
    let around = Surroundings::new(std::iter::empty(), "/", false, false);
    dagsync::cli::parse(words, around).map_err(|errors| errors.to_string())
}

#[test]
fn every_check_in_the_documents_can_be_read() {
    let (mut checks, mut runs) = (0, 0);
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for command in commands(&text, "dagsync check") {
            checks += 1;
            let read = parsed(&command);
            assert!(matches!(read, Ok(Command::Check(_))), "{}: `{command}`: {read:?}", page.display());
        }
        for command in commands(&text, "dagsync --repo=") {
            runs += 1;
            let inputs = match parsed(&command) {
                Ok(Command::Run(inputs)) => inputs,
                other => panic!("{}: `{command}`: {other:?}", page.display()),
            };
            let loaded = dagsync::config::load(&inputs, None).map(drop).map_err(|errors| errors.to_string());
            assert_eq!(loaded, Ok(()), "{}: `{command}`", page.display());
        }
    }
    assert!(checks > 10 && runs > 1, "{checks} and {runs} are found");
    assert!(parsed("dagsync check dags --nonsense").is_err());
}

/// The texts of a YAML document, in order, keys before their values.
fn scalars(yaml: &str) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    for event in saphyr_parser::Parser::new_from_str(yaml) {
        let (event, _) = event.map_err(|error| error.to_string())?;
        if let saphyr_parser::Event::Scalar(text, ..) = event {
            texts.push(text.into_owned());
        }
    }
    Ok(texts)
}

#[test]
fn the_yaml_of_the_documents_and_of_the_hook_can_be_read() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for (_, block) in blocks(&text).into_iter().filter(|(language, _)| *language == "yaml") {
            seen += 1;
            let read = scalars(block);
            assert!(read.is_ok_and(|texts| !texts.is_empty()), "{}:\n{block}", page.display());
        }
    }
    assert!(seen > 5, "{seen} are found");
    assert!(scalars("a: b: c").is_err());

    let hooks = fs::read_to_string(top().join(".pre-commit-hooks.yaml")).expect("the hooks");
    let texts = scalars(&hooks).expect("YAML");
    let value = |key: &str| {
        let at = texts.iter().position(|text| text == key);
        texts[at.unwrap_or_else(|| panic!("no `{key}`")) + 1].as_str()
    };
    assert_eq!((value("id"), value("language")), ("dagsync-check", "system"));
    assert_eq!((value("pass_filenames"), value("always_run")), ("false", "true"));
    assert!(matches!(parsed(value("entry")), Ok(Command::Check(_))));
    // The example names it.
    let page = fs::read_to_string(top().join("docs/checking-in-ci.md")).expect("the page");
    assert!(page.matches("- id: dagsync-check\n").count() == 2, "the hook has another name there");
}
