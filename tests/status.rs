//! The status document: what is live and why, for whoever asks over HTTP.

mod support;

use std::net::SocketAddr;

use serde_json::{Value as Json, json};
use support::agent::http_get;
use support::canary::{assert_not_in, canary};
use support::observe::{address, sidecar};
use support::{GitServer, Repo, temp};

const GOOD: &str = "from airflow.sdk import DAG\n\nwith DAG('one'):\n    pass\n";
const BAD: &str = "from airflow.sdk import DAG\n\nwith DAG('one')\n    pass\n";

/// The document, of which the only source is returned too.
fn document(at: SocketAddr) -> Option<(Json, Json)> {
    let reply = http_get(at, "/status", &[]).ok()?;
    assert_eq!((reply.status, reply.headers["content-type"].as_str()), (200, "application/json"));
    let json: Json = serde_json::from_slice(&reply.body).expect("JSON");
    let source = json["sources"][0].clone();
    Some((json, source))
}

#[test]
fn the_status_document_says_what_is_published_held_back_and_failing() {
    let folder = temp();
    let repo = Repo::bare(folder.path().join("srv/up.git"));
    let good = repo.commit(&[("one.py", GOOD)]);
    let secret = canary();
    let server = GitServer::over(folder.path().join("srv").as_path()).account("ada", &secret).start();
    let root = folder.path().join("root");
    let url = server.url_with("ada", &secret, "up.git");
    let agent = sidecar(url, &root).args(["--period=20ms", "--max-failures=-1"]).start();
    let at = address(&agent);
    let shows = |what: &str, is: &dyn Fn(&Json) -> bool| {
        agent.wait_until(what, || document(at).is_some_and(|(_, source)| is(&source)));
        document(at).expect("an answer")
    };

    agent.wait_published(&root, "current", &good);
    let (all, source) = shows("a pass that ended", &|source| source["passes"].as_u64() > Some(0));
    assert_eq!(all["version"], 1);
    assert_eq!(source["published"], json!({"commit": good, "reference": "refs/heads/main"}));
    let flags = [&source["ready"], &source["standby"], &source["rejected"], &source["error"]];
    assert_eq!(flags, [&json!(true), &json!(false), &Json::Null, &Json::Null]);
    assert!(humantime::parse_rfc3339(source["last_success"].as_str().expect("a time")).is_ok());

    let bad = repo.commit(&[("one.py", BAD)]);
    let (_, source) = shows("what is held back", &|source| source["rejected"]["commit"] == json!(bad));
    assert_eq!(source["published"]["commit"], json!(good));
    assert_eq!(source["rejected"]["because"], "error");
    let reason = source["rejected"]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("one.py:3") && reason.contains("[python-syntax]"), "{reason}");
    assert!(humantime::parse_rfc3339(source["rejected"]["since"].as_str().expect("a time")).is_ok());
    assert!(source["error"].as_str().is_some_and(|line| line.contains(reason) && line.contains(&bad)));

    let mended = repo.commit(&[("one.py", &GOOD.replace("one", "other"))]);
    let is_mended = |source: &Json| source["published"]["commit"] == json!(mended);
    let (_, source) = shows("the mended one", &is_mended);
    assert_eq!((&source["rejected"], &source["error"]), (&Json::Null, &Json::Null));

    // What was held back is not the newest revision any more, also where the newest cannot be written.
    let bad = repo.commit(&[("one.py", BAD)]);
    shows("what is held back again", &|source| source["rejected"]["commit"] == json!(bad));
    repo.symlink("out", "../../etc/passwd");
    repo.commit_all("Spoil it");
    let is_unfit = |source: &Json| source["error"].as_str().is_some_and(|line| line.contains("`out`"));
    let (_, source) = shows("the unfit one", &is_unfit);
    assert_eq!((&source["rejected"], &source["published"]["commit"]), (&Json::Null, &json!(mended)));

    drop(server);
    let (all, source) = shows("a failure", &|source| source["error"].is_string() && !is_unfit(source));
    assert!(is_mended(&source) && source["ready"] == json!(true), "{source}");
    assert_not_in(&secret, "the status document", all.to_string());
}
