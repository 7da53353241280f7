//! What is in force for one topic: its own settings over the broker's over the defaults.

use std::collections::BTreeMap;

use ottla_protocol::records::TimestampType;

use super::property::{ConfigError, nearest, split_list};
use super::{Config, Property, table};
use crate::log::LogConfig;

/// The settings of a topic that the broker acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// Whether records without a key are refused because the topic is compacted (PR-15).
    pub compacted: bool,
    /// Whether old segments are deleted.
    pub deletes: bool,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub min_cleanable_dirty_ppm: u32,
    /// How long a record stays uncompacted at least, in milliseconds.
    pub min_compaction_lag_ms: i64,
    /// How long a record may wait to be compacted, in milliseconds.
    pub max_compaction_lag_ms: i64,
    /// How long a compacted tombstone stays, in milliseconds.
    pub delete_retention_ms: i64,
    /// Records after which the log is synced; 1 holds the high watermark at what is on disk (M12).
    pub flush_messages: i64,
    /// Milliseconds after which the log is synced.
    pub flush_ms: i64,
    /// Bytes between entries of the offset index.
    pub index_interval_bytes: i32,
    /// The largest size of an index file in bytes.
    pub segment_index_bytes: i32,
    /// The largest batch in bytes.
    pub max_message_bytes: i32,
    /// How far ahead of the clock a timestamp may be, in milliseconds.
    pub timestamp_after_max_ms: i64,
    /// How far behind the clock a timestamp may be, in milliseconds.
    pub timestamp_before_max_ms: i64,
    /// Whether the broker's clock gives the timestamps.
    pub log_append_time: bool,
    /// Replicas that must have a record before it is committed.
    pub min_insync_replicas: i32,
    /// How long a replica may lag and stay in sync, in milliseconds; the broker's setting.
    pub replica_lag_max_ms: u64,
    /// Bytes above which old segments are deleted; none is unlimited.
    pub retention_bytes: Option<u64>,
    /// Age in milliseconds at which segments are deleted; none is unlimited.
    pub retention_ms: Option<u64>,
    /// Bytes at which a segment is rolled.
    pub segment_bytes: i32,
    /// Age in milliseconds at which a segment is rolled.
    pub segment_ms: i64,
}

impl TopicConfig {
    /// Resolves a topic's own settings over the broker's.
    pub fn resolve(own: &BTreeMap<String, String>, broker: &Config) -> Self {
        let long = |name: &str| -> i64 {
            effective(name, own, broker).parse().expect("values were checked when they were set")
        };
        let int = |name: &str| i32::try_from(long(name)).expect("the table bounds 32-bit numbers");
        let unlimited = |value: i64| u64::try_from(value).ok();
        let ppm = |name: &str| {
            let ratio: f64 = effective(name, own, broker).parse().unwrap_or(0.5);
            (ratio * 1e6) as u32
        };
        let policy = effective("cleanup.policy", own, broker);
        Self {
            compacted: split_list(&policy).any(|word| word == "compact"),
            deletes: split_list(&policy).any(|word| word == "delete"),
            min_cleanable_dirty_ppm: ppm("min.cleanable.dirty.ratio"),
            min_compaction_lag_ms: long("min.compaction.lag.ms"),
            max_compaction_lag_ms: long("max.compaction.lag.ms"),
            delete_retention_ms: long("delete.retention.ms"),
            flush_messages: long("flush.messages"),
            flush_ms: long("flush.ms"),
            index_interval_bytes: int("index.interval.bytes"),
            segment_index_bytes: int("segment.index.bytes"),
            max_message_bytes: int("max.message.bytes"),
            timestamp_after_max_ms: long("message.timestamp.after.max.ms"),
            timestamp_before_max_ms: long("message.timestamp.before.max.ms"),
            log_append_time: effective("message.timestamp.type", own, broker) == "LogAppendTime",
            min_insync_replicas: int("min.insync.replicas"),
            replica_lag_max_ms: u64::try_from(broker.long("replica.lag.time.max.ms"))
                .unwrap_or(u64::MAX),
            retention_bytes: unlimited(long("retention.bytes")),
            retention_ms: unlimited(long("retention.ms")),
            segment_bytes: int("segment.bytes"),
            segment_ms: long("segment.ms"),
        }
    }
}

impl TopicConfig {
    /// Only what is on disk is acknowledged (M12).
    pub fn flush_before_ack(&self) -> bool {
        self.flush_messages == 1
    }

