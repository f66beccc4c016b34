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
#[path = "store_conformance/notes.rs"]
mod notes;
#[cfg(test)]
#[path = "store_conformance/readings.rs"]
mod readings;
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
#[cfg(test)]
#[path = "store_conformance/turns.rs"]
mod turns;
#[cfg(test)]
#[path = "store_conformance/turns_fold.rs"]
mod turns_fold;

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
    notes::what_a_target_remembers_is_kept_with_its_place
    readings::of_each_window_the_newest_word_of_each_teller_is_kept
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
    retention::ended_turns_go_and_no_number_is_forgotten
    retention::a_turn_with_a_key_is_remembered_for_as_long_as_a_report_id
    turns::a_turn_reads_back_from_its_beginning_to_its_end
    turns::every_end_of_a_turn_reads_back
    turns::a_number_is_given_to_one_turn_and_a_session_to_one_at_a_time
    turns::a_turn_that_has_ended_is_never_changed_again
    turns::the_longest_untouched_session_comes_first
    turns::the_newest_sessions_and_keys_are_remembered
    turns::the_key_of_a_turn_that_lapsed_is_free
    turns::fences_and_switches_that_nobody_asked_for_are_counted_apart
    turns::a_fence_names_its_turn
    turns::turns_are_paged_newest_first
    turns::turns_since_a_time_are_found_across_a_step_of_the_clock
    turns::an_agent_is_known_by_its_turns_alone
}
