//! What the parser lets through and CPython's grammar does not.

use std::collections::HashSet;

use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_python_ast::visitor::source_order::{
    SourceOrderVisitor, walk_comprehension, walk_expr, walk_pattern, walk_stmt,
};
use ruff_python_ast::{self as ast, Expr, Stmt};
use ruff_python_parser::{
    InterpolatedStringErrorType, LexicalErrorType, ParseError, ParseErrorType, Parsed,
    UnsupportedSyntaxError, UnsupportedSyntaxErrorKind,
};
use ruff_text_size::{Ranged, TextRange, TextSize};

use super::KEPT;

/// The errors of the parser where CPython has none.
#[derive(Debug)]
pub(super) struct Tolerated<'a> {
    text: &'a str,
    asked: Asked,
}

/// What the parser's errors are about.
#[derive(Debug, Default)]
struct Asked {
    /// The conditions of comprehensions, where 3.8 takes a lambda.
    conditions: HashSet<TextRange>,
    /// Where `match` statements begin.
    matches: HashSet<TextSize>,
}

impl<'a> Tolerated<'a> {
    pub(super) fn of(parsed: &Parsed<ast::ModModule>, text: &'a str, minor: u8) -> Tolerated<'a> {
        let mut asked = Asked::default();
        let lambdas = minor < 9;
        let questions = parsed.errors().iter().any(|error| match error.error {
            ParseErrorType::InvalidLambdaExpressionUsage => lambdas,
            ref other => *other == ParseErrorType::SimpleAndCompoundStatementOnSameLine,
        });
        if questions {
            asked.visit_body(parsed.suite());
        }
        if !lambdas {
            asked.conditions.clear();
        }
        Tolerated { text, asked }
    }

    pub(super) fn has(&self, error: &ParseError) -> bool {
        let (start, end) = (error.start().to_usize(), error.end().to_usize());
        let before = || self.text[..start].trim_end_matches([' ', '\t', '\x0c', '\\', '\n', '\r']);
        match &error.error {
            // It wants an exception between `raise` and `;`.
            ParseErrorType::ExpectedExpression => {
                self.text[start..].starts_with(';') && {
                    let word = before().strip_suffix("raise");
                    word.is_some_and(|before| {
                        !before.ends_with(|char: char| char.is_alphanumeric() || char == '_' || char == '.')
                    })
                }
            }
            ParseErrorType::InvalidLambdaExpressionUsage => self.asked.conditions.contains(&error.range()),
            // `x; match = 1`: the name, not the statement.
            ParseErrorType::SimpleAndCompoundStatementOnSameLine => {
                &self.text[start..end] == "match"
                    && before().ends_with(';')
                    && !self.asked.matches.contains(&error.start())
            }
            // `case A(_=1)`
            ParseErrorType::OtherError(message) => {
                message == "Expected an identifier for the keyword pattern" && &self.text[start..end] == "_"
            }
            _ => false,
        }
    }
}

impl<'a> SourceOrderVisitor<'a> for Asked {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        if statement.is_match_stmt() {
            self.matches.insert(statement.start());
        }
        walk_stmt(self, statement);
    }

    fn visit_comprehension(&mut self, comprehension: &'a ast::Comprehension) {
        let lambdas = comprehension.ifs.iter().filter(|part| part.is_lambda_expr());
        self.conditions.extend(lambdas.map(Ranged::range));
        walk_comprehension(self, comprehension);
    }
}

/// In 3.12 and 3.13 the format of a single-quoted f-string may have line breaks; the parser does not take them, but takes blanks.
pub(super) fn without_line_breaks(parsed: &Parsed<ast::ModModule>, text: &str, minor: u8) -> Option<String> {
    if !(12..14).contains(&minor) {
        return None;
    }
    let kind = InterpolatedStringErrorType::NewlineInFormatSpec;
    let (lexed, parsed_as) = (
        ParseErrorType::Lexical(LexicalErrorType::FStringError(kind.clone())),
        ParseErrorType::FStringError(kind),
    );
    let error = parsed.errors().iter().find(|error| error.error == lexed || error.error == parsed_as)?;
    let at = error.end().to_usize();
    let rest = &text[at..];
    let width = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with(['\n', '\r'])) };
    let blanks = &"  "[..width];
    // Behind it CPython reads on as in an expression, which has ended; 3.13 has it not at once behind another one.
    let next = rest.trim_start_matches([' ', '\t', '\x0c', '\n', '\r']);
    let fine = next.starts_with(['}', '{', '#', '\\']) && (minor < 13 || !text[..at].ends_with('}'));
    (width > 0 && fine).then(|| [&text[..at], blanks, &rest[width..]].concat())
}

