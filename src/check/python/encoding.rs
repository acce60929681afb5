//! From bytes to text, as Python reads a source file.

use std::borrow::Cow;

use gix::bstr::ByteSlice as _;

use super::super::{Code, Issue};
use super::codecs::Codec;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// A file's text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded<'a> {
    /// Without a byte order mark.
    pub(super) text: Cow<'a, str>,
    /// Where a byte that is not UTF-8 was, and which. In a comment Python does not mind, if it was not told an encoding.
    pub(super) strays: Vec<(usize, u8)>,
}

/// Decodes a source file.
///
/// # Errors
/// Python cannot.
pub(super) fn decode(source: &[u8]) -> Result<Decoded<'_>, Box<Issue>> {
    let (marked, body) = source.strip_prefix(MARK).map_or((false, source), |body| (true, body));
    let cookie = cookie(body);
    let wrong = |line: u32, column: u32, message: String| {
        Err(Box::new(Issue::at(line, column, Code::PythonEncoding, message)))
    };
    if let Some(null) = body.find_byte(0) {
        let (line, column) = place(body, null);
        return wrong(line, column, "source code cannot contain null bytes".to_owned());
    }
    let (name, line) = match &cookie {
        Some((name, line)) => (Cow::Owned(normal(name)), *line),
        None => (Cow::Borrowed("utf-8"), 0),
    };
    if marked && name != "utf-8" {
        return wrong(line, 0, format!("encoding problem: {name} with BOM"));
    }
    if name == "utf-8" {
        return Ok(lenient(body));
    }
    let Some(codec) = Codec::named(&name) else { return wrong(line, 0, format!("unknown encoding: {name}")) };
    let text = match codec {
        Codec::NotText => return wrong(line, 0, format!("`{name}` is not a text encoding")),
        Codec::NotAscii => {
            return wrong(line, 0, format!("the file is not of the encoding that it names: {name}"));
        }
        Codec::Utf8 => std::str::from_utf8(body).map(Cow::Borrowed).map_err(|error| error.valid_up_to()),
        Codec::Ascii => match body.find_non_ascii_byte() {
            Some(at) => Err(at),
            None => Ok(String::from_utf8_lossy(body)),
        },
        Codec::Latin1 => Ok(encoding_rs::mem::decode_latin1(body)),
        Codec::Letters => {
            Ok(body.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { 'é' }).collect())
        }
        Codec::Known(encoding) => strictly(encoding, body),
    };
    match text {
        Ok(text) => Ok(Decoded { text, strays: Vec::new() }),
        Err(at) => {
            let (line, column) = place(body, at);
            let byte = body.get(at).copied().unwrap_or_default();
            wrong(line, column, format!("the {name} codec cannot decode byte 0x{byte:02x}"))
        }
    }
}

/// The place of a byte, in lines as Python has them; the column counts bytes, as there are no characters yet.
fn place(body: &[u8], at: usize) -> (u32, u32) {
    let text = String::from_utf8_lossy(&body[..at]);
    let offset = u32::try_from(text.len()).unwrap_or_default();
    super::place::Lines::of(&text).place(offset.into())
}

/// Bytes that are not UTF-8 become replacement characters, one each, and are remembered.
fn lenient(body: &[u8]) -> Decoded<'_> {
    if let Ok(text) = std::str::from_utf8(body) {
        return Decoded { text: Cow::Borrowed(text), strays: Vec::new() };
    }
    let mut text = String::with_capacity(body.len());
    let mut strays = Vec::new();
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            strays.push((text.len(), *byte));
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Decoded { text: Cow::Owned(text), strays }
}

fn strictly<'a>(encoding: &'static encoding_rs::Encoding, body: &'a [u8]) -> Result<Cow<'a, str>, usize> {
    // The web's tables fill the holes of `cp125x` with control characters; Python does not.
    let holes = encoding.name().starts_with("windows-125");
    let fine = |body: &'a [u8]| {
        let text = encoding.decode_without_bom_handling_and_without_replacement(body)?;
        (!holes || !text.contains(|char| ('\u{80}'..='\u{9f}').contains(&char))).then_some(text)
    };
    if let Some(text) = fine(body) {
        return Ok(text);
    }
    // The first byte without which it is fine.
    let (mut good, mut bad) = (0, body.len());
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        if fine(&body[..middle]).is_some() { good = middle } else { bad = middle }
    }
    Err(good)
}

