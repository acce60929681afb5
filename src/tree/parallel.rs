//! The same work on several cores.

/// More threads only wait for the file system.
const MOST_THREADS: usize = 8;

/// Runs `work` on every core, each with tools of its own, or once if it is not `worth_it`. The first error that a thread
/// ends with is the result; a panic goes on here.
pub(super) fn on_all_cores<T: Send, E: Send>(
    worth_it: bool,
    tools: impl Fn() -> T,
    work: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let cores = || std::thread::available_parallelism().map_or(1, |n| n.get().min(MOST_THREADS));
    let threads = if worth_it { cores() } else { 1 };
    let work = &work;
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let tools = tools();
                scope.spawn(move || work(tools))
            })
            .collect();
        let first = work(tools());
        others.into_iter().fold(first, |result, other| {
            let ended = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result.and(ended)
        })
    })
}
