//! What an error of a library below is really about: its causes.

use std::io;

use rustix::io::Errno;

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
    let found = err.downcast_any_ref::<io::Error>().map(|err| err as &(dyn std::error::Error + 'static));
    let mut all = causes(err.probable_cause());
    all.extend(found.into_iter().flat_map(causes));
    let errno = all.into_iter().filter_map(|err| errno_of(err.downcast_ref()?)).find(|errno| {
        matches!(
            *errno,
            Errno::NOSPC
                | Errno::DQUOT
                | Errno::ROFS
                | Errno::ACCESS
                | Errno::PERM
                | Errno::MFILE
                | Errno::NFILE
                | Errno::STALE
                | Errno::IO
        )
    });
    errno.map(io::Error::from)
}

/// Temporary files put the system's error into one of their own that neither has its number nor gives it as its source: there
/// its words are all there is.
fn errno_of(err: &io::Error) -> Option<Errno> {
    Errno::from_io_error(err).or_else(|| {
        let text = err.get_ref()?.to_string();
        let (_, rest) = text.split_once("(os error ")?;
        let number = rest.split(')').next()?.parse().ok()?;
        (1..4096).contains(&number).then(|| Errno::from_raw_os_error(number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_known_below_what_a_temporary_file_makes_of_it() {
        let system = || io::Error::from(Errno::NOSPC);
        let wrapped = || io::Error::new(system().kind(), format!("{} at path \"/x\"", system()));
        for err in [system(), wrapped(), io::Error::other(wrapped())] {
            let told = of_the_disk(&gix::Error::from_error(err)).map(|err| err.to_string());
            assert_eq!(told, Some(system().to_string()));
        }
        let reset = io::Error::from(Errno::CONNRESET);
        assert!(of_the_disk(&gix::Error::from_error(reset)).is_none());
    }
}
