//! Names, index ranges and parameter paths of one body.

use super::value::Value;
use crate::ir::model::{Axis, WalkId};
use crate::text::Span;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// A name of a body.
#[derive(Clone, Debug)]
pub struct Binding<'a> {
    /// What it stands for.
    pub value: Value<'a>,
    /// Where it was defined.
    pub span: Span,
    /// May be given a new value by `<-`: the path of its state.
    pub updates: Option<String>,
    /// Whether anything reads it.
    pub used: Rc<Cell<bool>>,
}

/// The names of a body, a block or a round of a `repeat`.
#[derive(Debug)]
pub struct Scope<'a> {
    /// The body around a block; definitions have none.
    pub parent: Option<Rc<Scope<'a>>>,
    names: RefCell<HashMap<String, Binding<'a>>>,
    ranges: RefCell<HashMap<String, Axis>>,
    spoiled: RefCell<Vec<String>>,
    rest: RefCell<Option<Vec<Axis>>>,
    /// How many axes stand behind an index in the head.
    behind: RefCell<HashMap<String, usize>>,
    /// The scan whose step this is, and its index.
    walked: RefCell<Option<(WalkId, String)>>,
    /// Where parameters declared here belong.
    pub path: Rc<PathScope>,
}

/// The part names that a body has given away.
#[derive(Debug)]
pub struct PathScope {
    /// `gpt.2`, empty at the top.
    pub prefix: String,
    given: RefCell<HashMap<String, usize>>,
}

impl PathScope {
    /// A body with this path.
    pub fn new(prefix: impl Into<String>) -> Rc<PathScope> {
        Rc::new(PathScope {
            prefix: prefix.into(),
            given: RefCell::default(),
        })
    }

    /// The path of a part: the first `linear` is `linear`, the second `linear_2`.
    pub fn part(&self, name: &str) -> String {
        let mut given = self.given.borrow_mut();
        let count = given.entry(name.to_string()).or_insert(0);
        *count += 1;
        let part = if *count == 1 {
            name.to_string()
        } else {
            format!("{name}_{count}")
        };
        self.join(&part)
    }

    /// A name below this path.
    pub fn join(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }

    /// The numbering so far, to come back to.
    pub fn numbering(&self) -> HashMap<String, usize> {
        self.given.borrow().clone()
    }

    /// Goes back to an earlier numbering; gives the present one.
    pub fn set_numbering(&self, numbering: HashMap<String, usize>) -> HashMap<String, usize> {
        self.given.replace(numbering)
    }
}

