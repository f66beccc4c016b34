//! The command line against a running daemon, and without one.

use serde_json::{Value, json};

use crate::setup::Setup;
use crate::site::{Printed, Site};
use crate::stage::{Ground, Stage};

fn document(printed: &Printed) -> Value {
    let document: Value =
        serde_json::from_str(&printed.stdout).unwrap_or_else(|error| panic!("no document ({error}): {printed:?}"));
    assert_eq!(document["schema_version"], 1, "{document:#}");
    document
}

#[tokio::test]
async fn a_failure_is_reported_waited_for_and_found_in_status_explain_and_history() {
    let stage = Stage::set(Ground::Children, Setup::new(&["a", "b"], &["one"])).await;
    let site = &stage.site;
    let words = ["--json", "report", "one", "--kind", "rate_limit", "--generation", "1", "--id", "r-1", "--wait"];
    let reported = site.cli(&words).await;
    assert_eq!(reported.code, 0, "{reported:?}");
    let answer = document(&reported);
    assert_eq!((&answer["outcome"], &answer["switch"]["to"]), (&json!("switched"), &json!("b")), "{answer:#}");
    assert_eq!(answer["switch"]["outcome"], "ready");
    stage.started("one", 2).await;

    let status = site.cli(&["--json", "status", "one"]).await;
    assert_eq!(status.code, 0, "{status:?}");
    let status = document(&status).to_string();
    assert!(status.contains(r#""subscription":"b""#) && status.contains(r#""generation":2"#), "{status}");
    let table = site.cli(&["status"]).await;
    assert_eq!(table.code, 0, "{table:?}");
    for part in ["one", "serving", "a", "b"] {
        assert!(table.stdout.contains(part), "{table:?}");
    }

    let explained = site.cli(&["--json", "explain", "one"]).await;
    assert_eq!(explained.code, 0, "{explained:?}");
    let explained = document(&explained);
    let verdict =
        explained["subscriptions"].as_array().unwrap().iter().find(|candidate| candidate["subscription"] == "a");
    assert!(verdict.unwrap_or_else(|| panic!("{explained:#}")).to_string().contains("cooling"), "{explained:#}");

    let history = site.cli(&["--json", "history", "one"]).await;
    assert_eq!(history.code, 0, "{history:?}");
    let history = document(&history);
    let newest = &history["switches"][0];
    assert_eq!((&newest["from"], &newest["to"], &newest["outcome"]), (&json!("a"), &json!("b"), &json!("ready")));
    assert_eq!(newest["cause"]["by"], "failure");

    let switched = site.cli(&["--json", "switch", "one", "--to", "a", "--force", "--wait"]).await;
    assert_eq!(switched.code, 0, "{switched:?}");
    assert_eq!(document(&switched)["outcome"], "ready");
    stage.started("one", 3).await;
    stage.runs_on("one", "a").await;
}

/// What a script in front of an agent does.
const HOLDER: &str = r#"
set -eu
switchman() { "$BINARY" --socket "$SOCKET" "$@"; }
switchman turn begin one --session chat --holder script --queue > lease
read -r turn _token < lease
switchman turn heartbeat "$turn" --lease-file lease
switchman turn begin one --session chat 2> refused && exit 1 || test $? = 3
grep -q "$turn of script" refused
switchman turn cancel "$turn" --by somebody
switchman turn heartbeat "$turn" --wait 1h --lease-file lease
switchman turn complete "$turn" --lease-file lease --kind network
switchman turn complete "$turn" --lease-file - < lease 2> refused && exit 1 || test $? = 3
cat refused
switchman turn list one
switchman turn close one chat
"#;

#[tokio::test]
async fn a_script_holds_a_turn() {
    let stage = Stage::set(Ground::Children, Setup::new(&["a"], &["one"])).await;
    let folder = tempfile::tempdir().unwrap();
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", HOLDER]).current_dir(folder.path());
    shell.env("BINARY", crate::daemon::BINARY).env("SOCKET", stage.site.folder.socket());
    let output = shell.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let expected = [
        "held: the next heartbeat is due within 1 min",
        "script is asked to stop one-t1 (one-t1-c1)",
        "cancel: somebody asks to stop (one-t1-c1)",
        "failed: one-t1",
        "ignored: one stays: network never moves an agent (network never moves an agent)",
        "switchman: turn one-t1 has ended: failed (turn_already_complete)",
        "no turns",
        "session chat of one is closed",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_refusal_is_three_and_recorded_is_zero_whatever_the_outcome() {
    let stage = Stage::set(Ground::Children, Setup::new(&["a", "b"], &["one"])).await;
    let site = &stage.site;
    for (words, code) in [
        (&["cooldown", "set", "b", "--for", "1h"][..], 0),
        (&["report", "one", "--kind", "overload"], 0),
        (&["report", "one", "--kind", "rate_limit", "--generation", "1"], 0),
        (&["switch", "one"], 3),
        (&["switch", "one", "--to", "b"], 3),
        (&["pin", "one", "a"], 0),
        (&["switch", "one", "--to", "b", "--force"], 3),
        (&["unpin", "one"], 0),
        (&["pause", "one"], 0),
        (&["resume", "one"], 0),
        (&["report", "one", "--kind", "no_such_kind"], 2),
        (&["no-such-verb"], 2),
        (&["report", "nobody", "--kind", "auth"], 1),
        (&["status", "nobody"], 1),
    ] {
        let printed = site.cli(words).await;
        assert_eq!(printed.code, code, "{words:?}: {printed:?}");
    }
    stage.started("one", 1).await;
}

#[tokio::test]
async fn without_a_daemon_it_is_sixty_nine_and_says_where_it_looked() {
    let site = Site::new(Setup::new(&["a"], &["one"]));
    for words in [&["status"][..], &["--json", "status"], &["report", "one", "--kind", "auth"], &["history"]] {
        let printed = site.cli(words).await;
        assert_eq!(printed.code, 69, "{words:?}: {printed:?}");
        assert!(printed.stderr.contains("daemon.sock"), "{printed:?}");
    }
}

#[tokio::test]
async fn a_check_finds_all_problems_and_is_seventy_eight() {
    let good = Site::new(Setup::new(&["a"], &["one"]));
    let checked = good.cli(&["check"]).await;
    assert_eq!(checked.code, 0, "{checked:?}");
    let bad = Site::new(Setup::new(&["a"], &["one", "one"]).switching("colldown = \"2h\"\n"));
    let checked = bad.cli(&["check"]).await;
    assert_eq!(checked.code, 78, "{checked:?}");
    let told = format!("{}{}", checked.stdout, checked.stderr);
    assert!(told.contains("colldown") && told.contains("already defined"), "{checked:?}");
}
