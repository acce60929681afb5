//! Bytes as YAML and as JSON.

#![no_main]

use dagsync::check::dag::data_syntax;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for name in ["a.yaml", "a.json"] {
        let Some(issue) = data_syntax(name.as_bytes(), bytes) else { continue };
        assert!(!issue.message.is_empty(), "{issue:?}");
        let lines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
        assert!(issue.line as usize <= lines + 1, "{issue:?} of {lines} lines");
    }
});
