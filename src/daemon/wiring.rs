//! The drivers, made from a config, and told when it changes.
//!
//! Where an agent runs and where its credential goes is changed only while nobody acts for it: the actors say when
//! ([`Places`]). It must not decide anything about agents, and leaves alone what it lets go of: containers, files.
//!
//! Tests: the black-box suites of `tests/`, `tests/reload.rs` among them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{DaemonError, Environment};
use crate::actor::probes::Probing;
use crate::actor::root::{Places, Policy};
use crate::actor::{Wiring, outbox};
use crate::config::{self, Config, Notify, NotifyTarget};
use crate::domain::{AgentName, CredentialRef, Format, SubscriptionName, SubscriptionType, credential};
use crate::drivers::credentials::Credentials;
use crate::drivers::delivery::{FileDelivery, FileTarget, Ownership, Shape, Target};
use crate::drivers::docker::logs::DockerLogs;
use crate::drivers::docker::{DockerHost, DockerHostError, DockerRuntime};
use crate::drivers::notify::command::{Command as NotifyCommand, TIME_LIMIT as NOTIFY_TIME_LIMIT};
use crate::drivers::notify::ntfy::{Ntfy, Tokens};
use crate::drivers::notify::webhook::{AddressError, Webhook};
use crate::drivers::probe::HttpProber;
use crate::drivers::process::{
    CredentialPlace, OutputSink, OutputStream, ProcessRuntime, ProcessSettings, ProcessSpec,
};
use crate::drivers::runtimes::Runtimes;
use crate::drivers::state_dir::StateDir;
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::logs::LogSource;
use crate::ports::notifier::Notifier;
use crate::ports::store::Store;
use crate::telemetry::{Telemetry, events};

/// How long a child left over by a daemon that was killed, or of an agent that is none any more, may take to end by
/// itself.
const LEFT_OVER_GRACE: Duration = Duration::from_secs(5);

/// Where an agent runs and where its credential goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Home {
    container: Option<String>,
    process: Option<ProcessSpec>,
    target: Target,
    grace: Option<Duration>,
}

impl Home {
    fn of(config: &Config, agent: &config::Agent) -> Self {
        let target = match &agent.delivery {
            config::Delivery::File(file) => Target::File(file_target(config, agent, file)),
            config::Delivery::Env(_) | config::Delivery::Nothing => Target::NotAFile,
        };
        let (container, process) = match &agent.target {
            config::Target::Container { name } => (Some(name.clone()), None),
            config::Target::Process { command, dir, env } => {
                let credential = match &agent.delivery {
                    config::Delivery::File(_) | config::Delivery::Nothing => CredentialPlace::File,
                    config::Delivery::Env(name) => CredentialPlace::Variable(name.clone()),
                };
                let env = env.iter().cloned().collect();
                (None, Some(ProcessSpec { command: command.clone(), dir: dir.clone(), env, credential }))
            }
        };
        Self { container, process, target, grace: agent.stop_grace }
    }

    fn all(config: &Config) -> BTreeMap<AgentName, Self> {
        config.agents.iter().map(|agent| (agent.name.clone(), Self::of(config, agent))).collect()
    }

    /// Whether it is another place: who owns the file and what is in it may change where it is.
    fn is_elsewhere(&self, other: &Self) -> bool {
        let file = |home: &Self| match &home.target {
            Target::File(file) => Some((file.path.clone(), std::mem::discriminant(&file.shape))),
            Target::NotAFile => None,
        };
        self.container != other.container || self.process != other.process || file(self) != file(other)
    }
}

/// The drivers that a config changes.
pub(super) struct Drivers {
    docker: Option<Arc<DockerRuntime>>,
    logs: Option<Arc<DockerLogs>>,
    process: Arc<ProcessRuntime>,
    delivery: Arc<FileDelivery>,
    credentials: Arc<Credentials>,
    /// What the newest config says.
    homes: Mutex<BTreeMap<AgentName, Home>>,
    /// Agents that run somewhere else by it, and whose actors have not been told.
    unsettled: Mutex<BTreeSet<AgentName>>,
    notifiers: Mutex<Vec<Told>>,
    environment: Environment,
}