/// The encoding that one of the first two lines names, and which line that is. As `get_coding_spec` of CPython's tokenizer.
fn cookie(body: &[u8]) -> Option<(&str, u32)> {
    let mut rest = body;
    for number in 1..=2 {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let line = &rest[..end];
        let blank = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\x0c')).count();
        match line.get(blank) {
            Some(b'#') => {
                if let Some(name) = in_comment(&line[blank..]) {
                    return Some((name, number));
                }
            }
            None => {}
            Some(_) => return None,
        }
        rest = rest.get(end..)?;
        rest = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..))?;
    }
    None
}

fn in_comment(comment: &[u8]) -> Option<&str> {
    let mut at = 0;
    while let Some(found) = comment[at..].windows(6).position(|six| six == b"coding") {
        at += found + 6;
        let after = &comment[at..];
        if !matches!(after.first(), Some(b':' | b'=')) {
            continue;
        }
        let blank = after[1..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let name = &after[1 + blank..];
        let named = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let length = name.iter().take_while(|byte| named(byte)).count();
        if length > 0 {
            return std::str::from_utf8(&name[..length]).ok();
        }
    }
    None
}

/// CPython's `get_normal_name`.
fn normal(name: &str) -> String {
    let plain: String =
        name.chars().take(12).map(|char| if char == '_' { '-' } else { char.to_ascii_lowercase() }).collect();
    let is = |of: &str| plain == of || plain.strip_prefix(of).is_some_and(|rest| rest.starts_with('-'));
    if is("utf-8") {
        "utf-8".to_owned()
    } else if ["latin-1", "iso-8859-1", "iso-latin-1"].iter().any(|of| is(of)) {
        "iso-8859-1".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &[u8]) -> Result<String, String> {
        decode(source).map(|decoded| decoded.text.into_owned()).map_err(|issue| issue.message)
    }

    #[test]
    fn the_cookie_is_in_a_comment_of_the_first_two_lines() {
        for source in [
            &b"# coding: latin-1\n'\xe9'"[..],
            b"\n# -*- coding: latin-1 -*-\n'\xe9'",
            b"#!/x\n# vim: set fileencoding=latin-1 :\n'\xe9'",
            b"# coding:latin-1\r'\xe9'",
            b"\x0c# coding: iso-latin-1-unix\n'\xe9'",
        ] {
            assert!(text(source).is_ok_and(|text| text.ends_with("'é'")), "{source:?}");
        }
        for source in [
            &b"\n\n# coding: latin-1\n'\xe9'"[..],
            b"x\n# coding: latin-1\n'\xe9'",
            b"# coding latin-1\n'\xe9'",
        ] {
            assert_eq!(decode(source).unwrap().strays.len(), 1, "{source:?}");
        }
    }

    #[test]
    fn what_python_cannot_decode_is_told_at_its_place() {
        let wrong = |source: &[u8]| decode(source).unwrap_err();
        assert_eq!(wrong(b"# coding: uft-8\n").message, "unknown encoding: uft-8");
        assert_eq!(wrong(b"\xef\xbb\xbf# coding: utf8\n").message, "encoding problem: utf8 with BOM");
        let issue = wrong(b"# coding: cp1252\nx = '\x81'\n");
        assert_eq!((issue.line, issue.column), (2, 6));
        assert_eq!(issue.message, "the cp1252 codec cannot decode byte 0x81");
        let issue = wrong(b"a\r\nb\0");
        assert_eq!((issue.line, issue.column), (2, 2));
        assert_eq!(text(b"# coding: cp1251\n\xef"), Ok("# coding: cp1251\nп".to_owned()));
        assert_eq!(text(b"\xef\xbb\xbf# coding: UTF_8\n"), Ok("# coding: UTF_8\n".to_owned()));
    }
}
