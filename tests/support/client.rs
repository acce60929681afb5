//! Other clients than ours, and the repository they all ask for.

use std::process::{Command, Output};

use tempfile::TempDir;

use super::process::program;
use super::repo::{Repo, git, text_of};
use super::{GitServer, temp};

/// A bare repository `repo.git` in a folder to serve, with two commits.
pub fn served() -> (TempDir, Repo) {
    let root = temp();
    let repo = Repo::bare(root.path().join("repo.git"));
    repo.commit(&[("dags/a.py", "a = 1\n"), ("dags/b.py", "b = 1\n")]);
    repo.commit(&[("dags/a.py", "a = 2\n")]);
    (root, repo)
}

/// Clones with git, without the files (twenty thousand take a slow disk half a minute); the tip, or what git said.
pub fn clone(url: &str, settings: &[&str]) -> Result<String, String> {
    let target = temp();
    let mut command = git();
    settings.iter().for_each(|setting| _ = command.args(["-c", setting]));
    let output =
        command.args(["clone", "-qn", "--depth=1", "--", url]).arg(target.path()).output().expect("git");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut tip = git();
    Ok(text_of("tip", tip.arg("-C").arg(target.path()).args(["rev-parse", "HEAD"]).output().expect("git")))
}

/// Clones in vain; git has to say `reason`.
#[track_caller]
pub fn clone_fails(url: &str, settings: &[&str], reason: &str) {
    let said = clone(url, settings).expect_err("a clone that fails");
    assert!(said.contains(reason), "git did not say `{reason}`:\n{said}");
}

/// The setting that makes git trust a server's own authority.
pub fn trusting(server: &GitServer) -> String {
    format!("http.sslCAInfo={}", server.ca_pem().display())
}

/// Runs curl, quiet but for errors.
pub fn curl(args: &[&str]) -> Output {
    Command::new(program("curl")).env_clear().args(["-sS"]).args(args).output().expect("curl runs")
}