    /// What the log of a partition has to know.
    pub(crate) fn log_config(&self, broker: &Config) -> LogConfig {
        let or_unlimited =
            |value: Option<u64>| value.map_or(-1, |value| i64::try_from(value).unwrap_or(i64::MAX));
        let bytes = |value: i32| u32::try_from(value).expect("the table bounds sizes");
        LogConfig {
            segment_bytes: bytes(self.segment_bytes),
            // Only sealed segments are compacted.
            segment_ms: match self.compacted {
                true => self.segment_ms.min(self.max_compaction_lag_ms),
                false => self.segment_ms,
            },
            index_interval_bytes: bytes(self.index_interval_bytes),
            segment_index_bytes: bytes(self.segment_index_bytes),
            retention_ms: or_unlimited(self.retention_ms),
            retention_bytes: or_unlimited(self.retention_bytes),
            flush_messages: u64::try_from(self.flush_messages).unwrap_or(u64::MAX),
            flush_ms: self.flush_ms,
            cleanup_delete: self.deletes,
            cleanup_compact: self.compacted,
            min_cleanable_dirty_ppm: self.min_cleanable_dirty_ppm,
            min_compaction_lag_ms: self.min_compaction_lag_ms,
            max_compaction_lag_ms: self.max_compaction_lag_ms,
            delete_retention_ms: self.delete_retention_ms,
            timestamp_type: match self.log_append_time {
                true => TimestampType::LogAppendTime,
                false => TimestampType::CreateTime,
            },
            producer_id_expiration_ms: broker.long("producer.id.expiration.ms"),
        }
    }
}

/// The value in force for a topic, as text.
fn effective(name: &str, own: &BTreeMap<String, String>, broker: &Config) -> String {
    if let Some(value) = own.get(name) {
        return value.clone();
    }
    let property = table::topic(name).expect("code asks only for names of the table");
    broker_value(property, broker)
}

/// What holds for a topic's property where the topic sets nothing.
pub(crate) fn broker_value(property: &Property, broker: &Config) -> String {
    match property.name {
        "retention.ms" => retention_ms(broker).to_string(),
        "segment.ms" => roll_ms(broker).to_string(),
        _ => property.broker_name.map_or(property.default, |name| broker.text(name)).to_owned(),
    }
}

/// `log.retention.ms`, else minutes, else hours; -1 is unlimited.
pub fn retention_ms(broker: &Config) -> i64 {
    let scaled = |value: i64, unit_ms: i64| if value < 0 { -1 } else { value * unit_ms };
    if !broker.text("log.retention.ms").is_empty() {
        broker.long("log.retention.ms")
    } else if !broker.text("log.retention.minutes").is_empty() {
        scaled(broker.long("log.retention.minutes"), 60_000)
    } else {
        scaled(broker.long("log.retention.hours"), 3_600_000)
    }
}

/// `log.roll.ms`, else hours.
pub fn roll_ms(broker: &Config) -> i64 {
    if broker.text("log.roll.ms").is_empty() {
        broker.long("log.roll.hours") * 3_600_000
    } else {
        broker.long("log.roll.ms")
    }
}

/// Checks a topic's own setting (AD-05); `Ok(false)` means that it is a Kafka property without
/// effect here.
pub fn check_topic_config(name: &str, value: &str) -> Result<bool, ConfigError> {
    if let Some(property) = table::topic(name) {
        return property.check(value).map(|()| true);
    }
    if table::TOPIC_IGNORED.contains(&name) {
        return Ok(false);
    }
    let hint = match nearest(name, table::TOPIC.iter().map(|property| property.name)) {
        Some(near) => format!(", did you mean '{near}'?"),
        None => String::new(),
    };
    Err(ConfigError(format!("unknown topic config name '{name}'{hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_overrides_the_broker_which_overrides_the_default() {
        let broker = Config::new().set("log.retention.minutes", "2").unwrap();
        let mut own = BTreeMap::new();
        assert_eq!(TopicConfig::resolve(&own, &broker).retention_ms, Some(120_000));
        own.insert("retention.ms".to_owned(), "-1".to_owned());
        own.insert("cleanup.policy".to_owned(), "compact, delete".to_owned());
        let config = TopicConfig::resolve(&own, &broker);
        assert_eq!(config.retention_ms, None);
        assert!(config.compacted && config.deletes);
    }

    #[test]
    fn retention_prefers_ms_over_minutes_over_hours() {
        let hours = Config::new().set("log.retention.hours", "-1").unwrap();
        assert_eq!(retention_ms(&hours), -1);
        let ms = hours.set("log.retention.minutes", "1").unwrap().set("log.retention.ms", "5");
        assert_eq!(retention_ms(&ms.unwrap()), 5);
    }

    #[test]
    fn unknown_topic_config_names_the_nearest() {
        let error = check_topic_config("retention.m", "1").unwrap_err().to_string();
        assert!(error.contains("did you mean 'retention.ms'"), "{error}");
        assert_eq!(check_topic_config("preallocate", "true"), Ok(false));
    }
}