/// What the parser says of another version, where CPython's of that version has it.
pub(super) fn had(error: &UnsupportedSyntaxError, text: &str) -> bool {
    // `with (a, b):` was a tuple. With an `as` in it, the tree says so.
    error.kind == UnsupportedSyntaxErrorKind::ParenthesizedContextManager
        && !text[error.range()].contains(" as ")
}

/// Errors of a tree that the parser took.
pub(super) fn check(parsed: &Parsed<ast::ModModule>, text: &str, minor: u8) -> Vec<(TextRange, String)> {
    let known = parsed.unsupported_syntax_errors().iter().map(Ranged::start).collect();
    let mut visitor = Grammar { minor, text, tokens: parsed.tokens(), known, found: Vec::new() };
    visitor.visit_body(parsed.suite());
    visitor.found
}

struct Grammar<'a> {
    minor: u8,
    text: &'a str,
    tokens: &'a Tokens,
    /// Where the parser has already told that the version does not know it.
    known: HashSet<TextSize>,
    found: Vec<(TextRange, String)>,
}

impl Grammar<'_> {
    fn wrong(&mut self, range: TextRange, message: impl Into<String>) {
        if self.found.len() < KEPT {
            self.found.push((range, message.into()));
        }
    }

    fn since(&mut self, range: TextRange, minor: u8, what: &str) {
        let version = self.minor;
        if version < minor && !self.known.contains(&range.start()) {
            self.wrong(
                range,
                format!("cannot use {what} on Python 3.{version} (syntax was added in Python 3.{minor})"),
            );
        }
    }

    /// `yield < x` would be a comparison of a `yield` without parentheses.
    fn bare_yield(&mut self, left: &Expr, whole: TextRange) {
        if matches!(left, Expr::Yield(_) | Expr::YieldFrom(_)) && left.start() == whole.start() {
            self.wrong(whole, "invalid syntax");
        }
    }

    /// `(yield, 1)` would be a tuple with a `yield` without parentheses.
    fn tuple(&mut self, tuple: &ast::ExprTuple) {
        let Some(first @ (Expr::Yield(_) | Expr::YieldFrom(_))) = tuple.elts.first() else { return };
        let bare = match tuple.parenthesized {
            true => self.before(first.start()) == Some(tuple.start()),
            false => first.start() == tuple.start(),
        };
        if bare {
            self.wrong(tuple.range, "invalid syntax");
        }
    }

    /// Where the bracket begins that the token before a place is.
    fn before(&self, at: TextSize) -> Option<TextSize> {
        let before = &self.tokens[..self.tokens.partition_point(|token| token.start() < at)];
        let token = before.iter().rev().find(|token| !token.kind().is_trivia())?;
        (token.kind() == TokenKind::Lpar).then(|| token.start())
    }

    /// Whether the token behind a place closes a bracket.
    fn closed(&self, at: TextSize) -> bool {
        let after = &self.tokens[self.tokens.partition_point(|token| token.end() <= at)..];
        let token = after.iter().find(|token| !token.kind().is_trivia());
        token.is_some_and(|token| token.kind() == TokenKind::Rpar)
    }

    /// Names and numbers of a pattern have no parentheses of their own, and `_` is no name.
    fn plain(&mut self, pattern: &ast::Pattern) {
        let wrong = match pattern {
            ast::Pattern::MatchValue(value) => {
                is_underscore(&value.value) || self.grouped_number(&value.value)
            }
            ast::Pattern::MatchMapping(mapping) => mapping.keys.iter().any(|key| self.grouped_number(key)),
            ast::Pattern::MatchClass(class) => {
                is_underscore(&class.cls)
                    || self.closed(class.cls.end())
                    || class.arguments.keywords.iter().any(|keyword| {
                        // Without a name it was `_`, which the parser does not keep.
                        !keyword.attr.is_empty() && self.closed(keyword.attr.end())
                    })
            }
            _ => false,
        };
        if wrong {
            self.wrong(pattern.range(), "invalid syntax");
        }
    }

    /// `(1) + 1j`, `1 + (1j)`
    fn grouped_number(&self, value: &Expr) -> bool {
        let Expr::BinOp(sum) = value else { return false };
        self.closed(sum.left.end()) || self.before(sum.right.start()).is_some()
    }

    /// The lambda of a condition in 3.8 ends before an `if`.
    fn short_lambdas(&mut self, comprehension: &ast::Comprehension) {
        for condition in &comprehension.ifs {
            let mut part = condition;
            while let Expr::Lambda(lambda) = part
                && lambda.body.end() == condition.end()
            {
                part = &lambda.body;
            }
            if condition.is_lambda_expr() && part.is_if_expr() {
                self.wrong(part.range(), "invalid syntax");
            }
        }
    }

    /// `x[a := 1]`: the parser knows that 3.8 had it not, but neither had 3.9.
    fn before_310(&mut self, expression: &Expr) {
        let Expr::Subscript(subscript) = expression else { return };
        let parts = match &*subscript.slice {
            Expr::Tuple(tuple) if !tuple.parenthesized => &*tuple.elts,
            slice => std::slice::from_ref(slice),
        };
        for part in parts.iter().filter(|part| part.is_named_expr()) {
            let before = self.text[..part.start().to_usize()].trim_end();
            if !before.ends_with('(') {
                self.since(part.range(), 10, "`:=` without parentheses here");
            }
        }
    }

    /// What 3.8 had not yet.
    fn before_39(&mut self, statement: &Stmt) {
        match statement {
            Stmt::With(with) => {
                let named = with.items.iter().any(|item| item.optional_vars.is_some());
                let Some(first) = with.items.first() else { return };
                if named && self.text[TextRange::new(with.start(), first.start())].contains('(') {
                    self.since(first.range, 9, "parentheses within a `with` statement");
                }
            }
            Stmt::FunctionDef(ast::StmtFunctionDef { decorator_list: decorators, .. })
            | Stmt::ClassDef(ast::StmtClassDef { decorator_list: decorators, .. }) => {
                for decorator in decorators {
                    let text = self.text[decorator.range].trim_start_matches(['@', ' ', '\t']);
                    if text.starts_with('(') {
                        self.since(decorator.range, 9, "an expression in parentheses as a decorator");
                    }
                }
            }
            Stmt::AugAssign(assign) => {
                if let Expr::Tuple(tuple) = &*assign.value
                    && !tuple.parenthesized
                    && let Some(star) = tuple.elts.iter().find(|element| element.is_starred_expr())
                {
                    self.since(star.range(), 9, "a star without parentheses in an augmented assignment");
                }
            }
            _ => {}
        }
    }

    /// `f"…"` is no literal.
    fn literal(&mut self, pattern: &ast::Pattern) {
        let mut values: Vec<&Expr> = Vec::new();
        match pattern {
            ast::Pattern::MatchValue(value) => values.push(&value.value),
            ast::Pattern::MatchMapping(mapping) => values.extend(&mapping.keys),
            _ => {}
        }
        for value in values {
            if matches!(value, Expr::FString(_) | Expr::TString(_)) {
                self.wrong(value.range(), "patterns may only match literals and attribute lookups");
            }
        }
    }
}

