//! The patterns of Python's `re`: what it takes, what it refuses, and on which it raises something else.

use std::collections::HashMap;

use super::Fault;
use super::escape;
use super::tree::{ANY_NUMBER, Assertion, Flags, Greed, Node, Width, concat, either};

/// Python gives up at about 480, by its limit of calls; nobody writes a hundred.
const DEEPEST: u32 = 100;

/// Reads a pattern for a Python 3.`minor`: the tree, and the flags that hold for all of it.
pub(super) fn parse(pattern: &str, minor: u8) -> Result<(Node, Flags), Fault> {
    let trailing = pattern.chars().rev().take_while(|c| *c == '\\').count();
    if trailing % 2 == 1 {
        return Err(Fault::Refused);
    }
    let mut parser = Parser::new(pattern, minor, false);
    match parser.whole() {
        // Until 3.10 `(?x)` may stand anywhere, and then holds from the start.
        Err(Stop::Again) => {
            parser = Parser::new(pattern, minor, true);
            parser.whole()
        }
        other => other,
    }
    .map(|node| (node, parser.flags))
    .map_err(|stop| match stop {
        Stop::Fault(fault) => fault,
        Stop::Again => Fault::Refused,
    })
}

/// Why reading ended.
enum Stop {
    Fault(Fault),
    /// Read it again, verbosely.
    Again,
}

fn refused<T>() -> Result<T, Stop> {
    Err(Stop::Fault(Fault::Refused))
}

fn raises<T>(why: &str) -> Result<T, Stop> {
    Err(Stop::Fault(Fault::Raises(why.to_owned())))
}

/// A character, or one behind a backslash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Plain(char),
    Escaped(char),
}

pub(super) struct Parser {
    pub chars: Vec<char>,
    pub at: usize,
    pub minor: u8,
    flags: Flags,
    /// Of each group its width, once it is closed. The whole is group 0, and open.
    groups: Vec<Option<Width>>,
    names: HashMap<String, u32>,
    /// In a look-behind: how many groups there were before it.
    behind: Option<usize>,
    /// Groups that conditions ask for, which may come later.
    asked: Vec<u32>,
    depth: u32,
}

impl Parser {
    fn new(pattern: &str, minor: u8, verbose: bool) -> Parser {
        Parser {
            chars: pattern.chars().collect(),
            at: 0,
            minor,
            flags: Flags { verbose, ..Flags::default() },
            groups: vec![None],
            names: HashMap::new(),
            behind: None,
            asked: Vec::new(),
            depth: 0,
        }
    }

    fn whole(&mut self) -> Result<Node, Stop> {
        let verbose = self.flags.verbose;
        let node = self.branches(verbose, true)?;
        if self.peek().is_some() || self.asked.iter().any(|group| *group as usize >= self.groups.len()) {
            return refused();
        }
        if self.flags.ascii && self.flags.unicode {
            return raises("`(?a)` and `(?u)` in one pattern");
        }
        Ok(node)
    }

    pub fn peek(&self) -> Option<Token> {
        match *self.chars.get(self.at)? {
            '\\' => self.chars.get(self.at + 1).map(|c| Token::Escaped(*c)),
            c => Some(Token::Plain(c)),
        }
    }

    pub fn next(&mut self) -> Option<Token> {
        let token = self.peek()?;
        self.at += if matches!(token, Token::Escaped(_)) { 2 } else { 1 };
        Some(token)
    }

