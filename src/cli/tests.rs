use super::*;

fn around(vars: &[(&str, &str)]) -> Surroundings {
    let vars = vars.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Surroundings::new(vars, "/somewhere", false, true)
}

fn parsed(args: &[&str]) -> Result<Command, Errors> {
    parse(args.iter().map(OsString::from), around(&[]))
}

fn printed(args: &[&str]) -> String {
    match parsed(args) {
        Ok(Command::Print(text)) => text,
        other => panic!("{args:?}: {other:?}"),
    }
}

#[test]
fn no_command_means_run() {
    for args in [
        &["dagsync"][..],
        &["dagsync", "--repo=x"],
        &["dagsync", "run", "--repo", "x"],
        &["/git-sync", "--repo=x"],
    ] {
        assert!(matches!(parsed(args), Ok(Command::Run(_))), "{args:?}");
    }
    assert!(matches!(parse([], around(&[])), Ok(Command::Run(_))));
}

#[test]
fn true_and_sleep_are_links_to_us() {
    assert!(matches!(parsed(&["/bin/true", "--whatever"]), Ok(Command::True)));
    for (args, seconds) in
        [(&["sleep", "5"][..], 5.0), (&["/bin/sleep", "0.5"], 0.5), (&["sleep", "1m", "2"], 62.0)]
    {
        match parsed(args) {
            Ok(Command::Sleep(Some(time))) => assert_eq!(time.as_secs_f64(), seconds, "{args:?}"),
            other => panic!("{args:?}: {other:?}"),
        }
    }
    assert!(matches!(parsed(&["sleep", "infinity"]), Ok(Command::Sleep(None))));
    assert!(parsed(&["sleep"]).is_err() && parsed(&["sleep", "x"]).is_err());
}

#[test]
fn help_man_and_version_print_whatever_else_is_said() {
    for flag in ["--help", "-h", "-?"] {
        let help = printed(&["dagsync", "--perod=1", flag]);
        assert!(help.contains("--stale-worktree-timeout") && help.contains("demo"), "{help}");
        assert!(!help.contains("--branch"), "deprecated names are not for newcomers");
    }
    assert!(printed(&["git-sync", "--help"]).contains("--repo"));
    assert!(printed(&["dagsync", "run", "-h"]).contains("--repo"));
    assert!(printed(&["dagsync", "--version"]).starts_with("dagsync 0."));
    for args in [&["dagsync", "--man"][..], &["dagsync", "man"]] {
        let man = printed(args);
        assert!(man.contains(".TH dagsync") && man.contains("GITSYNC_SYNC_ON_SIGNAL"), "{man}");
    }
    assert!(matches!(parsed(&["dagsync", "--ref", "--help"]), Ok(Command::Run(_))), "a value stays a value");
    for page in ["options-doc", "findings-doc"] {
        assert!(printed(&["dagsync", page]).starts_with("<!-- Generated"), "{page}");
    }
    for name in ["check", "demo", "probe", "completions"] {
        assert!(printed(&["dagsync", name, "--help"]).contains("Usage: dagsync"), "{name}");
    }
    assert!(printed(&["dagsync", "help"]).contains("--repo"));
}

/// `--help`, manual, completions and page are all out of the one table.
#[test]
fn every_option_is_in_help_manual_completions_and_page() {
    let man = printed(&["dagsync", "man"]).replace("\\-", "-");
    let help = printed(&["dagsync", "--help"]);
    let page = printed(&["dagsync", "options-doc"]);
    let scripts: Vec<_> =
        ["bash", "zsh", "fish"].iter().map(|shell| printed(&["dagsync", "completions", shell])).collect();
    for opt in config::options::all() {
        assert!(page.contains(&format!("{}`", opt.name)), "{} is not in the page", opt.name);
        if opt.places != config::options::Places::Variable && opt.deprecated.is_none() {
            let flag = format!("--{}", opt.name);
            assert!(help.contains(&flag) && man.contains(&flag), "{flag}");
            assert!(scripts.iter().all(|script| script.contains(opt.name)), "{flag}");
        }
    }
}

#[test]
fn demo_has_flags_of_its_own() {
    match parsed(&["dagsync", "demo"]) {
        Ok(Command::Demo(args)) => {
            assert_eq!(args, DemoArgs { interval: Duration::from_secs(3), commits: 0, keep_dir: None });
        }
        other => panic!("{other:?}"),
    }
    match parsed(&["dagsync", "demo", "--interval", "1s", "--commits=5", "--keep-dir", "x"]) {
        Ok(Command::Demo(args)) => {
            assert_eq!(
                args,
                DemoArgs {
                    interval: Duration::from_secs(1),
                    commits: 5,
                    keep_dir: Some("/somewhere/x".into())
                }
            );
        }
        other => panic!("{other:?}"),
    }
    let errors = parsed(&["dagsync", "demo", "--interval=x", "--commits=y"]).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors}");
    assert!(parsed(&["dagsync", "demo", "--nope"]).is_err());
}

#[test]
fn probe_asks_the_agent_beside() {
    for (args, vars, address) in [
        (&["dagsync", "probe", "live"][..], &[][..], "127.0.0.1:1234"),
        (&["dagsync", "probe", "live"], &[("GITSYNC_HTTP_BIND", ":2020")], "127.0.0.1:2020"),
        (&["dagsync", "probe", "live"], &[("GIT_SYNC_HTTP_BIND", "[::]:2020")], "127.0.0.1:2020"),
        (&["dagsync", "probe", "live", "--http-bind=[::1]:3"], &[("GITSYNC_HTTP_BIND", ":2020")], "[::1]:3"),
    ] {
        match parse(args.iter().map(OsString::from), around(vars)) {
            Ok(Command::Probe(probe)) => {
                assert_eq!((probe.probe, probe.address.to_string().as_str()), (Probe::Live, address));
                assert_eq!(probe.timeout, Duration::from_secs(1));
            }
            other => panic!("{args:?}: {other:?}"),
        }
    }
    assert!(parsed(&["dagsync", "probe"]).is_err());
    assert!(parsed(&["dagsync", "probe", "dead"]).is_err());
    assert!(parsed(&["dagsync", "probe", "ready", "--http-bind=nonsense"]).is_err());
}

#[test]
fn an_unknown_command_is_told_with_the_nearest() {
    assert_eq!(
        parsed(&["dagsync", "dmeo"]).unwrap_err().to_string(),
        "error: unknown command `dmeo`\nhint: did you mean `demo`?"
    );
    assert!(parsed(&["dagsync", "completions", "tcsh"]).is_err());
    assert!(parsed(&["dagsync", "completions"]).is_err());
}

#[test]
fn clap_finds_nothing_wrong_with_the_command() {
    command().debug_assert();
}