impl<'a> SourceOrderVisitor<'a> for Grammar<'_> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        if let Stmt::Match(matching) = statement {
            self.since(TextRange::at(matching.start(), 5.into()), 10, "`match` statement");
        }
        if self.minor < 9 {
            self.before_39(statement);
        }
        walk_stmt(self, statement);
    }

    fn visit_pattern(&mut self, pattern: &'a ast::Pattern) {
        self.literal(pattern);
        self.plain(pattern);
        if let ast::Pattern::MatchSequence(sequence) = pattern {
            for pair in sequence.patterns.windows(2) {
                let between = TextRange::new(pair[0].end(), pair[1].start());
                if !self.text[between].contains(',') {
                    self.wrong(pair[1].range(), "invalid syntax");
                }
            }
        }
        walk_pattern(self, pattern);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Compare(compare) => self.bare_yield(&compare.left, compare.range),
            Expr::BinOp(binary) => self.bare_yield(&binary.left, binary.range),
            Expr::BoolOp(boolean) => {
                if let Some(first) = boolean.values.first() {
                    self.bare_yield(first, boolean.range);
                }
            }
            Expr::If(choice) => self.bare_yield(&choice.body, choice.range),
            Expr::Attribute(attribute) => self.bare_yield(&attribute.value, attribute.range),
            Expr::Call(call) => {
                self.bare_yield(&call.func, call.range());
                if let [Expr::Generator(generator)] = &*call.arguments.args
                    && !generator.parenthesized
                    && generator.elt.is_named_expr()
                    && generator.elt.start() == generator.start()
                {
                    self.since(generator.range, 9, "`:=` without parentheses in the generator of a call");
                }
            }
            Expr::Subscript(subscript) => self.bare_yield(&subscript.value, subscript.range),
            Expr::Tuple(tuple) => self.tuple(tuple),
            _ => {}
        }
        if self.minor == 9 {
            self.before_310(expression);
        }
        walk_expr(self, expression);
    }
    fn visit_comprehension(&mut self, comprehension: &'a ast::Comprehension) {
        if self.minor < 9 {
            self.short_lambdas(comprehension);
        }
        walk_comprehension(self, comprehension);
    }
}

/// `_`, or an attribute of it.
fn is_underscore(mut value: &Expr) -> bool {
    while let Expr::Attribute(attribute) = value {
        value = &attribute.value;
    }
    value.as_name_expr().is_some_and(|name| name.id.as_str() == "_")
}
