//! Who may use which subscription: the verdicts of the pool, one rule at a time.

use std::time::Duration;

use switchman::domain::{
    AgentName, Assignment, CauseBy, Change, Cooldown, CooldownKey, CooldownSource, FailureKind, Fingerprint,
    Generation, Model, QuotaIdentity, Reach, SubscriptionName, SubscriptionType, Wall, Window,
};
use switchman::machine::agent::testing::{START, pool, subscription};
use switchman::machine::policy::SubscriptionPolicy;
use switchman::machine::pool::{AgentView, CredentialFact, Ineligible, PoolState, Wanted, evaluate};

const HOUR: Duration = Duration::from_secs(3600);
const NOW: Wall = START.wall;

fn three() -> PoolState {
    pool(["a", "b", "c"].map(|name| subscription(name, 8)))
}

/// What `agent` sees that runs on `a` and wants another one.
fn view(agent: &str) -> AgentView {
    AgentView {
        agent: agent.into(),
        allowed: ["a", "b", "c"].map(SubscriptionName::from).to_vec(),
        models: Vec::new(),
        current: Some("a".into()),
        failing: None,
        exclusions: [].into(),
        wanted: Wanted::Another,
        by: CauseBy::Failure,
    }
}

fn on(pool: &mut PoolState, agent: &str, subscription: &str) {
    let assignment = Assignment { subscription: subscription.into(), generation: Generation(1), since: NOW };
    pool.apply(&Change::Assigned { agent: agent.into(), assignment, replaces: Generation::NONE });
}

/// A limit of `about` for two hours, by the word of one agent or of a trusted reporter.
fn limit(about: &str, by: Option<&str>) -> Cooldown {
    Cooldown {
        key: CooldownKey {
            reach: by.map_or(Reach::All, |by| Reach::Agent(by.into())),
            quota: QuotaIdentity::from(about),
            credential: None,
            window: Window::FiveHour,
            model: None,
        },
        subscription: about.into(),
        kind: FailureKind::RateLimit,
        source: if by.is_some() { CooldownSource::Agent } else { CooldownSource::Reporter },
        since: NOW,
        until: Some(NOW.plus(2 * HOUR)),
        failure: None,
    }
}

/// A refused login of `about`.
fn login(about: &str, by: Option<&str>) -> Cooldown {
    let row = limit(about, by);
    let key = CooldownKey { credential: Some(about.into()), window: Window::Unknown, ..row.key.clone() };
    Cooldown { key, kind: FailureKind::Auth, until: None, ..row }
}

fn verdict(pool: &PoolState, view: &AgentView, name: &str) -> Option<&'static str> {
    let ranking = evaluate(view, pool, NOW);
    let candidate = ranking.verdict(&name.into()).expect("every subscription has a verdict");
    candidate.ineligible.as_ref().map(Ineligible::as_str)
}

fn order(pool: &PoolState, view: &AgentView) -> Vec<String> {
    evaluate(view, pool, NOW).candidates.iter().map(|candidate| candidate.subscription.to_string()).collect()
}

#[test]
fn the_one_it_runs_on_is_no_pick_and_ties_go_by_name() {
    assert_eq!(verdict(&three(), &view("w"), "a"), Some("current"));
    assert_eq!(order(&three(), &view("w")), ["b", "c", "a"]);
}

#[test]
fn fewest_agents_come_first_and_those_on_their_way_count() {
    let mut pool = three();
    on(&mut pool, "x", "b");
    assert_eq!(order(&pool, &view("w")), ["c", "b", "a"]);
    let _ = pool.reserve(&view("y"), NOW);
    let _ = pool.reserve(&view("z"), NOW);
    assert_eq!(order(&pool, &view("w")), ["c", "b", "a"], "y is on its way to c, z to b");
    pool.release(&"z".into());
    assert_eq!(order(&pool, &view("w")), ["b", "c", "a"]);
}

