//! Real brokers and clients on a simulated network.
