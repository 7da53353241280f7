//! Several nodes in one process, over a network and with crashes that a seed decides. Time is
//! paused: it goes on when everybody waits.

mod disk;
mod elections;
mod members;
mod net;
mod random;
