//! The listener and its connections: bounded in number, in time and in memory, whatever a client does.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::{View, routes};

/// What a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections. One more closes the oldest: clients that hold connections cannot lock a probe out.
    /// By default no more than a quarter of the descriptors, or a pass would have none to work with.
    pub connections: usize,
    /// Time for the head of a request, waiting for it on a kept connection included.
    pub head: Duration,
    /// Bytes of the head of a request.
    pub head_bytes: usize,
    /// Time for a connection, whatever happens on it: also ends those who never read their answer.
    pub lifetime: Duration,
    /// Time that a running answer gets when its connection must end.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: connections(getrlimit(Resource::Nofile).current),
            head: Duration::from_secs(10),
            head_bytes: 16 * 1024,
            lifetime: Duration::from_secs(120),
            grace: Duration::from_secs(1),
        }
    }
}

/// How many connections leave a pass enough of so many descriptors.
fn connections(descriptors: Option<u64>) -> usize {
    const MOST: u64 = 256;
    const LEAST: u64 = 4;
    descriptors.map_or(MOST, |descriptors| (descriptors / 4).clamp(LEAST, MOST)) as usize
}

/// A bound listener; nothing runs yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    limits: Limits,
}

impl Server {
    /// Binds. `[::]` takes IPv4 in too where the machine has both, and is `0.0.0.0` where it has no IPv6.
    pub fn bind(address: SocketAddr) -> io::Result<Server> {
        let listener = TcpListener::bind(address).or_else(|error| {
            let no_ipv6 = error.kind() == io::ErrorKind::AddrNotAvailable
                || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
            if no_ipv6 && address.ip() == Ipv6Addr::UNSPECIFIED {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))
            } else {
                Err(error)
            }
        })?;
        listener.set_nonblocking(true)?;
        Ok(Server { listener, limits: Limits::default() })
    }

    /// The same with other limits.
    pub fn with_limits(self, limits: Limits) -> Server {
        Server { limits, ..self }
    }

    /// Where it listens: with port 0, the port that was found.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` is ready, then lets running answers end for [`Limits::grace`]. Runs on a tokio runtime
    /// with I/O and time; one thread is enough. It fails only at the start.
    pub async fn serve(self, view: Arc<dyn View>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let (stop, stopped) = watch::channel(false);
        let mut shutdown = pin!(shutdown);
        let mut tasks = JoinSet::new();
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        let mut accepting = true;
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = tasks.join_next() => {
                    open.retain(|task| !task.is_finished());
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    accepting = true;
                    if open.len() >= self.limits.connections
                        && let Some(oldest) = open.pop_front()
                    {
                        oldest.abort();
                    }
                    open.push_back(tasks.spawn(connection(
                        stream,
                        view.clone(),
                        self.limits,
                        stopped.clone(),
                    )));
                }
                Err(error) => {
                    // Out of descriptors, mostly: the next call fails at once, again and again.
                    if std::mem::replace(&mut accepting, false) {
                        tracing::warn!(error = %error, "cannot accept connections");
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        let _ = stop.send(true);
        // Whoever is not done by then is cut off when the tasks are dropped.
        let _ = timeout(self.limits.grace, async { while tasks.join_next().await.is_some() {} }).await;
        Ok(())
    }
}

/// One connection. Errors on it are the client's affair.
async fn connection(
    stream: TcpStream,
    view: Arc<dyn View>,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = || routes::respond(&*view, request.method(), request.uri().path(), request.headers());
        // A panic is logged by the hook of `log`, answered with 500, and neither ends the server nor this connection.
        let response = catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| routes::internal_error());
        async move { Ok::<_, Infallible>(response) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_header_size(limits.head_bytes)
            .max_buf_size(limits.head_bytes.max(8 * 1024))
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|stop| *stop) => {}
        () = sleep(limits.lifetime) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(limits.grace, connection).await;
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::{self, JoinHandle};
    use std::time::Instant;

    use super::*;
    use crate::http::Readiness;
    use crate::metrics::Metrics;

    #[derive(Default)]
    struct Agent {
        ready: AtomicBool,
        broken: AtomicBool,
        metrics: Metrics,
    }

    impl View for Agent {
        fn readiness(&self) -> Readiness {
            assert!(!self.broken.load(Ordering::Relaxed), "a bug with /secret/path in its text");
            if self.ready.load(Ordering::Relaxed) {
                Readiness::Ready
            } else {
                Readiness::Waiting("no sync yet")
            }
        }
        fn metrics(&self) -> Option<Metrics> {
            Some(self.metrics.clone())
        }
    }

    /// A server on a thread of its own, as a sidecar has it: one thread for everything.
    struct Running {
        address: SocketAddr,
        agent: Arc<Agent>,
        stop: Option<tokio::sync::oneshot::Sender<()>>,
        thread: Option<JoinHandle<()>>,
    }

    impl Running {
        fn start(limits: Limits) -> Running {
            let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap().with_limits(limits);
            let address = server.local_addr().unwrap();
            let agent = Arc::new(Agent::default());
            let view = agent.clone();
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let thread = thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let shutdown = async { drop(stopped.await) };
                runtime.block_on(server.serve(view, shutdown)).unwrap();
            });
            Running { address, agent, stop: Some(stop), thread: Some(thread) }
        }

        fn connect(&self) -> TcpStream {
            let stream = TcpStream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream
        }

        /// Sends, and reads until the server closes.
        fn ask(&self, request: &str) -> String {
            let mut stream = self.connect();
            stream.write_all(request.as_bytes()).unwrap();
            read_all(&mut stream)
        }

        fn get(&self, path: &str) -> String {
            self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.stop.take();
            if let Some(thread) = self.thread.take() {
                thread.join().unwrap();
            }
        }
    }

    fn read_all(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        // A reset after the answer is an end too.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn the_probe_turns_when_the_first_sync_is_done() {
        let server = Running::start(Limits::default());
        let waiting = server.get("/");
        assert!(
            waiting.starts_with("HTTP/1.1 503 ") && waiting.ends_with("\r\n\r\nno sync yet\n"),
            "{waiting}"
        );
        server.agent.ready.store(true, Ordering::Relaxed);
        let ready = server.get("/?probe=1");
        assert!(ready.starts_with("HTTP/1.1 200 ") && ready.ends_with("\r\n\r\nready\n"), "{ready}");
        assert!(server.ask("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
    }

    #[test]
    fn head_has_the_length_and_no_body() {
        let server = Running::start(Limits::default());
        let answer = server.ask("HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(answer.contains("content-length: 5\r\n"), "{answer}");
    }

    #[test]
    fn metrics_come_in_the_format_that_was_asked_for() {
        let server = Running::start(Limits::default());
        let plain = server.get("/metrics");
        assert!(plain.contains("content-type: text/plain; version=0.0.4\r\n"), "{plain}");
        assert!(plain.contains("\ngit_fetch_count_total 0\n"), "{plain}");
        let accept = "Accept: application/openmetrics-text; version=1.0.0; q=0.8, text/plain;q=0.5";
        let open =
            server.ask(&format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{accept}\r\nConnection: close\r\n\r\n"));
        assert!(
            open.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
            "{open}"
        );
        assert!(open.ends_with("# EOF\n"), "{open}");
    }

    #[test]
    fn a_connection_is_kept_and_pipelined() {
        let server = Running::start(Limits::default());
        let twice = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
        let answer =
            server.ask(&format!("{twice}GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 404 ").count(), 1, "{answer}");
    }

    #[test]
    fn garbage_gets_an_error_or_nothing_and_the_server_lives() {
        let server = Running::start(Limits::default());
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(64 * 1024));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(500));
        let requests = ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "\u{16}\u{3}\u{1}hello\r\n\r\n", &long, &many];
        for request in requests {
            let mut stream = server.connect();
            let _ = stream.write_all(request.as_bytes());
            let answer = read_all(&mut stream);
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        }
        let posted = server.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nabc");
        assert!(posted.starts_with("HTTP/1.1 405 ") && posted.contains("allow: GET, HEAD\r\n"), "{posted}");
        assert!(server.get("/livez").starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn a_slow_client_is_cut_off_in_time() {
        let head = Duration::from_millis(300);
        let server = Running::start(Limits { head, ..Limits::default() });
        let mut stream = server.connect();
        let start = Instant::now();
        let mut writer = stream.try_clone().unwrap();
        let trickle = thread::spawn(move || {
            for byte in "GET / HTTP/1.1\r\nX: ".bytes().chain(std::iter::repeat_n(b'a', 200)) {
                if writer.write_all(&[byte]).is_err() {
                    return;
                }
                thread::park_timeout(Duration::from_millis(20));
            }
        });
        let answer = read_all(&mut stream);
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        drop(stream);
        trickle.join().unwrap();
    }

    #[test]
    fn a_client_that_never_reads_its_answers_is_cut_off() {
        let limits = Limits {
            lifetime: Duration::from_millis(300),
            grace: Duration::from_millis(100),
            ..Limits::default()
        };
        let server = Running::start(limits);
        let mut stream = server.connect();
        let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(64);
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        let start = Instant::now();
        // Answers that nobody reads fill the socket; then the server stops reading, and then it hangs up.
        while stream.write_all(request.as_bytes()).is_ok() {
            assert!(start.elapsed() < Duration::from_secs(10));
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert!(server.get("/livez").starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn idle_connections_do_not_lock_a_probe_out() {
        let server = Running::start(Limits { connections: 8, ..Limits::default() });
        let mut idle: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
        let start = Instant::now();
        assert!(server.get("/livez").starts_with("HTTP/1.1 200 "));
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert_eq!(read_all(&mut idle[0]), "", "the oldest was closed");
    }

    #[test]
    fn many_clients_at_once_are_all_answered() {
        let server = Running::start(Limits::default());
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for path in ["/livez", "/metrics", "/healthz", "/metrics"] {
                        assert!(server.get(path).starts_with("HTTP/1.1 200 "));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_in_a_route_is_a_500_without_its_text() {
        let server = Running::start(Limits::default());
        server.agent.broken.store(true, Ordering::Relaxed);
        let answer = server.get("/");
        assert!(
            answer.starts_with("HTTP/1.1 500 ") && answer.ends_with("\r\n\r\ninternal error\n"),
            "{answer}"
        );
        assert!(!answer.contains("secret"));
        server.agent.broken.store(false, Ordering::Relaxed);
        assert!(server.get("/").starts_with("HTTP/1.1 503 "));
    }

    #[test]
    fn shutdown_does_not_wait_for_idle_clients() {
        let server = Running::start(Limits::default());
        let _idle = server.connect();
        assert!(server.get("/livez").starts_with("HTTP/1.1 200 "));
        let start = Instant::now();
        let address = server.address;
        drop(server);
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn the_wildcard_takes_ipv4_in() {
        let server = Server::bind("[::]:0".parse().unwrap()).unwrap();
        let port = server.local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}
