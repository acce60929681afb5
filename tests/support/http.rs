//! A git host as operators have it: nginx in front of `git http-backend`.
//!
//! The agent's HTTP must be proven against a web server that nobody here wrote: its framing, its connection handling,
//! its HTTP/2. nginx and fcgiwrap run as plain processes of whoever runs the tests, out of a folder of their own.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Daemon, program};
use super::repo::{git, text_of};
use super::tls::{Authority, Certificate};
use super::wait::{PATIENCE, free_port, holds_within, wait_until};

/// How long the server lets a connection live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// As nginx does by itself: 75 seconds, 1000 requests.
    Usual,
    /// Closed after one second of silence.
    OneSecond,
    /// Closed after each request.
    OneRequest,
}

/// The flavour of a server, before it runs. Made by [`GitServer::over`].
#[derive(Debug, Clone)]
pub struct Setup {
    root: PathBuf,
    tls: Option<Certificate>,
    http2: bool,
    account: Option<(String, String)>,
    keep_alive: KeepAlive,
    only_v0: bool,
    gzip: bool,
}

/// A running git host on 127.0.0.1. It serves every repository below its root, at its path below it.
pub struct GitServer {
    setup: Setup,
    folder: TempDir,
    port: u16,
    authority: Option<Authority>,
    running: Option<(Daemon, Daemon)>,
}

/// One line of the access log.
#[derive(Debug, Clone)]
pub struct Request {
    /// The client's port: equal ones are one connection.
    pub client_port: u16,
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// The answer's status.
    pub status: u16,
    /// The `Authorization` header as sent.
    pub authorization: Option<String>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// The `Git-Protocol` header as sent.
    pub git_protocol: Option<String>,
    /// The `User-Agent` header as sent.
    pub user_agent: String,
    /// `Content-Encoding` of the answer.
    pub encoding: Option<String>,
    /// Bytes of the answer's body.
    pub sent: u64,
}

impl Setup {
    /// HTTPS, with a certificate of the server's own [`GitServer::ca_pem`], and HTTP/2 on offer.
    pub fn tls(self) -> Setup {
        Setup { tls: Some(Certificate::Good), http2: true, ..self }
    }

    /// HTTPS with a certificate that something may be wrong with.
    pub fn certificate(self, kind: Certificate) -> Setup {
        Setup { tls: Some(kind), ..self.tls() }
    }

    /// HTTPS that speaks HTTP/1.1 only.
    pub fn without_http2(self) -> Setup {
        Setup { http2: false, ..self }
    }

    /// Wants a user and a password.
    pub fn account(self, user: &str, password: &str) -> Setup {
        Setup { account: Some((user.to_owned(), password.to_owned())), ..self }
    }

    /// When connections are closed.
    pub fn keep_alive(self, keep_alive: KeepAlive) -> Setup {
        Setup { keep_alive, ..self }
    }

    /// Hides `Git-Protocol` from git, as hosts do that know no protocol v2.
    pub fn only_v0(self) -> Setup {
        Setup { only_v0: true, ..self }
    }

    /// Compresses every answer for clients that say they can take it.
    pub fn gzip(self) -> Setup {
        Setup { gzip: true, ..self }
    }

    /// Starts it; it answers when this returns.
    pub fn start(self) -> GitServer {
        // Both looked up first: a missing one has to fail with its name, not with a time limit.
        program("nginx");
        program("fcgiwrap");
        let folder = super::temp();
        let authority = self.tls.map(|kind| {
            let authority = Authority::new(folder.path());
            authority.issue(kind, folder.path());
            authority
        });
        let mut server = GitServer { setup: self, folder, port: free_port(), authority, running: None };
        if let Some((user, password)) = server.setup.account.clone() {
            server.set_account(&user, &password);
        }
        for _ in 0..10 {
            match server.launch() {
                Ok(()) => return server,
                // Another test program was quicker; only a server that nobody knows yet may choose another port.
                Err(log) if log.contains("Address already in use") => server.port = free_port(),
                Err(log) => panic!("nginx does not start:\n{log}"),
            }
        }
        panic!("nginx found no free port in ten attempts");
    }
}

impl GitServer {
    /// A plain HTTP server over the repositories below `root`, to be given its flavour.
    pub fn over(root: impl AsRef<Path>) -> Setup {
        Setup {
            root: root.as_ref().to_owned(),
            tls: None,
            http2: false,
            account: None,
            keep_alive: KeepAlive::Usual,
            only_v0: false,
            gzip: false,
        }
    }

    /// A plain HTTP server over the repositories below `root`.
    pub fn plain(root: impl AsRef<Path>) -> GitServer {
        GitServer::over(root).start()
    }

