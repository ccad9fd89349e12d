//! How an object of an observable is related to others.

use serde::{Deserialize, Serialize};

/// The name of CybOX for a relation that says nothing of itself.
const UNSPECIFIED: &str = "Related_To";

/// The relations of one object.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relations {
    /// Its Related_Objects that have an id or name one, in document order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Relation>,
    /// The object around it, if it is a Related_Object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Relation>,
}

/// A relation from one object to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// Of the other object; that of a parent may be empty.
    pub id: String,
    /// What the object around is to its Related_Object.
    pub relationship: String,
}

impl Relations {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Relation {
    /// Of several texts the first counts; without one it is a relation of any kind.
    pub(super) fn new(id: String, relationship: Vec<String>) -> Self {
        let first = relationship.into_iter().next();
        let relationship = first.unwrap_or_else(|| UNSPECIFIED.to_owned());
        Self { id, relationship }
    }
}
