//! The codecs of Python that a source file can name.
//!
//! Python's names differ from those of the web: its `latin-1` is ISO-8859-1, its `cp1252` has holes.

use encoding_rs::Encoding;

/// What a codec does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Utf8,
    Ascii,
    /// A byte is a character; with escapes, for two of them, which do not matter here.
    Latin1,
    /// One that the web knows too.
    Known(&'static Encoding),
    /// ASCII as far as it goes; which characters the rest are, we do not know: letters.
    Letters,
    /// A file with a line in ASCII that names it cannot be of it.
    NotAscii,
    /// Makes bytes of bytes.
    NotText,
}

impl Codec {
    /// As `encodings.search_function` finds it. The name is that of a cookie, normalized by the tokenizer.
    pub(super) fn named(name: &str) -> Option<Codec> {
        let mut plain = String::new();
        for char in name.chars() {
            if char.is_ascii_alphanumeric() || char == '.' {
                plain.push(char.to_ascii_lowercase());
            } else if !plain.is_empty() && !plain.ends_with('_') {
                plain.push('_');
            }
        }
        let plain = plain.trim_end_matches('_');
        let undotted = plain.replace('.', "_");
        let find = |name: &str, aliases: bool| {
            let listed = |names: &[&str]| if aliases { names[1..].contains(&name) } else { names[0] == name };
            CODECS.iter().find(|(_, names)| listed(names)).map(|(codec, _)| *codec)
        };
        find(plain, true).or_else(|| find(&undotted, true)).or_else(|| find(plain, false))
    }
}

