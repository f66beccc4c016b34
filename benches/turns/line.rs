//! A session with a holder and callers that wait in line for it.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::{join, poll_immediate};
use futures_util::stream::FuturesUnordered;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock as _;

use super::caller::{Caller, Held, OnBusy};
use super::daemon::agent;
use super::turn_service::Service;

const SESSION: &str = "one";

type Served = Pin<Box<dyn Future<Output = (Instant, Caller, Held)>>>;

/// The line in front of one session of a service.
pub(crate) struct Line<'a> {
    service: &'a Service,
    holder: (Caller, Held),
    waiting: FuturesUnordered<Served>,
    served: Vec<Caller>,
    /// Asks how long the line is.
    looker: Caller,
}

/// How long one hand-over took, from the request that ended the turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed {
    /// Until it was answered.
    pub(crate) answered: Duration,
    /// Until the next in line had its turn.
    pub(crate) begun: Duration,
}

impl<'a> Line<'a> {
    /// Somebody has the session, nobody waits.
    pub(crate) async fn new(service: &'a Service) -> Self {
        let mut holder = Caller::open(&service.socket).await;
        holder.ask(&agent(0), SESSION, OnBusy::Fail).await;
        let held = holder.begun().await;
        holder.beat(&held).await;
        let looker = Caller::open(&service.socket).await;
        Self { service, holder: (holder, held), waiting: FuturesUnordered::new(), served: Vec::new(), looker }
    }

    /// Lets as many come, or come again, as are missing to so many; returns when all of them are in line.
    pub(crate) async fn fill(&mut self, length: usize) {
        self.beat().await;
        while self.waiting.len() < length {
            let mut caller = match self.served.pop() {
                Some(caller) => caller,
                None => Caller::open(&self.service.socket).await,
            };
            caller.ask(&agent(0), SESSION, OnBusy::Queue).await;
            let served = async move {
                let held = caller.begun().await;
                (Instant::now(), caller, held)
            };
            self.waiting.push(Box::pin(served));
        }
        // Looked at once, so that from now on only who is served is looked at.
        assert!(poll_immediate(self.waiting.next()).await.is_none(), "nobody is served while somebody holds");
        let clock = SystemClock::new();
        while self.looker.queued(&agent(0)).await < length {
            clock.sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many wait.
    pub(crate) fn length(&self) -> usize {
        self.waiting.len()
    }

    /// The holder is heard of: nothing happens to it within the next minute.
    pub(crate) async fn beat(&mut self) {
        let (caller, held) = &mut self.holder;
        caller.beat(held).await;
    }

    /// The holder ends its turn, and the next in line has it.
    pub(crate) async fn pass(&mut self) -> Passed {
        let (caller, held) = &mut self.holder;
        let began = Instant::now();
        caller.end(held).await;
        let answered = async {
            caller.ended().await;
            began.elapsed()
        };
        let (answered, next) = join(answered, self.waiting.next()).await;
        let (at, next, held) = next.expect("somebody waits");
        let before = std::mem::replace(&mut self.holder, (next, held));
        self.served.push(before.0);
        Passed { answered, begun: at.duration_since(began) }
    }
}
