//! What kinds of value an option takes, and reading one from text. Numbers and booleans are read as Go's `strconv` does,
//! because that is what git-sync's users have in their manifests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::config::duration;

/// The shape of an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path of a file or folder.
    Path,
    /// Text that may carry a credential and is never repeated in a message: URLs, git configuration, JSON.
    Opaque,
    /// A credential itself: the same, and never read from the config file.
    Secret,
    /// `true` or `false`; the bare flag means `true`.
    Bool,
    /// A whole number, not below `min`.
    Int {
        /// The smallest allowed.
        min: i64,
    },
    /// A number of bytes, with an optional unit.
    Size,
    /// Seconds with a fraction, as the deprecated `wait` has it.
    Seconds,
    /// A length of time, not below `min`.
    Duration {
        /// The shortest allowed.
        min: Duration,
    },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A signal's name or number.
    Signal,
    /// Where to listen.
    Bind,
}

impl Kind {
    /// The name of the value in usage texts.
    pub fn placeholder(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Path => "path",
            Kind::Opaque | Kind::Secret => "value",
            Kind::Bool => "true|false",
            Kind::Int { .. } => "number",
            Kind::Size => "bytes",
            Kind::Seconds => "seconds",
            Kind::Duration { .. } => "duration",
            Kind::Choice(_) => "choice",
            Kind::Signal => "signal",
            Kind::Bind => "address",
        }
    }

    /// What a value looks like, for the documentation.
    pub fn describe(self) -> String {
        match self {
            Kind::Choice(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
            Kind::Int { min } if min > i64::MIN => format!("number, at least {min}"),
            Kind::Duration { min } if !min.is_zero() => {
                format!("duration, at least {}", humantime::format_duration(min))
            }
            Kind::Bool => "`true` or `false`".into(),
            Kind::Size => "bytes, with k, M, G or T (powers of 1024)".into(),
            Kind::Secret => "a secret".into(),
            Kind::Opaque => "text".into(),
            _ => self.placeholder().into(),
        }
    }

    /// Whether a message may repeat the value.
    pub fn may_be_shown(self) -> bool {
        !matches!(self, Kind::Opaque | Kind::Secret)
    }

    /// Checks a value. The error is a phrase such as "is not a duration: …", without the value.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Kind::Text | Kind::Path if text.contains('\0') => Err("contains a NUL character".into()),
            Kind::Text | Kind::Path | Kind::Opaque | Kind::Secret => Ok(()),
            Kind::Bool => parse_bool(text).map(drop).ok_or_else(|| "is neither true nor false".into()),
            Kind::Int { min } => match parse_int(text) {
                None => Err("is not a whole number".into()),
                Some(number) if number < min => Err(format!("must be at least {min}")),
                Some(_) => Ok(()),
            },
            Kind::Size => {
                parse_size(text).map(drop).ok_or_else(|| "is not a number of bytes, as in `500MiB`".into())
            }
            Kind::Seconds => duration::parse_seconds(text).map(drop),
            Kind::Duration { min } => match duration::parse(text) {
                Err(why) => Err(format!("is not a duration: {why}")),
                Ok(value) if value < min => {
                    Err(format!("must be at least {}", humantime::format_duration(min)))
                }
                Ok(_) => Ok(()),
            },
            Kind::Choice(words) if words.contains(&text) => Ok(()),
            Kind::Choice(words) => Err(format!("must be one of {}", words.join(", "))),
            Kind::Signal => parse_signal(text).map(drop),
            Kind::Bind => parse_bind(text, false).map(drop),
        }
    }
}

/// `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `strconv.ParseInt(text, 0, 64)`: decimal, or `0x`, `0o`, `0b` and a leading zero for octal.
pub fn parse_int(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if !digits.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some(two) if two.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok().map(|number| sign * number)
}