/// A target of notifications, as the config has it and as it runs.
type Told = (Notify, outbox::Target);

/// What has to be known of a config before any of it is taken over.
pub(super) struct Prepared {
    homes: BTreeMap<AgentName, Home>,
    notifiers: Vec<Told>,
}

/// What was different about the drivers.
pub(super) struct Redirected {
    /// Agents that run somewhere else.
    pub(super) moved: BTreeSet<AgentName>,
    /// Subscriptions whose credential comes from somewhere else.
    pub(super) reread: Vec<SubscriptionName>,
    /// Whom to tell from now on.
    pub(super) notifiers: Vec<outbox::Target>,
    /// Whether that is somebody else than before.
    pub(super) has_other_notifiers: bool,
}

impl Drivers {
    /// Finds out whether a config can be taken over; changes nothing.
    pub(super) fn prepare(&self, config: &Config) -> Result<Prepared, String> {
        let notifiers =
            notifiers(config, &self.environment, &self.notifiers.lock().unwrap_or_else(PoisonError::into_inner));
        let notifiers = notifiers.map_err(|error| format!("a webhook cannot be used: {error}"))?;
        let homes = Home::all(config);
        if self.docker.is_none() && homes.values().any(|home| home.container.is_some()) {
            return Err("[docker] host cannot be used, and there are containers now".to_owned());
        }
        Ok(Prepared { homes, notifiers })
    }

    /// Takes over what can be changed while agents run; the rest is settled agent by agent.
    pub(super) fn redirect(&self, config: &Config, new: Prepared) -> Redirected {
        let reread = self.credentials.refer_to(references(config));
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unsettled = self.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        for (agent, home) in &new.homes {
            match homes.get(agent) {
                Some(old) if old.is_elsewhere(home) => {
                    unsettled.insert(agent.clone());
                }
                Some(old) if old.target != home.target => self.delivery.place(agent, Some(home.target.clone())),
                Some(_) | None => {}
            }
        }
        *homes = new.homes;
        let mut told = self.notifiers.lock().unwrap_or_else(PoisonError::into_inner);
        let configured = |told: &[Told]| told.iter().map(|(notify, _)| notify.clone()).collect::<Vec<_>>();
        let has_other_notifiers = configured(&told) != configured(&new.notifiers);
        *told = new.notifiers;
        let notifiers = told.iter().map(|(_, target)| target.clone()).collect();
        Redirected { moved: unsettled.clone(), reread, notifiers, has_other_notifiers }
    }

