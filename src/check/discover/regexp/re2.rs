//! The patterns of RE2, which Airflow 2 uses: Perl's without what needs backtracking, and ASCII's idea of a digit and a word.

use std::collections::HashSet;

use super::Fault;
use super::tree::{Assertion, Category, Flags, Greed, Item, Node, concat, either};

/// The largest count, also of one repetition in another.
const MOST_REPETITIONS: u32 = 1000;
const DEEPEST: u32 = 100;

/// Reads a pattern.
pub(super) fn parse(pattern: &str) -> Result<Node, Fault> {
    let mut parser =
        Parser { chars: pattern.chars().collect(), at: 0, names: HashSet::new(), depth: 0, ungreedy: false };
    let node = parser.branches(Flags::default())?;
    if parser.at < parser.chars.len() { Err(Fault::Refused) } else { Ok(node) }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    names: HashSet<String>,
    depth: u32,
    /// `(?U)` changes only which text is found, not whether.
    ungreedy: bool,
}

impl Parser {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Result<char, Fault> {
        let c = self.peek(0).ok_or(Fault::Refused)?;
        self.at += 1;
        Ok(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = text.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c));
        self.at += if found { text.chars().count() } else { 0 };
        found
    }

    /// As far as the parenthesis that closes, or the end. Flags hold from where they stand on, over `|` too.
    fn branches(&mut self, mut flags: Flags) -> Result<Node, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Fault::Refused);
        }
        let mut branches = Vec::new();
        let mut nodes: Vec<Node> = Vec::new();
        // Whether a repetition came just before: a second one is an error.
        let mut repeated = false;
        while let Some(c) = self.peek(0).filter(|c| *c != ')') {
            let was_repeated = std::mem::take(&mut repeated);
            match c {
                '|' => {
                    self.at += 1;
                    branches.push(concat(std::mem::take(&mut nodes)));
                }
                '(' if self.eat("(?") => {
                    if let Some(node) = self.question(&mut flags)? {
                        nodes.push(node);
                    }
                }
                '(' => {
                    self.at += 1;
                    let node = self.branches(flags)?;
                    self.close()?;
                    nodes.push(Node::Capture(Box::new(node)));
                }
                '[' => {
                    let class = self.class()?;
                    nodes.push(leaf(flags, class));
                }
                '\\' if self.eat("\\Q") => {
                    while self.at < self.chars.len() && !self.eat("\\E") {
                        let c = self.next()?;
                        nodes.push(leaf(flags, Node::Char(c.into())));
                    }
                }
                '\\' => {
                    let node = self.escape()?;
                    nodes.push(leaf(flags, node));
                }
                '*' | '+' | '?' | '{' => match self.counts()? {
                    None => nodes.push(leaf(flags, Node::Char('{'.into()))),
                    Some((least, most, counted)) => {
                        let node = nodes.pop().filter(|_| !was_repeated).ok_or(Fault::Refused)?;
                        let greed = if self.eat("?") != self.ungreedy { Greed::Least } else { Greed::Most };
                        let node = Node::Repeat { node: Box::new(node), least, most, greed };
                        if counted && left(&node, MOST_REPETITIONS) == 0 {
                            return Err(Fault::Refused);
                        }
                        nodes.push(node);
                        repeated = true;
                    }
                },
                c => {
                    self.at += 1;
                    let node = match c {
                        '.' => Node::Any,
                        '^' if flags.lines => Node::Assert(Assertion::LineStart),
                        '$' if flags.lines => Node::Assert(Assertion::LineEnd),
                        '^' => Node::Assert(Assertion::TextStart),
                        '$' => Node::Assert(Assertion::TextEnd),
                        c => Node::Char(c.into()),
                    };
                    nodes.push(leaf(flags, node));
                }
            }
        }
        self.depth -= 1;
        branches.push(concat(nodes));
        Ok(either(branches))
    }

    fn close(&mut self) -> Result<(), Fault> {
        if self.eat(")") { Ok(()) } else { Err(Fault::Refused) }
    }

    /// What stands behind `(?`. `None` for flags alone.
    fn question(&mut self, flags: &mut Flags) -> Result<Option<Node>, Fault> {
        if self.eat("P<") || self.eat("<") {
            let mut name = String::new();
            loop {
                match self.next()? {
                    '>' if !name.is_empty() => break,
                    c if c.is_alphanumeric() || c == '_' => name.push(c),
                    _ => return Err(Fault::Refused),
                }
            }
            if !self.names.insert(name) {
                return Err(Fault::Refused);
            }
            let node = self.branches(*flags)?;
            self.close()?;
            return Ok(Some(Node::Capture(Box::new(node))));
        }
        let mut inner = *flags;
        let (mut off, mut some) = (false, false);
        loop {
            let c = self.next()?;
            match c {
                'i' => inner.fold = !off,
                'm' => inner.lines = !off,
                's' => inner.dot_all = !off,
                'U' => self.ungreedy = !off,
                '-' if !off => {
                    (off, some) = (true, false);
                    continue;
                }
                ')' | ':' if off && !some => return Err(Fault::Refused),
                ')' => {
                    *flags = inner;
                    return Ok(None);
                }
                ':' => break,
                _ => return Err(Fault::Refused),
            }
            some = true;
        }
        let node = self.branches(inner)?;
        self.close()?;
        Ok(Some(Node::Flags { on: Flags::default(), off: Flags::default(), node: Box::new(node) }))
    }

    /// `*`, `+`, `?` and counts, with whether it is a count. `None` for a brace that is none.
    fn counts(&mut self) -> Result<Option<(u32, Option<u32>, bool)>, Fault> {
        match self.next()? {
            '*' => return Ok(Some((0, None, false))),
            '+' => return Ok(Some((1, None, false))),
            '?' => return Ok(Some((0, Some(1), false))),
            _ => {}
        }
        let start = self.at;
        let least = self.number();
        let most = if self.eat(",") {
            self.peek(0).filter(|c| *c != '}').map(|_| self.number())
        } else {
            Some(least)
        };
        let (Some(least), true, true) = (least, most != Some(None), self.eat("}")) else {
            self.at = start;
            return Ok(None);
        };
        let most = most.flatten();
        if least > MOST_REPETITIONS || most.is_some_and(|most| most > MOST_REPETITIONS || most < least) {
            return Err(Fault::Refused);
        }
        Ok(Some((least, most, least >= 2 || most.is_some_and(|most| most >= 2))))
    }

    /// A number without a zero before it.
    fn number(&mut self) -> Option<u32> {
        let start = self.at;
        while self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let digits: String = self.chars[start..self.at].iter().collect();
        let odd = digits.is_empty() || (digits.len() > 1 && digits.starts_with('0'));
        (!odd).then(|| digits.parse().unwrap_or(u32::MAX))
    }

    fn escape(&mut self) -> Result<Node, Fault> {
        let assertion = match self.peek(1) {
            Some('A') => Assertion::TextStart,
            Some('z') => Assertion::TextEnd,
            Some('b') => Assertion::Boundary,
            Some('B') => Assertion::NotBoundary,
            // A single byte; whoever writes that means a character.
            Some('C') => {
                self.at += 2;
                let on = Flags { dot_all: true, ..Flags::default() };
                return Ok(Node::Flags { on, off: Flags::default(), node: Box::new(Node::Any) });
            }
            _ => {
                return Ok(match self.category()? {
                    Some(item) => Node::Class { negated: false, items: vec![item] },
                    None => Node::Char(self.code()?),
                });
            }
        };
        self.at += 2;
        Ok(Node::Assert(assertion))
    }

    fn category(&mut self) -> Result<Option<Item>, Fault> {
        let Some(c) = self.peek(1).filter(|_| self.peek(0) == Some('\\')) else { return Ok(None) };
        let mut negated = c.is_ascii_uppercase();
        let category = match c.to_ascii_lowercase() {
            'd' => Category::Digit,
            's' => Category::Space,
            'w' => Category::Word,
            'p' => {
                self.at += 2;
                let first = self.next()?;
                let mut name = String::from(first);
                if first == '{' {
                    name.clear();
                    negated ^= self.eat("^");
                    while !self.eat("}") {
                        name.push(self.next()?);
                    }
                }
                if name != "Any" && !is_property(&name) {
                    return Err(Fault::Refused);
                }
                return Ok(Some(Item::Property { name, negated }));
            }
            _ => return Ok(None),
        };
        self.at += 2;
        Ok(Some(Item::Category { category, negated }))
    }

    /// A character behind a backslash.
    fn code(&mut self) -> Result<u32, Fault> {
        self.at += 1;
        let octal = |c: Option<char>| c.and_then(|c| c.to_digit(8));
        let hex = |c: char| c.to_digit(16).ok_or(Fault::Refused);
        let c = self.next()?;
        Ok(match c {
            '1'..='7' if octal(self.peek(0)).is_none() => return Err(Fault::Refused),
            '0'..='7' => {
                let mut code = octal(Some(c)).unwrap_or_default();
                for _ in 0..2 {
                    let Some(digit) = octal(self.peek(0)) else { break };
                    code = code * 8 + digit;
                    self.at += 1;
                }
                code
            }
            'x' if self.eat("{") => {
                let mut code = hex(self.next()?)?;
                while !self.eat("}") {
                    code = code * 16 + hex(self.next()?)?;
                    if code > 0x10_FFFF {
                        return Err(Fault::Refused);
                    }
                }
                code
            }
            'x' => hex(self.next()?)? * 16 + hex(self.next()?)?,
            'a' => 7,
            't' => 9,
            'n' => 10,
            'v' => 11,
            'f' => 12,
            'r' => 13,
            c if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' => c.into(),
            _ => return Err(Fault::Refused),
        })
    }

    fn class(&mut self) -> Result<Node, Fault> {
        self.at += 1;
        let negated = self.eat("^");
        let mut items = Vec::new();
        while items.is_empty() || self.peek(0) != Some(']') {
            if self.peek(0) == Some('[') && self.peek(1) == Some(':') {
                let rest = &self.chars[self.at + 2..];
                if let Some(length) = rest.windows(2).position(|pair| pair == [':', ']']) {
                    let name: String = rest[..length].iter().collect();
                    self.at += length + 4;
                    items.extend(named(&name).ok_or(Fault::Refused)?);
                    continue;
                }
            }
            if let Some(item) = self.category()? {
                items.push(item);
                continue;
            }
            let low = self.one()?;
            let is_range = self.peek(0) == Some('-') && self.peek(1).is_some_and(|c| c != ']');
            let high = if is_range {
                self.at += 1;
                self.one()?
            } else {
                low
            };
            if high < low {
                return Err(Fault::Refused);
            }
            items.push(Item::Range(low, high));
        }
        self.at += 1;
        Ok(Node::Class { negated, items })
    }

    fn one(&mut self) -> Result<u32, Fault> {
        if self.peek(0) == Some('\\') { self.code() } else { self.next().map(u32::from) }
    }
}

