//! What an answer to a produce request means for a batch.

use crate::call::CallError;
use crate::error::{Error, ErrorKind};
use ottla_protocol::ErrorCode;

/// What to do with a batch after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in the log.
    Written,
    /// Send it again, as it is.
    Retry,
    /// Divide it, and send the parts.
    Split,
    /// Its sequence number is not the next: something before it is missing (45), or the broker
    /// forgot the producer (59).
    OutOfOrder,
    /// The broker does not accept this producer id and epoch: a new id is needed.
    IdentityLost,
    /// It failed.
    Fail,
    /// It failed, and so will every other.
    Fatal,
}

/// What an error code means (traps 2, 3 and 11).
pub(super) fn of_code(code: i16) -> Verdict {
    let Some(code) = ErrorCode::from_code(code) else { return Verdict::Fail };
    match code {
        // 46: the broker has the batch already; brokers since 1.0 answer success instead.
        ErrorCode::None | ErrorCode::DuplicateSequenceNumber => Verdict::Written,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => Verdict::Split,
        ErrorCode::OutOfOrderSequenceNumber | ErrorCode::UnknownProducerId => Verdict::OutOfOrder,
        ErrorCode::InvalidProducerEpoch | ErrorCode::InvalidProducerIdMapping => {
            Verdict::IdentityLost
        }
        ErrorCode::ProducerFenced
        | ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TransactionalIdAuthorizationFailed => Verdict::Fatal,
        code if code.is_retriable() => Verdict::Retry,
        _ => Verdict::Fail,
    }
}

/// Whether the batch may be in the log although the broker answered this (trap 11). Only codes that
/// a broker answers before it appends are certain; 6 is not, since leadership may be lost while the
/// append waits for its replicas.
pub(super) fn is_possibly_written(code: i16) -> bool {
    let Some(code) = ErrorCode::from_code(code) else { return true };
    !matches!(
        code,
        ErrorCode::CorruptMessage
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::MessageTooLarge
            | ErrorCode::InvalidTopicException
            | ErrorCode::RecordListTooLarge
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::InvalidRequiredAcks
            | ErrorCode::TopicAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::TransactionalIdAuthorizationFailed
            | ErrorCode::InvalidTimestamp
            | ErrorCode::UnsupportedVersion
            | ErrorCode::InvalidRequest
            | ErrorCode::UnsupportedForMessageFormat
            | ErrorCode::PolicyViolation
            | ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::UnknownProducerId
            | ErrorCode::UnsupportedCompressionType
            | ErrorCode::InvalidRecord
            | ErrorCode::ProducerFenced
    )
}

/// Whether the leader may have moved.
pub(super) fn wants_metadata(code: i16) -> bool {
    matches!(
        ErrorCode::from_code(code),
        Some(
            ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::InconsistentTopicId
                | ErrorCode::LeaderNotAvailable
                | ErrorCode::NotLeaderOrFollower
                | ErrorCode::ReplicaNotAvailable
                | ErrorCode::KafkaStorageError
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::UnknownLeaderEpoch
                | ErrorCode::NetworkException
        )
    )
}

/// What a call without an answer means.
pub(super) fn of_call_error(error: &CallError) -> Verdict {
    match error {
        CallError::UnsupportedVersion { .. } | CallError::Closed { .. } => Verdict::Fatal,
        CallError::Encode(_) | CallError::Decode(_) => Verdict::Fail,
        CallError::Disconnected { .. } | CallError::Timeout { .. } | CallError::NoBroker(_) => {
            Verdict::Retry
        }
    }
}

/// The error of a batch whose delivery timeout is over.
pub(super) fn expired(topic: &str, partition: i32, limit_ms: u128, last: Option<&Error>) -> Error {
    let text = format!(
        "records for {topic}-{partition} were not acknowledged within delivery.timeout.ms \
         ({limit_ms} ms)"
    );
    let mut error = Error::new(ErrorKind::Timeout, text);
    if let Some(last) = last {
        error = error.with_note(format_args!("the last attempt: {}", last.message()));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap 11, code by code.
    #[test]
    fn only_codes_from_before_the_append_say_not_written() {
        for code in [2, 10, 19, 87, 45, 47] {
            assert!(!is_possibly_written(code), "{code}");
        }
        for code in [7, 20, 6, 13, -1, 56, 9999] {
            assert!(is_possibly_written(code), "{code}");
        }
    }

    #[test]
    fn verdicts_follow_the_code() {
        assert_eq!(of_code(0), Verdict::Written);
        assert_eq!(of_code(46), Verdict::Written);
        assert_eq!(of_code(6), Verdict::Retry);
        assert_eq!(of_code(10), Verdict::Split);
        assert_eq!(of_code(45), Verdict::OutOfOrder);
        assert_eq!(of_code(47), Verdict::IdentityLost);
        assert_eq!(of_code(87), Verdict::Fail);
        assert_eq!(of_code(90), Verdict::Fatal);
        assert_eq!(of_code(12345), Verdict::Fail);
    }
}
