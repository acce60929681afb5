//! Which variables of ours a child process may see.

use super::Surroundings;
use crate::secret::Secret;

/// What programs need to run at all, in the user's language and place, and to find the Airflow that is installed.
const NAMES: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "AIRFLOW_HOME",
    "AIRFLOW_CONFIG",
];
/// Families of such variables. `AIRFLOW_CONN_…` is none: connections are credentials.
const FAMILIES: &[&str] = &["LC_", "AIRFLOW__"];
/// Where programs are when nobody says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Surroundings {
    /// The environment of a child: an allow-list, so that no credential of ours is in it whatever it is called. A child runs inside of a
    /// tree, so relative places in `PATH` are left out: nothing from a repository is run for its name.
    pub fn for_children(&self) -> Vec<(String, Secret)> {
        let allowed =
            |name: &str| NAMES.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family));
        let path = self.var("PATH").unwrap_or(PATH);
        let absolute: Vec<&str> = path.split(':').filter(|place| place.starts_with('/')).collect();
        let others = self.env.iter().filter(|(name, _)| allowed(name) && *name != "PATH");
        let mut all = vec![("PATH".to_owned(), Secret::new(absolute.join(":")))];
        all.extend(others.map(|(name, value)| (name.clone(), value.clone())));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(vars: &[(&str, &str)]) -> Vec<String> {
        let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let around = Surroundings::new(vars, "/", false, false);
        let all = around.for_children();
        all.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect()
    }

    #[test]
    fn children_get_what_is_on_the_list_and_nothing_else() {
        let vars = [
            ("PATH", "/opt/bin::.:bin:/bin"),
            ("LC_ALL", "C.UTF-8"),
            ("AIRFLOW__CORE__PARALLELISM", "1"),
            ("AIRFLOW_CONN_DB", "CANARY"),
            ("GITSYNC_PASSWORD", "CANARY"),
            ("DAGSYNC_CHECK", "gate"),
            ("https_proxy", "http://u:CANARY@proxy"),
            ("GIT_ASKPASS", "/bin/x"),
        ];
        let expected = ["PATH=/opt/bin:/bin", "AIRFLOW__CORE__PARALLELISM=1", "LC_ALL=C.UTF-8"];
        assert_eq!(shown(&vars), expected);
        assert_eq!(shown(&[]), [format!("PATH={PATH}")]);
    }
}
