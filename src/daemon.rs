//! The composition root: from a config file to a running daemon, and back to nothing in order.
//!
//! Here, and only here, drivers, actors, API, log and service manager are wired together. It decides nothing about
//! agents. The order of the start is the order of what can be refused: config (78), log, state directory (75), store (74);
//! nothing has been touched until all of these are good.
//!
//! Tests: the black-box suites of `tests/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::actor::root::StartError;
use crate::actor::{Root, Switchman, Wiring};
use crate::api::{self, ListenError};
use crate::config::{self, Asked, Config, Problem, Severity};
use crate::domain::{AgentName, Format, credential};
use crate::drivers::credentials::Credentials;
use crate::drivers::delivery::{FileDelivery, FileTarget, Ownership, Shape, Target};
use crate::drivers::docker::logs::DockerLogs;
use crate::drivers::docker::{DockerHost, DockerHostError, DockerRuntime};
use crate::drivers::process::{
    CredentialPlace, OutputSink, OutputStream, ProcessRuntime, ProcessSettings, ProcessSpec,
};
use crate::drivers::runtimes::Runtimes;
use crate::drivers::sqlite::{OpenError, Options, SqliteStore};
use crate::drivers::state_dir::{StateDir, StateDirError};
use crate::drivers::system_clock::SystemClock;
use crate::drivers::webhook::{AddressError, Webhook};
use crate::ports::clock::Clock;
use crate::ports::logs::LogSource;
use crate::ports::notifier::Notifier;
use crate::ports::store::Store;
use crate::shutdown::{self, Signals};
use crate::systemd::{self, ServiceManager};
use crate::telemetry::setup::{self, LogFormat, SetupError, Surroundings};
use crate::telemetry::{Telemetry, events};

/// How long an orderly stop may take in all. The unit file allows a little more.
const STOP_WITHIN: Duration = Duration::from_secs(25);

/// How long a child left over by a daemon that was killed may take to end by itself.
const LEFT_OVER_GRACE: Duration = Duration::from_secs(5);

/// Worker threads: decisions are short, and everything slow waits in a driver.
const WORKERS: usize = 2;

/// What the process was started with.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The environment variables.
    pub variables: BTreeMap<String, String>,
    /// Whether standard error is a terminal.
    pub is_terminal: bool,
    /// The socket that the command line names; it goes before the config's.
    pub socket: Option<PathBuf>,
}