impl<'a> Scope<'a> {
    /// The scope of a definition's body or a model.
    pub fn body(path: Rc<PathScope>) -> Rc<Scope<'a>> {
        Rc::new(Scope {
            parent: None,
            names: RefCell::default(),
            ranges: RefCell::default(),
            spoiled: RefCell::default(),
            rest: RefCell::default(),
            behind: RefCell::default(),
            walked: RefCell::default(),
            path,
        })
    }

    /// A block inside, with another path where it is a round of a `repeat`.
    pub fn inner(self: &Rc<Self>, path: Rc<PathScope>) -> Rc<Scope<'a>> {
        Rc::new(Scope {
            parent: Some(self.clone()),
            names: RefCell::default(),
            ranges: RefCell::default(),
            spoiled: RefCell::default(),
            rest: RefCell::default(),
            behind: RefCell::default(),
            walked: RefCell::default(),
            path,
        })
    }

    /// Looks a name up, here and around.
    pub fn find(&self, name: &str) -> Option<Binding<'a>> {
        if let Some(binding) = self.names.borrow().get(name) {
            return Some(binding.clone());
        }
        self.parent.as_ref().and_then(|p| p.find(name))
    }

    /// Defines a name here; gives the place of an earlier definition in the same scope.
    pub fn define(&self, name: &str, value: Value<'a>, span: Span) -> Option<Span> {
        self.bind(
            name,
            Binding {
                value,
                span,
                updates: None,
                used: Rc::default(),
            },
        )
    }

    /// Defines a name that `<-` may update.
    pub fn define_state(&self, name: &str, value: Value<'a>, span: Span, path: String) -> Option<Span> {
        self.bind(
            name,
            Binding {
                value,
                span,
                updates: Some(path),
                used: Rc::new(Cell::new(true)),
            },
        )
    }

    fn bind(&self, name: &str, binding: Binding<'a>) -> Option<Span> {
        let mut names = self.names.borrow_mut();
        if let Some(earlier) = names.get(name) {
            return Some(earlier.span);
        }
        names.insert(name.to_string(), binding);
        None
    }

    /// Gives a name, wherever it is defined, a new value; false if there is none.
    pub fn update(&self, name: &str, value: Value<'a>) -> bool {
        if let Some(binding) = self.names.borrow_mut().get_mut(name) {
            binding.value = value;
            return true;
        }
        self.parent.as_ref().is_some_and(|p| p.update(name, value))
    }

    /// Lets `<-` update a name of this scope.
    pub fn make_updatable(&self, name: &str, path: &str) {
        if let Some(binding) = self.names.borrow_mut().get_mut(name) {
            binding.updates = Some(path.to_string());
        }
    }

    /// All names here and around, for suggestions.
    pub fn known(&self) -> Vec<String> {
        let mut names: Vec<String> = self.names.borrow().keys().cloned().collect();
        names.sort();
        if let Some(parent) = &self.parent {
            names.extend(parent.known());
        }
        names
    }

    /// Names here that nothing reads, in the order of the text.
    pub fn unused(&self) -> Vec<(String, Span)> {
        let names = self.names.borrow();
        let mut unused: Vec<(String, Span)> = names
            .iter()
            .filter(|(_, b)| !b.used.get())
            .map(|(n, b)| (n.clone(), b.span))
            .collect();
        unused.sort_by_key(|(_, span)| *span);
        unused
    }

    /// The range of an index, here or around.
    pub fn range(&self, index: &str) -> Option<Axis> {
        let found = self.ranges.borrow().get(index).cloned();
        found.or_else(|| self.parent.as_ref().and_then(|p| p.range(index)))
    }

    /// Notes that an index has no range because of a mistake that was reported.
    pub fn spoil(&self, index: &str) {
        if self.range(index).is_none() {
            self.spoiled.borrow_mut().push(index.to_string());
        }
    }

    /// Whether an index lacks its range because of a mistake that was reported.
    pub fn is_spoiled(&self, index: &str) -> bool {
        self.spoiled.borrow().iter().any(|s| s == index) || self.parent.as_ref().is_some_and(|p| p.is_spoiled(index))
    }

    /// Sets the range of an index in this body.
    pub fn set_range(&self, index: &str, axis: Axis) {
        self.ranges.borrow_mut().insert(index.to_string(), axis);
    }

    /// What `..` stands for where an equation does not tell.
    pub fn rest(&self) -> Option<Vec<Axis>> {
        let found = self.rest.borrow().clone();
        found.or_else(|| self.parent.as_ref().and_then(|p| p.rest()))
    }

    /// Sets what `..` stands for in the head.
    pub fn set_rest(&self, axes: Vec<Axis>) {
        self.rest.borrow_mut().get_or_insert(axes);
    }

    /// Notes how many axes stand behind an index in the head; the first head that has it counts.
    pub fn set_axes_behind(&self, index: &str, axes: usize) {
        self.behind.borrow_mut().entry(index.to_string()).or_insert(axes);
    }

    /// How many axes stand behind an index in the head.
    pub fn axes_behind(&self, index: &str) -> Option<usize> {
        let found = self.behind.borrow().get(index).copied();
        found.or_else(|| self.parent.as_ref().and_then(|p| p.axes_behind(index)))
    }

    /// Makes this the scope of a scan's step.
    pub fn walk(&self, walk: WalkId, index: &str) {
        *self.walked.borrow_mut() = Some((walk, index.to_string()));
    }

    /// The scan whose step this is in, and its index.
    pub fn walked(&self) -> Option<(WalkId, String)> {
        let found = self.walked.borrow().clone();
        found.or_else(|| self.parent.as_ref().and_then(|p| p.walked()))
    }
}
