//! Objects are what their ids say, and nothing beside them is believed.

mod support;

use std::fs;

use gix::hash::Kind;
use support::agent::{Launch, published};
use support::{Repo, temp};

/// The first 320 bytes of the public SHAttered sample: from here on any two equal tails collide under plain SHA-1.
const SHATTERED: &str = "\
255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f4865696768742033203020522f54797065\
2034203020522f537562747970652035203020522f46696c7465722036203020522f436f6c6f7253706163652037203020522f4c656e677468\
2038203020522f42697473506572436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d312069732064656164212121\
2121852fec092339759c39b1a1c63c4c97e1fffe017f46dc93a6b67e013b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df614f86db1\
690901c56b45c1530afedfb76038e972722fe7ad728f0e4904e046c230570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37f\
ac3514e74ddc0f2cc1a874cd0c78305a21566461309789606bd0bf3f98cda8044629a1";

/// GHSA-2frx-2596-x5r6: the hash that packs are indexed with notices a collision attack, and the object gets no id.
#[test]
fn shattered_blob_is_rejected() {
    let byte = |at: usize| u8::from_str_radix(&SHATTERED[at..at + 2], 16).unwrap();
    let sample: Vec<u8> = (0..SHATTERED.len()).step_by(2).map(byte).collect();
    assert_eq!(sample.len(), 320);
    let mut hasher = gix::hash::hasher(Kind::Sha1);
    hasher.update(&sample);
    let err = hasher.try_finalize().unwrap_err();
    assert!(err.to_string().contains("collision"), "{err}");
    // The same bytes without the attack's first block have an id like any others.
    let mut hasher = gix::hash::hasher(Kind::Sha1);
    hasher.update(&sample[64..]);
    assert!(hasher.try_finalize().is_ok());
}

/// CVE-2026-123533: a crafted commit-graph makes readers panic. Ours are not among them.
#[test]
fn commit_graph_is_not_used() {
    let dir = temp();
    let repo = Repo::new(dir.path().join("repo"));
    repo.commit(&[("a.py", "1")]);
    let tip = repo.commit(&[("a.py", "2")]);
    repo.git(&["commit-graph", "write", "--reachable"]);
    let info = repo.git_dir().join("objects/info");
    let graph = info.join("commit-graph");
    let mut bytes = fs::read(&graph).unwrap();
    // The chunk table points far outside.
    bytes[12..20].fill(0xff);
    fs::remove_file(&graph).unwrap();
    fs::write(&graph, &bytes).unwrap();
    let root = dir.path().join("root");
    let run = |depth: &str| {
        Launch::new(["--one-time", "--link=link", &format!("--depth={depth}")])
            .set("repo", repo.work().to_str().unwrap())
            .set("root", root.to_str().unwrap())
            .run(support::wait::PATIENCE)
    };
    for depth in ["0", "1"] {
        let finished = run(depth);
        assert!(finished.status.success(), "{}", finished.stderr);
        assert_eq!(published(&root, "link").as_deref(), Some(tip.as_str()));
    }
    assert!(!root.join(".git/objects/info/commit-graph").exists(), "and ours has none");
}

/// GHSA-pmm9-4h7q-24c8: what a file is written to is created, never opened.
#[test]
fn checkout_into_existing_symlink_replaces_link_not_target() {
    let dir = temp();
    let repo = Repo::new(dir.path().join("repo"));
    repo.commit(&[("a.py", "1")]);
    let outside = dir.path().join("outside");
    fs::write(&outside, "precious").unwrap();
    let root = dir.path().join("root");
    let launch = || {
        Launch::new(["--one-time", "--link=link"])
            .set("repo", repo.work().to_str().unwrap())
            .set("root", root.to_str().unwrap())
            .run(support::wait::PATIENCE)
    };
    assert!(launch().status.success());
    // Somebody swaps a published file for a link out of the tree; the next revision changes that file.
    let file = root.join("link/a.py");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&outside, &file).unwrap();
    repo.commit(&[("a.py", "2")]);
    let finished = launch();
    assert!(finished.status.success(), "{}", finished.stderr);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
    let file = root.join("link/a.py");
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
    assert_eq!(fs::read_to_string(file).unwrap(), "2");
}
