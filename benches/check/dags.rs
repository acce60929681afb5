//! The DAG files of the bench: like those that people write, every one different, the same ones on every machine.

use std::path::Path;

use fastrand::Rng;

/// How long files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// 40 to 80 lines: most.
    Typical,
    /// 220 lines.
    Long,
}

impl Length {
    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Length::Typical => "40–80 lines",
            Length::Long => "220 lines",
        }
    }

    fn lines(self, random: &mut Rng) -> usize {
        match self {
            Length::Typical => random.usize(40..=72),
            Length::Long => 214,
        }
    }
}

const AREAS: &[&str] =
    &["orders", "customers", "invoices", "ledger", "stock", "returns", "sessions", "payments"];
const STEPS: &[&str] =
    &["extract", "load", "clean", "join", "publish", "export", "verify", "archive", "notify"];
const KEYS: &[&str] = &["customer_id", "created_at", "sku", "invoice_id", "visit"];
const COLUMNS: &[&str] = &["amount", "currency", "region", "channel", "status"];
const SCHEDULES: &[&str] = &["@daily", "@hourly", "0 6 * * *", "*/15 * * * *", "30 2 * * 1-5", "@weekly"];

/// Twenty files to a folder, a thousand to a team.
pub fn path_of(number: usize) -> String {
    format!("dags/team{:03}/area{:02}/pipeline_{number:06}.py", number / 1000, number / 20 % 50)
}

/// Writes so many files below a folder.
///
/// # Panics
/// When it cannot.
pub fn write_all(top: &Path, files: usize, length: Length) {
    for number in 0..files {
        let path = top.join(path_of(number));
        std::fs::create_dir_all(path.parent().expect("a path inside")).expect("a folder of the bench");
        std::fs::write(path, file(number, length, 0)).expect("a file of the bench");
    }
}

/// One file. `round` makes it another one of the same name.
pub fn file(number: usize, length: Length, round: usize) -> String {
    let mut random = Rng::with_seed((number as u64) << 20 | round as u64);
    let goal = length.lines(&mut random);
    let mut text = head(number, round, &mut random);
    let mut tasks: Vec<String> = Vec::new();
    // The chain at the end takes a line for three tasks.
    while text.lines().count() + tasks.len() / 3 < goal {
        let (name, task) = task(tasks.len(), &mut random);
        text += &task;
        tasks.push(name);
    }
    for three in tasks.chunks(3) {
        match three {
            [first, second, third] => text += &format!("    {first} >> [{second}, {third}]\n"),
            [first, second] => text += &format!("    {first} >> {second}\n"),
            _ => text += &format!("    {}.doc_md = \"The last step of pipeline {number}.\"\n", three[0]),
        }
    }
    text
}

fn pick<'a>(random: &mut Rng, of: &[&'a str]) -> &'a str {
    of[random.usize(..of.len())]
}

fn head(number: usize, round: usize, random: &mut Rng) -> String {
    let (area, schedule) = (pick(random, AREAS), pick(random, SCHEDULES));
    let (year, month, day) = (random.u32(2019..2026), random.u32(1..13), random.u32(1..29));
    format!(
        r#""""Pipeline {number}: {area}, round {round}.

Reads what the shop has written since the last run and hands it on to the warehouse.
Whoever changes it asks the owners of `{area}` first.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task

BUCKET = os.environ.get("BUCKET_{number}", "s3://warehouse/{area}")
DEFAULT_ARGS = {{
    "owner": "team-{area}",
    "retries": {retries},
    "retry_delay": timedelta(minutes={delay}),
    "email": ["{area}@example.com", "on-call@example.com"],
}}

with DAG(
    dag_id="pipeline_{number:06}",
    description="Moves {area} to the warehouse",  # shown in the list
    schedule="{schedule}",
    start_date=datetime({year}, {month}, {day}),
    catchup=False,
    default_args=DEFAULT_ARGS,
    tags=["{area}", "tier-{tier}"],
) as dag:
"#,
        retries = random.u32(0..5),
        delay = random.u32(1..30),
        tier = random.u32(1..4),
    )
}

/// A task: its variable, and its lines.
fn task(at: usize, random: &mut Rng) -> (String, String) {
    let (step, area) = (pick(random, STEPS), pick(random, AREAS));
    let name = format!("{step}_{area}_{at}");
    let key = random.u32(..);
    let (one, other) = (pick(random, KEYS), pick(random, COLUMNS));
    let text = match random.u8(..5) {
        0 | 1 => format!(
            r#"    {name} = BashOperator(
        task_id="{name}",
        bash_command="run-{step} --table={area} --key={key:08x} --day={{{{ ds }}}} > /tmp/{name}.log",
        env={{"REGION": "eu-{}", "BATCH": str({} * 1024)}},
        execution_timeout=timedelta(hours={}),
    )
"#,
            random.u32(1..9),
            random.u32(1..64),
            random.u32(1..12),
        ),
        2 => format!(
            r#"    {name} = SQLExecuteQueryOperator(
        task_id="{name}",
        conn_id="warehouse",
        sql="""
            INSERT INTO mart.{area}_{key:08x} ({one}, {other}, total)
            SELECT {one}, {other}, SUM(amount) AS total
            FROM staging.{area}
            WHERE day = '{{{{ ds }}}}' AND {one} IS NOT NULL
            GROUP BY {one}, {other}
        """,
        parameters={{"limit": {}, "region": "{area}"}},
    )
"#,
            random.u32(100..100_000),
        ),
        _ => format!(
            r#"
    @task(task_id="{name}", retries={retries}, pool="pool_{area}")
    def {step}_{at}(day: str, limit: int = {limit}, prefix: str | None = None) -> dict[str, int]:
        """Counts `{one}` of {area}, {key:08x}."""
        rows = [{{"{one}": n, "{other}": n * {factor}}} for n in range(limit) if n % 7 != 3]
        if prefix is not None and not prefix.startswith(BUCKET):
            raise ValueError(f"{{prefix!r}} is not below {{BUCKET}}, day {{day}}")
        total = sum(row["{other}"] for row in rows) + len(rows) ** 2
        return {{"rows": len(rows), "total": total, "mean": total // max(len(rows), 1)}}

    {name} = {step}_{at}("{{{{ ds }}}}", limit={limit})
"#,
            retries = random.u32(0..4),
            limit = random.u32(10..10_000),
            factor = random.u32(2..90),
        ),
    };
    (name, text)
}