    /// The actors have been told of everything.
    pub(super) fn is_told(&self) {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Places for Drivers {
    fn settle<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, ()> {
        Box::pin(async move {
            let home = self.homes.lock().unwrap_or_else(PoisonError::into_inner).get(agent).cloned();
            let (container, target) = (home.as_ref().and_then(|home| home.container.clone()), home.as_ref());
            if let Some(docker) = &self.docker {
                docker.place(agent, container.clone());
            }
            if let Some(logs) = &self.logs {
                logs.place(agent, container);
            }
            self.delivery.place(agent, target.map(|home| home.target.clone()));
            let grace = home.as_ref().and_then(|home| home.grace).unwrap_or(LEFT_OVER_GRACE);
            self.process.place(agent, home.and_then(|home| home.process), grace).await;
        })
    }
}

/// Makes the drivers and what the actors are wired with.
pub(super) async fn wire(
    config: &Config,
    state_dir: &StateDir,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    telemetry: &Telemetry,
    environment: &Environment,
) -> Result<(Wiring, Arc<Drivers>), DaemonError> {
    let homes = Home::all(config);
    let targets = homes.iter().map(|(agent, home)| (agent.clone(), home.target.clone())).collect();
    let delivery = Arc::new(FileDelivery::new(targets, state_dir.owner().to_owned(), Arc::clone(clock)));
    notice_other_owners(config, &delivery, telemetry).await;
    let variables = environment.variables.clone();
    let credentials = Arc::new(Credentials::new(
        references(config),
        Arc::new(move |name: &str| variables.get(name).cloned()),
        environment.get("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        Arc::clone(clock),
    ));
    let told = notifiers(config, environment, &[])?;
    let (docker, logs) = engine(config, &homes, clock, telemetry)?.unzip();
    let process = Arc::new(processes(config, &homes, state_dir, clock, telemetry, environment).await);
    let wiring = Wiring {
        agents: policies(config),
        subscriptions: config.subscription_policies(),
        logs: logs.clone().map(|logs| logs as Arc<dyn LogSource>),
        runtime: Arc::new(Runtimes::shared(docker.clone(), Some(Arc::clone(&process)))),
        delivery: Arc::clone(&delivery) as _,
        credentials: Arc::clone(&credentials) as _,
        store: Arc::clone(store),
        clock: Arc::clone(clock),
        telemetry: telemetry.clone(),
        classifier: Arc::new(config.classifier()),
        lease_key: state_dir.lease_key(),
        notifiers: told.iter().map(|(_, target)| target.clone()).collect(),
        probing: Probing { plans: config.probe_plans(), prober: Some(Arc::new(HttpProber::default())) },
        restarts_in_parallel: config.switching.restarts_in_parallel as usize,
        splay: config.switching.splay,
        pool: config.switching.pool_settings(),
        keep: config.history.keep,
        keep_bytes: config.history.size_max,
    };
    let (homes, unsettled, notifiers) = (Mutex::new(homes), Mutex::default(), Mutex::new(told));
    let environment = environment.clone();
    let drivers = Drivers { docker, logs, process, delivery, credentials, homes, unsettled, notifiers, environment };
    Ok((wiring, Arc::new(drivers)))
}

/// The agents and what the user decided about each.
pub(super) fn policies(config: &Config) -> Vec<(AgentName, Arc<Policy>)> {
    let policy = |agent: &config::Agent| Some((agent.name.clone(), Arc::new(config.policy(&agent.name)?)));
    config.agents.iter().filter_map(policy).collect()
}

fn references(config: &Config) -> Vec<(SubscriptionName, CredentialRef, SubscriptionType)> {
    config.subscriptions.iter().map(|one| (one.name.clone(), one.credential.clone(), one.kind)).collect()
}

/// Whom to tell; who was told before in the same way is the same.
fn notifiers(config: &Config, environment: &Environment, before: &[Told]) -> Result<Vec<Told>, AddressError> {
    let variables = environment.variables.clone();
    let tokens = Tokens {
        variables: Arc::new(move |name: &str| variables.get(name).cloned()),
        systemd: environment.get("CREDENTIALS_DIRECTORY").map(PathBuf::from),
    };
    let target = |notify: &Notify| {
        if let Some(known) = before.iter().find(|(known, _)| known == notify) {
            return Ok(known.clone());
        }
        let secret = |address: &config::PostAddress| address.url().to_owned().into();
        let notifier: Arc<dyn Notifier> = match &notify.target {
            NotifyTarget::Webhook { address, template } => Arc::new(Webhook::new(secret(address), template.clone())?),
            NotifyTarget::Ntfy { address, token } => {
                Arc::new(Ntfy::new(secret(address), token.clone(), tokens.clone())?)
            }
            NotifyTarget::Command(argv) => {
                Arc::new(NotifyCommand::new(argv.clone(), &environment.variables, NOTIFY_TIME_LIMIT))
            }
        };
        Ok((notify.clone(), outbox::Target { notifier, taste: notify.taste() }))
    };
    config.notify.iter().map(target).collect()
}

fn file_target(config: &Config, agent: &config::Agent, file: &config::FileDelivery) -> FileTarget {
    let variable = |one: &config::Subscription| {
        Some((one.name.clone(), credential::variable(agent.tool, one.provider.as_str(), one.kind)?))
    };
    let shape = match file.format {
        Format::Raw => Shape::Raw,
        Format::Dotenv => Shape::Dotenv(config.subscriptions.iter().filter_map(variable).collect()),
        Format::ClaudeCredentials => Shape::ClaudeCredentials,
    };
    let owner = file.owner.map(|owner| Ownership { user: owner.user, group: owner.group });
    FileTarget { path: file.path.clone(), shape, owner, mode: file.mode }
}

/// Two daemons on one agent would take turns: whoever comes second says so (B7). It goes on, for the other one may be
/// this one before its state directory was lost.
async fn notice_other_owners(config: &Config, delivery: &FileDelivery, telemetry: &Telemetry) {
    for agent in &config.agents {
        // A file that cannot be read is told by the first look at the agent.
        if let Ok(Some(owner)) = delivery.other_owner(&agent.name).await {
            telemetry.emit(events::AgentOtherOwner { agent: &agent.name, owner: &owner });
        }
    }
}

type Engine = (Arc<DockerRuntime>, Arc<DockerLogs>);

/// What runs containers; it is not asked for anything while there are none. `None` if there are none and it could not be
/// asked.
fn engine(
    config: &Config,
    homes: &BTreeMap<AgentName, Home>,
    clock: &Arc<dyn Clock>,
    telemetry: &Telemetry,
) -> Result<Option<Engine>, DockerHostError> {
    let named = homes.iter().filter_map(|(agent, home)| Some((agent.clone(), home.container.clone()?)));
    let containers: BTreeMap<AgentName, String> = named.collect();
    let host = match DockerHost::parse(&config.docker.host) {
        Ok(host) => host,
        Err(_) if containers.is_empty() => return Ok(None),
        Err(error) => return Err(error),
    };
    let timeout = config.docker.timeout;
    let docker = DockerRuntime::new(host.clone(), containers.clone(), timeout, Arc::clone(clock));
    let logs = DockerLogs::new(host, containers, timeout, Arc::clone(clock));
    Ok(Some((Arc::new(docker.counted_by(telemetry.clone())), Arc::new(logs))))
}

async fn processes(
    config: &Config,
    homes: &BTreeMap<AgentName, Home>,
    state_dir: &StateDir,
    clock: &Arc<dyn Clock>,
    telemetry: &Telemetry,
    environment: &Environment,
) -> ProcessRuntime {
    let specs = homes.iter().filter_map(|(agent, home)| Some((agent.clone(), home.process.clone()?)));
    let settings = ProcessSettings {
        owner: state_dir.owner().to_owned(),
        state_dir: state_dir.path().to_owned(),
        socket: Some(config.api.socket.clone()),
        environment: environment.variables.clone(),
    };
    let sink: Arc<dyn OutputSink> = Arc::new(Output { telemetry: telemetry.clone() });
    let process = ProcessRuntime::new(specs.collect(), settings, sink, Arc::clone(clock));
    // Also with no process agent left in the config: one that was there before may have left a child behind.
    let recovered = process.recover(LEFT_OVER_GRACE).await;
    tracing::debug!(?recovered, "children of an earlier life of the daemon");
    process
}

/// Passes on what process agents print.
struct Output {
    telemetry: Telemetry,
}

impl OutputSink for Output {
    fn line(&self, agent: &AgentName, stream: OutputStream, line: &str, dropped: u64) {
        let stream = match stream {
            OutputStream::Stdout => "stdout",
            OutputStream::Stderr => "stderr",
        };
        self.telemetry.emit(events::AgentOutput { agent, stream, text: line });
        if dropped > 0 {
            tracing::debug!(agent = agent.as_str(), dropped, "a line of output was cut");
        }
    }

    fn ended(&self, agent: &AgentName, how: &str) {
        tracing::info!(agent = agent.as_str(), "child ended: {how}");
    }
}
