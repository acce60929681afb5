//! What stands behind a backslash, and between brackets, in Python's `re`.

use super::Fault;
use super::python::{Parser, Token};
use super::tree::{Assertion, Category, Item, Node};

/// A backslash and a character that is no digit from 1 to 9, outside of brackets.
pub(super) fn outside(parser: &mut Parser, c: char) -> Result<Node, Fault> {
    let assertion = match c {
        'A' => Assertion::TextStart,
        'Z' => Assertion::TextEnd,
        'z' if parser.minor >= 14 => Assertion::TextEnd,
        'b' => Assertion::Boundary,
        'B' => Assertion::NotBoundary,
        _ => {
            return Ok(match category(c) {
                Some(item) => Node::Class { negated: false, items: vec![item] },
                None => Node::Char(code(parser, c)?),
            });
        }
    };
    Ok(Node::Assert(assertion))
}

/// `[…]`, from its bracket on.
pub(super) fn class(parser: &mut Parser) -> Result<Node, Fault> {
    parser.next();
    let negated = parser.eat('^');
    let mut items = Vec::new();
    loop {
        let low = match parser.next().ok_or(Fault::Refused)? {
            Token::Plain(']') if !items.is_empty() => break,
            token => inside(parser, token)?,
        };
        if !parser.eat('-') {
            items.push(low);
            continue;
        }
        let token = parser.next().ok_or(Fault::Refused)?;
        if token == Token::Plain(']') {
            items.extend([low, Item::Range('-'.into(), '-'.into())]);
            break;
        }
        match (low, inside(parser, token)?) {
            (Item::Range(low, _), Item::Range(high, _)) if low <= high => items.push(Item::Range(low, high)),
            _ => return Err(Fault::Refused),
        }
    }
    Ok(Node::Class { negated, items })
}

fn inside(parser: &mut Parser, token: Token) -> Result<Item, Fault> {
    let code = match token {
        Token::Plain(c) => c.into(),
        Token::Escaped('b') => 8,
        Token::Escaped(c) => match category(c) {
            Some(item) => return Ok(item),
            None if matches!(c, '1'..='7') => octal(parser, c)?,
            None => code(parser, c)?,
        },
    };
    Ok(Item::Range(code, code))
}

fn category(c: char) -> Option<Item> {
    let category = match c.to_ascii_lowercase() {
        'd' => Category::Digit,
        's' => Category::Space,
        'w' => Category::Word,
        _ => return None,
    };
    Some(Item::Category { category, negated: c.is_ascii_uppercase() })
}

fn octal(parser: &mut Parser, c: char) -> Result<u32, Fault> {
    let digits = format!("{c}{}", parser.take(2, |c| matches!(c, '0'..='7')));
    match u32::from_str_radix(&digits, 8) {
        Ok(code) if code <= 0o377 => Ok(code),
        _ => Err(Fault::Refused),
    }
}

/// The character that an escape is, in brackets and out of them.
fn code(parser: &mut Parser, c: char) -> Result<u32, Fault> {
    let mut hex = |count: usize| {
        let digits = parser.take(count, |c| c.is_ascii_hexdigit());
        let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == count);
        code.filter(|code| *code <= 0x10_FFFF).ok_or(Fault::Refused)
    };
    Ok(match c {
        'a' => 7,
        't' => 9,
        'n' => 10,
        'v' => 11,
        'f' => 12,
        'r' => 13,
        'x' => hex(2)?,
        'u' => hex(4)?,
        'U' => hex(8)?,
        '0' => octal(parser, c)?,
        // `\N{EM DASH}` too: we do not know the names of all characters.
        c if c.is_ascii_alphanumeric() => return Err(Fault::Refused),
        c => c.into(),
    })
}
