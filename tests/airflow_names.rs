//! A real Airflow imports nothing of what the tables of names call gone, and all that they say it exports.

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Stdio;

use support::airflow;
use support::temp;

const GONE: &str = include_str!("../src/check/dag/gone.txt");
const EXPORTS: &str = include_str!("../src/check/dag/exports.txt");

/// Of 3.2, by an oversight; `Trace` needs what is not always installed.
const LOOSE: [&str; 2] = ["airflow Stats", "airflow Trace"];

fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').collect())
}

#[test]
fn airflow_imports_nothing_of_what_is_called_gone_and_all_that_it_is_said_to_export() {
    let Some(programs) = airflow::programs() else { return };
    let gone: BTreeSet<String> = rows(GONE).map(|row| row[0].replace(':', " ")).collect();
    let exports = rows(EXPORTS)
        .flat_map(|row| row[2..].iter().map(|name| format!("{} {name}", row[0])).collect::<Vec<_>>());
    let exports: BTreeSet<String> =
        exports.filter(|name| !gone.contains(name) && !LOOSE.contains(&name.as_str())).collect();
    let home = temp();
    let questions = home.path().join("questions");
    let asked: Vec<&String> = gone.iter().chain(&exports).collect();
    std::fs::write(&questions, asked.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let output = airflow::script(&programs, home.path(), "names.py")
        .stdin(File::open(&questions).unwrap())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<&str> = text.lines().collect();
    assert_eq!(answers.len(), asked.len());
    let told = |name: &&String| if gone.contains(*name) { "no" } else { "yes" };
    let wrong: Vec<String> = asked
        .iter()
        .zip(answers)
        .filter(|(name, answer)| told(name) != *answer)
        .map(|(name, answer)| format!("{name}: {answer}"))
        .collect();
    println!("{} names", asked.len());
    assert!(wrong.is_empty() && gone.len() > 800 && exports.len() > 100, "{wrong:#?}");
}
