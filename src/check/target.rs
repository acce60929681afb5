//! What a revision is checked for: an Airflow, the Python it runs on, and how it looks for DAG files.

use std::fmt;
use std::str::FromStr;

/// A release of Airflow. What is left out is the newest known: `3` is `3.3`, and `3.1` is its last patch release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Airflow {
    /// 2 or 3.
    pub major: u16,
    /// The feature release.
    pub minor: u16,
    /// The patch release; [`Airflow::LAST_PATCH`] when it was not said.
    pub patch: u16,
}

impl Airflow {
    /// The patch release of a version given without one.
    pub const LAST_PATCH: u16 = u16::MAX;
    /// The oldest we know.
    pub const OLDEST: Airflow = Airflow::new(2, 7);
    /// The newest we know, and the default.
    pub const NEWEST: Airflow = Airflow::new(3, 3);

    /// The last patch release of a feature release.
    pub const fn new(major: u16, minor: u16) -> Airflow {
        Airflow { major, minor, patch: Airflow::LAST_PATCH }
    }

    /// Whether it is this feature release or a later one.
    pub fn at_least(self, major: u16, minor: u16) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

impl fmt::Display for Airflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch != Airflow::LAST_PATCH {
            write!(f, ".{}", self.patch)?;
        }
        Ok(())
    }
}

/// A version that is not one we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is known from {oldest} to {newest}")]
pub struct Unknown {
    what: &'static str,
    oldest: String,
    newest: String,
}

impl FromStr for Airflow {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Airflow, Unknown> {
        let unknown = || Unknown {
            what: "Airflow",
            oldest: Airflow::OLDEST.to_string(),
            newest: Airflow::NEWEST.to_string(),
        };
        let mut parts = text.split('.').map(str::parse::<u16>);
        let mut next = || parts.next().transpose().map_err(|_| unknown());
        let (major, minor, patch, more) = (next()?, next()?, next()?, next()?);
        let major = major.ok_or_else(unknown)?;
        let newest = if major == 2 { 11 } else { Airflow::NEWEST.minor };
        let version =
            Airflow { major, minor: minor.unwrap_or(newest), patch: patch.unwrap_or(Airflow::LAST_PATCH) };
        let known = (Airflow::OLDEST.major..=Airflow::NEWEST.major).contains(&major)
            && version.at_least(Airflow::OLDEST.major, Airflow::OLDEST.minor)
            && version.minor <= newest;
        if known && more.is_none() { Ok(version) } else { Err(unknown()) }
    }
}

/// A feature release of CPython.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Python {
    /// 8 for 3.8.
    pub minor: u8,
}

impl Python {
    /// The oldest we check for.
    pub const OLDEST: Python = Python { minor: 8 };
    /// The newest we check for.
    pub const NEWEST: Python = Python { minor: 15 };
    /// That of Airflow's own images.
    pub const DEFAULT: Python = Python { minor: 12 };
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "3.{}", self.minor)
    }
}

impl FromStr for Python {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Python, Unknown> {
        let minor = text.strip_prefix("3.").and_then(|minor| minor.parse().ok());
        let known = minor.filter(|minor| (Python::OLDEST.minor..=Python::NEWEST.minor).contains(minor));
        known.map(|minor| Python { minor }).ok_or_else(|| Unknown {
            what: "Python",
            oldest: Python::OLDEST.to_string(),
            newest: Python::NEWEST.to_string(),
        })
    }
}

/// How the lines of an `.airflowignore` are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IgnoreSyntax {
    /// Patterns like those of `.gitignore`.
    Glob,
    /// Regular expressions.
    Regexp,
}

impl IgnoreSyntax {
    /// The default of an Airflow.
    pub fn of(airflow: Airflow) -> IgnoreSyntax {
        if airflow.at_least(3, 0) { IgnoreSyntax::Glob } else { IgnoreSyntax::Regexp }
    }
}

/// What a revision is checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// Which Airflow will read it.
    pub airflow: Airflow,
    /// On which Python.
    pub python: Python,
    /// Airflow's `[core] dag_ignore_file_syntax`.
    pub ignore: IgnoreSyntax,
    /// Airflow's `[core] dag_discovery_safe_mode`.
    pub safe_mode: bool,
}

impl Target {
    /// An Airflow with its defaults.
    pub fn of(airflow: Airflow, python: Python) -> Target {
        Target { airflow, python, ignore: IgnoreSyntax::of(airflow), safe_mode: true }
    }
}

impl Default for Target {
    fn default() -> Self {
        Target::of(Airflow::NEWEST, Python::DEFAULT)
    }
}

/// What nobody said, so that it may be otherwise where the DAGs run. What hangs on that alone holds nothing back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Assumed {
    /// The DAGs folder is taken for the top of the repository.
    pub folder: bool,
    /// The Airflow is taken for the newest.
    pub airflow: bool,
    /// How ignore files are read is taken from that.
    pub ignore: bool,
    /// The Python is taken for that of Airflow's images.
    pub python: bool,
}

impl Target {
    /// The other way in which ignore files may be read: by the newest Airflow whose default it is.
    #[must_use]
    pub fn with_other_ignore(self) -> Target {
        let (airflow, ignore) = match self.ignore {
            IgnoreSyntax::Glob => (Airflow::new(2, 11), IgnoreSyntax::Regexp),
            IgnoreSyntax::Regexp => (Airflow::NEWEST, IgnoreSyntax::Glob),
        };
        Target { airflow, ignore, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Airflow>().map(|version| version.to_string());
        assert_eq!(read("3"), Ok("3.3".into()));
        assert_eq!(read("2"), Ok("2.11".into()));
        assert_eq!(read("3.1.0"), Ok("3.1.0".into()));
        for wrong in ["", "1.10", "2.6", "2.12", "3.4", "4", "3.x", "3.1.0.0", "v3", " 3"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!("3.8".parse(), Ok(Python { minor: 8 }));
        for wrong in ["", "3", "3.7", "3.16", "2.7", "3.12.1"] {
            assert!(wrong.parse::<Python>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_version_without_a_patch_release_is_the_last_of_its_kind() {
        assert!("3.1".parse::<Airflow>().unwrap() > "3.1.8".parse().unwrap());
        assert!("3.1".parse::<Airflow>().unwrap() < "3.2".parse().unwrap());
    }
}
