//! Producer ids, handed out from blocks that the metadata log allocates (M10, KIP-730).

use std::ops::Range;

use tokio::sync::Mutex;

use super::Broker;
use crate::quorum::{Command, Outcome, PRODUCER_ID_BLOCK_LEN, Rejection};

/// What is left of this incarnation's block. A block that was begun before a restart is never used
/// up: its rest is lost, so that no id is given twice.
#[derive(Debug, Default)]
pub(super) struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    pub(super) async fn next(&self, broker: &Broker) -> Result<i64, Rejection> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let command = Command::AllocateProducerIds {
                node_id: broker.parts.node_id,
                broker_epoch: broker.parts.broker_epoch,
            };
            let Outcome::ProducerIds(first) = broker.propose(command).await? else {
                unreachable!("an allocation is answered with a block or refused");
            };
            *block = first..first + PRODUCER_ID_BLOCK_LEN;
        }
        Ok(block.next().expect("the block was just filled"))
    }
}
