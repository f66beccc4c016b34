//! Agents that are child processes of the daemon.
//!
//! They live and die with it: a clean stop ends them, and what a killed daemon left behind is ended before a new
//! one starts. It must not let a credential into an argument, a log or a file of its own; a child's environment
//! is made from nothing but what is listed here:
//!
//! | variable | from |
//! |---|---|
//! | those of [`INHERITED`] | the daemon's own environment, as the caller read it |
//! | the configured ones | the config |
//! | `SWITCHMAN_AGENT`, `_SUBSCRIPTION`, `_GENERATION`, `_OWNER`, `_SOCKET` | the order and the settings |
//! | the credential's | the order, if the credential travels with the environment |
//!
//! A child that has exited is `stopped`; so is one that was never started, for it is only configured. An agent
//! is its child: what else the child started in its process group is ended with it.
//!
//! | order finds | does |
//! |---|---|
//! | the life named by `before` | TERM to its group, the grace, KILL, and when nothing is left the next life |
//! | another life, begun for this assignment or a later one | nothing: the life it was to end has ended |
//! | another life, begun for an earlier assignment | ends it too: its environment holds the old credential |
//! | no life since the daemon began | starts one |
//!
//! A child that ends by itself is told as `Ended`; one that ends because it was told to is not. How a running one
//! is told to read its credential again: `process/reload.rs`.
//!
//! Tests: in the files below, `tests/runtime_conformance.rs`, `tests/runtime_conformance/process_children.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;
use secrecy::ExposeSecret;

mod left_overs;
mod life;
mod maker;
mod notices;
mod output;
mod record;
mod reload;
mod table;

pub use left_overs::{LeftOver, Recovered};
pub use maker::Maker;
pub use output::{LINE_MAX, OutputSink, OutputStream};

use self::life::{Ears, Life, News, Stage};
use self::notices::Notices;
use self::record::Records;
use crate::domain::{AgentName, RuntimeState};
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::runtime::{Ended, Readiness, ReloadOrder, Runtime, RuntimeError, RuntimeEvent, Seen, StartOrder};

/// The variables of the daemon that a child gets too.
pub const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "USER"];

const NO_COMMAND: &str = "the command is empty";

const AGENT_VARIABLE: &str = "SWITCHMAN_AGENT";
const OWNER_VARIABLE: &str = "SWITCHMAN_OWNER";

/// The grace if neither the order nor the config says one.
const USUAL_GRACE: Duration = Duration::from_secs(10);
/// A child that has not exited so long after its start is ready. A program that cannot be executed at all is
/// noticed at the start itself; this is for the one that gives up at its first look at its surroundings.
const SETTLE: Duration = Duration::from_millis(50);
/// After KILL; only a process that the kernel holds takes longer.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// How a child gets its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialPlace {
    /// In this variable of its environment.
    Variable(String),
    /// In a file, which somebody else writes.
    File,
}

/// What a process agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSpec {
    /// The program and its arguments. Not empty.
    pub command: Vec<String>,
    /// Where it runs; `None`: where the daemon runs.
    pub dir: Option<PathBuf>,
    /// Its configured variables.
    pub env: BTreeMap<String, String>,
    /// How it gets its credential.
    pub credential: CredentialPlace,
}

/// What all children have in common.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// Names this daemon's state directory to whoever finds a child later.
    pub owner: String,
    /// Where notes about children are kept.
    pub state_dir: PathBuf,
    /// The daemon's socket, told to children so that they can report.
    pub socket: Option<PathBuf>,
    /// The daemon's environment; only [`INHERITED`] is passed on.
    pub environment: BTreeMap<String, String>,
}

/// Agents that are children of this process. Needs a tokio runtime to be used in.
pub struct ProcessRuntime {
    agents: RwLock<BTreeMap<AgentName, Arc<Slot>>>,
    settings: ProcessSettings,
    records: Records,
    clock: Arc<dyn Clock>,
    sink: Arc<dyn OutputSink>,
    notices: Arc<Notices>,
    is_closing: AtomicBool,
    /// What could not be ended, once the left-overs have been looked for. They are looked for once: later on
    /// they could not be told from children of our own.
    left: tokio::sync::Mutex<Option<Vec<LeftOver>>>,
}

struct Slot {
    spec: ProcessSpec,
    /// Held by whoever ends or starts a life.
    order: tokio::sync::Mutex<()>,
    life: Mutex<Option<Arc<Life>>>,
}

impl Slot {
    fn new(spec: ProcessSpec) -> Self {
        Self { spec, order: tokio::sync::Mutex::default(), life: Mutex::default() }
    }

    fn life(&self) -> Option<Arc<Life>> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ProcessRuntime {
    /// These agents. Starts none. After [`Runtime::shut_down`] it starts none any more.
    #[must_use]
    pub fn new(
        agents: BTreeMap<AgentName, ProcessSpec>,
        settings: ProcessSettings,
        sink: Arc<dyn OutputSink>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            agents: RwLock::new(agents.into_iter().map(|(name, spec)| (name, Arc::new(Slot::new(spec)))).collect()),
            records: Records::under(&settings.state_dir),
            settings,
            clock,
            sink,
            notices: Arc::default(),
            is_closing: AtomicBool::new(false),
            left: tokio::sync::Mutex::default(),
        }
    }

