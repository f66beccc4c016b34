//! What an engine tells by itself: ends with their codes, want of memory, health; and engines old and new.

use switchman::domain::{Reload, RuntimeState, Wall};
use switchman::drivers::docker::DockerRuntime;
use switchman::ports::runtime::{Ended, Mount, Runtime, RuntimeEvent, Surroundings};

use super::docker_containers::Container;
use super::engine::Shape;
use super::program::PATIENCE;
use super::scripted_engine::{Engine, Reply};
use super::{one, tell};

/// The next event that the closure finds something in.
async fn heard<T>(docker: &DockerRuntime, what: &str, mut find: impl FnMut(RuntimeEvent) -> Option<T>) -> T {
    let hearing = async {
        loop {
            if let Some(found) = find(docker.next_event().await) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, hearing).await.unwrap_or_else(|_| panic!("not told: {what}"))
}

fn end(event: RuntimeEvent) -> Option<Ended> {
    if let RuntimeEvent::Ended(ended) = event { Some(ended) } else { None }
}

async fn end_of_script(script: &'static str, memory_bytes: Option<i64>) -> (Ended, Container) {
    let container = Container::new(&Shape { script: Some(script), memory_bytes, ..Shape::default() }).await;
    assert_eq!(container.docker.next_event().await, RuntimeEvent::EngineBack);
    container.started_and_perhaps_ended().await;
    (heard(&container.docker, "the end", end).await, container)
}

#[tokio::test]
async fn an_end_is_told_with_its_code_and_its_time() {
    let (ended, container) = end_of_script("exit 7", None).await;
    assert_eq!((&ended.agent, ended.exit_code, ended.was_oom), (&one(), Some(7), false));
    assert!(!ended.was_told, "nobody asked for it");
    let seen = container.look().await;
    assert_eq!(seen.state, RuntimeState::Stopped);
    let life = seen.instance.unwrap();
    assert_eq!(life.id, ended.id);
    let started: jiff::Timestamp = life.started_at.parse().unwrap();
    assert!(ended.at.unwrap() >= Wall(started.as_millisecond()), "{ended:?} {life:?}");
}

#[tokio::test]
async fn an_end_by_a_signal_is_a_code_above_128() {
    let container = Container::new(&Shape::default()).await;
    assert_eq!(container.docker.next_event().await, RuntimeEvent::EngineBack);
    let life = container.started().await;
    container.docker.reload(tell(&one(), &life, &Reload::Signal("KILL".to_owned()))).await.unwrap();
    let ended = heard(&container.docker, "the end", end).await;
    assert_eq!((ended.exit_code, ended.was_oom), (Some(137), false));
}

#[tokio::test]
async fn an_end_that_somebody_asked_for_is_told_as_that_whatever_its_code() {
    // It heeds a stop and ends with code 0, as many programs do; a word about something else it survives.
    let script = "trap : HUP; trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";
    for (asks, was_told) in [(true, true), (false, false)] {
        let container = Container::new(&Shape { script: Some(script), ..Shape::default() }).await;
        assert_eq!(container.docker.next_event().await, RuntimeEvent::EngineBack);
        let life = container.started().await;
        container.docker.reload(tell(&one(), &life, &Reload::Signal("HUP".to_owned()))).await.unwrap();
        let by = if asks {
            Reload::Signal("TERM".to_owned())
        } else {
            Reload::Exec(vec!["kill".to_owned(), "-TERM".to_owned(), "1".to_owned()])
        };
        container.docker.reload(tell(&one(), &life, &by)).await.unwrap();
        let ended = heard(&container.docker, "the end", end).await;
        assert_eq!((ended.exit_code, ended.was_told), (Some(0), was_told));
    }
}

#[tokio::test]
async fn an_end_for_want_of_memory_is_told_as_one() {
    let script = "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done";
    let (ended, _container) = end_of_script(script, Some(16 * 1024 * 1024)).await;
    assert_eq!((ended.exit_code, ended.was_oom), (Some(137), true));
}

#[tokio::test]
async fn of_a_killed_life_the_engine_is_asked_whether_memory_was_wanted() {
    const KILLED: &str = concat!(
        r#"{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"name":"box","exitCode":"137"}}}"#,
        "\n"
    );
    for (look, was_oom) in [
        (Reply::Answer(200, r#"{"Id":"c1","Name":"/box","State":{"OOMKilled":true}}"#), true),
        (Reply::Answer(200, r#"{"Id":"c1","Name":"/box","State":{"OOMKilled":false}}"#), false),
        (Reply::Answer(404, r#"{"message":"gone"}"#), false),
        (Reply::Hang, false),
    ] {
        let script = [
            ("_ping", Reply::Answer(200, "OK")),
            ("events", Reply::Stream(KILLED)),
            ("/containers/c1/json", look.clone()),
        ];
        let engine = Engine::new(&script);
        let runtime = engine.runtime();
        // Dropped whenever it waits, as a caller may: the end is told all the same, and once.
        let mut told = Vec::new();
        let collect = async {
            while told.len() < 2 {
                tokio::select! {
                    biased;
                    event = runtime.next_event() => told.push(event),
                    () = tokio::task::yield_now() => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, collect).await.unwrap();
        let ended =
            Ended { agent: one(), id: "c1".to_owned(), exit_code: Some(137), was_oom, was_told: false, at: None };
        assert_eq!(told, [RuntimeEvent::EngineBack, RuntimeEvent::Ended(ended)], "{look:?}");
    }
}

#[tokio::test]
async fn health_is_told_as_it_turns() {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape {
        binds: vec![(folder.path().to_owned(), "/facts")],
        healthy_if: Some("/facts/healthy"),
        ..Shape::default()
    };
    let container = Container::new(&shape).await;
    assert_eq!(container.docker.next_event().await, RuntimeEvent::EngineBack);
    container.started().await;
    for turned in [false, true, false] {
        let fact = folder.path().join("healthy");
        if turned {
            std::fs::write(&fact, "").unwrap();
        } else if fact.exists() {
            std::fs::remove_file(&fact).unwrap();
        }
        let is_healthy = heard(&container.docker, "its health", |event| match event {
            RuntimeEvent::Health { agent, is_healthy } if agent == one() => Some(is_healthy),
            _ => None,
        });
        assert_eq!(is_healthy.await, turned);
    }
}

#[tokio::test]
async fn a_look_shows_what_surrounds_the_work_by_name_only() {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape {
        binds: vec![(folder.path().to_owned(), "/credentials")],
        tmpfs: Some("/scratch"),
        variables: ["TOKEN=sk-hush", "EMPTY=", "BARE"].map(str::to_owned).to_vec(),
        labels: vec![("switchman.owner", "/var/lib/other".to_owned())],
        ..Shape::default()
    };
    let container = Container::new(&shape).await;
    let seen = container.look().await;
    assert!(!format!("{seen:?}").contains("hush"), "{seen:?}");
    let surroundings = seen.surroundings.unwrap();
    assert!(surroundings.variables.contains(&"TOKEN".to_owned()), "{surroundings:?}");
    assert!(!surroundings.variables.iter().any(|name| name == "EMPTY" || name == "BARE"), "{surroundings:?}");
    let mount = Mount { source: folder.path().to_owned(), destination: "/credentials".into() };
    assert_eq!(surroundings.mounts, [mount]);
    assert_eq!(surroundings.owner.as_deref(), Some("/var/lib/other"));
    container.engine.remove(&container.name).await;
    assert_eq!(container.look().await.surroundings, None);
}

#[tokio::test]
async fn an_end_that_is_told_again_after_a_new_connection_is_told_once() {
    let event = concat!(
        r#"{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"name":"box","exitCode":"3"}},"#,
        r#""time":1700000000,"timeNano":1700000000250000000}"#,
        "\n"
    );
    // The stream ends at once, so it is asked for again.
    let engine = Engine::new(&[("_ping", Reply::Answer(200, "OK")), ("events", Reply::Answer(200, event))]);
    let runtime = engine.runtime();
    let next = async || tokio::time::timeout(PATIENCE, runtime.next_event()).await.unwrap();
    let ended = Ended {
        agent: one(),
        id: "c1".to_owned(),
        exit_code: Some(3),
        was_oom: false,
        was_told: false,
        at: Some(Wall(1_700_000_000_250)),
    };
    assert_eq!(next().await, RuntimeEvent::EngineBack);
    assert_eq!(next().await, RuntimeEvent::Ended(ended));
    for _ in 0..2 {
        assert_eq!(next().await, RuntimeEvent::EngineBack);
        assert_eq!(next().await, RuntimeEvent::Changed(one()));
    }
}

/// What the oldest engine that we speak to answers, and the newest that is known: members have come and gone.
const OLDEST: [&str; 2] = [
    r#"{"Id":"c1","Name":"/box","Created":"2026-11-01T10:00:00Z","State":{"Status":"running","Running":true,
        "Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":7,"ExitCode":0,"Error":"",
        "StartedAt":"2026-11-01T10:00:00.1Z","FinishedAt":"0001-01-01T00:00:00Z"},"Image":"sha256:0",
        "GraphDriver":{"Data":null,"Name":"overlay2"},"HostConfig":{"NetworkMode":"default","KernelMemory":0,
        "KernelMemoryTCP":0,"LogConfig":{"Type":"json-file","Config":{}}},
        "Mounts":[{"Type":"bind","Source":"/srv/a","Destination":"/a","Mode":"","RW":true,"Propagation":"rprivate"}],
        "Config":{"Hostname":"h","Domainname":"","AttachStdin":false,"Env":["TOKEN=1"],"Cmd":["/agent"],"Labels":null,
        "Entrypoint":null,"OnBuild":null},"NetworkSettings":{"Bridge":"","SandboxID":"","HairpinMode":false,
        "LinkLocalIPv6Address":"","Ports":{},"Gateway":"","IPAddress":"","MacAddress":"","Networks":{}}}"#,
    concat!(
        r#"{"status":"die","id":"c1","from":"agent","Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":"#,
        r#"{"exitCode":"1","image":"agent","name":"box"}},"scope":"local","time":1700000000,"timeNano":1700000000000000000}"#,
        "\n"
    ),
];
const NEWEST: [&str; 2] = [
    r#"{"Id":"c1","Name":"/box","Created":"2026-11-01T10:00:00Z","State":{"Status":"running","Running":true,
        "Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":7,"ExitCode":0,"Error":"",
        "StartedAt":"2026-11-01T10:00:00.1Z","FinishedAt":"0001-01-01T00:00:00Z",
        "Health":{"Status":"none","FailingStreak":0,"Log":null}},"Image":"sha256:0",
        "ImageManifestDescriptor":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:0","size":7},
        "Storage":{"RootFS":{"Snapshot":{"Name":"overlayfs"}}},"HostConfig":{"NetworkMode":"bridge","Annotations":{}},
        "Mounts":[{"Type":"bind","Source":"/srv/a","Destination":"/a","Mode":"","RW":true,"Propagation":"rprivate"},
        {"Type":"of-a-kind-to-come","Source":"x","Destination":"/b"}],
        "Config":{"Hostname":"h","Env":["TOKEN=1"],"Cmd":["/agent"],"Image":"agent","Labels":{},"ToCome":{"a":[1]}},
        "NetworkSettings":{"SandboxID":"","SandboxKey":"","Ports":{},"Networks":{}}}"#,
    concat!(
        r#"{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"execDuration":"1","exitCode":"1","#,
        r#""image":"agent","name":"box"}},"scope":"local","time":1700000000,"timeNano":1700000000000000000}"#,
        "\n"
    ),
];

#[tokio::test]
async fn engines_old_and_new_are_understood_and_asked_in_no_version_of_their_own() {
    for [inspect, event] in [OLDEST, NEWEST] {
        let script = [
            ("json", Reply::Answer(200, inspect)),
            ("_ping", Reply::Answer(200, "OK")),
            ("events", Reply::Stream(event)),
        ];
        let engine = Engine::new(&script);
        let runtime = engine.runtime();
        let seen = runtime.look(&one()).await.unwrap();
        assert_eq!((seen.state, seen.instance), (RuntimeState::Running, Some(super::scripted_engine::before())));
        let mounts = vec![Mount { source: "/srv/a".into(), destination: "/a".into() }];
        // 2026-11-01T10:00:00.1Z
        let began_at = Some(Wall(1_793_527_200_100));
        let variables = vec!["TOKEN".to_owned()];
        let expected = Surroundings { variables, mounts, began_at, ..Surroundings::default() };
        assert_eq!(seen.surroundings, Some(expected));
        assert_eq!(engine.requests(), ["GET /containers/box/json"], "a look is one call");
        assert_eq!(heard(&runtime, "the end", end).await.exit_code, Some(1));
        for request in engine.requests() {
            assert!(!request.contains(" /v1."), "a prefix can be too old or too new for an engine: {request}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_quoted() {
    for nonsense in [
        r#"{"Id":"c1","Name":"/box","State":{"Running":true},"Config":{"Env":"TOKEN=sk-hush"}}"#,
        r#"{"Id":"c1","Name":"/box","State":{"Running":true},"Config":{"Env":["TOKEN=sk-hush"#,
    ] {
        let engine = Engine::new(&[("json", Reply::Answer(200, nonsense))]);
        let error = engine.runtime().look(&one()).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
}

#[tokio::test]
async fn events_of_other_containers_are_not_told() {
    let events = concat!(
        r#"{"Type":"container","Action":"die","Actor":{"ID":"c0","Attributes":{"name":"box-2","exitCode":"9"}}}"#,
        "\n",
        r#"{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"name":"box","exitCode":"3"}}}"#,
        "\n"
    );
    let engine = Engine::new(&[("_ping", Reply::Answer(200, "OK")), ("events", Reply::Stream(events))]);
    let runtime = engine.runtime();
    assert_eq!(runtime.next_event().await, RuntimeEvent::EngineBack);
    let told = tokio::time::timeout(PATIENCE, runtime.next_event()).await.unwrap();
    assert_eq!(end(told).unwrap().exit_code, Some(3));
}
