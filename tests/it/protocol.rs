//! The three protocols, model-checked: the fenced partition with its committers, the media ledger between publishers and
//! sweepers, and calls under an idempotency key whose row ends. Small bounds, every state. A model that can't fail proves
//! nothing, so each rule is also switched off.

mod claims;
mod committer;
mod key_calls;
mod keys;
mod ledger;
mod media;
mod partition;
mod service;

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use keys::Keys;
use media::{Job, Media};
use partition::{Bug, Call, Committers, Expect};

/// Explores every state and prints how many there are.
fn explore<M>(name: &str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Debug + Hash + Send + Sync + Clone + PartialEq + 'static,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    let began = Instant::now();
    let checker = model.checker().threads(2).spawn_bfs().join();
    let (unique, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{name}: {unique} states, depth {depth}, {:.1} s", began.elapsed().as_secs_f64());
    checker.assert_properties();
}

/// Explores a broken model until it breaks this claim.
fn breaks<M>(name: &str, model: M, claim: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Debug + Hash + Send + Sync + Clone + PartialEq + 'static,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    let began = Instant::now();
    let wanted = HasDiscoveries::AnyOf([claim].into());
    let checker = model.checker().threads(2).finish_when(wanted).spawn_bfs().join();
    let Some(path) = checker.discovery(claim) else { panic!("{name} does not break {claim:?}") };
    let (steps, states) = (path.into_actions().len(), checker.unique_state_count());
    println!("without {name}: not {claim:?}, {steps} steps, {states} states, {:.1} s", began.elapsed().as_secs_f64());
}

const fn put(replica: usize, key: usize, expect: Expect) -> Call {
    Call { replica, key, delete: false, expect }
}

const fn delete(replica: usize, key: usize, expect: Expect) -> Call {
    Call { replica, key, delete: true, expect }
}

/// Two replicas on a partition that was never written to: the first head, creates, a delete that may find nothing.
fn new_partition() -> Committers {
    let calls =
        vec![put(0, 0, Expect::Absent), put(0, 1, Expect::Any), put(1, 0, Expect::Absent), delete(1, 1, Expect::Any)];
    let (trims, second_look, any_time) = (false, false, false);
    Committers { calls, seeded: false, faults: 2, give_ups: 1, any_time, trims, second_look, bug: None }
}

/// Both replicas replace what they have read, beside a write and a delete under `Any`.
fn replaces() -> Committers {
    let calls =
        vec![put(0, 0, Expect::Exact), put(0, 1, Expect::Any), put(1, 0, Expect::Exact), delete(1, 1, Expect::Any)];
    Committers { calls, seeded: true, ..new_partition() }
}

/// A replica that knows records, and deletes what may not be there, against another's create.
fn known_records() -> Committers {
    let calls = vec![
        delete(0, 0, Expect::Any),
        delete(0, 0, Expect::Any),
        put(0, 1, Expect::Any),
        put(0, 1, Expect::Any),
        put(1, 0, Expect::Any),
    ];
    Committers { calls, faults: 1, give_ups: 0, ..new_partition() }
}

/// Change rows are deleted as soon as no call from before them lives.
fn trimmed() -> Committers {
    let calls = vec![put(0, 0, Expect::Exact), put(1, 0, Expect::Any), put(1, 1, Expect::Any)];
    Committers { calls, trims: true, ..replaces() }
}

/// Calls that may share a transaction, each with a deadline of its own that strikes at any time, against another replica's.
fn several_deadlines() -> Committers {
    let calls =
        vec![put(0, 0, Expect::Exact), put(0, 1, Expect::Any), put(1, 0, Expect::Any), delete(1, 1, Expect::Any)];
    Committers { calls, faults: 1, give_ups: 2, any_time: true, second_look: true, ..replaces() }
}

#[test]
fn several_deadlines_in_one_group_keep_every_promise() {
    explore("several deadlines", several_deadlines());
}

#[test]
fn a_new_partition_keeps_every_promise() {
    explore("new partition", new_partition());
}

#[test]
fn replaces_keep_every_promise() {
    explore("replaces", replaces());
}

#[test]
fn known_records_keep_every_promise() {
    explore("known records", known_records());
}

#[test]
fn trimming_keeps_every_promise() {
    explore("trimming", trimmed());
}

#[test]
fn a_second_look_at_the_change_row_leaves_nothing_unknown_but_at_the_deadline() {
    explore("second look", Committers { second_look: true, ..new_partition() });
    explore("second look, trimming", Committers { second_look: true, ..trimmed() });
}

#[test]
fn every_rule_of_the_partition_is_needed() {
    let twice = "nothing is applied twice";
    let refused = "what is answered as not applied never is";
    let real = "a conflict is real";
    let cases = [
        (Bug::ResendUnconditioned, replaces(), "a write replaces only what its call named"),
        (Bug::RebuildAfterSilence, replaces(), twice),
        (Bug::SilenceIsNotApplied, replaces(), refused),
        (Bug::EchoIsAnother, replaces(), twice),
        (Bug::NoRowIsNotApplied, replaces(), twice),
        (Bug::BusyIsNotApplied, replaces(), refused),
        (Bug::FenceIsConflict, replaces(), real),
        (Bug::GroupSharesConflict, replaces(), real),
        (Bug::AnyConflicts, replaces(), "Any never ends in a conflict"),
        (Bug::MapOutlivesChain, known_records(), "a delete that found nothing had nothing to delete"),
        (Bug::MapFromEarlyReads, known_records(), "a delete that found nothing had nothing to delete"),
        (Bug::MapAnswersDeletes, known_records(), "a delete that found nothing had nothing to delete"),
        (Bug::NumberIsClock, replaces(), "numbers grow"),
        (Bug::TrimTooEarly, trimmed(), "a live send finds its change row"),
        (Bug::IdleKeepsHead, trimmed(), "a live send finds its change row"),
        (Bug::LeaverIsNotApplied, several_deadlines(), refused),
        (Bug::LeaverIsBuilt, several_deadlines(), refused),
        (Bug::LeaverTakesTransaction, several_deadlines(), twice),
        (Bug::GroupSharesDeadline, several_deadlines(), "a deadline ends its own call alone"),
    ];
    for (bug, model, claim) in cases {
        breaks(&format!("{bug:?}"), Committers { bug: Some(bug), ..model }, claim);
    }
}

/// Two publishers race to put the same media, beside a sweeper.
fn two_puts() -> Media {
    Media { jobs: vec![Job::Put, Job::Put], sweepers: 1, reader: false, faults: 0, bug: None }
}

/// A put and a removal, beside a sweeper, and a lost answer or a crash.
fn put_and_removal() -> Media {
    Media { jobs: vec![Job::Put, Job::Remove], faults: 1, ..two_puts() }
}

#[test]
fn two_publishers_and_a_sweeper_keep_every_promise() {
    explore("two puts", two_puts());
}

#[test]
fn a_lost_answer_costs_no_media() {
    explore("put, removal, a fault", put_and_removal());
}

#[test]
fn sweepers_with_clocks_that_disagree_keep_every_promise() {
    explore("put, two sweepers, a fault", Media { jobs: vec![Job::Put], sweepers: 2, ..put_and_removal() });
}

#[test]
fn a_reader_is_served_while_media_is_replaced_and_swept() {
    explore("put, removal, reader", Media { reader: true, faults: 0, ..put_and_removal() });
}

#[test]
fn every_rule_of_the_ledger_is_needed() {
    use media::Bug;
    let gone = "the record's payload is there";
    let cases = [
        (Bug::CondemnSkipped, gone),
        (Bug::SweeperTrustsSilence, gone),
        (Bug::AgeUnchecked, gone),
        (Bug::AgeByOwnClock, gone),
        (Bug::CondemnedDroppedEarly, gone),
        (Bug::LedgerUpserted, gone),
        (Bug::LedgerLeftOut, gone),
        (Bug::ClocksApart, gone),
        (Bug::OldStaysLive, "the record's payload is live, and no other"),
        (Bug::RebuildAfterSilence, "nothing is applied twice, or after it was refused"),
    ];
    for (bug, claim) in cases {
        breaks(&format!("{bug:?}"), Media { bug: Some(bug), faults: 1, ..two_puts() }, claim);
    }
    let unread = Media { bug: Some(Bug::CondemnSkipped), reader: true, ..put_and_removal() };
    breaks("CondemnSkipped", unread, "a reader finds the payload or a newer record");
}

const fn keyed(delete: bool, expect: Expect) -> keys::Call {
    keys::Call { key: true, delete, expect }
}

const fn another(delete: bool) -> keys::Call {
    keys::Call { key: false, delete, expect: Expect::Any }
}

/// A create and the same call made again, beside a writer who deletes.
fn creates() -> Keys {
    let calls = vec![keyed(false, Expect::Absent), keyed(false, Expect::Absent), another(true)];
    Keys { calls, seeded: false, faults: 1, bug: None }
}

/// A replace of one state and the same call made again, beside another writer.
fn exact_replaces() -> Keys {
    let calls = vec![keyed(false, Expect::Exact), keyed(false, Expect::Exact), another(false)];
    Keys { calls, seeded: true, ..creates() }
}

/// A removal of one state, made again, beside another writer.
fn removals() -> Keys {
    let calls = vec![keyed(true, Expect::Exact), keyed(true, Expect::Exact), another(false)];
    Keys { calls, ..exact_replaces() }
}

/// A write of whatever is there, made again, beside a writer who deletes.
fn patches() -> Keys {
    let calls = vec![keyed(false, Expect::Any), keyed(false, Expect::Any), another(true)];
    Keys { calls, ..creates() }
}

#[test]
fn a_key_is_used_once_within_its_window_and_is_new_after_it() {
    explore("keyed creates", creates());
    explore("keyed replaces", exact_replaces());
    explore("keyed removals", removals());
    explore("keyed patches", patches());
}

#[test]
fn every_rule_of_the_keys_is_needed() {
    use keys::Bug;
    let acknowledged = "an acknowledged call was applied, or its twin in the window";
    let once = "calls of one window are applied once";
    let cases = [
        (Bug::OpForEver, creates(), acknowledged),
        (Bug::OpForEver, exact_replaces(), acknowledged),
        (Bug::OpForEver, removals(), acknowledged),
        (Bug::OpForEver, patches(), acknowledged),
        (Bug::RowApart, creates(), once),
        (Bug::RefusalBelieved, creates(), "no call is refused for what its twin wrote"),
        (Bug::RefusalBelieved, exact_replaces(), "no call is refused for what its twin wrote"),
        (Bug::EndedRowBlocks, creates(), "no call is refused for a row that had ended"),
        (Bug::LateForEver, creates(), once),
        (Bug::EndedRowIsProof, patches(), "what is answered as not applied never is"),
    ];
    for (bug, model, claim) in cases {
        breaks(&format!("{bug:?}"), Keys { bug: Some(bug), ..model }, claim);
    }
}
