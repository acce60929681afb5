//! What the agent counts, and the page it is read from.
//!
//! Owns the names, labels and help of all metrics, and the two formats of the page. Names without `dagsync_` are
//! git-sync's: same labels, no `source`, several sources add up in them. Must never block a pass: every method is a few
//! atomic operations. Passes, hooks and auth write; the HTTP server renders.

mod openmetrics;
mod process;
mod revision;
mod source;
mod summary;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

pub use source::{SourceMetrics, Stage};

use process::Process;
use summary::DurationSummary;

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassResult {
    /// Something was published, or repaired.
    Success,
    /// Nothing new.
    Noop,
    /// It failed.
    Error,
    /// The gate held the revision back. Not a failure; git-sync's names, which know no gate, count a noop.
    Rejected,
}

impl PassResult {
    /// The value of the label `result`.
    pub fn name(self) -> &'static str {
        match self {
            PassResult::Success => "success",
            PassResult::Noop => "noop",
            PassResult::Error => "error",
            PassResult::Rejected => "rejected",
        }
    }

    /// The value of git-sync's label `status`.
    fn compat(self) -> &'static str {
        match self {
            PassResult::Rejected => PassResult::Noop.name(),
            same => same.name(),
        }
    }
}

/// Which hook ran, in git-sync's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// `exechook-command`.
    Exec,
    /// `pre-publish-exechook-command`.
    PrePublish,
    /// `webhook-url`.
    Web,
}

/// The format of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// The metrics of the process. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    compat: Compat,
    config_reloads: IntCounterVec,
    sources: Mutex<BTreeMap<String, SourceMetrics>>,
}

/// git-sync's own names.
#[derive(Clone)]
struct Compat {
    duration: DurationSummary,
    count: IntCounterVec,
    fetches: IntCounter,
    askpass: IntCounterVec,
    github_app: IntCounterVec,
    hooks: IntCounterVec,
}

impl Metrics {
    /// A registry of its own: nothing is global, tests have many.
    pub fn new() -> Metrics {
        let registry = Registry::new();
        let build = IntGauge::with_opts(
            Opts::new("dagsync_build_info", "Version of the running agent")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        );
        let build = register(&registry, build);
        build.set(1);
        register(&registry, Process::new().map(Arc::new).map(SharedProcess));
        let inner = Inner {
            compat: Compat {
                duration: register(
                    &registry,
                    DurationSummary::new("git_sync_duration_seconds", "Duration of passes", "status"),
                ),
                count: counters(
                    &registry,
                    "git_sync_count_total",
                    "Passes: success, error or noop",
                    &["status"],
                ),
                fetches: register(
                    &registry,
                    IntCounter::new("git_fetch_count_total", "Fetches from the remote"),
                ),
                askpass: counters(&registry, "git_sync_askpass_calls", "Calls of askpass-url", &["status"]),
                github_app: counters(
                    &registry,
                    "git_sync_refresh_github_app_token_count",
                    "Renewals of the GitHub App token",
                    &["status"],
                ),
                hooks: counters(
                    &registry,
                    "git_sync_hook_run_count_total",
                    "Runs of hooks",
                    &["name", "status"],
                ),
            },
            config_reloads: counters(
                &registry,
                "dagsync_config_reloads_total",
                "Times the changed configuration was read: success, or error and the old one stays",
                &["result"],
            ),
            sources: Mutex::default(),
            registry,
        };
        Metrics { inner: Arc::new(inner) }
    }

