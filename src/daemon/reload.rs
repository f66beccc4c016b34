//! The living config: what the file says is made to hold while the daemon runs, or is turned away as a whole.
//!
//! ```text
//!   SIGHUP ───────────────────┐
//!   the file is another one ──┴─► read ─► the same as runs? ─► validate ─► apply ─► `daemon.reloaded`
//!                                              nothing          │
//!                                                               └─► `config.rejected`, once; what runs goes on
//! ```
//!
//! The file is looked at every two seconds, not watched: a look sees whatever the path leads to, also through symbolic
//! links that are swapped and through mounts, of which a watch of the folder hears nothing. A change is read when two
//! looks in a row find the same, so that nobody's half-written file is.
//!
//! It must not decide anything about an agent: what a change means for one is decided by the machine.
//!
//! Tests: below, `tests/reload.rs`.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

use super::discovery::{tell_problems, tell_who_came_and_went};
use super::wiring::{Drivers, policies};
use super::{Environment, validate};
use crate::actor::Switchman;
use crate::actor::root::{Reconfiguration, ReconfigureError, Reconfigured, Reconfigurer};
use crate::api;
use crate::config::{self, Config, Discovered, Docker, Problem, Severity};
use crate::domain::duration::backoff;
use crate::domain::{AgentName, ContainerProblem, FoundContainer, Sought, SubscriptionName};
use crate::drivers::system_clock;
use crate::ports::clock::Clock;
use crate::systemd::ServiceManager;
use crate::telemetry::events;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How soon a config that could not be made to hold is tried again, at first and at most.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// Makes configs hold. Cheap to clone; one config at a time.
#[derive(Clone)]
pub(super) struct Living(Arc<Inner>);

struct Inner {
    running: Mutex<Running>,
    environment: Environment,
    /// Containers may be sought that were not before.
    is_sought: Notify,
    drivers: Arc<Drivers>,
    reconfigurer: Reconfigurer,
    door: api::Live,
    switchman: Switchman,
}

/// What the daemon started with.
pub(super) struct Start {
    /// What the file says.
    pub(super) file: Config,
    /// The containers that there were.
    pub(super) found: Vec<FoundContainer>,
    /// What holds with them.
    pub(super) discovered: Discovered,
}

/// What holds.
struct Running {
    /// What the file says.
    file: Config,
    /// The same with the agents that were discovered.
    config: Config,
    /// The containers that this goes by.
    found: Vec<FoundContainer>,
    /// What is wrong with them, as it was told.
    problems: Arc<[ContainerProblem]>,
}

/// What a config that holds now has changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// Of agents and subscriptions.
    pub(super) reconfigured: Reconfigured,
    /// Whom to tell is somebody else.
    pub(super) has_other_notifiers: bool,
    /// Keys that changed and cannot be taken over while the daemon runs.
    pub(super) needs_restart: Vec<&'static str>,
}

/// Why a config does not hold.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    /// Something in it cannot be used; nothing was changed.
    #[error("{0}")]
    Unusable(String),
    /// An actor that has to know is gone for the moment; some of it may hold.
    #[error(transparent)]
    Actors(#[from] ReconfigureError),
}

impl Living {
    /// `start` is what the daemon started with.
    pub(super) fn new(
        start: Start,
        environment: Environment,
        drivers: Arc<Drivers>,
        reconfigurer: Reconfigurer,
        door: api::Live,
        switchman: Switchman,
    ) -> Self {
        let Start { file, found, discovered: Discovered { config, problems } } = start;
        let problems: Arc<[ContainerProblem]> = problems.into();
        tell_who_came_and_went(&switchman, &file, &config);
        tell_problems(&switchman, &[], &problems);
        let running = Mutex::new(Running { file, config, found, problems });
        Self(Arc::new(Inner { running, environment, is_sought: Notify::new(), drivers, reconfigurer, door, switchman }))
    }

    /// Makes a valid config hold, and says what it has changed. Agents that it says nothing new of are not touched.
    ///
    /// # Errors
    /// If it cannot be used, or the actors cannot be told.
    pub(super) async fn apply(&self, mut config: Config) -> Result<Changes, ApplyError> {
        let mut running = self.0.running.lock().await;
        let needs_restart = keep_what_is_fixed(&mut config, &running.file);
        let is_sought_anew = config.sought() != running.file.sought();
        let found = running.found.clone();
        let changes = self.hold(&mut running, config, found).await?;
        if is_sought_anew {
            self.0.is_sought.notify_one();
        }
        Ok(Changes { needs_restart, ..changes })
    }

