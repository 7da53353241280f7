//! What a scripted broker does with a request, where it does not just answer it.

use ottla_protocol::messages::Response;
use std::time::Duration;

/// Changes an answer before it is written.
type Edit = Box<dyn FnOnce(&mut Response) + Send>;
/// Changes a whole frame, length included.
type Mangle = Box<dyn FnOnce(Vec<u8>) -> Vec<u8> + Send>;

/// What becomes of one request. The default is the plain answer from the broker's state.
#[derive(Default)]
pub struct Act {
    pub(crate) refuse: Option<i16>,
    pub(crate) answer: Option<Response>,
    pub(crate) edit: Option<Edit>,
    pub(crate) mangle: Option<Mangle>,
    pub(crate) delay: Duration,
    pub(crate) is_ignored: bool,
    pub(crate) is_silent: bool,
    pub(crate) closes: bool,
    pub(crate) half_closes: bool,
    pub(crate) by_byte: bool,
    pub(crate) is_held: bool,
}

impl Act {
    /// The plain answer.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Nothing is done; every item of the answer has this error.
    pub fn refuse(code: i16) -> Self {
        Self { refuse: Some(code), ..Self::default() }
    }

    /// This answer; the state is as before.
    pub fn answer(response: Response) -> Self {
        Self { answer: Some(response), ..Self::default() }
    }

    /// The plain answer, changed.
    pub fn edit(change: impl FnOnce(&mut Response) + Send + 'static) -> Self {
        Self { edit: Some(Box::new(change)), ..Self::default() }
    }

    /// The plain answer's frame, changed; the four bytes of its length are part of it.
    pub fn mangle(change: impl FnOnce(Vec<u8>) -> Vec<u8> + Send + 'static) -> Self {
        Self { mangle: Some(Box::new(change)), ..Self::default() }
    }

    /// The request is carried out, and the connection closed without an answer.
    pub fn lose_answer() -> Self {
        Self { is_silent: true, closes: true, ..Self::default() }
    }

    /// The request is not carried out, and the connection closed.
    pub fn lose_request() -> Self {
        Self { is_ignored: true, is_silent: true, closes: true, ..Self::default() }
    }

    /// The request is not carried out and never answered; the connection stays.
    pub fn ignore() -> Self {
        Self { is_ignored: true, is_silent: true, ..Self::default() }
    }

    /// And the answer is changed.
    #[must_use]
    pub fn edited(mut self, change: impl FnOnce(&mut Response) + Send + 'static) -> Self {
        self.edit = Some(Box::new(change));
        self
    }

    /// And the frame is changed; the four bytes of its length are part of it.
    #[must_use]
    pub fn mangled(mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8> + Send + 'static) -> Self {
        self.mangle = Some(Box::new(change));
        self
    }

    /// The answer comes after so long. The connection waits; others do not.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The answer is written one byte at a time.
    #[must_use]
    pub fn by_byte(mut self) -> Self {
        self.by_byte = true;
        self
    }

    /// The answer waits for the next one, and both are written in one call; not for long.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.is_held = true;
        self
    }

    /// The connection is closed behind the answer.
    #[must_use]
    pub fn and_close(mut self) -> Self {
        self.closes = true;
        self
    }

    /// The sending side is closed behind the answer.
    #[must_use]
    pub fn and_half_close(mut self) -> Self {
        self.half_closes = true;
        self
    }
}
