//! Asking a broker for its API versions, which begins with guessing the version of the question
//! (KIP-511).
//!
//! The question goes out in our newest version. A broker that does not know it answers error 35 in
//! version 0, with the range it does know, and is asked again on the same connection. (One that
//! closes the connection instead is asked in version 0 on the next.)

use super::{VersionTable, stable_versions};
use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, Request};

/// The state of the dance.
#[derive(Debug, Clone)]
pub(super) struct Negotiation {
    asked: i16,
    refusals: u32,
}

/// What an answer leads to.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    Done(VersionTable),
    /// Ask again, in the version that is now asked for.
    Again,
    Failed(String),
}

impl Negotiation {
    pub(super) fn new(start: i16) -> Self {
        Self { asked: start, refusals: 0 }
    }

    /// The version of the question.
    pub(super) fn asked_version(&self) -> i16 {
        self.asked
    }

    pub(super) fn request(&self) -> Request {
        let named = self.asked >= 3;
        let text = |value: &str| if named { value.to_owned() } else { String::new() };
        Request::ApiVersions(Box::new(ApiVersionsRequest {
            client_software_name: text("ottla"),
            client_software_version: text(env!("CARGO_PKG_VERSION")),
            ..Default::default()
        }))
    }

    /// The version that an answer is written in: 0 where it is a refusal, whatever was asked.
    pub(super) fn answer_version(&self, frame: &Bytes) -> i16 {
        let refusal = ErrorCode::UnsupportedVersion.code().to_be_bytes();
        // The header of this response is always version 0: four bytes of correlation id.
        if frame.get(4..6) == Some(&refusal[..]) { 0 } else { self.asked }
    }

    pub(super) fn handle_response(&mut self, body: &ApiVersionsResponse) -> Step {
        if body.error_code == ErrorCode::UnsupportedVersion.code() {
            return self.on_refusal(body);
        }
        if body.error_code != 0 {
            let code = body.error_code;
            return Step::Failed(format!("the broker answered ApiVersions with error {code}"));
        }
        // An empty list with error 0 offers nothing: the loop over it would call that success (trap
        // 15).
        if body.api_keys.is_empty() {
            return Step::Failed("the broker answered ApiVersions with an empty list".into());
        }
        Step::Done(VersionTable::new(&body.api_keys))
    }

    fn on_refusal(&mut self, body: &ApiVersionsResponse) -> Step {
        let offered = VersionTable::new(&body.api_keys).offered(ApiKey::ApiVersions);
        // Brokers before 2.4 do not say which versions they know; all know 0.
        let (min, max) = offered.unwrap_or((0, 0));
        let next = max.min(*stable_versions(ApiKey::ApiVersions).end());
        self.refusals += 1;
        if self.refusals > 2 || next >= self.asked || next < min || next < 0 {
            return Step::Failed(format!(
                "the broker refuses ApiVersions v{} and offers versions {min} to {max}",
                self.asked
            ));
        }
        self.asked = next;
        Step::Again
    }
}
