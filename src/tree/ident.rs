//! The `ident` attribute: `$Id$` becomes `$Id: <blob> $`.
//!
//! git has two programs for it that differ in corners: one over the whole file, one over a stream, and takes the
//! stream wherever nothing else needs the whole file. Files must equal those of a git checkout, so both are here, with
//! their corners: the stream misses the keyword in `$$Id$`, and after an `$Idx` it can swallow what stands before a
//! keyword. Both cost nothing where `$Id` does not occur.

use gix::bstr::ByteSlice;

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
    const HEAD: &[u8] = b"$Id";
    #[derive(PartialEq)]
    enum State {
        /// So many bytes of `$Id` were seen; 4 is `$Id` and a NUL, which ends the word in C.
        Matched(usize),
        Skipping,
    }
    src.find(HEAD)?;
    let word = |matched: usize| &b"$Id\0"[..matched];
    let expansion = format!(": {} $", id.to_hex());
    let mut out = Vec::with_capacity(src.len() + 64);
    // Held back; flushed to `out` where git drains it.
    let mut left: Vec<u8> = Vec::new();
    let mut state = State::Matched(0);
    for &byte in src {
        match state {
            State::Skipping => {
                left.push(byte);
                if byte != b'\n' && byte != b'$' {
                    continue;
                }
                if byte == b'$' && !is_foreign(&left) {
                    left.truncate(HEAD.len());
                    left.extend_from_slice(expansion.as_bytes());
                }
            }
            State::Matched(matched) => {
                if b"$Id\0".get(matched) == Some(&byte) {
                    state = State::Matched(matched + 1);
                    continue;
                }
                left.extend_from_slice(word(matched));
                if matched == HEAD.len() {
                    match byte {
                        b':' => {
                            left.push(byte);
                            state = State::Skipping;
                            continue;
                        }
                        b'$' => left.extend_from_slice(expansion.as_bytes()),
                        _ => {
                            // Not drained here: what follows is held with it, and a keyword right after it is
                            // mistaken for the beginning of the line held.
                            left.push(byte);
                            state = State::Matched(0);
                            continue;
                        }
                    }
                } else {
                    left.push(byte);
                }
            }
        }
        out.append(&mut left);
        state = State::Matched(0);
    }
    if let State::Matched(matched) = state {
        left.extend_from_slice(word(matched));
    }
    out.append(&mut left);
    (out != src).then_some(out)
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
}
