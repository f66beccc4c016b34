//! Answers that must reach their caller: what depends on one is given up if it does not.
//!
//! ```text
//!   handler ──► body ──frame polled out──► on its way ──flushed──► kept
//!                 │ dropped unread            │ the connection ends
//!                 └───────────────────────────┴──► given up
//! ```
//!
//! A turn that was granted to somebody who has gone must not stay granted until it lapses (H5). It must not be kept
//! because an answer was ready: only because the kernel has taken all of it.
//!
//! Tests: `tests/api/turn_callers.rs`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use crate::actor::turns::Place;

/// What is on its way to the caller of one connection.
#[derive(Default)]
pub(super) struct Handover(Mutex<Vec<Place>>);

impl Handover {
    /// The bytes that tell of it have been taken, but not sent.
    fn on_its_way(&self, place: Place) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(place);
    }

    /// Everything that was taken is sent.
    pub(super) fn arrived(&self) {
        let arrived = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        arrived.into_iter().for_each(Place::keep);
    }
}

/// A body that has to arrive, or the place is given up.
pub(super) fn body(bytes: Bytes, place: Place, handover: Arc<Handover>) -> Body {
    Body::new(MustArrive { bytes, place: Some(place), handover })
}

struct MustArrive {
    bytes: Bytes,
    place: Option<Place>,
    handover: Arc<Handover>,
}

impl HttpBody for MustArrive {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(place) = self.place.take() else { return Poll::Ready(None) };
        self.handover.on_its_way(place);
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.place.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