impl Environment {
    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The config has errors: all of them.
    #[error("the config is not valid")]
    Config(Vec<Problem>),
    /// The log cannot be set up.
    #[error("failed to {0}")]
    Log(#[from] SetupError),
    /// The state directory is held by another daemon, or cannot be used.
    #[error("failed to {0}")]
    StateDir(#[from] StateDirError),
    /// The store cannot be opened.
    #[error("failed to {0}")]
    Store(#[from] OpenError),
    /// The engine's address cannot be read.
    #[error("failed to use [docker] host: {0}")]
    DockerHost(#[from] DockerHostError),
    /// A webhook's address cannot be used.
    #[error("failed to use a webhook: {0}")]
    Webhook(#[from] AddressError),
    /// The actors cannot be started.
    #[error("failed to start: {0}")]
    Start(#[from] StartError),
    /// The actors have ended. Whoever runs the daemon starts it again, and everything is taken up where it stands.
    #[error("go on: the supervisor of the agents has failed")]
    Failed,
    /// The socket cannot be opened.
    #[error("cannot listen: {0}")]
    Listen(#[from] ListenError),
    /// The platform refuses something basic.
    #[error("failed to {doing}: {why}")]
    Platform {
        /// What was tried.
        doing: &'static str,
        /// The cause.
        why: std::io::Error,
    },
}

fn platform(doing: &'static str) -> impl FnOnce(std::io::Error) -> DaemonError {
    move |why| DaemonError::Platform { doing, why }
}

/// Runs the daemon in the foreground until it is told to stop.
///
/// # Errors
/// If it cannot be started. Whatever was begun is undone.
pub fn run(config: &Path, environment: &Environment) -> Result<(), DaemonError> {
    let (file, (config, warnings)) = (config, read(config, environment)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(32)
        .enable_all()
        .build()
        .map_err(platform("start the runtime"))?;
    let result = runtime.block_on(serve(file, &config, &warnings, environment));
    // A notification that is just being handed over is not waited for: it is sent again at the next start.
    runtime.shutdown_timeout(Duration::from_millis(500));
    // The directory is given up last: by now no task of ours is left that could write to the store (B7).
    result.map(drop)
}

/// Reads the config; its files are looked at as well, for what would make the start unsafe.
fn read(path: &Path, environment: &Environment) -> Result<(Config, Vec<Problem>), DaemonError> {
    let (mut config, mut warnings) = Config::load(path, &|name| environment.get(name)).map_err(DaemonError::Config)?;
    if let Some(socket) = &environment.socket {
        config.api.socket.clone_from(socket);
    }
    let found = config.check_files(Asked::ByDaemon);
    if found.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(DaemonError::Config(found));
    }
    warnings.extend(found);
    Ok((config, warnings))
}

async fn serve(
    file: &Path,
    config: &Config,
    warnings: &[Problem],
    environment: &Environment,
) -> Result<StateDir, DaemonError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let started = clock.now();
    install_log(config, environment, &clock)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let state_dir = StateDir::claim(&config.state_dir, started.wall, file)?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&state_dir.database(), &Options::default())?);
    let mut signals = Signals::take().map_err(platform("take over the signals"))?;
    let (stopper, mut stop) = shutdown::stop(STOP_WITHIN);
    let service = manager(environment)?;

    let telemetry = Telemetry::new();
    let wiring = wire(config, &state_dir, &store, &clock, &telemetry, environment).await?;
    let (agents, subscriptions) = (wiring.agents.len(), wiring.subscriptions.len());
    let mut root = Root::start(wiring).await?;
    let switchman = root.switchman();
    let door = match api::serve(switchman.clone(), door(config), stop.flag()) {
        Ok(door) => door,
        Err(error) => {
            root.stop(STOP_WITHIN).await;
            return Err(error.into());
        }
    };
    telemetry.emit(events::DaemonReady {
        version: env!("CARGO_PKG_VERSION"),
        state_dir: &config.state_dir.display().to_string(),
        socket: &config.api.socket.display().to_string(),
        agents,
        subscriptions,
        start_ms: Duration::from_millis(clock.now().steady.0.saturating_sub(started.steady.0)),
    });
    service.ready(&format!("{agents} agents, {subscriptions} subscriptions"));

    let clock_of_signals = Arc::clone(&clock);
    let listening = tokio::spawn(async move { stopper.obey(&mut signals, &*clock_of_signals).await });
    let mut stop_heard = stop.clone();
    let request = tokio::select! {
        request = stop_heard.requested() => Some(request),
        () = root.failed() => return Err(DaemonError::Failed),
        () = service.watch(&*clock, || is_alive(&switchman)) => None,
    };
    // The watch goes on until the process ends: of the two only a request gets us here.
    let request = match request {
        Some(request) => request,
        None => stop_heard.requested().await,
    };
    let deadline = Duration::from_millis(request.deadline.0.saturating_sub(clock.now().steady.0));
    telemetry.emit(events::DaemonStopping { reason: request.reason, deadline_ms: deadline });
    service.stopping("ending open work");
    tokio::select! {
        () = async {
            root.stop(deadline).await;
            door.stopped().await;
        } => {}
        _ = stop.at_once() => tracing::warn!("told to stop at once"),
    }
    listening.abort();
    Ok(state_dir)
}

/// Alive means: whoever asks for a decision gets one.
async fn is_alive(switchman: &Switchman) -> bool {
    switchman.subscriptions().await.is_ok()
}

fn install_log(config: &Config, environment: &Environment, clock: &Arc<dyn Clock>) -> Result<(), DaemonError> {
    let format: LogFormat = config.log.format.as_str().parse().unwrap_or_default();
    let surroundings = Surroundings {
        journal_stream: environment.get("JOURNAL_STREAM"),
        is_terminal: environment.is_terminal && environment.get("NO_COLOR").is_none(),
    };
    Ok(setup::install(format, &config.log.filter, &surroundings, Arc::clone(clock))?)
}

fn manager(environment: &Environment) -> Result<ServiceManager, DaemonError> {
    let left = systemd::Environment {
        notify_socket: environment.get("NOTIFY_SOCKET").map(Into::into),
        watchdog_usec: environment.get("WATCHDOG_USEC"),
        watchdog_pid: environment.get("WATCHDOG_PID"),
    };
    ServiceManager::connect(&left, std::process::id()).map_err(platform("reach the service manager"))
}

fn door(config: &Config) -> api::Door {
    api::Door {
        socket: config.api.socket.clone(),
        socket_mode: config.api.socket_mode,
        subscriptions: config.subscriptions.iter().map(|subscription| subscription.name.clone()).collect(),
        tools: config.agents.iter().map(|agent| (agent.name.clone(), agent.tool)).collect(),
        limits: api::Limits::default(),
    }
}

async fn wire(
    config: &Config,
    state_dir: &StateDir,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    telemetry: &Telemetry,
    environment: &Environment,
) -> Result<Wiring, DaemonError> {
    let owner = state_dir.owner().to_owned();
    let agents = config.agents.iter().filter_map(|agent| {
        let policy = config.policy(&agent.name)?;
        Some((agent.name.clone(), Arc::new(policy)))
    });
    let deliveries = config.agents.iter().map(|agent| {
        let target = match &agent.delivery {
            config::Delivery::File(file) => Target::File(file_target(config, agent, file)),
            config::Delivery::Env(_) => Target::NotAFile,
        };
        (agent.name.clone(), target)
    });
    let variables = environment.variables.clone();
    let credentials = Credentials::new(
        config.subscriptions.iter().map(|one| (one.name.clone(), one.credential.clone(), one.kind)),
        Arc::new(move |name: &str| variables.get(name).cloned()),
        environment.get("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        Arc::clone(clock),
    );
    let notifiers = config.notify.iter().map(|notify| {
        let events = crate::domain::NotifyEvent::ALL.iter().copied().filter(|event| notify.wants(*event)).collect();
        let webhook = Webhook::new(notify.webhook.url().to_owned().into(), events)?;
        Ok(Arc::new(webhook) as Arc<dyn Notifier>)
    });
    let delivery = FileDelivery::new(deliveries.collect(), owner, Arc::clone(clock));
    notice_other_owners(config, &delivery, telemetry).await;
    Ok(Wiring {
        agents: agents.collect(),
        subscriptions: config.subscription_policies(),
        logs: containers(config)?.map(|(host, containers)| {
            Arc::new(DockerLogs::new(host, containers, config.docker.timeout, Arc::clone(clock))) as Arc<dyn LogSource>
        }),
        runtime: Arc::new(runtimes(config, state_dir, clock, telemetry, environment).await?),
        delivery: Arc::new(delivery),
        credentials: Arc::new(credentials),
        store: Arc::clone(store),
        clock: Arc::clone(clock),
        telemetry: telemetry.clone(),
        notifiers: notifiers.collect::<Result<_, AddressError>>()?,
        restarts_in_parallel: config.switching.restarts_in_parallel as usize,
        keep: config.history.keep,
        keep_bytes: config.history.size_max,
    })
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

/// The name of each agent's container.
type Containers = BTreeMap<AgentName, String>;

/// The containers of the config and where their engine is; `None` if there are none.
fn containers(config: &Config) -> Result<Option<(DockerHost, Containers)>, DockerHostError> {
    let named = config.agents.iter().filter_map(|agent| match &agent.target {
        config::Target::Container { name } => Some((agent.name.clone(), name.clone())),
        config::Target::Process { .. } => None,
    });
    let named: Containers = named.collect();
    Ok(if named.is_empty() { None } else { Some((DockerHost::parse(&config.docker.host)?, named)) })
}

async fn runtimes(
    config: &Config,
    state_dir: &StateDir,
    clock: &Arc<dyn Clock>,
    telemetry: &Telemetry,
    environment: &Environment,
) -> Result<Runtimes, DaemonError> {
    let mut processes = BTreeMap::new();
    for agent in &config.agents {
        match &agent.target {
            config::Target::Container { .. } => {}
            config::Target::Process { command, dir, env } => {
                let credential = match &agent.delivery {
                    config::Delivery::File(_) => CredentialPlace::File,
                    config::Delivery::Env(name) => CredentialPlace::Variable(name.clone()),
                };
                let env = env.iter().cloned().collect();
                let spec = ProcessSpec { command: command.clone(), dir: dir.clone(), env, credential };
                processes.insert(agent.name.clone(), spec);
            }
        }
    }
    let docker = containers(config)?.map(|(host, containers)| {
        let docker = DockerRuntime::new(host, containers, config.docker.timeout, Arc::clone(clock));
        docker.counted_by(telemetry.clone())
    });
    let settings = ProcessSettings {
        owner: state_dir.owner().to_owned(),
        state_dir: state_dir.path().to_owned(),
        socket: Some(config.api.socket.clone()),
        environment: environment.variables.clone(),
    };
    let sink: Arc<dyn OutputSink> = Arc::new(Output { telemetry: telemetry.clone() });
    let process = ProcessRuntime::new(processes, settings, sink, Arc::clone(clock));
    // Also with no process agent left in the config: one that was there before may have left a child behind.
    let recovered = process.recover(LEFT_OVER_GRACE).await;
    tracing::debug!(?recovered, "children of an earlier life of the daemon");
    Ok(Runtimes::new(docker, Some(process)))
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
