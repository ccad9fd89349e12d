//! Where the reader is, so that a text that no field takes is counted and named.

use crate::stix::{PassedOver, Visitor};

/// The element that a text without a field would be missing from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Within {
    what: PassedOver,
    is_told: bool,
}

impl Within {
    /// In an element that has fields: what has none is told once.
    pub(super) fn new(what: PassedOver) -> Self {
        let is_told = false;
        Self { what, is_told }
    }

    /// In an element that has no field: this is told at once.
    pub(super) fn told(what: PassedOver, visitor: &mut dyn Visitor) -> Self {
        visitor.passed_over(what);
        let is_told = true;
        Self { what, is_told }
    }

    /// In an element inside of it.
    pub(super) fn closer(self, name: &str) -> Self {
        let what = self.what.closer(name);
        let is_told = self.is_told && what == self.what;
        Self { what, is_told }
    }

    /// Behind an element inside of it; what was told stays told.
    pub(super) fn back_to(self, around: Self) -> Self {
        if self.what == around.what {
            self
        } else {
            around
        }
    }

    /// Nothing takes this text.
    pub(super) fn text(&mut self, text: &str, visitor: &mut dyn Visitor) {
        if holds_text(text) && !self.is_told {
            self.is_told = true;
            visitor.passed_over(self.what);
        }
    }
}

/// Whether it is more than white space, which stands between any two elements. XML has no other control
/// characters.
fn holds_text(text: &str) -> bool {
    text.bytes().any(|byte| byte > b' ')
}
