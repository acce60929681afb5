//! The operator's own check, as values: what is to be run, and what its output says. Runs nothing.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Code, Finding, Issue, Severity};
use crate::log::escape;
use crate::secret::{Hidden, Secret};

/// A program may write more than anybody reads.
const MOST_FINDINGS: usize = 10_000;
/// One line for people, in characters.
const MESSAGE: usize = 1000;
/// What is shown of an output, escaped.
const TAIL: usize = 4096;

/// What an operator wants to be asked about every revision.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnCheck {
    /// The program and its first arguments; never empty. The tree's path follows them.
    pub words: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// How many bytes each of its processes may have; `None` = as many as there are.
    pub memory: Option<u64>,
    /// All variables that it gets of ours. `AIRFLOW__…` may carry Airflow's own credentials.
    pub environment: Vec<(String, Secret)>,
    /// What is not told of what it says, whoever's secret it is: of all sources and of the environment.
    pub hidden: Hidden,
    /// Users and files with their passwords, which belong to that too and may change.
    pub password_files: Vec<(String, PathBuf)>,
}

/// What an answer depends on is remembered on disk as `Debug` shows it. An argument may be a credential, so it is shown by its
/// sum; another `PATH` after a restart asks no question again, more memory does.
impl fmt::Debug for OwnCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
        for word in &self.words {
            hasher.update(word.as_bytes());
            hasher.update(&[0]);
        }
        let sum = hasher.try_finalize().map(|sum| sum.to_string()).unwrap_or_default();
        let memory = self.memory.unwrap_or_default();
        write!(f, "OwnCheck({sum}, {memory})")
    }
}

#[derive(Deserialize)]
struct Answer {
    version: u32,
    findings: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    path: String,
    #[serde(default)]
    line: u32,
    #[serde(default)]
    column: u32,
    severity: Option<String>,
    code: Option<String>,
    message: String,
    hint: Option<String>,
}

/// The findings in an output that is our JSON; `None` if it is something else. A code that we do not know is `command`. What is a path
/// of the tree is told as it is: whoever reads the repository knows it, and nobody finds a file by half of its name.
pub fn findings(output: &[u8], hidden: &Hidden, is_of_tree: &dyn Fn(&str) -> bool) -> Option<Vec<Finding>> {
    let answer: Answer = serde_json::from_slice(output).ok()?;
    if answer.version != 1 {
        return None;
    }
    // What is hidden first: half of a secret is not found any more.
    let plain = |text: &str| -> String { escape(text).chars().take(MESSAGE).collect() };
    let line = |text: &str| plain(&hidden.hide(text));
    let finding = |found: &Found| {
        let code = found.code.as_deref().and_then(Code::named).unwrap_or(Code::Command);
        let hint = found.hint.as_deref().map(line);
        let issue =
            Issue { line: found.line, column: found.column, code, message: line(&found.message), hint };
        let named = |name: &str| {
            let all = [Severity::Warning, Severity::Error, Severity::Fatal];
            all.into_iter().find(|severity| severity.name() == name)
        };
        let severity = found.severity.as_deref().and_then(named).unwrap_or(code.severity());
        let path = if is_of_tree(&found.path) { plain(&found.path) } else { line(&found.path) };
        Finding { path: path.into(), issue, severity }
    };
    Some(answer.findings.iter().take(MOST_FINDINGS).map(finding).collect())
}

/// The finding of a check that refused a revision as a whole.
pub fn refusal(reason: &str) -> Finding {
    Finding::new(".", Issue::of_file(Code::Command, reason))
}

/// Why a revision is held back, in one line: what was found, or the end of what was written.
pub fn reason(how: &str, findings: Option<&[Finding]>, output: &[u8], hidden: &Hidden) -> String {
    let worst = findings.and_then(|all| {
        let worst = all.iter().max_by_key(|it| it.severity)?;
        let first = all.iter().find(|it| it.severity == worst.severity)?;
        let line = if first.issue.line > 0 { format!(":{}", first.issue.line) } else { String::new() };
        let more = if all.len() > 1 { format!(" (and {} more)", all.len() - 1) } else { String::new() };
        Some(format!("{}{line}: {}{more}", first.path, first.issue.message))
    });
    let said = worst.unwrap_or_else(|| tail(output, hidden));
    if said.is_empty() {
        format!("the check command {how} and wrote nothing")
    } else {
        format!("the check command {how}: {said}")
    }
}

