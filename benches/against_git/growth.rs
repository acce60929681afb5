//! Hundreds of commits one after the other: what they leave on disk, and whether a pass at the end is as quick as one at the
//! beginning. git's counterpart is what git-sync runs for each commit; neither of us collects garbage by another program.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::change::{Ours, Theirs};
use crate::cost::Cost;
use crate::report::Report;
use crate::repositories::Shape;
use crate::series::Series;
use crate::world::World;

/// Passes at either end that are compared.
const WINDOW: usize = 20;

pub fn run(world: &World, report: &mut Report) {
    let served = world.serve(Shape::Dags(200));
    let (ours, theirs) = (Ours::start(world, &served), Theirs::start(world, &served));
    let commits = world.options.commits();
    let (mut own, mut git) = (Vec::<Cost>::new(), Vec::<Cost>::new());
    for round in 1..=commits {
        own.push(ours.change(&served, round).0);
        git.push(theirs.change(round));
        if round == WINDOW || round == commits {
            let disk = |root: &Path| Series::new([bytes_of(root) as f64 / 1e6]);
            let name = format!("{round} commits of one file, 200 files: on disk");
            report.add(name, "MB", disk(ours.root()), Some(disk(theirs.root())), None);
            let packs = |root: &Path| Series::new([packs_of(&root.join(".git/objects/pack")) as f64]);
            report.add("  … packs", "", packs(ours.root()), Some(packs(theirs.root())), None);
            let last = |costs: &[Cost]| Series::millis(costs.iter().rev().take(WINDOW).map(|cost| cost.wall));
            report.add("  … the last 20 passes: time", "ms", last(&own), Some(last(&git)), None);
            let cpu = |costs: &[Cost]| Series::millis(costs.iter().rev().take(WINDOW).map(|cost| cost.cpu));
            report.add("  … processor time", "ms", cpu(&own), Some(cpu(&git)), None);
        }
    }
}

/// Bytes of all files below a folder, without following links.
fn bytes_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.filter_map(|entry| {
        // Gone meanwhile: an agent that runs has files that come and go.
        let meta = entry.metadata().ok()?;
        Some(if meta.is_dir() { bytes_of(&entry.path()) } else { meta.size() })
    });
    bytes.sum()
}

fn packs_of(folder: &Path) -> usize {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    names.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "pack")).count()
}
