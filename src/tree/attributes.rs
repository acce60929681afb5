//! What git's own checkout does to the bytes of a file: `.gitattributes` of the tree itself, and `core.autocrlf`.
//!
//! Order as in git: `ident`, then line ends, then `working-tree-encoding`. The rules come only from files named
//! `.gitattributes` in the tree at hand: nothing of the machine, of a user, or of `info/attributes` is read, and a
//! `.gitattributes` that is a symlink is not followed. `filter=` never runs anything: git itself runs a filter only if
//! the local configuration defines it, and there is none, so an LFS pointer is written as it is.
//!
//! Most repositories have nothing that changes a byte; [`Converter::new`] says so with `None`, and then files may be
//! streamed from the pack to the disk.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix::attrs::search::{MetadataCollection, Outcome};
use gix::attrs::{Search, StateRef};
use gix::bstr::{BStr, BString, ByteSlice};
use gix::glob::pattern::Case;
use gix::objs::Find;
use gix_filter::eol::{self, AttributesDigest};

use super::encoding::{self, Encoding};
use super::pieces::{self, Crlf, Program, Steps};
use super::walk::read_error;
use super::{AutoCrlf, CheckoutConfig};
use super::{Bound, Entry, Error, Kind, Listing, ident};
use crate::git::pack;

/// git ignores longer lines (`ATTR_MAX_LINE_LENGTH`).
const LINE_BYTES: usize = 2048;
/// All `.gitattributes` of a tree together. Each line costs hundreds of bytes and a comparison with every file; real
/// trees have a few KiB.
const ALL_BYTES: u64 = 1 << 20;
/// The attributes that change bytes, in the order [`Converter::rule`] reads them.
const NAMES: [&str; 5] = ["crlf", "ident", "eol", "text", "working-tree-encoding"];

/// Turns blobs into the bytes of files. A clone is cheap and shares the rules: one for each thread.
#[derive(Clone)]
pub struct Converter {
    rules: Arc<Rules>,
    matches: Outcome,
}

struct Rules {
    /// By folder, empty for the top: the patterns of its `.gitattributes`.
    by_folder: HashMap<BString, Search>,
    config: eol::Configuration,
}

/// What happens to one file. Known from its path alone, before its blob is read.
#[derive(Debug, Clone, Copy)]
pub struct Conversion {
    line_ends: AttributesDigest,
    ident: bool,
    encoding: Option<Encoding>,
    config: eol::Configuration,
}

impl Converter {
    /// Reads the rules of a tree. `None` if none of them can change a byte of any file.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Read`] as for the walk; [`Error::TooMuch`] for rules beyond reason.
    pub fn new(
        listing: &Listing,
        objects: &impl Find,
        config: CheckoutConfig,
    ) -> Result<Option<Converter>, Error> {
        let listed = listing.has_attributes().then(|| listing.entries());
        Converter::of_rules(listed.into_iter().flatten(), objects, config)
    }

