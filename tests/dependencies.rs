//! What dagsync is built from stays small and as `deny.toml` says, also where there is no cargo-deny.
//!
//! Known vulnerabilities need a database and therefore cargo-deny; licences, bans and the budget need only cargo.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;
use toml::Table;

/// The packages that `Cargo.lock` may name, those for other systems and for tests included. Raised only on purpose, in
/// the commit that needs it: each one is code that runs beside somebody's credentials.
const BUDGET: usize = 420;

/// What only the fuzz targets need, in the order of the alphabet.
const FUZZING: [&str; 5] = ["arbitrary", "dagsync-fuzz", "derive_arbitrary", "jobserver", "libfuzzer-sys"];

fn table(name: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn texts<'a>(list: &'a toml::Value, key: Option<&str>) -> Vec<&'a str> {
    let text =
        |entry: &'a toml::Value| key.map_or(Some(entry), |key| entry.get(key)).and_then(toml::Value::as_str);
    list.as_array().expect("a list").iter().map(|entry| text(entry).expect("a text")).collect()
}

/// Name and version of all that is in a lock file.
fn locked(name: &str) -> Vec<(String, String)> {
    let text = |package: &toml::Value, key: &str| package[key].as_str().expect("a text").to_owned();
    let lock = table(name);
    lock["package"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|one| (text(one, "name"), text(one, "version")))
        .collect()
}

/// What is linked or run on this system, by cargo's own account.
fn packages() -> Vec<Json> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    // Offline: the packages are there, or this test would not have been built; those of other systems are not.
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", &target])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Json = serde_json::from_slice(&output.stdout).expect("cargo's JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

#[test]
fn the_lock_file_stays_within_its_budget() {
    let count = locked("Cargo.lock").len();
    assert!(count <= BUDGET, "Cargo.lock names {count} packages, the budget is {BUDGET}");
}

#[test]
fn banned_packages_are_not_in_the_lock_file() {
    let deny = table("deny.toml");
    let banned = texts(&deny["bans"]["deny"], Some("crate"));
    assert!(
        ["openssl-sys", "native-tls", "aws-lc-sys"].iter().all(|name| banned.contains(name)),
        "{banned:?}"
    );
    let found: Vec<_> =
        locked("Cargo.lock").into_iter().filter(|(name, _)| banned.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "banned by deny.toml: {found:?}");
}

#[test]
fn the_fuzz_targets_are_built_of_what_ships_and_leave_no_trace_in_it() {
    let hint = "run `cp Cargo.lock fuzz/Cargo.lock && cargo metadata --format-version=1 --manifest-path fuzz/Cargo.toml`";
    let ships: BTreeSet<(String, String)> = locked("Cargo.lock").into_iter().collect();
    let more: BTreeSet<(String, String)> = locked("fuzz/Cargo.lock").into_iter().collect();
    let more: Vec<&str> = more.difference(&ships).map(|(name, _)| name.as_str()).collect();
    assert_eq!(more, FUZZING, "of other releases than what ships, or new: {hint}");
    let stray: Vec<_> = ships.iter().filter(|(name, _)| FUZZING.contains(&name.as_str())).collect();
    assert!(stray.is_empty(), "only for fuzzing, and in the lock file of what ships: {stray:?}");
    // A dependency of ours that the other lock file does not know would only show when the targets are built.
    let lock = table("fuzz/Cargo.lock");
    let ours = lock["package"]
        .as_array()
        .expect("packages")
        .iter()
        .find(|one| one["name"].as_str() == Some("dagsync"));
    let known: BTreeSet<&str> = texts(&ours.expect("dagsync")["dependencies"], None)
        .into_iter()
        .map(|entry| entry.split(' ').next().unwrap_or_default())
        .collect();
    let manifest = table("Cargo.toml");
    let wanted: BTreeSet<&str> =
        manifest["dependencies"].as_table().expect("dependencies").keys().map(String::as_str).collect();
    assert_eq!(known, wanted, "{hint}");
    // With another profile every dependency would be built twice.
    let profile = |manifest: &Table| {
        let mut profile = manifest["profile"]["dev"].as_table().expect("a profile").clone();
        if let Some(packages) = profile.get_mut("package").and_then(toml::Value::as_table_mut) {
            packages.remove("dagsync");
        }
        profile
    };
    assert_eq!(profile(&table("fuzz/Cargo.toml")), profile(&manifest), "fuzz/Cargo.toml has another profile");
}

