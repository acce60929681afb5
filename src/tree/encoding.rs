//! The `working-tree-encoding` attribute: UTF-8 in the repository, something else on disk.
//!
//! git leaves the work to the iconv of the C library; what counts as right is glibc's on a little-endian machine,
//! which git-sync's image has. The Unicode forms are written here, byte order mark and all. For the others
//! `encoding_rs` has the tables, made for web pages: where the two differ, the characters are listed below (found by
//! putting every character through both), and fail as they fail in glibc. A file that cannot be encoded, and a name
//! that we or the C library do not know, is left as it is: git prints an error for it and goes on.
//!
//! Not known here although glibc knows them: Big5, GB2312, the stateful ISO-2022 ones, EBCDIC and DOS code pages
//! except 866, `//TRANSLIT`; of the East Asian ones the private use area, of some the C1 controls.

use std::collections::HashMap;
use std::sync::LazyLock;

use encoding_rs as tables;

/// What is on disk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Encoding {
    Utf16 {
        big: bool,
        bom: bool,
    },
    Utf32 {
        big: bool,
        bom: bool,
    },
    /// Code points below this, one byte each: ASCII and Latin-1.
    Below(u32),
    Table(&'static tables::Encoding, Except),
    /// Files stay as they are.
    Unknown,
}

/// Where glibc's table is another one than that of `encoding_rs`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Except {
    Nothing,
    /// No C1 controls: bytes without a meaning in Windows code pages.
    C1,
    /// C1 controls as they are, in place of what a Windows code page has there.
    Low,
    Koi8u,
    /// JIS X 0208 only, without the NEC and IBM rows.
    Sjis,
    /// The full Windows page, with the older spelling of a few signs.
    Cp932,
    EucJp,
    /// Without the Hangul of the Windows page.
    EucKr,
    Gbk,
    Gb18030,
}

/// Finds an encoding by the name it has in `.gitattributes`. `None` is UTF-8: nothing to do.
pub(super) fn by_name(name: &[u8]) -> Option<Encoding> {
    use Encoding::{Below, Table, Unknown, Utf16, Utf32};
    let Ok(name) = std::str::from_utf8(name) else { return Some(Unknown) };
    let name = name.to_ascii_uppercase();
    if let Some(utf) = name.strip_prefix("UTF") {
        let found = match utf.strip_prefix('-').unwrap_or(utf) {
            "8" => return None,
            "16" | "16LE-BOM" => Utf16 { big: false, bom: true },
            "16BE-BOM" => Utf16 { big: true, bom: true },
            "16LE" => Utf16 { big: false, bom: false },
            "16BE" => Utf16 { big: true, bom: false },
            "32" => Utf32 { big: false, bom: true },
            "32LE" => Utf32 { big: false, bom: false },
            "32BE" => Utf32 { big: true, bom: false },
            _ => Unknown,
        };
        return Some(found);
    }
    let latin = ["ISO-8859-", "ISO8859-", "ISO_8859-", "ISO8859"].iter().find_map(|p| name.strip_prefix(p));
    let windows = ["WINDOWS-", "CP"].iter().find_map(|p| name.strip_prefix(p));
    Some(match (name.as_str(), latin, windows) {
        ("ASCII" | "US-ASCII", ..) => Below(0x80),
        ("LATIN-1" | "LATIN1" | "L1" | "CP819" | "8859_1", ..) | (_, Some("1"), _) => Below(0x100),
        ("LATIN2", ..) | (_, Some("2"), _) => Table(tables::ISO_8859_2, Except::Nothing),
        (_, Some("3"), _) => Table(tables::ISO_8859_3, Except::Nothing),
        (_, Some("4"), _) => Table(tables::ISO_8859_4, Except::Nothing),
        (_, Some("5"), _) => Table(tables::ISO_8859_5, Except::Nothing),
        (_, Some("6"), _) => Table(tables::ISO_8859_6, Except::Nothing),
        (_, Some("7"), _) => Table(tables::ISO_8859_7, Except::Nothing),
        (_, Some("8"), _) => Table(tables::ISO_8859_8, Except::Nothing),
        ("LATIN5", ..) | (_, Some("9"), _) => Table(tables::WINDOWS_1254, Except::Low),
        (_, Some("10"), _) => Table(tables::ISO_8859_10, Except::Nothing),
        (_, Some("13"), _) => Table(tables::ISO_8859_13, Except::Nothing),
        (_, Some("14"), _) => Table(tables::ISO_8859_14, Except::Nothing),
        ("LATIN-9" | "LATIN9", ..) | (_, Some("15"), _) => Table(tables::ISO_8859_15, Except::Nothing),
        (_, Some("16"), _) => Table(tables::ISO_8859_16, Except::Nothing),
        (_, _, Some("1250")) => Table(tables::WINDOWS_1250, Except::C1),
        (_, _, Some("1251")) => Table(tables::WINDOWS_1251, Except::C1),
        (_, _, Some("1252")) => Table(tables::WINDOWS_1252, Except::C1),
        (_, _, Some("1253")) => Table(tables::WINDOWS_1253, Except::C1),
        (_, _, Some("1254")) => Table(tables::WINDOWS_1254, Except::C1),
        (_, _, Some("1256")) => Table(tables::WINDOWS_1256, Except::Nothing),
        (_, _, Some("1257")) => Table(tables::WINDOWS_1257, Except::C1),
        ("CP866" | "IBM866", ..) => Table(tables::IBM866, Except::Nothing),
        ("KOI8-R", ..) => Table(tables::KOI8_R, Except::Nothing),
        ("KOI8-U", ..) => Table(tables::KOI8_U, Except::Koi8u),
        ("SHIFT-JIS" | "SHIFT_JIS" | "SJIS", ..) => Table(tables::SHIFT_JIS, Except::Sjis),
        ("CP932" | "WINDOWS-31J" | "MS932", ..) => Table(tables::SHIFT_JIS, Except::Cp932),
        ("EUC-JP" | "EUCJP", ..) => Table(tables::EUC_JP, Except::EucJp),
        ("EUC-KR" | "EUCKR", ..) => Table(tables::EUC_KR, Except::EucKr),
        ("CP949" | "UHC", ..) => Table(tables::EUC_KR, Except::C1),
        ("GBK" | "CP936" | "WINDOWS-936", ..) => Table(tables::GBK, Except::Gbk),
        ("GB18030", ..) => Table(tables::GB18030, Except::Gb18030),
        _ => Unknown,
    })
}

