//! The `ident` attribute: `$Id$` becomes `$Id: <blob> $`.
//!
//! git has two programs for it that differ in corners: one over the whole file, one over a stream, and takes the
//! stream wherever nothing else needs the whole file. Files must equal those of a git checkout, so both are here, with
//! their corners: the stream misses the keyword in `$$Id$`, and after an `$Idx` it can swallow what stands before a
//! keyword. Both cost nothing where `$Id` does not occur.
//!
//! A large blob comes in pieces, and goes through [`Expander`], which is either of the two. It holds back what may still become a
//! keyword, and nothing else.

use std::io;

use gix::bstr::ByteSlice;

/// No keyword that can still be replaced is longer in a blob that comes in pieces: what stands behind a `$Id:` without an end of the
/// line, or another `$`, or a space that shows that it is of another system.
const LONGEST_KEYWORD: usize = 8 << 20;

/// `ident_to_worktree` of git's `convert.c`. `None` if nothing changes.
pub(super) fn whole(src: &[u8], id: &gix::oid) -> Option<Vec<u8>> {
    if !has_keyword(src) {
        return None;
    }
    let mut out = Vec::with_capacity(src.len() + 64);
    let mut rest = src;
    while let Some(dollar) = rest.find_byte(b'$') {
        out.extend_from_slice(&rest[..=dollar]);
        rest = &rest[dollar + 1..];
        if rest.len() < 3 || !rest.starts_with(b"Id") {
            continue;
        }
        match rest[2] {
            b'$' => rest = &rest[3..],
            b':' => {
                // An expanded keyword came into the repository: replaced, unless it is of another system.
                let Some(end) = rest[3..].find_byte(b'$').map(|at| at + 3) else { continue };
                if rest[3..end].contains(&b'\n') {
                    continue;
                }
                let space = rest.get(4..end).and_then(|inner| inner.find_byte(b' ')).map(|at| at + 4);
                if space.is_some_and(|space| space + 1 < end) {
                    continue;
                }
                rest = &rest[end + 1..];
            }
            _ => continue,
        }
        out.extend_from_slice(format!("Id: {} $", id.to_hex()).as_bytes());
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// `count_ident` of the same file: whether there is anything to replace. It is stricter than the replacing, on purpose
/// or not, and decides.
fn has_keyword(src: &[u8]) -> bool {
    let mut rest = src;
    while let Some(dollar) = rest.find_byte(b'$') {
        rest = &rest[dollar + 1..];
        if rest.len() < 3 {
            return false;
        }
        if !rest.starts_with(b"Id") {
            continue;
        }
        let next = rest[2];
        rest = &rest[3..];
        match next {
            b'$' => return true,
            b':' => match rest.find_byteset(b"$\n") {
                Some(at) if rest[at] == b'$' => return true,
                Some(at) => rest = &rest[at + 1..],
                None => return false,
            },
            _ => {}
        }
    }
    false
}

/// `ident_filter_fn` of git's `convert.c`. `None` if nothing changes.
pub(super) fn stream(src: &[u8], id: &gix::oid) -> Option<Vec<u8>> {
    src.find(HEAD)?;
    let mut out = Vec::with_capacity(src.len() + 64);
    let mut expander = Expander { longest: usize::MAX, ..Expander::stream(id) };
    expander.push(src, &mut out).expect("no length is too much");
    expander.finish(&mut out);
    (out != src).then_some(out)
}

const HEAD: &[u8] = b"$Id";

/// Either of the two programs over a blob that comes in pieces.
pub(super) struct Expander {
    state: State,
    /// What stands behind `$Id` in an expanded keyword.
    expansion: Vec<u8>,
    /// What may become another thing than it is.
    held: Vec<u8>,
    /// A NUL is held behind `$Id:`, which ends a C string.
    is_cut: bool,
    longest: usize,
}

#[derive(Clone, Copy)]
enum State {
    /// Of the stream: so many bytes of `$Id` were seen; 4 is `$Id` and a NUL, which ends the word in C.
    Matched(usize),
    /// Of the stream: behind `$Id:`, until the end of the line or a `$`.
    Skipping,
    /// The same, and it is clear that nothing is replaced.
    Passing,
    /// Of the other program: between keywords.
    Text,
    /// Of the other program: so many bytes of `Id` were seen behind a `$`.
    Word(usize),
    /// Of the other program: behind `$Id:`.
    Colon,
}

impl Expander {
    /// What [`whole`] does.
    pub(super) fn whole(id: &gix::oid) -> Expander {
        Expander {
            state: State::Text,
            expansion: format!(": {} $", id.to_hex()).into(),
            held: Vec::new(),
            is_cut: false,
            longest: LONGEST_KEYWORD,
        }
    }

    /// What [`stream`] does.
    pub(super) fn stream(id: &gix::oid) -> Expander {
        Expander { state: State::Matched(0), ..Expander::whole(id) }
    }

    /// Adds to `out` what is known of the text up to here.
    pub(super) fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while let [byte, rest @ ..] = piece {
            // Most of a text is none of our business, and goes through in runs.
            let end = match self.state {
                State::Text | State::Matched(0) if self.held.is_empty() => piece.find_byte(b'$'),
                State::Passing => piece.find_byteset(b"$\n"),
                _ => Some(0),
            };
            let run = end.unwrap_or(piece.len());
            if run > 0 {
                out.extend_from_slice(&piece[..run]);
                piece = &piece[run..];
                continue;
            }
            piece = rest;
            self.state = match self.state {
                State::Matched(matched) => self.match_or_drain(matched, *byte, out),
                State::Skipping => self.skip(*byte, out),
                State::Passing => {
                    out.push(*byte);
                    State::Matched(0)
                }
                State::Text | State::Word(_) | State::Colon => self.read(*byte, out),
            };
            if self.held.len() > self.longest {
                let most = self.longest >> 20;
                return Err(io::Error::other(format!(
                    "the attribute `ident` is set, and a `$Id:` has more than {most} MiB behind it on its line"
                )));
            }
        }
        Ok(())
    }

    /// The text is over: what is held was no keyword.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if let State::Matched(matched) = self.state {
            self.held.extend_from_slice(&b"$Id\0"[..matched]);
        }
        out.append(&mut self.held);
    }

    fn match_or_drain(&mut self, matched: usize, byte: u8, out: &mut Vec<u8>) -> State {
        const WORD: &[u8] = b"$Id\0";
        if WORD.get(matched) == Some(&byte) {
            return State::Matched(matched + 1);
        }
        self.held.extend_from_slice(&WORD[..matched]);
        match byte {
            b':' if matched == HEAD.len() => {
                self.held.push(byte);
                self.is_cut = false;
                return State::Skipping;
            }
            b'$' if matched == HEAD.len() => self.held.extend_from_slice(&self.expansion),
            _ => self.held.push(byte),
        }
        // Not drained behind `$Id` and another byte: what follows is held with it, and a keyword right after it is mistaken for the
        // beginning of the line held.
        if matched != HEAD.len() || byte == b'$' {
            out.append(&mut self.held);
        }
        State::Matched(0)
    }

    fn skip(&mut self, byte: u8, out: &mut Vec<u8>) -> State {
        if byte != b'\n' && byte != b'$' {
            // As `is_foreign` sees it, with the least of looking.
            let inner = self.held.strip_prefix(b"$Id: ").and_then(|inner| inner.last());
            let is_foreign = !self.is_cut && inner.is_some_and(|last| b" \t\r".contains(last));
            self.is_cut |= byte == 0;
            self.held.push(byte);
            if !is_foreign {
                return State::Skipping;
            }
            out.append(&mut self.held);
            return State::Passing;
        }
        self.held.push(byte);
        if byte == b'$' && !is_foreign(&self.held) {
            self.held.truncate(HEAD.len());
            self.held.extend_from_slice(&self.expansion);
        }
        out.append(&mut self.held);
        State::Matched(0)
    }

    /// A byte for the program over the whole file. A `$` is never held.
    fn read(&mut self, byte: u8, out: &mut Vec<u8>) -> State {
        const WORD: &[u8] = b"Id";
        match (self.state, byte) {
            (State::Word(matched), _) if WORD.get(matched) == Some(&byte) => {
                self.held.push(byte);
                return State::Word(matched + 1);
            }
            (State::Word(2), b':') => {
                self.held.push(byte);
                return State::Colon;
            }
            (State::Word(2), b'$') => return self.replace(out),
            // Of another system, this one would not be here any more.
            (State::Colon, b'$') => return self.replace(out),
            (State::Colon, b'\n') => {}
            // A space that is not the last byte, nor the first one behind the colon, is of another system.
            (State::Colon, _) if self.held.len() <= 4 || self.held.last() != Some(&b' ') => {
                self.held.push(byte);
                return State::Colon;
            }
            _ => {}
        }
        out.append(&mut self.held);
        out.push(byte);
        if byte == b'$' { State::Word(0) } else { State::Text }
    }

    fn replace(&mut self, out: &mut Vec<u8>) -> State {
        self.held.clear();
        out.extend_from_slice(b"Id");
        out.extend_from_slice(&self.expansion);
        State::Text
    }
}