#[test]
fn every_package_comes_from_the_registry() {
    let foreign: Vec<_> = packages()
        .into_iter()
        .filter(|package| package["name"] != "dagsync")
        .filter(|package| !package["source"].as_str().is_some_and(|source| source.starts_with("registry+")))
        .map(|package| package["id"].to_string())
        .collect();
    assert!(foreign.is_empty(), "not from the registry: {foreign:?}");
}

#[test]
fn every_licence_is_on_the_list_and_the_list_has_no_others() {
    let deny = table("deny.toml");
    let allowed: BTreeSet<&str> = texts(&deny["licenses"]["allow"], None).into_iter().collect();
    let mut used = BTreeSet::new();
    for package in packages() {
        let expression = package["license"].as_str().unwrap_or_default().to_owned();
        let granted = licences(&expression, &allowed);
        assert!(!granted.is_empty(), "{}: licence `{expression}` is not on deny.toml's list", package["id"]);
        used.extend(granted);
    }
    let unused: Vec<_> = allowed.iter().filter(|licence| !used.contains(**licence)).collect();
    assert!(unused.is_empty(), "on deny.toml's list for nobody: {unused:?}");
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed: BTreeSet<&str> = ["MIT", "Zlib"].into_iter().collect();
    for good in
        ["MIT", "MIT/GPL-3.0", "GPL-3.0 OR MIT", "(GPL-3.0 OR MIT) AND Zlib", "GPL-3.0 WITH x OR Zlib"]
    {
        assert!(!licences(good, &allowed).is_empty(), "{good}");
    }
    for bad in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH x", "GPL-3.0 OR (MIT AND GPL-2.0)", "MIT OR", "(MIT"]
    {
        assert!(licences(bad, &allowed).is_empty(), "{bad}");
    }
}

/// The allowed licences that satisfy an SPDX expression; none when it is not satisfied, or not one.
fn licences(expression: &str, allowed: &BTreeSet<&str>) -> BTreeSet<String> {
    // `/` is how crates wrote OR before SPDX.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let granted = either(&mut words, allowed).unwrap_or_default();
    if words.next().is_some() { BTreeSet::new() } else { granted }
}

type Words<'a, 'b> = &'a mut std::iter::Peekable<std::str::SplitWhitespace<'b>>;

/// `None` for what is no expression, an empty set for one that is not satisfied.
fn either(words: Words<'_, '_>, allowed: &BTreeSet<&str>) -> Option<BTreeSet<String>> {
    let mut granted = both(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        granted.extend(both(words, allowed)?);
    }
    Some(granted)
}

fn both(words: Words<'_, '_>, allowed: &BTreeSet<&str>) -> Option<BTreeSet<String>> {
    let mut granted = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        let other = one(words, allowed)?;
        granted = if granted.is_empty() || other.is_empty() { BTreeSet::new() } else { &granted | &other };
    }
    Some(granted)
}

fn one(words: Words<'_, '_>, allowed: &BTreeSet<&str>) -> Option<BTreeSet<String>> {
    if words.next_if_eq(&"(").is_some() {
        let granted = either(words, allowed)?;
        return words.next_if_eq(&")").map(|_| granted);
    }
    let mut licence = words.next().filter(|word| !["OR", "AND", "WITH", ")"].contains(word))?.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next()?);
    }
    Some(Some(licence).filter(|licence| allowed.contains(licence.as_str())).into_iter().collect())
}
