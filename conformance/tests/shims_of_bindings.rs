//! The shims of our packages for other languages, each once around on our broker. `cargo xtask
//! test` runs them after it has built the packages; no other run of tests does.

mod shim_support;

#[test]
fn python() {
    shim_support::round_trip("python");
}

#[test]
fn node() {
    shim_support::round_trip("node");
}
