//! Static HTML: one file each, without anything from elsewhere, readable without JavaScript.
//!
//! The markup is well-formed XML too, so that a test can hold it to that.

mod log;
mod matrix;
mod page;
mod run;

pub use matrix::to_matrix;
pub use run::to_html;
