//! The metrics of one source.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Error, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts,
};

use super::revision::RevisionInfo;
use super::{Compat, PassResult};

/// Seconds; from the cached poll of a near server to a stuck fetch.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0, 60.0, 120.0];

/// The stages of a pass, as the label `stage` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Which commit the ref is.
    Resolve,
    /// Its objects.
    Fetch,
    /// Whether it is fit to publish.
    Check,
    /// Its files on disk.
    Stage,
    /// The swap of the link.
    Publish,
    /// Removal of what is past its time.
    Retire,
    /// Telling others.
    Announce,
}

impl Stage {
    /// In the order of a pass.
    pub const ALL: [Stage; 7] = [
        Stage::Resolve,
        Stage::Fetch,
        Stage::Check,
        Stage::Stage,
        Stage::Publish,
        Stage::Retire,
        Stage::Announce,
    ];

    /// The value of the label `stage`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Resolve => "resolve",
            Stage::Fetch => "fetch",
            Stage::Check => "check",
            Stage::Stage => "stage",
            Stage::Publish => "publish",
            Stage::Retire => "retire",
            Stage::Announce => "announce",
        }
    }
}

/// The metrics of one source. Cheap to clone; all clones are one. Made by [`super::Metrics::source`].
#[derive(Clone)]
pub struct SourceMetrics {
    inner: Arc<Inner>,
}

struct Inner {
    compat: Compat,
    passes: IntCounterVec,
    stages: HistogramVec,
    last_success: Gauge,
    last_attempt: Gauge,
    failures: IntGauge,
    published: RevisionInfo,
    remote: RevisionInfo,
    fetched_bytes: IntCounter,
    fetched_objects: IntCounter,
    trees: IntGauge,
    packs: IntGauge,
    files: IntGauge,
    disk: IntGaugeVec,
    removal_failures: IntCounter,
    repairs: IntCounter,
    rejected: IntCounterVec,
    findings: IntGaugeVec,
    checks: Histogram,
    ref_conflict: IntGauge,
    standby: IntGauge,
}

impl SourceMetrics {
    pub(super) fn new(source: &str, compat: Compat) -> Result<Self, Error> {
        let opts = |name: &str, help: &str| Opts::new(name, help).const_label("source", source);
        let gauge = |name, help| IntGauge::with_opts(opts(name, help));
        let counter = |name, help| IntCounter::with_opts(opts(name, help));
        let stage_opts =
            HistogramOpts::new("dagsync_stage_duration_seconds", "Duration of the stages of passes")
                .const_label("source", source)
                .buckets(BUCKETS.to_vec());
        let inner = Inner {
            compat,
            passes: IntCounterVec::new(
                opts("dagsync_passes_total", "Passes: success, noop, error or rejected"),
                &["result"],
            )?,
            stages: HistogramVec::new(stage_opts, &["stage"])?,
            last_success: Gauge::with_opts(opts(
                "dagsync_last_success_timestamp_seconds",
                "End of the last pass that did not fail as a Unix timestamp, 0 before the first",
            ))?,
            last_attempt: Gauge::with_opts(opts(
                "dagsync_last_attempt_timestamp_seconds",
                "End of the last pass as a Unix timestamp, 0 before the first",
            ))?,
            failures: gauge(
                "dagsync_consecutive_failures",
                "Failed passes since the last one that did not fail",
            )?,
            published: RevisionInfo::new("dagsync_published_info", "The published commit", source)?,
            remote: RevisionInfo::new("dagsync_remote_info", "The commit of the ref at the remote", source)?,
            fetched_bytes: counter("dagsync_fetched_bytes_total", "Bytes of fetched packs")?,
            fetched_objects: counter("dagsync_fetched_objects_total", "Objects of fetched packs")?,
            trees: gauge(
                "dagsync_trees",
                "Trees on disk, the published one included, without one kept for the next build",
            )?,
            packs: gauge("dagsync_packs", "Packs in the object store")?,
            files: gauge("dagsync_files", "Files and links of the published tree")?,
            disk: IntGaugeVec::new(
                opts(
                    "dagsync_disk_bytes",
                    "Bytes on disk: objects or trees, without a tree that is kept out of sight for the next build",
                ),
                &["part"],
            )?,
            removal_failures: counter(
                "dagsync_removal_failures_total",
                "Removals that failed and are tried again",
            )?,
            repairs: counter(
                "dagsync_repairs_total",
                "Times the published tree was damaged or gone and was built again",
            )?,
            rejected: IntCounterVec::new(
                opts("dagsync_revisions_rejected_total", "Revisions that the gate held back"),
                &["reason"],
            )?,
            findings: IntGaugeVec::new(
                opts(
                    "dagsync_findings",
                    "What was found of the revision that is held back, else of the published one",
                ),
                &["severity", "code"],
            )?,
            checks: Histogram::with_opts(
                HistogramOpts::new("dagsync_check_seconds", "Duration of the checks of revisions")
                    .const_label("source", source)
                    .buckets(BUCKETS.to_vec()),
            )?,
            ref_conflict: gauge(
                "dagsync_ref_conflict",
                "1 if a branch and a different ref are both configured",
            )?,
            standby: gauge("dagsync_standby", "1 while another agent owns the root")?,
        };
        Ok(SourceMetrics { inner: Arc::new(inner) })
    }

