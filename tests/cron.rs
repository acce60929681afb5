//! Cron expressions are taken and refused as three releases of croniter do it.

use dagsync::check::dag::cron::{Dialect, expression};
use serde_json::Value as Json;

#[test]
fn every_recorded_expression_is_answered_as_three_releases_of_croniter_answer() {
    let recorded: Json = serde_json::from_str(include_str!("data/cron.json")).unwrap();
    let vectors = recorded["vectors"].as_array().unwrap();
    assert!(vectors.len() > 50);
    let mut wrong = Vec::new();
    for vector in vectors {
        let text = vector["expr"].as_str().unwrap();
        for dialect in Dialect::ALL {
            let ours = expression(text, dialect);
            if ours.is_ok() != vector[dialect.release()].as_bool().unwrap() {
                wrong.push(format!("`{text}` in {}: {ours:?}", dialect.release()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
