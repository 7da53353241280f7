//! The native module of the npm package.
