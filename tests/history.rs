//! All of a long history: what a new commit costs does not depend on how many came before.

mod support;
mod synced;

use std::fs;

use dagsync::git::Store;
use gix::ObjectId;
use support::observe::said;
use support::repo::run_with_input;
use support::{Repo, temp};
use synced::Synced;

/// A line of commits on `main`, each with one file.
fn line_of_commits(repo: &Repo, length: usize) {
    let mut stream = String::from("feature done\n");
    for number in 0..length {
        let date = 1_700_000_000 + number;
        stream += &format!("commit refs/heads/main\ncommitter Ada <ada@example.com> {date} +0000\ndata 0\n");
        stream += &format!("M 100644 inline dags/a.py\ndata 8\n{number:08}\n");
    }
    stream += "done\n";
    repo.git_input(&["fast-import", "--quiet", "--force", "--done"], stream.as_bytes());
}

#[test]
fn the_commits_that_a_pass_reads_do_not_grow_with_the_history() {
    const MESSAGES: [&str; 2] = ["looked at the history of the upstream", "tidied the shallow list"];
    for length in [20, 1_000] {
        let world = Synced::empty();
        line_of_commits(&world.repo, length);
        world.repo.git(&["reset", "-q", "--hard"]);
        let launch = world.launch().args(["--depth=0", "--verbose=4", "--log-format=json"]);
        let agent = launch.start();
        let read = |message: &str, times: usize| {
            agent.wait_until("the line of this pass", || said(&agent, message).len() >= times);
            let all = said(&agent, message);
            assert_eq!(all.len(), times, "{message}");
            all[times - 1]["commits"].as_u64().unwrap() as usize
        };
        agent.wait_published(&world.root, "repo", &world.repo.head());
        // Nothing is known of what a process finds.
        assert_eq!(MESSAGES.map(|message| read(message, 1)), [length; 2]);
        for pass in 2..5 {
            let tip = world.repo.commit(&[("a.py", &format!("print({pass})\n"))]);
            agent.wait_published(&world.root, "repo", &tip);
            assert_eq!(MESSAGES.map(|message| read(message, pass)), [1; 2], "after {length} commits");
        }
        drop(agent);
        let count = world.git_in_tree(&["rev-list", "--count", "HEAD"]);
        assert_eq!(count, (length + 3).to_string());
        assert_eq!(world.git_in_tree(&["fsck", "--no-dangling"]), "");
    }
}

#[test]
fn history_that_is_lost_while_it_was_known_to_be_whole_gets_a_boundary() {
    let folder = temp();
    let repo = Repo::bare(folder.path().join("up.git"));
    let commits = [1, 2, 3].map(|number| repo.commit(&[("a.py", &format!("print({number})\n"))]));
    let place = folder.path().join("root/.git");
    let store = Store::open(&place, false).unwrap();
    // A pack for each commit, with its tree and its file.
    let packs = commits.clone().map(|commit| {
        let mut pack = repo.command();
        pack.args(["pack-objects", "-q"]).arg(store.pack_dir().join("pack"));
        let ids = repo.git(&["rev-list", "--objects", "--no-walk", &commit]);
        let ids: String = ids.lines().map(|line| format!("{}\n", &line[..40])).collect();
        let made = run_with_input(&mut pack, ids.as_bytes());
        assert!(made.status.success());
        store.pack_dir().join(format!("pack-{}.pack", String::from_utf8(made.stdout).unwrap().trim()))
    });
    let kept: Vec<ObjectId> = commits.iter().map(|id| id.parse().unwrap()).collect();
    let tidy = |store: &Store| store.tidy_shallow(&store.objects().unwrap(), &kept[2..]).unwrap();
    assert_eq!(tidy(&store), 3);
    assert_eq!(tidy(&store), 0, "nothing has changed");
    assert_eq!(tidy(&Store::open(&place, false).unwrap()), 3, "another process knows nothing");
    for name in ["idx", "pack"] {
        fs::remove_file(packs[0].with_extension(name)).unwrap();
    }
    assert_eq!(tidy(&store), 2);
    let boundary = fs::read_to_string(store.shallow_file()).unwrap();
    assert_eq!(boundary, format!("{}\n", commits[1]), "its parent is gone");
    assert_eq!(tidy(&store), 2, "a history with a boundary is walked");
}
