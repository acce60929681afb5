//! What happens in the repository: a small team's week, again and again. Every round ends where the next one can begin.

use super::upstream::Files;

/// A thing that somebody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// A commit on the branch.
    Commit {
        /// Its message.
        message: String,
        /// The files after it.
        files: Files,
        /// A tag put on it.
        tag: Option<String>,
        /// The ref file goes back to the branch.
        follow: bool,
    },
    /// The ref file names a tag of an earlier commit.
    RollBack {
        /// The tag.
        tag: String,
        /// The files of its commit.
        files: Files,
    },
}

impl Deed {
    /// One line for people.
    pub(super) fn what(&self) -> String {
        match self {
            Deed::Commit { message, tag: Some(tag), .. } => format!("{message} (tag {tag})"),
            Deed::Commit { message, follow: true, .. } => format!("{message} (ref file: main again)"),
            Deed::Commit { message, .. } => message.clone(),
            Deed::RollBack { tag, .. } => format!("ROLLBACK: the ref file now says {tag}"),
        }
    }

    /// Whether it is a commit.
    pub(super) fn commits(&self) -> bool {
        matches!(self, Deed::Commit { .. })
    }
}

pub(super) struct Script {
    files: Files,
    deeds: usize,
    tagged: Files,
}

/// Deeds of one round.
const ROUND: usize = 8;

impl Script {
    pub(super) fn new() -> Self {
        let files: Files = [
            ("README.md", "# DAGs of the data team\n".to_owned()),
            ("dags/.airflowignore", "common/\n".to_owned()),
            ("dags/common/__init__.py", String::new()),
            ("dags/common/alerts.py", alerts(1)),
            ("dags/marketing/campaigns.py", dag("campaigns", "15 6 * * *", 2)),
            ("dags/sales/orders_daily.py", dag("orders_daily", "0 4 * * *", 2)),
            ("dags/sales/refunds_hourly.py", dag("refunds_hourly", "@hourly", 2)),
            (
                "sql/orders.sql",
                "select order_id, amount from raw.orders where day = '{{ ds }}';\n".to_owned(),
            ),
        ]
        .into_iter()
        .map(|(path, content)| (path.to_owned(), content))
        .collect();
        Script { tagged: files.clone(), files, deeds: 0 }
    }

    /// The files of the branch.
    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// What happens next.
    pub(super) fn next(&mut self) -> Deed {
        let (round, deed) = (self.deeds / ROUND, self.deeds % ROUND);
        self.deeds += 1;
        let tag = format!("v1.{round}");
        match deed {
            0 => {
                let hour = 5 + round % 4;
                self.put("dags/sales/orders_daily.py", dag("orders_daily", &format!("0 {hour} * * *"), 2));
                self.commit(&format!("orders_daily: start at {hour}, the shop closes its books later"))
            }
            1 => {
                self.put("dags/ml/churn_model.py", dag("churn_model", "@weekly", 1));
                self.put("sql/churn.sql", "select customer_id, last_order from mart.customers;\n".into());
                self.commit("churn_model: a first version")
            }
            2 => {
                self.put("dags/common/alerts.py", alerts(2 + round));
                self.tagged = self.files.clone();
                match self.commit("alerts: page less often") {
                    Deed::Commit { message, files, follow, .. } => {
                        Deed::Commit { message, files, tag: Some(tag), follow }
                    }
                    other => other,
                }
            }
            3 => {
                let (from, to) =
                    if round % 2 == 0 { ("marketing", "growth") } else { ("growth", "marketing") };
                self.rename(&format!("dags/{from}/"), &format!("dags/{to}/"));
                self.commit(&format!("the {from} team is now called {to}"))
            }
            4 => {
                self.put("dags/sales/refunds_hourly.py", dag("refunds_hourly", "@hourly", 0));
                self.commit("refunds_hourly: no retries (that was a mistake)")
            }
            5 => Deed::RollBack { tag, files: self.tagged.clone() },
            6 => {
                self.put("dags/sales/refunds_hourly.py", dag("refunds_hourly", "@hourly", 2));
                match self.commit("refunds_hourly: retries again") {
                    Deed::Commit { message, files, tag, .. } => {
                        Deed::Commit { message, files, tag, follow: true }
                    }
                    other => other,
                }
            }
            _ => {
                self.files.retain(|path, _| !path.contains("churn"));
                self.commit("churn_model: retired")
            }
        }
    }

    fn commit(&self, message: &str) -> Deed {
        Deed::Commit { message: message.to_owned(), files: self.files.clone(), tag: None, follow: false }
    }

    fn put(&mut self, path: &str, content: String) {
        self.files.insert(path.to_owned(), content);
    }

    fn rename(&mut self, from: &str, to: &str) {
        let moved: Vec<String> = self.files.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in moved {
            if let Some(content) = self.files.remove(&path) {
                self.files.insert(path.replacen(from, to, 1), content);
            }
        }
    }
}

fn dag(id: &str, schedule: &str, retries: u8) -> String {
    format!(
        r#"from datetime import datetime, timedelta

from airflow import DAG
from airflow.operators.bash import BashOperator

from common.alerts import on_failure

with DAG(
    dag_id="{id}",
    schedule="{schedule}",
    start_date=datetime(2024, 1, 1),
    catchup=False,
    default_args={{
        "retries": {retries},
        "retry_delay": timedelta(minutes=5),
        "on_failure_callback": on_failure,
    }},
):
    extract = BashOperator(task_id="extract", bash_command="extract {id}")
    load = BashOperator(task_id="load", bash_command="load {id}")
    extract >> load
"#
    )
}

fn alerts(failures: usize) -> String {
    format!(
        r#"PAGE_AFTER = {failures}  # failures in a row


def on_failure(context):
    if context["ti"].try_number > PAGE_AFTER:
        print("paging the team on call for", context["dag"].dag_id)
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deed_changes_what_is_live_round_after_round() {
        let mut script = Script::new();
        let mut live = script.files().clone();
        for number in 0..ROUND * 9 {
            let deed = script.next();
            let (Deed::Commit { files, .. } | Deed::RollBack { files, .. }) = &deed;
            assert_ne!(&live, files, "deed {number}: {}", deed.what());
            assert!(deed.what().chars().count() <= 66, "{}", deed.what());
            live = files.clone();
        }
    }

    #[test]
    fn a_rollback_goes_to_the_commit_that_was_tagged() {
        let mut script = Script::new();
        let mut tagged = None;
        for _ in 0..ROUND {
            match script.next() {
                Deed::Commit { files, tag: Some(tag), .. } => tagged = Some((tag, files)),
                Deed::RollBack { tag, files } => assert_eq!(tagged.take(), Some((tag, files))),
                Deed::Commit { .. } => {}
            }
        }
    }
}
