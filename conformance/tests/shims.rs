//! The shims of `conformance/shims`, each once around on our broker. Those of our packages for
//! other languages are in `shims_of_bindings.rs`; the README there tells of the others.

mod shim_support;

#[test]
fn rust() {
    shim_support::round_trip("rust");
}

#[test]
fn confluent_kafka() {
    shim_support::round_trip("confluent-kafka");
}

#[test]
fn kafka_python() {
    shim_support::round_trip("kafka-python");
}

#[test]
fn kafkajs() {
    shim_support::round_trip("kafkajs");
}

#[test]
fn java() {
    shim_support::round_trip("java");
}
