//! SARIF 2.1.0, as far as code scanning reads it: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.

use serde_json::{Value as Json, json};

use super::fingerprint::fingerprints;
use super::{Place, Report};
use crate::check::{Age, Code, Finding, Severity};

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Error | Severity::Fatal => "error",
    }
}

pub(super) fn render(report: &Report, place: &Place<'_>) -> Json {
    let rule = |code: &Code| {
        json!({
            "id": code.name(),
            "shortDescription": {"text": code.about()},
            "defaultConfiguration": {"level": level(code.severity())},
        })
    };
    let aged = report.aged().zip(fingerprints(report, place));
    let results = aged.map(|((finding, age), print)| result(finding, age, &print, place));
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "dagsync",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": Code::ALL.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Finding, age: Age, fingerprint: &str, place: &Place<'_>) -> Json {
    let issue = &finding.issue;
    let path = place.path(finding);
    let mut location = json!({"artifactLocation": {"uri": uri(&path)}});
    if issue.line > 0 {
        location["region"] = json!({"startLine": issue.line});
        if issue.column > 0 {
            location["region"]["startColumn"] = issue.column.into();
        }
    }
    let text = match &issue.hint {
        Some(hint) => format!("{}\nhint: {hint}", issue.message),
        None => issue.message.clone(),
    };
    let mut result = json!({
        "ruleId": issue.code.name(),
        "ruleIndex": Code::ALL.iter().position(|code| *code == issue.code),
        "level": level(finding.severity),
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"dagsync/v1": fingerprint},
    });
    match age {
        Age::Alone => {}
        Age::New => result["baselineState"] = "new".into(),
        Age::Old => result["baselineState"] = "unchanged".into(),
    }
    result
}

/// A relative reference: everything but unreserved characters and `/` is escaped, as RFC 3986 has it.
fn uri(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
