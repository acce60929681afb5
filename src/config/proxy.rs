//! Proxy variables as git's users know them from curl.

use std::net::IpAddr;

use crate::secret::Secret;

/// The proxy variables for a scheme, first wins. For `http` only the lower-case name counts: `HTTP_PROXY` can be set by
/// whoever sends a `Proxy:` header to a CGI program (httpoxy), and curl keeps to that everywhere.
pub fn variables(scheme: &str) -> &'static [&'static str] {
    match scheme {
        "https" => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        _ => &["http_proxy", "all_proxy", "ALL_PROXY"],
    }
}

/// The variables of the exception list, first wins.
pub const NO_PROXY: &[&str] = &["no_proxy", "NO_PROXY"];

/// Checks a proxy's address and gives it a scheme if it has none. The error does not contain it.
pub fn normal(text: &str) -> Result<Secret, String> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let bad = "is not a proxy address, as in `http://proxy:3128`";
    if full.chars().any(|c| c.is_control() || c == ' ') {
        return Err(bad.into());
    }
    let url = url::Url::parse(&full).map_err(|_| bad)?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(Secret::new(full)),
        "socks4" | "socks4a" | "socks5" | "socks5h" => {
            Err("is a SOCKS proxy, which is not supported: use an HTTP proxy".into())
        }
        _ => Err(bad.into()),
    }
}

/// Whether the exception list takes a host out: `*`, a domain with everything below it (a leading dot changes nothing),
/// an address, a range in CIDR form; each may name a port.
pub fn is_excepted(list: &str, host: &str, port: Option<u16>) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(['.', ']']).to_ascii_lowercase();
    list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        let entry = entry.to_ascii_lowercase();
        let (name, wanted) = split_port(&entry);
        if wanted.is_some() && wanted != port {
            return false;
        }
        match host.parse::<IpAddr>() {
            Ok(address) => covers(name.trim_start_matches('[').trim_end_matches(']'), address),
            Err(_) => {
                let name = name.trim_start_matches("*.").trim_matches('.');
                !name.is_empty()
                    && host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    })
}

/// Takes `:port` off; the colons of a bare IPv6 address are none.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn covers(entry: &str, address: IpAddr) -> bool {
    let (base, bits) = match entry.split_once('/') {
        Some((base, bits)) => (base, bits.parse::<u32>().ok()),
        None => (entry, Some(128)),
    };
    let (Ok(base), Some(bits)) = (base.parse::<IpAddr>(), bits) else { return false };
    let prefix = |value: u128, width: u32| match width.min(bits) {
        0 => 0,
        bits => value >> (width - bits),
    };
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            prefix(u128::from(base.to_bits()), 32) == prefix(u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            prefix(base.to_bits(), 128) == prefix(address.to_bits(), 128)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exception_list_is_read_as_curl_does() {
        for (list, host, excepted) in [
            ("*", "example.com", true),
            ("example.com", "example.com", true),
            ("example.com", "git.example.com", true),
            (".example.com", "git.example.com", true),
            (".example.com", "example.com", true),
            ("*.example.com", "git.example.com", true),
            ("example.com", "badexample.com", false),
            ("EXAMPLE.com", "Git.example.COM", true),
            ("a.com, example.com", "example.com", true),
            ("a.com b.com", "b.com", true),
            ("example.com:443", "example.com", true),
            ("example.com:8443", "example.com", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3:443", "10.1.2.3", true),
            ("::1", "[::1]", true),
            ("[::1]:443", "[::1]", true),
            ("fd00::/8", "[fd12::1]", true),
            ("fd00::/8", "[fe80::1]", false),
            ("1.2.3", "1.2.3.4", false),
            ("10.0.0.0/99x", "10.0.0.0", false),
            ("", "example.com", false),
            (",,. ,", "example.com", false),
        ] {
            assert_eq!(is_excepted(list, host, Some(443)), excepted, "{list:?} {host}");
        }
    }

    #[test]
    fn a_proxy_needs_a_host_and_a_scheme_we_speak() {
        assert_eq!(normal("proxy:3128").unwrap().expose(), "http://proxy:3128");
        assert_eq!(normal("http://u:p@proxy:3128/").unwrap().expose(), "http://u:p@proxy:3128/");
        assert!(normal("https://proxy").is_ok());
        for bad in [
            "socks5://proxy:1",
            "ftp://CANARY",
            "http://",
            "http://CANARY\n",
            "http://a CANARY",
            "http://x:CANARY",
        ] {
            let error = normal(bad).unwrap_err();
            assert!(!error.contains("CANARY"), "{error}");
        }
    }
}
