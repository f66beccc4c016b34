//! A socket between a daemon and its engine. It knows every call that goes through, passes it on as it is (streams
//! included), and disturbs those that a rule names:
//!
//! | deed | the engine | the daemon |
//! |---|---|---|
//! | `Answer` | never hears of it | is answered this status |
//! | `Close` | never hears of it | sees the connection end |
//! | `Hang` | never hears of it | waits |
//! | `DoneButAnswer` | does it | is answered this status |
//! | `DoneButClose` | does it | sees the connection end |
//! | `Delay` | hears of it later | waits as long |
//! | a hold before | hears of it when the test says so, or never | waits |
//! | a hold after | has done it | waits for the answer until the test says so |
//!
//! What has been passed on goes on in the engine when the daemon goes away: that is how engines are. A proxy that is
//! away refuses connections and has ended those that were open.
//!
//! It runs in a thread of its own: a test that blocks does not hold up the daemon.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use switchman::drivers::docker::DockerHost;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::daemon::LONG;

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ping,
    Events,
    Inspect,
    Start,
    Restart,
    Other,
}

impl Kind {
    fn of(method: &str, path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let is_container = path.contains("/containers/");
        match (method, path.rsplit('/').next().unwrap_or_default()) {
            (_, "_ping") => Self::Ping,
            ("GET", "events") => Self::Events,
            ("GET", "json") if is_container => Self::Inspect,
            ("POST", "start") if is_container => Self::Start,
            ("POST", "restart") if is_container => Self::Restart,
            _ => Self::Other,
        }
    }
}

/// A call of the daemon.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Counted from 0, over all kinds.
    pub(crate) number: usize,
    pub(crate) kind: Kind,
    /// Method and path.
    pub(crate) line: String,
    /// What the daemon was answered, once it was.
    pub(crate) answered: Option<u16>,
}

impl Call {
    /// A call about a container: one that the work of the daemon consists of.
    pub(crate) fn is_work(&self) -> bool {
        matches!(self.kind, Kind::Inspect | Kind::Start | Kind::Restart)
    }

    /// One that changes a container.
    pub(crate) fn is_order(&self) -> bool {
        matches!(self.kind, Kind::Start | Kind::Restart)
    }
}

/// What is done to a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    Answer(u16),
    Close,
    Hang,
    DoneButAnswer(u16),
    DoneButClose,
    Delay(Duration),
}

/// On which side of the engine's work a call is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

#[derive(Clone)]
enum Act {
    Deed(Deed),
    Hold(Side, Arc<Gate>),
}

/// Where a held call waits.
struct Gate {
    reached: watch::Sender<Option<Call>>,
    /// `Some(false)`: it never goes on.
    opened: watch::Sender<Option<bool>>,
}

/// A call that is to be held, once. Dropped, it lets the call go on.
pub(crate) struct Hold {
    gate: Arc<Gate>,
}

impl Hold {
    /// Resolves with the call when it waits.
    pub(crate) async fn reached(&self) -> Call {
        let mut reached = self.gate.reached.subscribe();
        let found = reached.wait_for(Option::is_some).await.unwrap().clone();
        found.unwrap()
    }

    /// The engine never hears of it, if it has not yet; nor does the daemon hear of the engine.
    pub(crate) fn abandon(self) {
        self.gate.opened.send_replace(Some(false));
    }

    /// It goes on, whether the daemon is still there or not.
    pub(crate) fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.opened.send_if_modified(|opened| opened.replace(opened.unwrap_or(true)).is_none());
    }
}

impl Gate {
    /// Whether it may go on.
    async fn pass(&self, call: &Call) -> bool {
        self.reached.send_replace(Some(call.clone()));
        let mut opened = self.opened.subscribe();
        let is_to_go_on = *opened.wait_for(Option::is_some).await.unwrap();
        is_to_go_on.unwrap()
    }
}

type Picks = Box<dyn Fn(&Call) -> bool + Send>;

struct Rule {
    picks: Picks,
    act: Act,
    /// For so many calls; `None` is until it is taken back.
    left: Option<usize>,
}

#[derive(Default)]
struct Books {
    calls: Vec<Call>,
    rules: Vec<Rule>,
}

struct Shared {
    books: Mutex<Books>,
    /// How often something was written there.
    changed: watch::Sender<u64>,
    engine: PathBuf,
}

impl Shared {
    fn write<T>(&self, with: impl FnOnce(&mut Books) -> T) -> T {
        let written = with(&mut self.books.lock().unwrap());
        self.changed.send_modify(|times| *times += 1);
        written
    }

