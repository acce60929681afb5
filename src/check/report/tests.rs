use gix::bstr::BStr;
use serde_json::Value as Json;

use super::{Format, Place, Report, Style, render};
use crate::check::verdict::Verdict;
use crate::check::{Age, Code, Finding, Issue, Target};

const SOURCE: &str = "import os\n\tdef f()\r\nx = '\x1b[31m'\n";

fn report() -> Report {
    let syntax = Issue::at(2, 9, Code::PythonSyntax, "expected `:`").hint("write `def f():`");
    let strange = Issue::at(3, 5, Code::TopLevelCall, "100% strange: a, <b> & \"c\"");
    Report {
        target: Target::default(),
        files: 12,
        dag_files: 3,
        findings: vec![
            Finding::new("dags/a b,c.py", Issue::of_file(Code::DuplicateDagId, "`x` is also in `b.py`")),
            Finding::new("dags/etl.py", syntax),
            Finding::new("dags/etl.py", strange),
        ],
        ages: None,
        verdict: Verdict::Reject { because: "error", reason: "two".into() },
    }
}

fn written(report: &Report, format: Format, style: Style) -> String {
    let read = |path: &BStr| (path == "dags/etl.py").then(|| SOURCE.as_bytes().to_vec());
    render(report, format, &Place { seen_from: "".into(), named: "".into(), read: &read, style })
}

fn json(format: Format) -> Json {
    serde_json::from_str(&written(&report(), format, Style::Plain)).expect("JSON")
}

/// The same over a revision that had the first and the last of them.
fn compared() -> Report {
    Report { ages: Some(vec![Age::Old, Age::New, Age::Old]), ..report() }
}

#[test]
fn what_was_there_before_is_told_apart_in_every_format() {
    let written = |format| written(&compared(), format, Style::Plain);
    let json = |format| -> Json { serde_json::from_str(&written(format)).expect("JSON") };
    let text = written(Format::Text);
    for line in [
        "c.py: old error: `x`",
        "etl.py:2:9: new error: expected",
        "etl.py:3:5: old warning: 100%",
        "\nreject: 1 new error, 1 old, 1 old warning in 3 DAG files",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let of = |json: &Json, list: &str, key: &str| -> Vec<Json> {
        json.pointer(list)
            .and_then(Json::as_array)
            .expect("a list")
            .iter()
            .map(|it| it[key].clone())
            .collect()
    };
    assert_eq!(of(&json(Format::Json), "/findings", "new"), [false, true, false]);
    let states = of(&json(Format::Sarif), "/runs/0/results", "baselineState");
    assert_eq!(states, ["unchanged", "new", "unchanged"]);
    assert_eq!(of(&json(Format::Gitlab), "", "severity"), ["info", "critical", "info"]);
    let starts: Vec<String> =
        written(Format::Github).lines().map(|line| line.split(' ').next().unwrap_or("").to_owned()).collect();
    assert_eq!(starts, ["::notice", "::error", "::notice"]);
    let junit = written(Format::Junit);
    assert!(junit.contains("tests=\"3\" failures=\"1\"") && junit.contains("old error: `x`"), "{junit}");
    assert_eq!(junit.matches("<failure").count(), 1, "{junit}");
}

#[test]
fn without_anything_to_compare_with_nothing_says_what_is_new() {
    assert!(json(Format::Sarif)["runs"][0]["results"][0].get("baselineState").is_none());
    assert_eq!(json(Format::Json)["findings"][0]["new"], true);
}

#[test]
fn what_stops_airflow_is_nobodys_old_business() {
    let mut fatal = compared();
    fatal.findings = vec![Finding::new("dags/a", Issue::of_file(Code::PathLoop, "two paths"))];
    let written = |format| written(&fatal, format, Style::Plain);
    assert!(written(Format::Text).contains("reject: 1 old fatal finding in"));
    assert!(written(Format::Github).starts_with("::error "));
    assert!(written(Format::Gitlab).contains("blocker") && written(Format::Junit).contains("<failure"));
}

#[test]
fn text_shows_the_place_the_line_the_column_and_the_hint() {
    assert_eq!(
        written(&report(), Format::Text, Style::Plain),
        "dags/a b,c.py: error: `x` is also in `b.py` [duplicate-dag-id]\n\
         dags/etl.py:2:9: error: expected `:` [python-syntax]\n    2 |     def f()\n      |            ^\n  \
         hint: write `def f():`\n\
         dags/etl.py:3:5: warning: 100% strange: a, <b> & \"c\" [top-level-call]\n    3 | x = '\\u{1b}[31m'\n      |     ^\n\
         \nreject: 2 errors, 1 warning in 3 DAG files of 12 files (Airflow 3.3, Python 3.12)\n"
    );
}

#[test]
fn paths_are_as_seen_from_the_folder_that_was_named() {
    let seen = |from: &str, path: &str| {
        let finding = Finding::new(path, Issue::of_file(Code::CaseClash, ""));
        let place = |named: &str| {
            Place { seen_from: from.into(), named: named.into(), read: &|_| None, style: Style::Plain }
                .path(&finding)
        };
        (place(""), place("x/y"))
    };
    assert_eq!(seen("", "a/b.py"), ("a/b.py".into(), "x/y/a/b.py".into()));
    assert_eq!(seen("a", "a/b.py"), ("b.py".into(), "x/y/b.py".into()));
    assert_eq!(seen("a/b", "a/c.py"), ("../c.py".into(), "x/c.py".into()));
    assert_eq!(seen("a/b", "x/b/c.py"), ("../../x/b/c.py".into(), "x/b/c.py".into()));
    assert_eq!(seen("a", "ab/c.py"), ("../ab/c.py".into(), "x/ab/c.py".into()));
}

#[test]
fn nothing_found_is_one_line() {
    let clean = Report { findings: Vec::new(), dag_files: 1, verdict: Verdict::Pass, ..report() };
    assert_eq!(
        written(&clean, Format::Text, Style::Plain),
        "pass: nothing found in 1 DAG file of 12 files (Airflow 3.3, Python 3.12)\n"
    );
}

#[test]
fn colours_are_for_terminals_and_nothing_of_a_file_reaches_them_raw() {
    let coloured = written(&report(), Format::Text, Style::Coloured);
    assert!(coloured.contains("\x1b[1;31merror\x1b[0m"), "{coloured:?}");
    // Ours end in `m` after digits we chose; the file's own sequence is escaped.
    assert!(!coloured.contains("\x1b[31m"), "{coloured:?}");
    assert!(!written(&report(), Format::Text, Style::Plain).contains('\x1b'));
}

#[test]
fn a_long_line_is_shown_round_the_column() {
    let mut long = report();
    long.findings = vec![Finding::new("dags/etl.py", Issue::at(1, 5_001, Code::PythonSyntax, "there"))];
    let source = format!("{}!{}", "x".repeat(5_000), "y".repeat(5_000));
    let read = |_: &BStr| Some(source.clone().into_bytes());
    let text = render(
        &long,
        Format::Text,
        &Place { seen_from: "".into(), named: "".into(), read: &read, style: Style::Plain },
    );
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.iter().all(|line| line.chars().count() < 200), "{text}");
    let caret = lines[2].chars().position(|c| c == '^').expect("a caret");
    assert_eq!(lines[1].chars().nth(caret), Some('!'), "{text}");
}

