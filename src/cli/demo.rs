//! `dagsync demo`.

/// Runs the demonstration.
pub fn run(_args: &super::DemoArgs) -> anyhow::Result<()> {
    anyhow::bail!("not merged yet")
}
