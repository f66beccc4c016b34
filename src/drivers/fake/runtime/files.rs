//! The files that credentials are delivered to.

use secrecy::ExposeSecret;

use super::{Call, FakeWorld, Place};
use crate::domain::{AgentName, Mount, Mounted};
use crate::drivers::fake::delivered::Delivered;
use crate::ports::Pending;
use crate::ports::credentials::Login;
use crate::ports::delivery::{Consignment, Delivery, DeliveryError, Found, FoundCredential};

impl Delivery for FakeWorld {
    fn preflight<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<(), DeliveryError>> {
        Box::pin(self.delivery_call(agent, Call::Preflight, |_| ()))
    }

    fn deliver<'a>(&'a self, consignment: Consignment<'a>) -> Pending<'a, Result<(), DeliveryError>> {
        let delivered = Delivered::new(
            consignment.credential.secret.expose_secret(),
            self.state().later(),
            Some((consignment.subscription.clone(), consignment.generation)),
        );
        Box::pin(self.delivery_call(consignment.agent, Call::Deliver, move |agent| {
            if agent.place == Place::File {
                agent.file = Some(delivered.clone());
            }
        }))
    }

    fn mounted<'a>(&'a self, agent: &'a AgentName, mounts: &'a [Mount]) -> Pending<'a, Result<Mounted, DeliveryError>> {
        let _ = mounts;
        Box::pin(self.delivery_call(agent, Call::Found, |_| Mounted::Unknown))
    }

    fn login<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Option<Login>, DeliveryError>> {
        Box::pin(self.delivery_call(agent, Call::Login, |agent| {
            let (document, written_at) = agent.file.as_ref()?.login.clone()?;
            Some(Login { document: document.into(), written_at })
        }))
    }

    fn found<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Found, DeliveryError>> {
        Box::pin(self.delivery_call(agent, Call::Found, |agent| match (agent.place, &agent.file) {
            (Place::Environment, _) => Found::NotAFile,
            (Place::File, None) => Found::Nothing,
            (Place::File, Some(file)) => Found::Credential(FoundCredential {
                content: file.fingerprint.clone(),
                account: file.account.clone(),
                named: file.assignment.as_ref().map(|(name, _)| name.clone()),
            }),
        }))
    }
}
