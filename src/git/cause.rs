//! What an error of a library below is really about: its causes.

use std::io;

/// The causes of an error, outermost first, also those that `io::Error` hides from `source`.
fn causes<'a>(err: &'a (dyn std::error::Error + 'static)) -> Vec<&'a (dyn std::error::Error + 'static)> {
    let mut all = vec![err];
    while let Some(last) = all.last() {
        let inner = last.downcast_ref::<io::Error>().and_then(|io| io.get_ref());
        match inner.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| last.source()) {
            Some(next) => all.push(next),
            None => break,
        }
    }
    all
}

/// The first cause of a type.
pub(super) fn find<'a, E: std::error::Error + 'static>(
    err: &'a (dyn std::error::Error + 'static),
) -> Option<&'a E> {
    causes(err).into_iter().find_map(|cause| cause.downcast_ref())
}

/// The innermost cause in words: the layers above only say that something failed.
pub(super) fn innermost(err: &(dyn std::error::Error + 'static)) -> String {
    causes(err).last().map(|cause| cause.to_string()).unwrap_or_default()
}

/// The disk's own failure, if that is what it was: an errno that no network gives.
pub(crate) fn of_the_disk(err: &gix::Error) -> Option<io::Error> {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(err.downcast_any_ref::<io::Error>()?)?;
    let disk = [
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::ROFS,
        Errno::ACCESS,
        Errno::PERM,
        Errno::MFILE,
        Errno::NFILE,
        Errno::STALE,
        Errno::IO,
    ];
    disk.contains(&errno).then(|| errno.into())
}
