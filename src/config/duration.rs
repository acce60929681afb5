//! Lengths of time as Go writes them (`1m30s`, `1.5h`) and as people do (`1m 30s`, `2min`, `1 day`).

use std::time::Duration;

/// Units of Go's `time.ParseDuration` and of humantime, which agree where they meet. In nanoseconds. Months and years
/// are left out: nobody polls yearly, and `M` beside `m` is a trap.
const UNITS: &[(&[&str], u128)] = &[
    (&["ns", "nsec", "nanos"], 1),
    (&["us", "µs", "μs", "usec", "micros"], 1_000),
    (&["ms", "msec", "millis"], 1_000_000),
    (&["s", "sec", "secs", "second", "seconds"], 1_000_000_000),
    (&["m", "min", "mins", "minute", "minutes"], 60_000_000_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600_000_000_000),
    (&["d", "day", "days"], 86_400_000_000_000),
    (&["w", "week", "weeks"], 604_800_000_000_000),
];

/// Reads a duration in either style. A bare number is refused unless it is zero: nobody can know its unit.
///
/// The error is a phrase that fits behind "`…` is not a duration: ".
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let (negative, body) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if body.is_empty() {
        return Err("it is empty".into());
    }
    if body.bytes().all(|b| b == b'0') {
        return Ok(Duration::ZERO);
    }
    let mut nanos: u128 = 0;
    let mut rest = body;
    while !rest.is_empty() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split_while(after.trim_start(), |c| c.is_alphabetic());
        if number.is_empty() {
            return Err("a number is expected before each unit".into());
        }
        if unit.is_empty() {
            return Err("a unit is missing, as in `10s` or `1m30s`".into());
        }
        let scale = UNITS
            .iter()
            .find(|(names, _)| names.contains(&unit))
            .map(|(_, scale)| *scale)
            .ok_or("the units are ns, us, ms, s, m, h, d and w")?;
        nanos = scaled(number, scale)
            .and_then(|part| nanos.checked_add(part))
            .ok_or("a number in it is malformed or too large")?;
        rest = after.trim_start();
    }
    if negative && nanos > 0 {
        return Err("it is negative".into());
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| "it is too long")?;
    // Beyond a few centuries `Instant + Duration` overflows on some platforms; nothing sensible is that long.
    if seconds > 10_000_000_000 {
        return Err("it is too long".into());
    }
    Ok(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}

/// Reads seconds with a fraction, as the deprecated `wait` has them. Negative ones are refused.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.trim().parse().map_err(|_| "a number of seconds is expected")?;
    if !(0.0..=10_000_000_000.0).contains(&seconds) {
        return Err("a number of seconds is expected, not negative".into());
    }
    // git-sync cuts at milliseconds, so that 0.0004 means "not set".
    Ok(Duration::from_millis((seconds * 1000.0) as u64))
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

/// `number` (decimal, with an optional fraction) times `scale`, cut to whole units of one.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 20 {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(u128::from(digit - b'0') * place)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_styles_are_read() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("+0", 0),
            ("-0", 0),
            ("100ms", 100),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1.s", 1_000),
            ("1h2m3.004s", 3_723_004),
            ("1m 30s", 90_000),
            ("2min", 120_000),
            ("2 min 1 sec", 121_000),
            ("1day", 86_400_000),
            ("2 weeks", 1_209_600_000),
            (" 5s ", 5_000),
            ("1500us", 1),
            ("1500µs", 1),
        ] {
            assert_eq!(parse(text).map(|d| d.as_millis() as u64), Ok(millis), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            " ",
            "10",
            "s",
            "1x",
            "-5s",
            "1m30",
            "1..5s",
            ".s",
            "1,5s",
            "99999999999999999999999h",
            "1y",
            "5M",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn deprecated_wait_is_seconds_with_a_fraction() {
        assert_eq!(parse_seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_seconds("60"), Ok(Duration::from_secs(60)));
        for text in ["", "1s", "-1", "NaN", "inf", "1e300"] {
            assert!(parse_seconds(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_humantime_writes_below_a_month_is_read_back(nanos in 0u64..2_000_000_000_000_000) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&humantime::format_duration(duration).to_string()), Ok(duration));
        }

        #[test]
        fn what_go_writes_is_read_back(hours in 0u64..10_000, minutes in 0u64..60, millis in 0u64..60_000) {
            let text = format!("{hours}h{minutes}m{}.{:03}s", millis / 1000, millis % 1000);
            prop_assert_eq!(parse(&text), Ok(Duration::from_millis((hours * 60 + minutes) * 60_000 + millis)));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text);
            let _ = parse_seconds(&text);
        }
    }
}
