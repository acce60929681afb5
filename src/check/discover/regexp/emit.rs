//! A tree, written for the `regex` and `fancy-regex` crates.
//!
//! Nothing is left to their own idea of a letter or a case: categories are spelled out, and `i` is used only where it means the
//! same.

use std::fmt::Write as _;

use super::tree::{Assertion, Category, Flags, Greed, Item, Node};
use crate::check::discover::text::UNDECODED;

/// Matches nothing.
const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";
/// `i` has two more forms in Python, which Unicode's simple folding knows nothing of.
const FORMS_OF_I: [u32; 4] = ['i' as u32, 'I' as u32, 0x130, 0x131];

/// How the tree is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For `regex`: right in texts of ASCII that do not end in a new line.
    Plain,
    /// For `fancy-regex`: right everywhere.
    Exact,
}

/// Whose categories, cases and line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Python,
    Re2,
}

/// What the tree needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Look-around, references: `regex` cannot do it.
    pub backtracking: bool,
    /// What [`Form::Plain`] says is not right for all texts.
    pub exact: bool,
}

/// The expression, and what it needs.
pub(super) fn emit(node: &Node, flags: Flags, dialect: Dialect, form: Form) -> (String, Needs) {
    let mut writer = Writer { text: String::new(), needs: Needs::default(), dialect, form };
    writer.node(node, flags);
    (writer.text, writer.needs)
}

struct Writer {
    text: String,
    needs: Needs,
    dialect: Dialect,
    form: Form,
}

impl Writer {
    fn node(&mut self, node: &Node, flags: Flags) {
        match node {
            Node::Empty => self.text.push_str("(?:)"),
            Node::Char(code) => self.char(*code, flags),
            Node::Any => self.text.push_str(if flags.dot_all { r"[\x{0}-\x{10FFFF}]" } else { r"[^\n]" }),
            Node::Class { negated, items } => self.class(*negated, items, flags),
            Node::Assert(assertion) => self.assertion(*assertion, flags),
            Node::Capture(node) => {
                self.text.push_str(if self.form == Form::Exact { "(" } else { "(?:" });
                self.node(node, flags);
                self.text.push(')');
            }
            Node::Flags { on, off, node } => self.grouped("(?:", node, flags.with(*on, *off)),
            // `fancy-regex` repeats nothing that has no width; once is as good.
            Node::Repeat { node, most: Some(0), .. } if node.is_place() => self.text.push_str("(?:)"),
            Node::Repeat { node, least, .. } if node.is_place() => {
                self.text.push_str("(?:");
                self.node(node, flags);
                self.text.push_str(if *least == 0 { "|)" } else { ")" });
            }
            Node::Repeat { node, least, most, greed } => {
                if *greed == Greed::All {
                    self.needs.backtracking = true;
                    self.text.push_str("(?>");
                }
                self.grouped("(?:", node, flags);
                let _ = match most {
                    None if *least == 0 => write!(self.text, "*"),
                    None if *least == 1 => write!(self.text, "+"),
                    None => write!(self.text, "{{{least},}}"),
                    Some(most) => write!(self.text, "{{{least},{most}}}"),
                };
                match greed {
                    Greed::Most => {}
                    Greed::Least => self.text.push('?'),
                    Greed::All => self.text.push(')'),
                }
            }
            Node::Concat(nodes) => nodes.iter().for_each(|node| match node {
                Node::Either(_) => self.grouped("(?:", node, flags),
                node => self.node(node, flags),
            }),
            Node::Either(nodes) => {
                self.text.push_str("(?:");
                for (at, node) in nodes.iter().enumerate() {
                    if at > 0 {
                        self.text.push('|');
                    }
                    self.node(node, flags);
                }
                self.text.push(')');
            }
            Node::Look { behind, negated, node } => {
                self.needs.backtracking = true;
                self.grouped(
                    match (behind, negated) {
                        (false, false) => "(?=",
                        (false, true) => "(?!",
                        (true, false) => "(?<=",
                        (true, true) => "(?<!",
                    },
                    node,
                    flags,
                );
            }
            Node::BackReference(group) => {
                self.needs.backtracking = true;
                let fold = if flags.fold { "i" } else { "" };
                let _ = write!(self.text, "(?{fold}:\\{group})");
            }
            Node::Condition { group, yes, no } => {
                self.needs.backtracking = true;
                let _ = write!(self.text, "(?({group})");
                self.grouped("(?:", yes, flags);
                self.text.push('|');
                self.grouped("(?:", no, flags);
                self.text.push(')');
            }
            Node::Atomic(node) => {
                self.needs.backtracking = true;
                self.grouped("(?>", node, flags);
            }
        }
    }

    fn grouped(&mut self, open: &str, node: &Node, flags: Flags) {
        self.text.push_str(open);
        self.node(node, flags);
        self.text.push(')');
    }

    fn is_ascii(&self, flags: Flags) -> bool {
        flags.ascii || self.dialect == Dialect::Re2
    }

    /// Whether case is that of ASCII alone.
    fn folds_ascii(&self, flags: Flags) -> bool {
        flags.ascii && self.dialect == Dialect::Python
    }