    /// The URL of a repository, by the host name 127.0.0.1.
    pub fn url(&self, repo: &str) -> String {
        self.url_by("127.0.0.1", repo)
    }

    /// The URL of a repository by another name of the same machine: `localhost`.
    pub fn url_by(&self, host: &str, repo: &str) -> String {
        format!("{}://{host}:{}/{repo}", self.scheme(), self.port)
    }

    /// A URL on this server that answers 301 to `target`, with what a client puts behind it.
    pub fn redirect_to(&self, target: &str) -> String {
        let (scheme, rest) = target.split_once("://").expect("a URL");
        self.url(&format!("-/redirect/{scheme}/{rest}"))
    }

    /// A URL with user and password in it.
    pub fn url_with(&self, user: &str, password: &str, repo: &str) -> String {
        self.url(repo).replacen("://", &format!("://{user}:{password}@"), 1)
    }

    /// The port, kept over [`stop`](Self::stop) and [`start`](Self::start).
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate to trust, for servers with TLS.
    pub fn ca_pem(&self) -> &Path {
        self.authority.as_ref().expect("a server with TLS").pem()
    }

    /// The account that is let in from now on; for servers that were set up with one.
    pub fn set_account(&self, user: &str, password: &str) {
        // nginx reads the file at each request: a rename, so that it never sees half of it.
        let file = self.folder.path().join("htpasswd");
        let fresh = self.folder.path().join("htpasswd.new");
        fs::write(&fresh, format!("{user}:{{PLAIN}}{password}\n")).expect("htpasswd is written");
        fs::rename(fresh, file).expect("htpasswd is replaced");
    }

    /// Restarts with a new certificate of the same authority: what a renewal is.
    pub fn renew_certificate(&mut self, kind: Certificate) {
        self.stop();
        self.authority.as_ref().expect("a server with TLS").issue(kind, self.folder.path());
        self.start();
    }

    /// Kills the server and everything it runs: connections break, then are refused. The log stays.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Starts it again on its port; it answers when this returns.
    pub fn start(&mut self) {
        // A killed server's port is free a moment after it is gone.
        let free = || TcpListener::bind(("127.0.0.1", self.port)).is_ok();
        wait_until(PATIENCE, "the server's port to be free again", free);
        self.launch().unwrap_or_else(|log| panic!("nginx does not start:\n{log}"));
    }

    /// Starts both programs; nginx's own words when it cannot.
    fn launch(&mut self) -> Result<(), String> {
        let folder = self.folder.path();
        let error_log = folder.join("error.log");
        fs::write(folder.join("nginx.conf"), self.configuration()).expect("nginx.conf is written");
        for left_over in ["cgi.sock", "ping.sock", "error.log"] {
            let _ = fs::remove_file(folder.join(left_over));
        }
        let mut cgi = Command::new(program("fcgiwrap"));
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        cgi.args(["-c", "8", "-s"])
            .arg(format!("unix:{}", folder.join("cgi.sock").display()))
            .env("PATH", path);
        let mut web = Command::new(program("nginx"));
        web.arg("-e").arg(&error_log).arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
        let running = (Daemon::start(&cgi), Daemon::start(&web));
        let log = || fs::read_to_string(&error_log).unwrap_or_default();
        let failed = || log().contains("[emerg]");
        let cgi_listens = || UnixStream::connect(folder.join("cgi.sock")).is_ok();
        if holds_within(PATIENCE, || failed() || (cgi_listens() && self.answers())) && !failed() {
            self.running = Some(running);
            return Ok(());
        }
        Err(format!("{}(fcgiwrap listens: {})", log(), cgi_listens()))
    }

