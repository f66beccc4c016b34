//! How a fake call goes wrong: before it is done, after it is done, or by not answering.
//!
//! Tests: `tests/runtime_conformance.rs`.

use tokio::sync::watch;

/// What happens to one call instead of its plain success.
#[derive(Debug, Clone)]
pub enum Fault<E> {
    /// Nothing is done, and it fails.
    Fail(E),
    /// It is done, and it fails all the same: a lost answer.
    DoneButFails(E),
    /// Nothing is done until the gate opens; then it goes on as usual.
    Held(Gate),
    /// It is done at once, and the answer waits until the gate opens.
    AnswerHeld(Gate),
}

/// Holds calls back until it is opened, once and for all.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everybody through, those to come as well.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Resolves when somebody waits at the gate.
    pub async fn until_reached(&self) {
        while self.0.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn pass(&self) {
        let mut opened = self.0.subscribe();
        // We hold a sender ourselves, so the channel cannot close.
        let _never_closed = opened.wait_for(|is_open| *is_open).await.is_ok();
    }
}
