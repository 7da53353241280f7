//! The native library of the Swift package.
