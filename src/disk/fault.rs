//! Faults on demand, for tests that run the binary: the process dies, or a change fails, at a crash point of their choice.
//!
//! Only in builds with debug assertions. `DAGSYNC_TEST_FAULT` holds one or more of these, between `;`:
//!
//! - `kill:<point>:<before|after>:<n>`: SIGKILL to ourselves, at the n-th change with that point;
//! - `error:<errno>:<point>:<n>`: the n-th change fails and is not made; `error:<errno>:<point>:after:<n>`: it is made, and
//!   fails nevertheless;
//! - the same with `:until-file:<path>` at the end: the n-th and all that follow, for as long as that file exists;
//! - `count:<path>`: the name of each change's point, a line each, at the end of that file.
//!
//! `*` is any point: the n-th change of all. The errno is a name or a number. The n counts from 1, also changes that fail by
//! themselves, so that `before` and `after` of the same n are about the same change.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

use super::Point;

const VARIABLE: &str = "DAGSYNC_TEST_FAULT";

/// One change, with the faults of the plan before and after it. `failed` makes an error of the caller's kind.
pub(crate) fn around_as<T, E>(
    point: Point,
    failed: impl FnOnce(io::Error) -> E,
    operation: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let Some(plan) = plan() else { return operation() };
    let due = plan.begin(point);
    let strike = |when| due.iter().filter(|fault| fault.when == when).find_map(|fault| fault.strike());
    if let Some(fault) = strike(When::Before) {
        return Err(failed(fault));
    }
    let done = operation();
    match strike(When::After) {
        Some(fault) if done.is_ok() => Err(failed(fault)),
        _ => done,
    }
}

/// The plan of the process; `None` without the variable.
fn plan() -> Option<&'static Plan> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    let read = || {
        let text = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty())?;
        Some(Plan::parse(&text).unwrap_or_else(|reason| give_up(&reason)))
    };
    PLAN.get_or_init(read).as_ref()
}

/// A test whose plan is wrong would pass for the wrong reason, and a panic ends a thread only.
#[expect(clippy::disallowed_methods, reason = "a crash is what this is for")]
fn give_up(reason: &str) -> ! {
    eprintln!("error: {VARIABLE}: {reason}");
    std::process::abort()
}

#[derive(Debug, Default)]
struct Plan {
    faults: Vec<Fault>,
    counts: Vec<File>,
}

#[derive(Debug)]
struct Fault {
    what: What,
    /// `None` is any.
    point: Option<Point>,
    when: When,
    nth: u64,
    until: Option<PathBuf>,
    changes: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Kill,
    Fail(Errno),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
}

impl Plan {
    fn parse(text: &str) -> Result<Plan, String> {
        let mut plan = Plan::default();
        for part in text.split(';') {
            match part.strip_prefix("count:") {
                Some(path) => {
                    let file = OpenOptions::new().create(true).append(true).open(path);
                    plan.counts.push(file.map_err(|err| format!("`{path}`: {err}"))?);
                }
                None => plan.faults.push(Fault::parse(part).map_err(|reason| format!("`{part}`: {reason}"))?),
            }
        }
        Ok(plan)
    }

    /// Counts a change; the faults that belong to it.
    fn begin(&self, point: Point) -> Vec<&Fault> {
        for mut count in &self.counts {
            // One system call, so that lines of several threads stay whole.
            if let Err(err) = count.write_all(format!("{}\n", point.name()).as_bytes()) {
                give_up(&format!("cannot count: {err}"));
            }
        }
        self.faults.iter().filter(|fault| fault.is_due(point)).collect()
    }
}

impl Fault {
    fn parse(text: &str) -> Result<Fault, String> {
        let (text, until) = match text.split_once(":until-file:") {
            Some((_, "")) => return Err("no file".into()),
            Some((text, path)) => (text, Some(path.into())),
            None => (text, None),
        };
        let (what, point, when, nth) = match text.split(':').collect::<Vec<_>>()[..] {
            ["kill", point, when, nth] => (What::Kill, point, when, nth),
            ["error", errno, point, nth] => (What::Fail(self::errno(errno)?), point, "before", nth),
            ["error", errno, point, when, nth] => (What::Fail(self::errno(errno)?), point, when, nth),
            _ => return Err("neither `kill:…`, `error:…` nor `count:…`, or not all of it".into()),
        };
        let point = match point {
            "*" => None,
            name => {
                let found = Point::ALL.iter().find(|point| point.name() == name);
                Some(*found.ok_or_else(|| format!("no point `{name}`"))?)
            }
        };
        let when = match when {
            "before" => When::Before,
            "after" => When::After,
            other => return Err(format!("`{other}` is neither `before` nor `after`")),
        };
        let nth = nth.parse().ok().filter(|nth| *nth > 0);
        let nth = nth.ok_or("the last part is not a number from 1 on")?;
        Ok(Fault { what, point, when, nth, until, changes: AtomicU64::new(0) })
    }

