//! A batch that Swift reads in place.

use ottla::Batch;
use ottla_bindings::Index;

/// A batch with the places of its records.
#[derive(Debug, uniffi::Object)]
pub struct NativeBatch {
    pub(crate) batch: Batch,
    pub(crate) index: Index,
}

impl NativeBatch {
    /// A batch as it was handed out.
    pub fn new(batch: Batch) -> Self {
        Self { index: Index::of(&batch), batch }
    }
}

#[uniffi::export]
impl NativeBatch {
    /// Where this object is, for the functions of the C header. It is there as long as Swift's
    /// object.
    pub fn address(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }
}
