//! What is plain from the text, without parsing it.

use super::super::{Code, Issue};
use super::place::Lines;

/// A pointer of Git LFS, by its specification: the first line, and short.
pub(super) fn pointer(source: &[u8]) -> Option<Issue> {
    let known: [&[u8]; 2] =
        [b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/"];
    let is_one = source.len() < 1024
        && known.iter().any(|start| source.starts_with(start))
        && source.windows(5).any(|five| five == b"\noid ");
    is_one.then(|| {
        Issue::at(1, 1, Code::LfsPointer, "a pointer of Git LFS in place of the file")
            .hint("commit the file itself: what is published comes from git alone")
    })
}

/// The first line of a conflict that was committed. Only for a text that cannot be parsed: `=======` also underlines headings.
pub(super) fn conflict(text: &str, lines: &Lines<'_>) -> Option<Issue> {
    let marks = |line: &str, mark: char| {
        let rest = line.strip_prefix(&*mark.to_string().repeat(7));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
    };
    let mut first = None;
    let (mut ours, mut theirs) = (false, false);
    for (at, line) in lines.iter().enumerate() {
        for (mark, seen) in [('<', &mut ours), ('>', &mut theirs)] {
            if marks(line, mark) {
                *seen = true;
                first = first.or(Some((at, line)));
            }
        }
        if line == "=======" && ours {
            first = first.or(Some((at, line)));
        }
    }
    if text.len() < 7 || !(ours || theirs) {
        return None;
    }
    let (at, line) = first?;
    let line_number = u32::try_from(at + 1).unwrap_or(u32::MAX);
    let shown: String = line.chars().take(7).collect();
    Some(
        Issue::at(line_number, 1, Code::ConflictMarker, format!("a conflict marker of git: `{shown}`"))
            .hint("resolve the conflict and commit again"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_told_at_its_first_marker() {
        let text = "x = 1\n<<<<<<< HEAD\ny = 1\n=======\ny = 2\n>>>>>>> other\n";
        let issue = conflict(text, &Lines::of(text)).unwrap();
        assert_eq!((issue.line, issue.code), (2, Code::ConflictMarker));
        for fine in ["a = = 1\n=======\n", "<<<<<<<< eight\n", "x <<<<<<< y\n"] {
            assert_eq!(conflict(fine, &Lines::of(fine)), None, "{fine}");
        }
        assert!(conflict(">>>>>>> other\n", &Lines::of(">>>>>>> other\n")).is_some());
    }

    #[test]
    fn a_pointer_is_known_by_its_first_line_and_its_id() {
        let pointer_text = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        assert_eq!(pointer(pointer_text).map(|issue| issue.code), Some(Code::LfsPointer));
        assert_eq!(pointer(b"version https://git-lfs.github.com/spec/v1 is what we use\n"), None);
        assert_eq!(pointer(b"version = 1\n"), None);
    }
}