    fn is_due(&self, point: Point) -> bool {
        if self.point.is_some_and(|only| only != point) {
            return false;
        }
        let now = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        match &self.until {
            None => now == self.nth,
            Some(file) => now >= self.nth && file.exists(),
        }
    }

    fn strike(&self) -> Option<io::Error> {
        match self.what {
            What::Fail(errno) => Some(errno.into()),
            What::Kill => {
                let killed = kill_process(getpid(), Signal::KILL);
                give_up(&format!("still alive after SIGKILL to ourselves ({killed:?})"))
            }
        }
    }
}

fn errno(text: &str) -> Result<Errno, String> {
    let names = [
        ("EACCES", Errno::ACCESS),
        ("EBUSY", Errno::BUSY),
        ("EDQUOT", Errno::DQUOT),
        ("EEXIST", Errno::EXIST),
        ("EFBIG", Errno::FBIG),
        ("EINTR", Errno::INTR),
        ("EINVAL", Errno::INVAL),
        ("EIO", Errno::IO),
        ("EISDIR", Errno::ISDIR),
        ("ELOOP", Errno::LOOP),
        ("EMFILE", Errno::MFILE),
        ("EMLINK", Errno::MLINK),
        ("ENAMETOOLONG", Errno::NAMETOOLONG),
        ("ENFILE", Errno::NFILE),
        ("ENODEV", Errno::NODEV),
        ("ENOENT", Errno::NOENT),
        ("ENOMEM", Errno::NOMEM),
        ("ENOSPC", Errno::NOSPC),
        ("ENOSYS", Errno::NOSYS),
        ("ENOTDIR", Errno::NOTDIR),
        ("ENOTEMPTY", Errno::NOTEMPTY),
        ("EOPNOTSUPP", Errno::OPNOTSUPP),
        ("EPERM", Errno::PERM),
        ("EROFS", Errno::ROFS),
        ("ESTALE", Errno::STALE),
        ("ETXTBSY", Errno::TXTBSY),
        ("EXDEV", Errno::XDEV),
    ];
    if let Some((_, errno)) = names.iter().find(|(name, _)| *name == text) {
        return Ok(*errno);
    }
    // Larger numbers are no errno, to Linux and to rustix.
    let number = text.parse().ok().filter(|number| (1..4096).contains(number));
    number.map(Errno::from_raw_os_error).ok_or_else(|| format!("no errno `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_its_own_change_and_no_other() {
        let plan = Plan::parse("error:ENOSPC:tree.file.write:2;error:5:*:after:3").unwrap();
        let struck = |point| -> Vec<_> {
            plan.begin(point)
                .iter()
                .map(|fault| (fault.when, fault.strike().unwrap().raw_os_error()))
                .collect()
        };
        assert_eq!(struck(Point::TreeFileWrite), []);
        assert_eq!(struck(Point::TreeFileCreate), []);
        assert_eq!(struck(Point::TreeFileWrite), [(When::Before, Some(28)), (When::After, Some(5))]);
        assert_eq!(struck(Point::TreeFileWrite), []);
    }

    #[test]
    fn a_fault_until_a_file_is_gone_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("while:this:exists");
        std::fs::write(&file, "").unwrap();
        let plan = Plan::parse(&format!("error:EIO:*:2:until-file:{}", file.display())).unwrap();
        let due = || plan.begin(Point::RootLockOpen).len();
        assert_eq!([due(), due(), due()], [0, 1, 1]);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(due(), 0);
    }

    #[test]
    fn what_makes_no_sense_is_no_plan() {
        for text in [
            "kill:tree.file.create:before",
            "kill:tree.file.create:during:1",
            "kill:tree.file.create:before:0",
            "kill:tree.file.created:before:1",
            "error:ENOSUCH:*:1",
            "error:0:*:1",
            "error:EIO:*:1:until-file:",
            "count:/nonexistent/file",
            "kill:*:before:1;",
            "maim:*:before:1",
        ] {
            assert!(Plan::parse(text).is_err(), "{text}");
        }
    }
}
