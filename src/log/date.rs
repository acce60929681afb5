//! Times of others, as people and programs read them.

use std::time::{Duration, SystemTime};

/// Seconds since 1970 in UTC, as RFC 3339 has it. A time before 1970 is none that anybody wrote a DAG at.
pub fn date(seconds: i64) -> String {
    // A commit may say the year 300,000,000,000, which no calendar has.
    let seconds = u64::try_from(seconds).unwrap_or(0).min(253_402_300_799);
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_date_of_a_commit_is_too_much() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(i64::MIN), "1970-01-01T00:00:00Z");
        assert_eq!(date(i64::MAX), "9999-12-31T23:59:59Z");
    }
}
