//! Our client against Apache Kafka, current and as old as is supported, and against our own broker;
//! confluent-kafka is the witness of what it writes, and the writer of what it reads.

mod cluster;
mod groups;
mod records;
mod topics;

use std::future::Future;
use std::sync::OnceLock;

use ottla_interop::{Apache, DEADLINE, ottla_broker};

/// A broker that the tests are run against.
#[derive(Clone, Copy)]
enum Target {
    Apache43,
    Apache39,
    Ottla,
}

impl Target {
    /// Where it is; started once for this program. None if it is not here to be started.
    fn bootstrap(self) -> Option<&'static str> {
        static APACHE_43: OnceLock<Option<Apache>> = OnceLock::new();
        static APACHE_39: OnceLock<Option<Apache>> = OnceLock::new();
        let (cell, version) = match self {
            Self::Apache43 => (&APACHE_43, "4.3.1"),
            Self::Apache39 => (&APACHE_39, "3.9.2"),
            Self::Ottla => return ottla_broker(),
        };
        if !Apache::is_here(version) {
            return None; // asked each time, so that each test is marked as skipped
        }
        let apache = cell.get_or_init(|| Apache::start(version));
        apache.as_ref().map(|apache| apache.bootstrap.as_str())
    }
}

/// Runs an asynchronous test on the target, to an end in time.
fn on<F: Future<Output = ()>>(target: Target, test: impl FnOnce(&'static str) -> F) {
    let Some(bootstrap) = target.bootstrap() else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let test = test(bootstrap);
    let in_time = runtime.block_on(async { tokio::time::timeout(DEADLINE * 2, test).await });
    in_time.expect("the test ends in time");
}

/// The same tests for a target, under its name.
macro_rules! tests_on {
    ($module:ident, $target:expr) => {
        mod $module {
            use crate::{Target, cluster, groups, on, records, topics};

            const TARGET: Target = $target;

            #[test]
            fn writes_and_reads_every_codec() {
                on(TARGET, records::writes_and_reads_every_codec);
            }

            #[test]
            fn confluent_kafka_reads_what_ottla_writes() {
                records::confluent_kafka_reads_what_ottla_writes(TARGET);
            }

            #[test]
            fn ottla_reads_what_confluent_kafka_writes() {
                records::ottla_reads_what_confluent_kafka_writes(TARGET);
            }

            #[test]
            fn keyed_records_keep_their_order_under_load() {
                on(TARGET, records::keyed_records_keep_their_order_under_load);
            }

            #[test]
            fn read_begins_where_it_is_told() {
                on(TARGET, records::read_begins_where_it_is_told);
            }

            #[test]
            fn group_shares_hands_over_and_resumes() {
                on(TARGET, groups::group_shares_hands_over_and_resumes);
            }

            #[test]
            fn group_is_shared_by_every_assignor() {
                on(TARGET, groups::group_is_shared_by_every_assignor);
            }

            #[test]
            fn group_is_shared_with_confluent_kafka() {
                groups::group_is_shared_with_confluent_kafka(TARGET);
            }

            #[test]
            fn topics_are_made_described_changed_and_deleted() {
                on(TARGET, topics::topics_are_made_described_changed_and_deleted);
            }

            #[test]
            fn errors_name_what_is_wrong() {
                on(TARGET, topics::errors_name_what_is_wrong);
            }

            #[test]
            fn cluster_and_groups_are_described() {
                on(TARGET, cluster::cluster_and_groups_are_described);
            }
        }
    };
}

tests_on!(on_apache_4_3, Target::Apache43);
tests_on!(on_apache_3_9, Target::Apache39);
tests_on!(on_ottla, Target::Ottla);
