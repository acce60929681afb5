//! Paths that fall together on a volume that folds case.
//!
//! On such a volume `A/hook` is written through a symlink `a` (CVE-2024-32002). We cannot see whether a volume is of
//! that kind before we write to it, and trees are rsynced to laptops, so a collision with a symlink in it is refused
//! everywhere; one between files is refused only where the operator says that case folds.
//!
//! Collisions are rare, so the walk only asks [`may_collide`] of each tree object, which costs next to nothing; the
//! exact search over the whole listing runs when a tree said yes.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::hash::{BuildHasher, RandomState};

use gix::bstr::{BStr, BString, ByteSlice};

use super::{Error, Kind, Listing};

/// Whether two names of one tree object could be the same to a volume that folds case. `hashes` is scratch space.
pub(super) fn may_collide<'a>(
    names: impl Iterator<Item = &'a BStr> + Clone,
    state: &RandomState,
    hashes: &mut Vec<u64>,
) -> bool {
    // Names are distinct bytes already: if none changes by folding, none can collide.
    if !names.clone().any(|name| name.iter().any(|b| b.is_ascii_uppercase() || *b >= 0x80)) {
        return false;
    }
    hashes.clear();
    let mut folded = Vec::new();
    for name in names {
        folded.clear();
        fold(name, &mut folded);
        hashes.push(state.hash_one(&folded));
    }
    hashes.sort_unstable();
    hashes.windows(2).any(|pair| pair[0] == pair[1])
}

/// Appends `name` as a volume that folds case may compare it. Simple folding through upper case, as NTFS and SMB do,
/// and back; characters that HFS+ ignores are dropped. Normal forms (`é` as one or two characters) are not folded.
pub(super) fn fold(name: &BStr, out: &mut Vec<u8>) {
    for (start, end, c) in name.char_indices() {
        match c {
            c if c.is_ascii() => out.push(c.to_ascii_lowercase() as u8),
            '\u{fffd}' => out.extend_from_slice(&name[start..end]),
            '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}' => {}
            c => {
                let mut buf = [0; 4];
                for c in c.to_uppercase().flat_map(char::to_lowercase) {
                    out.extend_from_slice(c.encode_utf8(&mut buf).as_bytes());
                }
            }
        }
    }
}

/// Looks for the collisions that are refused: with a symlink always, others when `refuse_all`.
pub(super) fn check(listing: &Listing, refuse_all: bool) -> Result<(), Error> {
    // Folded path → what was seen there first. Folders count, by their own spelling.
    let mut seen: HashMap<Vec<u8>, (BString, bool)> = HashMap::new();
    let mut previous = BStr::new("");
    for entry in listing.entries() {
        let path = entry.path;
        let ends = path.find_iter("/").chain([path.len()]);
        for end in ends {
            let part = path[..end].as_bstr();
            let leaf = end == path.len();
            // Entries are sorted: a folder shared with the entry before was looked at with that one.
            if !leaf && previous.starts_with(part) && previous.get(end) == Some(&b'/') {
                continue;
            }
            let symlink = leaf && entry.kind == Kind::Symlink;
            let mut key = Vec::with_capacity(part.len());
            fold(part, &mut key);
            match seen.entry(key) {
                Slot::Vacant(slot) => {
                    slot.insert((part.to_owned(), symlink));
                }
                Slot::Occupied(mut slot) => {
                    let (first, first_symlink) = slot.get();
                    if first.as_bstr() == part {
                        continue;
                    }
                    let symlink_in_it = symlink || *first_symlink;
                    if symlink_in_it || refuse_all {
                        let (first, second) = (first.clone(), part.to_owned());
                        return Err(Error::Collision { first, second, symlink: symlink_in_it });
                    }
                    slot.get_mut().1 |= symlink;
                }
            }
        }
        previous = path;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Entry;

    fn listing(paths: &[(&str, Kind)]) -> Listing {
        let id = gix::ObjectId::null(gix::hash::Kind::Sha1);
        Listing::of(paths.iter().map(|(path, kind)| Entry { path: (*path).into(), kind: *kind, id, size: 0 }))
    }

    fn refused(paths: &[(&str, Kind)], all: bool) -> Option<bool> {
        match check(&listing(paths), all) {
            Ok(()) => None,
            Err(Error::Collision { symlink, .. }) => Some(symlink),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_collision_with_a_symlink_is_refused_everywhere() {
        use Kind::{File, Symlink};
        for paths in [
            &[("A/modules/x", File), ("a", Symlink)][..],
            &[("a", Symlink), ("A", File)],
            &[("D/a", Symlink), ("d/A/hook", File)],
            &[("X/Y/l", Symlink), ("x/y/L", Symlink)],
            &[("straße", Symlink), ("STRASSE", File)],
            &[("\u{212a}", Symlink), ("k", File)],
            &[("É", Symlink), ("é", File)],
            &[("B", File), ("a/x", File), ("a/y", File), ("b", Symlink)],
        ] {
            assert_eq!(refused(paths, false), Some(true), "{paths:?}");
            // There the folders above may be what is named first.
            assert!(refused(paths, true).is_some(), "{paths:?}");
        }
    }

    #[test]
    fn other_collisions_are_refused_where_case_folds() {
        use Kind::File;
        for paths in [&[("README", File), ("readme", File)][..], &[("A/x", File), ("a/y", File)]] {
            assert_eq!(refused(paths, false), None, "{paths:?}");
            assert_eq!(refused(paths, true), Some(false), "{paths:?}");
        }
        assert_eq!(refused(&[("a/b", File), ("a.b", File), ("a/c", File), ("B", File)], true), None);
    }

    #[test]
    fn the_quick_look_never_misses_a_collision_of_siblings() {
        let state = RandomState::new();
        let look = |names: &[&str]| may_collide(names.iter().map(|n| (*n).into()), &state, &mut Vec::new());
        assert!(!look(&["a", "b", "c.py"]));
        assert!(!look(&["Makefile", "README", "a"]));
        assert!(look(&["README", "a", "readme"]));
        assert!(look(&["É", "é"]));
    }
}
