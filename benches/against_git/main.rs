//! dagsync against the git program: the same repository, the same server, the same run.
//!
//! Times of a machine say little about another one, and on a busy one they say little at all. So everything here is a
//! *pair*: we do a job, git does the same job right before or after, and what counts is the median of the ratios. The
//! measured program is the one that ships (profile `dist`); the bench builds it unless `DAGSYNC_BENCH_BINARY` names one.
//!
//! ```text
//! cargo bench --profile dev --bench against_git               polls; first syncs and changes with 200 and 10,000 files;
//!                                                             what hundreds of commits leave
//! cargo bench --profile dev --bench against_git -- --large    the same, also with 100,000 files, and with 200 MB
//! cargo bench --profile dev --bench against_git -- --quick    a minute at most, with the program of cargo's own profile:
//!                                                             shows that the benches work, its numbers say nothing
//!     --only=poll|cold|change|growth|size     one part        --pairs=N     how many pairs        --polls=N     polls a round
//!     --gate          each revision is checked, which git does not do; without it nothing is
//!     --on=FOLDER     not in memory but here: then what reaches the disk is counted too
//! ```
//!
//! (`--profile dev` is the profile of the bench itself, which only starts programs and looks at the clock.)
//!
//! The result is a table, and one line that begins with `JSON ` for programs. `docs/performance.md` explains the numbers.

mod change;
mod cold;
mod cost;
mod growth;
mod poll;
mod report;
mod repositories;
mod series;
#[path = "../../tests/support/mod.rs"]
mod support;
mod world;

use report::Report;
use world::{Options, World};

fn main() {
    let options = Options::parse(std::env::args().skip(1)).unwrap_or_else(|wrong| panic!("{wrong}"));
    let world = World::new(options);
    let mut report = Report::new(!world.options.quick);
    println!(
        "dagsync: {}\nfiles on: {}\n{} cores, load {}",
        world.program.display(),
        world.disk,
        std::thread::available_parallelism().map_or(1, |n| n.get()),
        world::load(),
    );
    if world.options.runs("size") {
        report.size(&world.program);
    }
    if world.options.runs("poll") {
        poll::run(&world, &mut report);
    }
    for shape in world.options.shapes() {
        if !world.options.runs("cold") && !world.options.runs("change") {
            continue;
        }
        let served = world.serve(shape);
        if world.options.runs("cold") {
            cold::run(&world, &served, &mut report);
        }
        if world.options.runs("change") {
            change::run(&world, &served, &mut report);
        }
    }
    if world.options.runs("growth") {
        growth::run(&world, &mut report);
    }
    print!("{report}");
}
