//! A container as the machine's world has it: lives that are counted, a file it reads when it starts.

use switchman::domain::{Delivered, Facts, Generation, RuntimeState, Sighting, SubscriptionName};
use switchman::machine::agent::testing::{given, life};
use switchman::machine::agent::{Readiness, Start};

/// What a credential file says, or what a running agent has read from it.
pub(crate) type Login = (SubscriptionName, Generation);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) state: RuntimeState,
    /// How often it was started.
    pub(crate) lives: u32,
    /// What lies in its file.
    pub(crate) file: Login,
    /// What it read when it was last started.
    pub(crate) runs_on: Login,
    /// It stands still because somebody else stopped it: to start it is no restart of ours.
    pub(crate) is_stopped_by_others: bool,
}

impl Container {
    pub(crate) fn running(login: Login) -> Self {
        Self {
            state: RuntimeState::Running,
            lives: 1,
            file: login.clone(),
            runs_on: login,
            is_stopped_by_others: false,
        }
    }

    /// A process agent before its first start.
    pub(crate) fn never_started() -> Self {
        let nothing = ("nothing".into(), Generation::NONE);
        Self {
            state: RuntimeState::Stopped,
            lives: 0,
            file: nothing.clone(),
            runs_on: nothing,
            is_stopped_by_others: false,
        }
    }

    pub(crate) fn look(&self) -> Sighting {
        let is_there = self.state != RuntimeState::Missing;
        Sighting {
            state: self.state,
            instance: (is_there && self.lives > 0).then(|| life(self.lives)),
            delivered: Delivered::Subscription(self.file.0.clone()),
            facts: Facts { offered: Some(given()), ..Facts::default() },
        }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        if self.state == RuntimeState::Running { Readiness::Ready } else { Readiness::NotRunning }
    }

    /// Starts it, whoever asks. True if a new life began.
    pub(crate) fn start(&mut self) -> bool {
        if self.state != RuntimeState::Stopped {
            return false;
        }
        self.state = RuntimeState::Running;
        self.is_stopped_by_others = false;
        self.lives += 1;
        self.runs_on = self.file.clone();
        true
    }

    pub(crate) fn stop(&mut self) {
        if self.state == RuntimeState::Running {
            self.state = RuntimeState::Stopped;
        }
    }

    /// The order to restart is about one life: a driver that sees another one does nothing.
    pub(crate) fn is_meant_by(&self, order: &Start) -> bool {
        self.state == RuntimeState::Running && order.before.as_ref().is_none_or(|before| *before == life(self.lives))
    }
}