impl Encoding {
    fn without_mark(self) -> Encoding {
        match self {
            Encoding::Utf16 { big, .. } => Encoding::Utf16 { big, bom: false },
            Encoding::Utf32 { big, .. } => Encoding::Utf32 { big, bom: false },
            other => other,
        }
    }

    /// Encodes a file. `None` if it cannot be: it is no UTF-8, or has a character that the encoding lacks.
    pub(super) fn encode(self, src: &[u8]) -> Option<Vec<u8>> {
        if self == Encoding::Unknown {
            return None;
        }
        let text = std::str::from_utf8(src).ok()?;
        // A mark that is in the text already stays: glibc puts one before it.
        match self {
            Encoding::Utf16 { big, bom } => {
                let units = bom.then_some(0xfeff).into_iter().chain(text.encode_utf16());
                Some(if big {
                    units.flat_map(u16::to_be_bytes).collect()
                } else {
                    units.flat_map(u16::to_le_bytes).collect()
                })
            }
            Encoding::Utf32 { big, bom } => {
                let units = bom.then_some(0xfeff).into_iter().chain(text.chars().map(u32::from));
                Some(if big {
                    units.flat_map(u32::to_be_bytes).collect()
                } else {
                    units.flat_map(u32::to_le_bytes).collect()
                })
            }
            Encoding::Below(end) => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).ok().filter(|b| u32::from(*b) < end))
                .collect(),
            Encoding::Table(table, except) => encode_by_table(text, table, except),
            Encoding::Unknown => None,
        }
    }
}

/// Encodes a text that comes in pieces: each character stands for itself, only the mark is of the whole.
pub(super) struct Encoder {
    encoding: Encoding,
    /// The begin of a character whose end is in the next piece.
    begun: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(encoding: Encoding) -> Encoder {
        Encoder { encoding, begun: Vec::new() }
    }

    /// Adds a piece to `out`, of which nothing may come after the `last` one. `None` as of [`Encoding::encode`].
    pub(super) fn push(&mut self, piece: &[u8], last: bool, out: &mut Vec<u8>) -> Option<()> {
        self.begun.extend_from_slice(piece);
        let whole = match std::str::from_utf8(&self.begun) {
            Ok(text) => text.len(),
            Err(err) if err.error_len().is_none() && !last => err.valid_up_to(),
            Err(_) => return None,
        };
        // An empty file gets no mark.
        if whole > 0 {
            out.append(&mut self.encoding.encode(&self.begun[..whole])?);
            self.encoding = self.encoding.without_mark();
        }
        self.begun.drain(..whole);
        Some(())
    }
}

fn encode_by_table(text: &str, table: &'static tables::Encoding, except: Except) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    // Runs of ASCII go through as they are: all tables here are supersets of it.
    let mut one = [0; 4];
    for c in text.chars() {
        if c.is_ascii() || (except == Except::Low && c <= '\u{9f}') {
            out.push(c as u8);
            continue;
        }
        if let Some(bytes) = except.instead(c) {
            out.extend_from_slice(bytes);
            continue;
        }
        let (bytes, _, lost) = table.encode(c.encode_utf8(&mut one));
        if !lost && !except.lacks(c, &bytes) {
            out.extend_from_slice(&bytes);
        } else if except == Except::EucJp {
            out.extend_from_slice(JIS_X_0212.get(&c)?);
        } else {
            return None;
        }
    }
    Some(out)
}