    fn began(&self, kind: Kind, method: &str, path: &str) -> (Call, Option<Act>) {
        self.write(|books| {
            let call = Call { number: books.calls.len(), kind, line: format!("{method} {path}"), answered: None };
            books.calls.push(call.clone());
            let rule = books.rules.iter_mut().find(|rule| rule.left != Some(0) && (rule.picks)(&call));
            let act = rule.map(|rule| {
                rule.left = rule.left.map(|left| left - 1);
                rule.act.clone()
            });
            (call, act)
        })
    }
}

/// The socket that a daemon under test takes for its engine's.
pub(crate) struct EngineProxy {
    shared: Arc<Shared>,
    folder: tempfile::TempDir,
    wanted: watch::Sender<State>,
    is: watch::Receiver<State>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Away,
    Over,
}

impl EngineProxy {
    /// Listens, and passes everything on to the engine at this socket.
    pub(crate) async fn before(engine: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("smp").tempdir().unwrap();
        let shared =
            Arc::new(Shared { books: Mutex::default(), changed: watch::Sender::new(0), engine: engine.to_owned() });
        let (wanted, wants) = watch::channel(State::Up);
        let (tells, is) = watch::channel(State::Away);
        let (socket, for_thread) = (folder.path().join("p.sock"), Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(listen(&socket, &for_thread, wants, &tells));
        });
        let proxy = Self { shared, folder, wanted, is, thread: Some(thread) };
        proxy.come_back().await;
        proxy
    }

    pub(crate) fn host(&self) -> DockerHost {
        DockerHost::Unix(self.folder.path().join("p.sock").display().to_string())
    }

    async fn set(&self, state: State) {
        self.wanted.send_replace(state);
        self.is.clone().wait_for(|is| *is == state).await.unwrap();
    }

    /// Refuses connections from now on, and has ended those that there were.
    pub(crate) async fn go_away(&self) {
        self.set(State::Away).await;
    }

    pub(crate) async fn come_back(&self) {
        self.set(State::Up).await;
    }

    /// Ends every connection; new ones are taken at once.
    pub(crate) async fn cut(&self) {
        self.go_away().await;
        self.come_back().await;
    }

    /// Does this to every call of a kind until it is calmed.
    pub(crate) fn disturb(&self, kind: Kind, deed: Deed) {
        self.rule(Box::new(move |call| call.kind == kind), Act::Deed(deed), None);
    }

    /// Does this to the next calls of a kind.
    pub(crate) fn disturb_next(&self, times: usize, kind: Kind, deed: Deed) {
        self.rule(Box::new(move |call| call.kind == kind), Act::Deed(deed), Some(times));
    }

    /// Holds the next call that fits.
    pub(crate) fn hold(&self, side: Side, picks: impl Fn(&Call) -> bool + Send + 'static) -> Hold {
        let gate = Arc::new(Gate { reached: watch::Sender::new(None), opened: watch::Sender::new(None) });
        self.rule(Box::new(picks), Act::Hold(side, Arc::clone(&gate)), Some(1));
        Hold { gate }
    }

    fn rule(&self, picks: Picks, act: Act, left: Option<usize>) {
        self.shared.write(|books| books.rules.push(Rule { picks, act, left }));
    }

    /// Takes back every rule.
    pub(crate) fn calm(&self) {
        self.shared.write(|books| books.rules.clear());
    }

    /// All calls so far, oldest first.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.books.lock().unwrap().calls.clone()
    }

    /// Those since there were so many.
    pub(crate) fn since(&self, count: usize) -> Vec<Call> {
        self.calls().split_off(count)
    }

    /// How many of a kind there were since there were so many in all.
    pub(crate) fn count(&self, kind: Kind, since: usize) -> usize {
        self.since(since).iter().filter(|call| call.kind == kind).count()
    }

    /// Waits until the calls are as this says.
    pub(crate) async fn called(&self, what: &str, is_it: impl Fn(&[Call]) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        let waiting = async {
            while !is_it(&self.calls()) {
                changed.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(LONG, waiting).await;
        waited.unwrap_or_else(|_| panic!("the engine was not called so: {what}; {:#?}", self.calls()));
    }
}

impl Drop for EngineProxy {
    fn drop(&mut self) {
        self.wanted.send_replace(State::Over);
        if let Some(thread) = self.thread.take() {
            let _it_has_failed = thread.join().is_err();
        }
    }
}

async fn listen(socket: &Path, shared: &Arc<Shared>, mut wants: watch::Receiver<State>, is: &watch::Sender<State>) {
    loop {
        let wanted = *wants.wait_for(|wanted| *wanted != State::Away).await.unwrap();
        if wanted == State::Over {
            return;
        }
        let _there_was_none = std::fs::remove_file(socket).is_err();
        let listener = UnixListener::bind(socket).unwrap();
        is.send_replace(State::Up);
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    connections.spawn(serve(accepted.unwrap().0, Arc::clone(shared)));
                }
                _ = wants.wait_for(|wanted| *wanted != State::Up) => break,
            }
        }
        // What is left of the socket refuses, as that of an engine that was killed.
        drop(listener);
        connections.shutdown().await;
        is.send_replace(State::Away);
    }
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed")]
struct Closed;