fn leaf(flags: Flags, node: Node) -> Node {
    if flags == Flags::default() {
        return node;
    }
    Node::Flags { on: flags, off: Flags::default(), node: Box::new(node) }
}

/// How many repetitions may still be, when this many might around the node; 0 if it has too many.
fn left(node: &Node, around: u32) -> u32 {
    match node {
        Node::Repeat { node, least, most, .. } => match most.unwrap_or(*least) {
            // `*`, `+` and `?` count for nothing.
            0 | 1 => left(node, around),
            count => left(node, around / count),
        },
        Node::Capture(node) | Node::Flags { node, .. } => left(node, around),
        Node::Concat(nodes) | Node::Either(nodes) => {
            nodes.iter().map(|node| left(node, around)).min().unwrap_or(around)
        }
        _ => around,
    }
}

/// Names of Unicode's general categories and scripts, as far as they look like one: the `regex` crate knows the rest.
fn is_property(name: &str) -> bool {
    const CATEGORIES: &str = "C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs";
    let script = name.len() > 2
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
        && regex::Regex::new(&format!("\\p{{sc={name}}}")).is_ok();
    CATEGORIES.split(' ').any(|category| category == name) || script
}

/// `[:name:]`.
fn named(name: &str) -> Option<Vec<Item>> {
    let (negated, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    let ranges: &[(u8, u8)] = match name {
        "alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        "alpha" => &[(b'A', b'Z'), (b'a', b'z')],
        "ascii" => &[(0, 0x7f)],
        "blank" => &[(b'\t', b'\t'), (b' ', b' ')],
        "cntrl" => &[(0, 0x1f), (0x7f, 0x7f)],
        "digit" => &[(b'0', b'9')],
        "graph" => &[(b'!', b'~')],
        "lower" => &[(b'a', b'z')],
        "print" => &[(b' ', b'~')],
        "punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
        "space" => &[(b'\t', b'\r'), (b' ', b' ')],
        "upper" => &[(b'A', b'Z')],
        "word" => &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')],
        "xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return None,
    };
    let ranges = ranges.iter().map(|(low, high)| (u32::from(*low), u32::from(*high)));
    if !negated {
        return Some(ranges.map(|(low, high)| Item::Range(low, high)).collect());
    }
    let mut from = 0;
    let mut items = Vec::new();
    for (low, high) in ranges {
        if low > from {
            items.push(Item::Range(from, low - 1));
        }
        from = high + 1;
    }
    items.push(Item::Range(from, 0x10_FFFF));
    Some(items)
}