    fn char(&mut self, code: u32, flags: Flags) {
        let Some(literal) = literal(code) else {
            self.text.push_str(NOTHING);
            return;
        };
        let has_case =
            flags.fold && (code > 0x7f || char::from_u32(code).is_some_and(|c| c.is_ascii_alphabetic()));
        if !has_case {
            self.text.push_str(&literal);
        } else if self.folds_ascii(flags) || (self.dialect == Dialect::Python && FORMS_OF_I.contains(&code)) {
            self.class(false, &[Item::Range(code, code)], flags);
        } else {
            let _ = write!(self.text, "(?i:{literal})");
        }
    }

    fn assertion(&mut self, assertion: Assertion, flags: Flags) {
        let exact = self.form == Form::Exact;
        match assertion {
            Assertion::TextStart => self.text.push_str(r"\A"),
            Assertion::TextEnd => self.text.push_str(r"\z"),
            Assertion::LineStart => self.text.push_str(if flags.lines { "(?m:^)" } else { r"\A" }),
            Assertion::LineEnd if flags.lines => self.text.push_str("(?m:$)"),
            Assertion::LineEnd => {
                self.needs.exact = true;
                self.text.push_str(if exact { r"(?=\n?\z)" } else { r"\z" });
            }
            Assertion::Boundary | Assertion::NotBoundary => {
                self.needs.exact = true;
                let not = assertion == Assertion::NotBoundary;
                if exact {
                    let word = self.category(Category::Word, flags);
                    let (same, other) = if not { ("=", "!") } else { ("!", "=") };
                    let _ = write!(
                        self.text,
                        "(?:(?<=[{word}])(?{same}[{word}])|(?<![{word}])(?{other}[{word}]))"
                    );
                } else {
                    self.text.push_str(if not { r"\B" } else { r"\b" });
                }
            }
        }
    }

    fn category(&self, category: Category, flags: Flags) -> &'static str {
        match (category, self.is_ascii(flags)) {
            (Category::Digit, true) => "0-9",
            (Category::Digit, false) => r"\p{Nd}",
            (Category::Word, true) => "0-9A-Za-z_",
            // `str.isalnum`, which takes no marks and takes all numbers.
            (Category::Word, false) => r"\p{L}\p{N}_",
            (Category::Space, true) if self.dialect == Dialect::Re2 => r"\t\n\x0c\r ",
            (Category::Space, true) => r"\t\n\x0b\x0c\r ",
            (Category::Space, false) => r"\s\x{1c}-\x{1f}",
        }
    }

    fn class(&mut self, negated: bool, items: &[Item], flags: Flags) {
        let mut text = String::new();
        let mut ranges = Vec::new();
        for item in items {
            let _ = match item {
                Item::Range(low, high) => {
                    ranges.push((*low, *high));
                    Ok(())
                }
                Item::Category { category, negated } => {
                    let category = self.category(*category, flags);
                    write!(text, "{}", if *negated { format!("[^{category}]") } else { category.to_owned() })
                }
                Item::Property { name, negated } => {
                    write!(text, "\\{}{{{name}}}", if *negated { 'P' } else { 'p' })
                }
            };
        }
        let ascii = flags.fold && self.folds_ascii(flags);
        if ascii {
            for (low, high) in ranges.clone() {
                for (from, to) in [('a', 'A'), ('A', 'a')].map(|(from, to)| (u32::from(from), u32::from(to)))
                {
                    let (low, high) = (low.max(from), high.min(from + 25));
                    if low <= high {
                        ranges.push((low - from + to, high - from + to));
                    }
                }
            }
        } else if flags.fold
            && self.dialect == Dialect::Python
            && FORMS_OF_I.iter().any(|i| ranges.iter().any(|(low, high)| (low..=high).contains(&i)))
        {
            ranges.extend(FORMS_OF_I.map(|i| (i, i)));
        }
        for (low, high) in ranges.iter().flat_map(|(low, high)| without_surrogates(*low, *high)) {
            let _ = write!(text, "\\x{{{low:x}}}-\\x{{{high:x}}}");
        }
        let open = match (text.is_empty(), negated) {
            (true, false) => return self.text.push_str(NOTHING),
            (true, true) => return self.text.push_str(r"[\x{0}-\x{10FFFF}]"),
            (false, false) => "[",
            (false, true) => "[^",
        };
        if flags.fold && !ascii {
            let _ = write!(self.text, "(?i:{open}{text}])");
        } else {
            let _ = write!(self.text, "{open}{text}]");
        }
    }
}

/// A character by itself. A lone surrogate is one only if it stands for a byte of a name that is not UTF-8.
fn literal(code: u32) -> Option<String> {
    let (code, _) = *without_surrogates(code, code).first()?;
    match char::from_u32(code) {
        Some(c) if c.is_ascii_alphanumeric() => Some(c.to_string()),
        _ => Some(format!("\\x{{{code:x}}}")),
    }
}

/// A range as we hold text: without surrogates, and with what stands for those that are bytes.
fn without_surrogates(low: u32, high: u32) -> Vec<(u32, u32)> {
    let cut = |from: u32, to: u32| (low.max(from), high.min(to));
    let bytes = cut(0xDC80, 0xDCFF);
    [cut(0, 0xD7FF), (UNDECODED + bytes.0, UNDECODED + bytes.1), cut(0xE000, 0x10_FFFF)]
        .into_iter()
        .filter(|(low, high)| low <= high)
        .collect()
}
