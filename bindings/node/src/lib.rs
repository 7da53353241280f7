//! The native module of the npm package.
//!
//! JavaScript (in `lib/`) checks arguments and keeps promises; here is what crosses the boundary:
//! calls that are started and told of in bursts ([`event_loop`]), records packed into one buffer
//! ([`producer`]), batches as bytes and an index ([`consumer`]). Nothing here waits on the
//! JavaScript thread.

mod admin;
mod consumer;
mod deliveries;
mod event_loop;
mod packed;
mod producer;
mod settings;
mod tree;
