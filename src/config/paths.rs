//! Paths as text: nothing here looks at the disk.

use std::path::{Component, Path, PathBuf};

/// `path` as seen from `base` (absolute), made lexically normal: no `.`, no `..`, no doubled slashes.
///
/// `..` takes away the component before it even if that is a symlink, as git-sync (Go's `filepath.Abs`) has it.
pub fn absolute(path: &Path, base: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in base.components().chain(path.components()) {
        match component {
            Component::RootDir => normal = PathBuf::from("/"),
            Component::ParentDir => {
                normal.pop();
            }
            Component::Normal(name) => normal.push(name),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weird_paths_become_normal_ones() {
        for (path, expected) in [
            ("../..//x", "/x"),
            ("../../../../x/", "/x"),
            ("x/./y/../z", "/a/b/x/z"),
            (".", "/a/b"),
            ("/", "/"),
            ("//x//y", "/x/y"),
            ("/x/..", "/"),
            ("", "/a/b"),
        ] {
            assert_eq!(absolute(Path::new(path), Path::new("/a/b")), Path::new(expected), "{path}");
        }
    }
}
