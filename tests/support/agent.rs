//! The `dagsync` binary, run and watched from outside.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::wait::{PATIENCE, holds_within};

/// A run to be started. The environment is empty but for what is set here: the product needs none.
#[derive(Debug, Default, Clone)]
pub struct Launch {
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    folder: Option<PathBuf>,
}

/// A running (or ended) `dagsync`, killed on drop.
pub struct Agent {
    child: Child,
    stdout: Capture,
    stderr: Capture,
}

/// What a run that has ended left.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// All it wrote to stdout.
    pub stdout: String,
    /// All it wrote to stderr.
    pub stderr: String,
}

impl Launch {
    /// `dagsync` with these arguments.
    pub fn new<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Launch {
        Launch::default().args(args)
    }

    /// More arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Launch {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// `--name=value`.
    pub fn set(self, name: &str, value: impl AsRef<OsStr>) -> Launch {
        let mut arg = OsString::from(format!("--{name}="));
        arg.push(value);
        self.args([arg])
    }

    /// A variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Launch {
        self.env.insert(name.into(), value.as_ref().to_owned());
        self
    }

    /// The folder to run in; by default the test's own.
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Launch {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// The command, for tests that wrap it (another uid, limits).
    pub fn command(&self) -> Command {
        // `tests/run` runs the tests as a uid that cannot read the build folder, with a copy of the program.
        let program =
            std::env::var_os("DAGSYNC_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_dagsync").into());
        let mut command = Command::new(program);
        command.args(&self.args).env_clear().envs(&self.env);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// The command with HUP and QUIT as a shell in a terminal hands them on (`default`), or as `nohup` does (`ignore`). The tests
    /// may have been started by either.
    pub fn with_terminal_signals(&self, how: &str) -> Command {
        let plain = self.command();
        let mut command = Command::new("/usr/bin/env");
        command.arg(format!("--{how}-signal=HUP,QUIT")).arg(plain.get_program()).args(plain.get_args());
        command.env_clear().envs(&self.env);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// Starts it.
    pub fn start(&self) -> Agent {
        Agent::spawn(self.command())
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it has not ended within `timeout`, with what it said.
    #[track_caller]
    pub fn run(&self, timeout: Duration) -> Finished {
        self.start().finish(timeout)
    }
}

impl Agent {
    /// Starts `dagsync` with arguments and variables.
    pub fn start(args: &[&str], env: &[(&str, &str)]) -> Agent {
        env.iter().fold(Launch::new(args), |launch, (name, value)| launch.env(name, value)).start()
    }

    /// Starts a prepared command as an agent.
    pub fn spawn(mut command: Command) -> Agent {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", command.get_program()));
        let stdout = Capture::of(child.stdout.take().expect("a piped stdout"));
        let stderr = Capture::of(child.stderr.take().expect("a piped stderr"));
        Agent { child, stdout, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until `needle` is in what it has written, on either stream.
    #[track_caller]
    pub fn wait_for_text(&self, needle: &str, deadline: Duration) {
        let said = || self.stderr().contains(needle) || self.stdout().contains(needle);
        assert!(
            holds_within(deadline, said),
            "dagsync did not say `{needle}` in {deadline:?}\n{}",
            self.said()
        );
    }

    /// Waits for a condition, and shows what dagsync said when it does not come.
    #[track_caller]
    pub fn wait_until(&self, what: &str, cond: impl FnMut() -> bool) {
        assert!(holds_within(PATIENCE, cond), "waited {PATIENCE:?} in vain for: {what}\n{}", self.said());
    }

    /// Waits until the link below `root` shows `commit`.
    #[track_caller]
    pub fn wait_published(&self, root: &Path, link: &str, commit: &str) {
        self.wait_until(&format!("{commit} to be published"), || {
            published(root, link).as_deref() == Some(commit)
        });
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("a process id");
        kill_process(pid, signal).expect("the agent is there to be told");
    }

    /// Its exit status, once it has ended; `None` when it has not within `timeout`.
    pub fn wait_exit(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let mut status = None;
        holds_within(timeout, || {
            status = self.child.try_wait().expect("the agent's status");
            status.is_some()
        });
        status
    }

    /// Waits for its end and gives all it said.
    #[track_caller]
    pub fn finish(mut self, timeout: Duration) -> Finished {
        let Some(status) = self.wait_exit(timeout) else {
            panic!("dagsync did not end within {timeout:?}\n{}", self.said())
        };
        Finished { status, stdout: self.stdout.all(), stderr: self.stderr.all() }
    }

    fn said(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout(), self.stderr())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stream read by a thread of its own, so that a full pipe never holds the agent up.
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    fn of(mut stream: impl Read + Send + 'static) -> Capture {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                shared.lock().expect("no panic while appending").extend_from_slice(&buffer[..read]);
            }
        });
        Capture { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no panic while appending")).into_owned()
    }

    /// Everything up to the end of the stream. A child that inherited the stream may hold it open: then what is there.
    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take()
            && holds_within(Duration::from_secs(5), || reader.is_finished())
        {
            reader.join().expect("the reader does not panic");
        }
        self.text()
    }
}

/// The commit that the link below `root` (or an absolute link) shows, by the name of the folder it points at.
pub fn published(root: &Path, link: &str) -> Option<String> {
    let target = fs::read_link(root.join(link)).ok()?;
    let name = target.file_name()?.to_str()?;
    let is_id = matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| name.to_owned())
}

/// An answer of the agent's own HTTP server.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks for a page, without a library that could share a bug with the server.
pub fn http_get(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> io::Result<Reply> {
    http(addr, "GET", path, headers, b"")
}

/// Any request with a body.
pub fn http(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
    headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
    request += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(request.as_bytes())?;
    stream.write_all(body)?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    parse(&raw).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, String::from_utf8_lossy(&raw)))
}

fn parse(raw: &[u8]) -> Option<Reply> {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&raw[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut body = raw[end + 4..].to_vec();
    if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        body = super::hostile::read_chunked(&mut body.as_slice()).ok()?;
    }
    Some(Reply { status, headers, body })
}
