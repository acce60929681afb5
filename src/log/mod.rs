//! What the agent says on standard error: one event, one line.
//!
//! Owns the look of a line (for people, or JSON for machines), the level, and the promise that nothing from outside
//! reaches a terminal raw: every message and every value goes through [`escape`]. Must never fail the work it reports:
//! a closed standard error is ignored. Called by everybody through the macros of `tracing`; set up once, by `main`.
//!
//! A span with a field `source` names the source of all lines inside it; the fields of enclosing spans are added to
//! the line. Lines are cut at [`MAX_LINE`] bytes.

mod date;
mod escape;
mod line;

use std::io::{self, IsTerminal, Write};
use std::time::SystemTime;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

pub use date::date;
pub use escape::escape;
pub use line::MAX_LINE;

use line::{Fields, Look};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; colour on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// For people or for machines.
    pub format: LogFormat,
    /// 0 to 9, see [`level`].
    pub verbose: u8,
    /// Whether lines for people have colours.
    pub colour: bool,
}

/// The level of git-sync's `-v`: 0 = info, 1 to 4 = debug, 5 and more = trace.
pub fn level(verbose: u8) -> LevelFilter {
    match verbose {
        0 => LevelFilter::INFO,
        1..=4 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// Whether standard error wants colours: a terminal that is not `dumb`, and nobody set `NO_COLOR` to something
/// (<https://no-color.org>). The variables are passed in.
pub fn wants_colour(no_color: Option<&str>, term: Option<&str>) -> bool {
    no_color.unwrap_or_default().is_empty() && term != Some("dumb") && io::stderr().is_terminal()
}

/// Logs to standard error from here on, panics included. Once per process: a second call is an error.
pub fn init(options: Options) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(options, || Tolerant(io::stderr())))?;
    // A panic is an event like others: one escaped line in the chosen format, not six raw ones.
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("(no message)");
        let thread = std::thread::current();
        tracing::error!(at, thread = thread.name().unwrap_or("?"), "internal error: {text}");
    }));
    Ok(())
}

/// The subscriber that [`init`] installs, on any writer: tests put a buffer there and use
/// [`tracing::subscriber::with_default`].
///
/// Our own events pass at the user's level, those of libraries from `warn` up whatever the user asked for: they are
/// written for other developers, and show URLs and headers at their lower levels.
pub fn subscriber<W>(options: Options, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter =
        Targets::new().with_default(LevelFilter::WARN).with_target("dagsync", level(options.verbose));
    let look = match options.format {
        LogFormat::Json => Look::Json,
        LogFormat::Human => Look::Human { colour: options.colour },
    };
    tracing_subscriber::registry().with(Lines { look, writer }.with_filter(filter))
}

/// Writes each event as a line.
struct Lines<W> {
    look: Look,
    writer: W,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.extend(of_span);
            }
        }
        event.record(&mut fields);
        let text = line::render(self.look, SystemTime::now(), event.metadata(), &fields);
        // One call for the whole line, so that lines of threads do not mix. There is nobody to tell when it fails.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(text.as_bytes());
    }
}

/// Standard error that may be closed: the agent goes on without a log rather than not at all.
struct Tolerant(io::Stderr);

impl Write for Tolerant {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            // Rust ignores SIGPIPE, so a reader that went away is `EPIPE` here; any other error is as final.
            written => Ok(written.unwrap_or(bytes.len())),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing::{debug, error, info, info_span, trace, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(format: LogFormat, verbose: u8, colour: bool, say: impl FnOnce()) -> Vec<String> {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(Options { format, verbose, colour }, move || writer.clone());
        tracing::subscriber::with_default(subscriber, say);
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(str::to_owned).collect()
    }

    fn human(say: impl FnOnce()) -> String {
        let mut all = lines(LogFormat::Human, 0, false, say);
        assert_eq!(all.len(), 1, "{all:?}");
        let line = all.remove(0);
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.len() == "2026-01-02T03:04:05.678Z".len(), "{time}");
        rest.to_owned()
    }

    fn json(say: impl FnOnce()) -> Value {
        let mut all = lines(LogFormat::Json, 0, false, say);
        assert_eq!(all.len(), 1, "{all:?}");
        serde_json::from_str(&all.remove(0)).unwrap()
    }

    #[test]
    fn a_line_for_people_has_level_source_message_and_fields() {
        let line = human(|| {
            let _in = info_span!("source", source = "dags").entered();
            info!(files = 3, took = ?std::time::Duration::from_millis(12), reference = "a b", "published {}", "1a2b3c");
        });
        assert_eq!(line, "INFO  dags: published 1a2b3c files=3 took=12ms reference=\"a b\"");
        assert_eq!(human(|| warn!("no source here")), "WARN  no source here");
    }

