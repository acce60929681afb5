use proptest::prelude::*;

use super::*;

fn around(vars: &[(&str, &str)]) -> Surroundings {
    let vars = vars.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Surroundings::new(vars, "/somewhere", false, true)
}

fn said(args: &[&str], vars: &[(&str, &str)], file: Option<&str>) -> (Said, Errors) {
    let inputs = Inputs::new(args.iter().map(OsString::from), around(vars));
    let mut errors = Errors::default();
    let said = Said::read(&inputs, file, &mut errors);
    (said, errors)
}

fn flags(args: &[&str]) -> Layer {
    let (said, errors) = said(args, &[], None);
    assert!(errors.is_empty(), "{args:?}: {errors}");
    said.flags
}

fn flag_errors(args: &[&str]) -> String {
    said(args, &[], None).1.to_string()
}

#[test]
fn flags_are_read_as_pflag_does() {
    for (args, name, text) in [
        (&["--repo=x"][..], "repo", "x"),
        (&["--repo", "x"], "repo", "x"),
        (&["--repo=a=b"], "repo", "a=b"),
        (&["--repo=a", "--repo=b"], "repo", "b"),
        (&["--one-time"], "one-time", "true"),
        (&["--one-time=true"], "one-time", "true"),
        (&["--one-time=false"], "one-time", "false"),
        (&["--one-time", "--repo=x"], "one-time", "true"),
        (&["-v", "2"], "verbose", "2"),
        (&["-v2"], "verbose", "2"),
        (&["-v=2"], "verbose", "2"),
        (&["--v=2"], "verbose", "2"),
        (&["--verbose", "2"], "verbose", "2"),
        (&["--max-failures", "-1"], "max-failures", "-1"),
        (&["--max-failures=-1"], "max-failures", "-1"),
        (&["--ref", "--upload-pack=x"], "ref", "--upload-pack=x"),
        (&["--rev", "HEAD"], "rev", "HEAD"),
    ] {
        assert_eq!(flags(args).get(name).map(Setting::text), Some(text), "{args:?}");
    }
    let empty = flags(&["--depth=", "--ref=", "--one-time=", "--git-config="]);
    assert_eq!(empty.iter().count(), 0, "empty is not set");
    let keys = flags(&["--ssh-key-file=a", "--ssh-key-file", "b"]);
    assert_eq!(keys.get("ssh-key-file").unwrap().texts().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn unknown_flags_are_all_told_with_the_nearest_known_one() {
    let told = flag_errors(&["--perod=5s", "--reop", "x", "--root=/r", "--xyzzyplugh"]);
    assert!(told.contains("unknown flag `--perod`\nhint: did you mean `--period`?"), "{told}");
    assert!(told.contains("unknown flag `--reop`\nhint: did you mean `--repo`?"), "{told}");
    assert!(told.contains("unknown flag `--xyzzyplugh`"), "{told}");
    assert_eq!(told.matches("error:").count(), 3, "{told}");
}

#[test]
fn values_of_mistyped_flags_are_not_repeated() {
    for args in [
        &["--pasword=CANARY"][..],
        &["--pasword", "CANARY"],
        &["--one-time", "CANARY"],
        &["CANARY"],
        &["-xCANARY"],
        &["-x", "CANARY"],
    ] {
        let told = flag_errors(args);
        assert!(told.contains("error:") && !told.contains("CANARY"), "{args:?}: {told}");
    }
}

#[test]
fn a_flag_without_its_value_is_an_error() {
    assert_eq!(flag_errors(&["--one-time", "--repo"]), "error: --repo: a value is expected");
    assert_eq!(flag_errors(&["-v"]).matches("error:").count(), 1);
}

#[test]
fn variables_follow_the_order_of_the_table() {
    let both = &[("GITSYNC_REPO", "new"), ("GIT_SYNC_REPO", "old")];
    assert_eq!(said(&[], both, None).0.env.get("repo").unwrap().text(), "new");
    let empty = &[("GITSYNC_REPO", ""), ("GIT_SYNC_REPO", "old")];
    let (said, _) = said(&[], empty, None);
    assert_eq!(said.env.get("repo"), Some(&Setting::one("old", Origin::Var("GIT_SYNC_REPO"))));
}

#[test]
fn the_variable_of_ssh_keys_splits_on_colons() {
    let (said, _) = said(&[], &[("GIT_SSH_KEY_FILE", "/a:/b:")], None);
    assert_eq!(said.env.get("ssh-key-file").unwrap().texts().collect::<Vec<_>>(), ["/a", "/b"]);
}

#[test]
fn unknown_variables_warn_once_with_the_nearest_known_one() {
    let vars = &[
        ("GITSYNC_REPOO", "CANARY"),
        ("GITSYNC_REF_FILE", "CANARY"),
        ("GIT_SYNC_FROBNICATION", "CANARY"),
        ("GITSYNC_EMPTY", ""),
        ("GIT_SYNC_SSH", "true"),
        ("GITSYNC_SSH", "true"),
        ("DAGSYNC_SERVICE_HOST", "10.0.0.1"),
        ("DAGSYNC_PORT_1234_TCP_ADDR", "10.0.0.1"),
        ("GITSYNC_PORT", "tcp://10.0.0.1:1234"),
        ("OTHER_REPO", "x"),
    ];
    let (said, errors) = said(&[], vars, None);
    assert!(errors.is_empty());
    assert_eq!(
        said.warnings,
        [
            "unknown variable `GITSYNC_REF_FILE`, did you mean `DAGSYNC_REF_FILE`?",
            "unknown variable `GITSYNC_REPOO`, did you mean `GITSYNC_REPO`?",
            "unknown variable `GIT_SYNC_FROBNICATION`",
        ]
    );
}

#[test]
fn the_file_has_the_options_names_as_keys() {
    let (said, errors) = said(
        &[],
        &[],
        Some(
            "period = '30s'\ndepth = 0\none-time = true\nsync-timeout = 0\nmax-tree-bytes = 0x10\n\
             git-config-add = ['a.b:c', 'd.e:f']\n[[source]]\nrepo = 'x'\n\n[[source]]\nname = 'b'\n",
        ),
    );
    assert!(errors.is_empty(), "{errors}");
    let text = |name| said.file.get(name).map(Setting::text);
    assert_eq!((text("period"), text("depth"), text("one-time")), (Some("30s"), Some("0"), Some("true")));
    assert_eq!((text("sync-timeout"), text("max-tree-bytes")), (Some("0"), Some("16")));
    assert_eq!(said.file.get("git-config-add").unwrap().texts().count(), 2);
    assert_eq!(said.file.get("depth").unwrap().origin.to_string(), "config file, line 2: depth");
    assert_eq!(said.sources.iter().map(|(_, line)| *line).collect::<Vec<_>>(), [7, 10]);
}

#[test]
fn what_is_wrong_in_the_file_is_told_with_its_line() {
    for (text, told) in [
        ("\nperod = '1s'", "config file, line 2: unknown key `perod`\nhint: did you mean `period`?"),
        ("[[sources]]\n", "line 1: unknown key `sources`\nhint: did you mean `source`?"),
        ("[[source]]\nrepo = 'x'\nperod = '1s'", "line 3: unknown key `perod`"),
        ("[[source]]\none-time = true", "line 2: one-time: belongs to the process"),
        ("[source]\nrepo = 'x'", "source must be a list of tables\nhint: write `[[source]]`"),
        (
            "password = 'CANARY'",
            "line 1: password: a credential does not belong in the file\nhint: use `password-file`",
        ),
        ("[[source]]\npassword = 'CANARY'", "line 2: password: a credential does not belong in the file"),
        ("branch = 'x'", "line 1: branch: cannot be set in the file\nhint: its new name is `ref`"),
        ("config = 'x'", "line 1: config: cannot be set in the file"),
        ("period = 10", "period: a duration in quotes, as in \"10s\", is expected"),
        ("one-time = 1", "one-time: true or false is expected"),
        ("depth = true", "depth: a number is expected"),
        ("repo = 3", "repo: a text in quotes is expected"),
        ("root = ['a']", "root: a text in quotes is expected"),
        ("a = 'CANARY\nb = 1", "config file, line 1: "),
        ("x", "config file, line 1: "),
        ("period = '1s'\nperiod = '2s'", "config file, line 2: "),
    ] {
        let errors = said(&[], &[], Some(text)).1.to_string();
        assert!(errors.contains(told), "{text}: {errors}");
        assert!(!errors.contains("CANARY"), "{text}: {errors}");
    }
}

#[test]
fn flags_and_variables_that_identify_a_source_are_refused_beside_source_tables() {
    let file = Some("[[source]]\nrepo = 'x'\n");
    for (args, vars) in [
        (&["--repo=y"][..], &[][..]),
        (&[], &[("GIT_SYNC_REPO", "y")]),
        (&[], &[("GITSYNC_ROOT", "/r")]),
        (&["--ref=x"], &[]),
        (&["--ref-file=x"], &[]),
        (&["--name=x"], &[]),
        (&["--link=x"], &[]),
        (&[], &[("GIT_SYNC_BRANCH", "x")]),
        (&[], &[("GIT_SYNC_REV", "HEAD")]),
        (&[], &[("GIT_SYNC_DEST", "x")]),
        (&["--username=x"], &[]),
        (&[], &[("GITSYNC_PASSWORD", "x")]),
        (&["--password-file=x"], &[]),
    ] {
        let (_, errors) = said(args, vars, file);
        assert_eq!(errors.len(), 1, "{args:?} {vars:?}");
        assert!(errors.to_string().contains("[[source]]"), "{errors}");
    }
    let (_, errors) =
        said(&["--period=5s", "--one-time"], &[("GITSYNC_DEPTH", "3"), ("GITSYNC_SSH_KEY_FILE", "/k")], file);
    assert!(errors.is_empty(), "{errors}");
}

#[test]
fn debug_of_what_was_said_shows_no_value() {
    let inputs = Inputs::new(
        ["--git-config=CANARY".into()],
        around(&[("GITSYNC_PASSWORD", "CANARY"), ("OTHER", "CANARY")]),
    );
    let said = Said::read(&inputs, Some("repo = 'https://CANARY@x/y'"), &mut Errors::default());
    assert!(!format!("{inputs:?} {said:?}").contains("CANARY"));
}

#[test]
fn the_config_file_is_named_by_flag_or_variable() {
    let file = |args: &[&str], vars: &[(&str, &str)]| {
        Inputs::new(args.iter().map(OsString::from), around(vars)).config_file()
    };
    assert_eq!(file(&[], &[]), None);
    assert_eq!(file(&["--config=a.toml"], &[("DAGSYNC_CONFIG", "b")]), Some("/somewhere/a.toml".into()));
    assert_eq!(file(&["--config="], &[("DAGSYNC_CONFIG", "/b.toml")]), Some("/b.toml".into()));
}

proptest! {
    /// For every subset of places that say something (or say nothing, emptily), the first one in the order counts.
    #[test]
    fn the_first_place_that_says_something_counts(places in prop::collection::vec(prop::option::of("[a-z]{0,3}"), 5)) {
        let [flag, first, second, source, top] = &places[..] else { unreachable!("five places") };
        let args: Vec<String> = flag.iter().map(|text| format!("--git-config={text}")).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let vars: Vec<(&str, &str)> = [("GITSYNC_GIT_CONFIG", first), ("GIT_SYNC_GIT_CONFIG", second)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect();
        let line = |text: &Option<String>| text.as_ref().map(|text| format!("git-config = '{text}'\n")).unwrap_or_default();
        let file = format!("{}[[source]]\n{}", line(top), line(source));
        let (said, errors) = said(&args, &vars, Some(&file));
        prop_assert!(errors.is_empty());
        let expected = places.iter().flatten().find(|text| !text.is_empty());
        prop_assert_eq!(said.view(Some(&said.sources[0].0)).text("git-config"), expected.map(String::as_str));
    }

    #[test]
    fn no_file_and_no_arguments_panic(text in "\\PC*", args in prop::collection::vec("-{0,2}[a-z=?-]{0,6}", 0..4)) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let _ = said(&args, &[], Some(&text));
    }
}
