//! The scenarios, by the numbers of the list that they come from: 1 to 25 are what other brokers
//! are tested with, and what was found in them; 26 to 42 were added for what Ottla promises.
//!
//! All have three replicas, `acks=all`, `min.insync.replicas=2`, idempotent producers.

mod cuts;
mod damage;
mod growth;
mod kills;
mod pauses;
mod records;
mod slow;

use crate::Failure;
use crate::world::{Report, World};
use std::pin::Pin;
use std::time::Duration;

/// What a producer may wait for another leader, its session and the busy machine included.
const FAILOVER_MAX: Duration = Duration::from_secs(15);

pub(crate) type Playing<'a> = Pin<Box<dyn Future<Output = Result<Report, Failure>> + Send + 'a>>;

/// One of them.
pub(crate) struct Scenario {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    /// Who tests it, or where it was found.
    pub(crate) source: &'static str,
    pub(crate) what: &'static str,
    pub(crate) play: Play,
}

/// How it is shown.
pub(crate) enum Play {
    Run(for<'a> fn(&'a mut World) -> Playing<'a>),
    /// Not with real processes: where instead, or why not at all.
    Elsewhere(&'static str),
}

macro_rules! scenarios {
    ($($number:literal $name:literal $source:literal $what:literal $play:expr;)*) => {
        /// All of them.
        pub(crate) const SCENARIOS: &[Scenario] =
            &[$(Scenario {
                number: $number, name: $name, source: $source, what: $what, play: $play,
            }),*];
    };
}

macro_rules! run {
    ($play:path) => {
        Play::Run(|world| Box::pin($play(world)))
    };
}

use Play::Elsewhere;

scenarios! {
    1 "leader-killed" "Apache Kafka, `replication_test`"
        "a leader is killed in the middle of produce" run!(kills::leader);
    2 "leaders-chased" "Apache Kafka, `replication_test` (hard bounce)"
        "the leader of the moment is killed, five times" run!(kills::chase);
    3 "follower-killed-while-pending" "KIP-497, Redpanda chaos"
        "an in-sync follower is killed with acknowledgements pending"
        run!(kills::follower);
    4 "all-killed" "Jepsen (kill all)"
        "all brokers are killed at once and come back in another order" run!(kills::all);
    5 "power-loss-of-one" "Redpanda, why fsync; KIP-966"
        "one node loses unsynced bytes, then its peers are killed"
        run!(damage::power_loss_of_one);
    6 "power-loss-of-all" "Jepsen, NATS 2.12.1"
        "all nodes lose unsynced bytes"
        run!(damage::power_loss_of_all);
    7 "leader-paused" "Trogdor `ProcessStop`, Redpanda chaos"
        "a leader, then a coordinator stops beyond its session and comes back as a zombie"
        run!(pauses::leader);
    8 "follower-paused" "Jepsen, Redpanda 21.10 (pause)"
        "a follower stops and goes on, again and again" run!(pauses::follower);
    9 "leader-isolated" "Redpanda chaos (isolate)"
        "a leader reaches its clients and no other node"
        run!(cuts::leader_isolated);
    10 "one-way" "Jepsen (partition), Trogdor"
        "a follower reaches the controller and not its leader; then one way only"
        run!(cuts::one_way);
    11 "loss" "Trogdor `DegradedNetwork`, Redpanda netem"
        "one in five packets between nodes is lost" run!(cuts::loss);
    12 "controller-killed" "Redpanda chaos (controller)"
        "the controller is killed while topics are created"
        run!(kills::controller);
    13 "quorum-lost" "Jepsen, Redpanda (majority)"
        "two of three nodes are gone for a while" run!(pauses::quorum);
    14 "snapshot-restored" "openraft 1808"
        "a node comes back to a metadata log that begins with a snapshot"
        run!(growth::snapshot);
    15 "rolling-restart" "Apache Kafka, `replication_test` (clean bounce)"
        "every node is stopped and started, one after the other"
        run!(kills::rolling_restart);
    16 "elections-without-writes" "KAFKA-10706, KIP-101, KIP-279"
        "many elections in a row, then work" run!(pauses::elections);
    17 "longer-unacknowledged-tail" "KAFKA-14704"
        "a leader comes back with records that nobody else has"
        run!(pauses::unacknowledged_tail);
    18 "follower-behind-log-start" "KAFKA-9491"
        "a follower returns after records it lacks were deleted"
        run!(records::behind_log_start);
    19 "torn-files" "Apache Kafka, `log_dir_failure_test`"
        "a torn tail, cut and missing index and checkpoint files" run!(damage::torn);
    20 "flipped-bit" "Jepsen, NATS 2.12.1"
        "a flipped bit in a sealed segment of one replica" run!(damage::flipped_bit);
    21 "disk-full" "Redpanda iofaults, `log_dir_failure_test`"
        "a node's disk is full, and has room again" run!(damage::disk_full);
    22 "fsync-stalls" "Redpanda iofaults"
        "with flush.messages=1 an fsync takes 2 s: of a leader, the controller, a coordinator"
        run!(slow::fsync);
    23 "clock-jumps" "Jepsen (clock)"
        "a node's clock is an hour ahead, then an hour behind" run!(pauses::clock);
    24 "reassigned-under-fire" "Redpanda `reconfigure_313`, `reconfigure_kill_11`"
        "replicas move while nodes are killed and cut"
        run!(growth::reassign);
    25 "coordinator-killed" "Redpanda 6018, Bufstream"
        "the coordinator is killed between and in commits"
        run!(kills::coordinator);
    26 "topic-made-anew" "KIP-516"
        "a topic is deleted and made again while a replica is down"
        run!(records::topic_made_anew);
    27 "back-within-session" "KIP-966"
        "a leader is back within its session, without its tail"
        run!(damage::back_within_session);
    28 "leader-again" "Redpanda chaos (leader moves)"
        "a leader loses its place and gets it back with requests pending"
        run!(pauses::leader_again);
    29 "retry-unreplicated" "KIP-98"
        "a batch is retried that only its dead leader had"
        run!(pauses::retry_unreplicated);
    30 "deleted-stay-deleted" "KIP-107"
        "DeleteRecords, then failover and restart"
        run!(records::deleted_stay_deleted);
    31 "empty-disk" "Apache Kafka, `RaftEventSimulationTest`"
        "a node comes back with nothing" run!(damage::empty_disk);
    32 "all-roles-killed" "Ottla"
        "controller, leader and coordinator in one kill" run!(kills::all_roles);
    33 "follower-alone-killed" "Ottla"
        "a node that leads nothing is killed" run!(kills::plain_follower);
    34 "mixed-versions" "KAFKA-20322"
        "two releases in one cluster"
        Elsewhere("there is no earlier release yet");
    35 "compacted" "KIP-534"
        "compaction under load, restarts and retries"
        Elsewhere("reference-broker/tests/log/compaction.rs: crashes at every step, retries");
    36 "slow-disk" "gray failures"
        "a write takes 25 ms and heartbeats are good: leader, controller, coordinator"
        run!(slow::writes);
    37 "reconnections" "Redpanda (recycle storm)"
        "2,000 clients connect at once, again and again"
        run!(records::reconnections);
    38 "late-commit" "KIP-345"
        "a member is paused and commits after the rebalance"
        Elsewhere("reference-broker/tests/scripts: commits of fenced members and generations");
    39 "hostile-replica-id" "Ottla"
        "a client fetches with a replica's id" run!(records::hostile_replica);
    40 "dated-2100" "Ottla"
        "records of 1970 and 2100 under retention by time"
        Elsewhere("reference-broker/tests/log/retention.rs");
    41 "poison" "Ottla"
        "batches with wrong counts, lengths and codecs"
        Elsewhere("the conformance suite: every defect is refused before it is stored");
    42 "unclean-election" "KIP-320"
        "the last resort: what is lost is told" run!(pauses::unclean);
}
