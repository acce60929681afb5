//! Scopes and their names: what CPython's symbol table refuses.

use std::borrow::Cow;
use std::collections::HashMap;

use ruff_text_size::TextRange;

/// What kind of code a scope is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Module,
    Class,
    Function {
        is_async: bool,
    },
    Lambda,
    Comprehension {
        generator: bool,
        name: &'static str,
    },
    /// Neither `yield`, `await` nor `:=` may be in it. The words are CPython's: "an annotation".
    Annotation(&'static str),
    /// The type parameters of a generic.
    Generic,
}

impl Kind {
    /// Whether its names are seen by the functions in it.
    pub(super) fn is_function(self) -> bool {
        matches!(self, Kind::Function { .. } | Kind::Lambda | Kind::Comprehension { .. })
    }
}

pub(super) const PARAMETER: u8 = 1;
pub(super) const USED: u8 = 2;
pub(super) const ANNOTATED: u8 = 4;
pub(super) const BOUND: u8 = 8;
pub(super) const GLOBAL: u8 = 16;
pub(super) const NONLOCAL: u8 = 32;
/// By an import, which may come before a `global`.
pub(super) const IMPORTED: u8 = 128;
/// The target of a comprehension's `for`.
pub(super) const ITERATED: u8 = 64;

/// A scope while it is walked, and afterwards.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) kind: Kind,
    parent: Option<usize>,
    /// Of the nearest class around, for the mangling of `__names`.
    class: Option<&'a str>,
    /// Of types that are written in a class, not in a function of it.
    pub(super) sees_class: bool,
    names: HashMap<Cow<'a, str>, u8>,
    nonlocals: Vec<(Cow<'a, str>, TextRange)>,
    /// An `async def`, or a comprehension with an `await` or an `async for`.
    pub(super) coroutine: bool,
    pub(super) yields: bool,
    /// The first `return` with a value.
    pub(super) returns: Option<TextRange>,
    /// Inside of the iterable of a comprehension, where `:=` is refused; also in the lambdas of one.
    pub(super) iterables: u32,
    pub(super) iterating: bool,
}

/// All scopes of a module. Names are kept only where they can matter.
#[derive(Debug)]
pub(super) struct Scopes<'a> {
    all: Vec<Scope<'a>>,
    current: usize,
    /// The module has a `global` or a `nonlocal`.
    declares: bool,
    /// And a `:=`, for which the names of a comprehension matter.
    extends: bool,
    minor: u8,
}

