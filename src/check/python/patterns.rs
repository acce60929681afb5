//! `match`: what its patterns must not be.

use std::cell::RefCell;

use ruff_python_ast::{self as ast, Pattern, PythonVersion};
use ruff_python_parser::semantic_errors::{
    LazyImportContext, SemanticSyntaxChecker, SemanticSyntaxContext, SemanticSyntaxError,
};
use ruff_text_size::{Ranged, TextRange};

use super::walk::Walk;

impl<'a> Walk<'a> {
    pub(super) fn matches(&mut self, statement: &'a ast::Stmt, matching: &'a ast::StmtMatch) {
        let found = check(statement, &matching.cases, self.version(), self.source);
        self.found.extend(found);
        self.expression(&matching.subject);
        for case in &matching.cases {
            self.pattern(&case.pattern);
            case.guard.iter().for_each(|guard| self.expression(guard));
            self.body(&case.body);
        }
    }

    fn pattern(&mut self, pattern: &'a ast::Pattern) {
        match pattern {
            ast::Pattern::MatchValue(value) => self.expression(&value.value),
            ast::Pattern::MatchSingleton(_) => {}
            ast::Pattern::MatchSequence(sequence) => {
                sequence.patterns.iter().for_each(|pattern| self.pattern(pattern));
            }
            ast::Pattern::MatchMapping(mapping) => {
                mapping.keys.iter().for_each(|key| self.expression(key));
                mapping.patterns.iter().for_each(|pattern| self.pattern(pattern));
                mapping.rest.iter().for_each(|rest| self.bind(rest));
            }
            ast::Pattern::MatchClass(class) => {
                self.expression(&class.cls);
                class.arguments.patterns.iter().for_each(|pattern| self.pattern(pattern));
                for keyword in &class.arguments.keywords {
                    self.debug(&keyword.attr, keyword.attr.range);
                    self.pattern(&keyword.pattern);
                }
            }
            ast::Pattern::MatchStar(star) => star.name.iter().for_each(|name| self.bind(name)),
            ast::Pattern::MatchAs(capture) => {
                capture.pattern.iter().for_each(|pattern| self.pattern(pattern));
                capture.name.iter().for_each(|name| self.bind(name));
            }
            ast::Pattern::MatchOr(or) => or.patterns.iter().for_each(|pattern| self.pattern(pattern)),
        }
    }
}

/// The names, keys and order of a statement's patterns. The parser's own checker knows these; they need nothing of what is around.
fn check(
    statement: &ast::Stmt,
    cases: &[ast::MatchCase],
    version: PythonVersion,
    source: &str,
) -> Vec<(TextRange, String)> {
    let context = Alone { version, source, found: RefCell::default() };
    SemanticSyntaxChecker::new().visit_stmt(statement, &context);
    let mut found = context.found.into_inner();
    for case in cases {
        inner(&case.pattern, &mut found);
    }
    found
}

/// What the checker leaves out.
fn inner(pattern: &Pattern, found: &mut Vec<(TextRange, String)>) {
    match pattern {
        Pattern::MatchOr(or) => {
            for alternative in or.patterns.iter().rev().skip(1) {
                if let Some(irrefutable) = alternative.irrefutable_pattern() {
                    let what = match &irrefutable.kind {
                        ast::IrrefutablePatternKind::Name(name) => format!("name capture '{name}'"),
                        ast::IrrefutablePatternKind::Wildcard => "wildcard".to_owned(),
                    };
                    found.push((irrefutable.range, format!("{what} makes remaining patterns unreachable")));
                }
            }
            or.patterns.iter().for_each(|pattern| inner(pattern, found));
        }
        Pattern::MatchSequence(sequence) => {
            let star = sequence.patterns.iter().position(|pattern| matches!(pattern, Pattern::MatchStar(_)));
            if star.is_some_and(|before| before >= 256) {
                found.push((pattern.range(), "too many expressions in star-unpacking pattern".to_owned()));
            }
            sequence.patterns.iter().for_each(|pattern| inner(pattern, found));
        }
        Pattern::MatchMapping(mapping) => mapping.patterns.iter().for_each(|pattern| inner(pattern, found)),
        Pattern::MatchClass(class) => {
            class.arguments.patterns.iter().for_each(|pattern| inner(pattern, found));
            class.arguments.keywords.iter().for_each(|keyword| inner(&keyword.pattern, found));
        }
        Pattern::MatchAs(ast::PatternMatchAs { pattern: Some(inside), .. }) => inner(inside, found),
        _ => {}
    }
}

/// A statement without surroundings: the rest of what the checker asks is for statements that it is not given.
struct Alone<'a> {
    version: PythonVersion,
    source: &'a str,
    found: RefCell<Vec<(TextRange, String)>>,
}

impl SemanticSyntaxContext for Alone<'_> {
    fn future_annotations_or_stub(&self) -> bool {
        false
    }
    fn lazy_import_context(&self) -> Option<LazyImportContext> {
        None
    }
    fn python_version(&self) -> PythonVersion {
        self.version
    }
    fn source(&self) -> &str {
        self.source
    }
    fn global(&self, _name: &str) -> Option<TextRange> {
        None
    }
    fn has_nonlocal_binding(&self, _name: &str) -> bool {
        true
    }
    fn in_async_context(&self) -> bool {
        true
    }
    fn in_await_allowed_context(&self) -> bool {
        true
    }
    fn in_yield_allowed_context(&self) -> bool {
        true
    }
    fn in_sync_comprehension(&self) -> bool {
        false
    }
    fn in_class_body_comprehension(&self) -> bool {
        false
    }
    fn in_module_scope(&self) -> bool {
        true
    }
    fn in_function_scope(&self) -> bool {
        true
    }
    fn in_generator_context(&self) -> bool {
        false
    }
    fn in_notebook(&self) -> bool {
        false
    }
    fn report_semantic_error(&self, error: SemanticSyntaxError) {
        self.found.borrow_mut().push((error.range, error.to_string()));
    }
    fn in_loop_context(&self) -> bool {
        true
    }
    fn is_bound_parameter(&self, _name: &str) -> bool {
        false
    }
}