    /// Whether this agent is one of these processes.
    #[must_use]
    pub fn knows(&self, agent: &AgentName) -> bool {
        self.lock().contains_key(agent)
    }

    /// From now on this is what the agent is; with `None` it is none of ours. What it was before is ended if it is
    /// something else, with this grace; nothing is started.
    pub async fn place(&self, agent: &AgentName, spec: Option<ProcessSpec>, grace: Duration) {
        let old = self.slot(agent).ok();
        if old.as_ref().map(|slot| &slot.spec) == spec.as_ref() {
            return;
        }
        {
            let mut agents = self.agents.write().unwrap_or_else(PoisonError::into_inner);
            match spec {
                Some(spec) => agents.insert(agent.clone(), Arc::new(Slot::new(spec))),
                None => agents.remove(agent),
            };
        }
        let Some(slot) = old else { return };
        let _mine = slot.order.lock().await;
        if let Some(life) = slot.life() {
            life.end(self.clock.now().due_after(grace));
            // What the kernel holds cannot be waited for; the next daemon finds it.
            let _gone = tokio::time::timeout(grace.saturating_add(KILL_GRACE), life.until_gone()).await;
        }
    }

    fn lock(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<AgentName, Arc<Slot>>> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what an earlier daemon left behind, with this grace. The first order does it if nobody did.
    pub async fn recover(&self, grace: Duration) -> Recovered {
        let mut left = self.left.lock().await;
        if left.is_some() {
            return Recovered::default();
        }
        let recovered = left_overs::end_all(&self.records, &self.settings.owner, grace, &*self.clock).await;
        *left = Some(recovered.remaining.clone());
        recovered
    }

    /// Refuses while an earlier life of this agent, one that cannot be ended, is there.
    async fn refuse_beside_a_left_over(&self, agent: &AgentName) -> Result<(), RuntimeError> {
        let left = self.left.lock().await;
        match left.iter().flatten().find(|left| left.agent == *agent && left.is_there()) {
            Some(left) => {
                let why = format!("process {} of an earlier daemon does not end", left.pid);
                Err(RuntimeError::Foreign { agent: agent.clone(), why })
            }
            None => Ok(()),
        }
    }

    fn slot(&self, agent: &AgentName) -> Result<Arc<Slot>, RuntimeError> {
        self.lock().get(agent).cloned().ok_or_else(|| RuntimeError::Missing(agent.clone()))
    }

    async fn end_life(&self, life: &Life, order: &StartOrder<'_>) -> Result<(), RuntimeError> {
        let grace = order.grace.unwrap_or(USUAL_GRACE);
        life.end(self.clock.now().due_after(grace));
        let patience = grace.saturating_add(order.call_timeout);
        tokio::time::timeout(patience, life.until_gone())
            .await
            .map_err(|_| RuntimeError::Timeout { call: "stop", after: patience })
    }

    async fn begin_life(&self, slot: &Slot, order: &StartOrder<'_>) -> Result<(), RuntimeError> {
        let grace = order.grace.unwrap_or(USUAL_GRACE);
        self.recover(grace).await;
        self.refuse_beside_a_left_over(order.agent).await?;
        let command = self.command(&slot.spec, order)?;
        let instance = {
            // Under this lock, so that a shutdown either sees the new life or is seen here.
            let mut place = slot.life.lock().unwrap_or_else(PoisonError::into_inner);
            if self.is_closing.load(Ordering::SeqCst) {
                return Err(RuntimeError::Refused { call: "start", why: "the daemon is ending".to_owned() });
            }
            let begun = Life::begin(command, order.generation, self.ears(order.agent));
            let life = begun.map_err(|error| not_started(&slot.spec, &error))?;
            let instance = life.instance.clone();
            *place = Some(Arc::new(life));
            instance
        };
        self.notices.post(order.agent);
        let (records, agent, owner) = (self.records.clone(), order.agent.clone(), self.settings.owner.clone());
        // Without the note a left-over is still found by its environment, so its loss is no failure.
        let _noted = tokio::task::spawn_blocking(move || records.write(&agent, &owner, &instance)).await;
        Ok(())
    }

    fn ears(&self, agent: &AgentName) -> Ears {
        let (notices, records, name) = (self.notices.clone(), self.records.clone(), agent.clone());
        let clock = self.clock.clone();
        let told = Box::new(move |news: News, pid: Pid| {
            let id = pid.to_string();
            match news {
                News::EndedByItself(exit_code) => {
                    let at = Some(clock.now().wall);
                    // Nobody tells a parent that its child's end was for want of memory.
                    return notices.post_end(Ended {
                        agent: name.clone(),
                        id,
                        exit_code,
                        was_oom: false,
                        was_told: false,
                        at,
                    });
                }
                News::EndedAsTold => {}
                News::Gone => records.forget(name.as_str(), &id),
            }
            notices.post(&name);
        });
        Ears { agent: agent.clone(), sink: self.sink.clone(), clock: self.clock.clone(), told }
    }

    /// A command where the agent runs, with what is in its environment whatever it runs on. `None` if it is empty.
    fn bare_command(&self, agent: &AgentName, spec: &ProcessSpec, command: &[String]) -> Option<Command> {
        let (program, arguments) = command.split_first()?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        if let Some(dir) = &spec.dir {
            command.current_dir(dir);
        }
        let inherited = INHERITED.iter().filter_map(|name| self.settings.environment.get_key_value(*name));
        command.envs(inherited).envs(&spec.env);
        command.env(AGENT_VARIABLE, agent.as_str()).env(OWNER_VARIABLE, &self.settings.owner);
        if let Some(socket) = &self.settings.socket {
            command.env("SWITCHMAN_SOCKET", socket);
        }
        Some(command)
    }

    fn command(&self, spec: &ProcessSpec, order: &StartOrder<'_>) -> Result<Command, RuntimeError> {
        let refuse = |why: &str| RuntimeError::Refused { call: "start", why: why.to_owned() };
        let mut command = self.bare_command(order.agent, spec, &spec.command).ok_or_else(|| refuse(NO_COMMAND))?;
        command
            .env("SWITCHMAN_SUBSCRIPTION", order.subscription.as_str())
            .env("SWITCHMAN_GENERATION", order.generation.to_string());
        if let CredentialPlace::Variable(name) = &spec.credential {
            let credential = order.credential.ok_or_else(|| refuse("the order brings no credential"))?;
            command.env(name, credential.expose_secret());
        }
        Ok(command)
    }
}

/// Why there is no child. A lack of memory, processes or files passes; a program that is not there does not.
fn not_started(spec: &ProcessSpec, error: &std::io::Error) -> RuntimeError {
    let program = spec.command.first().map_or("no command", String::as_str);
    let lacking = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::TXTBSY];
    if Errno::from_io_error(error).is_some_and(|errno| lacking.contains(&errno)) {
        return RuntimeError::Unreachable(format!("the kernel cannot start {program} at present: {error}"));
    }
    let place = spec.dir.as_ref().map(|dir| format!(" in {}", dir.display())).unwrap_or_default();
    RuntimeError::Refused { call: "start", why: format!("{program}{place}: {error}") }
}

