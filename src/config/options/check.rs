//! The rows that say what a revision is checked for, and what follows.

use std::time::Duration;

use super::Opt;
use crate::config::value::Kind;

pub(super) static CHECK: &[Opt] = &[
    Opt::source("check", Kind::Choice(&["gate", "report", "off"]), "What is done about a revision that would break Airflow")
        .vars(&["DAGSYNC_CHECK"])
        .default("gate")
        .doc("`gate`: a revision with an error that the published one does not have is held back, and what is published stays. \
              `report`: it is published, and the findings are told. Either way a revision that would stop Airflow's parsing \
              altogether is never published. `off`: git-sync's behaviour, nothing is looked at."),
    Opt::source("check-folder", Kind::Text, "The DAGs folder, relative to the top of the repository")
        .vars(&["DAGSYNC_CHECK_FOLDER"])
        .doc("What Airflow has as its `dags_folder` below the link: the chart's `dags.gitSync.subPath`. The default is the top."),
    Opt::source("check-airflow", Kind::Text, "The Airflow that reads the DAGs, 2.7 to 3.3")
        .vars(&["DAGSYNC_CHECK_AIRFLOW"])
        .default("3.3")
        .doc("`3` is the newest 3.x, `3.1` its last patch release."),
    Opt::source("check-python", Kind::Text, "The Python that it runs on, 3.8 to 3.15")
        .vars(&["DAGSYNC_CHECK_PYTHON"])
        .default("3.12"),
    Opt::source("check-ignore-syntax", Kind::Choice(&["auto", "glob", "regexp"]), "How `.airflowignore` is read")
        .vars(&["DAGSYNC_CHECK_IGNORE_SYNTAX", "AIRFLOW__CORE__DAG_IGNORE_FILE_SYNTAX"])
        .default("auto")
        .doc("`auto` is the default of that Airflow: `glob` in 3.x, `regexp` before."),
    Opt::source("check-safe-mode", Kind::Bool, "Whether Airflow skips files that do not mention it")
        .vars(&["DAGSYNC_CHECK_SAFE_MODE", "AIRFLOW__CORE__DAG_DISCOVERY_SAFE_MODE"])
        .default("true"),
    Opt::source("max-removed-dags", Kind::Int { min: 0 }, "Hold a revision that removes more of the DAG files, in percent; 100 = never")
        .vars(&["DAGSYNC_MAX_REMOVED_DAGS"])
        .default("50")
        .doc("And one that leaves none. A commit whose message has the line `dagsync-allow: shrink` is published all the same."),
    Opt::source("on-rewind", Kind::Choice(&["allow", "warn", "block"]), "What is done when a branch moves backward")
        .vars(&["DAGSYNC_ON_REWIND"])
        .default("warn")
        .doc("Backward: to a commit from which the published one is reached. It is known as far as the history that was fetched goes."),
    Opt::source("check-command", Kind::Opaque, "A program of yours that is asked about every revision before it is published")
        .vars(&["DAGSYNC_CHECK_COMMAND"])
        .doc("Its words are split as a shell splits them, but no shell runs; the path of the new tree follows as the last argument. \
              It runs in that folder, so paths of yours must be absolute. Any exit code but 0 is a finding `command`: the \
              revision is held back (with `check=report` it is only told), and what is published stays. Findings in dagsync's JSON on its \
              stdout are told too. It gets `PATH`, `HOME`, `LANG`, `TZ`, `AIRFLOW__…` and a few more variables, no credentials \
              of dagsync's, and `DAGSYNC_SOURCE`, `DAGSYNC_COMMIT` and `DAGSYNC_REF`. It must not write to the tree."),
    Opt::source("check-timeout", Kind::Duration { min: Duration::from_millis(10) }, "How long `check-command` may take")
        .vars(&["DAGSYNC_CHECK_TIMEOUT"])
        .default("60s")
        .doc("Then it is killed with all that it started in its process group, and the pass has failed: it is tried again. \
              `sync-timeout`, which is for the whole pass, must be longer. No process of it gets more processor time than that, and a second, on each core."),
    Opt::source("check-memory", Kind::Size, "Memory that each process of `check-command` may have; 0 = no bound")
        .vars(&["DAGSYNC_CHECK_MEMORY"])
        .default("4GiB")
        .doc("What a process has of its own (`RLIMIT_DATA`): its heap, stacks and private maps, not the files it maps to read."),
];
