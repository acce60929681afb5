//! A regular expression, whichever dialect it was written in.

/// Python's own count for "any number"; a larger one written out is an `OverflowError`, which Airflow does not expect.
pub(super) const ANY_NUMBER: u32 = u32::MAX;

/// The least and the most characters that a node takes.
pub(super) type Width = (u64, u64);

/// A node. Characters are code points and not `char`: Python has lone surrogates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Empty,
    Char(u32),
    /// `.`
    Any,
    Class {
        negated: bool,
        items: Vec<Item>,
    },
    Assert(Assertion),
    /// `(…)`; groups are numbered by where they open.
    Capture(Box<Node>),
    /// `(?i:…)`: what is turned on and off in it.
    Flags {
        on: Flags,
        off: Flags,
        node: Box<Node>,
    },
    Repeat {
        node: Box<Node>,
        least: u32,
        most: Option<u32>,
        greed: Greed,
    },
    Concat(Vec<Node>),
    Either(Vec<Node>),
    Look {
        behind: bool,
        negated: bool,
        node: Box<Node>,
    },
    BackReference(u32),
    /// `(?(1)yes|no)`
    Condition {
        group: u32,
        yes: Box<Node>,
        no: Box<Node>,
    },
    /// `(?>…)`
    Atomic(Box<Node>),
}

/// A part of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Range(u32, u32),
    Category {
        category: Category,
        negated: bool,
    },
    /// One of Unicode's, by its name.
    Property {
        name: String,
        negated: bool,
    },
}

/// `\d`, `\s`, `\w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    Digit,
    Space,
    Word,
}

/// What has no width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assertion {
    /// `^`
    LineStart,
    /// `$`
    LineEnd,
    TextStart,
    TextEnd,
    Boundary,
    NotBoundary,
}

/// How much a repetition takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greed {
    Most,
    Least,
    /// The most, and nothing of it back.
    All,
}

/// What letters turn on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// `i`
    pub fold: bool,
    /// `m`
    pub lines: bool,
    /// `s`
    pub dot_all: bool,
    /// `a` of Python
    pub ascii: bool,
    /// `u` of Python
    pub unicode: bool,
    /// `x` of Python
    pub verbose: bool,
}

impl Flags {
    /// With some turned on and some turned off.
    pub fn with(self, on: Flags, off: Flags) -> Flags {
        Flags {
            fold: (self.fold || on.fold) && !off.fold,
            lines: (self.lines || on.lines) && !off.lines,
            dot_all: (self.dot_all || on.dot_all) && !off.dot_all,
            // `a` and `u` replace each other.
            ascii: on.ascii || (self.ascii && !on.unicode),
            unicode: on.unicode || (self.unicode && !on.ascii),
            verbose: (self.verbose || on.verbose) && !off.verbose,
        }
    }

    /// Whether any of these is among those.
    pub fn meets(self, other: Flags) -> bool {
        (self.fold && other.fold)
            || (self.lines && other.lines)
            || (self.dot_all && other.dot_all)
            || (self.ascii && other.ascii)
            || (self.unicode && other.unicode)
            || (self.verbose && other.verbose)
    }
}

impl Node {
    /// Whether it is about a place in the text, and takes nothing of it.
    pub fn is_place(&self) -> bool {
        match self {
            Node::Empty | Node::Assert(_) | Node::Look { .. } => true,
            Node::Capture(node) | Node::Flags { node, .. } | Node::Atomic(node) => node.is_place(),
            Node::Concat(nodes) | Node::Either(nodes) => nodes.iter().all(Node::is_place),
            _ => false,
        }
    }

    /// How many characters it takes, when the groups before it take so many.
    pub fn width(&self, groups: &[Option<Width>]) -> Width {
        let sum = |a: Width, b: Width| (a.0.saturating_add(b.0), a.1.saturating_add(b.1));
        let span = |a: Width, b: Width| (a.0.min(b.0), a.1.max(b.1));
        match self {
            Node::Empty | Node::Assert(_) | Node::Look { .. } => (0, 0),
            Node::Char(_) | Node::Any | Node::Class { .. } => (1, 1),
            Node::Capture(node) | Node::Atomic(node) | Node::Flags { node, .. } => node.width(groups),
            Node::Repeat { node, least, most, .. } => {
                let (low, high) = node.width(groups);
                let most = most.unwrap_or(ANY_NUMBER);
                (low.saturating_mul((*least).into()), high.saturating_mul(most.into()))
            }
            Node::Concat(nodes) => nodes.iter().map(|node| node.width(groups)).fold((0, 0), sum),
            Node::Either(nodes) => {
                nodes.iter().map(|node| node.width(groups)).reduce(span).unwrap_or_default()
            }
            Node::BackReference(group) => groups.get(*group as usize).copied().flatten().unwrap_or_default(),
            Node::Condition { yes, no, .. } => span(yes.width(groups), no.width(groups)),
        }
    }
}

/// The nodes one after the other.
pub(super) fn concat(mut nodes: Vec<Node>) -> Node {
    match nodes.len() {
        0 => Node::Empty,
        1 => nodes.remove(0),
        _ => Node::Concat(nodes),
    }
}

/// One of the nodes.
pub(super) fn either(mut nodes: Vec<Node>) -> Node {
    if nodes.len() == 1 { nodes.remove(0) } else { Node::Either(nodes) }
}