impl Runtime for ProcessRuntime {
    fn look<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Seen, RuntimeError>> {
        Box::pin(async move {
            Ok(match self.slot(agent)?.life() {
                None => Seen::of(RuntimeState::Stopped, None),
                Some(life) => {
                    let is_running = life.stage() == Stage::Running;
                    let state = if is_running { RuntimeState::Running } else { RuntimeState::Stopped };
                    Seen::of(state, Some(life.instance.clone()))
                }
            })
        })
    }

    fn restart<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let slot = self.slot(order.agent)?;
            let _mine = slot.order.lock().await;
            if let Some(life) = slot.life() {
                let is_another = order.before.is_some_and(|before| *before != life.instance);
                if is_another && life.generation >= order.generation {
                    return Ok(());
                }
                self.end_life(&life, &order).await?;
            }
            self.begin_life(&slot, &order).await
        })
    }

    fn start<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let slot = self.slot(order.agent)?;
            let _mine = slot.order.lock().await;
            if let Some(life) = slot.life() {
                if life.stage() == Stage::Running {
                    return Ok(());
                }
                self.end_life(&life, &order).await?;
            }
            self.begin_life(&slot, &order).await
        })
    }

    fn reload<'a>(&'a self, order: ReloadOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        Box::pin(self.tell(order))
    }

    fn await_ready<'a>(
        &'a self,
        agent: &'a AgentName,
        timeout: Duration,
    ) -> Pending<'a, Result<Readiness, RuntimeError>> {
        Box::pin(async move {
            let Some(life) = self.slot(agent)?.life() else { return Ok(Readiness::NotRunning) };
            let settled = life.spawned.due_after(SETTLE).remaining(self.clock.now());
            tokio::select! {
                biased;
                () = life.until_ended() => Ok(Readiness::NotRunning),
                () = self.clock.sleep(settled.min(timeout)) => Ok(Readiness::Ready),
            }
        })
    }

    fn next_event(&self) -> Pending<'_, RuntimeEvent> {
        Box::pin(self.notices.next())
    }

    fn shut_down(&self, grace: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            self.is_closing.store(true, Ordering::SeqCst);
            let kill_at = self.clock.now().due_after(grace);
            let lives: Vec<_> = self.lock().values().filter_map(|slot| slot.life()).collect();
            for life in &lives {
                life.end(kill_at);
            }
            let all_gone = async {
                for life in &lives {
                    life.until_gone().await;
                }
            };
            // What the kernel holds cannot be waited for; the next daemon finds it.
            let _all = tokio::time::timeout(grace.saturating_add(KILL_GRACE), all_gone).await;
        })
    }
}
