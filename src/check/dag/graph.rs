//! Whether the tasks of a DAG wait for each other in a circle.

use super::facts::Dag;
use super::place::Place;

/// A circle of sure dependencies: the place of one of them, and its tasks.
pub(super) fn cycle(dag: &Dag) -> Option<(Place, String)> {
    let mut after: Vec<Vec<(usize, Place)>> = vec![Vec::new(); dag.tasks.len()];
    for edge in dag.edges.iter().filter(|edge| edge.sure) {
        after[edge.from].push((edge.to, edge.place));
    }
    // 0 not seen, 1 on the way, 2 done. The way is a list, not the stack: a chain may have thousands of tasks.
    let mut state = vec![0_u8; dag.tasks.len()];
    for start in 0..dag.tasks.len() {
        if state[start] != 0 {
            continue;
        }
        let mut way: Vec<(usize, usize)> = vec![(start, 0)];
        state[start] = 1;
        while let Some((task, next)) = way.last_mut() {
            let Some((to, place)) = after[*task].get(*next).copied() else {
                state[*task] = 2;
                way.pop();
                continue;
            };
            *next += 1;
            match state[to] {
                0 => {
                    state[to] = 1;
                    way.push((to, 0));
                }
                1 => {
                    let from = way.iter().position(|(task, _)| *task == to).unwrap_or(0);
                    let name = |task: usize| dag.tasks[task].id.known().unwrap_or("…").to_owned();
                    let mut names: Vec<String> = way[from..].iter().map(|(task, _)| name(*task)).collect();
                    names.push(name(to));
                    if names.len() > 8 {
                        names.splice(4..names.len() - 3, ["…".to_owned()]);
                    }
                    return Some((place, names.join(" → ")));
                }
                _ => {}
            }
        }
    }
    None
}