/// The supplementary plane of EUC-JP, which `encoding_rs` reads and does not write.
static JIS_X_0212: LazyLock<HashMap<char, [u8; 3]>> = LazyLock::new(|| {
    let all = (0xa1..=0xfe).flat_map(|row| (0xa1..=0xfe).map(move |cell| [0x8f, row, cell]));
    let known = all.filter_map(|bytes| {
        let text = tables::EUC_JP.decode_without_bom_handling_and_without_replacement(&bytes)?;
        text.chars().next().map(|c| (c, bytes))
    });
    known.filter(|(c, _)| *c != '\u{ff5e}').collect()
});

impl Except {
    /// Characters that glibc encodes and `encoding_rs` does not, or otherwise.
    fn instead(self, c: char) -> Option<&'static [u8]> {
        let bytes: &[u8] = match (self, c) {
            (Except::Sjis | Except::Cp932, '¢') => b"\x81\x91",
            (Except::Sjis | Except::Cp932, '£') => b"\x81\x92",
            (Except::Sjis | Except::Cp932, '¬') => b"\x81\xca",
            (Except::Sjis | Except::Cp932, '‖') => b"\x81\x61",
            (Except::Sjis | Except::Cp932, '〜') => b"\x81\x60",
            (Except::Cp932, '—') => b"\x81\x5c",
            (Except::EucJp, '¢') => b"\xa1\xf1",
            (Except::EucJp, '£') => b"\xa1\xf2",
            (Except::EucJp, '¬') => b"\xa2\xcc",
            (Except::EucJp, '‖') => b"\xa1\xc2",
            (Except::EucJp, '〜') => b"\xa1\xc1",
            (Except::Koi8u, '╝') => b"\xae",
            (Except::Koi8u, '╬') => b"\xbe",
            _ => return None,
        };
        Some(bytes)
    }

    /// Whether glibc has no such character.
    fn lacks(self, c: char, bytes: &[u8]) -> bool {
        let pair = (bytes[0], bytes.get(1).copied().unwrap_or(0));
        let private = ('\u{e000}'..='\u{f8ff}').contains(&c);
        let control = ('\u{80}'..='\u{9f}').contains(&c);
        match self {
            Except::Nothing => false,
            Except::C1 | Except::Cp932 => control,
            Except::Low => bytes[0] < 0xa0,
            Except::Koi8u => matches!(c, 'Ў' | 'ў'),
            Except::Sjis => {
                control
                    || matches!(pair.0, 0x87 | 0xfa..=0xfc)
                    || matches!(c, '\u{2225}' | '\u{ff0d}' | '\u{ff5e}')
            }
            Except::EucJp => {
                matches!(pair.0, 0xad | 0xf9..=0xfc)
                    || matches!(
                        c,
                        '\u{2225}' | '\u{ff0d}' | '\u{ff5e}' | '\u{ffe0}' | '\u{ffe1}' | '\u{ffe2}'
                    )
            }
            Except::EucKr => bytes.iter().any(|b| *b < 0xa1),
            Except::Gbk => {
                private
                    || matches!(
                        pair,
                        (0xa6, 0xd9..=0xdf | 0xec | 0xed | 0xf3)
                            | (0xa8, 0xbc | 0xbf)
                            | (0xa9, 0x89..=0x95)
                            | (0xfe, 0x50..)
                    )
            }
            Except::Gb18030 => {
                private || matches!(u32::from(c), 0x20087 | 0x20089 | 0x200cc | 0x215d7 | 0x2298f | 0x241fe)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(name: &str, text: &str) -> Option<Vec<u8>> {
        by_name(name.as_bytes()).unwrap().encode(text.as_bytes())
    }

    #[test]
    fn unicode_forms_have_the_marks_that_glibc_writes() {
        assert_eq!(encode("UTF-16", "é").unwrap(), b"\xff\xfe\xe9\0");
        assert_eq!(encode("utf-16le", "é").unwrap(), b"\xe9\0");
        assert_eq!(encode("UTF16BE", "é").unwrap(), b"\0\xe9");
        assert_eq!(encode("utf-16LE-bom", "é").unwrap(), b"\xff\xfe\xe9\0");
        assert_eq!(encode("UTF-16BE-BOM", "é").unwrap(), b"\xfe\xff\0\xe9");
        assert_eq!(encode("UTF-32", "a").unwrap(), b"\xff\xfe\0\0a\0\0\0");
        assert_eq!(encode("UTF-16", "🛩").unwrap(), b"\xff\xfe\x3d\xd8\xe9\xde");
        assert_eq!(by_name(b"utf8"), None);
        assert_eq!(by_name(b"Utf-8"), None);
    }

    #[test]
    fn what_cannot_be_encoded_is_left_alone() {
        assert_eq!(encode("latin-1", "€"), None);
        assert_eq!(encode("ISO-8859-1", "é").unwrap(), b"\xe9");
        assert_eq!(encode("ISO-8859-15", "€").unwrap(), b"\xa4");
        assert_eq!(encode("ascii", "é"), None);
        assert_eq!(encode("windows-1252", "\u{81}"), None);
        assert_eq!(encode("no-such", "a"), None);
        assert_eq!(encode("SHIFT-JIS", "①"), None);
        assert_eq!(encode("CP932", "①").unwrap(), b"\x87\x40");
        assert_eq!(by_name(b"UTF-16").unwrap().encode(b"\xff"), None);
    }
}
