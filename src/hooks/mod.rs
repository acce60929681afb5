//! Who is told about a published revision, after the fact.
//!
//! The pass hands each publication to an [`Announcer`] and goes on: telling is never in the way of syncing, and a failure to
//! tell is not a failure of the pass. Today nobody is there to be told; hooks and webhooks come behind this door.

/// A publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The source's name.
    pub source: String,
    /// The commit, in hex.
    pub commit: String,
    /// The commit that was published before, if any.
    pub previous: Option<String>,
    /// The tree that the link leads to now.
    pub tree: std::path::PathBuf,
}

/// Is told. Returns at once; whatever takes time happens elsewhere.
pub trait Announcer: Send {
    /// A revision was published.
    fn published(&mut self, publication: &Publication);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Announcer for Nobody {
    fn published(&mut self, _publication: &Publication) {}
}
