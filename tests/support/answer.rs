//! What a hostile server says, and how it says it.

use std::path::Path;
use std::time::Duration;

use super::hostile::Asked;
use super::pack::{self, Packet, packets, pkt};
use super::repo::{git, run_with_input};

/// An answer to one request: honest or not, whole or not.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers besides `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How much of it is sent, and how.
    pub delivery: Delivery,
    /// Its length is announced. Without that the body ends where the connection does, and a cut looks like an end.
    pub framed: bool,
    /// The connection is closed afterwards, without a word about it in the headers: what an idle limit looks like.
    pub then_close: bool,
}

/// How an answer travels. Counts are bytes of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// At once, all of it.
    Whole,
    /// This much, then the connection is closed.
    CutAfter(usize),
    /// This much, then nothing more, and the connection stays open.
    StallAfter(usize),
    /// This much, then one byte at each interval.
    TrickleAfter(usize, Duration),
    /// Not even a status line.
    Silence,
    /// The body is sent as it is: no status line, no headers.
    Raw,
}

impl Answer {
    /// An empty answer with a status.
    pub fn status(status: u16) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            delivery: Delivery::Whole,
            framed: true,
            then_close: false,
        }
    }

    /// An answer that git clients take for git's: the content type that belongs to the request.
    pub fn git(asked: &Asked, body: impl Into<Vec<u8>>) -> Answer {
        let kind = if asked.is_advertisement() { "advertisement" } else { "result" };
        Answer::status(200)
            .header("Content-Type", &format!("application/x-git-upload-pack-{kind}"))
            .header("Cache-Control", "no-cache")
            .body(body)
    }

    /// Wants a user and a password.
    pub fn unauthorized() -> Answer {
        Answer::status(401).header("WWW-Authenticate", "Basic realm=\"git\"")
    }

    /// Too many requests; to be tried again after some seconds.
    pub fn too_many(seconds: u32) -> Answer {
        Answer::status(429).header("Retry-After", &seconds.to_string())
    }

    /// Somebody's login page.
    pub fn web_page() -> Answer {
        let page = "<!doctype html><title>Welcome</title><h1>Please sign in</h1>\n";
        Answer::status(200).header("Content-Type", "text/html; charset=utf-8").body(page)
    }

    /// Elsewhere, for now.
    pub fn redirect(url: &str) -> Answer {
        Answer::status(302).header("Location", url)
    }

    /// The listing of a server that only hands out files (the "dumb" protocol).
    pub fn dumb(id: &str, refname: &str) -> Answer {
        Answer::status(200).header("Content-Type", "text/plain").body(format!("{id}\t{refname}\n"))
    }

    /// An error told by git: `ERR …`.
    pub fn git_error(asked: &Asked, message: &str) -> Answer {
        let error = [pkt(format!("ERR {message}")), b"0000".to_vec()].concat();
        // A v0 advertisement has a preface; without it clients do not see a git server at all.
        let preface = [pkt("# service=git-upload-pack\n"), b"0000".to_vec()].concat();
        Answer::git(asked, if asked.is_advertisement() { [preface, error].concat() } else { error })
    }

    /// The answer to a v2 fetch that brings this pack.
    pub fn v2_pack(asked: &Asked, pack: &[u8]) -> Answer {
        let packets =
            [vec![Packet::Data(b"packfile\n".to_vec())], pack::sideband(pack), vec![Packet::Flush]].concat();
        Answer::git(asked, pack::body_of(&packets))
    }

    /// Exactly these bytes on the wire, then the connection is closed.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
        Answer { delivery: Delivery::Raw, then_close: true, ..Answer::status(0).body(bytes) }
    }

    /// Accepts the request and says nothing, until the server is dropped.
    pub fn silence() -> Answer {
        Answer { delivery: Delivery::Silence, ..Answer::status(0) }
    }

    /// What `git upload-pack` says about a repository: the honest answer.
    pub fn real(git_dir: &Path, asked: &Asked, only_v0: bool) -> Answer {
        let version = asked.header("git-protocol").filter(|_| !only_v0).unwrap_or_default();
        let mut upload_pack = git();
        upload_pack.args(["upload-pack", "--strict", "--stateless-rpc"]).env("GIT_PROTOCOL", version);
        if asked.is_advertisement() {
            let output = run_with_input(upload_pack.arg("--advertise-refs").arg(git_dir), b"");
            let preface = [pkt("# service=git-upload-pack\n"), b"0000".to_vec()].concat();
            let is_v2 = version.split(':').any(|part| part == "version=2");
            return Answer::git(asked, if is_v2 { output.stdout } else { [preface, output.stdout].concat() });
        }
        if asked.method == "POST" && asked.path.ends_with("/git-upload-pack") {
            return Answer::git(asked, run_with_input(upload_pack.arg(git_dir), &asked.body).stdout);
        }
        Answer::status(404)
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another body.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Answer {
        Answer { body: body.into(), ..self }
    }

    /// Changes the pack in it, if there is one.
    pub fn with_pack(self, edit: impl FnOnce(&mut Vec<u8>)) -> Answer {
        let body = pack::edit_pack(&self.body, edit);
        self.body(body)
    }

    /// A flipped bit in the middle of the pack.
    pub fn with_damaged_pack(self) -> Answer {
        self.with_pack(|pack| {
            let middle = pack.len() / 2;
            pack[middle] ^= 1;
        })
    }

    /// A pack that is right up to its checksum.
    pub fn with_wrong_checksum(self) -> Answer {
        self.with_pack(|pack| *pack.last_mut().expect("a pack") ^= 1)
    }

    /// One more ref, at the end of a listing of refs (v0 or v2). The name is not checked.
    pub fn with_ref(self, id: &str, refname: &str) -> Answer {
        let mut all = packets(&self.body);
        if let Some(end) = all.iter().rposition(|packet| *packet == Packet::Flush) {
            all.insert(end, Packet::Data(format!("{id} {refname}\n").into_bytes()));
        }
        let body = pack::body_of(&all);
        self.body(body)
    }

    /// An empty packet in the middle: a band with nothing in it (CVE-2026-82250 is a panic on it).
    pub fn with_empty_packet(self) -> Answer {
        let mut all = packets(&self.body);
        let before_end = all.len().saturating_sub(1);
        all.insert(before_end, Packet::Data(Vec::new()));
        let body = pack::body_of(&all);
        self.body(body)
    }

    /// Closes the connection after this much of the body.
    pub fn cut_after(self, bytes: usize) -> Answer {
        Answer { delivery: Delivery::CutAfter(bytes), ..self }
    }

    /// Announces no length: only the pack's own checksum can tell a cut from an end.
    pub fn unframed(self) -> Answer {
        Answer { framed: false, then_close: true, ..self }
    }

    /// Says no more after this much of the body, and keeps the connection.
    pub fn stall_after(self, bytes: usize) -> Answer {
        Answer { delivery: Delivery::StallAfter(bytes), ..self }
    }

    /// Sends one byte per interval after this much of the body.
    pub fn trickle_after(self, bytes: usize, every: Duration) -> Answer {
        Answer { delivery: Delivery::TrickleAfter(bytes, every), ..self }
    }

    /// Closes the connection behind the answer, as if it had been idle too long.
    pub fn then_close(self) -> Answer {
        Answer { then_close: true, ..self }
    }
}
