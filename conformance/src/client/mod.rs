//! The client side of the suite: a scripted broker per scenario, and a client that is driven by its
//! shim (`conformance/shims`).
//!
//! A [`Scenario`] sets up a [`Cluster`](cluster::Cluster), starts the shim, and asserts statements
//! on what the client sent and what it told. It uses no client code.

pub mod act;
mod answers;
pub mod cluster;
mod group;
mod log;
pub mod pairs;
pub mod play;
mod run;
mod scenarios;
pub mod shim;
pub mod state;
mod words;

pub use run::{Options, run, run_one};
pub use scenarios::all;

use play::{Play, Step};

/// A scenario: what it tests, and how.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// `client/what-it-tests`; never reused.
    pub name: &'static str,
    /// The statements that it may decide. The first is blamed where the client dies or hangs.
    pub statements: &'static [&'static str],
    /// The scenario itself.
    pub run: fn(&mut Play<'_>) -> Step,
}

impl Scenario {
    /// A scenario.
    pub const fn new(
        name: &'static str,
        run: fn(&mut Play<'_>) -> Step,
        statements: &'static [&'static str],
    ) -> Self {
        Self { name, statements, run }
    }
}
