//! Roots, links, and several sources.

use super::*;

#[test]
fn root_and_link_are_made_normal() {
    for (root, link, expected) in [
        ("../..//x", "l", ["/x", "/x/l"]),
        ("/a/./b/../c/", "d/e", ["/a/c", "/a/c/d/e"]),
        ("rel", "../out/l", ["/somewhere/rel", "/somewhere/out/l"]),
        ("/git", "/elsewhere//l/", ["/git", "/elsewhere/l"]),
        ("/git", ".hidden", ["/git", "/git/.hidden"]),
    ] {
        let (root, link) = (format!("--root={root}"), format!("--link={link}"));
        let source = source(load_all(&["--repo=/srv/x", &root, &link], &[], None));
        assert_eq!([source.root.to_str().unwrap(), source.link.to_str().unwrap()], expected);
    }
}

#[test]
fn a_link_in_the_place_of_something_else_is_refused() {
    for link in [
        ".",
        "/git",
        "/",
        "..",
        "x/..",
        ".git",
        ".worktrees",
        ".dagsync",
        ".git/x",
        ".worktrees/a/b",
        ".airflowignore",
    ] {
        let told = errors(flags(&[&format!("--link={link}")]));
        assert!(told.contains("link: `") && told.contains("in the place of"), "{told}");
    }
    assert!(
        errors(load_all(&["--repo=https://example.com", "--root=/git"], &[], None))
            .contains("link: required")
    );
    assert!(errors(load_all(&["--repo=/srv/x", "--root=/"], &[], None)).contains("root: must not be `/`"));
    for arg in ["--touch-file=.git/x", "--error-file=.", "--touch-file=dags.git", "--error-file=dags.git/x"] {
        assert!(errors(flags(&[arg])).contains("in the place of"), "{arg}");
    }
    let files = source(flags(&["--touch-file=t/x", "--error-file=/tmp/e"]));
    assert_eq!((files.touch_file, files.error_file), (Some("/git/t/x".into()), Some("/tmp/e".into())));
}

#[test]
fn the_name_comes_from_the_link() {
    for (args, name) in [
        (&["--repo=https://x/org/dags.git"][..], "dags"),
        (&["--repo=https://x/org/my%20dags"], "my-20dags"),
        (&["--repo=/srv/x", "--link=a/current"], "current"),
        (&["--repo=/srv/x", "--name=team-a"], "team-a"),
        (&["--repo=/srv/.git"], ".git"),
    ] {
        let link: &[&str] =
            if args[0].ends_with("/.git") { &["--root=/git", "--link=.git2/.git"] } else { &["--root=/git"] };
        assert_eq!(source(load_all(&[args, link].concat(), &[], None)).name, name, "{args:?}");
    }
    for bad in ["a b", "a/b", "ä", &"x".repeat(101)] {
        assert!(errors(flags(&[&format!("--name={bad}")])).contains("--name: may have letters"), "{bad}");
    }
}

const TWO: &str = "
period = '30s'
depth = 5

[[source]]
repo = 'https://git.example.com/a/dags.git'
root = '/git'
link = 'a'

[[source]]
name = 'second'
repo = '/srv/b'
root = '/git'
link = 'b'
ref = 'semver:^1.4'
depth = 0
max-failures = 3
";

#[test]
fn a_file_makes_several_sources() {
    let config = load_all(
        &["--sync-timeout=9s"],
        &[("GITSYNC_GROUP_WRITE", "true"), ("GITSYNC_HTTP_BIND", ":1")],
        Some(TWO),
    )
    .unwrap();
    let [a, b] = &config.sources[..] else { panic!("two") };
    assert_eq!((a.name.as_str(), b.name.as_str()), ("a", "second"));
    assert_eq!((a.depth.map(u32::from), b.depth), (Some(5), None));
    assert_eq!((a.max_failures, b.max_failures), (None, Some(3)), "one that fails does not end the others");
    assert_eq!(b.reference, RefChoice::Fixed("semver:^1.4".into()));
    for source in [a, b] {
        assert_eq!((source.period, source.sync_timeout), (Duration::from_secs(30), Duration::from_secs(9)));
        assert!(source.group_write);
    }
    let other = load_all(&["--depth=2"], &[], Some(TWO)).unwrap();
    assert!(
        other.sources.iter().all(|source| source.depth.map(u32::from) == Some(2)),
        "a flag holds for every source"
    );
}

#[test]
fn a_file_without_source_tables_is_one_source() {
    let file = "repo = '/srv/x'\nroot = '/git'\nref = 'main'\nperiod = '3s'\none-time = true\n";
    let config = load_all(&["--ref=v1"], &[("GITSYNC_PERIOD", "4s")], Some(file)).unwrap();
    assert!(config.process.one_time);
    let single = source(Ok(config));
    assert_eq!((single.reference, single.period), (RefChoice::Fixed("v1".into()), Duration::from_secs(4)));
    assert_eq!(single.max_failures, None, "its repository is in the file");
    let only_process = source(load_all(&BASE, &[], Some("log-format = 'json'")));
    assert_eq!(only_process.max_failures, Some(0), "a source of flags keeps git-sync's default");
}

#[test]
fn sources_that_collide_are_refused() {
    let two = |second: &str| {
        let file = format!(
            "[[source]]\nname = 'a'\nrepo = '/srv/a'\nroot = '/git'\nlink = 'a'\n[[source]]\nrepo = '/srv/b'\n{second}"
        );
        load_all(&[], &[], Some(&file))
    };
    assert!(two("root = '/git'\nlink = 'b'").is_ok());
    for (second, told) in [
        ("root = '/other'\nlink = 'a'", "two sources have this name"),
        ("name = 'b'\nroot = '/git'\nlink = 'a'", "is that of `a` too"),
        ("name = 'b'\nroot = '/git'\nlink = 'a/b'", "lie inside each other"),
        ("name = 'b'\nroot = '/git'\nlink = 'b'\ntouch-file = 'a/x'", "in the place of the published tree"),
        ("name = 'b'\nroot = '/git/a/b'\nlink = 'c'", "its link is in the place of the root of `b`"),
        ("name = 'b'\nlink = 'b'", "[[source]] at line 6: root: required"),
    ] {
        let told_all = errors(two(second));
        assert!(told_all.contains(told), "{told_all}");
    }
}

#[test]
fn a_wrong_default_is_told_once() {
    let told = errors(load_all(&["--depth=x"], &[], Some(TWO)));
    assert_eq!(told.matches("--depth").count(), 1, "{told}");
}
