//! The crash points: one table of names, in the order of a start and of a pass.

/// The names, the variants and what a crash leaves, in one place.
macro_rules! points {
    ($($(#[doc = $leaves:literal])+ $variant:ident = $name:literal;)+) => {
        /// A place in the code that changes the file system. Its line says what is on disk when the process dies before or after the
        /// change, and what becomes of it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[doc = $leaves])+ $variant,)+
        }

        impl Point {
            /// All of them.
            pub const ALL: &'static [Point] = &[$(Point::$variant,)+];

            /// `room.thing.change`: what tests call it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Point::$variant => $name,)+
                }
            }
        }
    };
}

points! {
    /// Some of the root's own folders; the next start makes the rest.
    RootFolderMake = "root.folder.make";
    /// A lock file that nobody holds; the next start opens it.
    RootLockOpen = "root.lock.open";
    /// A lock file that the group cannot write yet; the next start opens it to the group.
    RootLockMode = "root.lock.mode";
    /// A lock file with another owner's name or none; only people read it.
    RootLockSign = "root.lock.sign";
    /// Some leftovers of an earlier crash; the next start goes on.
    RootLeftoverRemove = "root.leftover.remove";
    /// A temporary guard file in our folder, whole or not; the next start removes it.
    RootGuardWrite = "root.guard.write";
    /// The old guard, or none, and a temporary one; or the new one.
    RootGuardRename = "root.guard.rename";
    /// An empty file in our folder, which asked how the volume takes `a` and `A`; the next start removes it.
    RootCaseCreate = "root.case.create";
    /// The same file, which asked whether the volume keeps modes.
    RootCaseMode = "root.case.mode";
    /// The same file, or nothing.
    RootCaseRemove = "root.case.remove";

    /// A store without some of its folders; the next start makes them.
    StoreFolderMake = "store.folder.make";
    /// Damage where a folder of the store has to be; the next start removes it.
    StoreDamageRemove = "store.damage.remove";
    /// A store that is not marked as ours yet: its next start takes it for somebody's, and loses nothing.
    StoreMarkWrite = "store.mark.write";
    /// Somebody's `config`, under its own name or set aside; without one, the next start writes one, and the store stays theirs.
    StoreConfigKeep = "store.config.keep";
    /// A `config.lock`, whole or not; the next start removes it.
    StoreConfigWrite = "store.config.write";
    /// A folder in the place of `config`, or part of it, or nothing; the next start writes `config`.
    StoreConfigRemove = "store.config.remove";
    /// A `config.lock`, or the `config`; the next start writes it.
    StoreConfigRename = "store.config.rename";
    /// A `HEAD` that makes no sense, or none; the next start writes one.
    StoreHeadRemove = "store.head.remove";
    /// A `HEAD` that is not whole; the next start writes it again.
    StoreHeadWrite = "store.head.write";
    /// Some leftovers of an earlier crash in the store; the next start goes on.
    StoreLeftoverRemove = "store.leftover.remove";
    /// Objects that were set aside before, or some of them, which nothing needs any more.
    StoreAsideClear = "store.aside.clear";
    /// The shallow list aside, its objects in use; the next start takes it back.
    StoreAsideShallow = "store.aside.shallow";
    /// Objects in use or aside; the next start takes them back.
    StoreAsideObjects = "store.aside.objects";
    /// Some of the objects that came after others were set aside; the next start takes those back.
    StoreRestoreClear = "store.restore.clear";
    /// Objects aside or back in use; the next start goes on.
    StoreRestoreObjects = "store.restore.objects";
    /// A shallow list of objects that went, or none; the next start goes on, or the next publication tidies it.
    StoreRestoreForget = "store.restore.forget";
    /// The shallow list aside or back in use; the next start goes on.
    StoreRestoreShallow = "store.restore.shallow";
    /// Somebody's objects aside or kept for good, beside a fetch that has all that is needed.
    StoreAsideKeep = "store.aside.keep";
    /// Some of what was set aside, beside a fetch that has all that is needed: the next start takes it back, or fetches again.
    StoreAsideDiscard = "store.aside.discard";

    /// No pack or a whole one, and a shallow list that knows of it or not; the next publication mends it.
    StoreFetchRun = "store.fetch.run";
    /// No pack, or an empty `tmp_pack_…`; the next start removes it.
    StorePackCreate = "store.pack.create";
    /// A `tmp_pack_…`, whole or not; the next start removes it.
    StorePackWrite = "store.pack.write";
    /// An empty `tmp_object_…` beside a pack or a tree that is being written; the next start removes it.
    StoreObjectCreate = "store.object.create";
    /// The same, or a file without a name, which is gone with the process.
    StoreObjectUnlink = "store.object.unlink";
    /// A pack or a private tree that is being written; the large object beside it has no name, and is gone with the process.
    StoreObjectWrite = "store.object.write";
    /// A whole `tmp_pack_…`, and an empty `tmp_idx_…`; the next start removes both.
    StoreIndexCreate = "store.index.create";
    /// A whole `tmp_pack_…`, and a `tmp_idx_…`, whole or not; the next start removes both.
    StoreIndexWrite = "store.index.write";
    /// The same, with their rights or without.
    StorePackMode = "store.pack.mode";
    /// A whole pack, under its own name or a temporary one, and a `tmp_idx_…`; the next start removes both.
    StorePackRename = "store.pack.rename";
    /// A pack without its index, which the next start removes, or with it.
    StoreIndexRename = "store.index.rename";
    /// A temporary file of a pack that did not come to anything; the next start removes it.
    StorePackDiscard = "store.pack.discard";
    /// A shallow list of history that is complete; the next publication removes it.
    StoreShallowRemove = "store.shallow.remove";
    /// A `shallow.lock`, whole or not; the next start removes it.
    StoreShallowWrite = "store.shallow.write";
    /// A whole `shallow.lock`; the next start removes it.
    StoreShallowSync = "store.shallow.sync";
    /// The old shallow list and a `shallow.lock`, or the new one; the next publication tidies it.
    StoreShallowRename = "store.shallow.rename";
    /// Objects in two packs; the next time makes one of them.
    StoreCompactFlush = "store.compact.flush";
    /// Some packs whose objects are in another one too; a lonely one goes at the next start, others the next time.
    StoreCompactRemove = "store.compact.remove";
    /// Some loose objects that nothing needs; the next time goes on.
    StoreLooseRemove = "store.loose.remove";
    /// A count of live bytes that is not whole; the next publication counts again.
    StoreLiveWrite = "store.live.write";

    /// The spare under its own name, whole, or under a private one; the next start removes that.
    TreeSpareTake = "tree.spare.take";
    /// A private folder with its index or without; the next start removes it.
    TreeSpareIndex = "tree.spare.index";
    /// A private folder, and some of its metadata; the next start removes both.
    TreeSpareAdmin = "tree.spare.admin";
    /// A private folder under one name or another, or part of it; the next start removes it.
    TreeSpareDiscard = "tree.spare.discard";
    /// A private folder with things of readers in it; the next start removes it.
    TreeExtraRemove = "tree.extra.remove";
    /// An empty private folder, or none; the next start removes it.
    TreeNewMake = "tree.new.make";
    /// Metadata that no tree names; the next start removes it.
    TreeAdminMake = "tree.admin.make";
    /// The same, without a whole `HEAD`.
    TreeAdminHead = "tree.admin.head";
    /// The same, without a whole `commondir`.
    TreeAdminCommondir = "tree.admin.commondir";
    /// The same, without a whole `gitdir`.
    TreeAdminGitdir = "tree.admin.gitdir";
    /// A private folder with the `.git` of a spare or without; the next start removes it.
    TreeGitfileRemove = "tree.gitfile.remove";
    /// A private folder whose `.git` is not whole; the next start removes it, and metadata that nothing names.
    TreeGitfileWrite = "tree.gitfile.write";
    /// A private folder with files that the revision does not have; the next start removes it.
    TreeStaleRemove = "tree.stale.remove";
    /// A private folder with folders that the revision does not have; the next start removes it.
    TreeStaleRmdir = "tree.stale.rmdir";
    /// A private folder without some of its folders; the next start removes it.
    TreeFolderMake = "tree.folder.make";
    /// A private folder with folders that the group cannot write; the next start removes it.
    TreeFolderMode = "tree.folder.mode";
    /// A private folder without some of its links; the next start removes it.
    TreeLinkMake = "tree.link.make";
    /// The same, with a temporary link in it.
    TreeLinkBeside = "tree.link.beside";
    /// The same, with an old link or the new one.
    TreeLinkRename = "tree.link.rename";
    /// A private folder with links of the wrong time; the next start removes it.
    TreeLinkTime = "tree.link.time";
    /// A private folder without some of its files; the next start removes it.
    TreeFileCreate = "tree.file.create";
    /// The same, with a temporary file in it.
    TreeFileBeside = "tree.file.beside";
    /// A private folder with files that the group cannot write; the next start removes it.
    TreeFileMode = "tree.file.mode";
    /// A private folder with files that are not whole; the next start removes it.
    TreeFileWrite = "tree.file.write";
    /// The same.
    TreeFileClone = "tree.file.clone";
    /// A private folder with files of the wrong time; the next start removes it.
    TreeFileTime = "tree.file.time";
    /// A private folder with an old file or the new one; the next start removes it.
    TreeFileRename = "tree.file.rename";
    /// A private folder with kept files of the wrong time; the next start removes it.
    TreeKeptTime = "tree.kept.time";
    /// A private folder with folders of the wrong time; the next start removes it.
    TreeFolderTime = "tree.folder.time";
    /// A private folder with all its files and no index, or an empty `index.lock`; the next start removes it.
    TreeIndexCreate = "tree.index.create";
    /// A private folder with all its files, and an `index.lock`, whole or not; the next start removes it.
    TreeIndexWrite = "tree.index.write";
    /// A private folder with an `index.lock` or its index; the next start removes it.
    TreeIndexRename = "tree.index.rename";
    /// A private folder, whole, and an empty `again-<n>`; the next start removes both.
    TreePlaceMake = "tree.place.make";
    /// A whole tree under a private name, which the next start removes, or under its own, which counts as a replaced one.
    TreePlaceRename = "tree.place.rename";
    /// A whole tree that nothing links to, on disk or on its way there; the next start counts it among the replaced ones.
    TreePlaceFlush = "tree.place.flush";
    /// A published tree that is damaged, with an index, which the next start finds again, or without: it is built again.
    TreeIndexDisown = "tree.index.disown";

    /// The old tree published, and a temporary link, which the next start removes.
    PublishLinkMake = "publish.link.make";
    /// The old tree or the new one published, both whole; before, a temporary link, which the next start removes.
    PublishLinkRename = "publish.link.rename";
    /// The old tree published, with a temporary link or without.
    PublishLinkDiscard = "publish.link.discard";
    /// The new tree published, for whoever looks now; after a loss of power it may be the old one, which is still there.
    PublishLinkSync = "publish.link.sync";
    /// The old state file and a temporary one, which the next start removes.
    PublishStateCreate = "publish.state.create";
    /// The same, not whole.
    PublishStateWrite = "publish.state.write";
    /// The same, whole.
    PublishStateSync = "publish.state.sync";
    /// The old state file and a temporary one, or the new one; the old one's memory of what is published does not count then.
    PublishStateRename = "publish.state.rename";
    /// The old state file, with a temporary one or without.
    PublishStateDiscard = "publish.state.discard";

    /// A tree past its time, under its own name or kept in our folder for the next build.
    RetireTreePark = "retire.tree.park";
    /// A replaced tree under its own name, or on its way out; the next sweep removes that.
    RetireTreeRename = "retire.tree.rename";
    /// A tree on its way out, with its index or without; the next sweep removes it.
    RetireIndexRemove = "retire.index.remove";
    /// A tree on its way out and some of its metadata; the next sweep removes both.
    RetireAdminRemove = "retire.admin.remove";
    /// Some of a tree on its way out; the next sweep removes it.
    RetireTreeRemove = "retire.tree.remove";
    /// An empty `again-<n>`; the next sweep removes it.
    RetireParentRemove = "retire.parent.remove";
    /// Some strays among the trees; the next sweep goes on.
    RetireStrayRemove = "retire.stray.remove";
    /// Something on its way out, with rights for us that it did not have; the next sweep removes it.
    RetireRightsGive = "retire.rights.give";

    /// A touch-file that is not there, or has its old time: older than the link, so that the next start touches it.
    TouchFileOpen = "touch.file.open";
    /// A touch-file with its old time, or the new one.
    TouchFileTime = "touch.file.time";
    /// The old error-file or none, and an empty one beside it, which the next start removes.
    ErrorFileCreate = "error.file.create";
    /// The same, not whole.
    ErrorFileWrite = "error.file.write";
    /// The same, whole.
    ErrorFileMode = "error.file.mode";
    /// The old error-file or none and the one beside it, which the next start removes; or the new one.
    ErrorFileRename = "error.file.rename";
    /// The old error-file or none, with one beside it or without.
    ErrorFileDiscard = "error.file.discard";
    /// An error-file of a failure that is over, until the next success, or none.
    ErrorFileClear = "error.file.clear";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_points_are_unique_and_of_one_form() {
        let mut names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
        for name in &names {
            let parts: Vec<_> = name.split('.').collect();
            let good = |part: &&str| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            };
            assert!(parts.len() == 3 && parts.iter().all(good), "{name}");
        }
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
