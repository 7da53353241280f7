//! The settings as the engine reads them, and the rules between them.

use std::time::Duration;

use super::reader::Reader;
use super::value::Value;
use super::{Config, ConfigError};

/// Who must have a record before it counts as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// Nobody: the broker does not answer.
    None,
    /// The partition's leader.
    Leader,
    /// Every in-sync replica.
    All,
}

impl Acks {
    /// The value in a produce request.
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How batches are compressed; the codec itself is `ottla_protocol::records::Compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionType {
    /// Not at all.
    None,
    /// At zlib's levels.
    Gzip,
    /// Without levels.
    Snappy,
    /// Without levels here.
    Lz4,
    /// At zstd's levels.
    Zstd,
}

/// How a record without a partition gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionerKind {
    /// By key as in Java, sticky without one.
    Murmur2,
    /// By key as in librdkafka, sticky without one or with an empty one.
    Crc32,
    /// A batch's worth per partition.
    Sticky,
    /// In turn.
    RoundRobin,
}

/// How a group's partitions are shared among its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Consecutive partitions of each topic.
    Range,
    /// All partitions dealt one by one.
    RoundRobin,
    /// Balanced, keeping what members had.
    Sticky,
    /// As sticky, without stopping what stays (KIP-429).
    CooperativeSticky,
}

impl Assignor {
    /// The name in the group protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }
}

/// Where to start without a committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the first record that is there.
    Earliest,
    /// At the next record that is written.
    Latest,
    /// Nowhere: an error.
    None,
    /// At the first record that is at most this old.
    ByDuration(Duration),
    /// At the first record with this timestamp or a later one.
    Timestamp {
        /// Milliseconds since 1970.
        timestamp_ms: i64,
    },
}

/// Which records of transactions are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationLevel {
    /// All.
    ReadUncommitted,
    /// Those of committed transactions, up to the first open one.
    ReadCommitted,
}

impl IsolationLevel {
    /// The value in fetch and list-offsets requests.
    pub fn code(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// What every client has.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each field is the setting of its name, documented in the table")]
pub struct CommonConfig {
    pub bootstrap_servers: Vec<String>,
    pub client_id: String,
    pub request_timeout: Duration,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    pub metadata_max_age: Duration,
    pub reconnect_backoff: Duration,
    pub reconnect_backoff_max: Duration,
    pub socket_connection_setup_timeout: Duration,
    pub socket_connection_setup_timeout_max: Duration,
    /// `None`: connections are never closed for idleness.
    pub connections_max_idle: Option<Duration>,
    /// `None`: left to the operating system.
    pub send_buffer_bytes: Option<u32>,
    /// `None`: left to the operating system.
    pub receive_buffer_bytes: Option<u32>,
}

/// What a producer has.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each field is the setting of its name, documented in the table")]
pub struct ProducerConfig {
    pub common: CommonConfig,
    pub acks: Acks,
    pub enable_idempotence: bool,
    pub retries: u32,
    pub delivery_timeout: Duration,
    pub max_in_flight_requests_per_connection: u32,
    pub linger: Duration,
    pub batch_size_bytes: usize,
    pub buffer_memory_bytes: u64,
    pub max_block: Duration,
    pub max_request_size_bytes: usize,
    pub metadata_max_idle: Duration,
    pub compression: CompressionType,
    /// The level of the codec in `compression`, where that codec has levels.
    pub compression_level: Option<i32>,
    pub partitioner: PartitionerKind,
    pub partitioner_ignore_keys: bool,
    pub partitioner_adaptive_partitioning_enable: bool,
    /// `None`: partitions that are not available are not told apart by time.
    pub partitioner_availability_timeout: Option<Duration>,
}

/// What a consumer has.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each field is the setting of its name, documented in the table")]
pub struct ConsumerConfig {
    pub common: CommonConfig,
    pub group_id: Option<String>,
    pub group_instance_id: Option<String>,
    pub partition_assignment_strategy: Vec<Assignor>,
    pub session_timeout: Duration,
    pub heartbeat_interval: Duration,
    pub max_poll_interval: Duration,
    pub auto_offset_reset: OffsetReset,
    pub enable_auto_commit: bool,
    pub auto_commit_interval: Duration,
    pub isolation_level: IsolationLevel,
    pub client_rack: String,
    pub fetch_min_bytes: i32,
    pub fetch_max_bytes: i32,
    pub fetch_max_wait: Duration,
    pub max_partition_fetch_bytes: i32,
    pub check_crcs: bool,
    pub allow_auto_create_topics: bool,
    pub default_api_timeout: Duration,
}

/// What an admin client has.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each field is the setting of its name, documented in the table")]
pub struct AdminConfig {
    pub common: CommonConfig,
    pub retries: u32,
    pub default_api_timeout: Duration,
}

impl CommonConfig {
    fn read(config: &Config) -> Result<Self, ConfigError> {
        let read = Reader(config);
        let Some(Value::List(bootstrap_servers)) = config.value("bootstrap.servers") else {
            let example = "127.0.0.1:9092";
            return Err(ConfigError::Missing { name: "bootstrap.servers", example });
        };
        let (retry_backoff, retry_backoff_max) =
            read.growing("retry.backoff.ms", "retry.backoff.max.ms")?;
        let (reconnect_backoff, reconnect_backoff_max) =
            read.growing("reconnect.backoff.ms", "reconnect.backoff.max.ms")?;
        let (socket_connection_setup_timeout, socket_connection_setup_timeout_max) = read.growing(
            "socket.connection.setup.timeout.ms",
            "socket.connection.setup.timeout.max.ms",
        )?;
        Ok(Self {
            bootstrap_servers,
            client_id: read.text("client.id").unwrap_or_default(),
            request_timeout: read.millis("request.timeout.ms"),
            retry_backoff,
            retry_backoff_max,
            metadata_max_age: read.millis("metadata.max.age.ms"),
            reconnect_backoff,
            reconnect_backoff_max,
            socket_connection_setup_timeout,
            socket_connection_setup_timeout_max,
            connections_max_idle: (read.integer("connections.max.idle.ms") >= 0)
                .then(|| read.millis("connections.max.idle.ms")),
            send_buffer_bytes: u32::try_from(read.integer("send.buffer.bytes")).ok(),
            receive_buffer_bytes: u32::try_from(read.integer("receive.buffer.bytes")).ok(),
        })
    }
}

impl ProducerConfig {
    pub(super) fn read(config: &Config) -> Result<Self, ConfigError> {
        let read = Reader(config);
        let compression = read.compression();
        let mut producer = Self {
            common: CommonConfig::read(config)?,
            acks: match read.required_text("acks").as_str() {
                "0" => Acks::None,
                "1" => Acks::Leader,
                _ => Acks::All,
            },
            enable_idempotence: read.flag("enable.idempotence"),
            retries: read.bounded("retries"),
            delivery_timeout: read.millis("delivery.timeout.ms"),
            max_in_flight_requests_per_connection: read
                .bounded("max.in.flight.requests.per.connection"),
            linger: read.millis("linger.ms"),
            batch_size_bytes: read.bounded("batch.size"),
            buffer_memory_bytes: read.bounded("buffer.memory"),
            max_block: read.millis("max.block.ms"),
            max_request_size_bytes: read.bounded("max.request.size"),
            metadata_max_idle: read.millis("metadata.max.idle.ms"),
            compression,
            compression_level: read.compression_level(compression),
            partitioner: match read.required_text("partitioner").as_str() {
                "crc32" => PartitionerKind::Crc32,
                "sticky" => PartitionerKind::Sticky,
                "round-robin" => PartitionerKind::RoundRobin,
                _ => PartitionerKind::Murmur2,
            },
            partitioner_ignore_keys: read.flag("partitioner.ignore.keys"),
            partitioner_adaptive_partitioning_enable: read
                .flag("partitioner.adaptive.partitioning.enable"),
            partitioner_availability_timeout: Some(
                read.millis("partitioner.availability.timeout.ms"),
            )
            .filter(|timeout| !timeout.is_zero()),
        };
        producer.settle_idempotence(config)?;
        producer.settle_delivery_timeout(config)?;
        producer.check_memory()?;
        Ok(producer)
    }

    /// As the Java client: what conflicts with idempotence turns it off, unless it was asked for.
    fn settle_idempotence(&mut self, config: &Config) -> Result<(), ConfigError> {
        if !self.enable_idempotence {
            return Ok(());
        }
        let conflict = if self.acks != Acks::All {
            "acks=all"
        } else if self.max_in_flight_requests_per_connection > 5 {
            "max.in.flight.requests.per.connection of at most 5"
        } else if self.retries == 0 {
            "retries of at least 1"
        } else {
            return Ok(());
        };
        if config.is_set("enable.idempotence") {
            return Err(ConfigError::Conflict {
                message: format!(
                    "enable.idempotence=true needs {conflict}: change that or turn idempotence off"
                ),
            });
        }
        self.enable_idempotence = false;
        Ok(())
    }

    /// As the Java client: a default that is too short grows, a value of the user's is refused.
    fn settle_delivery_timeout(&mut self, config: &Config) -> Result<(), ConfigError> {
        let shortest = self.linger.saturating_add(self.common.request_timeout);
        if self.delivery_timeout >= shortest {
            return Ok(());
        }
        if config.is_set("delivery.timeout.ms") {
            return Err(ConfigError::Conflict {
                message: format!(
                    "delivery.timeout.ms is {} ms: it must be at least linger.ms + \
                     request.timeout.ms, {} ms",
                    self.delivery_timeout.as_millis(),
                    shortest.as_millis()
                ),
            });
        }
        self.delivery_timeout = shortest;
        Ok(())
    }

    fn check_memory(&self) -> Result<(), ConfigError> {
        if self.buffer_memory_bytes >= self.batch_size_bytes as u64 {
            return Ok(());
        }
        Err(ConfigError::Conflict {
            message: format!(
                "buffer.memory is {} bytes: it must hold at least one batch, and batch.size is {}",
                self.buffer_memory_bytes, self.batch_size_bytes
            ),
        })
    }
}

impl ConsumerConfig {
    pub(super) fn read(config: &Config) -> Result<Self, ConfigError> {
        let read = Reader(config);
        let mut consumer = Self {
            common: CommonConfig::read(config)?,
            group_id: read.text("group.id").filter(|id| !id.is_empty()),
            group_instance_id: read.text("group.instance.id").filter(|id| !id.is_empty()),
            partition_assignment_strategy: read.assignors(),
            session_timeout: read.millis("session.timeout.ms"),
            heartbeat_interval: read.millis("heartbeat.interval.ms"),
            max_poll_interval: read.millis("max.poll.interval.ms"),
            auto_offset_reset: match config.value("auto.offset.reset") {
                Some(Value::OffsetReset(reset, _)) => reset,
                _ => unreachable!("auto.offset.reset has a default of its own kind"),
            },
            enable_auto_commit: read.flag("enable.auto.commit"),
            auto_commit_interval: read.millis("auto.commit.interval.ms"),
            isolation_level: match read.required_text("isolation.level").as_str() {
                "read_committed" => IsolationLevel::ReadCommitted,
                _ => IsolationLevel::ReadUncommitted,
            },
            client_rack: read.text("client.rack").unwrap_or_default(),
            fetch_min_bytes: read.bounded("fetch.min.bytes"),
            fetch_max_bytes: read.bounded("fetch.max.bytes"),
            fetch_max_wait: read.millis("fetch.max.wait.ms"),
            max_partition_fetch_bytes: read.bounded("max.partition.fetch.bytes"),
            check_crcs: read.flag("check.crcs"),
            allow_auto_create_topics: read.flag("allow.auto.create.topics"),
            default_api_timeout: read.millis("default.api.timeout.ms"),
        };
        consumer.settle_group(config)?;
        Ok(consumer)
    }

    fn settle_group(&mut self, config: &Config) -> Result<(), ConfigError> {
        let conflict = |message: String| Err(ConfigError::Conflict { message });
        if self.heartbeat_interval >= self.session_timeout {
            return conflict(format!(
                "heartbeat.interval.ms is {} ms: it must be less than session.timeout.ms, {} ms",
                self.heartbeat_interval.as_millis(),
                self.session_timeout.as_millis()
            ));
        }
        if self.fetch_max_wait >= self.common.request_timeout {
            return conflict(format!(
                "fetch.max.wait.ms is {} ms: it must be less than request.timeout.ms, {} ms",
                self.fetch_max_wait.as_millis(),
                self.common.request_timeout.as_millis()
            ));
        }
        if self.group_id.is_some() {
            return Ok(());
        }
        if self.group_instance_id.is_some() {
            return conflict("group.instance.id is set without group.id: set both".to_owned());
        }
        if self.enable_auto_commit && config.is_set("enable.auto.commit") {
            return conflict(
                "enable.auto.commit=true needs group.id: offsets are committed for a group"
                    .to_owned(),
            );
        }
        self.enable_auto_commit = false;
        Ok(())
    }
}

impl AdminConfig {
    pub(super) fn read(config: &Config) -> Result<Self, ConfigError> {
        let read = Reader(config);
        Ok(Self {
            common: CommonConfig::read(config)?,
            retries: read.bounded("retries"),
            default_api_timeout: read.millis("default.api.timeout.ms"),
        })
    }
}
