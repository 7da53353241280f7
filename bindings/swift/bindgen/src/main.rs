//! Reads the interface out of the native library and writes the Swift that calls it.

fn main() {
    uniffi::uniffi_bindgen_swift();
}
