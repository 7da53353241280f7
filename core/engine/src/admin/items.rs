//! The items of an operation: those that are open, and the outcomes of those that are settled.

use super::{Outcomes, is_transient};
use crate::error::Error;
use ottla_protocol::ErrorCode;
use std::collections::BTreeMap;

/// Items by key.
#[derive(Debug)]
pub(super) struct Items<K, S, T> {
    pub(super) open: BTreeMap<K, S>,
    settled: Outcomes<K, T>,
    last_transient: Option<ErrorCode>,
}

impl<K: Ord + Clone, S, T> Items<K, S, T> {
    pub(super) fn new(items: impl IntoIterator<Item = (K, S)>) -> Self {
        Self { open: items.into_iter().collect(), settled: BTreeMap::new(), last_transient: None }
    }

    /// Takes a broker's verdict on one item. A transient one leaves it open.
    pub(super) fn settle(
        &mut self,
        key: &K,
        code: i16,
        message: Option<&str>,
        what: impl std::fmt::Display,
        value: impl FnOnce() -> T,
    ) {
        if let Some(code) = ErrorCode::from_code(code).filter(|code| is_transient(*code)) {
            self.last_transient = Some(code);
            return;
        }
        if self.open.remove(key).is_none() {
            return;
        }
        let outcome = if code == 0 {
            Ok(value())
        } else {
            let error = Error::from_raw_code(code, what);
            Err(match message {
                Some(message) if !message.is_empty() => {
                    error.with_note(format!("the broker says: {message}"))
                }
                _ => error,
            })
        };
        self.settled.insert(key.clone(), outcome);
    }

    /// All outcomes, once none is open.
    pub(super) fn finished(&mut self) -> Option<Outcomes<K, T>> {
        self.open.is_empty().then(|| std::mem::take(&mut self.settled))
    }

    /// All outcomes; what is open failed for `why`.
    pub(super) fn give_up(&mut self, why: &Error) -> Outcomes<K, T> {
        let why = match self.last_transient {
            Some(code) => why.clone().with_note(format!("last answer: {}", code.name())),
            None => why.clone(),
        };
        for key in std::mem::take(&mut self.open).into_keys() {
            self.settled.insert(key, Err(why.clone()));
        }
        std::mem::take(&mut self.settled)
    }
}

/// `answer` and `give_up` of an operation that has an outcome for each of its `items`.
macro_rules! item_by_item {
    () => {
        fn answer(&mut self) -> Option<Self::Answer> {
            self.items.finished()
        }

        fn give_up(&mut self, why: Error) -> Result<Self::Answer, Error> {
            Ok(self.items.give_up(&why))
        }
    };
}
pub(super) use item_by_item;
