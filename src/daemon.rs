//! The composition root: from a config file to a running daemon, and back to nothing in order.
//!
//! Here, and only here, drivers, actors, API, log and service manager are wired together. It decides nothing about
//! agents. The order of the start is the order of what can be refused: config (78), log, state directory (75), store (74);
//! nothing has been touched until all of these are good.
//!
//! Tests: the black-box suites of `tests/`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod discovery;
mod reload;
mod wiring;

use self::discovery::Discoverer;
use self::reload::{Living, Reloader, Start};
use self::wiring::wire;
use crate::actor::root::StartError;
use crate::actor::{Root, Switchman};
use crate::api::{self, ListenError};
use crate::config::{Asked, BYTES_MAX, Config, Incumbents, Problem, Severity};
use crate::domain::{AgentName, FoundContainer};
use crate::drivers::docker::DockerHostError;
use crate::drivers::notify::webhook::AddressError;
use crate::drivers::sqlite::{OpenError, Options, SqliteStore};
use crate::drivers::state_dir::{StateDir, StateDirError};
use crate::drivers::system_clock::SystemClock;
use crate::ports::clock::Clock;
use crate::ports::store::Store;
use crate::shutdown::{self, Signals};
use crate::systemd::{self, ServiceManager};
use crate::telemetry::setup::{self, LogFormat, SetupError, Surroundings};
use crate::telemetry::{Telemetry, events};

/// How long an orderly stop may take in all. The unit file allows a little more.
const STOP_WITHIN: Duration = Duration::from_secs(25);

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
    /// The address of a notification target cannot be used.
    #[error("failed to use the address of a [[notify]]: {0}")]
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
    let file = config;
    let bytes = read(file).map_err(DaemonError::Config)?;
    let (config, warnings) =
        validate(&file.display().to_string(), bytes.clone(), environment).map_err(DaemonError::Config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(32)
        .enable_all()
        .build()
        .map_err(platform("start the runtime"))?;
    let result = runtime.block_on(serve((file, bytes), &config, &warnings, environment));
    // A notification that is just being handed over is not waited for: it is sent again at the next start.
    runtime.shutdown_timeout(Duration::from_millis(500));
    // The directory is given up last: by now no task of ours is left that could write to the store (B7).
    result.map(drop)
}

/// Reads the file, whatever it is: it may also come out of a pipe, once.
fn read(path: &Path) -> Result<Vec<u8>, Vec<Problem>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| {
        let what = format!("cannot read the config: {error}");
        vec![Problem::nowhere(&path.display().to_string(), what, "name another file with --config")]
    })
}

/// Reads the config; its files are looked at as well, for what would make it unsafe. Gives the config and its warnings,
/// or every problem. A blocking call.
fn validate(file: &str, bytes: Vec<u8>, environment: &Environment) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let (mut config, mut warnings) = Config::from_bytes(file, bytes, &|name| environment.get(name))?;
    if let Some(socket) = &environment.socket {
        config.api.socket.clone_from(socket);
    }
    let found = config.check_files(Asked::ByDaemon);
    if found.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(found);
    }
    warnings.extend(found);
    Ok((config, warnings))
}

async fn serve(
    (file, bytes): (&Path, Vec<u8>),
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

    // Before anything is decided: another daemon may answer there.
    api::make_way(&config.api.socket)?;
    let telemetry = Telemetry::new();
    let discoverer = Discoverer::new(config, &clock, &telemetry);
    let found = discoverer.first(config).await;
    let incumbents = incumbents(&*store, &found).await;
    let with_found = config.with_found(&found, &incumbents, &|name| environment.get(name));
    let start = Start { file: config.clone(), found, discovered: with_found };
    let config = &start.discovered.config.clone();
    let (wiring, drivers) = wire(config, &state_dir, &store, &clock, &telemetry, environment).await?;
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

    let (reconfigurer, live) = (root.reconfigurer(), door.live());
    let living = Living::new(start, environment.clone(), drivers, reconfigurer, live, switchman.clone());
    let reloader = Reloader::new(file.to_owned(), environment.clone(), living.clone(), switchman.clone(), bytes);
    let asked = signals.reload();

    let clock_of_signals = Arc::clone(&clock);
    let listening = tokio::spawn(async move { stopper.obey(&mut signals, &*clock_of_signals).await });
    let mut stop_heard = stop.clone();
    let request = tokio::select! {
        request = stop_heard.requested() => Some(request),
        () = root.failed() => return Err(DaemonError::Failed),
        () = service.watch(&*clock, || is_alive(&switchman)) => None,
        () = reloader.run(&asked, &service) => None,
        () = discoverer.run(&living) => None,
    };
    // The others go on until the process ends: only a request gets us here.
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
        agent_sockets: agent_sockets(config),
        subscriptions: config.subscriptions.iter().map(|subscription| subscription.name.clone()).collect(),
        limits: api::Limits::of_this_process(),
    }
}

/// Which container was which agent when the daemon ended, as far as its log was read: a container that was made since must
/// not take the place of another one by its name or its labels.
async fn incumbents(store: &dyn Store, found: &[FoundContainer]) -> Incumbents {
    // A store that cannot be read keeps the daemon from starting a moment later, and says why.
    let read = store.log_positions().await.unwrap_or_default();
    let name_of = |id: &str| found.iter().find(|one| one.id == id).map(|one| one.name.clone());
    read.into_iter()
        .filter_map(|(agent, position)| Some((agent, name_of(&position.of_container()?.container)?)))
        .collect()
}

/// The sockets of agents, where they have sockets of their own.
fn agent_sockets(config: &Config) -> BTreeMap<AgentName, PathBuf> {
    let socket = |name: &AgentName| Some((name.clone(), config.api.agent_socket(name)?));
    config.agents.iter().filter_map(|agent| socket(&agent.name)).collect()
}