/// A number of bytes: `1000`, `64k`, `500MiB`, `4 GB`; every unit is a power of 1024.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A signal by name (`SIGHUP`, `hup`) or number, as its number. Only those that can be caught and that have no other
/// meaning for the agent.
pub fn parse_signal(text: &str) -> Result<i32, String> {
    let upper = text.to_ascii_uppercase();
    let named = |number: &i32| {
        signal_hook::low_level::signal_name(*number)
            .is_some_and(|name| name == upper || name.strip_prefix("SIG") == Some(&upper))
    };
    let number = match parse_int(text) {
        Some(number) => i32::try_from(number).ok().filter(|n| (1..=64).contains(n)),
        None => (1..=31).find(named),
    };
    let number = number.ok_or("is not a signal's name or number, as in `SIGHUP`")?;
    let taken = [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGCHLD];
    if signal_hook::consts::FORBIDDEN.contains(&number) || (32..=33).contains(&number) {
        return Err("is a signal that cannot be caught".into());
    }
    if taken.contains(&number) {
        return Err("is a signal that the agent needs itself".into());
    }
    Ok(number)
}

/// `:1234`, `127.0.0.1:1234`, `[::1]:1234` or `localhost:1234`. Without a host it is every interface: over IPv6, which
/// takes IPv4 along, when the machine has it, as Go does.
pub fn parse_bind(text: &str, ipv6: bool) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').ok_or("is not an address: write `:1234` or `127.0.0.1:1234`")?;
    let port: u16 = port.parse().map_err(|_| "is not an address: the port must be a number up to 65535")?;
    let ip: IpAddr = match host {
        "" if ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        "" => Ipv4Addr::UNSPECIFIED.into(),
        _ if host.eq_ignore_ascii_case("localhost") => Ipv4Addr::LOCALHOST.into(),
        _ => return Err("is not an address: the host must be an IP address or `localhost`".into()),
    };
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_and_numbers_are_read_as_go_does() {
        for yes in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(parse_bool(yes), Some(true), "{yes}");
        }
        for no in ["yes", "on", "", "tRUE", " true"] {
            assert_eq!(parse_bool(no), None, "{no}");
        }
        for (text, number) in [
            ("0", 0),
            ("-1", -1),
            ("+7", 7),
            ("0x1F", 31),
            ("010", 8),
            ("0b11", 3),
            ("0o17", 15),
            ("120", 120),
        ] {
            assert_eq!(parse_int(text), Some(number), "{text}");
        }
        for bad in ["", "-", "1.5", "0x", "--1", "0x-1", "09", "1e3", "ten", "99999999999999999999", "é0"] {
            assert_eq!(parse_int(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_take_units_of_1024() {
        for (text, bytes) in
            [("0", 0), ("10", 10), ("1k", 1024), ("4GiB", 4 << 30), ("64 gb", 64 << 30), ("2T", 2 << 40)]
        {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for bad in ["", "-1", "1.5G", "G", "1X", "99999999999T"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_signal_is_a_name_or_a_number_that_can_be_caught() {
        for text in ["SIGHUP", "HUP", "hup", "SigHup", "1"] {
            assert_eq!(parse_signal(text), Ok(1), "{text}");
        }
        assert_eq!(parse_signal("SIGUSR1"), Ok(signal_hook::consts::SIGUSR1));
        assert_eq!(parse_signal("34"), Ok(34));
        for bad in [
            "", "SIG", "SIGNOPE", "0", "-1", "65", "KILL", "9", "SIGSTOP", "SIGSEGV", "SIGTERM", "INT",
            "SIGCHLD",
        ] {
            assert!(parse_signal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_without_a_host_is_every_interface() {
        for (text, ipv6, shown) in [
            (":1234", false, "0.0.0.0:1234"),
            (":1234", true, "[::]:1234"),
            ("127.0.0.1:1234", true, "127.0.0.1:1234"),
            ("localhost:1234", true, "127.0.0.1:1234"),
            ("[::1]:80", false, "[::1]:80"),
        ] {
            assert_eq!(parse_bind(text, ipv6).unwrap().to_string(), shown);
        }
        for bad in ["1234", ":", ":99999", "example.com:80", "", "1.2.3.4", ":-1"] {
            assert!(parse_bind(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn bounds_are_checked() {
        let short = Kind::Duration { min: Duration::from_millis(10) };
        assert!(short.check("10ms").is_ok());
        assert_eq!(short.check("9ms"), Err("must be at least 10ms".into()));
        assert_eq!(Kind::Int { min: 0 }.check("-1"), Err("must be at least 0".into()));
        assert_eq!(Kind::Choice(&["a", "b"]).check("c"), Err("must be one of a, b".into()));
    }
}