impl<'a> Scopes<'a> {
    pub(super) fn new(declares: bool, extends: bool, minor: u8) -> Scopes<'a> {
        let mut scopes = Scopes { all: Vec::new(), current: 0, declares, extends, minor };
        scopes.push(Kind::Module, None);
        scopes
    }

    pub(super) fn enter(&mut self, kind: Kind, class: Option<&'a str>) {
        let outer = self.here();
        let (iterables, class) = (outer.iterables, class.or(outer.class));
        let of_types = match kind {
            Kind::Generic => true,
            Kind::Annotation(place) => place != "an annotation",
            _ => false,
        };
        let sees_class = of_types && (outer.kind == Kind::Class || outer.sees_class);
        let parent = Some(self.current);
        self.push(kind, parent);
        let scope = self.here_mut();
        (scope.iterables, scope.class, scope.sees_class) = (iterables, class, sees_class);
        scope.coroutine = kind == Kind::Function { is_async: true };
    }

    fn push(&mut self, kind: Kind, parent: Option<usize>) {
        self.current = self.all.len();
        self.all.push(Scope {
            kind,
            parent,
            class: None,
            sees_class: false,
            names: HashMap::new(),
            nonlocals: Vec::new(),
            coroutine: false,
            yields: false,
            returns: None,
            iterables: 0,
            iterating: false,
        });
    }

    pub(super) fn leave(&mut self) {
        let parent = self.here().parent.unwrap_or(0);
        if !self.declares {
            // Nobody asks for it again.
            self.all.truncate(self.current);
        }
        self.current = parent;
    }

    pub(super) fn here(&self) -> &Scope<'a> {
        &self.all[self.current]
    }

    pub(super) fn here_mut(&mut self) -> &mut Scope<'a> {
        &mut self.all[self.current]
    }

    /// The innermost scope and those around it.
    pub(super) fn around(&self) -> impl Iterator<Item = &Scope<'a>> {
        std::iter::successors(Some(self.here()), |scope| scope.parent.map(|parent| &self.all[parent]))
    }

    /// The nearest class around, for the mangling of names.
    pub(super) fn class(&self) -> Option<&'a str> {
        self.here().class
    }

    /// `__name` in a class is another name.
    pub(super) fn mangled(&self, name: &'a str) -> Cow<'a, str> {
        mangled(name, self.class())
    }

    fn flags(&self, name: &str) -> u8 {
        self.here().names.get(name).copied().unwrap_or(0)
    }

    /// Notes a name of the current scope.
    ///
    /// # Errors
    /// In CPython's words, when the scope cannot have that name so.
    pub(super) fn note(&mut self, name: &'a str, mut flags: u8) -> Result<(), String> {
        let extended = self.extends && matches!(self.here().kind, Kind::Comprehension { .. });
        if !self.declares && !extended {
            return Ok(());
        }
        let name = self.mangled(name);
        let before = self.flags(&name);
        // Before 3.12 also `a` in `for a.b in …`.
        if self.here().iterating && (flags & BOUND != 0 || self.minor < 12) {
            if before & (GLOBAL | NONLOCAL) != 0 {
                return Err(format!(
                    "comprehension inner loop cannot rebind assignment expression target '{name}'"
                ));
            }
            flags |= ITERATED;
        }
        *self.here_mut().names.entry(name).or_default() |= flags;
        Ok(())
    }

    /// `x: …`, where `x` is a plain name.
    ///
    /// # Errors
    /// It was declared before.
    pub(super) fn annotate(&mut self, name: &'a str) -> Result<(), String> {
        let before = self.flags(&self.mangled(name));
        if self.here().kind != Kind::Module {
            for (declared, word) in [(GLOBAL, "global"), (NONLOCAL, "nonlocal")] {
                if before & declared != 0 {
                    return Err(format!("annotated name '{name}' can't be {word}"));
                }
            }
        }
        self.note(name, ANNOTATED | BOUND)
    }

    /// `global x` and `nonlocal x`.
    ///
    /// # Errors
    /// It comes too late, or contradicts another.
    pub(super) fn declare(&mut self, name: &'a str, global: bool, range: TextRange) -> Result<(), String> {
        let word = if global { "global" } else { "nonlocal" };
        let kind = self.here().kind;
        let mangled = self.mangled(name);
        let before = self.flags(&mangled);
        let declared = if global { GLOBAL } else { NONLOCAL };
        if before & PARAMETER != 0 {
            return Err(format!("name '{name}' is parameter and {word}"));
        }
        if before & USED != 0 {
            return Err(format!("name '{name}' is used prior to {word} declaration"));
        }
        if before & ANNOTATED != 0 {
            return Err(format!("annotated name '{name}' can't be {word}"));
        }
        if before & BOUND != 0 {
            return Err(format!("name '{name}' is assigned to before {word} declaration"));
        }
        if !global && kind == Kind::Module {
            return Err("nonlocal declaration not allowed at module level".to_owned());
        }
        if before & (GLOBAL | NONLOCAL) & !declared != 0 {
            return Err(format!("name '{name}' is nonlocal and global"));
        }
        if !global {
            self.here_mut().nonlocals.push((mangled.clone(), range));
        }
        *self.here_mut().names.entry(mangled).or_default() |= declared;
        Ok(())
    }

    /// `:=` in a comprehension binds around it.
    ///
    /// # Errors
    /// It cannot, there.
    pub(super) fn extend(&mut self, name: &'a str) -> Result<(), String> {
        let mangled = self.mangled(name);
        // Before 3.13 the name as it is written was looked for, among mangled ones.
        let asked = if self.minor < 13 { name } else { &*mangled };
        let mut at = self.current;
        loop {
            let scope = &self.all[at];
            let flags = scope.names.get(asked).copied().unwrap_or(0);
            match scope.kind {
                Kind::Comprehension { .. } => {
                    if flags & ITERATED != 0 {
                        return Err(format!(
                            "assignment expression cannot rebind comprehension iteration variable '{name}'"
                        ));
                    }
                }
                Kind::Class => {
                    return Err(
                        "assignment expression within a comprehension cannot be used in a class body"
                            .to_owned(),
                    );
                }
                Kind::Annotation(place) => {
                    return Err(format!(
                        "assignment expression within a comprehension cannot be used within {place}"
                    ));
                }
                Kind::Generic => {
                    return Err("assignment expression within a comprehension cannot be used within the \
                                definition of a generic"
                        .to_owned());
                }
                Kind::Module | Kind::Function { .. } | Kind::Lambda => {
                    let global = scope.kind == Kind::Module || flags & GLOBAL != 0;
                    *self.all[at].names.entry(mangled.clone()).or_default() |=
                        if scope_binds(global, self.all[at].kind) { BOUND } else { 0 };
                    let declared = if global { GLOBAL } else { NONLOCAL };
                    *self.here_mut().names.entry(mangled).or_default() |= declared;
                    return Ok(());
                }
            }
            match scope.parent {
                Some(parent) => at = parent,
                None => return Ok(()),
            }
        }
    }

    /// The `nonlocal`s that no function around binds.
    pub(super) fn unbound(&self) -> Vec<(TextRange, String)> {
        let asked =
            self.all.iter().flat_map(|scope| scope.nonlocals.iter().map(move |(name, at)| (scope, name, at)));
        asked
            .filter_map(|(scope, name, at)| self.unbound_in(scope, name).map(|message| (*at, message)))
            .collect()
    }

    fn unbound_in(&self, scope: &Scope<'a>, name: &str) -> Option<String> {
        let missing = || format!("no binding for nonlocal '{name}' found");
        let mut next = scope.parent;
        // In a class whose body binds the name of a type parameter, CPython takes it for a binding like any.
        let mut rebound = false;
        while let Some(outer) = next.map(|at| &self.all[at]) {
            let flags = outer.names.get(name).copied().unwrap_or(0);
            match outer.kind {
                Kind::Class if name == "__class__" => return None,
                Kind::Class => rebound |= flags & (BOUND | IMPORTED) != 0 && flags & (GLOBAL | NONLOCAL) == 0,
                Kind::Generic if flags & BOUND != 0 && rebound => return None,
                Kind::Generic if flags & BOUND != 0 => {
                    return Some(format!("nonlocal binding not allowed for type parameter '{name}'"));
                }
                Kind::Function { .. } | Kind::Lambda | Kind::Comprehension { .. } => {
                    if flags & GLOBAL != 0 {
                        return Some(missing());
                    }
                    if flags & (BOUND | IMPORTED | PARAMETER) != 0 && flags & NONLOCAL == 0 {
                        return None;
                    }
                }
                _ => {}
            }
            next = outer.parent;
        }
        Some(missing())
    }
}

/// `__name`, in a class of that name.
pub(super) fn mangled<'a>(name: &'a str, class: Option<&str>) -> Cow<'a, str> {
    if !name.starts_with("__") || name.ends_with("__") {
        return Cow::Borrowed(name);
    }
    match class.map(|class| class.trim_start_matches('_')) {
        Some(class) if !class.is_empty() => Cow::Owned(format!("_{class}{name}")),
        _ => Cow::Borrowed(name),
    }
}

/// Whether `:=` makes a local name of the scope that it ends in.
fn scope_binds(global: bool, kind: Kind) -> bool {
    !global || kind == Kind::Module
}