/// Whether what is held is the keyword of another version control system.
fn is_foreign(held: &[u8]) -> bool {
    let Some(rest) = held.strip_prefix(b"$Id: ") else { return false };
    // A C string there.
    let rest = &rest[..rest.find_byte(0).unwrap_or(rest.len())];
    (0..rest.len()).any(|at| b" \t\n\r".contains(&rest[at]) && rest.get(at + 1) != Some(&b'$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_expanded_as_by_git() {
        let id = gix::ObjectId::empty_blob(gix::hash::Kind::Sha1);
        let hex = id.to_string();
        let whole = |s: &str| whole(s.as_bytes(), &id).map_or(s.into(), |v| String::from_utf8(v).unwrap());
        let stream = |s: &str| stream(s.as_bytes(), &id).map_or(s.into(), |v| String::from_utf8(v).unwrap());
        let full = format!("$Id: {hex} $");
        for (src, expected) in [
            ("", String::new()),
            ("# $Id$\n", format!("# {full}\n")),
            ("$Id$$Id$", format!("{full}{full}")),
            ("$Id: old $ x", format!("{full} x")),
            ("$Id:$", full.clone()),
            ("$Id: file,v 1.1 2001 joe Exp $", "$Id: file,v 1.1 2001 joe Exp $".into()),
            ("$Id: cut\n$Id$", format!("$Id: cut\n{full}")),
            ("$Identity$ $Id", "$Identity$ $Id".into()),
            ("$Id: cut", "$Id: cut".into()),
        ] {
            assert_eq!(whole(src), expected, "whole {src:?}");
            assert_eq!(stream(src), expected, "stream {src:?}");
        }
        assert_eq!(whole("$$Id$"), format!("${full}"));
        assert_eq!(stream("$$Id$"), "$$Id$");
    }

    #[test]
    fn what_is_held_back_has_a_bound_and_what_cannot_become_a_keyword_is_not_held() {
        let id = gix::ObjectId::empty_blob(gix::hash::Kind::Sha1);
        let piece = vec![b'x'; 64 << 10];
        for (mut expander, name) in [(Expander::whole(&id), "whole"), (Expander::stream(&id), "stream")] {
            let mut out = Vec::new();
            expander.push(b"$Id: of another system ", &mut out).unwrap();
            for _ in 0..1000 {
                expander.push(&piece, &mut out).unwrap();
                assert!(expander.held.len() <= 64, "{name}");
                out.clear();
            }
            expander.push(b"$ $Id:", &mut out).unwrap();
            let pushed = (0..1000).map(|_| expander.push(&piece, &mut out)).find_map(Result::err);
            let said = pushed.expect("it ends").to_string();
            assert!(said.contains("`ident`") && said.contains("8 MiB"), "{said}");
            assert!(expander.held.len() <= LONGEST_KEYWORD + 1, "{name}");
        }
    }
}
