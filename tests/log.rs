//! The log of a whole process, on a real standard error: each test starts this test program again in the role below.

use std::process::{Command, Output, Stdio};

use dagsync::config::LogFormat;
use dagsync::log;

const PLAYED: &str = "the role was played to its end";
const ROLE: &str = "DAGSYNC_TEST_LOG_ROLE";

fn play(stderr: Stdio) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "role_logs", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(PLAYED), "{}\n{said}", output.status);
    output
}

#[test]
fn a_panic_is_one_escaped_line_like_all_others() {
    let output = play(Stdio::piped());
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 101, "{text}");
    let panic = lines.last().unwrap();
    assert_eq!(panic["level"], "error");
    assert_eq!(panic["msg"], "internal error: a bug\\u{1b}[2J\\nin two lines");
    assert_eq!(panic["thread"], "worker");
    assert!(panic["at"].as_str().unwrap().starts_with("tests/log.rs:"));
}

#[test]
fn a_standard_error_that_nobody_reads_any_more_stops_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    play(writer.into());
}

#[test]
#[ignore = "a role: played by the tests above in a process of its own"]
fn role_logs() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let options = log::Options { format: LogFormat::Json, verbose: 0, colour: false };
    log::init(options).unwrap();
    assert!(log::init(options).is_err(), "once per process");
    for number in 0..100 {
        tracing::info!(target: "dagsync", number, "a line");
    }
    let worker = std::thread::Builder::new().name("worker".to_owned());
    let worker = worker.spawn(|| panic!("a bug\u{1b}[2J\nin two lines")).unwrap();
    assert!(worker.join().is_err());
    println!("{PLAYED}");
}
