//! A real Airflow. `tests/run` installs it and names it in `DAGSYNC_TEST_AIRFLOW`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::unproven;

/// The folder of its programs. Without one a test says that it has proven nothing.
pub fn programs() -> Option<PathBuf> {
    let programs = std::env::var_os("DAGSYNC_TEST_AIRFLOW").map(PathBuf::from);
    if programs.is_none() {
        unproven("there is no Airflow: `tests/run` installs one and names its folder of programs");
    }
    programs
}

/// A script of `tests/airflow`, run by its Python, with nothing of the environment and no database.
pub fn script(programs: &Path, home: &Path, script: &str) -> Command {
    let mut command = Command::new(programs.join("python"));
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/airflow").join(script))
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .env("HOME", home)
        .env("LC_ALL", "C.UTF-8")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AIRFLOW_HOME", home)
        .env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "sqlite:////nonexistent/no.db");
    command
}
