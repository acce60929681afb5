//! Bytes as a zip: members are compiled, none takes more than its bounds, and what is said names one.

#![no_main]

use dagsync::check::target::{Airflow, Python};
use dagsync::check::{Severity, Target, archive};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for airflow in [Airflow::OLDEST, Airflow::NEWEST] {
        let target =
            Target { safe_mode: bytes.len().is_multiple_of(2), ..Target::of(airflow, Python::DEFAULT) };
        for issue in archive::look(bytes, &target) {
            assert_eq!((issue.line, issue.column), (0, 0), "{issue:?}");
            assert!(!issue.message.contains(['\n', '\r', '\0']), "{issue:?}");
            assert!(
                issue.code.severity() == Severity::Warning || issue.message.contains(".py:"),
                "{issue:?}"
            );
        }
    }
});
