//! SaslHandshake (key 17), versions 0 to 1: there is no SASL on a plaintext listener (SE-08); the
//! connection stays.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{SaslHandshakeRequest, SaslHandshakeResponse};

use super::RequestContext;

pub(crate) async fn handle(
    _context: &RequestContext,
    _request: SaslHandshakeRequest,
) -> SaslHandshakeResponse {
    SaslHandshakeResponse {
        error_code: ErrorCode::IllegalSaslState.code(),
        ..SaslHandshakeResponse::default()
    }
}
