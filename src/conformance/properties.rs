//! The list of all properties: one line each, from which tests and values are made.

use futures::future::LocalBoxFuture;

use super::Harness;

/// Hands the families and their properties to another macro of this crate, behind its own arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_properties {
    ($callback:ident $($arguments:tt)*) => {
        $crate::$callback! {
            ($($arguments)*)
            expectations {
                any_creates_what_is_absent,
                any_replaces_what_is_there,
                absent_creates_what_is_absent,
                absent_refuses_what_is_there,
                absent_is_satisfied_by_a_tombstone,
                exact_replaces_the_current_revision,
                stale_write_changes_nothing,
                exact_never_creates_what_is_gone,
                patch_of_what_is_absent_is_not_found,
                changing_what_must_be_absent_is_invalid,
                any_removes_once,
                exact_removes_the_current_revision,
                stale_removal_changes_nothing,
                removal_of_what_is_gone_conflicts,
                one_of_two_writers_wins,
            }
            revisions {
                a_write_answers_what_a_read_finds,
                text_is_good_on_another_instance,
                text_is_short_and_plain,
                numbers_grow_over_deletion,
                numbers_grow_although_a_clock_is_behind,
                a_revision_never_comes_back,
                damaged_text_is_invalid,
                a_revision_of_another_record_is_invalid,
                the_log_form_is_not_a_revision,
                times_are_those_of_creation_and_last_write,
                a_listed_revision_is_good_for_a_write,
                a_revision_carries_the_schema_version,
            }
            batches {
                a_commit_does_all_its_operations,
                records_of_a_commit_share_a_number,
                one_stale_operation_fails_the_commit,
                one_existing_record_fails_the_commit,
                one_missing_record_fails_the_commit,
                records_come_back_from_tombstones,
                an_empty_tag_matches_nothing,
                malformed_commits_are_invalid,
                present_needs_an_exact_beside_it,
                present_keeps_nothing_of_what_it_replaces,
                readers_see_whole_commits,
            }
            values {
                operations_are_limited,
                values_are_limited,
                commit_bytes_are_limited,
                values_come_back_as_they_were,
                a_record_remembers_its_last_writes,
                a_clock_past_the_year_9999_is_refused,
                numbers_are_at_least_the_clock_and_grow_over_an_erasure,
                a_record_of_the_same_schema_version_is_replaced,
                a_commit_is_not_built_too_late,
            }
            limits {
                unusable_ids_are_refused,
                longest_ids_work_everywhere,
                keys_are_limited,
                values_are_limited,
                media_metadata_is_limited,
                integers_that_would_be_rounded_are_refused,
                unusable_fields_are_named,
                deadlines_are_limited,
            }
            paging {
                page_sizes_are_limited,
                an_empty_list_ends,
                pages_of_any_size_give_the_same_list,
                nothing_is_lost_or_repeated_between_pages,
                a_foreign_token_is_invalid,
                a_damaged_token_is_invalid,
                a_token_keeps_its_key,
            }
            isolation {
                hostile_accounts_are_apart,
                hostile_loops_are_apart,
                hostile_robots_and_people_are_apart,
                parts_of_a_scope_do_not_run_together,
                generated_scopes_are_apart,
                hostile_keys_are_apart,
                list_and_item_do_not_run_together,
                media_paths_are_exact,
                spellings_of_an_id_are_one_record,
                writes_touch_only_their_scope,
            }
            memory {
                values_are_kept_verbatim,
                keys_fold,
                what_was_never_told_is_none,
                affinities_are_told_apart,
                families_are_apart,
                person_and_household_do_not_fall_back,
                a_scope_read_whole_equals_the_single_reads,
                a_large_scope_is_read_at_one_instant,
                writers_of_different_facts_do_not_conflict,
            }
            lists {
                items_keep_insertion_order,
                duplicates_keep_the_first_spelling,
                racing_duplicates_make_one_item,
                blank_items_are_ignored,
                an_unknown_list_is_empty,
                clearing_touches_one_list,
                an_item_added_again_is_last,
                names_are_those_of_lists_with_items,
                lists_are_limited,
            }
            forgetting {
                the_history_tells_every_write,
                forgetting_an_item_leaves_the_others,
                forgetting_a_scope_leaves_the_others,
                forgetting_a_person_spans_robots,
                forgetting_a_loop_leaves_other_loops,
                forgetting_spans_commits,
                the_history_forgets_too,
                the_history_forgets_what_was_removed_before,
                what_was_forgotten_can_be_told_again,
            }
            history {
                a_cursor_of_another_area_is_refused,
                an_erasure_ends_the_cursors_of_its_area_alone,
                changes_come_in_order_and_are_their_partitions_own,
                changes_are_told_for_thirty_days,
                changes_are_told_however_many_they_are,
            }
            devices {
                registering_says_what_it_did,
                what_a_robot_does_not_say_is_kept,
                synthetic_robots_are_hidden_and_archived,
                an_unknown_source_is_upgraded,
                racing_registrations_make_one_robot,
                a_patch_keeps_sets_and_clears,
                host_mappings_change_one_by_one,
                racing_patches_are_both_taken,
                links_say_whether_they_are_new,
                the_list_shows_visible_robots,
                robots_are_listed_by_fifty,
            }
            members {
                a_removed_member_is_a_tombstone,
                a_removed_member_is_taken_back,
                a_removed_member_is_not_changed,
                removal_is_no_status_change,
                a_guardian_is_another_member,
                a_change_keeps_sets_and_clears,
                a_portal_edit_is_stamped,
                an_active_member_is_accepted,
                blank_texts_are_none,
                racing_additions_make_one_member,
                birthdays_are_within_range,
            }
            calendar {
                an_event_is_in_the_days_that_it_overlaps,
                disabled_events_are_kept_and_listed_on_request,
                events_are_listed_by_member,
                an_event_says_what_it_must,
            }
            holidays {
                disabled_overrides_are_kept_and_listed_on_request,
                an_override_says_what_it_must,
            }
            presence {
                times_only_move_forward,
                racing_observations_keep_the_newest,
                a_time_from_the_future_is_taken_as_now,
                greeted_since_counts_every_replica,
                presence_and_two_replicas_and_an_idempotency_key,
            }
            profiles {
                a_replacement_removes_what_it_supersedes,
                a_refused_replacement_removes_nothing,
                profile_replace_and_the_limit_of_a_commit,
                a_newer_superseded_profile_is_kept,
                a_profile_is_limited,
            }
            media {
                what_is_put_is_read_back,
                an_empty_payload_is_a_payload,
                ranges_read_exactly_their_bytes,
                replacing_is_whole,
                replacing_in_one_instant_leaves_one_entry,
                removed_media_is_a_tombstone,
                removed_media_is_taken_back,
                the_list_is_newest_first,
            }
            torn {
                readers_beside_writers_see_whole_versions,
                an_open_reader_keeps_its_version,
                a_missing_payload_is_corrupt,
                a_payload_unlike_its_record_is_refused,
                a_lost_companion_row_is_corrupt,
                a_record_without_a_payload_is_corrupt,
                a_failed_body_leaves_the_old_version,
                a_refused_put_reads_no_body,
            }
            freshness {
                a_process_sees_its_own_writes,
                a_lagging_process_sees_its_own_writes,
                the_latest_is_seen_by_every_process,
                memory_and_media_are_always_the_latest,
                a_write_is_never_behind,
                acknowledged_writes_outlive_a_close,
            }
            health {
                healthy_services_say_so,
                services_are_named,
            }
            idempotency {
                a_call_made_again_is_applied_once,
                its_own_write_is_no_conflict,
                a_value_replaced_since_is_not_brought_back,
                other_arguments_are_invalid,
                a_patch_fingerprint_and_a_retry_of_the_same_call,
                a_call_that_was_applied_is_answered_over_a_newer_record,
                another_record_or_operation_is_another_call,
                a_removal_made_again_removes_once,
                what_was_not_applied_is_not_remembered,
                calls_without_a_key_are_two,
                a_list_item_is_added_once,
                a_list_is_cleared_once,
                a_robot_is_registered_once,
                a_member_is_added_and_removed_once,
                media_is_published_once,
                an_update_made_again_is_applied_once,
                the_first_record_is_the_one_refused,
            }
            idempotency_keys {
                unusable_keys_are_refused,
                a_key_costs_no_request,
                calls_are_remembered_without_their_values,
            }
            expiry {
                keyed_absent_after_a_delete_past_the_window_is_a_new_call,
                a_stale_write_past_the_window_is_refused,
                any_past_the_window_is_applied_again,
                a_list_is_cleared_anew_past_the_window,
                what_is_over_is_absent,
                what_is_over_is_erased_too,
                absent_over_what_is_over_begins_a_new_life,
                one_clock_that_was_ahead_ends_nothing,
                the_end_of_a_record_is_no_change,
            }
            forged {
                what_no_record_can_say_is_invalid_on_every_write_path,
                what_is_made_up_harms_no_one,
                a_newer_record_is_kept_under_exact,
            }
            loads {
                a_load_comes_in_pages,
                a_sink_that_fails_ends_the_load,
                a_stamp_is_when_the_record_was_written,
            }
            closing {
                what_cannot_close_says_so,
                a_closed_partition_takes_no_commit_and_is_read_as_before,
                what_is_closed_stays_closed,
                a_partition_that_never_was_can_be_closed,
                a_writer_from_before_the_close_is_refused,
                a_closed_partition_is_erased_and_stays_closed,
                a_keyed_call_is_answered_from_its_row_after_the_close,
            }
            origins {
                what_is_brought_keeps_number_and_times,
                what_is_newer_is_kept_from_what_is_brought,
                numbers_grow_over_what_was_brought,
                what_is_brought_leaves_numbers_for_later_writes,
                an_impossible_origin_is_refused,
            }
            marks {
                a_mark_is_above_what_was_erased,
                a_mark_is_written_where_nothing_stood,
                a_mark_takes_the_place_of_an_earlier_one,
                a_mark_stands_beside_erasures_of_several_commits,
                an_impossible_mark_is_refused,
            }
            ports {
                a_range_is_what_lies_in_it,
                an_erasure_takes_its_ranges_alone,
                names_outside_the_codec_are_refused,
                a_newer_record_is_kept_under_any,
                a_replacement_keeps_its_beginning,
                a_call_given_up_knows_what_it_wrote,
                partitions_are_listed_once_and_by_their_own_area,
            }
            reads {
                a_record_is_found_at_its_place_alone,
                what_was_deleted_is_in_no_read,
                pages_are_no_longer_than_the_limits_say,
                the_longest_names_are_taken,
                partitions_are_those_with_records_or_traces,
            }
            calls {
                a_call_that_is_over_writes_nothing,
                reads_and_probes_are_no_writes,
            }
            cursors {
                a_cursor_holds_for_thirty_days,
                a_cursor_of_what_is_not_there_needs_a_snapshot,
                an_erasure_is_nothing_to_another_partition,
            }
            payloads {
                a_name_is_written_once,
                what_is_missing_is_none_and_deleted,
                ranges_are_checked,
                areas_are_apart,
                a_list_is_in_order_and_whole,
                a_call_given_up_knows_whether_it_deleted,
                a_payload_is_readable_when_it_is_whole,
                a_payload_of_any_length_is_whole,
            }
            differential {
                records_answer_as_the_model_does,
                payloads_answer_as_the_model_does,
            }
            update {
                concurrent_updates_lose_nothing,
                an_update_gives_up_typed,
                an_update_ends_at_other_errors,
            }
            corrupt {
                a_damaged_record_is_corrupt,
                a_list_does_not_pass_over_damage,
                a_scope_read_whole_does_not_pass_over_damage,
                damage_can_be_repaired,
                a_newer_record_is_read_and_not_written,
                a_newer_schema_and_each_samples_put_patch_and_delete,
                unknown_fields_survive,
                unknown_kinds_of_facts_are_left_alone,
            }
            secrets {
                planted_marks_are_found_nowhere,
                debug_forms_of_memory_are_bare,
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (($harness:expr) $($family:ident { $($name:ident,)* })*) => {
        $(
            mod $family {
                #[allow(unused_imports, reason = "the harness may need nothing of the caller's")]
                use super::*;

                $(
                    #[test]
                    fn $name() {
                        $crate::conformance::run(async {
                            let harness = $harness;
                            $crate::conformance::$family::$name(&harness).await;
                        });
                    }
                )*
            }
        )*

        #[test]
        fn on_one_database() {
            $crate::conformance::run(async {
                let harness = $harness;
                $crate::conformance::all_on_one(&harness, $crate::conformance::ON_ONE_DATABASE).await;
            });
        }
    };
}

/// Makes each property of the [conformance suite](crate::conformance) a test, `<family>::<property>`, and one more, `on_one_database`,
/// of [many properties on one database](crate::conformance::all_on_one).
///
/// The expression yields a [`Harness`](crate::conformance::Harness); it is evaluated once a test, in async code.
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr $(,)?) => {
        $crate::__conformance_properties! { __conformance_tests $harness }
    };
}

