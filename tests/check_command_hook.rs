//! The operator's own check, by the binary and with real children: what it is given, what its answer means, and that nothing of it
//! is left.

mod support;
mod synced;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use support::agent::{Agent, Launch};
use support::canary::{assert_not_below, assert_not_in, canary};
use support::observe::{address, metrics, sample};
use support::process::{as_process_1, program};
use support::wait::{PATIENCE, holds_within, wait_until};
use support::{GitServer, Repo};
use synced::{Synced, succeeds};

/// What programs need to be found.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A root with one commit published, and a folder for what checks write.
struct World {
    synced: Synced,
    notes: PathBuf,
}

impl World {
    fn new() -> World {
        let synced = Synced::new();
        succeeds(&synced.launch().args(["--one-time"]));
        let notes = synced.path("notes");
        fs::create_dir(&notes).unwrap();
        World { synced, notes }
    }

    fn note(&self, name: &str) -> String {
        fs::read_to_string(self.notes.join(name)).unwrap_or_default()
    }

    fn lines(&self, name: &str) -> usize {
        self.note(name).lines().count()
    }

    /// An agent that asks this shell script, which finds the notes' folder in `$NOTES` and the tree in `$1`.
    fn asks(&self, script: &str) -> Launch {
        let path = self.synced.path("check.sh");
        fs::write(&path, format!("#!/bin/sh\nNOTES='{}'\n{script}\n", self.notes.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.synced.launch().env("PATH", PATH).set("check-command", &path)
    }

    /// A new commit that a pass of this agent has to hold back; what it said.
    #[track_caller]
    fn holds(&self, launch: &Launch) -> String {
        let before = self.synced.seen();
        let finished = succeeds(&launch.clone().args(["--one-time"]));
        assert!(finished.stderr.contains("held back: "), "{}", finished.stderr);
        assert_eq!(self.synced.seen(), before, "what is published stays");
        self.nothing_is_left_over();
        finished.stderr
    }

    /// Neither files nor trees of anything but what is published.
    #[track_caller]
    fn nothing_is_left_over(&self) {
        self.synced.nothing_is_left_over();
        let trees = synced::trees(&self.synced.root);
        assert_eq!(trees.len(), 1, "{trees:?}");
    }

    fn commit(&self, text: &str) -> String {
        self.synced.repo.commit(&[("a.py", text)])
    }
}

/// Whether a process is there that is no zombie.
fn lives(pid: &str) -> bool {
    let pid: i32 = pid.trim().parse().expect("a process id");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    test_kill_process(Pid::from_raw(pid).expect("a process id")).is_ok() && !zombie
}

#[test]
fn a_program_that_is_content_sees_the_tree_before_readers_do() {
    let world = World::new();
    let before = world.synced.published().expect("a first commit");
    let after = world.commit("print(3)\n");
    let script = r#"[ $# = 3 ] || exit 9
        printf '%s\n' "$1" "$2" "$PWD" "$3" > "$NOTES/args"; env | sort > "$NOTES/env"
        cat "$3/a.py" > "$NOTES/new"; readlink ROOT/repo > "$NOTES/link"; read line; echo "$?" > "$NOTES/stdin"
        ps -o pgid= -p $$ > "$NOTES/group"; echo $$ > "$NOTES/pid""#;
    let launch = world.asks(&script.replace("ROOT", &world.synced.root.display().to_string()));
    let check = world.synced.path("check.sh");
    let words = format!("{} 'two words' \"$HOME\"", check.display());
    succeeds(&launch.set("check-command", words).args(["--one-time"]));
    world.synced.shows(&after);
    let tree = fs::canonicalize(world.synced.link()).unwrap();
    let tree = tree.to_str().unwrap();
    assert_eq!(world.note("args"), format!("two words\n$HOME\n{tree}\n{tree}\n"));
    assert_eq!(world.note("new"), "print(3)\n");
    assert!(world.note("link").trim().ends_with(&before), "not published yet");
    assert_eq!(world.note("stdin"), "1\n", "nothing to read");
    assert_eq!(world.note("group").trim(), world.note("pid").trim(), "a group of its own");
    let env = world.note("env");
    for line in [&format!("DAGSYNC_COMMIT={after}"), "DAGSYNC_SOURCE=repo", "DAGSYNC_REF=refs/heads/main"] {
        assert!(env.lines().any(|it| it == line), "{line} in {env}");
    }
}

#[test]
fn a_refusal_is_told_remembered_and_no_failure() {
    let world = World::new();
    let good = world.synced.published().unwrap();
    let launch = world.asks(
        r#"echo x >> "$NOTES/asked"; for tree; do :; done; if grep -q bad "$tree/a.py"; then
        printf 'looked at it\n'; printf '\033[2Jhouse rule 7\n' >&2; exit 3; fi"#,
    );
    let bad = world.commit("bad = 1\n");
    let error_file = world.synced.path("error.json");
    let args = ["--http-bind=127.0.0.1:0", "--max-failures=0"];
    let agent = launch.clone().args(args).set("error-file", &error_file).start();
    let address = address(&agent);
    let rejected = || sample(address, r#"dagsync_revisions_rejected_total{reason="command",source="repo"}"#);
    agent.wait_until("the rejection", || rejected() == Some(1.0));
    let passes = || sample(address, r#"dagsync_passes_total{result="noop",source="repo"}"#).unwrap_or(0.0);
    let before = passes();
    agent.wait_until("more passes", || passes() > before + 2.0);
    assert_eq!((rejected(), world.lines("asked")), (Some(1.0), 1), "asked and counted once");
    assert_eq!(sample(address, r#"dagsync_consecutive_failures{source="repo"}"#), Some(0.0));
    let page = metrics(address);
    let finding = r#"dagsync_findings{code="command",severity="error",source="repo"} 1"#;
    assert!(page.contains(finding), "{page}");
    let text = fs::read_to_string(&error_file).unwrap();
    assert!(text.contains(&bad) && text.contains("ended with 3: looked at it"), "{text}");
    for text in [text, agent.stderr()] {
        assert!(text.contains("house rule 7") && !text.contains('\u{1b}'), "{text}");
    }
    world.synced.shows(&good);
    world.nothing_is_left_over();

    // Also after a restart, until something changes: the command here.
    drop(agent);
    assert!(world.holds(&launch).contains("still held back"));
    assert_eq!(world.lines("asked"), 1);
    let words = format!("{} again", world.synced.path("check.sh").display());
    let other = world.synced.launch().env("PATH", PATH).set("check-command", words);
    world.holds(&other.args(["--check-timeout=50s"]));
    assert_eq!(world.lines("asked"), 2);
    let mended = world.commit("good = 1\n");
    succeeds(&launch.args(["--one-time"]));
    world.synced.shows(&mended);
}

#[test]
fn the_reason_has_the_end_of_a_long_output() {
    let world = World::new();
    let launch =
        world.asks(r#"i=0; while [ $i -lt 20000 ]; do echo "line $i of many"; i=$((i+1)); done; exit 1"#);
    world.commit("new\n");
    world.holds(&launch);
    let state = fs::read_to_string(world.synced.root.join(".dagsync/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let reason = state["held"]["reason"].as_str().expect("a reason");
    assert!(reason.ends_with("line 19999 of many") && !reason.contains("line 1 of"), "{reason}");
    assert!(reason.len() < 4200 && reason.len() > 4000, "{}", reason.len());
    assert_eq!(state["held"]["because"], "command");
}

#[test]
fn findings_in_our_json_are_told_whatever_the_exit_code() {
    let world = World::new();
    let json = |severity: &str| {
        format!(
            r#"{{"version":1,"findings":[{{"path":"dags/b.py","line":4,"severity":"{severity}","code":"schedule","message":"odd"}}]}}"#
        )
    };
    let passed = world.commit("one\n");
    let script = format!("echo noise >&2; echo '{}'", json("warning"));
    let agent = world.asks(&script).args(["--http-bind=127.0.0.1:0", "--max-failures=0"]).start();
    agent.wait_published(&world.synced.root, "repo", &passed);
    let page = || metrics(address(&agent));
    let told = r#"dagsync_findings{code="schedule",severity="warning",source="repo"} 1"#;
    assert!(page().contains(told), "{}", page());
    drop(agent);
    world.commit("two\n");
    let said = world.synced.seen();
    let finished = succeeds(
        &world.asks(&format!("echo noise >&2; echo '{}'; exit 1", json("error"))).args(["--one-time"]),
    );
    assert_eq!(world.synced.seen(), said);
    assert!(finished.stderr.contains("ended with 1: dags/b.py:4: odd"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("noise"), "{}", finished.stderr);
}

#[test]
fn with_report_a_refusal_is_told_and_off_is_about_the_gate_alone() {
    let world = World::new();
    let launch = world.asks(r#"echo x >> "$NOTES/asked"; echo house rule 7; exit 1"#);
    let first = world.commit("one\n");
    let finished = succeeds(&launch.clone().args(["--one-time", "--check=report"]));
    assert!(finished.stderr.contains("house rule 7"), "{}", finished.stderr);
    world.synced.shows(&first);
    world.commit("two\n");
    let before = world.synced.seen();
    let finished = succeeds(&launch.args(["--one-time", "--check=off"]));
    assert!(finished.stderr.contains("held back: "), "{}", finished.stderr);
    assert_eq!((world.synced.seen(), world.lines("asked")), (before, 2));
}

/// The program, a child of it, and one that ignores what can be ignored: their ids are in notes.
const SLOW: &str = r#"echo x >> "$NOTES/asked"; [ -e "$NOTES/quick" ] && exit 0
    (trap '' TERM INT HUP; echo $$ > "$NOTES/parent"; sh -c 'trap "" TERM HUP; echo $$ > "$0/grandchild"; exec sleep 600' "$NOTES") &
    wait"#;

#[test]
fn a_program_that_takes_too_long_is_killed_with_all_it_started_and_asked_again() {
    let world = World::new();
    let new = world.commit("new\n");
    let before = world.synced.seen();
    let launch = world.asks(SLOW).args(["--check-timeout=700ms", "--max-failures=-1", "--init-period=20ms"]);
    let mut agent = launch.start();
    agent.wait_until("the grandchild", || !world.note("grandchild").is_empty());
    let first = (world.note("parent"), world.note("grandchild"));
    agent.wait_for_text("took longer than 700ms and was killed", PATIENCE);
    wait_until(PATIENCE, "the group to be gone", || !lives(&first.0) && !lives(&first.1));
    assert_eq!(world.synced.seen(), before);
    agent.wait_until("a second try", || world.lines("asked") >= 2);
    fs::write(world.notes.join("quick"), "").unwrap();
    agent.wait_published(&world.synced.root, "repo", &new);
    assert!(!agent.stderr().contains("held back"), "{}", agent.stderr());
    let last = world.note("grandchild");
    wait_until(PATIENCE, "the last group to be gone", || !lives(&last));
    agent.signal(Signal::TERM);
    assert!(agent.wait_exit(PATIENCE).is_some_and(|status| status.success()));
    world.synced.nothing_is_left_over();
}

#[test]
fn an_agent_that_is_stopped_takes_the_program_with_it() {
    let world = World::new();
    let before = world.synced.seen();
    world.commit("new\n");
    let mut agent = world.asks(SLOW).start();
    agent.wait_until("the grandchild", || !world.note("grandchild").is_empty());
    let asked = Instant::now();
    agent.signal(Signal::TERM);
    let status = agent.wait_exit(PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", agent.stderr());
    assert!(asked.elapsed() < Duration::from_secs(4), "nobody had to be abandoned: {:?}", asked.elapsed());
    for pid in [world.note("parent"), world.note("grandchild")] {
        wait_until(PATIENCE, "the group to be gone", || !lives(&pid));
    }
    assert_eq!(world.synced.seen(), before);
    world.nothing_is_left_over();
}

#[test]
fn a_process_that_left_the_group_with_the_output_does_not_hold_up_the_pass() {
    let world = World::new();
    let new = world.commit("new\n");
    let launch = world.asks("setsid sleep 600 & echo $! > \"$NOTES/left\"; exit 0");
    let began = Instant::now();
    succeeds(&launch.args(["--one-time"]));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    world.synced.shows(&new);
    let left: i32 = world.note("left").trim().parse().unwrap();
    // `setsid` without `--fork` has the id that the shell saw.
    let _ = kill_process(Pid::from_raw(left).unwrap(), Signal::KILL);
}

#[test]
fn no_credential_of_ours_reaches_the_program() {
    let world = World::new();
    let repo = Repo::bare(world.synced.path("served/up.git"));
    let head = repo.commit(&[("a.py", "1\n")]);
    let script = r#"{ env; cat /proc/$$/environ /proc/$$/cmdline | tr '\0' '\n'; } > "$NOTES/seen""#;
    let base = world.asks(script).set("link", "served").args(["--one-time"]).env("LC_ALL", "C.UTF-8");
    let base = base.env("AIRFLOW__CORE__PARALLELISM", "3");
    for way in ["file", "variable", "address"] {
        let [secret, other] = [canary(), canary()];
        let server = GitServer::over(world.synced.path("served")).account("ada", &secret).start();
        let url = server.url("up.git");
        let root = world.synced.path(&format!("root of {way}"));
        let base = base
            .clone()
            .set("root", &root)
            .env("GITSYNC_GIT_CONFIG", format!("http.userAgent:{other}"))
            .env("AWS_SECRET_ACCESS_KEY", &other)
            .env("AIRFLOW_CONN_DB", &other);
        let launch = match way {
            "file" => {
                let file = world.synced.path("password");
                fs::write(&file, &secret).unwrap();
                base.set("repo", url).set("username", "ada").set("password-file", file)
            }
            "variable" => {
                base.set("repo", url).env("GITSYNC_USERNAME", "ada").env("GITSYNC_PASSWORD", &secret)
            }
            _ => base.set("repo", server.url_with("ada", &secret, "up.git")),
        };
        fs::write(world.notes.join("seen"), "").unwrap();
        succeeds(&launch);
        let seen = world.note("seen");
        assert!(seen.contains(&format!("DAGSYNC_COMMIT={head}")), "{way}: {seen}");
        [&secret, &other].iter().for_each(|it| assert_not_in(it, way, &seen));
        assert_not_below(&secret, &root);
        let name = |line: &'_ str| Some(line.split_once('=')?.0.to_owned());
        let names: BTreeSet<String> = seen.lines().filter_map(name).collect();
        let ours = names.iter().filter(|name| name.starts_with("DAGSYNC") || name.starts_with("GIT"));
        let ours: Vec<&str> = ours.map(String::as_str).collect();
        assert_eq!(ours, ["DAGSYNC_COMMIT", "DAGSYNC_REF", "DAGSYNC_SOURCE"], "{way}");
        assert!(names.contains("LC_ALL") && names.contains("AIRFLOW__CORE__PARALLELISM"), "{names:?}");
    }
}

/// The command as a uid without any capability: as itself, if the tests run as one.
fn as_nobody(synced: &Synced, launch: &Launch) -> Command {
    let plain = launch.command();
    if !rustix::process::geteuid().is_root() {
        return plain;
    }
    // The folder of the build is closed to that uid, and so is the upstream's owner to git.
    let copy = synced.path("dagsync");
    fs::copy(plain.get_program(), &copy).unwrap();
    let mut command = Command::new(program("setpriv"));
    command.args(["--reuid=12345", "--regid=12345", "--clear-groups"]).arg(&copy).args(plain.get_args());
    command.env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    fs::set_permissions(synced.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    command
}

#[test]
fn no_process_of_our_uid_can_read_what_we_were_started_with() {
    let synced = Synced::new();
    let secret = canary();
    let script = synced.path("check.sh");
    // Each of them would have it, if it could be opened.
    let text = "#!/bin/sh\nid -u; cd /proc/$PPID; for it in environ maps mem auxv fd/0; do \
                if head -c 1 $it >/dev/null 2>&1; then echo \"read $it\"; fi; done\n\
                tr '\\0' '\\n' <environ; ls fd; echo looked; exit 3\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let root = synced.path("of nobody");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
    let launch = Launch::new(["--link=repo", "--one-time", "--max-failures=0"])
        .set("repo", synced.repo.work())
        .set("root", &root)
        .set("check-command", &script)
        .env("PATH", PATH)
        // Of no name that says so: what is not told is not what is looked at here.
        .env("ANYTHING", &secret);
    let finished = Agent::spawn(as_nobody(&synced, &launch)).finish(PATIENCE);
    let said = &finished.stderr;
    assert!(said.contains("ended with 3: ") && said.contains("looked"), "{said}");
    assert!(!said.contains("ended with 3: 0\\n"), "as root this proves nothing: {said}");
    assert!(!said.contains("read environ") && !said.contains("read "), "{said}");
    assert_not_in(&secret, "what was said", said);
}

#[test]
fn a_secret_that_a_program_prints_is_told_nowhere() {
    for way in ["file", "variable", "address"] {
        let world = World::new();
        let repo = Repo::bare(world.synced.path("served/up.git"));
        let secret = format!("{}/@", canary());
        let server = GitServer::over(world.synced.path("served")).account("ada", &secret).start();
        repo.commit(&[("a.py", "1\n")]);
        let root = world.synced.path("root of it");
        let file = world.synced.path("password");
        fs::write(&file, &secret).unwrap();
        let db = format!("postgres://airflow:{}@db/airflow", canary());
        let error_file = world.synced.path("error.json");
        let url_spelt = secret.replace('/', "%2F").replace('@', "%40");
        let script = format!(
            r#"case "$(cat "$NOTES/how")" in
            text) cat '{file}'; echo " {url_spelt} $AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" >&2; exit 4;;
            again) cat '{file}'; exit 75;;
            tree) touch "$1/$(printf %s "$AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" | cut -d: -f3 | cut -d@ -f1)";;
            *) printf '{{"version":1,"findings":[{{"path":"a.py","message":"%s","hint":"%s"}}]}}' "$(cat '{file}')" '{url_spelt}'
               exit 1;;
            esac"#,
            file = file.display()
        );
        let base =
            world.asks(&script).set("link", "served").set("root", &root).set("error-file", &error_file);
        let base =
            base.env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", &db).args(["--verbose=9", "--init-period=20ms"]);
        let launch = match way {
            "file" => {
                base.set("repo", server.url("up.git")).set("username", "ada").set("password-file", &file)
            }
            "variable" => {
                base.set("repo", server.url("up.git")).set("username", "ada").env("GITSYNC_PASSWORD", &secret)
            }
            _ => base.set("repo", server.url_with("ada", &url_spelt, "up.git")),
        };
        let of_db = db.split([':', '@']).nth(2).unwrap().to_owned();
        for (how, told) in [
            ("text", r"ended with 4: ***\\n *** ***"),
            ("json", "a.py: ***"),
            ("again", "has no answer (it ended with 75): ***"),
            ("tree", "the check command changed the tree: `***`"),
        ] {
            fs::write(world.notes.join("how"), how).unwrap();
            repo.commit(&[("a.py", &format!("{how}\n"))]);
            let agent = launch.clone().args(["--http-bind=127.0.0.1:0", "--max-failures=-1"]).start();
            agent.wait_for_text(told, PATIENCE);
            agent.wait_until("the error file", || error_file.exists());
            let page = metrics(address(&agent));
            let error = fs::read_to_string(&error_file).unwrap_or_default();
            for secret in [secret.as_str(), of_db.as_str(), url_spelt.as_str()] {
                assert_not_in(secret, "stderr", agent.stderr());
                assert_not_in(secret, "the error file", &error);
                assert_not_in(secret, "metrics", &page);
            }
            drop(agent);
            let state = fs::read_to_string(root.join(".dagsync/state.json")).unwrap_or_default();
            [&secret, &of_db, &url_spelt].iter().for_each(|it| assert_not_in(it, "the state", &state));
        }
    }
}

#[test]
fn a_program_that_could_not_look_has_not_answered_and_is_asked_again() {
    let world = World::new();
    let before = world.synced.seen();
    let new = world.commit("new\n");
    let script = r#"echo x >> "$NOTES/asked"; [ -e "$NOTES/there" ] || { echo no room >&2; exit 75; }"#;
    let mut agent = world.asks(script).args(["--max-failures=-1", "--init-period=20ms"]).start();
    agent.wait_until("a second try", || world.lines("asked") >= 2);
    assert_eq!(world.synced.seen(), before);
    assert!(agent.stderr().contains("has no answer (it ended with 75): no room"), "{}", agent.stderr());
    fs::write(world.notes.join("there"), "").unwrap();
    agent.wait_published(&world.synced.root, "repo", &new);
    assert!(!agent.stderr().contains("held back"), "{}", agent.stderr());
    agent.signal(Signal::TERM);
    assert!(agent.wait_exit(PATIENCE).is_some_and(|status| status.success()));
    world.synced.nothing_is_left_over();
}

#[test]
fn no_process_of_the_program_has_more_than_its_limits() {
    let world = World::new();
    let script = r#"for it in c n t d; do ulimit -S -$it; ulimit -H -$it; done > "$NOTES/limits""#;
    let once = |more: &[&str]| {
        world.commit(&format!("{more:?}\n"));
        succeeds(&world.asks(script).args(["--one-time"]).args(more));
        world.note("limits").split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let (kib, time, short) = (4 << 20, 61 * cores, 3 * cores);
    assert_eq!(once(&[]), format!("0 0 1024 1024 {time} {time} {kib} {kib}"));
    let said = once(&["--check-timeout=1500ms", "--check-memory=1GiB"]);
    assert_eq!(said, format!("0 0 1024 1024 {short} {short} {0} {0}", 1 << 20));
    assert!(once(&["--check-memory=0"]).ends_with(&format!("{time} {time} unlimited unlimited")));
    // What takes more is refused by the kernel, not by us.
    let text = "/usr/bin/python3 -c 'held = bytearray(200 << 20)'";
    world.commit("memory\n");
    let said = world.holds(&world.asks(text).args(["--check-memory=100MiB"]));
    assert!(said.contains("MemoryError"), "{said}");
    succeeds(&world.asks(text).args(["--one-time", "--check-memory=400MiB"]));
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_with_a_hint_and_no_rejection() {
    let world = World::new();
    let new = world.commit("new\n");
    let closed = world.synced.path("closed.sh");
    fs::write(&closed, "#!/bin/sh\n").unwrap();
    let closed = closed.display().to_string();
    // An empty one, run by a shell, would be content.
    let empty = world.synced.path("empty.sh");
    fs::write(&empty, "").unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o755)).unwrap();
    let empty = empty.display().to_string();
    for command in ["/nonexistent/check", "no-such-program --strict", "./a.py", &closed, &empty] {
        let launch =
            world.synced.launch().env("PATH", PATH).args(["--one-time"]).set("check-command", command);
        let before = world.synced.seen();
        let said = synced::fails(&launch);
        let name = command.split(' ').next().unwrap_or_default().trim_start_matches('.');
        let why = match command {
            _ if command == closed => "Permission denied",
            _ if command == empty => "Exec format error",
            _ => "No such file or directory",
        };
        assert!(said.contains("cannot start `") && said.contains(&format!("{name}`: {why}")), "{said}");
        assert!(said.contains("hint"), "{said}");
        assert!(!said.contains("held back"), "{said}");
        assert_eq!(world.synced.seen(), before);
        world.nothing_is_left_over();
    }
    succeeds(&world.asks("exit 0").args(["--one-time"]));
    world.synced.shows(&new);
}

#[test]
fn what_may_not_be_run_is_passed_over_in_path() {
    let world = World::new();
    let new = world.commit("new\n");
    for (folder, text, mode) in [("first", "notes\n", 0o644), ("second", "#!/bin/sh\n", 0o755)] {
        let path = world.synced.path(folder).join("mytool");
        fs::create_dir(world.synced.path(folder)).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let [first, second] = ["first", "second"].map(|folder| world.synced.path(folder).display().to_string());
    let launch = world.synced.launch().args(["--one-time"]).set("check-command", "mytool");
    succeeds(&launch.env("PATH", format!("{first}:{second}:{PATH}")));
    world.synced.shows(&new);
}

#[test]
fn without_proc_a_program_is_started_as_with_it() {
    let world = World::new();
    let launch = world.asks("ls /proc > \"$NOTES/proc\"; exit 3").args(["--one-time"]);
    for way in ["by its path", "from its folder"] {
        world.commit(way);
        let plain = launch.command();
        let (folder, name) = match way {
            "by its path" => (world.synced.path(""), PathBuf::from(plain.get_program())),
            _ => {
                let program = PathBuf::from(plain.get_program());
                let name = PathBuf::from(".").join(program.file_name().unwrap());
                (program.parent().unwrap().to_owned(), name)
            }
        };
        let mut command = without_proc();
        command.arg(name).args(plain.get_args()).env_clear().current_dir(folder);
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let finished = Agent::spawn(command).finish(PATIENCE);
        assert!(finished.stderr.contains("ended with 3"), "{way}: {}", finished.stderr);
        assert_eq!(world.note("proc"), "", "{way}");
    }
}

/// `unshare` and a shell, which run what follows in a namespace where `/proc` is an empty folder.
fn without_proc() -> Command {
    let make = |way: &[&str]| {
        let mut command = Command::new(program("unshare"));
        command.args(["--mount"]).args(way);
        command.args(["/bin/sh", "-c", "/bin/mount -t tmpfs none /proc && exec \"$@\"", "sh"]);
        command
    };
    let works = |way: &&[&str]| make(way).arg("true").output().is_ok_and(|output| output.status.success());
    let ways: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    make(ways.iter().find(|way| works(way)).expect("`unshare` can make a mount namespace: run as root"))
}

#[test]
fn a_database_with_an_everyday_password_spoils_no_message() {
    let world = World::new();
    world.commit("new\n");
    world.synced.repo.commit(&[("dags/Passw0rd1_etl.py", "1\n")]);
    let json = r#"{"version":1,"findings":[{"path":"dags/Passw0rd1_etl.py","severity":"error",
        "message":"No module named airflow.providers.postgres, airflow:airflow@ or Passw0rd1"}]}"#;
    let launch = world.asks(&format!("echo '{}'; exit 1", json.replace('\n', " ")));
    let launch = launch.env("DB", "postgresql+psycopg2://airflow:airflow@postgres/airflow");
    let said = world.holds(&launch.env("QUEUE", "amqp://u:Passw0rd1@queue/"));
    let told = "dags/Passw0rd1_etl.py: No module named airflow.providers.postgres, airflow:***@ or ***";
    assert!(said.contains(told), "{said}");
}

#[test]
fn nothing_of_the_repository_is_run_for_its_name() {
    let world = World::new();
    world.synced.repo.write("sh-check", format!("#!/bin/sh\necho x > {}/ran\n", world.notes.display()));
    let path = world.synced.repo.work().join("sh-check");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    world.synced.repo.commit_all("a program");
    for command in ["sh-check", "./sh-check"] {
        let launch = world.synced.launch().args(["--one-time"]).env("PATH", format!(".::{PATH}"));
        synced::fails(&launch.folder(&world.notes).set("check-command", command));
    }
    assert_eq!(world.note("ran"), "");
}

#[test]
fn a_program_that_writes_to_the_tree_publishes_nothing() {
    let world = World::new();
    let before = world.synced.seen();
    let new = world.commit("new\n");
    let in_secret = "printf 'neW\\n' > \"$1/a.py\"; touch -r \"$1/dags/b.py\" \"$1/a.py\"";
    for script in
        ["echo more >> \"$1/a.py\"", "rm \"$1/dags/b.py\"", "echo x > \"$1/dags/extra.py\"", in_secret]
    {
        let said = synced::fails(&world.asks(script).args(["--one-time"]));
        assert!(said.contains("the check command changed the tree"), "{script}: {said}");
        assert_eq!(world.synced.seen(), before, "{script}");
        world.nothing_is_left_over();
    }
    let script = "mkdir \"$1/dags/__pycache__\"; echo x > \"$1/dags/__pycache__/b.pyc\"";
    succeeds(&world.asks(script).args(["--one-time"]));
    assert_eq!(world.synced.published().as_deref(), Some(&*new), "as any Python does");
}

#[test]
fn a_program_that_somebody_kills_has_not_answered() {
    let world = World::new();
    let before = world.synced.seen();
    world.commit("new\n");
    let said = synced::fails(&world.asks("kill -KILL $$").args(["--one-time"]));
    assert!(said.contains("killed by signal 9") && !said.contains("held back"), "{said}");
    assert_eq!(world.synced.seen(), before);
    let said = world.holds(&world.asks("ulimit -c 0; kill -SEGV $$"));
    assert!(said.contains("crashed with signal 11"), "{said}");
}

#[test]
fn what_is_refused_is_the_next_spare_where_there_is_a_place_for_it() {
    let world = World::new();
    world.commit("bad\n");
    let timed = ["--stale-worktree-timeout=1h"];
    let launch = world.asks("! grep -q bad \"$1/a.py\"").args(timed);
    world.holds(&launch);
    let spares = |world: &World| {
        world.synced.names(".dagsync").iter().filter(|name| name.starts_with("spare-")).count()
    };
    assert_eq!(spares(&world), 1, "out of sight");
    let good = world.commit("good\n");
    let finished = succeeds(&launch.args(["--one-time", "--verbose=2"]));
    world.synced.shows(&good);
    assert!(finished.stderr.contains("\"written\":1"), "only what differs is written: {}", finished.stderr);
    assert_eq!(spares(&world), 0, "used up");
    world.synced.nothing_is_left_over();
}

#[test]
fn a_published_tree_is_mended_without_being_asked_about() {
    let world = World::new();
    let live = world.synced.published().unwrap();
    fs::remove_dir_all(world.synced.root.join(".worktrees").join(&live)).unwrap();
    succeeds(&world.asks("exit 1").args(["--one-time"]));
    world.synced.shows(&live);
}

#[test]
fn process_1_gets_every_answer_and_reaps_what_the_program_left() {
    let world = World::new();
    // Orphans that end while the program does: a reaper that took all would take its exit code.
    let launch = world.asks(
        r#"for i in 1 2 3 4 5 6 7 8; do (sh -c 'sleep 0.0$0' $i &) ; done; echo x >> "$NOTES/asked"
        if grep -q bad "$1/a.py"; then exit 42; fi"#,
    );
    let inner = launch.args(["--max-failures=0"]).command();
    let mut command = as_process_1();
    command.arg(inner.get_program()).args(inner.get_args()).env_clear().env("PATH", PATH);
    let agent = Agent::spawn(command);
    for round in 0..6 {
        let bad = world.commit(&format!("bad {round}\n"));
        agent.wait_for_text(&bad, PATIENCE);
        agent.wait_for_text("ended with 42", PATIENCE);
        let good = world.commit(&format!("good {round}\n"));
        agent.wait_published(&world.synced.root, "repo", &good);
    }
    assert!(!agent.stderr().contains("lost `"), "{}", agent.stderr());
    assert!(world.lines("asked") >= 12);
    let children = |pid: u32| -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
        lists
            .flat_map(|list| list.split_whitespace().filter_map(|it| it.parse().ok()).collect::<Vec<_>>())
            .collect()
    };
    let own = *children(agent.pid()).first().expect("process 1");
    let left = || -> Vec<String> {
        let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        children(own).into_iter().map(stat).collect()
    };
    let reaped = holds_within(PATIENCE, || left().is_empty());
    assert!(reaped, "left: {:?}\n{}", left(), agent.stderr());
}