    /// The same from the `.gitattributes` among `entries`; others are not looked at.
    pub(super) fn of_rules<'a>(
        entries: impl Iterator<Item = Entry<'a>>,
        objects: &impl Find,
        config: CheckoutConfig,
    ) -> Result<Option<Converter>, Error> {
        let mut files = Vec::new();
        let mut total = 0;
        let mut acts = config.autocrlf == AutoCrlf::True;
        for entry in entries.filter(|entry| is_attributes(entry)) {
            total += entry.size;
            if total > ALL_BYTES {
                let path = entry.path.to_owned();
                return Err(Error::TooMuch { bound: Bound::AttributeBytes, max: ALL_BYTES, path });
            }
            let mut buffer = Vec::new();
            let found = objects.try_find(&entry.id, &mut buffer).map_err(|e| read_error(entry.id, e))?;
            let text = as_read_by_git(found.ok_or(Error::Missing { id: entry.id })?.data);
            acts |= can_act(&text, config);
            files.push((entry, text));
        }
        Ok(acts.then(|| Converter::with_files(&files, config)))
    }

    fn with_files(files: &[(Entry<'_>, Vec<u8>)], config: CheckoutConfig) -> Converter {
        let mut names = MetadataCollection::default();
        let built_in = Search::new_globals(std::iter::empty::<PathBuf>(), &mut Vec::new(), &mut names);
        debug_assert!(built_in.is_ok(), "reads no file");
        let mut by_folder = HashMap::new();
        // The top first: only there may macros be defined, and all others may use them.
        let mut files: Vec<_> = files.iter().collect();
        files.sort_by_key(|(entry, _)| entry.path.contains(&b'/'));
        for (entry, text) in files {
            let mut search = Search::default();
            let folder = entry.path.rfind_byte(b'/').map_or(&b""[..], |at| &entry.path[..at]);
            let root = Some(Path::new(""));
            let source = PathBuf::from(OsStr::from_bytes(entry.path));
            // Its only errors are of paths that some other system cannot have.
            if search.add_patterns_buffer(text, source, root, &mut names, folder.is_empty()).is_ok() {
                by_folder.insert(folder.into(), search);
            }
        }
        let config = eol::Configuration {
            auto_crlf: match config.autocrlf {
                AutoCrlf::False => eol::AutoCrlf::Disabled,
                AutoCrlf::True => eol::AutoCrlf::Enabled,
                AutoCrlf::Input => eol::AutoCrlf::Input,
            },
            eol: config.eol_crlf.then_some(eol::Mode::CrLf),
        };
        let mut matches = Outcome::default();
        matches.initialize_with_selection(&names, NAMES);
        Converter { rules: Arc::new(Rules { by_folder, config }), matches }
    }

    /// The bytes of a file as git's checkout writes them. Links and submodules are never converted.
    pub fn convert<'a>(&mut self, path: &BStr, kind: Kind, id: &gix::oid, blob: &'a [u8]) -> Cow<'a, [u8]> {
        match kind {
            Kind::File | Kind::Executable => self.rule(path).apply(id, blob),
            Kind::Symlink | Kind::Submodule => Cow::Borrowed(blob),
        }
    }

    /// What happens to the file at this path.
    pub fn rule(&mut self, path: &BStr) -> Conversion {
        let Rules { by_folder, config } = &*self.rules;
        let out = &mut self.matches;
        out.reset();
        // The nearest file first: it wins.
        let mut end = path.rfind_byte(b'/');
        loop {
            let folder = end.map_or(&b""[..], |end| &path[..end]).as_bstr();
            if let Some(search) = by_folder.get(folder) {
                search.pattern_matching_relative_path(path, Case::Sensitive, Some(false), out);
                if out.is_done() {
                    break;
                }
            }
            match end {
                None => break,
                Some(at) => end = path[..at].rfind_byte(b'/'),
            }
        }
        let mut states = out.iter_selected().map(|found| found.assignment.state);
        let [crlf, ident, eol, text, encoding] =
            std::array::from_fn(|_| states.next().unwrap_or(StateRef::Unspecified));
        Conversion {
            line_ends: line_ends(crlf, text, eol, *config),
            // `ident=x` is not set; gix's `is_set` says it is.
            ident: ident == StateRef::Set,
            encoding: match encoding {
                // A bare `working-tree-encoding` makes git give up on the whole checkout; nobody's DAGs should
                // depend on that, so it names no encoding here.
                StateRef::Set | StateRef::Unset | StateRef::Unspecified => None,
                StateRef::Value(name) if name.as_bstr().is_empty() => None,
                StateRef::Value(name) => encoding::by_name(name.as_bstr()),
            },
            config: *config,
        }
    }
}

impl Conversion {
    /// Whether no content at all would be changed: the blob may be streamed.
    pub fn is_identity(&self) -> bool {
        !self.ident
            && matches!(self.encoding, None | Some(Encoding::Unknown))
            && self.line_ends.to_eol(self.config) != Some(eol::Mode::CrLf)
    }

    /// Applies it to the blob `id` when that is too large to be held: `read` hands it on in pieces, from its begin, and is asked up
    /// to three times.
    ///
    /// # Errors
    /// Those of `read` and of `to`; and when a keyword is so long that it cannot be held either.
    pub fn apply_in_pieces(
        &self,
        id: &gix::oid,
        read: &mut dyn FnMut(&mut dyn Write) -> Result<(), pack::Error>,
        to: &mut dyn Write,
    ) -> Result<(), pack::Error> {
        let crlf = match self.line_ends.to_eol(self.config) {
            Some(eol::Mode::CrLf) if self.line_ends.is_auto_text() => Crlf::Auto(self.line_ends, self.config),
            Some(eol::Mode::CrLf) => Crlf::Always,
            _ => Crlf::Never,
        };
        let encoding = self.encoding.filter(|encoding| *encoding != Encoding::Unknown);
        pieces::convert(Steps { ident: self.program(), crlf, encoding }, id, read, to)
    }