    #[test]
    fn a_json_line_is_one_flat_object() {
        let object = json(|| {
            let _outer = info_span!("source", source = "dags", commit = "old").entered();
            let _inner = info_span!("pass", number = 7_u64).entered();
            let nothing: Option<u64> = None;
            info!(
                commit = "new",
                share = 0.5,
                forced = false,
                below = -1,
                nothing,
                msg = "twice",
                "published"
            );
        });
        assert_eq!(object["level"], "info");
        assert_eq!(object["source"], "dags");
        assert_eq!(object["msg"], "published");
        assert_eq!(object["commit"], "new");
        assert_eq!(object["number"], 7);
        assert_eq!(object["share"], 0.5);
        assert_eq!(object["forced"], false);
        assert_eq!(object["below"], -1);
        assert_eq!(object["msg_"], "twice");
        assert!(object.get("nothing").is_none());
        let time = object["ts"].as_str().unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok() && time.len() == 24, "{time}");
    }

    #[test]
    fn escape_sequences_are_escaped_in_logs() {
        let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\nINFO dags: published \u{202e}cod\u{9b}31m";
        let say = || {
            let _in = info_span!("source", source = evil).entered();
            let cause = io::Error::other(evil);
            error!(text = evil, shown = %evil, debugged = ?evil, error = &cause as &dyn std::error::Error, "remote said: {evil}");
        };
        for (format, colour) in [(LogFormat::Human, false), (LogFormat::Json, false)] {
            let all = lines(format, 9, colour, say);
            assert_eq!(all.len(), 1, "the line break must not make a second line: {all:?}");
            assert!(!all[0].chars().any(|c| c.is_control() || c == '\u{202e}'), "{all:?}");
            assert!(all[0].contains("u{1b}[2J"), "{all:?}");
        }
        // Nor may it come back when a reader of JSON decodes the strings and prints them.
        for (_, value) in json(say).as_object().unwrap() {
            assert!(!value.as_str().unwrap_or_default().chars().any(char::is_control), "{value}");
        }
    }

    #[test]
    fn an_error_is_shown_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read `{0}`")]
        struct Outer(&'static str, #[source] io::Error);
        let error = Outer("/x", io::ErrorKind::NotFound.into());
        let object = json(|| error!(error = &error as &dyn std::error::Error, "pass failed"));
        assert_eq!(object["error"], "cannot read `/x`: entity not found");
    }

    #[test]
    fn long_lines_are_cut_and_stay_whole_objects() {
        let long = "\"x\u{1b}ü".repeat(20_000);
        let say = || info!(a = long, b = %long, c = ?long, d = long, e = long, f = long, g = long, h = long, i = long, j = long, "{long}");
        let object = json(say);
        assert_eq!(object["truncated"], true);
        assert!(object["msg"].as_str().unwrap().ends_with('…'));
        for format in [LogFormat::Json, LogFormat::Human] {
            let all = lines(format, 0, false, say);
            assert!(all[0].len() < MAX_LINE, "{}", all[0].len());
        }
    }

    #[test]
    fn verbosity_is_ours_and_libraries_only_warn() {
        let say = || {
            info!("1");
            debug!("2");
            trace!("3");
            tracing::trace!(target: "hyper::proto", "library");
            tracing::info!(target: "gix_transport", "library");
            tracing::warn!(target: "reqwest", "4");
        };
        let said = |verbose| {
            lines(LogFormat::Json, verbose, false, say)
                .iter()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["msg"].as_str().unwrap().to_owned())
                .collect::<String>()
        };
        assert_eq!(said(0), "14");
        assert_eq!(said(1), "124");
        assert_eq!(said(4), "124");
        assert_eq!(said(5), "1234");
        assert_eq!(said(9), "1234");
    }

    #[test]
    fn a_library_is_named_in_its_lines() {
        let object = json(|| tracing::warn!(target: "reqwest::connect", "slow"));
        assert_eq!(object["target"], "reqwest::connect");
        assert!(json(|| warn!("ours")).get("target").is_none());
    }

    #[test]
    fn colour_touches_nothing_but_our_own_words() {
        let all = lines(LogFormat::Human, 0, true, || error!(reason = "x\u{1b}[0m", "failed"));
        assert!(all[0].contains("\u{1b}[31mERROR\u{1b}[0m"), "{all:?}");
        assert!(all[0].contains("x\\u{1b}[0m"), "{all:?}");
        assert!(!wants_colour(Some("1"), None));
        assert!(!wants_colour(None, Some("dumb")));
    }

    #[test]
    fn a_writer_that_fails_stops_nobody() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let options = Options { format: LogFormat::Json, verbose: 0, colour: false };
        tracing::subscriber::with_default(subscriber(options, || Broken), || info!("into the void"));
    }
}
