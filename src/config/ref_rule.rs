//! Which ref wins when several names are given. Pure. Which texts are refs at all is `git::refs`'s to say.

/// What the Airflow chart has as the default of both its ref and its branch: it means "nobody chose".
const CHART_DEFAULT: &str = "v2-2-stable";

/// Who wins when a ref and a branch are given and differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precedence {
    /// The ref: what a user who pins one expects.
    Ref,
    /// The branch: what git-sync does (apache/airflow#42918).
    Branch,
}

/// The outcome of [`choose`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The ref to sync.
    pub reference: String,
    /// A ref and a branch were given, both chosen by somebody, and differ.
    pub conflict: bool,
}

/// The rule of the contract: `rev` first unless it is `HEAD`, then ref against branch. Empty is not set.
pub fn choose(
    reference: Option<&str>,
    branch: Option<&str>,
    rev: Option<&str>,
    precedence: Precedence,
) -> Choice {
    let set = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let sure = |reference: String| Choice { reference, conflict: false };
    if let Some(rev) = set(rev).filter(|rev| rev != "HEAD") {
        return sure(rev);
    }
    match (set(reference), set(branch)) {
        (None, None) => sure("HEAD".into()),
        (Some(only), None) | (None, Some(only)) => sure(only),
        (Some(reference), Some(branch)) if reference == branch || branch == CHART_DEFAULT => sure(reference),
        (Some(reference), Some(branch)) if reference == CHART_DEFAULT => sure(branch),
        (Some(reference), Some(_)) if precedence == Precedence::Ref => Choice { reference, conflict: true },
        (Some(_), Some(branch)) => Choice { reference: branch, conflict: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    /// Every combination of what each of the three names can be, against the rule written out as a table.
    #[test]
    fn which_ref_wins_is_the_contracts_rule() {
        use Precedence::{Branch, Ref};
        for rev in [None, Some(""), Some("HEAD")] {
            for (reference, branch, by_ref, by_branch, conflict) in [
                (None, None, "HEAD", "HEAD", false),
                (Some(""), Some(""), "HEAD", "HEAD", false),
                (Some("v1.2.3"), None, "v1.2.3", "v1.2.3", false),
                (Some("v1.2.3"), Some(""), "v1.2.3", "v1.2.3", false),
                (None, Some("main"), "main", "main", false),
                (Some(""), Some("main"), "main", "main", false),
                (Some("main"), Some("main"), "main", "main", false),
                (Some("v2-2-stable"), Some("main"), "main", "main", false),
                (Some("v1.2.3"), Some("v2-2-stable"), "v1.2.3", "v1.2.3", false),
                (Some("v2-2-stable"), Some("v2-2-stable"), "v2-2-stable", "v2-2-stable", false),
                (Some("v2-2-stable"), None, "v2-2-stable", "v2-2-stable", false),
                (None, Some("v2-2-stable"), "v2-2-stable", "v2-2-stable", false),
                (Some("v1.2.3"), Some("main"), "v1.2.3", "main", true),
                (Some("HEAD"), Some("main"), "HEAD", "main", true),
            ] {
                for (precedence, expected) in [(Ref, by_ref), (Branch, by_branch)] {
                    let expected = Choice { reference: expected.into(), conflict };
                    let case = (reference, branch, rev, precedence);
                    assert_eq!(choose(reference, branch, rev, precedence), expected, "{case:?}");
                }
            }
        }
    }

    #[test]
    fn a_rev_other_than_head_beats_branch_and_ref() {
        for reference in [None, Some("v1"), Some("v2-2-stable")] {
            for branch in [None, Some("main"), Some("v2-2-stable")] {
                for precedence in [Precedence::Ref, Precedence::Branch] {
                    let expected = Choice { reference: HASH.into(), conflict: false };
                    assert_eq!(choose(reference, branch, Some(HASH), precedence), expected);
                }
            }
        }
    }
}
