//! A proxy for HTTPS: it tunnels wherever it is told to, and remembers what it was told.

use std::io::{self, BufRead, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// A running proxy. Tunnels end with their ends.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// One `CONNECT`.
#[derive(Debug, Clone)]
pub struct Tunnel {
    /// Host and port as the client named them.
    pub target: String,
    /// The `Proxy-Authorization` header as sent.
    pub authorization: Option<String>,
}

#[derive(Default)]
struct Shared {
    tunnels: Mutex<Vec<Tunnel>>,
    stopped: AtomicBool,
}

impl Proxy {
    /// Starts it on a port of loopback.
    pub fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let port = listener.local_addr().expect("a bound port").port();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // An error is an end that left: ordinary.
                thread::spawn(move || shared.tunnel(client));
            }
        });
        Proxy { port, shared, acceptor: Some(acceptor) }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every tunnel asked for so far.
    pub fn tunnels(&self) -> Vec<Tunnel> {
        self.shared.tunnels.lock().expect("no panic while pushing").clone()
    }
}

impl Shared {
    fn tunnel(&self, mut client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let first = lines.first().map(String::as_str).unwrap_or_default();
        let Some(target) = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
            return client
                .write_all(b"HTTP/1.1 405 Only Tunnels\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        };
        let header = |line: &String| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim().to_owned())
        };
        let tunnel = Tunnel { target: target.to_owned(), authorization: lines.iter().find_map(header) };
        self.tunnels.lock().expect("no panic while pushing").push(tunnel);
        let Ok(mut server) = TcpStream::connect(target) else {
            return client
                .write_all(b"HTTP/1.1 502 Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        };
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        let (mut back_from, mut back_to) = (server.try_clone()?, client);
        let back = thread::spawn(move || {
            let _ = io::copy(&mut back_from, &mut back_to);
            back_to.shutdown(Shutdown::Both)
        });
        let _ = io::copy(&mut reader, &mut server);
        let _ = server.shutdown(Shutdown::Both);
        let _ = back.join();
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees that it is over.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}