#[test]
fn an_agent_marks_one_place_however_often_it_asks() {
    let mut pool = pool([subscription("a", 8), subscription("b", 1)]);
    for _ in 0..3 {
        assert_eq!(pool.reserve(&view("w"), NOW).first(), Some(&"b".into()));
    }
    assert_eq!(verdict(&pool, &view("x"), "b"), Some("full"));
    pool.release(&"w".into());
    assert_eq!(verdict(&pool, &view("x"), "b"), None);
}

#[test]
fn e7_the_word_of_one_agent_cools_for_it_and_makes_suspect_for_others() {
    let mut pool = three();
    pool.apply(&Change::CooldownSet(limit("b", Some("w"))));
    assert_eq!(verdict(&pool, &view("w"), "b"), Some("cooling"));
    assert_eq!(verdict(&pool, &view("x"), "b"), None);
    assert_eq!(order(&pool, &view("x")), ["c", "b", "a"], "suspect comes last of the eligible");
    assert!(pool.cooling_for_all(&"b".into(), NOW).is_none());
}

#[test]
fn e7_a_second_agent_or_a_trusted_word_cools_for_all() {
    let mut pool = three();
    pool.apply(&Change::CooldownSet(limit("b", Some("w"))));
    pool.apply(&Change::CooldownSet(limit("b", Some("x"))));
    assert_eq!(verdict(&pool, &view("y"), "b"), Some("cooling"));
    pool.apply(&Change::CooldownSet(limit("c", None)));
    assert_eq!(verdict(&pool, &view("y"), "c"), Some("cooling"));
}

#[test]
fn e7_two_agree_only_for_as_long_as_both_say_so() {
    let mut pool = three();
    pool.apply(&Change::CooldownSet(limit("b", Some("w"))));
    let short = Cooldown { until: Some(NOW.plus(HOUR)), ..limit("b", Some("x")) };
    pool.apply(&Change::CooldownSet(short));
    assert_eq!(pool.cooling_for_all(&"b".into(), NOW).and_then(|row| row.until), Some(NOW.plus(HOUR)));
}

#[test]
fn e7_two_agents_may_share_a_trouble_with_their_logins() {
    let mut pool = three();
    pool.apply(&Change::CooldownSet(login("b", Some("w"))));
    pool.apply(&Change::CooldownSet(login("b", Some("x"))));
    assert_eq!(verdict(&pool, &view("w"), "b"), Some("quarantined"));
    assert_eq!(verdict(&pool, &view("y"), "b"), None, "nobody's word alone quarantines for others");
    pool.apply(&Change::CooldownSet(login("b", None)));
    assert_eq!(verdict(&pool, &view("y"), "b"), Some("quarantined"));
}

#[test]
fn a_shared_quota_cools_together_and_a_refused_login_does_not() {
    let shared = |name| SubscriptionPolicy { quota: "org".into(), ..subscription(name, 8) };
    let mut pool = pool([subscription("a", 8), shared("b"), shared("c")]);
    let of_org = |row: Cooldown| Cooldown { key: CooldownKey { quota: "org".into(), ..row.key }, ..row };
    pool.apply(&Change::CooldownSet(of_org(login("b", None))));
    assert_eq!(verdict(&pool, &view("w"), "c"), None);
    pool.apply(&Change::CooldownSet(of_org(limit("b", None))));
    assert_eq!(verdict(&pool, &view("w"), "c"), Some("cooling"));
}

#[test]
fn a_limit_of_one_model_is_nothing_to_agents_that_do_not_need_it() {
    let mut pool = three();
    let row = limit("b", None);
    let key = CooldownKey { model: Some(Model::from("opus")), ..row.key.clone() };
    pool.apply(&Change::CooldownSet(Cooldown { key, ..row }));
    let needs =
        |models: &[&str]| AgentView { models: models.iter().map(|model| (*model).into()).collect(), ..view("w") };
    assert_eq!(verdict(&pool, &needs(&["sonnet"]), "b"), None);
    assert_eq!(verdict(&pool, &needs(&["opus"]), "b"), Some("cooling"));
    assert_eq!(verdict(&pool, &needs(&[]), "b"), Some("cooling"), "unknown needs all");
}

