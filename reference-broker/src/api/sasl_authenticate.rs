//! SaslAuthenticate (key 36), versions 0 to 2: there is no SASL on a plaintext listener (SE-08);
//! the connection stays.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};

use super::RequestContext;

pub(crate) async fn handle(
    _context: &RequestContext,
    _request: SaslAuthenticateRequest,
) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse {
        error_code: ErrorCode::IllegalSaslState.code(),
        error_message: Some(
            "SaslAuthenticate request received after successful authentication".into(),
        ),
        ..SaslAuthenticateResponse::default()
    }
}
