//! A follower's half of a fetch session (KIP-227): the leader knows what was asked before, so a
//! fetch names only what is other.

use std::collections::BTreeMap;

use ottla_protocol::Uuid;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};
use ottla_protocol::messages::{FetchRequest, FetchResponse};

/// What one leader was last asked, and under which number it remembers that. Without a session,
/// and after an answer that was lost or refused, everything is asked: epoch 0.
#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    epoch: i32,
    asked: BTreeMap<([u8; 16], i32), FetchPartition>,
}

impl Session {
    /// Whether the next answer has only what is new.
    pub(super) fn is_incremental(&self) -> bool {
        self.epoch != 0
    }

    /// The part of a request that is the session's; partitions of a topic stand together.
    pub(super) fn request<'a>(
        &mut self,
        asks: impl IntoIterator<Item = (Uuid, &'a FetchPartition)>,
    ) -> FetchRequest {
        let mut request = FetchRequest {
            session_id: self.id,
            session_epoch: self.epoch,
            ..FetchRequest::default()
        };
        let mut before = std::mem::take(&mut self.asked);
        for (topic_id, asked) in asks {
            let known = before.remove(&(topic_id.0, asked.partition));
            if !self.is_incremental() || known.as_ref() != Some(asked) {
                if request.topics.last().is_none_or(|topic| topic.topic_id != topic_id) {
                    request.topics.push(FetchTopic { topic_id, ..FetchTopic::default() });
                }
                let topic = request.topics.last_mut().expect("it was pushed");
                topic.partitions.push(asked.clone());
            }
            self.asked.insert((topic_id.0, asked.partition), asked.clone());
        }
        for (topic_id, partition) in before.into_keys().filter(|_| self.epoch != 0) {
            let topic_id = Uuid(topic_id);
            let forgotten = &mut request.forgotten_topics_data;
            if forgotten.last().is_none_or(|topic| topic.topic_id != topic_id) {
                forgotten.push(ForgottenTopic { topic_id, ..ForgottenTopic::default() });
            }
            forgotten.last_mut().expect("it was pushed").partitions.push(partition);
        }
        request
    }

    /// The request was answered, and has no error of its own.
    pub(super) fn on_answer(&mut self, answer: &FetchResponse) {
        self.epoch = match self.epoch {
            _ if answer.session_id == 0 => 0,
            i32::MAX => 1,
            epoch => epoch + 1,
        };
        self.id = answer.session_id;
    }

    /// What the leader told may be lost, or it knows no such session: the next request names all,
    /// and closes the former session.
    pub(super) fn begin_again(&mut self) {
        self.epoch = 0;
    }
}
