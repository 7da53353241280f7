//! Control records: what brokers write into a partition for themselves. Key: int16 version, int16
//! type.

use alloc::string::String;
use nom::Parser;
use nom::number::complete::be_i16;

use super::error::{RecordError, RecordErrorKind};
use super::header::BATCH_HEADER_LEN;
use crate::error::Trace;

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ControlType {
    /// A transaction was aborted.
    Abort,
    /// A transaction was committed.
    Commit,
    /// KRaft: a new leader of the metadata log.
    LeaderChange,
    /// KRaft: the first record of a snapshot.
    SnapshotHeader,
    /// KRaft: the last record of a snapshot.
    SnapshotFooter,
    /// KRaft: the protocol version of the quorum.
    KraftVersion,
    /// KRaft: the set of voters.
    KraftVoters,
    /// A type that this version does not know, to be skipped.
    Unknown(i16),
}

impl ControlType {
    /// From the number in a control record's key.
    pub fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KraftVersion,
            6 => Self::KraftVoters,
            other => Self::Unknown(other),
        }
    }

    /// The number in a control record's key.
    pub fn code(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KraftVersion => 5,
            Self::KraftVoters => 6,
            Self::Unknown(code) => code,
        }
    }

    /// Kafka's name, for example `COMMIT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Abort => "ABORT",
            Self::Commit => "COMMIT",
            Self::LeaderChange => "LEADER_CHANGE",
            Self::SnapshotHeader => "SNAPSHOT_HEADER",
            Self::SnapshotFooter => "SNAPSHOT_FOOTER",
            Self::KraftVersion => "KRAFT_VERSION",
            Self::KraftVoters => "KRAFT_VOTERS",
            Self::Unknown(_) => "UNKNOWN",
        }
    }

    /// Reads a control record's key. Any version from 0 on is taken, and what follows the type is
    /// left to it.
    pub fn from_key(key: Option<&[u8]>) -> Result<Self, RecordError> {
        let key = key.unwrap_or_default();
        match (be_i16::<_, Trace>, be_i16).parse(key) {
            Ok((_, (version, code))) if version >= 0 => Ok(Self::from_code(code)),
            Ok((_, (version, _))) => Err(bad_key(format!("control key version is {version}"))),
            Err(_) => Err(bad_key(format!("a control key of {} bytes, at least 4", key.len()))),
        }
    }

    /// The key of a control record of this type, version 0.
    pub fn to_key(self) -> [u8; 4] {
        let [high, low] = self.code().to_be_bytes();
        [0, 0, high, low]
    }
}

/// The value of a transaction marker: version 0 and the coordinator's epoch (`EndTxnMarker`).
pub fn end_transaction_value(coordinator_epoch: i32) -> [u8; 6] {
    let [a, b, c, d] = coordinator_epoch.to_be_bytes();
    [0, 0, a, b, c, d]
}

#[cold]
fn bad_key(what: String) -> RecordError {
    RecordError::new(RecordErrorKind::Malformed, BATCH_HEADER_LEN, what).at_record(0)
}