#[test]
fn a_line_that_is_not_there_is_no_panic() {
    let mut wrong = report();
    wrong.findings = vec![Finding::new("dags/etl.py", Issue::at(900, 900, Code::PythonSyntax, "nowhere"))];
    assert!(written(&wrong, Format::Text, Style::Plain).starts_with("dags/etl.py:900:900: error: nowhere"));
}

#[test]
fn our_json_has_the_shape_that_is_promised() {
    let json = json(Format::Json);
    assert_eq!(json["version"], 1);
    assert_eq!((json["python"].as_str(), json["airflow"].as_str()), (Some("3.12"), Some("3.3")));
    assert_eq!((json["files"].as_u64(), json["dag_files"].as_u64()), (Some(12), Some(3)));
    assert_eq!(json["verdict"], "reject");
    let second = &json["findings"][1];
    assert_eq!(second["path"], "dags/etl.py");
    assert_eq!((second["line"].as_u64(), second["column"].as_u64()), (Some(2), Some(9)));
    assert_eq!(
        (second["severity"].as_str(), second["code"].as_str()),
        (Some("error"), Some("python-syntax"))
    );
    assert_eq!(
        (second["message"].as_str(), second["hint"].as_str()),
        (Some("expected `:`"), Some("write `def f():`"))
    );
    assert_eq!(json["findings"][0]["hint"], Json::Null);
}

#[test]
fn sarif_names_its_rules_and_escapes_paths() {
    let json = json(Format::Sarif);
    let run = &json["runs"][0];
    let result = &run["results"][0];
    let rule = result["ruleIndex"].as_u64().expect("an index") as usize;
    assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], result["ruleId"]);
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "dags/a%20b%2Cc.py");
    // Lines begin at 1 there; a finding about a file has none.
    assert!(location.get("region").is_none());
    assert_eq!(run["results"][1]["locations"][0]["physicalLocation"]["region"]["startColumn"], 9);
}

