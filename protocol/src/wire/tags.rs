//! Tagged fields that the schema does not know.

use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;

/// Tagged fields that this version of the schema does not know, kept so that a capture round-trips.
///
/// One pointer wide, because every struct of a flexible message has one and nearly all are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::box_collection, reason = "a Vec is three pointers wide in every struct")]
pub struct UnknownTags(Option<Box<Vec<(u32, Bytes)>>>);

impl UnknownTags {
    /// The tags and their bytes, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Bytes)> {
        self.0.iter().flat_map(|tags| tags.iter()).map(|(tag, bytes)| (*tag, bytes))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |tags| tags.len())
    }

    /// Adds a tag behind the others.
    pub fn push(&mut self, tag: u32, bytes: Bytes) {
        self.0.get_or_insert_default().push((tag, bytes));
    }

    /// As [`UnknownTags::push`], with room for `left` tags where there is none.
    pub(super) fn push_bounded(&mut self, tag: u32, bytes: Bytes, left: usize) {
        let tags = self.0.get_or_insert_default();
        if tags.len() == tags.capacity() {
            tags.reserve_exact(left.max(1));
        }
        tags.push((tag, bytes));
    }
}
