//! Message sets of magic 0 and 1: what Kafka stored and sent before 0.11 (KIP-98), and what a fetch
//! of an old version, or an old segment, may still hold. `protocol/schemas/records/LEGACY.md`
//! specifies them.
//!
//! In reading order: [`message`] (one message, which is a record or wraps a compressed set),
//! [`records`] (the records inside), [`entries`] (a field that mixes magic 0, 1 and 2),
//! [`builder`] (writing), [`convert`] (to magic 2 and back).
//!
//! The client and the broker here need none of this: both speak the versions that carry magic 2.

pub mod builder;
pub mod convert;
pub mod entries;
pub mod message;
pub mod records;

pub use builder::{MessageSetBuilder, MessageSetFields};
pub use convert::{Codecs, down_convert, up_convert};
pub use entries::{Entries, Entry};
pub use message::{LegacyMagic, LegacyMessage};
pub use records::{LegacyRecord, LegacyRecords};
