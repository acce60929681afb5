//! Which names may become files.
//!
//! The rules of git on every system at once, not those of the system we run on: the tree may lie on a share that
//! another system serves (CVE-2024-35186, GHSA-crhj-59gh-8x96). gix knows the spellings of `.git`; what it does not
//! look at on Linux is added here.

use std::fmt;

use gix::bstr::{BStr, ByteSlice};
use gix::validate::path::component;

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameProblem {
    /// Nothing at all.
    Empty,
    /// `.` or `..`, also beside a backslash.
    Relative,
    /// A `/` inside one name.
    Separator,
    /// `.git`, or what some file system takes for it.
    DotGit,
    /// A `.gitmodules` that is a symlink (GHSA-pg4w-g64p-qwhj).
    LinkedGitmodules,
    /// CR, LF, ESC and their like (CVE-2025-48384).
    Control,
    /// A device name, or a character that a Windows share cannot hold.
    Windows,
}

impl fmt::Display for NameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameProblem::Empty => "an empty name",
            NameProblem::Relative => "`.` and `..` are no names",
            NameProblem::Separator => "a `/` inside a name",
            NameProblem::DotGit => "a spelling of `.git`",
            NameProblem::LinkedGitmodules => "`.gitmodules` must not be a symlink",
            NameProblem::Control => "a control character",
            NameProblem::Windows => "a name that this volume cannot hold",
        })
    }
}

/// Checks one component. `windows` adds what a volume served by Windows cannot hold; elsewhere `aux.py` and
/// `12:00.json` are ordinary files that repositories have, so they are left alone.
pub(super) fn check(name: &BStr, symlink: bool, windows: bool) -> Result<(), NameProblem> {
    let mut backslash = false;
    for b in name.iter() {
        if *b < 0x20 || *b == 0x7f {
            return Err(NameProblem::Control);
        }
        backslash |= *b == b'\\';
    }
    component_check(name, symlink, windows)?;
    if backslash {
        // One name here, a path on a share: `.git\config`, `..\..\x`. An empty piece is harmless.
        for piece in name.split_str("\\").filter(|p| !p.is_empty()) {
            component_check(piece.as_bstr(), symlink, windows)?;
        }
    }
    Ok(())
}

fn component_check(name: &BStr, symlink: bool, windows: bool) -> Result<(), NameProblem> {
    use component::Error as E;
    let options = component::Options { protect_windows: windows, protect_hfs: true, protect_ntfs: true };
    match gix::validate::path::component(name, symlink.then_some(component::Mode::Symlink), options) {
        Ok(_) => Ok(()),
        Err(E::Empty) => Err(NameProblem::Empty),
        Err(E::Relative) => Err(NameProblem::Relative),
        // With `protect_windows` a backslash is reported as a separator too.
        Err(E::PathSeparator) if !name.contains(&b'/') => Err(NameProblem::Windows),
        Err(E::PathSeparator) => Err(NameProblem::Separator),
        Err(E::DotGitDir) => Err(NameProblem::DotGit),
        Err(E::SymlinkedGitModules) => Err(NameProblem::LinkedGitmodules),
        Err(_) => Err(NameProblem::Windows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(name: &[u8]) -> Result<(), NameProblem> {
        check(name.as_bstr(), false, false)
    }

    #[test]
    fn dot_git_is_seen_in_any_spelling() {
        let spellings: &[&str] = &[
            ".git",
            ".GIT",
            ".GiT",
            "git~1",
            "GIT~1",
            ".git::$INDEX_ALLOCATION",
            ".git:x",
            "git~1:x",
            ".git.",
            ".git ",
            ".git. . ",
            ".g\u{200c}it",
            "\u{200e}.git",
            ".git\u{feff}",
            ".G\u{200d}I\u{206f}T",
            ".git\\config",
            "x\\.git\\config",
            "a\\GIT~1",
            ".git .\\x",
        ];
        for name in spellings {
            assert_eq!(plain(name.as_bytes()), Err(NameProblem::DotGit), "{name:?}");
        }
    }

    #[test]
    fn names_that_repositories_have_are_allowed() {
        for name in [
            ".gitignore",
            ".gitattributes",
            ".gitmodules",
            ".github",
            "git",
            "git~2",
            "...",
            "..a",
            "a..",
            "a b",
            "aux.py",
            "con",
            "12:00.json",
            "what?.sql",
            "a\\b",
            "-x",
            "é",
            "ünï",
            "a~1",
            "x.",
            "$(id)",
            "{{ds}}",
            "🛩.py",
        ] {
            assert_eq!(plain(name.as_bytes()), Ok(()), "{name:?}");
        }
        assert_eq!(plain(b"latin-1 \xe9"), Ok(()));
    }

    #[test]
    fn traversal_and_control_characters_are_refused() {
        assert_eq!(plain(b""), Err(NameProblem::Empty));
        for name in [&b"."[..], b"..", b"..\\..\\etc", b"a\\.."] {
            assert_eq!(plain(name), Err(NameProblem::Relative), "{name:?}");
        }
        for name in [&b"/"[..], b"a/b", b"/etc", b"../x", b"a/"] {
            assert_eq!(plain(name), Err(NameProblem::Separator), "{name:?}");
        }
        for b in (0..0x20u8).chain([0x7f]) {
            assert_eq!(plain(&[b'a', b, b'b']), Err(NameProblem::Control), "{b}");
        }
    }

    #[test]
    fn windows_names_are_refused_where_the_volume_cannot_hold_them() {
        for name in [
            "aux", "AUX.py", "con", "nul.txt", "com1", "LPT9.x", "CONIN$", "a:b", "c:", "what?", "x.", "x ",
            "a\\b",
        ] {
            assert_eq!(check(name.into(), false, true), Err(NameProblem::Windows), "{name:?}");
        }
        assert_eq!(check("dag.py".into(), false, true), Ok(()));
    }

    #[test]
    fn gitmodules_is_refused_as_a_symlink_only() {
        for name in
            [".gitmodules", ".GITMODULES", "gitmod~1", "GI7EBA~1", ".gitmodules ", ".git\u{200c}modules"]
        {
            assert_eq!(check(name.into(), true, false), Err(NameProblem::LinkedGitmodules), "{name:?}");
            assert_eq!(check(name.into(), false, false), Ok(()), "{name:?}");
        }
    }
}