/// One property as a value, for a runner of one's own.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// The family's name.
    pub family: &'static str,
    /// The property's name in its family.
    pub name: &'static str,
    check: for<'a> fn(&'a dyn Harness) -> LocalBoxFuture<'a, ()>,
}

impl Property {
    /// Checks the property; some listen to the logs of their thread, so give each [a runtime of one thread](super::run).
    ///
    /// # Panics
    /// When its rule does not hold.
    pub async fn check(&self, harness: &dyn Harness) {
        (self.check)(harness).await;
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_values {
    (() $($family:ident { $($name:ident,)* })*) => {
        &[$($($crate::conformance::Property {
            family: stringify!($family),
            name: stringify!($name),
            check: |harness| Box::pin($crate::conformance::$family::$name(harness)),
        },)*)*]
    };
}

/// All properties.
pub fn properties() -> &'static [Property] {
    crate::__conformance_properties!(__conformance_values)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The properties that a family's source defines.
    fn defined(family: &'static str) -> impl Iterator<Item = (String, String)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance");
        let files = ["rules", "ports", "behaviour"].map(|kind| format!("{folder}/{kind}/{family}.rs"));
        let source = files
            .iter()
            .chain([&format!("{folder}/{family}/mod.rs")])
            .find_map(|file| std::fs::read_to_string(file).ok());
        let source = source.unwrap();
        let names: Vec<_> = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
            .map(|name| (family.to_owned(), name.to_owned()))
            .collect();
        names.into_iter()
    }

    #[test]
    fn every_property_is_listed() {
        let families: BTreeSet<_> = super::properties().iter().map(|property| property.family).collect();
        let defined: BTreeSet<_> = families.into_iter().flat_map(defined).collect();
        let listed = super::properties().iter().map(|property| (property.family.to_owned(), property.name.to_owned()));
        let listed: BTreeSet<_> = listed.collect();
        assert_eq!(defined, listed);
    }
}
