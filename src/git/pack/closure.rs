//! What some commits need.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use gix::objs::commit::ref_iter::Token;
use gix::objs::{CommitRefIter, Find as _, Kind, TreeRefIter};

use super::{Error, check};
use crate::git::store::{Objects, Store};

/// The commits of `kept` with their history up to the shallow boundary, their trees and their blobs. What is not there is
/// left out; what is there and cannot be read is an error, since nobody knows what it needs.
pub(super) fn closure(
    store: &Store,
    objects: &Objects,
    kept: &[ObjectId],
    interrupt: &AtomicBool,
) -> Result<HashSet<ObjectId>, Error> {
    let boundary: BTreeSet<ObjectId> = store.shallow().map_err(Error::Store)?;
    let mut live = HashSet::new();
    let mut commits = kept.to_vec();
    let mut trees = Vec::new();
    let mut buffer = Vec::new();
    while let Some(commit) = commits.pop() {
        check(interrupt)?;
        if live.contains(&commit) {
            continue;
        }
        let Some(data) = read(objects, commit, Kind::Commit, &mut buffer)? else { continue };
        live.insert(commit);
        for token in CommitRefIter::from_bytes(data, store.hash()) {
            match token.map_err(|_| unreadable(&commit))? {
                Token::Tree { id } => trees.push(id),
                Token::Parent { id } if !boundary.contains(&commit) => commits.push(id),
                Token::Parent { .. } => {}
                _ => break,
            }
        }
        while let Some(tree) = trees.pop() {
            check(interrupt)?;
            if live.contains(&tree) {
                continue;
            }
            let Some(data) = read(objects, tree, Kind::Tree, &mut buffer)? else { continue };
            live.insert(tree);
            for entry in TreeRefIter::from_bytes(data, store.hash()) {
                let entry = entry.map_err(|_| unreadable(&tree))?;
                if entry.mode.is_tree() {
                    trees.push(entry.oid.to_owned());
                } else if !entry.mode.is_commit() {
                    live.insert(entry.oid.to_owned());
                }
            }
        }
    }
    Ok(live)
}

fn read<'a>(
    objects: &Objects,
    id: ObjectId,
    kind: Kind,
    buffer: &'a mut Vec<u8>,
) -> Result<Option<&'a [u8]>, Error> {
    match objects.try_find(&id, buffer) {
        Ok(Some(found)) if found.kind == kind => Ok(Some(found.data)),
        Ok(None) => Ok(None),
        Ok(Some(_)) | Err(_) => Err(unreadable(&id)),
    }
}

fn unreadable(id: &ObjectId) -> Error {
    Error::Damaged(format!("{id} cannot be read"))
}
