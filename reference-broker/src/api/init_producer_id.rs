//! InitProducerId (key 22), versions 0 to 5: an id for an idempotent producer.
//!
//! Transactions are left out (SKIPPED.md): a transactional id gets 15, which clients take for "no
//! coordinator yet" and retry until their own timeout. Ids are never given twice, not over restarts
//! either (M10).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::RequestContext;

pub(crate) async fn handle(
    context: &RequestContext,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refused = |code: ErrorCode| InitProducerIdResponse {
        error_code: code.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    };
    // KIP-360: either both or neither, whoever asks (K-IDEMPOTENCE-024).
    if (request.producer_id < 0) != (request.producer_epoch < 0) {
        return refused(ErrorCode::InvalidRequest);
    }
    match request.transactional_id.as_deref() {
        None => {}
        // TX-01
        Some("") => return refused(ErrorCode::InvalidRequest),
        Some(_) => return refused(ErrorCode::CoordinatorNotAvailable),
    }
    // An idempotent producer that asks again gets a new id: only transactional ones keep theirs.
    match context.broker.allocate_producer_id().await {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        },
        Err(error) => {
            tracing::warn!(%error.message, "cannot allocate producer ids");
            refused(ErrorCode::CoordinatorNotAvailable)
        }
    }
}
