//! A git host that misbehaves on purpose, by script, and remembers what it was asked.
//!
//! Plain HTTP/1.1 on loopback, a thread per connection. A script is a function from the request (and, with
//! [`Hostile::over`], git's honest answer to it) to the [`Answer`] that is sent.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::answer::{Answer, Delivery};
use super::process::program;
use super::repo::{Repo, run_with_input};
use super::wait::{PATIENCE, wait_until};

type Script = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A running server. Dropping it closes every connection, stalled ones included.
pub struct Hostile {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// How many requests came before it.
    pub number: usize,
    /// The client's port: equal ones are one connection.
    pub client_port: u16,
    /// `GET` or `POST`.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What follows the `?`.
    pub query: String,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, unpacked when it came compressed.
    pub body: Vec<u8>,
}

struct Shared {
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
    connections: Mutex<Vec<TcpStream>>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

impl Asked {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first request of a conversation: what can you do, and (before v2) which refs have you got.
    pub fn is_advertisement(&self) -> bool {
        self.method == "GET"
            && self.path.ends_with("/info/refs")
            && self.query.contains("service=git-upload-pack")
    }

    /// Asks for refs, in protocol v2.
    pub fn is_ls_refs(&self) -> bool {
        self.method == "POST" && contains(&self.body, b"command=ls-refs")
    }

    /// Asks for objects, in any protocol version.
    pub fn is_fetch(&self) -> bool {
        self.method == "POST" && contains(&self.body, b"want ")
    }

    /// The URL that was asked for.
    pub fn url(&self) -> String {
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        format!("http://{}{}{query}", self.header("host").unwrap_or_default(), self.path)
    }
}

impl Hostile {
    /// A server that answers everything by `script`.
    pub fn new(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Hostile {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let port = listener.local_addr().expect("a bound port").port();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            asked: Mutex::default(),
            connections: Mutex::default(),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accepting.accept(&listener));
        Hostile { port, shared, acceptor: Some(acceptor) }
    }

    /// A git server for a repository whose honest answers pass through `tamper`.
    pub fn over(repo: &Repo, tamper: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static) -> Hostile {
        let git_dir = repo.git_dir().to_owned();
        Hostile::new(move |asked| tamper(asked, Answer::real(&git_dir, asked, false)))
    }

    /// The same, of a server that knows no protocol v2.
    pub fn over_v0(
        repo: &Repo,
        tamper: impl Fn(&Asked, Answer) -> Answer + Send + Sync + 'static,
    ) -> Hostile {
        let git_dir: PathBuf = repo.git_dir().to_owned();
        Hostile::new(move |asked| tamper(asked, Answer::real(&git_dir, asked, true)))
    }

    /// The URL of its only repository.
    pub fn url(&self) -> String {
        self.url_by("127.0.0.1")
    }

    /// The same by another name of the machine.
    pub fn url_by(&self, host: &str) -> String {
        format!("http://{host}:{}/repo.git", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every request so far, oldest first.
    pub fn requests(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// Waits until `count` requests have come.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) {
        wait_until(PATIENCE, &format!("{count} requests"), || lock(&self.shared.asked).len() >= count);
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        *lock(&self.shared.stopped) = true;
        self.shared.stop.notify_all();
        for connection in lock(&self.shared.connections).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Wakes the acceptor, which then sees that it is over.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for connection in listener.incoming() {
            let Ok(connection) = connection else { continue };
            let Ok(handle) = connection.try_clone() else { continue };
            {
                let stopped = lock(&self.stopped);
                if *stopped {
                    return;
                }
                lock(&self.connections).push(handle);
            }
            let shared = Arc::clone(&self);
            // An error is a client that left, or a server that ends: both are ordinary here.
            thread::spawn(move || shared.converse(connection));
        }
    }

    fn converse(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let client_port = connection.peer_addr()?.port();
        let mut reader = BufReader::new(connection.try_clone()?);
        while let Some(mut asked) = read_request(&mut reader, &mut connection, client_port)? {
            {
                let mut all = lock(&self.asked);
                asked.number = all.len();
                all.push(asked.clone());
            }
            let answer = (self.script)(&asked);
            self.send(&mut connection, &answer)?;
            if answer.then_close || answer.delivery != Delivery::Whole {
                break;
            }
        }
        connection.shutdown(Shutdown::Both)
    }

    fn send(&self, connection: &mut TcpStream, answer: &Answer) -> io::Result<()> {
        let body = &answer.body;
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
        if answer.framed {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        answer.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        head += "\r\n";
        let part = |bytes: usize| &body[..bytes.min(body.len())];
        match answer.delivery {
            Delivery::Whole => connection.write_all(&[head.as_bytes(), body].concat())?,
            Delivery::CutAfter(bytes) => connection.write_all(&[head.as_bytes(), part(bytes)].concat())?,
            Delivery::Raw => connection.write_all(body)?,
            Delivery::Silence => _ = self.stopped_within(Duration::MAX),
            Delivery::StallAfter(bytes) => {
                connection.write_all(&[head.as_bytes(), part(bytes)].concat())?;
                self.stopped_within(Duration::MAX);
            }
            Delivery::TrickleAfter(bytes, every) => {
                connection.write_all(&[head.as_bytes(), part(bytes)].concat())?;
                for byte in body.iter().skip(bytes) {
                    if self.stopped_within(every) {
                        break;
                    }
                    connection.write_all(&[*byte])?;
                }
            }
        }
        connection.flush()
    }

    /// Waits for the server's end, at most this long; whether it has come.
    fn stopped_within(&self, limit: Duration) -> bool {
        let stopped = lock(&self.stopped);
        if limit == Duration::MAX {
            return *self.stop.wait_while(stopped, |stopped| !*stopped).unwrap_or_else(|e| e.into_inner());
        }
        let waited = self.stop.wait_timeout_while(stopped, limit, |stopped| !*stopped);
        *waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
    }
}

fn read_request(
    reader: &mut impl BufRead,
    connection: &mut impl Write,
    client_port: u16,
) -> io::Result<Option<Asked>> {
    let first = read_line(reader)?;
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut asked = Asked {
        number: 0,
        client_port,
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let line = read_line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if asked.header("expect").is_some() {
        connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if asked.header("transfer-encoding") == Some("chunked") {
        asked.body = read_chunked(reader)?;
    } else if let Some(length) = asked.header("content-length").and_then(|text| text.parse().ok()) {
        asked.body = vec![0; length];
        reader.read_exact(&mut asked.body)?;
    }
    if asked.header("content-encoding") == Some("gzip") {
        asked.body = run_with_input(Command::new(program("gzip")).arg("-dc"), &asked.body).stdout;
    }
    Ok(Some(asked))
}

/// The content of a chunked body.
pub fn read_chunked(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
        let size =
            size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("chunk size {line:?}")))?;
        reader.by_ref().take(size).read_to_end(&mut body)?;
        read_line(reader)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
