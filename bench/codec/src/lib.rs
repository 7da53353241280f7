//! What the benchmark `codec` reads and writes, and the cursor that it is measured by.

pub mod cursor;
pub mod fixtures;
