//! `<root>/.airflowignore`: for a dags folder that points at the root by mistake.
//!
//! Airflow would find every DAG twice, below the link and below `.worktrees`, and stop with "Detected recursive
//! loop". The lines mean the same to both of its ignore syntaxes, and match nothing that a repository can hold at a place where
//! Airflow would look for DAGs: each is either anchored to the walk's root in one syntax and a literal nonsense name in the other,
//! or bound to a name that git forbids (`.git`) or that is ours.

use std::fs;
use std::io;

use super::error::Error;
use super::layout::{Layout, unique};
use super::lock::RootLock;
use crate::disk::{self, Point};

/// `^[.]x$` is for the regexp syntax: a folder of that name at the walk's root. `/[.]x` is the glob syntax's way to say the
/// same; a trailing slash would not do, Airflow 3.1.0 never matches those.
const CONTENT: &str = "\
# written by dagsync: keeps Airflow out of its folders when the dags folder is this one
^[.]git$
^[.]worktrees$
^[.]dagsync$
/[.]git/
/[.]worktrees
/[.]dagsync
";

/// Writes the file, unless somebody else's is there.
pub fn write(_proof: &RootLock, layout: &Layout) -> Result<(), Error> {
    let path = layout.root.join(".airflowignore");
    match fs::read_to_string(&path) {
        Ok(text) if text == CONTENT => return Ok(()),
        Ok(text) if !text.starts_with("# written by dagsync") => return Ok(()),
        Ok(_) => {}
        Err(err) if err.kind() == io::ErrorKind::NotFound => {}
        // Not text: not ours.
        Err(err) if err.kind() == io::ErrorKind::InvalidData => return Ok(()),
        Err(err) => return Err(Error::io("read", &path)(err)),
    }
    let temp = layout.state.join(format!("airflowignore-{}", unique()));
    disk::write_ours(Point::RootGuardWrite, &temp, CONTENT, layout.group_write)
        .map_err(Error::io("write", &temp))?;
    disk::rename(Point::RootGuardRename, &temp, &path).map_err(Error::io("put in place", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_user_is_left_alone_and_ours_is_renewed() {
        let dir = tempfile::tempdir().unwrap();
        let mut layout = Layout::sole(dir.path(), &dir.path().join("link"));
        layout.create(false).unwrap();
        let lock = RootLock::try_acquire(&layout).unwrap();
        let path = layout.root.join(".airflowignore");
        write(&lock, &layout).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), CONTENT);
        fs::write(&path, "# written by dagsync, an older one\n").unwrap();
        write(&lock, &layout).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), CONTENT);
        fs::write(&path, "mine\n").unwrap();
        write(&lock, &layout).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine\n");
    }

    #[test]
    fn as_a_regular_expression_no_line_matches_what_a_repository_can_hold() {
        // The regexp syntax searches unanchored in the path below the dags folder, the link's name first.
        let ours = [".git", ".worktrees", ".dagsync"];
        let theirs = [
            "repo/.gitignore",
            "repo/.github/x.py",
            "repo/a.git.py",
            "repo/dags/worktrees/x.py",
            "x.worktrees.py",
        ];
        let matches = |line: &str, path: &str| match line.strip_prefix('^') {
            Some(rest) => rest.strip_suffix('$').unwrap().replace("[.]", ".") == path,
            None => path.contains(&line.replace("[.]", ".")),
        };
        let lines = || CONTENT.lines().filter(|line| !line.starts_with('#'));
        for path in ours {
            assert!(lines().any(|line| matches(line, path)), "{path}");
        }
        for path in theirs {
            assert!(!lines().any(|line| matches(line, path)), "{path}");
        }
    }
}