    /// The metrics of a source, made at the first call. Two sources of one name would be one.
    pub fn source(&self, name: &str) -> SourceMetrics {
        let mut sources = self.inner.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || register(&self.inner.registry, SourceMetrics::new(name, self.inner.compat.clone()));
        sources.entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// Takes the series of a source away, because the configuration no longer has it. git-sync's names keep what it
    /// added: counters never go back.
    pub fn forget(&self, name: &str) {
        let gone = self.inner.sources.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(source) = gone {
            // It fails only for something never registered.
            let _ = self.inner.registry.unregister(Box::new(source));
        }
    }

    /// A changed configuration was read; `ok` = it is in force.
    pub fn config_reload(&self, ok: bool) {
        self.inner.config_reloads.with_label_values(&[status(ok)]).inc();
    }

    /// `askpass-url` was asked.
    pub fn askpass(&self, ok: bool) {
        self.inner.compat.askpass.with_label_values(&[status(ok)]).inc();
    }

    /// The GitHub App token was renewed.
    pub fn github_app_token(&self, ok: bool) {
        self.inner.compat.github_app.with_label_values(&[status(ok)]).inc();
    }

    /// A hook ran.
    pub fn hook_run(&self, hook: Hook, ok: bool) {
        let name = match hook {
            Hook::Exec => "exechook",
            Hook::PrePublish => "pre-publish-exechook",
            Hook::Web => "webhook",
        };
        self.inner.compat.hooks.with_label_values(&[name, status(ok)]).inc();
    }

    /// The page: its content type and its bytes.
    pub fn render(&self, format: Format) -> (&'static str, Vec<u8>) {
        let families = self.inner.registry.gather();
        match format {
            Format::OpenMetrics => (openmetrics::CONTENT_TYPE, openmetrics::encode(&families).into_bytes()),
            Format::Text => {
                let mut page = String::with_capacity(8 * 1024);
                if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut page) {
                    // What was written so far is still a page; only a family without a name gets here.
                    tracing::error!(error = %error, "metrics are incomplete");
                }
                (prometheus::TEXT_FORMAT, page.into_bytes())
            }
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Compat {
    fn pass(&self, result: PassResult, took: Duration) {
        self.duration.observe(result.compat(), took);
        self.count.with_label_values(&[result.compat()]).inc();
    }
}

fn status(ok: bool) -> &'static str {
    if ok { "success" } else { "error" }
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

/// Names and labels are literals of this room, and a source is registered under its name once: a failure here is a
/// mistake of ours that any test shows.
fn register<C: Collector + Clone + 'static>(registry: &Registry, made: Result<C, prometheus::Error>) -> C {
    let collector = made.expect("the name and the labels of a metric are valid");
    registry.register(Box::new(collector.clone())).expect("a metric is registered once");
    collector
}

/// [`Process`] behind a reference, for [`register`].
#[derive(Clone)]
struct SharedProcess(Arc<Process>);

impl Collector for SharedProcess {
    fn desc(&self) -> Vec<&prometheus::core::Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.0.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.render(Format::Text).1).unwrap()
    }

    #[track_caller]
    fn has(page: &str, line: &str) {
        assert!(page.lines().any(|l| l == line), "`{line}` is not in:\n{page}");
    }

    /// A process in which everything happened.
    pub(crate) fn busy() -> Metrics {
        let metrics = Metrics::new();
        for name in ["dags", "plugins"] {
            let source = metrics.source(name);
            source.pass(PassResult::Success, Duration::from_millis(1500), at(1_000));
            source.pass(PassResult::Noop, Duration::from_millis(250), at(1_010));
            source.pass(PassResult::Rejected, Duration::from_millis(250), at(1_020));
            source.pass(PassResult::Error, Duration::from_secs(2), at(1_030));
            source.fetched(4096, 17);
            for stage in Stage::ALL {
                source.stage(stage, Duration::from_millis(3));
            }
            source.published("0123456789012345678901234567890123456789", "release/\"x\"\\\n\u{1b}", 12);
            source.remote("9999999999999999999999999999999999999999", "main");
            source.objects_bytes(10_000);
            source.trees_bytes(20_000);
            source.trees(2);
            source.packs(3);
            source.removal_failures(1);
            source.ref_conflict(true);
            source.standby(false);
        }
        metrics.config_reload(false);
        metrics.askpass(true);
        metrics.github_app_token(true);
        metrics.hook_run(Hook::PrePublish, false);
        metrics
    }

