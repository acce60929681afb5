//! What the configuration says about trees, in the words of this room.

/// What changes the bytes between the object store and the disk, apart from `.gitattributes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckoutConfig {
    /// `core.autocrlf`.
    pub autocrlf: AutoCrlf,
    /// `core.eol=crlf`.
    pub eol_crlf: bool,
}

/// `core.autocrlf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoCrlf {
    /// `false`.
    #[default]
    False,
    /// `true`.
    True,
    /// `input`.
    Input,
}

/// Where symlinks of a tree may point, resolved physically, link by link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// Only inside the tree: a committed link to `/etc` refuses the revision (CVE-2022-24904 and its kin).
    #[default]
    Inside,
    /// Anywhere, as git's own checkout has it.
    Any,
}

/// Which times the files of a new tree get. Shapes no tree's bytes: the live tree is not built again because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Times {
    /// What a commit does not change keeps its time.
    #[default]
    Preserve,
    /// Everything is as old as its tree.
    Now,
}

/// Whether a tree is on disk before it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durable {
    /// Where it outlives the power at all.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never: what the kernel has not written yet is lost with the power.
    Off,
}

/// Bounds on a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files and links.
    pub entries: u64,
    /// Sum of the blobs, in bytes.
    pub bytes: u64,
    /// One blob, in bytes.
    pub blob_bytes: u64,
    /// Nested folders.
    pub depth: u32,
}

impl Default for Limits {
    /// Generous, yet small enough that a tree of that many entries is listed within 64 MiB.
    fn default() -> Self {
        Limits { entries: 500_000, bytes: 64 << 30, blob_bytes: 4 << 30, depth: 128 }
    }
}
