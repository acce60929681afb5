//! Crash points and what tests can do at them: the variable that names a fault, and a build that does not know it.

mod support;
mod synced;

#[cfg(debug_assertions)]
mod faults {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::process::ExitStatusExt as _;

    use super::support::agent::Finished;
    use super::support::wait::PATIENCE;
    use super::synced::{RUN, Synced};

    const VARIABLE: &str = "DAGSYNC_TEST_FAULT";
    const SIGKILL: Option<i32> = Some(9);
    const SIGABRT: Option<i32> = Some(6);

    /// One pass with this fault.
    fn with(synced: &Synced, fault: &str) -> Finished {
        synced.launch().args(["--one-time"]).env(VARIABLE, fault).run(RUN)
    }

    #[test]
    fn a_kill_before_the_link_leaves_no_link_and_one_after_it_leaves_it() {
        let synced = Synced::new();
        let killed = with(&synced, "kill:publish.link.rename:before:1");
        assert_eq!(killed.status.signal(), SIGKILL, "{killed:?}");
        assert!(!synced.link().is_symlink());
        let killed = with(&synced, "kill:publish.link.rename:after:1");
        assert_eq!(killed.status.signal(), SIGKILL, "{killed:?}");
        assert_eq!(fs::read_to_string(synced.link().join("a.py")).unwrap(), "print(1)\n");
    }

    #[test]
    fn an_error_is_told_as_the_systems_own_and_the_change_is_not_made() {
        let synced = Synced::new();
        let failed = with(&synced, "error:ENOSPC:tree.file.write:2");
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
        assert!(failed.stderr.contains("No space left on device"), "{}", failed.stderr);
        assert!(!synced.link().is_symlink());
        let failed = with(&synced, "error:EIO:publish.link.rename:1");
        assert!(failed.stderr.contains("cannot put the link in place"), "{}", failed.stderr);
        assert!(!synced.link().is_symlink());
    }

    #[test]
    fn a_swap_that_was_killed_before_its_flush_is_flushed_by_the_next_start() {
        let synced = Synced::new();
        let durable =
            |fault: &str| synced.launch().args(["--one-time", "--durable=on"]).env(VARIABLE, fault).run(RUN);
        // The first flush of a process is of what an earlier one may have left.
        let killed = durable("kill:publish.link.sync:before:2");
        assert_eq!(killed.status.signal(), SIGKILL, "{killed:?}");
        assert!(synced.link().is_symlink());
        let failed = durable("error:EIO:publish.link.sync:1");
        assert_eq!(
            failed.status.code(),
            Some(1),
            "nothing else changes, but the link is flushed: {failed:?}"
        );
        assert!(durable("").status.success());
    }

    #[test]
    fn a_fault_lasts_until_its_file_is_gone() {
        let synced = Synced::new();
        let file = synced.path("full");
        fs::write(&file, "").unwrap();
        let fault = format!("error:ENOSPC:tree.file.write:1:until-file:{}", file.display());
        let agent = synced.launch().set("max-failures", "-1").env(VARIABLE, fault).start();
        agent.wait_for_text("No space left on device", PATIENCE);
        assert!(!synced.link().is_symlink());
        fs::remove_file(&file).unwrap();
        agent.wait_until("the disk has room again", || synced.link().join("a.py").exists());
    }

    #[test]
    fn every_change_of_a_pass_is_counted() {
        let synced = Synced::new();
        let count = synced.path("count");
        let fine = with(&synced, &format!("count:{}", count.display()));
        assert_eq!(fine.status.code(), Some(0), "{fine:?}");
        let text = fs::read_to_string(&count).unwrap();
        let mut changes: BTreeMap<&str, usize> = BTreeMap::new();
        text.lines().for_each(|name| *changes.entry(name).or_default() += 1);
        assert_eq!(changes["tree.file.create"], 3, "{text}");
        assert_eq!(changes["publish.link.rename"], 1, "{text}");
        // The last one of all, by its number among all: known to be the last, so nothing may come after it.
        let last = text.lines().count();
        let again = Synced::new();
        let killed = with(&again, &format!("kill:*:after:{last}"));
        assert_eq!(killed.status.signal(), SIGKILL, "{killed:?}");
        let again = Synced::new();
        let fine = with(&again, &format!("kill:*:before:{}", last + 1));
        assert_eq!(fine.status.code(), Some(0), "{fine:?}");
    }

    #[test]
    fn a_fault_that_makes_no_sense_ends_the_process_at_once() {
        let synced = Synced::new();
        let aborted = with(&synced, "kill:no.such.point:before:1");
        assert_eq!(aborted.status.signal(), SIGABRT, "{aborted:?}");
        assert!(aborted.stderr.contains("no point `no.such.point`"), "{}", aborted.stderr);
        assert!(!synced.link().is_symlink());
    }
}

/// What ships cannot be told to die.
#[cfg(not(debug_assertions))]
#[test]
fn a_build_without_debug_assertions_does_not_know_the_variable() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_dagsync")).unwrap();
    let has = |name: &str| program.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(has("GITSYNC_ROOT"), "the names of variables are not where they are looked for");
    assert!(!has("DAGSYNC_TEST_FAULT"));
    assert!(!has("publish.link.rename"));
}
