//! What is wrong, where, and how bad that is.
//!
//! One table holds every code, so that the help, the documents and the reports say the same.

use std::fmt;

use gix::bstr::BString;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth a look; holds nothing back.
    Warning,
    /// A file that Airflow loads, or that such a file imports from the repository, will surely fail.
    Error,
    /// Would stop Airflow's parsing altogether. Never published.
    Fatal,
}

impl Severity {
    /// As reports, metrics and the state file spell it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Fatal => "fatal",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $about:literal;)*) => {
        /// What kind of finding it is. The names are a contract: policies, dashboards and suppressions are written with them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $about] $variant,)*
        }

        impl Code {
            /// All of them, the worst first.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// Its name in reports and metrics.
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// How bad it is in a file that Airflow loads.
            pub fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity,)* }
            }

            /// What it means, in one sentence, for the documents and for SARIF's rules.
            pub fn about(self) -> &'static str {
                match self { $(Code::$variant => $about,)* }
            }
        }
    };
}

codes! {
    PathLoop "path-loop" Fatal "Two paths lead to one folder: Airflow's walk of the DAGs raises.";
    IgnoreEncoding "ignore-encoding" Fatal "An `.airflowignore` that is not UTF-8: Airflow's walk of the DAGs raises.";
    IgnorePattern "ignore-pattern" Fatal "A pattern of an `.airflowignore` that makes Airflow's walk of the DAGs raise.";
    NameEncoding "name-encoding" Fatal "A DAG file whose name is not UTF-8: Airflow cannot store its path.";
    PythonSyntax "python-syntax" Error "Python cannot compile the file.";
    PythonEncoding "python-encoding" Error "Python cannot decode the file.";
    ConflictMarker "conflict-marker" Error "A merge was committed with its conflict markers.";
    LfsPointer "lfs-pointer" Error "A pointer of Git LFS in place of the file.";
    RelativeImport "relative-import" Error "A DAG file is loaded without a package: a relative import in it always fails.";
    LocalModule "local-module" Error "A module of the repository that is not there any more is imported.";
    AirflowModule "airflow-module" Error "A module that the target Airflow does not have is imported.";
    DagArgument "dag-argument" Error "An argument that the target Airflow does not take.";
    DagId "dag-id" Error "An id with characters or a length that Airflow refuses.";
    DuplicateDagId "duplicate-dag-id" Error "Two files define one DAG: the second silently takes the first one's place.";
    DuplicateTaskId "duplicate-task-id" Error "Two tasks of a DAG have one id.";
    TaskCycle "task-cycle" Error "The tasks of a DAG wait for each other in a circle.";
    Schedule "schedule" Error "A schedule that Airflow cannot read.";
    Command "command" Error "The operator's own check refused the revision.";
    ScheduleVersion "schedule-version" Warning "A schedule that only some releases of croniter can read.";
    TopLevelCall "top-level-call" Warning "A slow or remote call while the file is parsed, which Airflow does all the time.";
    DynamicValue "dynamic-value" Warning "A value that is another one at each parse.";
    UnboundDag "unbound-dag" Warning "A DAG that is made and kept nowhere: Airflow does not find it.";
    NoDag "no-dag" Warning "Airflow reads the file and finds no DAG, or no longer reads a file with one.";
    ShadowedModule "shadowed-module" Warning "A module of the repository has the name of an installed one, or the other way round.";
    CaseClash "case-clash" Warning "Two names differ in case only.";
    LargeFile "large-file" Warning "A file so large that reading it takes noticeable time, or that it is not checked; with an `.airflowignore` that is all of its folder.";
    DataSyntax "data-syntax" Warning "A YAML or JSON file that cannot be read.";
    Archive "archive" Warning "A zip of DAG files that cannot be checked, or not all of it.";
    PythonCommentEncoding "python-comment-encoding" Warning "A byte in a comment that is not of the file's encoding; importers accept it, other tools do not.";
}

impl Code {
    /// The code of this name.
    pub fn named(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.name() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something wrong in a file, wherever the file is: what can be remembered with its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issue {
    /// 1-based; 0 when it is about the file as a whole.
    pub line: u32,
    /// 1-based, in characters (not bytes); 0 when it is about the line as a whole.
    pub column: u32,
    /// What kind.
    pub code: Code,
    /// One line for people, lower case, backticks round literals.
    pub message: String,
    /// What to do, if that is not plain.
    pub hint: Option<String>,
}

impl Issue {
    /// One about a file as a whole.
    pub fn of_file(code: Code, message: impl Into<String>) -> Issue {
        Issue::at(0, 0, code, message)
    }

    /// One at a place.
    pub fn at(line: u32, column: u32, code: Code, message: impl Into<String>) -> Issue {
        Issue { line, column, code, message: message.into(), hint: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Issue {
        self.hint = Some(hint.into());
        self
    }
}

/// Something wrong in a revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// Below the top of the snapshot, as git has it.
    pub path: BString,
    /// What.
    pub issue: Issue,
    /// The code's, unless the file is none that Airflow loads.
    pub severity: Severity,
}

impl Finding {
    /// As bad as its code says.
    pub fn new(path: impl Into<BString>, issue: Issue) -> Finding {
        Finding { path: path.into(), severity: issue.code.severity(), issue }
    }

    /// In a file that Airflow does not load: an error is worth no more than a look there.
    #[must_use]
    pub fn elsewhere(mut self) -> Finding {
        if self.severity == Severity::Error {
            self.severity = Severity::Warning;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own_and_the_worst_come_first() {
        for (at, code) in Code::ALL.iter().enumerate() {
            assert_eq!(Code::named(code.name()), Some(*code));
            assert!(code.about().ends_with('.'), "{code}");
            assert!(code.name().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{code}");
            if let Some(next) = Code::ALL.get(at + 1) {
                assert!(code.severity() >= next.severity(), "{code} before {next}");
            }
        }
        assert_eq!(Code::named("nonsense"), None);
    }

    #[test]
    fn elsewhere_an_error_is_a_warning_and_fatal_stays_fatal() {
        let severity = |code| Finding::new("a.py", Issue::of_file(code, "x")).elsewhere().severity;
        assert_eq!(severity(Code::PythonSyntax), Severity::Warning);
        assert_eq!(severity(Code::PathLoop), Severity::Fatal);
    }
}