#[test]
fn nobody_is_forced_onto_a_login_that_another_agent_has() {
    let login = SubscriptionPolicy { kind: SubscriptionType::Login, ..subscription("b", 1) };
    let mut pool = pool([subscription("a", 8), login]);
    let forced = |agent: &str, current: &str| AgentView {
        current: Some(current.into()),
        wanted: Wanted::This { to: "b".into(), force: true },
        ..view(agent)
    };
    assert_eq!(verdict(&pool, &forced("one", "a"), "b"), None);
    on(&mut pool, "one", "b");
    assert_eq!(verdict(&pool, &forced("two", "a"), "b"), Some("full"));
    assert_eq!(verdict(&pool, &forced("one", "b"), "b"), None, "the one that has it is brought up on it again");
}

#[test]
fn force_overrides_cooling_exclusion_and_full_but_nothing_else() {
    let mut pool = pool([subscription("a", 8), subscription("b", 1), subscription("c", 8)]);
    on(&mut pool, "x", "b");
    pool.apply(&Change::CooldownSet(limit("b", None)));
    let wants = |force| AgentView {
        exclusions: [("b".into(), NOW.plus(HOUR))].into(),
        wanted: Wanted::This { to: "b".into(), force },
        ..view("w")
    };
    assert_eq!(verdict(&pool, &wants(false), "b"), Some("cooling"));
    assert_eq!(verdict(&pool, &wants(true), "b"), None);
    assert_eq!(verdict(&pool, &wants(true), "c"), Some("not_wanted"));
    pool.note_credential("b".into(), CredentialFact { state: Err("no such file".to_owned()), at: NOW });
    assert_eq!(verdict(&pool, &wants(true), "b"), Some("credential_unreadable"));
    let elsewhere = AgentView { allowed: vec!["a".into()], ..wants(true) };
    assert_eq!(verdict(&pool, &elsewhere, "b"), Some("not_allowed"));
}

#[test]
fn what_could_not_be_applied_lately_is_left_out_for_this_agent_alone() {
    let excluding = AgentView { exclusions: [("b".into(), NOW.plus(HOUR))].into(), ..view("w") };
    assert_eq!(verdict(&three(), &excluding, "b"), Some("excluded"));
    assert_eq!(verdict(&three(), &view("x"), "b"), None);
    let past = AgentView { exclusions: [("b".into(), NOW)].into(), ..view("w") };
    assert_eq!(verdict(&three(), &past, "b"), None);
}

#[test]
fn what_has_just_failed_is_no_pick_and_counts_for_others_before_it_is_committed() {
    let mut pool = three();
    let failing = AgentView { failing: Some(("a".into(), Some(limit("a", Some("w"))))), ..view("w") };
    assert_eq!(verdict(&pool, &failing, "a"), Some("just_failed"));
    let _ = pool.reserve(&failing, NOW);
    let other = AgentView { current: Some("c".into()), ..view("x") };
    let ranking = evaluate(&other, &pool, NOW);
    assert!(ranking.verdict(&"a".into()).expect("it has a verdict").is_suspect);
}

#[test]
fn whoever_waits_keeps_its_own_if_that_serves_again() {
    let any = AgentView { wanted: Wanted::Any, ..view("w") };
    let mut pool = three();
    assert_eq!(evaluate(&any, &pool, NOW).first(), Some(&"a".into()));
    pool.apply(&Change::CooldownSet(limit("a", Some("w"))));
    assert_eq!(evaluate(&any, &pool, NOW).first(), Some(&"b".into()));
    assert_eq!(evaluate(&any, &pool, NOW.plus(2 * HOUR)).first(), Some(&"a".into()));
    let mut crowded = self::pool([subscription("a", 1), subscription("b", 1)]);
    on(&mut crowded, "w", "a");
    assert_eq!(evaluate(&any, &crowded, NOW).first(), Some(&"a".into()), "its own place is not full for it");
}

