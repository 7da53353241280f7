//! Request and response headers.
//!
//! A request header is read in two steps: the API key and version, which stand first in every
//! version, decide the version of the header itself. Header versions follow from the body's: a
//! flexible request has header 2, others 1; a flexible response has header 1, others 0. ApiVersions
//! responses always have header 0, because a client reads them before it knows anything (KIP-511).

use crate::encoder::Encoder;
use crate::error::{DecodeError, EncodeError};
use crate::messages::ApiKey;
pub use crate::messages::{RequestHeader, ResponseHeader};
use crate::wire::Message;
use alloc::borrow::ToOwned;
use bytes::Bytes;
use core::fmt;

/// Why a request cannot be read at all. The connection is closed without an answer, as Kafka does
/// (FRM-10, FRM-11), except for an unsupported version of ApiVersions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// The frame ends inside the API key, version or correlation id.
    TooShort(usize),
    /// No API that this crate knows.
    UnknownApi(i16),
    /// A version outside those of the API. `correlation_id` is read, since it stands at the same
    /// place in each header.
    UnsupportedVersion {
        /// The API.
        api: ApiKey,
        /// The version that was asked for.
        version: i16,
        /// What the answer, if there is one, has to echo.
        correlation_id: i32,
    },
    /// The rest of the header is malformed.
    Malformed(DecodeError),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(len) => {
                write!(f, "a request of {len} bytes: a header has at least 8")
            }
            Self::UnknownApi(key) => write!(f, "unknown API key {key}"),
            Self::UnsupportedVersion { api, version, .. } => {
                let valid = api.valid_versions();
                write!(
                    f,
                    "{} v{version} is not supported: versions {} to {} are",
                    api.name(),
                    valid.start(),
                    valid.end()
                )
            }
            Self::Malformed(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for HeaderError {}

/// Reads the header of a request; also returns the API and the offset of the body.
///
/// # Errors
///
/// See [`HeaderError`].
pub fn decode_request_header(frame: &Bytes) -> Result<(ApiKey, RequestHeader, usize), HeaderError> {
    let Some(fixed) = frame.first_chunk::<8>() else {
        return Err(HeaderError::TooShort(frame.len()));
    };
    let key = i16::from_be_bytes([fixed[0], fixed[1]]);
    let version = i16::from_be_bytes([fixed[2], fixed[3]]);
    let api = ApiKey::from_code(key).ok_or(HeaderError::UnknownApi(key))?;
    if !api.valid_versions().contains(&version) {
        let correlation_id = i32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        return Err(HeaderError::UnsupportedVersion { api, version, correlation_id });
    }
    let (header, end) =
        RequestHeader::decode_prefix(frame, 0, request_header_version(api, version))
            .map_err(HeaderError::Malformed)?;
    Ok((api, header, end))
}

/// Writes a request's header: `out` is the start of a frame.
///
/// # Errors
///
/// When the client id is longer than 32,767 bytes.
pub fn encode_request_header(
    out: &mut Encoder,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<(), EncodeError> {
    let header = RequestHeader {
        request_api_key: api as i16,
        request_api_version: version,
        correlation_id,
        client_id: client_id.map(str::to_owned),
        ..RequestHeader::default()
    };
    header.encode(out, request_header_version(api, version))
}

/// Reads the header of a response to a request of this API and version; also returns the offset of
/// the body.
///
/// # Errors
///
/// When the frame ends inside the header.
pub fn decode_response_header(
    frame: &Bytes,
    api: ApiKey,
    version: i16,
) -> Result<(ResponseHeader, usize), DecodeError> {
    ResponseHeader::decode_prefix(frame, 0, response_header_version(api, version))
}

/// Writes the header of a response to a request of this API and version.
pub fn encode_response_header(out: &mut Encoder, api: ApiKey, version: i16, correlation_id: i32) {
    out.put_slice(&correlation_id.to_be_bytes());
    if response_header_version(api, version) >= 1 {
        out.put_uvarint(0);
    }
}

/// The version of the header of a request.
pub fn request_header_version(api: ApiKey, version: i16) -> i16 {
    api.request_header_version(version)
}

/// The version of the header of a response.
pub fn response_header_version(api: ApiKey, version: i16) -> i16 {
    api.response_header_version(version)
}
