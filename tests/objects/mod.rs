//! Object stores made by hand, for trees that git itself would not write.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use dagsync::config::Limits;
use dagsync::tree::{Error, Listing, Policy, walk};
use gix::ObjectId;
use gix::objs::{Data, Find, FindHeader, Header, Kind};

pub const FILE: &str = "100644";
pub const LINK: &str = "120000";
pub const DIR: &str = "40000";

/// A store in memory. Trees go in as they are told, with no checks.
#[derive(Default)]
pub struct Objects {
    all: HashMap<ObjectId, (Kind, Vec<u8>)>,
    /// Sizes told instead of the true ones, for blobs too large for a test.
    sizes: HashMap<ObjectId, u64>,
    /// How many objects were read in full.
    pub reads: Cell<usize>,
}

impl Objects {
    pub fn put(&mut self, kind: Kind, bytes: Vec<u8>) -> ObjectId {
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, &bytes).unwrap();
        self.all.insert(id, (kind, bytes));
        id
    }

    pub fn blob(&mut self, text: impl AsRef<[u8]>) -> ObjectId {
        self.put(Kind::Blob, text.as_ref().to_vec())
    }

    /// A blob that says it has `size` bytes.
    pub fn blob_of(&mut self, size: u64) -> ObjectId {
        let id = self.blob(format!("a blob of {size} bytes"));
        self.sizes.insert(id, size);
        id
    }

    /// A tree with exactly these entries in exactly this order.
    pub fn tree<N: AsRef<[u8]>>(&mut self, entries: &[(&str, N, ObjectId)]) -> ObjectId {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name.as_ref());
            bytes.push(0);
            bytes.extend_from_slice(id.as_bytes());
        }
        self.put(Kind::Tree, bytes)
    }

    /// A well-formed tree from full paths: (mode, path, content).
    pub fn tree_of(&mut self, files: &[(&str, String, String)]) -> ObjectId {
        #[derive(Default)]
        struct Folder {
            files: Vec<(String, String, ObjectId)>,
            folders: HashMap<String, Folder>,
        }
        fn write(objects: &mut Objects, folder: Folder) -> ObjectId {
            let mut entries = folder.files;
            for (name, below) in folder.folders {
                let id = write(objects, below);
                entries.push((DIR.into(), name, id));
            }
            entries
                .sort_by_key(|(mode, name, _)| if mode == DIR { format!("{name}/") } else { name.clone() });
            let entries: Vec<_> = entries.iter().map(|(m, n, id)| (m.as_str(), n.as_str(), *id)).collect();
            objects.tree(&entries)
        }
        let mut root = Folder::default();
        for (mode, path, content) in files {
            let mut parts: Vec<_> = path.split('/').collect();
            let name = parts.pop().unwrap().to_owned();
            let id = self.blob(content);
            let folder =
                parts.into_iter().fold(&mut root, |at, part| at.folders.entry(part.into()).or_default());
            folder.files.push(((*mode).into(), name, id));
        }
        write(self, root)
    }

    pub fn walk(&self, root: ObjectId) -> Result<Listing, Error> {
        self.walk_with(root, &Limits::default(), &Policy::default())
    }

    pub fn walk_with(&self, root: ObjectId, limits: &Limits, policy: &Policy) -> Result<Listing, Error> {
        walk(self, &root, limits, policy, &AtomicBool::new(false))
    }
}

impl Find for Objects {
    fn try_find<'a>(&self, id: &gix::oid, buffer: &'a mut Vec<u8>) -> gix::Result<Option<Data<'a>>> {
        self.reads.set(self.reads.get() + 1);
        Ok(self.all.get(id).map(|(kind, bytes)| {
            buffer.clone_from(bytes);
            Data::new(buffer, *kind, gix::hash::Kind::Sha1)
        }))
    }
}

impl FindHeader for Objects {
    fn try_header(&self, id: &gix::oid) -> gix::Result<Option<Header>> {
        Ok(self.all.get(id).map(|(kind, bytes)| {
            let size = self.sizes.get(id).copied().unwrap_or(bytes.len() as u64);
            Header { kind: *kind, size }
        }))
    }
}
