//! One suite for every store: the fake, SQLite with its threads, SQLite inline (on disk and in memory).
//! Beside it what only a file can go through: damage, a full disk, a lock, `kill -9`.

#[cfg(test)]
#[path = "store_conformance/cases.rs"]
mod cases;
#[cfg(test)]
#[path = "store_conformance/killed.rs"]
mod killed;
#[cfg(test)]
#[path = "store_conformance/logs.rs"]
mod logs;
#[cfg(test)]
#[path = "store_conformance/retention.rs"]
mod retention;
#[cfg(test)]
#[path = "store_conformance/rig.rs"]
mod rig;
#[cfg(test)]
#[path = "store_conformance/rows.rs"]
mod rows;
#[cfg(test)]
#[path = "store_conformance/sqlite_only.rs"]
mod sqlite_only;

macro_rules! conformance {
    ($($module:ident::$case:ident)+) => {
        conformance!(@on fake Fake: $($module::$case)+);
        conformance!(@on threaded Threaded: $($module::$case)+);
        conformance!(@on inline Inline: $($module::$case)+);
        conformance!(@on memory Memory: $($module::$case)+);
    };
    (@on $name:ident $kind:ident: $($module:ident::$case:ident)+) => {
        mod $name {
            $(
                #[tokio::test]
                async fn $case() {
                    crate::$module::$case(&crate::rig::Rig::new(crate::rig::Kind::$kind)).await;
                }
            )+
        }
    };
}

conformance! {
    cases::a_switch_from_adoption_to_its_end_reads_back
    cases::a_failed_intent_leaves_its_number_taken_and_unused
    cases::attributes_read_back_in_every_form
    cases::failures_read_back_in_every_form
    cases::a_batch_is_written_whole_or_not_at_all
    cases::an_assignment_follows_the_one_it_replaces
    cases::an_intent_is_open_alone_and_ends_once
    cases::another_pick_replaces_an_intent_until_it_is_delivered
    cases::a_report_id_is_answered_once_per_agent
    cases::deferred_failures_wait_until_they_are_judged
    cases::counts_are_kept
    logs::how_far_a_log_was_read_is_kept_with_what_was_found_in_it
    cases::a_cooldown_is_replaced_by_key_and_lifted
    cases::each_target_has_its_own_place_in_the_outbox
    cases::histories_are_paged_newest_first
    cases::the_newest_report_ids_come_newest_last
    cases::an_agent_is_loaded_with_its_newest_rows_only
    cases::an_agent_is_known_by_any_row_that_names_it
    cases::one_bad_batch_among_many_fails_alone
    cases::a_load_sees_what_became_of_an_abandoned_commit
    retention::old_rows_go_and_what_is_in_use_stays
    retention::answers_are_forgotten_by_age_and_number
    retention::a_notification_waits_for_the_slowest_target
    retention::the_newest_end_and_the_newest_generations_stay
}