#[test]
fn earliest_is_when_the_first_one_comes_back_the_failed_one_included() {
    let mut pool = three();
    pool.apply(&Change::CooldownSet(limit("b", None)));
    pool.apply(&Change::CooldownSet(login("c", None)));
    let row = Cooldown { until: Some(NOW.plus(HOUR)), ..limit("a", Some("w")) };
    let failing = AgentView { failing: Some(("a".into(), Some(row))), ..view("w") };
    let ranking = evaluate(&failing, &pool, NOW);
    assert_eq!((ranking.first(), ranking.earliest), (None, Some(NOW.plus(HOUR))));
    assert_eq!(evaluate(&view("w"), &pool, NOW).earliest, Some(NOW.plus(2 * HOUR)));
    let foreign = AgentView { allowed: vec!["a".into(), "c".into()], ..view("w") };
    assert_eq!(evaluate(&foreign, &pool, NOW).earliest, None, "a quarantine has no end, and b is not for it");
}

#[test]
fn of_two_cooldowns_the_later_end_holds() {
    let mut pool = three();
    pool.apply(&Change::CooldownSet(limit("b", Some("w"))));
    let row = limit("b", None);
    let key = CooldownKey { window: Window::Weekly, ..row.key.clone() };
    pool.apply(&Change::CooldownSet(Cooldown { key, until: Some(NOW.plus(24 * HOUR)), ..row }));
    let ranking = evaluate(&view("w"), &pool, NOW);
    let verdict = ranking.verdict(&"b".into()).and_then(|candidate| candidate.ineligible.clone());
    assert_eq!(verdict.and_then(|reason| reason.ends_at()), Some(NOW.plus(24 * HOUR)));
}

#[test]
fn a_cooldown_ends_by_time_or_by_hand_and_a_quarantine_by_hand_only() {
    let mut pool = three();
    pool.apply(&Change::CooldownSet(limit("b", None)));
    pool.apply(&Change::CooldownSet(login("c", None)));
    assert_eq!(pool.next_expiry(), Some(NOW.plus(2 * HOUR)));
    pool.expire(NOW.plus(2 * HOUR));
    assert_eq!(pool.take_ended(), [limit("b", None)]);
    assert_eq!(verdict(&pool, &view("w"), "b"), None);
    assert_eq!(verdict(&pool, &view("w"), "c"), Some("quarantined"));
    pool.apply(&Change::CooldownLifted(login("c", None).key));
    assert_eq!(verdict(&pool, &view("w"), "c"), None);
}

#[test]
fn confirm_says_whether_a_mark_is_still_good() {
    let mut pool = three();
    let wants = AgentView { wanted: Wanted::This { to: "b".into(), force: false }, ..view("w") };
    let _ = pool.reserve(&view("w"), NOW);
    assert_eq!(pool.confirm(&wants, NOW), None);
    pool.apply(&Change::CooldownSet(limit("b", None)));
    assert!(matches!(pool.confirm(&wants, NOW), Some(Ineligible::Cooling { .. })));
}

#[test]
fn an_open_intent_is_a_mark_and_its_end_takes_it_back() {
    let mut pool = pool([subscription("a", 8), subscription("b", 1)]);
    let mut rig = switchman::machine::agent::testing::Rig::serving("a");
    let _ = rig.limit_in(1);
    for change in rig.pick("b").changes {
        pool.apply(&change);
    }
    assert_eq!(verdict(&pool, &view("x"), "b"), Some("full"));
    for change in rig.operator(switchman::machine::agent::Command::CancelSwitch).changes {
        pool.apply(&change);
    }
    assert_eq!(verdict(&pool, &view("x"), "b"), None);
}

#[test]
fn a_credential_is_known_by_its_fingerprint() {
    let pool = three();
    assert_eq!(pool.by_fingerprint(&Fingerprint("print-of-b".to_owned())), Some(&"b".into()));
    assert_eq!(pool.by_fingerprint(&Fingerprint("another".to_owned())), None);
    let mut pool = pool;
    on(&mut pool, "w", "b");
    assert_eq!(pool.agents_on(&"b".into()), [AgentName::from("w")]);
}
