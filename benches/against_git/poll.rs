//! Nothing new upstream: what it costs us to find that out, and what it costs `git ls-remote`.

use std::time::Duration;

use rustix::process::Signal;

use crate::cost::{self, anon_of, cpu_of};
use crate::report::{Bar, Report};
use crate::series::Series;
use crate::support::client::trusting;
use crate::support::{Agent, GitServer, Repo};
use crate::world::World;

/// As often as our options allow; the processor time of a poll does not depend on it.
const PERIOD: &str = "--period=10ms";
/// `git ls-remote` in a round.
const LISTINGS: usize = 10;

pub fn run(world: &World, report: &mut Report) {
    let folder = world.folder();
    let repo = Repo::bare(folder.path().join("repo.git"));
    let commit = repo.commit(&[("dags/a.py", "a = 1\n"), ("dags/b.py", "b = 1\n")]);
    for (name, server) in
        [("http", GitServer::plain(folder.path())), ("https", GitServer::over(folder.path()).tls().start())]
    {
        let is_tls = name == "https";
        let url = server.url("repo.git");
        let root = world.folder();
        let mut args =
            vec![format!("--repo={url}"), format!("--root={}", root.path().display()), "--link=link".into()];
        args.extend(["--ref=main".into(), "--log-format=json".into(), PERIOD.into()]);
        let trust = is_tls.then(|| trusting(&server));
        if is_tls {
            args.push(format!("--git-config=http.sslCAInfo:{}", server.ca_pem().display()));
        }
        let agent = Agent::spawn(world.dagsync(&args));
        agent.wait_published(root.path(), "link", &commit);
        let (polls, rounds) = world.options.polls();
        let (mut ours, mut git) = (Vec::new(), Vec::new());
        // Connections, pools and the allocator find their steady state.
        poll_cost(&agent, &server, polls / 2);
        for _ in 0..rounds {
            ours.push(poll_cost(&agent, &server, polls));
            // Stopped, so that git has the server and the machine for itself.
            agent.signal(Signal::STOP);
            let mut listing = Duration::ZERO;
            for _ in 0..LISTINGS {
                let trust = trust.iter().flat_map(|setting| ["-c", setting]);
                let mut command = world.git(trust.chain(["ls-remote", &url, "refs/heads/main"]));
                listing += cost::run(&mut command).0.cpu;
            }
            agent.signal(Signal::CONT);
            git.push(listing / LISTINGS as u32);
        }
        let bar = Some(Bar::AtMost(1.0));
        report.add(
            format!("idle poll, {name}: processor time"),
            "ms",
            Series::millis(ours),
            Some(Series::millis(git)),
            bar,
        );
        let anon = Series::mib([anon_of(agent.pid())]);
        report.add(format!("idle, {name}: anonymous memory"), "MiB", anon, None, Some(Bar::AtMost(12.0)));
    }
}

/// Processor time a poll, over at least `polls` of them; the server counts.
fn poll_cost(agent: &Agent, server: &GitServer, polls: usize) -> Duration {
    server.forget_requests();
    let before = cpu_of(agent.pid());
    loop {
        cost::pause(Duration::from_millis(50));
        let cpu = cpu_of(agent.pid());
        let made = server.requests().len();
        if made >= polls {
            return (cpu - before) / made as u32;
        }
    }
}
