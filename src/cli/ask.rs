//! `dagsync probe live|ready`: asks a running agent, for `exec` probes in an image without a shell.
//!
//! A kubelet runs it every few seconds, so it starts nothing: no runtime, no threads, one connection.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whether the process should go on.
    Live,
    /// Whether the first sync is done.
    Ready,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Kind::Live => "/livez",
            Kind::Ready => "/readyz",
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Status 200.
    Yes,
    /// Another status: which, and the agent's own line about it.
    No {
        /// HTTP status.
        status: u16,
        /// First line of the body, safe to print.
        says: String,
    },
}

impl Outcome {
    /// 0 or 1, as probes read it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Outcome::Yes => 0,
            Outcome::No { .. } => 1,
        }
    }
}

/// The command: asks, prints why not, and returns the exit code.
pub fn run(args: &super::ProbeArgs) -> u8 {
    let kind = match args.probe {
        super::Probe::Live => Kind::Live,
        super::Probe::Ready => Kind::Ready,
    };
    match probe(kind, args.address, args.timeout) {
        Ok(outcome) => {
            if let Outcome::No { status, says } = &outcome {
                eprintln!("HTTP {status}: {says}");
            }
            outcome.exit_code()
        }
        Err(err) => {
            eprintln!("{}: {err}", args.address);
            1
        }
    }
}

/// Asks the agent that was told to bind `address`; all of it within `timeout`. An error means nobody answered, or not
/// in HTTP: exit code 1 too.
pub fn probe(kind: Kind, address: SocketAddr, timeout: Duration) -> io::Result<Outcome> {
    let deadline = Instant::now() + timeout;
    let mut stream = connect(address, deadline)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    // HTTP/1.0: the server closes after the answer, so that its end needs no parsing.
    stream.write_all(format!("GET {} HTTP/1.0\r\nHost: localhost\r\n\r\n", kind.path()).as_bytes())?;
    let answer = read(&mut stream, deadline)?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

/// A wildcard address is bound, not connected to: there the agent is asked on the loopback, in either family.
fn connect(address: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    let hosts = match address.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() => vec![v6, v4],
        IpAddr::V4(ip) if ip.is_unspecified() => vec![v4],
        ip => vec![ip],
    };
    let mut last = None;
    for host in hosts {
        let mut target = address;
        target.set_ip(host);
        match TcpStream::connect_timeout(&target, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

/// Until the end, or as much as a probe's answer can be.
fn read(stream: &mut TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    while answer.len() < 8 * 1024 {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The way a socket says that its time is up.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// Never zero: a socket takes that for "no timeout".
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn parse(answer: &[u8]) -> Option<Outcome> {
    let text = String::from_utf8_lossy(answer);
    let status: u16 = text.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.trim().get(..3)?.parse().ok()?;
    if status == 200 {
        return Some(Outcome::Yes);
    }
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let line: String = body.lines().next().unwrap_or_default().chars().take(200).collect();
    Some(Outcome::No { status, says: crate::log::escape(&line).into_owned() })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers one request with `answer`, then waits for the client to go.
    fn agent(host: &str, answer: &'static [u8]) -> (SocketAddr, thread::JoinHandle<String>) {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let n = stream.read(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            if answer.is_empty() {
                let _ = stream.read(&mut request);
            }
            String::from_utf8(request[..n].to_vec()).unwrap()
        });
        (address, asked)
    }

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn ready_is_exit_code_0() {
        let (address, asked) = agent("127.0.0.1", b"HTTP/1.0 200 OK\r\ncontent-length: 6\r\n\r\nready\n");
        let outcome = probe(Kind::Ready, address, SOON).unwrap();
        assert_eq!((outcome.exit_code(), outcome), (0, Outcome::Yes));
        assert!(asked.join().unwrap().starts_with("GET /readyz HTTP/1.0\r\n"));
    }

    #[test]
    fn not_ready_is_exit_code_1_with_the_reason() {
        let (address, asked) = agent("127.0.0.1", b"HTTP/1.1 503 x\r\n\r\nno \x1b[2Jsync yet\nmore");
        let outcome = probe(Kind::Live, address, SOON).unwrap();
        assert_eq!(outcome.exit_code(), 1);
        assert_eq!(outcome, Outcome::No { status: 503, says: "no \\u{1b}[2Jsync yet".to_owned() });
        assert!(asked.join().unwrap().starts_with("GET /livez HTTP/1.0\r\n"));
    }

    #[test]
    fn a_wildcard_address_is_asked_on_the_loopback() {
        let (address, asked) = agent("127.0.0.1", b"HTTP/1.0 200 OK\r\n\r\n");
        let wildcard = SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()));
        assert_eq!(probe(Kind::Live, wildcard, SOON).unwrap(), Outcome::Yes);
        asked.join().unwrap();
    }

    #[test]
    fn an_agent_that_never_answers_is_an_error_in_time() {
        let (address, asked) = agent("127.0.0.1", b"");
        let start = Instant::now();
        let error = probe(Kind::Live, address, Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(2));
        asked.join().unwrap();
    }

    #[test]
    fn the_server_of_the_agent_is_understood() {
        use crate::http::{Readiness, Server, View};
        use crate::metrics::Metrics;

        struct Starting;
        impl View for Starting {
            fn readiness(&self) -> Readiness {
                Readiness::Waiting("no sync yet")
            }
            fn metrics(&self) -> Option<Metrics> {
                None
            }
            fn status(&self) -> Vec<u8> {
                Vec::new()
            }
        }
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = server.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime
                .block_on(server.serve(std::sync::Arc::new(Starting), async { drop(stopped.await) }))
                .unwrap();
        });
        assert_eq!(probe(Kind::Live, address, SOON).unwrap(), Outcome::Yes);
        let waiting = Outcome::No { status: 503, says: "no sync yet".to_owned() };
        assert_eq!(probe(Kind::Ready, address, SOON).unwrap(), waiting);
        drop(stop);
        serving.join().unwrap();
    }

    #[test]
    fn nobody_there_and_not_http_are_errors() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(probe(Kind::Live, address, SOON).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        for answer in [&b"SSH-2.0-x\r\n"[..], b"HTTP/1.1", b"HTTP/1.1 \r\n", b"HTTP/1.1 2\xff0 OK\r\n\r\n"] {
            let (address, asked) = agent("127.0.0.1", answer);
            assert_eq!(probe(Kind::Live, address, SOON).unwrap_err().kind(), io::ErrorKind::InvalidData);
            asked.join().unwrap();
        }
    }
}
