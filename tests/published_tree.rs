//! What readers find behind the link: git's own bytes and modes, and a work tree that git itself calls clean.

mod support;
mod synced;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use support::agent::{Agent, Launch};
use support::process::program;
use support::{Entry, Repo};
use synced::{RUN, Synced, git_in, is_root, ok, succeeds};

#[test]
fn git_works_in_the_published_tree_wherever_the_root_is() {
    let world = Synced::new();
    world.repo.chmod("a.py", 0o755).symlink("dags/link.py", "b.py");
    let head = world.repo.commit_all("second");
    world.once(&["--depth=0"]);
    let check = |tree: &Path| {
        assert_eq!(git_in(tree, &["rev-parse", "HEAD"]), head);
        assert_eq!(git_in(tree, &["status", "--porcelain"]), "");
        assert_eq!(git_in(tree, &["log", "--format=%s"]), "second\na change");
        assert_eq!(git_in(tree, &["ls-files"]), "a.py\ndags/b.py\ndags/deep/c.py\ndags/link.py");
        assert_eq!(git_in(&tree.join("dags"), &["rev-parse", "--show-prefix"]), "dags/");
        git_in(tree, &["fsck", "--strict", "--no-dangling"]);
        git_in(tree, &["diff", "--exit-code", "HEAD~", "HEAD", "--", "dags/b.py"]);
    };
    check(&world.link());
    // Another mount point, as in the pods that read the volume.
    let elsewhere = world.path("opt/airflow/dags");
    fs::create_dir_all(elsewhere.parent().unwrap()).unwrap();
    fs::rename(&world.root, &elsewhere).unwrap();
    check(&elsewhere.join("repo"));
    // And we go on from there, where nothing has to be done.
    let inode = fs::symlink_metadata(elsewhere.join("repo")).unwrap().ino();
    let moved = Synced { root: elsewhere, ..world };
    moved.once(&["--depth=0"]);
    assert_eq!(fs::symlink_metadata(moved.link()).unwrap().ino(), inode);
    let next = moved.repo.commit(&[("new.py", "")]);
    moved.once(&["--depth=0"]);
    moved.shows(&next);
    moved.nothing_is_left_over();
}

#[test]
fn random_trees_are_byte_for_byte_those_of_git() {
    let world = Synced::empty();
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..12 {
        if rng.bool() {
            world.repo.remove("d0");
        }
        for _ in 0..rng.usize(1..40) {
            let depth = rng.usize(0..4);
            let mut path: String = (0..depth).map(|_| format!("d{}/", rng.u8(0..3))).collect();
            write!(path, "f{}.{}", rng.u8(0..9), rng.choice(["py", "txt", "bat", "bin"]).unwrap()).unwrap();
            if world.repo.work().join(&path).is_symlink() {
                continue;
            }
            match rng.u8(0..8) {
                0 => drop(world.repo.symlink(&path, rng.choice(["f0.py", "./x", "nowhere"]).unwrap())),
                1 => drop(world.repo.write(&path, "").chmod(&path, 0o755)),
                2 => {
                    let noise: Vec<u8> = (0..rng.usize(0..20_000)).map(|_| rng.u8(..)).collect();
                    // Binary by its name only: line ends in it would be a matter of luck.
                    world.repo.write(&path.replace(".py", ".bin").replace(".bat", ".bin"), noise);
                }
                _ => drop(world.repo.write(&path, format!("line {round}\n").repeat(rng.usize(0..50)))),
            }
        }
        let attributes = ["*.bat text eol=crlf\n", "* text=auto\n*.bin -text\n", "*.txt text eol=lf\n", ""];
        world.repo.write(".gitattributes", rng.choice(attributes).unwrap());
        let head = world.repo.commit_all("random");
        world.once(&[]);
        world.shows(&head);
        assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
    }
}

/// A launch below `umask`, to its end.
#[track_caller]
fn under_umask(launch: &Launch, umask: &str) {
    let inner = launch.command();
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().args(["-c", "umask \"$1\"; shift; exec \"$@\"", "sh", umask]);
    shell.arg(inner.get_program()).args(inner.get_args());
    let finished = Agent::spawn(shell).finish(RUN);
    assert!(finished.status.success(), "{finished:?}");
}