    /// git streams unless it needs the whole file, and its two programs differ.
    fn program(&self) -> Option<Program> {
        let auto = matches!(self.line_ends, AttributesDigest::TextAuto | AttributesDigest::TextAutoCrlf);
        let program = if auto || self.encoding.is_some() { Program::Whole } else { Program::Stream };
        self.ident.then_some(program)
    }

    /// Applies it to the blob `id`.
    pub fn apply<'a>(&self, id: &gix::oid, blob: &'a [u8]) -> Cow<'a, [u8]> {
        let mut bytes = Cow::Borrowed(blob);
        let expanded = match self.program() {
            Some(Program::Whole) => ident::whole(&bytes, id),
            Some(Program::Stream) => ident::stream(&bytes, id),
            None => None,
        };
        if let Some(expanded) = expanded {
            bytes = Cow::Owned(expanded);
        }
        let mut buffer = Vec::new();
        // It fails only if there is no memory for the result, and then everything does.
        if let Ok(true) = eol::convert_to_worktree(&bytes, self.line_ends, &mut buffer, self.config) {
            bytes = Cow::Owned(buffer);
        }
        if let Some(encoding) = self.encoding.filter(|_| !bytes.is_empty())
            && let Some(encoded) = encoding.encode(&bytes)
        {
            bytes = Cow::Owned(encoded);
        }
        bytes
    }
}

/// `convert_attrs` of git's `convert.c`, for what concerns line ends.
fn line_ends(
    crlf: StateRef<'_>,
    text: StateRef<'_>,
    eol: StateRef<'_>,
    config: eol::Configuration,
) -> AttributesDigest {
    let digest = |state: StateRef<'_>| match state {
        StateRef::Set => Some(AttributesDigest::Text),
        StateRef::Unset => Some(AttributesDigest::Binary),
        StateRef::Value(value) if value.as_bstr() == "input" => Some(AttributesDigest::TextInput),
        StateRef::Value(value) if value.as_bstr() == "auto" => Some(AttributesDigest::TextAuto),
        _ => None,
    };
    let said = digest(text).or_else(|| digest(crlf));
    let eol = match eol {
        StateRef::Value(value) if value.as_bstr() == "lf" => Some(eol::Mode::Lf),
        StateRef::Value(value) if value.as_bstr() == "crlf" => Some(eol::Mode::CrLf),
        _ => None,
    };
    match (said, eol) {
        (Some(AttributesDigest::Binary), _) => AttributesDigest::Binary,
        (Some(AttributesDigest::TextAuto), Some(eol::Mode::Lf)) => AttributesDigest::TextAutoInput,
        (Some(AttributesDigest::TextAuto), Some(eol::Mode::CrLf)) => AttributesDigest::TextAutoCrlf,
        (_, Some(mode)) => mode.into(),
        (Some(AttributesDigest::Text), None) => config.to_eol().into(),
        (Some(digest), None) => digest,
        (None, None) => config.auto_crlf.into(),
    }
}

fn is_attributes(entry: &Entry) -> bool {
    is_name_of_rules(entry.path) && matches!(entry.kind, Kind::File | Kind::Executable)
}

/// Whether a path is that of a `.gitattributes`, whatever is there.
pub(super) fn is_name_of_rules(path: &BStr) -> bool {
    path.strip_suffix(b".gitattributes").is_some_and(|folder| folder.last().is_none_or(|end| *end == b'/'))
}

/// Whether any assignment in the file can change a byte of anything. `* text=auto`, which most repositories have, can
/// not unless the configuration asks for CRLF.
fn can_act(text: &[u8], config: CheckoutConfig) -> bool {
    let crlf_by_config = config.autocrlf == AutoCrlf::False && config.eol_crlf;
    gix::attrs::parse(text).filter_map(Result::ok).flat_map(|(_, assignments, _)| assignments).any(
        |assignment| {
            assignment.is_ok_and(|assignment| match (assignment.name.as_str(), assignment.state) {
                ("ident", state) => state == StateRef::Set,
                ("eol", StateRef::Value(value)) => value.as_bstr() == "crlf",
                ("working-tree-encoding", StateRef::Value(_)) => true,
                ("text" | "crlf", state) => crlf_by_config && !matches!(state, StateRef::Unset),
                _ => false,
            })
        },
    )
}