    /// Makes agents of these containers, as the config that holds says. Nothing is done if they are the same as before.
    ///
    /// # Errors
    /// If the actors cannot be told; these containers are to be given again.
    pub(super) async fn found(&self, found: Vec<FoundContainer>) -> Result<(), ApplyError> {
        let mut running = self.0.running.lock().await;
        if running.found == found {
            return Ok(());
        }
        let file = running.file.clone();
        self.hold(&mut running, file, found).await.map(drop)
    }

    /// The containers that agents were made of.
    pub(super) async fn containers(&self) -> Vec<FoundContainer> {
        self.0.running.lock().await.found.clone()
    }

    /// What to look for.
    pub(super) async fn sought(&self) -> Option<Sought> {
        self.0.running.lock().await.file.sought()
    }

    /// Resolves when something else is to be looked for.
    pub(super) async fn is_sought_anew(&self) {
        self.0.is_sought.notified().await;
    }

    /// The one place where a config is made to hold, whoever changed it: the file or a container.
    async fn hold(
        &self,
        running: &mut Running,
        file: Config,
        found: Vec<FoundContainer>,
    ) -> Result<Changes, ApplyError> {
        let Inner { environment, drivers, reconfigurer, door, switchman, .. } = &*self.0;
        let discovered = file.with_found(&found, &running.config.containers(), &|name| environment.get(name));
        let Discovered { config, problems } = discovered;
        let prepared = drivers.prepare(&config).map_err(ApplyError::Unusable)?;
        let redirected = drivers.redirect(&config, prepared);
        let reconfigured = reconfigurer
            .reconfigure(Reconfiguration {
                agents: policies(&config),
                moved: redirected.moved,
                subscriptions: config.subscription_policies(),
                reread: redirected.reread,
                notifiers: redirected.notifiers,
                probes: config.probe_plans(),
                restarts_in_parallel: config.switching.restarts_in_parallel as usize,
                splay: config.switching.splay,
                pool: config.switching.pool_settings(),
                keep: config.history.keep,
                keep_bytes: config.history.size_max,
                places: Arc::clone(drivers) as _,
            })
            .await?;
        drivers.is_told();
        if running.config.rules != config.rules {
            switchman.recognise_with(Arc::new(config.classifier()));
        }
        let names: BTreeSet<_> = config.subscriptions.iter().map(|one| one.name.clone()).collect();
        door.change(names, super::agent_sockets(&config));
        let problems: Arc<[ContainerProblem]> = problems.into();
        tell_who_came_and_went(switchman, &running.config, &config);
        tell_problems(switchman, &running.problems, &problems);
        *running = Running { file, config, found, problems };
        let has_other_notifiers = redirected.has_other_notifiers;
        Ok(Changes { reconfigured, has_other_notifiers, needs_restart: Vec::new() })
    }

    /// How many agents and subscriptions there are.
    async fn counts(&self) -> (usize, usize) {
        let running = self.0.running.lock().await;
        (running.config.agents.len(), running.config.subscriptions.len())
    }
}

/// What cannot change while the daemon runs stays as it is; the keys of which the file says something else.
fn keep_what_is_fixed(config: &mut Config, running: &Config) -> Vec<&'static str> {
    let mut kept = Vec::new();
    let mut keep = |differs: bool, key| {
        if differs {
            kept.push(key);
        }
    };
    keep(config.state_dir != running.state_dir, "state_dir");
    keep(config.api.socket != running.api.socket, "api.socket");
    keep(config.api.socket_mode != running.api.socket_mode, "api.socket_mode");
    keep(config.docker.host != running.docker.host, "docker.host");
    keep(config.docker.timeout != running.docker.timeout, "docker.timeout");
    keep(config.log.format != running.log.format, "log.format");
    keep(config.log.filter != running.log.filter, "log.filter");
    config.state_dir.clone_from(&running.state_dir);
    config.api.socket.clone_from(&running.api.socket);
    config.api.socket_mode = running.api.socket_mode;
    config.docker = Docker { discover: config.docker.discover.take(), ..running.docker.clone() };
    config.log = running.log.clone();
    kept
}

/// What a look at the file shows of it, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stamp {
    File { device: u64, inode: u64, size: u64, modified: (i64, i64), changed: (i64, i64) },
    Unreadable(String),
}

fn stamp(path: &Path) -> Stamp {
    match std::fs::metadata(path) {
        Ok(found) => Stamp::File {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        },
        Err(error) => Stamp::Unreadable(error.to_string()),
    }
}

