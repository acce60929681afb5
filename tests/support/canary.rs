//! A secret that is looked for everywhere after a run (advisories C: tokens in logs, on disk, in arguments).

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A password like no other text in the world.
pub fn canary() -> String {
    format!("CANARY-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}

/// Fails when `text` holds the secret, in clear or as `Authorization: Basic` spells it.
#[track_caller]
pub fn assert_not_in(canary: &str, what: &str, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    for spelling in spellings(canary) {
        let found = text.windows(spelling.len()).any(|window| window == spelling.as_bytes());
        assert!(!found, "{what} holds the secret, spelt `{spelling}`:\n{}", String::from_utf8_lossy(text));
    }
}

/// Fails when a name, a link's target or a file's content anywhere below `root` holds the secret.
#[track_caller]
pub fn assert_not_below(canary: &str, root: &Path) {
    for path in everything_below(root) {
        let what = path.display().to_string();
        assert_not_in(canary, &format!("the name {what}"), path.as_os_str().as_bytes());
        if let Ok(target) = fs::read_link(&path) {
            assert_not_in(canary, &format!("the target of {what}"), target.as_os_str().as_bytes());
        } else if let Ok(content) = fs::read(&path) {
            assert_not_in(canary, &what, content);
        }
    }
}

/// Fails when the arguments of a running process, or of one below it, hold the secret.
#[track_caller]
pub fn assert_not_in_arguments(canary: &str, pid: u32) {
    let folder = format!("/proc/{pid}");
    assert_not_in(
        canary,
        &format!("{folder}/cmdline"),
        fs::read(format!("{folder}/cmdline")).unwrap_or_default(),
    );
    for thread in fs::read_dir(format!("{folder}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            assert_not_in_arguments(canary, child);
        }
    }
}

/// Every path below a folder, links not followed; what vanishes meanwhile is left out.
pub fn everything_below(root: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// The secret itself, and the middle of its base64 for each place it can have in a longer text.
fn spellings(canary: &str) -> Vec<String> {
    let mut all = vec![canary.to_owned()];
    for offset in 0..3 {
        let shifted = [vec![b' '; offset], canary.as_bytes().to_vec()].concat();
        let coded = base64(&shifted);
        // The first and last groups also hold bits of the neighbours.
        all.push(coded[4..coded.len() - 4].to_owned());
    }
    all
}

/// Standard base64, with padding.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word =
            group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() { digit.into() } else { '=' });
        }
    }
    text
}
