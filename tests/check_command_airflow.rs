//! The check command that is shipped for Airflow, by the binary and a real Airflow.

mod support;
mod synced;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use support::airflow;
use support::canary::canary;
use synced::Synced;

/// What programs need to be found.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

#[test]
fn a_real_airflow_refuses_what_fails_hangs_or_eats_memory_and_lets_the_rest_through() {
    let Some(programs) = airflow::programs() else { return };
    let synced = Synced::empty();
    let good =
        synced.repo.commit(&[("good.py", "from airflow.sdk import DAG\n\nwith DAG('good'):\n    pass\n")]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("container/airflow-dagbag-check.py");
    let scratch = synced.path("tmp");
    fs::create_dir(&scratch).unwrap();
    let words =
        format!("{} {} --seconds=5 --memory-mib=1500", programs.join("python").display(), script.display());
    // What it is about is not what the gate would find by itself.
    let launch = synced
        .launch()
        .env("PATH", PATH)
        .env("TMPDIR", &scratch)
        .set("check-command", words)
        .args(["--one-time", "--sync-timeout=300s", "--check-timeout=200s", "--verbose=2"]);
    let run = || {
        let finished = launch.run(Duration::from_secs(240));
        assert!(finished.status.success(), "{finished:?}");
        assert_eq!(synced::names(&scratch), [""; 0], "nothing of it is left");
        finished.stderr
    };
    let began = Instant::now();
    run();
    println!("a check of one good file took {:?}", began.elapsed());
    synced.shows(&good);
    let head = "from airflow.sdk import DAG\n";
    let bad = [
        ("fails.py", "1/0\n", "division by zero"),
        (
            "hangs.py",
            "import signal, time\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n    time.sleep(1)\n",
            "not loaded in time",
        ),
        (
            "spins.py",
            "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n    pass\n",
            "spins.py",
        ),
        ("eats.py", "held = bytearray(4 << 30)\n", "MemoryError"),
        ("ends.py", "import os\nos._exit(0)\n", "ended the process"),
    ];
    for (path, text, told) in bad {
        synced.repo.commit(&[(path, &format!("{head}{text}"))]);
        let said = run();
        assert!(said.contains("held back: ") && said.contains(path) && said.contains(told), "{path}: {said}");
        assert_eq!(synced.published().as_deref(), Some(&*good), "{path}");
        synced.repo.remove(path);
    }
    let more = synced.repo.commit(&[("more.py", &format!("{head}\nwith DAG('more'):\n    pass\n"))]);
    run();
    synced.shows(&more);
}

#[test]
fn a_real_airflow_looks_at_a_folder_without_a_database_and_waits_for_nobody() {
    let Some(programs) = airflow::programs() else { return };
    let synced = Synced::empty();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("container/airflow-dagbag-check.py");
    let python = programs.join("python");
    let head = "from airflow.sdk import DAG, BaseHook, Variable\n";
    let with = |text: &str, id: &str| format!("{head}{text}\nwith DAG('{id}'):\n    pass\n");
    let many = format!("{head}for i in range(6000):\n    globals()[f'd{{i}}'] = DAG('d' * 240 + str(i))\n");
    let forks = "import os, time\nif os.fork() == 0:\n    time.sleep(600)\n    os._exit(0)\n";
    synced.repo.commit(&[
        ("broken.py", &with("1/0", "not_in_the_folder")),
        ("dags/old.py", &with("from airflow.models import Variable\nVariable.get('none')", "old")),
        ("dags/variable.py", &with("\nVariable.get('none')", "variable")),
        ("dags/connection.py", &with("BaseHook.get_connection('none')", "connection")),
        ("dags/many.py", &many),
        ("dags/z.py", &with("", "first")),
        ("dags/forks1.py", &with(forks, "forks1")),
        ("dags/forks2.py", &with(forks, "forks2")),
        ("dags/forks3.py", &with(forks, "forks3")),
    ]);
    let asks = |more: &str| {
        let words = format!("{} {} --seconds=60 --jobs=1 {more}", python.display(), script.display());
        let args =
            ["--one-time", "--check=off", "--sync-timeout=300s", "--check-timeout=200s", "--verbose=2"];
        synced.launch().env("PATH", PATH).set("check-command", words).args(args)
    };
    // What a missing value hides is a warning, and nothing else is wrong; nobody waits for what three files left running.
    let began = Instant::now();
    let finished = asks("--folder=dags").run(Duration::from_secs(240));
    let said = &finished.stderr;
    assert!(finished.status.success() && synced.published().is_some(), "{said}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    for path in ["dags/old.py", "dags/variable.py", "dags/connection.py"] {
        assert!(said.contains(path), "{path}: {said}");
    }
    assert!(said.contains("VARIABLE_NOT_FOUND") && said.contains("Variable none does not exist"), "{said}");
    assert!(!said.contains("held back") && !said.contains("broken.py"), "{said}");
    let good = synced.published();

    // Given, or strict; and what is wrong is told from the top of the tree.
    let refused = |more: &str, env: Option<(&str, &str)>, told: &[&str]| {
        let launch = env.iter().fold(asks(more), |launch, (name, value)| launch.env(name, value));
        let finished = launch.run(Duration::from_secs(240));
        let said = &finished.stderr;
        assert!(finished.status.success() && said.contains("held back: "), "{more}: {said}");
        told.iter().for_each(|text| assert!(said.contains(text), "{more}: {text}: {said}"));
        assert_eq!(synced.published(), good);
    };
    synced.repo.commit(&[("dags/x.py", &with("", "x"))]);
    refused("--folder=dags --strict", None, &["dags/connection.py"]);
    refused("--folder=nowhere", None, &["nowhere", "is not there"]);
    refused("--folder=../x", None, &["ended with 64"]);
    refused("--nonsense", None, &["ended with 64"]);
    let words = "dags/z.py";
    synced.repo.commit(&[("dags/a.py", &with("", "first"))]);
    refused("--folder=dags", None, &[words, "the DAG `first` is in `dags/a.py` too"]);

    // A DAG file finds no credential, wherever it looks.
    let secret = canary();
    let look = "import os\nfound = ''\nfor pid in ['self', str(os.getppid())]:\n    found += open(f'/proc/{pid}/environ').read()\n\
                raise RuntimeError('looked, and found it: ' + str('CANARY' in found + str(os.environ)))";
    synced.repo.remove("dags/a.py");
    synced.repo.commit(&[("dags/x.py", &with(look, "x"))]);
    let url = format!("postgres://x:{secret}@h/");
    refused(
        "--folder=dags",
        Some(("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", &url)),
        &["dags/x.py:", "looked, and found it: False"],
    );
}

#[test]
fn a_python_without_airflow_has_not_answered() {
    let synced = Synced::new();
    let script = synced.path("check.py");
    fs::write(&script, include_str!("../container/airflow-dagbag-check.py")).unwrap();
    let check = format!("/usr/bin/python3 {}", script.display());
    let said =
        synced::fails(&synced.launch().env("PATH", PATH).set("check-command", check).args(["--one-time"]));
    assert!(said.contains("has no answer (it ended with 75)") && said.contains("airflow"), "{said}");
    assert!(!said.contains("held back"), "{said}");
    assert_eq!(synced.seen(), None);
    synced.nothing_is_left_over();
}