/// The file as git reads it from the index during a checkout, where that differs from gix: a NUL ends it, long lines
/// do not count, and a byte order mark is not skipped, so the pattern behind it matches nothing.
fn as_read_by_git(data: &[u8]) -> Vec<u8> {
    let data = &data[..data.find_byte(0).unwrap_or(data.len())];
    let lines =
        data.lines_with_terminator().filter(|line| line.trim_end_with(|c| c == '\n').len() < LINE_BYTES);
    // gix looks for the mark at the very beginning, which an empty line now is.
    let mut out = b"\n".to_vec();
    lines.for_each(|line| out.extend_from_slice(line));
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGESTS: [AttributesDigest; 4] = [
        AttributesDigest::Binary,
        AttributesDigest::TextCrlf,
        AttributesDigest::TextAutoCrlf,
        AttributesDigest::TextAutoInput,
    ];

    /// Text made of what matters to a conversion, most of it twice and more.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        let pieces: &[&[u8]] = &[
            b"$",
            b"$Id",
            b"$Id:",
            b"$Id: ",
            b"$Id$",
            b"$Id: old $",
            b"I",
            b"d",
            b":",
            b" ",
            b"\t",
            b"x",
            b"\n",
            b"\n",
            b"\r\n",
            b"\x1a",
            "\u{e9}".as_bytes(),
            "\u{1f6e9}".as_bytes(),
            "\u{feff}".as_bytes(),
        ];
        let rare: &[&[u8]] = &[b"\0", b"\r", b"\xff", b"\x01", b"$Id\0"];
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let rare: Vec<Vec<u8>> = rare.iter().map(|piece| piece.to_vec()).collect();
        let piece = prop_oneof![
            19 => prop::sample::select(pieces),
            1 => prop::sample::select(rare),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn a_blob_in_pieces_becomes_what_it_becomes_as_a_whole(
            blob in content(),
            digest in 0..DIGESTS.len(),
            ident: bool,
            encoding in prop::sample::select(vec![None, None, Some("UTF-16"), Some("latin-1"), Some("nonsense")]),
            cuts in prop::collection::vec(1usize..9, 1..8),
        ) {
            let rule = Conversion {
                line_ends: DIGESTS[digest],
                ident,
                encoding: encoding.and_then(|name| encoding::by_name(name.as_bytes())),
                config: eol::Configuration::default(),
            };
            let id = gix::ObjectId::empty_blob(gix::hash::Kind::Sha1);
            let mut read = |to: &mut dyn Write| {
                let mut rest = &blob[..];
                for cut in cuts.iter().cycle() {
                    let (piece, after) = rest.split_at((*cut).min(rest.len()));
                    if piece.is_empty() {
                        break;
                    }
                    to.write_all(piece).map_err(pack::Error::Output)?;
                    rest = after;
                }
                Ok(())
            };
            let mut pieces = Vec::new();
            rule.apply_in_pieces(&id, &mut read, &mut pieces).unwrap();
            let whole = rule.apply(&id, &blob);
            prop_assert_eq!(pieces.as_bstr(), whole.as_bstr());
        }
    }

    #[test]
    fn errors_of_who_reads_and_of_who_writes_come_through() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(rustix::io::Errno::NOSPC.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let id = gix::ObjectId::empty_blob(gix::hash::Kind::Sha1);
        for (line_ends, encoding) in
            [(AttributesDigest::TextAutoCrlf, None), (AttributesDigest::Binary, Some("UTF-16"))]
        {
            let encoding = encoding.and_then(|name: &str| encoding::by_name(name.as_bytes()));
            let rule = Conversion { line_ends, ident: true, encoding, config: eol::Configuration::default() };
            let mut whole = |to: &mut dyn Write| to.write_all(b"a\n").map_err(pack::Error::Output);
            let full = rule.apply_in_pieces(&id, &mut whole, &mut Full);
            assert!(matches!(full, Err(pack::Error::Output(_))), "{full:?}");
            let mut half = |to: &mut dyn Write| {
                to.write_all(b"a\n").map_err(pack::Error::Output)?;
                Err(pack::Error::Damaged("half".into()))
            };
            let damaged = rule.apply_in_pieces(&id, &mut half, &mut std::io::sink());
            assert!(matches!(damaged, Err(pack::Error::Damaged(_))), "{damaged:?}");
        }
    }
}
