//! A text as a schedule, for each croniter.

#![no_main]

use dagsync::check::dag::cron::{Dialect, expression, schedule};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for dialect in Dialect::ALL {
        let plain = expression(text, dialect);
        // Airflow takes what croniter takes, and its own presets.
        assert!(plain.is_err() || schedule(text, dialect).is_ok(), "{text:?}");
        if let Err(refusal) = plain {
            assert!(!refusal.to_string().is_empty());
            assert!(refusal.field.is_none_or(|field| (1..=7).contains(&field)), "{refusal:?}");
        }
    }
});
