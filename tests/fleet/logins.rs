//! Logins (G13): the tool in the container renews its tokens, and each refresh token is good once. Whatever happens, the
//! newest one is never lost and an old one never comes back.

use serde_json::{Value, json};

use crate::engine::Shape;
use crate::harbour::{Harbour, inside};
use crate::lines::{limit, now_s};
use crate::program::eventually;
use crate::setup::{Setup, write_secret};

/// The document of Claude Code after so many renewals.
fn document(renewals: u64, account: Option<&str>) -> String {
    let oauth = json!({
        "accessToken": format!("access-{renewals}"), "refreshToken": format!("refresh-{renewals}"),
        "expiresAt": (now_s() / 86_400 * 86_400 + 86_400 + renewals * 3600) * 1000,
        "scopes": ["user:inference"], "subscriptionType": "max",
    });
    match account {
        Some(account) => json!({"claudeAiOauth": oauth, "organizationUuid": account}).to_string(),
        None => json!({"claudeAiOauth": oauth}).to_string(),
    }
}

/// Two agents, the static subscriptions `a` and `b`, and the login `max`.
struct Renewed {
    harbour: Harbour,
    account: Option<&'static str>,
}

impl Renewed {
    /// Both agents run, `one` with this in its file.
    async fn open(account: Option<&'static str>, first: Option<&str>) -> Self {
        let switching = "budget = { switches = 100, per = \"1h\" }\nsettle = \"1s\"\n";
        let setup = Setup::new(&["a", "b"], &["one", "two"]).switching(switching);
        let mut harbour = Harbour::prepare(setup, |_, _: &mut Shape| {}).await;
        let folder = &harbour.site.folder;
        std::fs::create_dir(folder.path("logins")).unwrap();
        write_secret(&folder.path("logins/max"), &document(1, account));
        if let Some(first) = first {
            write_secret(&folder.home("one").join("credential"), first);
        }
        harbour.setup.sections = format!(
            "[[subscription]]\nname = \"max\"\nprovider = \"anthropic\"\ntype = \"login\"\ncredential = {{ file = {:?} }}\n",
            folder.path("logins/max").display().to_string()
        );
        folder.lay_out(&harbour.setup, &harbour.site.hook.url());
        harbour.start_all().await;
        harbour.site.start().await;
        harbour.all_are_kept().await;
        Self { harbour, account }
    }

    /// What is kept in the source.
    fn kept(&self) -> String {
        std::fs::read_to_string(self.harbour.site.folder.path("logins/max")).unwrap()
    }

    async fn renew(&self, renewals: u64) {
        let document = document(renewals, self.account);
        self.harbour.site.tell("one", &format!("write {} {document}", inside("credential"))).await;
    }

    async fn order(&self, agent: &str, to: &str) -> (u16, Value) {
        let path = format!("/v1/agents/{agent}/switch?wait=30");
        let answer = self.harbour.site.call("POST", &path, Some(&json!({"to": to, "force": true}))).await;
        (answer.status, answer.body)
    }

    /// An operator moves `one` to the login; it is delivered as it is kept.
    async fn take(&self) {
        let (status, switch) = self.order("one", "max").await;
        assert_eq!((status, &switch["outcome"]), (200, &json!("ready")), "{switch:#}");
        assert_eq!(self.harbour.delivered("one"), self.kept());
        self.harbour.site.serving("one").await;
    }

    async fn generation(&self) -> u64 {
        self.harbour.site.serving("one").await["assignment"]["generation"].as_u64().unwrap()
    }
}

/// The tool renews; a limit moves the agent away; the newest version is what is kept, and what comes back.
async fn what_the_tool_renewed_is_taken_back(account: Option<&'static str>) {
    let mut renewed = Renewed::open(account, None).await;
    renewed.take().await;
    renewed.renew(2).await;
    renewed.renew(3).await;
    let generation = renewed.generation().await;
    renewed.harbour.print("one", &[limit(3600)]).await;
    let done = renewed.harbour.moved("one", generation + 1).await;
    let to = done["to"].as_str().unwrap();
    assert_ne!(to, "max");
    assert_eq!(renewed.kept(), document(3, account));
    assert_eq!(renewed.harbour.delivered("one").trim_end(), renewed.harbour.site.folder.credential(to));
    renewed.take().await;
    assert_eq!(renewed.harbour.delivered("one"), document(3, account));
    renewed.harbour.close().await;
}

#[tokio::test]
async fn what_the_tool_renewed_is_taken_back_before_it_is_overwritten() {
    what_the_tool_renewed_is_taken_back(Some("the-organisation")).await;
}

#[tokio::test]
async fn what_the_tool_renewed_is_taken_back_if_it_names_no_account() {
    what_the_tool_renewed_is_taken_back(None).await;
}

/// It was there before the daemon, so nothing beside it says whose it is.
async fn an_adopted_login_is_taken_back(account: Option<&'static str>) {
    let mut renewed = Renewed::open(account, Some(&document(1, account))).await;
    let assignment = &renewed.harbour.site.serving("one").await["assignment"];
    assert_eq!((&assignment["subscription"], &assignment["generation"]), (&json!("max"), &json!(1)));
    renewed.renew(2).await;
    renewed.harbour.print("one", &[limit(3600)]).await;
    renewed.harbour.moved("one", 2).await;
    assert_eq!(renewed.kept(), document(2, account));
    renewed.harbour.close().await;
}