    /// A pass ended, at `at`, after `took`. Counts for git-sync's names too.
    pub fn pass(&self, result: PassResult, took: Duration, at: SystemTime) {
        let m = &*self.inner;
        m.compat.pass(result, took);
        m.passes.with_label_values(&[result.name()]).inc();
        let timestamp = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        m.last_attempt.set(timestamp);
        match result {
            PassResult::Error => m.failures.inc(),
            PassResult::Success | PassResult::Noop | PassResult::Rejected => {
                m.last_success.set(timestamp);
                m.failures.set(0);
            }
        }
    }

    /// A fetch brought a pack of so many bytes and objects; both may be 0.
    pub fn fetched(&self, bytes: u64, objects: u64) {
        self.inner.compat.fetches.inc();
        self.inner.fetched_bytes.inc_by(bytes);
        self.inner.fetched_objects.inc_by(objects);
    }

    /// A stage ended, well or not.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.inner.stages.with_label_values(&[stage.name()]).observe(took.as_secs_f64());
    }

    /// What the link points at: also at start, when an earlier process published it.
    pub fn published(&self, commit: &str, reference: &str, files: u64) {
        self.inner.published.set(commit, reference);
        self.inner.files.set(clamp(files));
    }

    /// What the ref is at the remote.
    pub fn remote(&self, commit: &str, reference: &str) {
        self.inner.remote.set(commit, reference);
    }

    /// Bytes of the object store.
    pub fn objects_bytes(&self, bytes: u64) {
        self.inner.disk.with_label_values(&["objects"]).set(clamp(bytes));
    }

    /// Bytes of the files in all trees that readers can see: nobody remembers those of one that is kept for the next build.
    pub fn trees_bytes(&self, bytes: u64) {
        self.inner.disk.with_label_values(&["trees"]).set(clamp(bytes));
    }

    /// Trees on disk, the published one included.
    pub fn trees(&self, number: u64) {
        self.inner.trees.set(clamp(number));
    }

    /// Packs in the object store.
    pub fn packs(&self, number: u64) {
        self.inner.packs.set(clamp(number));
    }

    /// So many more removals failed.
    pub fn removal_failures(&self, more: u64) {
        self.inner.removal_failures.inc_by(more);
    }

    /// The published tree was damaged or gone, and another one is in its place now.
    pub fn repaired(&self) {
        self.inner.repairs.inc();
    }

    /// A revision was checked: the severity and the code of each finding.
    pub fn checked<'a>(&self, took: Duration, findings: impl Iterator<Item = (&'a str, &'a str)>) {
        self.inner.checks.observe(took.as_secs_f64());
        self.findings(findings);
    }

    /// What was found of a revision, all in all: the severity and the code of each finding.
    pub fn findings<'a>(&self, findings: impl Iterator<Item = (&'a str, &'a str)>) {
        // What was fixed is gone from the page.
        self.inner.findings.reset();
        for (severity, code) in findings {
            self.inner.findings.with_label_values(&[severity, code]).inc();
        }
    }

    /// A revision was held back: why, in a word.
    pub fn rejected(&self, because: &str) {
        self.inner.rejected.with_label_values(&[because]).inc();
    }

    /// Whether a branch and a different ref are both configured.
    pub fn ref_conflict(&self, conflict: bool) {
        self.inner.ref_conflict.set(conflict.into());
    }

    /// Whether another agent owns the root.
    pub fn standby(&self, standby: bool) {
        self.inner.standby.set(standby.into());
    }

    fn collectors(&self) -> [&dyn Collector; 20] {
        let m = &*self.inner;
        [
            &m.passes,
            &m.stages,
            &m.last_success,
            &m.last_attempt,
            &m.failures,
            &m.published,
            &m.remote,
            &m.fetched_bytes,
            &m.fetched_objects,
            &m.trees,
            &m.packs,
            &m.files,
            &m.disk,
            &m.removal_failures,
            &m.repairs,
            &m.rejected,
            &m.findings,
            &m.checks,
            &m.ref_conflict,
            &m.standby,
        ]
    }
}

/// Registered and taken away as one, so that a source can leave the page.
impl Collector for SourceMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.collectors().iter().flat_map(|collector| collector.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.collectors().iter().flat_map(|collector| collector.collect()).collect()
    }
}

impl std::fmt::Debug for SourceMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceMetrics").finish_non_exhaustive()
    }
}

fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
