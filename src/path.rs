//! Paths as text: nothing here looks at the disk.

use std::path::{Component, Path, PathBuf};

/// The relative path from folder `from` to `to`; both absolute and physical.
pub fn relative(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - common);
    up.chain(to[common..].iter().copied()).collect()
}

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
    fn relative_paths_go_up_and_down() {
        let rel = |from: &str, to: &str| relative(Path::new(from), Path::new(to)).display().to_string();
        assert_eq!(rel("/r", "/r/.worktrees/x"), ".worktrees/x");
        assert_eq!(rel("/r/a/b", "/r/.worktrees/x"), "../../.worktrees/x");
        assert_eq!(rel("/other", "/r/x"), "../r/x");
    }

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