#[test]
fn workflow_commands_keep_to_one_line_each() {
    let text = written(&report(), Format::Github, Style::Plain);
    assert_eq!(
        text,
        "::error file=dags/a b%2Cc.py,title=dagsync duplicate-dag-id::`x` is also in `b.py`\n\
         ::error file=dags/etl.py,line=2,col=9,title=dagsync python-syntax::expected `:` (hint: write `def f():`)\n\
         ::warning file=dags/etl.py,line=3,col=5,title=dagsync top-level-call::100%25 strange: a, <b> & \"c\"\n"
    );
}

#[test]
fn code_quality_has_fingerprints_that_survive_moved_lines() {
    let first = json(Format::Gitlab);
    let mut moved = report();
    moved.findings.iter_mut().for_each(|finding| finding.issue.line += 7);
    let lower = ["\n".repeat(7), SOURCE.to_owned()].concat();
    let read = |path: &BStr| (path == "dags/etl.py").then(|| lower.clone().into_bytes());
    let text = render(
        &moved,
        Format::Gitlab,
        &Place { seen_from: "".into(), named: "".into(), read: &read, style: Style::Plain },
    );
    let second: Json = serde_json::from_str(&text).expect("JSON");
    let prints = |json: &Json| -> Vec<String> {
        json.as_array().expect("a list").iter().map(|it| it["fingerprint"].to_string()).collect()
    };
    assert_eq!(prints(&first), prints(&second));
    assert_eq!(prints(&first).iter().collect::<std::collections::HashSet<_>>().len(), 3);
    assert_eq!(first[0]["location"]["lines"]["begin"], 1);
}

#[test]
fn a_mistake_made_again_elsewhere_in_the_file_is_another_one() {
    let syntax = |line| Finding::new("a.py", Issue::at(line, 1, Code::PythonSyntax, "invalid syntax"));
    let prints = |source: &'static str, lines: &[u32]| -> Vec<String> {
        let report =
            Report { findings: lines.iter().map(|line| syntax(*line)).collect(), ages: None, ..report() };
        let read = |_: &BStr| Some(source.as_bytes().to_vec());
        let place = Place { seen_from: "".into(), named: "".into(), read: &read, style: Style::Plain };
        let json: Json = serde_json::from_str(&render(&report, Format::Gitlab, &place)).expect("JSON");
        json.as_array().expect("a list").iter().map(|it| it["fingerprint"].to_string()).collect()
    };
    let before = prints("x = = 1\n", &[1]);
    let after = prints("x = 1\ny = = 1\nz = = 1\n  z = = 1\n", &[2, 3, 4]);
    let all: std::collections::HashSet<&String> = before.iter().chain(&after).collect();
    assert_eq!(all.len(), 4, "{before:?} {after:?}");
    assert_eq!(prints("a\nb\n\tx = = 1\n", &[3]), before, "it moved");
}

#[test]
fn a_file_is_read_once_whatever_is_wrong_in_it() {
    let finding =
        |path: &str, line| Finding::new(path, Issue::at(line, 1, Code::PythonSyntax, "invalid syntax"));
    let places = (1..=300).flat_map(|at| [("a.py", at % 3), ("b.py", at)]);
    let mut findings: Vec<Finding> = places.map(|(path, line)| finding(path, line)).collect();
    findings.sort();
    let report = Report { findings, ages: None, ..report() };
    for format in [Format::Text, Format::Gitlab, Format::Sarif] {
        let reads = std::cell::RefCell::new(Vec::new());
        let read = |path: &BStr| {
            reads.borrow_mut().push(path.to_string());
            Some(b"x = = 1\n".to_vec())
        };
        render(
            &report,
            format,
            &Place { seen_from: "".into(), named: "".into(), read: &read, style: Style::Plain },
        );
        assert_eq!(reads.into_inner(), ["a.py", "b.py"]);
    }
}

#[test]
fn a_name_of_the_repository_is_no_command_and_no_colour() {
    let mut report = report();
    report.findings[1].path = "x\n::error::y\u{1b}[31m.py".into();
    report.findings[1].issue.message = "\u{1b}[2J".into();
    let text = written(&report, Format::Github, Style::Plain);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(!text.contains('\u{1b}') && text.contains("%0A%3A%3Aerror"), "{text}");
}

#[test]
fn junit_has_one_case_a_file_and_one_for_the_rest() {
    let text = written(&report(), Format::Junit, Style::Plain);
    assert!(text.contains("tests=\"3\" failures=\"2\""), "{text}");
    assert_eq!(text.matches("<testcase").count(), 3);
    assert_eq!(text.matches("<failure").count(), 2);
    assert!(text.contains("100% strange: a, &lt;b&gt; &amp; &quot;c&quot;"), "{text}");
}