/// Every file and folder below `dir` with its permissions, links left out.
fn modes(dir: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut queue = vec![dir.to_owned()];
    while let Some(at) = queue.pop() {
        let meta = fs::symlink_metadata(&at).unwrap();
        if meta.is_symlink() {
            continue;
        }
        found.push((at.strip_prefix(dir).unwrap().display().to_string(), meta.mode() & 0o7777));
        if meta.is_dir() {
            queue.extend(fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn modes_are_0644_or_0755_minus_umask() {
    let world = Synced::new();
    let (plain, script) = (world.repo.blob("x\n"), world.repo.blob("#!/bin/sh\n"));
    // What git never writes any more, but old repositories hold: bits for the group and everybody.
    let file = |mode, name: &str, id: &str| Entry { mode, ..Entry::file(name, id) };
    let tree = world.repo.mktree(&[
        file("100664", "group", &plain),
        file("100644", "plain", &plain),
        file("100755", "run", &script),
    ]);
    world.repo.publish_tree(&tree);
    for (umask, file, executable, folder) in
        [("022", 0o644, 0o755, 0o755), ("077", 0o600, 0o700, 0o700), ("027", 0o640, 0o750, 0o750)]
    {
        let _ = fs::remove_dir_all(&world.root);
        under_umask(&world.launch().args(["--one-time"]), umask);
        let tree = fs::canonicalize(world.link()).unwrap();
        for (name, mode) in modes(&tree) {
            let expected = match name.as_str() {
                "" => folder,
                "run" => executable,
                _ => file,
            };
            assert_eq!(mode, expected, "umask {umask}: {name} {mode:o}");
        }
    }
    // A umask of nothing opens nothing to everybody.
    let _ = fs::remove_dir_all(&world.root);
    under_umask(&world.launch().args(["--one-time"]), "000");
    for (name, mode) in modes(&world.root) {
        let is_dir = world.root.join(&name).is_dir();
        assert!(is_dir || mode & 0o002 == 0, "umask 000: {name} {mode:o}");
    }
}

#[test]
fn group_write_is_for_files_folders_and_our_own_state() {
    let world = Synced::new();
    world.repo.chmod("a.py", 0o755);
    world.repo.commit_all("executable");
    for umask in ["022", "077"] {
        let _ = fs::remove_dir_all(&world.root);
        under_umask(&world.launch().args(["--one-time", "--group-write"]), umask);
        for (name, mode) in modes(&world.root) {
            // Packs are read-only even for their owner.
            let wanted = if name.ends_with(".pack") || name.ends_with(".idx") { 0o040 } else { 0o060 };
            assert_eq!(mode & wanted, wanted, "umask {umask}: {name} {mode:o}");
            if umask == "077" {
                assert_eq!(mode & 0o007, 0, "umask {umask}: {name} {mode:o}");
            }
        }
        assert_eq!(world.git_in_tree(&["-c", "core.fileMode=true", "status", "--porcelain"]), "");
    }
}

/// The binary where every uid can run it.
fn binary_for_all(world: &Synced) -> std::path::PathBuf {
    let copy = world.path("dagsync");
    fs::copy(Launch::default().command().get_program(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

#[test]
fn umask_077_and_random_uid_openshift() {
    let world = Synced::new();
    let head = world.repo.head();
    let launch = world.launch().args(["--one-time"]);
    if is_root() {
        // The volume belongs to root and group 0, and the uid has no name.
        fs::create_dir(&world.root).unwrap();
        fs::set_permissions(&world.root, fs::Permissions::from_mode(0o775)).unwrap();
        ok(Command::new("chmod").args(["-R", "a+rX"]).arg(world.repo.work()));
        let mut command = Command::new(program("setpriv"));
        command.env_clear().args(["--reuid", "1234567", "--regid", "0", "--clear-groups", "/bin/sh", "-c"]);
        command.args(["umask 077; exec \"$@\"", "sh"]).arg(binary_for_all(&world));
        let finished = Agent::spawn({
            command.args(launch.command().get_args());
            command
        })
        .finish(RUN);
        assert!(finished.status.success(), "{finished:?}");
        let uid = fs::metadata(world.link().join("a.py")).unwrap().uid();
        assert_eq!(uid, 1_234_567);
    } else {
        // `tests/run` runs this as such a uid.
        under_umask(&launch, "077");
    }
    world.shows(&head);
    assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
}

#[test]
fn read_only_root_fs_with_one_volume() {
    let world = Synced::new();
    let head = world.repo.head();
    fs::create_dir(&world.root).unwrap();
    let volume = world.root.display().to_string();
    let script = format!(
        "mount --bind '{volume}' '{volume}' && mount -o remount,ro,bind / && \
         if [ '{0}' != / ]; then mount -o remount,ro,bind '{0}' || :; fi && \
         ! touch '{1}/probe' 2>/dev/null && exec \"$@\"",
        mount_of(world.dir.path()),
        world.dir.path().display(),
    );
    let launch = world.launch().args(["--one-time"]).folder("/");
    let mut command = Command::new(program("unshare"));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("--mount");
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["/bin/sh", "-c", &script, "sh"]);
    command.arg(launch.command().get_program()).args(launch.command().get_args());
    let finished = Agent::spawn(command).finish(RUN);
    assert!(finished.status.success(), "needs mount namespaces: {finished:?}");
    world.shows(&head);
}

/// The mount point that a path is on.
fn mount_of(path: &Path) -> String {
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    let mut at = path.to_owned();
    while let Some(parent) = at.parent().filter(|parent| device(parent) == device(path)) {
        at = parent.to_owned();
    }
    at.display().to_string()
}

#[test]
fn another_uid_reads_the_history_too() {
    let world = Synced::new();
    world.once(&[]);
    let next = world.repo.commit(&[("a.py", "2")]);
    world.once(&[]);
    if is_root() {
        let mut git = Command::new(program("setpriv"));
        git.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/nonexistent");
        git.args(["--reuid", "4711", "--regid", "4711", "--clear-groups", "git", "-c", "safe.directory=*"]);
        let git = |args: &[&str]| {
            let mut command = Command::new(git.get_program());
            command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/nonexistent");
            command.args(git.get_args()).arg("-C").arg(world.link()).args(args);
            String::from_utf8(ok(&mut command).stdout).unwrap()
        };
        assert_eq!(git(&["log", "-1", "--format=%H"]).trim(), next);
        assert_eq!(git(&["status", "--porcelain"]), "");
        git(&["cat-file", "-p", "HEAD:a.py"]);
    } else {
        // Nobody else can be played: the modes must do.
        for (name, mode) in modes(&world.root).into_iter().filter(|(name, _)| name.starts_with(".git")) {
            assert_eq!(mode & 0o004, 0o004, "{name} {mode:o}");
        }
    }
}

#[test]
fn committed_links_and_names_of_any_kind_come_through() {
    let world = Synced::new();
    let repo: &Repo = &world.repo;
    for name in ["with space.py", "ünïcode.py", "-dash.py", "a\\b.py", "quote'\".py", "*.py", "[x].py"] {
        repo.write(&format!("odd/{name}"), name);
    }
    repo.symlink("up", "dags/deep").symlink("dags/deep/back", "../../odd").symlink("dangling", "not/here");
    repo.symlink("self", "self");
    let head = repo.commit_all("odd");
    // Airflow's walk would raise at these links.
    world.once(&["--check=off"]);
    world.shows(&head);
    assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
    assert_eq!(fs::read(world.link().join("up/c.py")).unwrap(), b"3\n");
}

#[test]
fn thousands_of_files_are_built_on_all_cores() {
    let world = Synced::empty();
    let head = world.repo.big(3000);
    succeeds(&world.launch().args(["--one-time"]));
    world.shows(&head);
    assert_eq!(world.git_in_tree(&["status", "--porcelain"]), "");
}
