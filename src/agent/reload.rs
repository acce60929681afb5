//! A configuration that changed while the agent runs: sources that changed start again, the others notice nothing.

use std::collections::{HashMap, HashSet};

use super::app::{Running, shared_roots};
use crate::config::{Config, SourceConfig};
use crate::deadline::Stop;

impl Running {
    /// Takes a changed configuration over, or reports what is wrong with it. Waits for nobody.
    pub(super) fn reload(&mut self, new: Result<Config, String>) {
        if let Some(watch) = &mut self.watch {
            watch.refresh();
        }
        let new = match new {
            Ok(new) => new,
            Err(text) => {
                self.metrics.config_reload(false);
                tracing::error!("the changed configuration is not used, the old one stays: {text}");
                return;
            }
        };
        self.metrics.config_reload(true);
        for warning in new.warnings.iter().filter(|warning| !self.config.warnings.contains(warning)) {
            tracing::warn!("{warning}");
        }
        if new.process != self.config.process {
            tracing::warn!("settings of the process changed: they take effect with the next start");
        }
        let old: HashMap<String, SourceConfig> =
            self.config.sources.iter().map(|source| (source.name.clone(), source.clone())).collect();
        // Whether a root is shared decides where a source's things are, so it counts as a setting of the source.
        let shared_before = shared_roots(&self.config.sources);
        let shared_now = shared_roots(&new.sources);
        let same = |source: &SourceConfig| {
            old.get(&source.name).is_some_and(|old| old == source)
                && shared_before.contains(&source.root) == shared_now.contains(&source.root)
        };
        let (kept, changed): (Vec<_>, Vec<_>) = new.sources.iter().cloned().partition(same);
        let kept: HashSet<String> = kept.into_iter().map(|source| source.name).collect();
        let gone: Vec<String> = self.workers.keys().filter(|name| !kept.contains(*name)).cloned().collect();
        let stopped: Vec<(String, Stop)> =
            gone.into_iter().map(|name| (name.clone(), self.stop(&name))).collect();
        for name in old.keys().filter(|name| !new.sources.iter().any(|source| source.name == **name)) {
            self.shared.board.remove(name);
            self.metrics.forget(name);
            tracing::info!(source = name, "no longer configured; what it published stays");
        }
        let (restarted, kept) = (changed.len(), kept.len());
        self.config.sources = new.sources;
        self.config.warnings = new.warnings;
        for source in changed {
            // Two workers must not write one root or one link.
            let predecessors = stopped.iter().filter(|(name, _)| {
                old.get(name).is_none_or(|old| old.root == source.root || old.link == source.link)
            });
            let predecessors = predecessors.map(|(_, ended)| ended.clone()).collect();
            if let Err(err) = self.start(source, predecessors) {
                tracing::error!("cannot start a thread: {err}");
            }
        }
        tracing::info!(restarted, kept, "the changed configuration is in use");
    }

    /// Asks a source to stop. The answer is requested when it has ended; a thread waits for that, so that signals, and the
    /// other sources, need not.
    fn stop(&mut self, name: &str) -> Stop {
        if let Some(watch) = &mut self.watch {
            watch.forget(name);
        }
        let ended = Stop::new();
        match self.workers.remove(name) {
            None => ended.request(),
            Some(worker) => {
                worker.ask_to_stop();
                let told = ended.clone();
                std::thread::spawn(move || {
                    drop(worker.thread.join());
                    told.request();
                });
            }
        }
        ended
    }
}