    pub fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(Token::Plain(c));
        self.at += usize::from(found);
        found
    }

    /// Up to this many characters that fit.
    pub fn take(&mut self, most: usize, fits: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while taken.len() < most
            && let Some(Token::Plain(c)) = self.peek()
            && fits(c)
        {
            taken.push(c);
            self.at += 1;
        }
        taken
    }

    /// What stands before the next `end`, which must be there.
    fn until(&mut self, end: char) -> Result<String, Stop> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some(Token::Plain(c)) if c == end && !text.is_empty() => return Ok(text),
                None => return refused(),
                Some(Token::Plain(c)) if c == end => return refused(),
                Some(Token::Plain(c)) => text.push(c),
                Some(Token::Escaped(c)) => text.extend(['\\', c]),
            }
        }
    }

    fn branches(&mut self, mut verbose: bool, top: bool) -> Result<Node, Stop> {
        let mut branches = Vec::new();
        self.depth += 1;
        if self.depth > DEEPEST {
            return refused();
        }
        loop {
            branches.push(self.branch(verbose, top && branches.is_empty())?);
            if !self.eat('|') {
                break;
            }
            if top {
                verbose = self.flags.verbose;
            }
        }
        self.depth -= 1;
        Ok(either(branches))
    }

    fn branch(&mut self, mut verbose: bool, first: bool) -> Result<Node, Stop> {
        let mut nodes: Vec<Node> = Vec::new();
        loop {
            match self.peek() {
                None | Some(Token::Plain('|' | ')')) => return Ok(concat(nodes)),
                Some(Token::Plain(' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')) if verbose => self.at += 1,
                Some(Token::Plain('#')) if verbose => {
                    while !matches!(self.next(), None | Some(Token::Plain('\n'))) {}
                }
                Some(Token::Plain('*' | '+' | '?' | '{')) => self.repetition(&mut nodes)?,
                Some(Token::Plain('(')) => match self.group(verbose, first && nodes.is_empty())? {
                    Some(node) => nodes.push(node),
                    // A comment, or flags that hold for all.
                    None => verbose |= first && self.flags.verbose,
                },
                Some(Token::Plain('[')) => nodes.push(escape::class(self).map_err(Stop::Fault)?),
                Some(token) => {
                    self.next();
                    nodes.push(match token {
                        Token::Plain('.') => Node::Any,
                        Token::Plain('^') => Node::Assert(Assertion::LineStart),
                        Token::Plain('$') => Node::Assert(Assertion::LineEnd),
                        Token::Plain(c) => Node::Char(c.into()),
                        Token::Escaped(c) => self.escaped(c)?,
                    });
                }
            }
        }
    }

    fn escaped(&mut self, c: char) -> Result<Node, Stop> {
        if !matches!(c, '1'..='9') {
            return escape::outside(self, c).map_err(Stop::Fault);
        }
        let mut digits = String::from(c);
        let octal = |c: char| matches!(c, '0'..='7');
        digits.push_str(&self.take(1, |c| c.is_ascii_digit()));
        if digits.len() == 2 && digits.chars().all(octal) {
            digits.push_str(&self.take(1, octal));
        }
        if digits.len() == 3 {
            let code = u32::from_str_radix(&digits, 8).unwrap_or(u32::MAX);
            return if code > 0o377 { refused() } else { Ok(Node::Char(code)) };
        }
        let group = digits.parse().unwrap_or(u32::MAX);
        self.reference(group)
    }

    fn reference(&self, group: u32) -> Result<Node, Stop> {
        let closed = self.groups.get(group as usize).is_some_and(Option::is_some);
        if !closed || self.behind.is_some_and(|before| group as usize >= before) {
            return refused();
        }
        Ok(Node::BackReference(group))
    }

    fn repetition(&mut self, nodes: &mut Vec<Node>) -> Result<(), Stop> {
        let start = self.at;
        let sign = self.next();
        let (least, most) = match sign {
            Some(Token::Plain('?')) => (0, Some(1)),
            Some(Token::Plain('*')) => (0, None),
            Some(Token::Plain('+')) => (1, None),
            _ => {
                if self.peek() == Some(Token::Plain('}')) {
                    nodes.push(Node::Char('{'.into()));
                    return Ok(());
                }
                let low = self.take(usize::MAX, |c| c.is_ascii_digit());
                let high =
                    if self.eat(',') { self.take(usize::MAX, |c| c.is_ascii_digit()) } else { low.clone() };
                if !self.eat('}') {
                    self.at = start + 1;
                    nodes.push(Node::Char('{'.into()));
                    return Ok(());
                }
                let count = |text: &str| match text.parse::<u32>() {
                    Ok(count) if count < ANY_NUMBER => Ok(count),
                    _ => raises("a number of repetitions that is too large"),
                };
                let least = if low.is_empty() { 0 } else { count(&low)? };
                let most = if high.is_empty() { None } else { Some(count(&high)?) };
                if most.is_some_and(|most| most < least) {
                    return refused();
                }
                (least, most)
            }
        };
        match nodes.last() {
            None | Some(Node::Assert(_) | Node::Repeat { .. }) => return refused(),
            Some(_) => {}
        }
        let greed = if self.eat('?') {
            Greed::Least
        } else if self.minor >= 11 && self.eat('+') {
            Greed::All
        } else {
            Greed::Most
        };
        if let Some(node) = nodes.pop() {
            nodes.push(Node::Repeat { node: Box::new(node), least, most, greed });
        }
        Ok(())
    }

    /// From its parenthesis on. `None` if there is nothing in it to find.
    fn group(&mut self, verbose: bool, first: bool) -> Result<Option<Node>, Stop> {
        self.next();
        if !self.eat('?') {
            return self.capture(None, verbose).map(Some);
        }
        let node = match self.next() {
            Some(Token::Plain('P')) => {
                if self.eat('<') {
                    let name = self.until('>')?;
                    return self.capture(Some(name), verbose).map(Some);
                }
                if !self.eat('=') {
                    return refused();
                }
                let name = self.until(')')?;
                return match self.names.get(&name) {
                    Some(group) => self.reference(*group).map(Some),
                    None => refused(),
                };
            }
            Some(Token::Plain(':')) => self.branches(verbose, false)?,
            Some(Token::Plain('#')) => loop {
                match self.next() {
                    None => return refused(),
                    Some(Token::Plain(')')) => return Ok(None),
                    Some(_) => {}
                }
            },
            Some(Token::Plain('>')) if self.minor >= 11 => {
                Node::Atomic(Box::new(self.branches(verbose, false)?))
            }
            Some(Token::Plain(sign @ ('=' | '!'))) => self.look(false, sign == '!', verbose)?,
            Some(Token::Plain('<')) => match self.next() {
                Some(Token::Plain(sign @ ('=' | '!'))) => self.look(true, sign == '!', verbose)?,
                _ => return refused(),
            },
            Some(Token::Plain('(')) => self.condition(verbose)?,
            Some(Token::Plain(letter)) => match self.letters(letter, verbose, first)? {
                None => return Ok(None),
                Some((on, off)) => {
                    let verbose = (verbose || on.verbose) && !off.verbose;
                    let node = Box::new(self.branches(verbose, false)?);
                    Node::Flags { on, off, node }
                }
            },
            _ => return refused(),
        };
        if !self.eat(')') {
            return refused();
        }
        // A group of its own, so that what is repeated is the group and not its last node.
        Ok(Some(match node {
            Node::Repeat { .. } | Node::Assert(_) => {
                Node::Flags { on: Flags::default(), off: Flags::default(), node: Box::new(node) }
            }
            node => node,
        }))
    }

    fn capture(&mut self, name: Option<String>, verbose: bool) -> Result<Node, Stop> {
        let group = self.groups.len();
        if let Some(name) = name
            && (!is_identifier(&name) || self.names.insert(name, group as u32).is_some())
        {
            return refused();
        }
        self.groups.push(None);
        let node = self.branches(verbose, false)?;
        if !self.eat(')') {
            return refused();
        }
        self.groups[group] = Some(node.width(&self.groups));
        Ok(Node::Capture(Box::new(node)))
    }

    fn look(&mut self, behind: bool, negated: bool, verbose: bool) -> Result<Node, Stop> {
        let outer = self.behind;
        if behind && outer.is_none() {
            self.behind = Some(self.groups.len());
        }
        let node = self.branches(verbose, false)?;
        self.behind = outer;
        if behind {
            let (least, most) = node.width(&self.groups);
            if least != most {
                return refused();
            }
        }
        Ok(Node::Look { behind, negated, node: Box::new(node) })
    }

    fn condition(&mut self, verbose: bool) -> Result<Node, Stop> {
        let name = self.until(')')?;
        let group = match self.names.get(&name) {
            Some(group) => *group,
            None => match name.parse() {
                Ok(group) if group > 0 && name.bytes().all(|byte| byte.is_ascii_digit()) => group,
                _ => return refused(),
            },
        };
        self.asked.push(group);
        if self.behind.is_some() {
            self.reference(group)?;
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return refused();
        }
        let yes = Box::new(self.branch(verbose, false)?);
        let no = Box::new(if self.eat('|') { self.branch(verbose, false)? } else { Node::Empty });
        self.depth -= 1;
        Ok(Node::Condition { group, yes, no })
    }

    /// `i-s:` and `i)`. `None` for flags that hold for all of the pattern.
    fn letters(&mut self, letter: char, verbose: bool, first: bool) -> Result<Option<(Flags, Flags)>, Stop> {
        let (mut on, mut off) = (Flags::default(), Flags::default());
        let mut sign = letter;
        while !matches!(sign, ')' | '-' | ':') {
            if !turn(&mut on, sign) || (on.ascii && on.unicode) {
                return refused();
            }
            let Some(Token::Plain(next)) = self.next() else { return refused() };
            sign = next;
        }
        if sign == ')' {
            if letter == ')' || (self.minor >= 11 && !first) {
                return refused();
            }
            let was = (self.flags.ascii, self.flags.unicode);
            self.flags = self.flags.with(on, Flags::default());
            // These do not replace each other here: Python finds the two at the end.
            (self.flags.ascii, self.flags.unicode) = (was.0 || on.ascii, was.1 || on.unicode);
            if self.minor < 11 && self.flags.verbose && !verbose {
                return Err(Stop::Again);
            }
            return Ok(None);
        }
        if sign == ':' && letter == ':' {
            return refused();
        }
        if sign == '-' {
            let mut some = false;
            loop {
                match self.next() {
                    Some(Token::Plain(':')) if some => break,
                    Some(Token::Plain(c)) if !matches!(c, 'a' | 'u') && turn(&mut off, c) => some = true,
                    _ => return refused(),
                }
            }
        }
        if on.meets(off) { refused() } else { Ok(Some((on, off))) }
    }
}

fn turn(flags: &mut Flags, letter: char) -> bool {
    match letter {
        'i' => flags.fold = true,
        'm' => flags.lines = true,
        's' => flags.dot_all = true,
        'a' => flags.ascii = true,
        'u' => flags.unicode = true,
        'x' => flags.verbose = true,
        _ => return false,
    }
    true
}

fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}