/// Reads what is there, if it is a file: nothing that one would have to wait for.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| format!("cannot read the config: {error}"))?;
    let found = file.metadata().map_err(|error| format!("cannot read the config: {error}"))?;
    if !found.is_file() {
        let what = if found.is_dir() { "a directory" } else { "no file" };
        return Err(format!("cannot read the config: it is {what}"));
    }
    let mut bytes = Vec::new();
    let taken = file.take(config::BYTES_MAX + 1).read_to_end(&mut bytes);
    taken.map_err(|error| format!("cannot read the config: {error}"))?;
    Ok(bytes)
}

/// What is read and what became of the last reading.
pub(super) struct Reloader {
    file: PathBuf,
    environment: Environment,
    living: Living,
    switchman: Switchman,
    clock: Arc<dyn Clock>,
    /// What holds.
    applied: Vec<u8>,
    /// What was turned away last, as it was told: the same is not told again.
    rejected: Option<(Option<Vec<u8>>, String)>,
    seen: Stamp,
    /// Whether it is looked at without being asked: what comes out of a pipe can be read once only.
    is_watched: bool,
    failures: u32,
}

/// What came of reading the file.
enum Read {
    /// It says what holds already.
    Same,
    /// It holds from now on.
    Applied(Box<Changes>),
    /// It is turned away.
    Rejected,
    /// It was good, and the daemon could not do it now.
    Failed,
}

impl Reloader {
    /// `applied` is what the file held when the daemon started.
    pub(super) fn new(
        file: PathBuf,
        environment: Environment,
        living: Living,
        switchman: Switchman,
        applied: Vec<u8>,
    ) -> Self {
        let (clock, seen) = (switchman.clock(), Stamp::Unreadable("not looked at yet".to_owned()));
        let is_watched = std::fs::metadata(&file).is_ok_and(|found| found.is_file());
        Self { file, environment, living, switchman, clock, applied, rejected: None, seen, is_watched, failures: 0 }
    }

    /// Reads the file whenever somebody asks for it or it has become another one; for ever.
    pub(super) async fn run(mut self, asked: &Notify, service: &ServiceManager) {
        let mut pending: Option<Stamp> = None;
        loop {
            let wait = if self.failures == 0 { LOOK_EVERY } else { backoff(self.failures, TRY_AGAIN) };
            let is_asked = tokio::select! {
                () = asked.notified() => true,
                () = self.clock.sleep(wait), if self.is_watched || self.failures > 0 => false,
            };
            let now = self.look().await;
            if !is_asked && self.failures == 0 {
                if now == self.seen {
                    pending = None;
                    continue;
                }
                // Somebody may still be writing it.
                if pending.as_ref() != Some(&now) {
                    pending = Some(now);
                    continue;
                }
            }
            pending = None;
            self.seen = now;
            if is_asked {
                service.reloading(system_clock::monotonic_usec());
            }
            let began = self.clock.now().steady;
            let cause = if is_asked { "signal" } else { "file" };
            match self.reload().await {
                Read::Applied(changes) => self.say(cause, &changes, began.0),
                Read::Same if is_asked => tracing::info!("the config is the one that runs already"),
                Read::Same | Read::Rejected | Read::Failed => {}
            }
            if is_asked {
                let (agents, subscriptions) = self.living.counts().await;
                let counted = format!("{agents} agents, {subscriptions} subscriptions");
                service.ready(&match &self.rejected {
                    Some((_, why)) => format!("{counted}; the config file is not what runs: {why}"),
                    None => counted,
                });
            }
        }
    }

    async fn look(&self) -> Stamp {
        let file = self.file.clone();
        let looked = tokio::task::spawn_blocking(move || stamp(&file)).await;
        looked.unwrap_or_else(|_| Stamp::Unreadable("the look was broken off".to_owned()))
    }

