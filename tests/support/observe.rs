//! What an operator sees of a running agent: its log as JSON, its probes, its metrics.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use super::agent::{Agent, Launch, http_get};
use super::repo::Repo;
use super::temp;
use super::wait::{PATIENCE, wait_until};

/// A local upstream with one commit, and a root.
pub fn upstream() -> (TempDir, Repo, PathBuf) {
    let folder = temp();
    let repo = Repo::bare(folder.path().join("up.git"));
    repo.commit(&[("dags/a.py", "a = 1\n")]);
    let root = folder.path().join("root");
    (folder, repo, root)
}

/// A sidecar as charts run it: link `current`, JSON logs, probes on a port that the system chooses.
pub fn sidecar(repo: impl AsRef<OsStr>, root: &Path) -> Launch {
    Launch::default()
        .set("repo", repo)
        .set("root", root)
        .set("link", "current")
        .set("http-bind", "127.0.0.1:0")
        .set("log-format", "json")
}

/// Where the agent serves its probes, as soon as it says so.
#[track_caller]
pub fn address(agent: &Agent) -> SocketAddr {
    const SAID: &str = "probes and metrics are served";
    agent.wait_for_text(SAID, PATIENCE);
    let line = said(agent, SAID).remove(0);
    line["address"].as_str().and_then(|text| text.parse().ok()).expect("an address")
}

/// The whole lines of the log so far. A line that is no JSON object is a failure.
#[track_caller]
pub fn log_lines(stderr: &str) -> Vec<Value> {
    let whole = stderr.rfind('\n').map_or("", |end| &stderr[..end]);
    let parse = |line: &str| match serde_json::from_str(line) {
        Ok(value @ Value::Object(_)) => value,
        _ => panic!("not a JSON object: {line}"),
    };
    whole.lines().map(parse).collect()
}

/// The lines with this message so far.
#[track_caller]
pub fn said(agent: &Agent, message: &str) -> Vec<Value> {
    log_lines(&agent.stderr()).into_iter().filter(|line| line["msg"] == message).collect()
}

/// When a line was written.
pub fn time_of(line: &Value) -> SystemTime {
    humantime::parse_rfc3339(line["ts"].as_str().expect("a time")).expect("a time in RFC 3339")
}

/// The pauses between lines.
pub fn pauses(lines: &[Value]) -> Vec<Duration> {
    let times: Vec<SystemTime> = lines.iter().map(time_of).collect();
    times.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap_or_default()).collect()
}

/// The status of the probe `/`.
pub fn ready(at: SocketAddr) -> u16 {
    http_get(at, "/", &[]).expect("the probe is answered").status
}

/// The page of metrics.
pub fn metrics(at: SocketAddr) -> String {
    http_get(at, "/metrics", &[]).expect("metrics are served").text()
}

/// A sample by its name and labels, as the page spells them.
pub fn sample(at: SocketAddr, series: &str) -> Option<f64> {
    let page = metrics(at);
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(value.parse().expect("a number"))
}

/// Waits until a sample is at least so much.
#[track_caller]
pub fn wait_for_sample(at: SocketAddr, series: &str, least: f64) {
    wait_until(PATIENCE, &format!("{series} to be {least}"), || {
        sample(at, series).is_some_and(|value| value >= least)
    });
}

/// Waits until a source has ended so many passes with this result.
#[track_caller]
pub fn wait_for_passes(at: SocketAddr, source: &str, result: &str, least: u32) {
    let series = format!("dagsync_passes_total{{result=\"{result}\",source=\"{source}\"}}");
    wait_for_sample(at, &series, least.into());
}