#[tokio::test]
async fn an_adopted_login_is_taken_back_before_it_is_overwritten() {
    an_adopted_login_is_taken_back(Some("the-organisation")).await;
}

#[tokio::test]
async fn an_adopted_login_is_taken_back_if_it_names_no_account() {
    an_adopted_login_is_taken_back(None).await;
}

/// A kill between the two writes of a delivery leaves the sidecar of the one before.
#[tokio::test]
async fn a_sidecar_that_was_left_behind_loses_no_login() {
    let mut renewed = Renewed::open(None, None).await;
    let (status, switch) = renewed.order("one", "b").await;
    assert_eq!(status, 200, "{switch:#}");
    let sidecar = renewed.harbour.site.folder.home("one").join("credential.switchman.json");
    let before = std::fs::read_to_string(&sidecar).unwrap();
    assert!(before.contains("\"b\""), "{before}");
    renewed.take().await;
    renewed.harbour.site.kill().await;
    std::fs::write(&sidecar, before).unwrap();
    renewed.harbour.site.start().await;
    renewed.harbour.all_are_kept().await;
    renewed.renew(2).await;
    renewed.harbour.print("one", &[limit(3600)]).await;
    renewed.harbour.moved("one", 4).await;
    assert_eq!(renewed.kept(), document(2, None));
    renewed.harbour.close().await;
}

#[tokio::test]
async fn a_renewal_is_no_new_credential() {
    let mut renewed = Renewed::open(None, None).await;
    renewed.take().await;
    let life = renewed.harbour.life("one").await;
    let read_at = async || renewed.harbour.site.subscription("max").await["credential"]["at"].clone();
    renewed.renew(2).await;
    // The kept one may be renewed as well, by a take-back for one.
    write_secret(&renewed.harbour.site.folder.path("logins/max"), &document(2, None));
    let before = read_at().await;
    eventually("the sources are read", async || (read_at().await != before).then_some(())).await;
    renewed.harbour.site.kill().await;
    renewed.harbour.site.start().await;
    renewed.harbour.all_are_kept().await;
    assert_eq!(renewed.generation().await, 2);
    assert_eq!(renewed.harbour.life("one").await, life);
    assert_eq!(renewed.harbour.delivered("one"), document(2, None));
    renewed.harbour.close().await;
    renewed.harbour.started("one", 2).await;
}

#[tokio::test]
async fn a_login_has_one_agent_at_a_time() {
    let mut renewed = Renewed::open(None, None).await;
    renewed.take().await;
    let (status, refused) = renewed.order("two", "max").await;
    assert_eq!((status, &refused["code"]), (422, &json!("subscription_not_eligible")), "{refused:#}");
    // Nor does it get there by itself, though everything else is used up.
    for generation in [2, 3] {
        let seen = renewed.harbour.site.serving("two").await;
        let other = if seen["assignment"]["subscription"] == "a" { "b" } else { "a" };
        renewed.harbour.print("two", &[limit(3600)]).await;
        if generation == 2 {
            assert_eq!(renewed.harbour.moved("two", 2).await["to"], other);
            renewed.harbour.started("two", 2).await;
        }
    }
    renewed.harbour.site.event("agent.exhausted", |event| event["agent"] == "two").await;
    assert_eq!(renewed.harbour.delivered("one"), document(1, None));
    renewed.harbour.close().await;
    renewed.harbour.started("two", 2).await;
}

/// The daemon dies somewhere in a switch away from a login that was renewed a moment ago.
async fn the_newest_outlives_a_kill(account: Option<&'static str>) {
    let mut renewed = Renewed::open(account, None).await;
    let steps = ["failure.recorded", "switch.started", "switch.drained", "switch.applied", "switch.completed"];
    for (round, step) in steps.iter().enumerate() {
        renewed.take().await;
        let newest = 2 + round as u64;
        renewed.renew(newest).await;
        let generation = renewed.generation().await;
        renewed.harbour.print("one", &[limit(3600)]).await;
        renewed.harbour.site.event(step, |event| event["agent"] == "one" && event["to"] != "max").await;
        renewed.harbour.site.kill().await;
        // Wherever it was: a whole document, and nowhere an older one alone.
        let (kept, delivered) = (renewed.kept(), renewed.harbour.delivered("one"));
        let new = document(newest, account);
        assert!(kept == new || delivered == new, "{step}: the newest login is lost");
        renewed.harbour.site.start().await;
        eventually("it has been moved", async || (renewed.generation().await > generation).then_some(())).await;
        assert_eq!(renewed.generation().await, generation + 1);
        assert_eq!(renewed.kept(), new, "{step}");
        let cleared = renewed.harbour.site.call("DELETE", "/v1/subscriptions/max/cooldown", None).await;
        assert_eq!(cleared.status, 200, "{}", cleared.text);
    }
    renewed.harbour.close().await;
}

#[tokio::test]
async fn the_newest_login_outlives_a_kill_at_each_step() {
    the_newest_outlives_a_kill(Some("the-organisation")).await;
}

#[tokio::test]
async fn the_newest_login_outlives_a_kill_at_each_step_if_it_names_no_account() {
    the_newest_outlives_a_kill(None).await;
}
