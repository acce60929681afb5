//! One request and its answer, as the readers and writers that gix's transport wants.
//!
//! gix hands out writer and readers together; the request is sent when the first of them is read. Every wait is bounded by
//! the pass's deadline, byte by byte if need be.

use std::cell::RefCell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use url::Url;

use super::cause::innermost;
use super::error::Error;
use super::http::Shared;

/// More of a server's words helps nobody.
const MAX_SAID: usize = 400;

pub(super) struct Exchange {
    shared: Rc<Shared>,
    state: RefCell<State>,
}

enum State {
    Collecting { url: Url, headers: HeaderMap, body: Vec<u8> },
    Open { response: reqwest::Response, speed: Speed, begun: bool },
    Over,
}

/// `http.lowSpeedLimit`: how much came while we waited how long.
#[derive(Default)]
struct Speed {
    waited: Duration,
    bytes: u64,
}

impl Exchange {
    /// A request that is still to be written.
    pub(super) fn prepare(shared: Rc<Shared>, url: Url, headers: HeaderMap) -> Rc<Self> {
        Rc::new(Exchange {
            shared,
            state: RefCell::new(State::Collecting { url, headers, body: Vec::new() }),
        })
    }

    /// An answer whose head is there.
    pub(super) fn open(shared: Rc<Shared>, response: reqwest::Response) -> Rc<Self> {
        Rc::new(Exchange {
            shared,
            state: RefCell::new(State::Open { response, speed: Speed::default(), begun: false }),
        })
    }

    pub(super) fn collect(&self, buf: &[u8]) {
        if let State::Collecting { body, .. } = &mut *self.state.borrow_mut() {
            body.extend_from_slice(buf);
        }
    }

    /// Sends a collected request; nothing to do for an open one.
    fn ensure_open(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        if !matches!(*state, State::Collecting { .. }) {
            return Ok(());
        }
        let State::Collecting { url, headers, body } = std::mem::replace(&mut *state, State::Over) else {
            unreachable!("looked at above")
        };
        let response = self.shared.send(&url, &headers, Some(&body)).and_then(|r| self.shared.accept(r))?;
        *state = State::Open { response, speed: Speed::default(), begun: false };
        Ok(())
    }

    fn head_lines(&self) -> io::Result<Vec<u8>> {
        self.ensure_open()?;
        let mut lines = Vec::new();
        if let State::Open { response, .. } = &*self.state.borrow() {
            for (name, value) in response.headers() {
                lines.extend_from_slice(name.as_str().as_bytes());
                lines.push(b':');
                lines.extend_from_slice(value.as_bytes());
                lines.push(b'\n');
            }
        }
        Ok(lines)
    }

    /// The next piece of the body; empty at its end.
    fn next_chunk(&self) -> io::Result<bytes::Bytes> {
        self.ensure_open()?;
        let mut state = self.state.borrow_mut();
        let State::Open { response, speed, begun } = &mut *state else { return Ok(bytes::Bytes::new()) };
        let shared = &self.shared;
        let deadline = shared.deadline();
        let chunk = shared.runtime.block_on(deadline.bound(async {
            match shared.low_speed {
                None => Some(response.chunk().await),
                Some(limit) => speed.bound(limit, response).await,
            }
        }));
        match chunk {
            Ok(Some(Ok(Some(bytes)))) => {
                speed.bytes += bytes.len() as u64;
                let length = bytes.len() as u64;
                shared.received.set(shared.received.get() + length);
                match shared.room.get().checked_sub(length) {
                    Some(room) => shared.room.set(room),
                    None => {
                        let reason = "its answer is longer than any list of refs".into();
                        let doing = "reading its answer";
                        return Err(shared.fail(Error::Broken { remote: shared.shown(), doing, reason }));
                    }
                }
                if !std::mem::replace(begun, true)
                    && let Some(message) = error_line(&bytes)
                {
                    return Err(shared.fail(Error::ServerSaid { remote: shared.shown(), message }));
                }
                Ok(bytes)
            }
            Ok(Some(Ok(None))) => {
                *state = State::Over;
                Ok(bytes::Bytes::new())
            }
            Ok(Some(Err(err))) => {
                let reason = innermost(&err.without_url());
                Err(shared.fail(Error::Broken {
                    remote: shared.shown(),
                    doing: "reading its answer",
                    reason,
                }))
            }
            Ok(None) => Err(shared.too_slow("reading its answer")),
            Err(expired) => Err(shared.expired("reading from", expired)),
        }
    }
}

