//! The stream: what is pushed, one row after the other, and what the policy says about it.

use super::model::{BAD_ENCODING, BAD_PATTERN, BASE, File, IGNORES, REFUSED, TOOLS, Tree};

/// What somebody does to files.
#[derive(Debug, Clone)]
pub enum Edit {
    Put(&'static [u8], File),
    Gone(&'static [u8]),
    Moved(&'static str, &'static str),
    /// Everything goes.
    Emptied,
}

/// What somebody pushes.
#[derive(Debug, Clone)]
pub enum Push {
    /// Commits onto the tip, with their messages.
    Commits(Vec<(&'static str, Vec<Edit>)>),
    /// A commit in the place of the tip: a forced push.
    Instead(Vec<Edit>),
    /// `main` moves so many first parents back: a forced push.
    Back(usize),
    /// And to where it was before that.
    Forth,
    /// A branch of one commit from the tip's first parent, merged.
    Merge(Vec<Edit>),
    /// A tag at the tip.
    Tag(&'static str),
}

/// What follows for pods that have something published already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Published,
    /// Held back: the word of the metric, and what the reason says.
    Held(&'static str, &'static str),
    /// It cannot be written: every pass fails, and the message says so.
    Fails(&'static str),
    /// Nothing that they would notice.
    Same,
}

/// One push.
pub struct Row {
    pub what: &'static str,
    pub push: Push,
    pub expect: Expect,
    /// A pod that begins now cannot know all that the others know, and serves something else: why.
    pub apart: Option<&'static str>,
}

fn commit(what: &'static str, edits: Vec<Edit>, expect: Expect) -> Row {
    row(what, Push::Commits(vec![(what, edits)]), expect)
}

fn row(what: &'static str, push: Push, expect: Expect) -> Row {
    Row { what, push, expect, apart: None }
}

fn good(what: &'static str, edits: Vec<Edit>) -> Row {
    commit(what, edits, Expect::Published)
}

fn bad(what: &'static str, edits: Vec<Edit>, because: &'static str, says: &'static str) -> Row {
    commit(what, edits, Expect::Held(because, says))
}

fn fails(what: &'static str, edits: Vec<Edit>, says: &'static str) -> Row {
    commit(what, edits, Expect::Fails(says))
}

fn put(path: &'static str, file: File) -> Edit {
    Edit::Put(path.as_bytes(), file)
}

fn gone(path: &'static str) -> Edit {
    Edit::Gone(path.as_bytes())
}

fn wrong(code: &'static str, n: u32) -> Edit {
    put("dags/wrong.py", File::Wrong(code, n))
}

impl Edit {
    /// Does it.
    pub fn apply(&self, tree: &mut Tree) {
        match self {
            Edit::Put(path, file) => _ = tree.insert(path.to_vec(), file.clone()),
            Edit::Gone(path) => assert!(tree.remove(*path).is_some(), "{}", String::from_utf8_lossy(path)),
            Edit::Moved(from, to) => {
                let file = tree.remove(from.as_bytes()).unwrap_or_else(|| panic!("{from}"));
                tree.insert(to.as_bytes().to_vec(), file);
            }
            Edit::Emptied => tree.clear(),
        }
    }
}

/// All of it, in order.
pub fn rows() -> Vec<Row> {
    [never_clean(), one_file(), between_files(), fatal(), guards(), shapes(), own()]
        .into_iter()
        .flatten()
        .collect()
}

/// A repository that begins with what stops Airflow, and then has a broken file for a while.
fn never_clean() -> Vec<Row> {
    let first = vec![
        put("dags/a.py", File::Dag(1)),
        put("dags/b.py", File::Dag(2)),
        put("dags/c.py", File::Dag(3)),
        put("dags/d.py", File::Dag(4)),
        put("dags/uses.py", File::Importing(1)),
        put(TOOLS, File::Module(1)),
        put(BASE, File::Module(0)),
        put("dags/legacy.py", File::Wrong("python-syntax", 1)),
        put("readme.md", File::Other(b"# DAGs\n")),
        put("dags/up", File::Loop),
    ];
    let legacy = |code, n| put("dags/old.py", File::Wrong(code, n));
    vec![
        bad("a first commit that stops Airflow", first, "fatal", "path-loop"),
        good("what never was clean is published with its broken file", vec![gone("dags/up")]),
        good("work on another file goes on", vec![put("dags/a.py", File::Slow(1))]),
        good("the broken file is renamed", vec![Edit::Moved("dags/legacy.py", "dags/old.py")]),
        good("it is broken in another way", vec![legacy("conflict-marker", 1)]),
        bad("a second broken file", vec![wrong("python-syntax", 2)], "error", "dags/wrong.py:3"),
        good("which is mended", vec![put("dags/wrong.py", File::Dag(5))]),
        good("mended in part, it shows a mistake of another kind", vec![legacy("dag-argument", 2)]),
        bad("and breaks in full again", vec![legacy("python-syntax", 3)], "error", "python-syntax"),
        good("the old one is mended", vec![put("dags/old.py", File::Dag(6))]),
    ]
}

/// Each error that one file can have.
fn one_file() -> Vec<Row> {
    vec![
        bad("syntax", vec![wrong("python-syntax", 10)], "error", "python-syntax"),
        bad("encoding", vec![wrong("python-encoding", 11)], "error", "python-encoding"),
        bad("a conflict", vec![wrong("conflict-marker", 12)], "error", "conflict-marker"),
        bad(
            "a good file beside it waits too",
            vec![put("dags/e.py", File::Dag(7))],
            "error",
            "conflict-marker",
        ),
        good("the conflict is resolved", vec![put("dags/wrong.py", File::Dag(5))]),
        bad("a relative import", vec![wrong("relative-import", 13)], "error", "relative-import"),
        bad("a module of Airflow 1", vec![wrong("airflow-module", 14)], "error", "airflow-module"),
        bad("an argument of Airflow 2", vec![wrong("dag-argument", 15)], "error", "dag-argument"),
        bad("no id", vec![wrong("dag-id", 16)], "error", "dag-id"),
        bad("one id for two tasks", vec![wrong("duplicate-task-id", 17)], "error", "duplicate-task-id"),
        bad("a circle", vec![wrong("task-cycle", 18)], "error", "task-cycle"),
        bad("a schedule", vec![wrong("schedule", 19)], "error", "`61 * * * *`"),
        bad(
            "it is renamed",
            vec![Edit::Moved("dags/wrong.py", "dags/renamed.py")],
            "error",
            "dags/renamed.py",
        ),
        good("it is removed", vec![gone("dags/renamed.py")]),
        good("a warning", vec![put("dags/wrong.py", File::Slow(2)), put("x.json", File::Other(b"{ no\n"))]),
    ]
}

/// Errors that take two files.
fn between_files() -> Vec<Row> {
    vec![
        bad("one id for two DAGs", vec![put("dags/f.py", File::Dag(2))], "error", "duplicate-dag-id"),
        good("another id", vec![put("dags/f.py", File::Dag(8))]),
        bad("a module that is imported breaks", vec![put(TOOLS, File::BrokenModule(1))], "error", TOOLS),
        bad("or is in another store", vec![put(TOOLS, File::Pointer)], "error", "lfs-pointer"),
        bad("or goes", vec![gone(TOOLS)], "error", "local-module"),
        bad(
            "something else on top of that",
            vec![put("readme.md", File::Other(b"2\n"))],
            "error",
            "local-module",
        ),
        good("it comes back", vec![put(TOOLS, File::Module(2))]),
        good("a broken module that nobody imports", vec![put("common/spare.py", File::BrokenModule(2))]),
        good(
            "whoever imports a module goes with it",
            vec![gone("dags/uses.py"), gone(TOOLS), gone("common/spare.py")],
        ),
    ]
}

/// What stops Airflow's walk.
fn fatal() -> Vec<Row> {
    let ignore = |file| put(".airflowignore", file);
    vec![
        bad("a pattern", vec![ignore(BAD_PATTERN)], "fatal", "ignore-pattern"),
        bad("an encoding", vec![ignore(BAD_ENCODING)], "fatal", "ignore-encoding"),
        bad(
            "a name",
            vec![ignore(IGNORES), Edit::Put(b"dags/\xff.py", File::Dag(9))],
            "fatal",
            "name-encoding",
        ),
        good(
            "a name that everybody can read",
            vec![Edit::Gone(b"dags/\xff.py"), put("dags/g.py", File::Dag(9))],
        ),
        good("a broken file that is ignored", vec![put("old/x.py", File::Wrong("python-syntax", 20))]),
    ]
}

/// DAGs that go, and branches that move backward.
fn guards() -> Vec<Row> {
    let go = |names: &[&'static str]| names.iter().map(|name| gone(name)).collect::<Vec<_>>();
    let come = || {
        let files = ["dags/a.py", "dags/b.py", "dags/c.py", "dags/d.py"].into_iter().zip(1..);
        files.map(|(path, n)| put(path, File::Dag(n))).collect::<Vec<_>>()
    };
    let hide = |name: &'static str, to| Edit::Moved(name, to);
    vec![
        good("less than half of the DAGs go", go(&["dags/a.py", "dags/b.py", "dags/c.py", "dags/d.py"])),
        bad("most go", go(&["dags/old.py", "dags/wrong.py", "dags/e.py"]), "shrink", "3 of 5 DAG files"),
        bad(
            "and somebody goes on",
            vec![put("readme.md", File::Other(b"3\n"))],
            "shrink",
            "3 of 5 DAG files",
        ),
        row("that is meant", Push::Commits(vec![(MEANT, vec![])]), Expect::Published),
        good("others come", come()),
        row(
            "most go, and the commit in the middle says so",
            Push::Commits(vec![
                ("more to do", vec![put("readme.md", File::Other(b"4\n"))]),
                (MEANT, go(&["dags/a.py", "dags/b.py", "dags/c.py", "dags/d.py"])),
                ("done", vec![put("readme.md", File::Other(b"5\n"))]),
            ]),
            Expect::Published,
        ),
        good("they come back", come()),
        bad("everything goes", vec![Edit::Emptied], "shrink", "6 of 6 DAG files"),
        row("a revision without files is meant", Push::Commits(vec![(MEANT, vec![])]), Expect::Published),
        good("a new beginning", come()),
        bad(
            "something else takes the place of most",
            vec![
                gone("dags/a.py"),
                gone("dags/b.py"),
                gone("dags/c.py"),
                put("dags/x.py", File::Idle(1)),
                put("dags/y.py", File::Idle(2)),
                put("dags/z.py", File::Idle(3)),
            ],
            "shrink",
            "3 of 4 DAG files",
        ),
        bad(
            "or is written over them",
            vec![
                hide("dags/x.py", "dags/a.py"),
                hide("dags/y.py", "dags/b.py"),
                hide("dags/z.py", "dags/c.py"),
            ],
            "shrink",
            "3 of 4 DAG files",
        ),
        good(
            "what has their names or their DAGs does",
            vec![
                gone("dags/a.py"),
                gone("dags/b.py"),
                gone("dags/c.py"),
                put("dags/team/a.py", File::Slow(40)),
                put("dags/team/b.py", File::Slow(41)),
                put("dags/z.py", File::Dag(3)),
            ],
        ),
        row(
            "they go back",
            Push::Commits(vec![(
                MEANT,
                vec![gone("dags/team/a.py"), gone("dags/team/b.py"), gone("dags/z.py")]
                    .into_iter()
                    .chain(come())
                    .collect(),
            )]),
            Expect::Published,
        ),
        bad(
            "most are hidden",
            vec![
                put(".airflowignore", IGNORES),
                hide("dags/a.py", "old/a.py"),
                hide("dags/b.py", "old/b.py"),
                hide("dags/c.py", "old/c.py"),
            ],
            "shrink",
            "3 of 4 DAG files",
        ),
        good("and found again at another place", vec![gone(".airflowignore")]),
        good("one more", vec![put("dags/e.py", File::Dag(7))]),
        Row {
            apart: Some("the branch is all that it sees"),
            ..row("the branch moves backward", Push::Back(1), Expect::Held("rewind", "moved backward"))
        },
        row("and forward again", Push::Forth, Expect::Same),
        row(
            "its newest commit is replaced",
            Push::Instead(vec![put("dags/f.py", File::Dag(8))]),
            Expect::Published,
        ),
        Row {
            apart: Some("what the others serve is in no branch any more"),
            ..row(
                "and replaced by a broken one",
                Push::Instead(vec![wrong("python-syntax", 30)]),
                Expect::Held("error", "python-syntax"),
            )
        },
        good("which is mended", vec![put("dags/wrong.py", File::Dag(10))]),
    ]
}

/// Other things that are pushed than a commit with DAGs.
fn shapes() -> Vec<Row> {
    let several = |commits: Vec<(&'static str, Vec<Edit>)>| Push::Commits(commits);
    vec![
        row("a merge", Push::Merge(vec![put("dags/m.py", File::Dag(11))]), Expect::Published),
        row(
            "a merge of a broken branch",
            Push::Merge(vec![wrong("schedule", 31)]),
            Expect::Held("error", "[schedule]"),
        ),
        good("which is mended", vec![put("dags/wrong.py", File::Dag(10))]),
        good("nothing but a document", vec![put("docs/index.md", File::Other(b"# Index\n"))]),
        good("a link", vec![put("docs/latest.md", File::Link("index.md"))]),
        fails("a link that leads out", vec![put("docs/out", File::Outside)], "docs/out"),
        fails("work goes on all the same", vec![put("docs/more.md", File::Other(b"# More\n"))], "docs/out"),
        fails("something is broken as well", vec![wrong("task-cycle", 35)], "docs/out"),
        good("both are mended", vec![gone("docs/out"), put("dags/wrong.py", File::Dag(10))]),
        good("a submodule", vec![put("vendor/sub", File::Submodule)]),
        row("a tag", Push::Tag("v1"), Expect::Same),
        row(
            "a broken commit and its mending in one push",
            several(vec![
                ("broken", vec![wrong("python-syntax", 32)]),
                ("mended", vec![put("dags/wrong.py", File::Slow(3))]),
            ]),
            Expect::Published,
        ),
        Row {
            apart: Some("it takes each commit for a push of its own"),
            ..row(
                "a good commit and a broken one in one push",
                several(vec![
                    ("good", vec![put("dags/n.py", File::Dag(12))]),
                    ("broken", vec![wrong("task-cycle", 33)]),
                ]),
                Expect::Held("error", "task-cycle"),
            )
        },
        good("which is mended", vec![put("dags/wrong.py", File::Dag(10))]),
    ]
}

/// What the operator's own program refuses.
fn own() -> Vec<Row> {
    let refused = |file| put(REFUSED, File::Other(file));
    vec![
        bad("the operator refuses it", vec![refused(b"")], "command", "check command"),
        bad("and again", vec![refused(b"again\n")], "command", "check command"),
        bad("broken besides", vec![wrong("dag-id", 34)], "error", "dag-id"),
        good("it is let through", vec![gone(REFUSED), put("dags/wrong.py", File::Dag(10))]),
        good("the last one", vec![put("dags/last.py", File::Dag(13))]),
    ]
}

/// A message that lets DAGs go.
const MEANT: &str = "Retire them\n\ndagsync-allow: shrink\n";