/// The end of an output, as one line without control characters.
fn tail(output: &[u8], hidden: &Hidden) -> String {
    let text = hidden.hide(&String::from_utf8_lossy(output));
    let text = text.trim();
    let mut room = TAIL - '…'.len_utf8();
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        let Some(left) = room.checked_sub(escape(c.encode_utf8(&mut [0; 4])).len()) else { break };
        (room, start) = (left, at);
    }
    let cut = if start > 0 { "…" } else { "" };
    format!("{cut}{}", escape(&text[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_json_is_taken_for_findings() {
        let text = br#"{"version":1,"verdict":"reject","findings":[
            {"path":"a.py","line":3,"column":1,"severity":"warning","code":"schedule","message":"x\u001b[2J","hint":"h"},
            {"path":"b.py","code":"house-rule","message":"no"},{"path":"c.py","severity":"nonsense","message":"y"}]}
        "#;
        let found = findings(text, &Hidden::default(), &|_| false).unwrap();
        let shown: Vec<_> = found.iter().map(|it| (it.severity, it.issue.code, it.issue.line)).collect();
        let other = (Severity::Error, Code::Command, 0);
        assert_eq!(shown, [(Severity::Warning, Code::Schedule, 3), other, other]);
        assert_eq!(found[0].issue.message, "x\\u{1b}[2J");
        for other in ["", "all is well", "{}", r#"{"version":2,"findings":[]}"#, r#"{"findings":[]}"#] {
            assert_eq!(findings(other.as_bytes(), &Hidden::default(), &|_| false), None, "{other}");
        }
    }

    #[test]
    fn the_reason_names_the_worst_finding_or_the_end_of_the_output() {
        let all = findings(
            br#"{"version":1,"findings":[{"path":"a.py","severity":"warning","message":"w"},
                {"path":"b.py","line":7,"message":"bad"}]}"#,
            &Hidden::default(),
            &|_| false,
        );
        let reason = |how: &str, found: Option<&[Finding]>, output: &[u8]| {
            reason(how, found, output, &Hidden::default())
        };
        assert_eq!(
            reason("ended with 1", all.as_deref(), b"log"),
            "the check command ended with 1: b.py:7: bad (and 1 more)"
        );
        assert_eq!(
            reason("ended with 2", Some(&[]), b"a\n\x1bb\n"),
            "the check command ended with 2: a\\n\\u{1b}b"
        );
        assert_eq!(reason("ended with 3", None, b" \n"), "the check command ended with 3 and wrote nothing");
    }

    #[test]
    fn the_tail_has_4_kib_at_most_whatever_is_written() {
        for text in ["é".repeat(9000), "\u{1b}".repeat(9000), "\u{202e}x\n".repeat(9000)] {
            let tail = tail(text.as_bytes(), &Hidden::default());
            assert!(tail.len() <= TAIL && tail.len() > TAIL - 20, "{}", tail.len());
            assert!(!tail.contains(char::is_control) && tail.starts_with('…'));
        }
        assert_eq!(tail(b"\xff short", &Hidden::default()), "\u{fffd} short");
    }

    #[test]
    fn no_half_of_a_secret_is_left_where_a_text_is_cut() {
        let mut hidden = Hidden::default();
        hidden.add(&"s3cret".repeat(10));
        let spelt = "s3cret".repeat(10);
        for before in TAIL - 80..TAIL + 20 {
            let shown = tail(format!("{spelt}{}", "x".repeat(before)).as_bytes(), &hidden);
            assert!(!shown.contains("s3cret") && !shown.contains("cret"), "{before}");
        }
        for before in MESSAGE - 80..MESSAGE + 20 {
            let message = format!("{}{spelt}", "x".repeat(before));
            let json = format!(
                r#"{{"version":1,"findings":[{{"path":"{spelt}","message":"{message}","hint":"{spelt}"}}]}}"#
            );
            let found = format!("{:?}", findings(json.as_bytes(), &hidden, &|_| false));
            assert!(!found.contains("s3cret") && found.contains("***"), "{found}");
        }
    }

    #[test]
    fn a_path_of_the_tree_is_told_whatever_is_hidden() {
        let mut hidden = Hidden::default();
        hidden.add("warehouse");
        let json = br#"{"version":1,"findings":[{"path":"dags/warehouse.py","message":"warehouse"},
            {"path":"/run/warehouse","message":"m"}]}"#;
        let found = findings(json, &hidden, &|path| path == "dags/warehouse.py").unwrap();
        let told: Vec<String> = found.iter().map(|it| format!("{}: {}", it.path, it.issue.message)).collect();
        assert_eq!(told, ["dags/warehouse.py: ***", "/run/***: m"]);
    }

    #[test]
    fn what_is_remembered_of_a_command_tells_commands_apart_and_shows_none() {
        let of = |words: &[&str]| OwnCheck {
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            timeout: Duration::from_secs(1),
            memory: None,
            environment: Vec::new(),
            hidden: Hidden::default(),
            password_files: Vec::new(),
        };
        let shown = |words: &[&str]| format!("{:?}", of(words));
        assert_eq!(shown(&["a", "b"]), shown(&["a", "b"]));
        assert_ne!(shown(&["a", "b"]), shown(&["ab"]));
        assert!(!shown(&["check", "--token=CANARY"]).contains("CANARY"));
        let slow = OwnCheck { timeout: Duration::from_secs(9), ..of(&["a"]) };
        assert_eq!(format!("{slow:?}"), shown(&["a"]), "more time makes no refusal a better one");
        let large = OwnCheck { memory: Some(1), ..of(&["a"]) };
        assert_ne!(format!("{large:?}"), shown(&["a"]), "more memory may");
    }
}