impl Speed {
    /// The next chunk, or `None` when a whole window of `time` brought less than `limit` bytes per second.
    async fn bound(
        &mut self,
        (limit, time): (u64, Duration),
        response: &mut reqwest::Response,
    ) -> Option<Result<Option<bytes::Bytes>, reqwest::Error>> {
        let needed = limit.saturating_mul(time.as_secs());
        loop {
            // Time that we spend on what came is not the server's.
            let start = Instant::now();
            let chunk = tokio::time::timeout(time.saturating_sub(self.waited), response.chunk()).await;
            self.waited += start.elapsed();
            match chunk {
                Ok(chunk) => return Some(chunk),
                Err(_) if self.bytes < needed => return None,
                Err(_) => *self = Speed::default(),
            }
        }
    }
}

/// The text of an `ERR` line that an answer begins with. gix takes it for a malformed answer to a fetch.
fn error_line(body: &[u8]) -> Option<String> {
    let length = usize::from_str_radix(str::from_utf8(body.get(..4)?).ok()?, 16).ok()?;
    let line = body.get(4..length.min(body.len()))?;
    Some(said(line.strip_prefix(b"ERR ")?))
}

/// A server's words as we repeat them: on one line of bounded length.
pub(super) fn said(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let text = text.trim();
    match text.char_indices().nth(MAX_SAID) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The head of the answer, a line a header.
pub(super) struct Head {
    exchange: Rc<Exchange>,
    lines: Option<io::Cursor<Vec<u8>>>,
}

impl Head {
    pub(super) fn new(exchange: Rc<Exchange>) -> Self {
        Head { exchange, lines: None }
    }

    fn lines(&mut self) -> io::Result<&mut io::Cursor<Vec<u8>>> {
        if self.lines.is_none() {
            self.lines = Some(io::Cursor::new(self.exchange.head_lines()?));
        }
        Ok(self.lines.as_mut().expect("just filled"))
    }
}

impl Read for Head {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.lines()?.read(buf)
    }
}

impl BufRead for Head {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.lines()?.fill_buf()
    }

    fn consume(&mut self, amt: usize) {
        if let Some(lines) = &mut self.lines {
            lines.consume(amt);
        }
    }
}

/// The body of the answer.
pub(super) struct Body {
    exchange: Rc<Exchange>,
    chunk: bytes::Bytes,
}

impl Body {
    pub(super) fn new(exchange: Rc<Exchange>) -> Self {
        Body { exchange, chunk: bytes::Bytes::new() }
    }
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(buf.len());
        buf[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.is_empty() {
            self.chunk = self.exchange.next_chunk()?;
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amt: usize) {
        let _ = self.chunk.split_to(amt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_line_is_seen_at_the_begin_of_an_answer_only() {
        assert_eq!(error_line(b"0014ERR not our ref\n0000").as_deref(), Some("not our ref"));
        assert_eq!(error_line(b"ffffERR cut").as_deref(), Some("cut"));
        for other in [&b"0008NAK\n"[..], b"000dpackfile\n", b"", b"zzzzERR x", b"0000ERR x", b"0003ERR x"] {
            assert_eq!(error_line(other), None, "{other:?}");
        }
        assert_eq!(said("ä".repeat(1000).as_bytes()).chars().count(), MAX_SAID + 1);
    }
}