    /// Every request answered so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        if self.running.is_some() {
            // nginx writes a line when an answer is out, which the client may notice earlier. It is one thread: once it
            // has answered this, everything before is written.
            assert!(self.answers(), "the server answers");
        }
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        log.lines().map(|line| Request::from_log(line).expect("a line of the access log")).collect()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.requests();
        fs::OpenOptions::new().write(true).truncate(true).open(self.log_file()).expect("the log is emptied");
    }

    /// Whether the server answers on its private socket. It binds all its ports before it answers on any.
    fn answers(&self) -> bool {
        let Ok(mut stream) = UnixStream::connect(self.folder.path().join("ping.sock")) else { return false };
        let mut answer = String::new();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.ends_with("pong")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    fn scheme(&self) -> &'static str {
        if self.setup.tls.is_some() { "https" } else { "http" }
    }

    fn configuration(&self) -> String {
        let Setup { root, tls, http2, account, keep_alive, only_v0, gzip } = &self.setup;
        let folder = self.folder.path().display();
        let port = self.port;
        let listen = match (tls.is_some(), http2) {
            (true, true) => " ssl http2",
            (true, false) => " ssl",
            (false, _) => "",
        };
        let mut flavour = String::new();
        let mut add = |line: &str| _ = writeln!(flavour, "    {line}");
        if tls.is_some() {
            add(&format!("ssl_certificate {folder}/leaf.pem; ssl_certificate_key {folder}/leaf.key;"));
        }
        match keep_alive {
            KeepAlive::Usual => {}
            KeepAlive::OneSecond => add("keepalive_timeout 1s;"),
            KeepAlive::OneRequest => add("keepalive_requests 1;"),
        }
        if *gzip {
            add("gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;");
        }
        if account.is_some() {
            add(&format!("auth_basic git; auth_basic_user_file {folder}/htpasswd;"));
        }
        // nginx hands every header to git as `HTTP_…`; an empty one hides it.
        let protocol = if *only_v0 { "fastcgi_param HTTP_GIT_PROTOCOL '';" } else { "" };
        TEMPLATE
            .replace("@folder@", &folder.to_string())
            .replace("@listen@", &format!("127.0.0.1:{port}{listen}"))
            .replace("@flavour@", &flavour)
            .replace("@root@", &root.display().to_string())
            .replace("@backend@", &backend().display().to_string())
            .replace("@protocol@", protocol)
    }
}

/// `git http-backend`, which is not on `PATH`.
fn backend() -> PathBuf {
    let folder = text_of("git --exec-path", git().arg("--exec-path").output().expect("git runs"));
    let path = Path::new(&folder).join("git-http-backend");
    assert!(path.is_file(), "the tests need `git http-backend` and {} is missing", path.display());
    path
}

impl Request {
    fn from_log(line: &str) -> Option<Request> {
        let fields: Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
        let optional = |name: &str| Some(text(name)).filter(|text| !text.is_empty());
        Some(Request {
            client_port: text("port").parse().ok()?,
            method: text("method"),
            path: text("path"),
            status: text("status").parse().ok()?,
            authorization: optional("authorization"),
            protocol: text("protocol"),
            git_protocol: optional("git_protocol"),
            user_agent: text("user_agent"),
            encoding: optional("encoding"),
            sent: text("sent").parse().ok()?,
        })
    }
}

/// The server that all flavours share. One process: its log is in order, and killing it closes every connection.
const TEMPLATE: &str = r#"
daemon off;
master_process off;
pid @folder@/nginx.pid;
error_log @folder@/error.log warn;
events { worker_connections 256; }
http {
    client_body_temp_path @folder@/body;
    fastcgi_temp_path @folder@/fastcgi;
    proxy_temp_path @folder@/proxy;
    scgi_temp_path @folder@/scgi;
    uwsgi_temp_path @folder@/uwsgi;
    client_max_body_size 0;
    merge_slashes off;
    log_format fields escape=json '{"port":"$remote_port","method":"$request_method","path":"$request_uri",'
        '"status":"$status","authorization":"$http_authorization","protocol":"$server_protocol",'
        '"git_protocol":"$http_git_protocol","user_agent":"$http_user_agent",'
        '"encoding":"$sent_http_content_encoding","sent":"$body_bytes_sent"}';
    access_log @folder@/access.log fields;
    server {
        listen unix:@folder@/ping.sock;
        access_log off;
        location / { return 200 "pong"; }
    }
    server {
        listen @listen@;
@flavour@
        # Answered before credentials are asked for, as load balancers do.
        location ~ "^/-/redirect/(https?)/(.*)$" { return 301 $1://$2$is_args$args; }
        location / {
            fastcgi_pass unix:@folder@/cgi.sock;
            fastcgi_buffering off;
            fastcgi_read_timeout 300s;
            fastcgi_param SCRIPT_FILENAME @backend@;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param SERVER_PROTOCOL $server_protocol;
            fastcgi_param REMOTE_ADDR $remote_addr;
            fastcgi_param REMOTE_USER $remote_user;
            fastcgi_param GIT_PROJECT_ROOT @root@;
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            # Repositories may belong to another uid than the server, and its machine's configuration is not ours.
            fastcgi_param GIT_CONFIG_NOSYSTEM 1;
            fastcgi_param GIT_CONFIG_GLOBAL /dev/null;
            fastcgi_param GIT_CONFIG_COUNT 1;
            fastcgi_param GIT_CONFIG_KEY_0 safe.directory;
            fastcgi_param GIT_CONFIG_VALUE_0 *;
            @protocol@
        }
    }
}
"#;