    #[test]
    fn the_names_of_git_sync_have_its_labels_and_add_up_all_sources() {
        let page = text(&busy());
        has(&page, "# TYPE git_sync_duration_seconds summary");
        has(&page, r#"git_sync_duration_seconds_sum{status="noop"} 1"#);
        has(&page, r#"git_sync_duration_seconds_count{status="noop"} 4"#);
        has(&page, r#"git_sync_duration_seconds_sum{status="error"} 4"#);
        has(&page, "# TYPE git_sync_count_total counter");
        has(&page, r#"git_sync_count_total{status="success"} 2"#);
        has(&page, r#"git_sync_count_total{status="noop"} 4"#);
        has(&page, "git_fetch_count_total 2");
        has(&page, "# TYPE git_sync_askpass_calls counter");
        has(&page, r#"git_sync_askpass_calls{status="success"} 1"#);
        has(&page, r#"git_sync_refresh_github_app_token_count{status="success"} 1"#);
        has(&page, r#"git_sync_hook_run_count_total{name="pre-publish-exechook",status="error"} 1"#);
        assert!(!page.contains("rejected\"} 4"), "{page}");
    }

    #[test]
    fn before_the_first_pass_only_the_unlabelled_counter_of_git_sync_exists() {
        let page = text(&Metrics::new());
        has(&page, "git_fetch_count_total 0");
        assert!(!page.contains("git_sync_"), "{page}");
        has(&page, &format!("dagsync_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn our_own_names_tell_sources_apart() {
        let page = text(&busy());
        for line in [
            r#"dagsync_passes_total{result="rejected",source="dags"} 1"#,
            r#"dagsync_passes_total{result="error",source="plugins"} 1"#,
            r#"dagsync_last_attempt_timestamp_seconds{source="dags"} 1030"#,
            r#"dagsync_last_success_timestamp_seconds{source="dags"} 1020"#,
            r#"dagsync_consecutive_failures{source="dags"} 1"#,
            r#"dagsync_fetched_bytes_total{source="dags"} 4096"#,
            r#"dagsync_fetched_objects_total{source="dags"} 17"#,
            r#"dagsync_stage_duration_seconds_count{source="dags",stage="resolve"} 1"#,
            r#"dagsync_remote_info{commit="9999999999999999999999999999999999999999",ref="main",source="dags"} 1"#,
            r#"dagsync_disk_bytes{part="objects",source="dags"} 10000"#,
            r#"dagsync_disk_bytes{part="trees",source="dags"} 20000"#,
            r#"dagsync_trees{source="dags"} 2"#,
            r#"dagsync_packs{source="dags"} 3"#,
            r#"dagsync_files{source="dags"} 12"#,
            r#"dagsync_removal_failures_total{source="dags"} 1"#,
            r#"dagsync_ref_conflict{source="dags"} 1"#,
            r#"dagsync_standby{source="dags"} 0"#,
            r#"dagsync_config_reloads_total{result="error"} 1"#,
        ] {
            has(&page, line);
        }
    }

    #[test]
    fn a_success_ends_a_row_of_failures() {
        let metrics = Metrics::new();
        let source = metrics.source("dags");
        for _ in 0..3 {
            source.pass(PassResult::Error, Duration::ZERO, at(5));
        }
        has(&text(&metrics), r#"dagsync_consecutive_failures{source="dags"} 3"#);
        has(&text(&metrics), r#"dagsync_last_success_timestamp_seconds{source="dags"} 0"#);
        source.pass(PassResult::Noop, Duration::ZERO, at(6));
        has(&text(&metrics), r#"dagsync_consecutive_failures{source="dags"} 0"#);
    }

    #[test]
    fn one_published_commit_at_a_time() {
        let metrics = Metrics::new();
        let source = metrics.source("dags");
        source.published("aaaa", "main", 1);
        metrics.source("dags").published("bbbb", "main", 1);
        assert_eq!(text(&metrics).matches("dagsync_published_info{").count(), 1);
        has(&text(&metrics), r#"dagsync_published_info{commit="bbbb",ref="main",source="dags"} 1"#);
    }

    #[test]
    fn a_source_that_left_the_configuration_leaves_the_page_and_may_come_back() {
        let metrics = busy();
        metrics.forget("plugins");
        metrics.forget("never there");
        let page = text(&metrics);
        assert!(!page.contains(r#"source="plugins""#), "{page}");
        has(&page, r#"git_sync_count_total{status="success"} 2"#);
        metrics.source("plugins").trees(9);
        has(&text(&metrics), r#"dagsync_trees{source="plugins"} 9"#);
        has(&text(&metrics), r#"dagsync_trees{source="dags"} 2"#);
    }

    #[test]
    fn the_openmetrics_page_is_valid_and_has_the_same_samples() {
        let metrics = busy();
        let (content_type, bytes) = metrics.render(Format::OpenMetrics);
        assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"));
        let page = openmetrics::tests::parse(std::str::from_utf8(&bytes).unwrap());
        for (family, kind) in [
            ("git_sync_count", "counter"),
            ("git_sync_duration_seconds", "summary"),
            ("git_sync_askpass_calls", "unknown"),
            ("git_sync_refresh_github_app_token_count", "unknown"),
            ("dagsync_published", "info"),
            ("dagsync_build", "info"),
            ("dagsync_stage_duration_seconds", "histogram"),
            ("dagsync_last_success_timestamp_seconds", "gauge"),
            ("process_cpu_seconds", "counter"),
        ] {
            assert_eq!(page.get(family).map(|(kind, _)| kind.as_str()), Some(kind), "{family}");
        }
        let names = |page: &str| -> Vec<String> {
            let samples = page.lines().filter(|line| !line.starts_with('#'));
            let mut names: Vec<_> = samples.map(|l| l.split(['{', ' ']).next().unwrap().to_owned()).collect();
            names.sort();
            names.dedup();
            names
        };
        assert_eq!(names(std::str::from_utf8(&bytes).unwrap()), names(&text(&metrics)));
        assert!(!String::from_utf8(bytes).unwrap().contains('\u{1b}'));
    }

    /// By hand: `DAGSYNC_METRICS_OUT=… cargo test --lib pages_to_files -- --ignored`, then `promtool check metrics` and
    /// `prometheus_client.openmetrics.parser` on the two files.
    #[test]
    #[ignore = "writes the two pages for the validators of others"]
    fn pages_to_files() {
        let Some(folder) = std::env::var_os("DAGSYNC_METRICS_OUT").map(std::path::PathBuf::from) else {
            return;
        };
        std::fs::write(folder.join("metrics.txt"), busy().render(Format::Text).1).unwrap();
        std::fs::write(folder.join("metrics.om"), busy().render(Format::OpenMetrics).1).unwrap();
    }
}