    async fn reload(&mut self) -> Read {
        let file = self.file.clone();
        let bytes = match tokio::task::spawn_blocking(move || read(&file)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(why)) => return self.unreadable(why),
            Err(_) => return self.unreadable("cannot read the config: reading it was broken off".to_owned()),
        };
        if bytes == self.applied {
            self.settled(None);
            return Read::Same;
        }
        let (name, environment, text) = (self.file.display().to_string(), self.environment.clone(), bytes.clone());
        // Credential files are looked at as well, and a disk may be slow.
        let validated = tokio::task::spawn_blocking(move || validate(&name, text, &environment)).await;
        let (config, warnings) = match validated {
            Ok(Ok(good)) => good,
            Ok(Err(problems)) => return self.reject(Some(bytes), &problems),
            Err(_) => return self.unreadable("cannot read the config: reading it was broken off".to_owned()),
        };
        if let Some(problem) = self.loses_everything(&config).await {
            return self.reject(Some(bytes), &[problem]);
        }
        match self.living.apply(config).await {
            Ok(changes) => {
                for warning in &warnings {
                    tracing::warn!("{warning}");
                }
                self.applied = bytes;
                self.settled(None);
                Read::Applied(Box::new(changes))
            }
            Err(ApplyError::Unusable(why)) => {
                let problem = Problem::nowhere(&self.file.display().to_string(), why, "");
                self.reject(Some(bytes), &[problem])
            }
            Err(error @ ApplyError::Actors(_)) => {
                self.failures = self.failures.saturating_add(1);
                tracing::warn!(%error, "the config could not be made to hold; tried again in a moment");
                self.switchman.config_differs(Some("it could not be made to hold yet".to_owned()));
                Read::Failed
            }
        }
    }

    /// A config that takes away everything is more often a file that was cut off than what somebody wants.
    async fn loses_everything(&self, config: &Config) -> Option<Problem> {
        let (agents, subscriptions) = self.living.counts().await;
        let what = if agents > 0 && config.agents.is_empty() && config.sought().is_none() {
            format!("it defines no agent any more, and {agents} are being kept working")
        } else if subscriptions > 0 && config.subscriptions.is_empty() {
            format!("it defines no subscription any more, and {subscriptions} are in use")
        } else {
            return None;
        };
        let hint = "if that is what you want, restart the daemon; otherwise the file was cut off";
        Some(Problem::nowhere(&self.file.display().to_string(), what, hint))
    }

    fn unreadable(&mut self, why: String) -> Read {
        let file = self.file.display().to_string();
        let problem = Problem::nowhere(&file, why, "put it back where it was, readable for the daemon");
        self.reject(None, &[problem])
    }

    /// What runs goes on. The same is told once.
    fn reject(&mut self, bytes: Option<Vec<u8>>, problems: &[Problem]) -> Read {
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
        let (count, first) = (errors.clone().count(), errors.clone().next());
        let reason = first.map_or_else(|| "it has errors".to_owned(), |problem| problem.what.clone());
        let told = (bytes, problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        self.failures = 0;
        if self.rejected.as_ref() == Some(&told) {
            return Read::Rejected;
        }
        let (telemetry, file) = (self.switchman.telemetry(), self.file.display().to_string());
        telemetry.emit(events::ConfigRejected { file: &file, count, reason: &reason });
        for problem in problems {
            telemetry.emit(events::ConfigProblem {
                severity: problem.severity.as_str(),
                file: &problem.file,
                line: problem.line,
                column: problem.column,
                reason: &problem.what,
                hint: problem.hint.as_deref(),
            });
        }
        self.settled(Some(reason));
        self.rejected = Some(told);
        Read::Rejected
    }

    /// Whether what runs is what the file says.
    fn settled(&mut self, why_not: Option<String>) {
        self.failures = 0;
        self.rejected = None;
        let why_not = why_not.map(|why| format!("{} is not what runs: {why}", self.file.display()));
        self.switchman.config_differs(why_not);
    }

    fn say(&self, cause: &str, changes: &Changes, began: u64) {
        let Changes { reconfigured, has_other_notifiers, needs_restart } = changes;
        let total_ms = Duration::from_millis(self.clock.now().steady.0.saturating_sub(began));
        let agents = |names: &[AgentName]| listed(names.iter().map(AgentName::as_str));
        let subscriptions = |names: &[SubscriptionName]| listed(names.iter().map(SubscriptionName::as_str));
        let needs_restart = listed(needs_restart.iter().copied());
        self.switchman.telemetry().emit(events::DaemonReloaded {
            file: &self.file.display().to_string(),
            cause,
            agents_added: agents(&reconfigured.added).as_deref(),
            agents_changed: agents(&reconfigured.changed).as_deref(),
            agents_moved: agents(&reconfigured.moved).as_deref(),
            agents_removed: agents(&reconfigured.removed).as_deref(),
            subscriptions_added: subscriptions(&reconfigured.subscriptions.added).as_deref(),
            subscriptions_changed: subscriptions(&reconfigured.subscriptions.changed).as_deref(),
            subscriptions_removed: subscriptions(&reconfigured.subscriptions.removed).as_deref(),
            needs_restart: needs_restart.as_deref(),
            total_ms,
        });
        if let Some(keys) = needs_restart {
            tracing::warn!("the config has changed in what holds only from a start of the daemon on: {keys}");
        }
        if *has_other_notifiers {
            tracing::info!("notifications are handed to others than before");
        }
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    (!names.is_empty()).then(|| names.join(" "))
}