/// The module's name first, then its aliases.
const CODECS: &[(Codec, &[&str])] = &[
    (
        Codec::Ascii,
        &[
            "ascii",
            "646",
            "ansi_x3.4_1968",
            "ansi_x3.4_1986",
            "ansi_x3_4_1968",
            "cp367",
            "csascii",
            "ibm367",
            "iso646_us",
            "iso_646.irv_1991",
            "iso_ir_6",
            "us",
            "us_ascii",
        ],
    ),
    (Codec::NotText, &["base64_codec", "base64", "base_64"]),
    (Codec::Known(encoding_rs::BIG5), &["big5", "big5_tw", "csbig5", "x_mac_trad_chinese"]),
    (Codec::Known(encoding_rs::BIG5), &["big5hkscs", "big5_hkscs", "hkscs"]),
    (Codec::NotText, &["bz2_codec", "bz2"]),
    (Codec::Latin1, &["charmap"]),
    (
        Codec::NotAscii,
        &[
            "cp037",
            "037",
            "csibm037",
            "ebcdic_cp_ca",
            "ebcdic_cp_nl",
            "ebcdic_cp_us",
            "ebcdic_cp_wt",
            "ibm037",
            "ibm039",
        ],
    ),
    (Codec::Letters, &["cp1006"]),
    (Codec::NotAscii, &["cp1026", "1026", "csibm1026", "ibm1026"]),
    (Codec::Letters, &["cp1125", "1125", "cp866u", "ibm1125", "ruscii"]),
    (Codec::NotAscii, &["cp1140", "1140", "ibm1140"]),
    (Codec::Known(encoding_rs::WINDOWS_1250), &["cp1250", "1250", "windows_1250"]),
    (Codec::Known(encoding_rs::WINDOWS_1251), &["cp1251", "1251", "windows_1251"]),
    (Codec::Known(encoding_rs::WINDOWS_1252), &["cp1252", "1252", "windows_1252"]),
    (Codec::Known(encoding_rs::WINDOWS_1253), &["cp1253", "1253", "windows_1253"]),
    (Codec::Known(encoding_rs::WINDOWS_1254), &["cp1254", "1254", "windows_1254"]),
    (Codec::Known(encoding_rs::WINDOWS_1255), &["cp1255", "1255", "windows_1255"]),
    (Codec::Known(encoding_rs::WINDOWS_1256), &["cp1256", "1256", "windows_1256"]),
    (Codec::Known(encoding_rs::WINDOWS_1257), &["cp1257", "1257", "windows_1257"]),
    (Codec::Known(encoding_rs::WINDOWS_1258), &["cp1258", "1258", "windows_1258"]),
    (Codec::NotAscii, &["cp273", "273", "csibm273", "ibm273"]),
    (Codec::NotAscii, &["cp424", "424", "csibm424", "ebcdic_cp_he", "ibm424"]),
    (Codec::Letters, &["cp437", "437", "cspc8codepage437", "ibm437"]),
    (Codec::NotAscii, &["cp500", "500", "csibm500", "ebcdic_cp_be", "ebcdic_cp_ch", "ibm500"]),
    (Codec::Letters, &["cp720"]),
    (Codec::Letters, &["cp737"]),
    (Codec::Letters, &["cp775", "775", "cspc775baltic", "ibm775"]),
    (Codec::Letters, &["cp850", "850", "cspc850multilingual", "ibm850"]),
    (Codec::Letters, &["cp852", "852", "cspcp852", "ibm852"]),
    (Codec::Letters, &["cp855", "855", "csibm855", "ibm855"]),
    (Codec::Letters, &["cp856"]),
    (Codec::Letters, &["cp857", "857", "csibm857", "ibm857"]),
    (Codec::Letters, &["cp858", "858", "csibm858", "ibm858"]),
    (Codec::Letters, &["cp860", "860", "csibm860", "ibm860"]),
    (Codec::Letters, &["cp861", "861", "cp_is", "csibm861", "ibm861"]),
    (Codec::Letters, &["cp862", "862", "cspc862latinhebrew", "ibm862"]),
    (Codec::Letters, &["cp863", "863", "csibm863", "ibm863"]),
    (Codec::Letters, &["cp864", "864", "csibm864", "ibm864"]),
    (Codec::Letters, &["cp865", "865", "csibm865", "ibm865"]),
    (Codec::Known(encoding_rs::IBM866), &["cp866", "866", "csibm866", "ibm866"]),
    (Codec::Letters, &["cp869", "869", "cp_gr", "csibm869", "ibm869"]),
    (Codec::Known(encoding_rs::WINDOWS_874), &["cp874"]),
    (Codec::NotAscii, &["cp875"]),
    (Codec::Known(encoding_rs::SHIFT_JIS), &["cp932", "932", "ms932", "ms_kanji", "mskanji"]),
    (Codec::Known(encoding_rs::EUC_KR), &["cp949", "949", "ms949", "uhc"]),
    (Codec::Known(encoding_rs::BIG5), &["cp950", "950", "ms950"]),
    (Codec::Letters, &["euc_jis_2004", "euc_jis2004", "eucjis2004", "jisx0213"]),
    (Codec::Letters, &["euc_jisx0213", "eucjisx0213"]),
    (Codec::Known(encoding_rs::EUC_JP), &["euc_jp", "eucjp", "u_jis", "ujis"]),
    (
        Codec::Known(encoding_rs::EUC_KR),
        &[
            "euc_kr",
            "euckr",
            "korean",
            "ks_c_5601",
            "ks_c_5601_1987",
            "ks_x_1001",
            "ksc5601",
            "ksx1001",
            "x_mac_korean",
        ],
    ),
    (Codec::Known(encoding_rs::GB18030), &["gb18030", "gb18030_2000"]),
    (
        Codec::Known(encoding_rs::GBK),
        &[
            "gb2312",
            "chinese",
            "csiso58gb231280",
            "euc_cn",
            "euccn",
            "eucgb2312_cn",
            "gb2312_1980",
            "gb2312_80",
            "iso_ir_58",
            "x_mac_simp_chinese",
        ],
    ),
    (Codec::Known(encoding_rs::GBK), &["gbk", "936", "cp936", "ms936"]),
    (Codec::NotText, &["hex_codec", "hex"]),
    (Codec::Letters, &["hp_roman8", "cp1051", "cshproman8", "ibm1051", "r8", "roman8"]),
    (Codec::Letters, &["hz", "hz_gb", "hz_gb_2312", "hzgb"]),
    (Codec::Ascii, &["idna"]),
    (Codec::Known(encoding_rs::ISO_2022_JP), &["iso2022_jp", "csiso2022jp", "iso2022jp", "iso_2022_jp"]),
    (Codec::Letters, &["iso2022_jp_1", "iso2022jp_1", "iso_2022_jp_1"]),
    (Codec::Letters, &["iso2022_jp_2", "iso2022jp_2", "iso_2022_jp_2"]),
    (Codec::Letters, &["iso2022_jp_2004", "iso2022jp_2004", "iso_2022_jp_2004"]),
    (Codec::Letters, &["iso2022_jp_3", "iso2022jp_3", "iso_2022_jp_3"]),
    (Codec::Letters, &["iso2022_jp_ext", "iso2022jp_ext", "iso_2022_jp_ext"]),
    (Codec::Letters, &["iso2022_kr", "csiso2022kr", "iso2022kr", "iso_2022_kr"]),
    (
        Codec::Known(encoding_rs::ISO_8859_10),
        &["iso8859_10", "csisolatin6", "iso_8859_10", "iso_8859_10_1992", "iso_ir_157", "l6", "latin6"],
    ),
    (Codec::Known(encoding_rs::WINDOWS_874), &["iso8859_11", "iso_8859_11", "iso_8859_11_2001", "thai"]),
    (Codec::Known(encoding_rs::ISO_8859_13), &["iso8859_13", "iso_8859_13", "l7", "latin7"]),
    (
        Codec::Known(encoding_rs::ISO_8859_14),
        &["iso8859_14", "iso_8859_14", "iso_8859_14_1998", "iso_celtic", "iso_ir_199", "l8", "latin8"],
    ),
    (Codec::Known(encoding_rs::ISO_8859_15), &["iso8859_15", "iso_8859_15", "l9", "latin9"]),
    (
        Codec::Known(encoding_rs::ISO_8859_16),
        &["iso8859_16", "iso_8859_16", "iso_8859_16_2001", "iso_ir_226", "l10", "latin10"],
    ),
    (
        Codec::Known(encoding_rs::ISO_8859_2),
        &["iso8859_2", "csisolatin2", "iso_8859_2", "iso_8859_2_1987", "iso_ir_101", "l2", "latin2"],
    ),
    (
        Codec::Known(encoding_rs::ISO_8859_3),
        &["iso8859_3", "csisolatin3", "iso_8859_3", "iso_8859_3_1988", "iso_ir_109", "l3", "latin3"],
    ),
    (
        Codec::Known(encoding_rs::ISO_8859_4),
        &["iso8859_4", "csisolatin4", "iso_8859_4", "iso_8859_4_1988", "iso_ir_110", "l4", "latin4"],
    ),
    (
        Codec::Known(encoding_rs::ISO_8859_5),
        &["iso8859_5", "csisolatincyrillic", "cyrillic", "iso_8859_5", "iso_8859_5_1988", "iso_ir_144"],
    ),
    (
        Codec::Known(encoding_rs::ISO_8859_6),
        &[
            "iso8859_6",
            "arabic",
            "asmo_708",
            "csisolatinarabic",
            "ecma_114",
            "iso_8859_6",
            "iso_8859_6_1987",
            "iso_ir_127",
        ],
    ),
    (
        Codec::Known(encoding_rs::ISO_8859_7),
        &[
            "iso8859_7",
            "csisolatingreek",
            "ecma_118",
            "elot_928",
            "greek",
            "greek8",
            "iso_8859_7",
            "iso_8859_7_1987",
            "iso_ir_126",
        ],
    ),
    (
        Codec::Known(encoding_rs::ISO_8859_8),
        &["iso8859_8", "csisolatinhebrew", "hebrew", "iso_8859_8", "iso_8859_8_1988", "iso_ir_138"],
    ),
    (
        Codec::Known(encoding_rs::WINDOWS_1254),
        &["iso8859_9", "csisolatin5", "iso_8859_9", "iso_8859_9_1989", "iso_ir_148", "l5", "latin5"],
    ),
    (Codec::Letters, &["johab", "cp1361", "ms1361"]),
    (Codec::Known(encoding_rs::KOI8_R), &["koi8_r", "cskoi8r"]),
    (Codec::Letters, &["koi8_t"]),
    (Codec::Known(encoding_rs::KOI8_U), &["koi8_u"]),
    (Codec::Letters, &["kz1048", "kz_1048", "rk1048", "strk1048_2002"]),
    (
        Codec::Latin1,
        &[
            "latin_1",
            "8859",
            "cp819",
            "csisolatin1",
            "ibm819",
            "iso8859",
            "iso8859_1",
            "iso_8859_1",
            "iso_8859_1_1987",
            "iso_ir_100",
            "l1",
            "latin",
            "latin1",
        ],
    ),
    (Codec::Letters, &["mac_arabic"]),
    (Codec::Letters, &["mac_croatian"]),
    (Codec::Known(encoding_rs::X_MAC_CYRILLIC), &["mac_cyrillic", "maccyrillic"]),
    (Codec::Letters, &["mac_farsi"]),
    (Codec::Letters, &["mac_greek", "macgreek"]),
    (Codec::Letters, &["mac_iceland", "maciceland"]),
    (Codec::Letters, &["mac_latin2", "mac_centeuro", "maccentraleurope", "maclatin2"]),
    (Codec::Known(encoding_rs::MACINTOSH), &["mac_roman", "macintosh", "macroman"]),
    (Codec::Letters, &["mac_romanian"]),
    (Codec::Letters, &["mac_turkish", "macturkish"]),
    (Codec::Letters, &["palmos"]),
    (Codec::Letters, &["ptcp154", "cp154", "csptcp154", "cyrillic_asian", "pt154"]),
    (Codec::NotAscii, &["punycode"]),
    (Codec::NotText, &["quopri_codec", "quopri", "quoted_printable", "quotedprintable"]),
    (Codec::Latin1, &["raw_unicode_escape"]),
    (Codec::NotText, &["rot_13", "rot13"]),
    (
        Codec::Known(encoding_rs::SHIFT_JIS),
        &["shift_jis", "csshiftjis", "s_jis", "shiftjis", "sjis", "x_mac_japanese"],
    ),
    (Codec::Letters, &["shift_jis_2004", "s_jis_2004", "shiftjis2004", "sjis_2004"]),
    (Codec::Letters, &["shift_jisx0213", "s_jisx0213", "shiftjisx0213", "sjisx0213"]),
    (
        Codec::Known(encoding_rs::WINDOWS_874),
        &["tis_620", "iso_ir_166", "tis620", "tis_620_0", "tis_620_2529_0", "tis_620_2529_1"],
    ),
    (Codec::NotAscii, &["undefined"]),
    (Codec::Latin1, &["unicode_escape"]),
    (Codec::NotAscii, &["utf_16", "u16", "utf16"]),
    (Codec::NotAscii, &["utf_16_be", "unicodebigunmarked", "utf_16be"]),
    (Codec::NotAscii, &["utf_16_le", "unicodelittleunmarked", "utf_16le"]),
    (Codec::NotAscii, &["utf_32", "u32", "utf32"]),
    (Codec::NotAscii, &["utf_32_be", "utf_32be"]),
    (Codec::NotAscii, &["utf_32_le", "utf_32le"]),
    (Codec::Letters, &["utf_7", "u7", "unicode_1_1_utf_7", "utf7"]),
    (Codec::Utf8, &["utf_8", "cp65001", "u8", "utf", "utf8", "utf8_ucs2", "utf8_ucs4"]),
    (Codec::Utf8, &["utf_8_sig"]),
    (Codec::NotText, &["uu_codec", "uu"]),
    (Codec::NotText, &["zlib_codec", "zip", "zlib"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_as_python_finds_them() {
        for latin in ["iso-8859-1", "latin1", "L1", "8859", "iso8859-1", "LATIN_1"] {
            assert_eq!(Codec::named(latin), Some(Codec::Latin1), "{latin}");
        }
        assert_eq!(Codec::named("cp1252"), Some(Codec::Known(encoding_rs::WINDOWS_1252)));
        assert_eq!(Codec::named("utf8"), Some(Codec::Utf8));
        assert_eq!(Codec::named("rot13"), Some(Codec::NotText));
        assert_eq!(Codec::named("utf-16"), Some(Codec::NotAscii));
        for unknown in ["uft-8", "latin.1", "l-a-t-i-n-1", "mbcs", "", "-"] {
            assert_eq!(Codec::named(unknown), None, "{unknown}");
        }
    }
}
