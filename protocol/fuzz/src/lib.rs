//! What the fuzz targets do. `protocol/tests/properties.rs` includes the same file, so that every
//! test run replays the corpus.

pub mod targets;