type Answer = Result<Response<BoxBody<Bytes, hyper::Error>>, Closed>;

async fn serve(stream: UnixStream, shared: Arc<Shared>) {
    let service = service_fn(|request: Request<Incoming>| answer(request, Arc::clone(&shared)));
    let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _either_side_closed = serving.await.is_err();
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Answer {
    let path = request.uri().path_and_query().map_or("", hyper::http::uri::PathAndQuery::as_str);
    // Whoever follows the logs asks over connections of its own, beside the work that is counted here.
    let is_for_a_log = request.headers().get("user-agent").is_some_and(|agent| agent == "switchman");
    let kind = if is_for_a_log { Kind::Other } else { Kind::of(request.method().as_str(), path) };
    let (call, act) = shared.began(kind, request.method().as_str(), path);
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head, Full::new(body.collect().await.map_err(|_| Closed)?.to_bytes()));
    if let Some(Act::Deed(Deed::Hang)) = act {
        // Until the daemon gives it up.
        return std::future::pending().await;
    }
    let (number, books) = (call.number, Arc::clone(&shared));
    // In a task of its own, which goes on when the daemon has gone.
    let answer = tokio::spawn(async move { carry_out(call, act, request, &shared.engine).await }).await.unwrap();
    if let Ok(answer) = &answer {
        books.write(|books| books.calls[number].answered = Some(answer.status().as_u16()));
    }
    answer
}

async fn carry_out(call: Call, act: Option<Act>, request: Request<Full<Bytes>>, engine: &Path) -> Answer {
    match act {
        None | Some(Act::Deed(Deed::Hang)) => pass_on(request, engine).await,
        Some(Act::Deed(Deed::Answer(status))) => Ok(made_up(status)),
        Some(Act::Deed(Deed::Close)) => Err(Closed),
        Some(Act::Deed(Deed::DoneButAnswer(status))) => {
            whole(pass_on(request, engine).await?).await?;
            Ok(made_up(status))
        }
        Some(Act::Deed(Deed::DoneButClose)) => {
            whole(pass_on(request, engine).await?).await?;
            Err(Closed)
        }
        Some(Act::Deed(Deed::Delay(time))) => {
            SystemClock::new().sleep(time).await;
            pass_on(request, engine).await
        }
        Some(Act::Hold(Side::Before, gate)) => {
            if gate.pass(&call).await {
                pass_on(request, engine).await
            } else {
                Err(Closed)
            }
        }
        Some(Act::Hold(Side::After, gate)) => {
            let answer = whole(pass_on(request, engine).await?).await?;
            if gate.pass(&call).await { Ok(answer) } else { Err(Closed) }
        }
    }
}

async fn pass_on(request: Request<Full<Bytes>>, engine: &Path) -> Answer {
    let stream = UnixStream::connect(engine).await.map_err(|_| Closed)?;
    let connected = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(|_| Closed)?;
    tokio::spawn(async move {
        let _either_side_closed = connection.await.is_err();
    });
    let answer = sender.send_request(request).await.map_err(|_| Closed)?;
    Ok(answer.map(BodyExt::boxed))
}

/// Waits for the end of the answer: only then has the engine done it.
async fn whole(answer: Response<BoxBody<Bytes, hyper::Error>>) -> Answer {
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    Ok(Response::from_parts(head, body_of(body)))
}

fn made_up(status: u16) -> Response<BoxBody<Bytes, hyper::Error>> {
    let mut answer = Response::new(body_of(Bytes::from_static(br#"{"message":"disturbed by a test"}"#)));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

fn body_of(bytes: Bytes) -> BoxBody<Bytes, hyper::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}
