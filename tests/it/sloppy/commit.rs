//! Commits: what they check, what they write, what they answer.

use openjibo_store::backend::{CallContext, Commit, Operation, Precondition, Record, RecordLimits, Stamp, Written};
use openjibo_store::{ErrorKind, Outcome, RecordState, Result, RevisionDigest, StoreError, Timestamp};

use super::records::Records;
use super::state::{Change, Partition, Row, State};
use super::table::F;

/// What a commit is about to do.
#[derive(Default)]
struct Plan {
    rows: Vec<Row>,
    keys: Vec<(String, bool)>,
    written: Vec<Written>,
    number: u64,
}

impl Records {
    /// What holds whatever is there, but for what the ports have checked.
    fn check(&self, cx: &CallContext, commit: &Commit) -> Result<()> {
        self.check_name(&commit.partition)?;
        self.check_limits(commit)?;
        match commit.check_build_time(cx, None) {
            Err(error) => {
                let ignored = match error.kind() {
                    ErrorKind::Timeout => self.is(F::OverCommitted),
                    ErrorKind::Invalid { .. } => self.is(F::ClockUnchecked),
                    _ => self.is(F::BuildTimeIgnored),
                };
                if ignored { Ok(()) } else { Err(error) }
            }
            Ok(()) => Ok(()),
        }
    }

    fn check_limits(&self, commit: &Commit) -> Result<()> {
        let operations = commit.operations.len();
        if self.is(F::OperationsLimitedEarly) && operations == self.limits.operations_per_commit {
            return Err(StoreError::limit("operations of a commit", operations as u64 - 1, operations as u64));
        }
        match self.is(F::BytesLimitedEarly) {
            true => RecordLimits { bytes_per_commit: self.limits.bytes_per_commit - 1, ..self.limits }.check(commit),
            false => Ok(()),
        }
    }

    /// Whether an operation takes place over what is there.
    fn decide(&self, operation: &Operation, found: Option<&RecordState>, deleted: bool) -> Result<()> {
        let put = matches!(operation, Operation::Put { .. });
        let shown = |witness: &RecordState| RevisionDigest::new(witness.number, &witness.tag);
        let refused = match (operation.expect(), found) {
            (Precondition::Absent, None) if deleted && self.is(F::PutAbsentMeetsTombstones) => {
                return Err(StoreError::new(ErrorKind::AlreadyExists));
            }
            (Precondition::Any, Some(there)) if put && self.is(F::PutAnyConflicts) => {
                return Err(StoreError::conflict(Some(shown(there))));
            }
            (Precondition::Any, None) if !put && self.is(F::DeleteAnyMissingIsAnError) => {
                return Err(StoreError::new(ErrorKind::NotFound));
            }
            (Precondition::Any, Some(there)) if self.is(F::SchemaEqualRefused) && there.schema_version > 1 => {
                return Err(StoreError::new(ErrorKind::Unsupported { what: "the same version".into() }));
            }
            _ => operation.decide(found),
        };
        let brought = match operation {
            Operation::Put { draft, .. } => draft.origin,
            Operation::Delete { .. } => None,
        };
        if let (true, Some(origin), Some(there)) = (self.is(F::OriginEqualRefused), brought, found)
            && there.number == origin.number
        {
            return Err(StoreError::conflict(Some(shown(there))));
        }
        let Err(error) = refused else { return Ok(()) };
        let over_newer = brought.is_some_and(|origin| found.is_some_and(|there| there.number > origin.number));
        if over_newer && *operation.expect() == Precondition::Any && self.is(F::OriginOverNewer) {
            return Ok(());
        }
        let tag = match operation.expect() {
            Precondition::Exact(witness) => witness.tag.as_str(),
            _ => "-",
        };
        let faults: &[F] = match (put, operation.expect(), error.kind()) {
            (true, Precondition::Absent, ErrorKind::AlreadyExists) => &[F::PutAbsentOverwrites],
            (true, Precondition::Exact(_), ErrorKind::Conflict { current: Some(_) }) if tag.is_empty() => {
                &[F::PutExactIgnoresTheTag, F::PutExactEmptyTagMatches]
            }
            (true, Precondition::Exact(_), ErrorKind::Conflict { current: Some(_) }) => &[F::PutExactIgnoresTheTag],
            (true, Precondition::Exact(_), ErrorKind::Conflict { current: None }) => &[F::PutExactCreates],
            (true, Precondition::Present, ErrorKind::Conflict { .. }) => &[F::PutPresentCreates],
            (false, Precondition::Exact(_), ErrorKind::Conflict { current: Some(_) }) if tag.is_empty() => {
                &[F::DeleteExactIgnoresTheTag, F::DeleteExactEmptyTagMatches]
            }
            (false, Precondition::Exact(_), ErrorKind::Conflict { current: Some(_) }) => &[F::DeleteExactIgnoresTheTag],
            (false, Precondition::Exact(_), ErrorKind::Conflict { current: None }) => &[F::DeleteExactOfNothing],
            (false, Precondition::Present, ErrorKind::Conflict { .. }) => &[F::DeletePresentOfNothing],
            (_, Precondition::Present, ErrorKind::Unsupported { .. }) => &[F::SchemaUncheckedUnderPresent],
            (_, Precondition::Exact(_), ErrorKind::Unsupported { .. }) => &[F::WitnessOnTrust],
            (true, _, ErrorKind::Unsupported { .. }) => &[F::SchemaUncheckedByPut],
            (false, _, ErrorKind::Unsupported { .. }) => &[F::SchemaUncheckedByDelete],
            (_, Precondition::Exact(_), ErrorKind::Invalid { .. }) => &[F::WitnessOnTrust],
            _ => &[],
        };
        if faults.iter().any(|fault| self.is(*fault)) {
            return Ok(());
        }
        Err(match (self.fault, error.kind(), operation.expect()) {
            (Some(F::ConflictShowsNothing), ErrorKind::Conflict { .. }, _) => StoreError::conflict(None),
            (Some(F::ConflictShowsTheCallers), ErrorKind::Conflict { .. }, Precondition::Exact(witness)) => {
                StoreError::conflict(Some(shown(witness)))
            }
            (Some(F::ConflictSaysItExists), ErrorKind::Conflict { .. }, _) => StoreError::new(ErrorKind::AlreadyExists),
            (Some(F::ExistsSaysConflict), ErrorKind::AlreadyExists, _) => StoreError::conflict(found.map(shown)),
            _ => error,
        })
    }

    /// A refusal as it is answered.
    fn refusal(&self, cx: &CallContext, error: StoreError, index: usize, key: &str) -> StoreError {
        let error = match self.fault {
            Some(F::IndexMissing) => error,
            Some(F::IndexOffByOne) => error.with_index(index + 1),
            Some(F::IndexAlwaysZero) => error.with_index(0),
            Some(F::RefusalSaysUnknown) => error.with_index(index).with_outcome(Outcome::Unknown),
            Some(F::ErrorsShowKeys) => error.with_index(index).with_cause(format!("at {key}")),
            _ => error.with_index(index),
        };
        if self.is(F::RefusedCommitLeftOpen) {
            drop(cx.write_sent());
        }
        if self.is(F::RefusedCommitSettledApplied) {
            cx.write_sent().settle(true);
        }
        error
    }

    fn plan(&self, cx: &CallContext, state: &mut State, commit: Commit) -> (Plan, Option<StoreError>) {
        let now = cx.now();
        let nothing = Partition::default();
        let first = state.writes + 1;
        let partition = state.areas[self.area].get(&commit.partition).unwrap_or(&nothing);
        let number = self.number(partition, &commit, now);
        let mut plan = Plan { number, ..Plan::default() };
        let mut failed = None;
        for (index, operation) in commit.operations.into_iter().enumerate() {
            let row = partition.rows.get(operation.key());
            let there = partition.row(operation.key());
            let over = match (operation.expect(), &operation) {
                (Precondition::Absent, _) => F::ExpiredUnderAbsent,
                (Precondition::Exact(_), _) => F::ExpiredUnderExact,
                (_, Operation::Delete { .. }) => F::ExpiredDeleted,
                _ => F::NotMetered,
            };
            let live = there.filter(|row| self.lives(&row.record, now) || (self.is(over) && over != F::NotMetered));
            let witness = live.map(|row| row.record.witness());
            if let Err(error) = self.decide(&operation, witness.as_ref(), row.is_some_and(|row| row.deleted)) {
                failed.get_or_insert_with(|| self.refusal(cx, error, index, operation.key()));
                if self.is(F::FailureKeepsTheRest) {
                    continue;
                }
                break;
            }
            state.writes += 1;
            let before = self.before(&operation, live, row);
            let order = state.writes;
            match operation {
                Operation::Put { draft, expect } => {
                    let draft = self.brought(draft);
                    let number = number + if self.is(F::NumberOfEachOperation) { index as u64 } else { 0 };
                    let key = draft.key.clone();
                    let tag = self.tag((order, first), &draft.value, row);
                    let envelope = draft.stamped(&Stamp { number, now, op: commit.op }, before.as_ref());
                    let stamped = match self.fault {
                        Some(F::StampOfTheRecord) => envelope.updated,
                        Some(F::StampNever) => Timestamp::from_micros(0),
                        _ => now,
                    };
                    let record = Record { key: key.clone(), envelope, tag, stamped };
                    let kept = self.kept(record.clone(), &expect, live.map(|row| &row.record), commit.op);
                    plan.written.push(self.answer(&record, now));
                    plan.keys.push((key, false));
                    plan.rows.push(Row { record: kept, deleted: false, order });
                }
                Operation::Delete { key, .. } => match live {
                    Some(row) => {
                        let record = row.record.clone();
                        plan.rows.push(Row { record, deleted: !self.is(F::DeleteKeepsTheRecord), order });
                        plan.keys.push((key, true));
                        let nothing = self.is(F::DeletedSaysNothing);
                        plan.written.push(if nothing { Written::Nothing } else { Written::Deleted });
                    }
                    None => {
                        if self.is(F::ChangesOfNothing) {
                            plan.keys.push((key, true));
                        }
                        let deleted = self.is(F::NothingSaysDeleted);
                        plan.written.push(if deleted { Written::Deleted } else { Written::Nothing });
                    }
                },
            }
        }
        (plan, failed)
    }

    pub(super) async fn committed(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>> {
        self.check(cx, &commit)?;
        self.begin(cx, "commit", commit.operations[0].key()).await;
        let name = commit.partition.clone();
        let deletes = |operation: &Operation| matches!(operation, Operation::Delete { expect: Precondition::Any, .. });
        let there = |key: &str| self.state().areas[self.area].get(&name).is_some_and(|found| found.row(key).is_some());
        let empty = commit.operations.iter().all(|operation| deletes(operation) && !there(operation.key()));
        self.check_open(&name, empty)?;
        let (mut plan, failed) = self.plan(cx, &mut self.state(), commit);
        if failed.is_some() && !matches!(self.fault, Some(F::FailureKeepsTheFirst | F::FailureKeepsTheRest)) {
            plan = Plan::default();
            if self.is(F::PartitionsOfCommitsThatFailed) {
                self.state().areas[self.area].entry(name.clone()).or_default();
            }
        }
        match self.fault {
            Some(F::CommitOnlyTheFirst) => plan.rows.truncate(1),
            Some(F::CommitLeavesTheLast) if plan.rows.len() > 1 => drop(plan.rows.pop()),
            Some(F::AnswersReversed) => plan.written.reverse(),
            Some(F::AnswersForPutsAlone) => plan.written.retain(|written| matches!(written, Written::Put { .. })),
            _ => {}
        }
        let deletions = plan.keys.iter().all(|(_, deleted)| *deleted);
        if plan.keys.is_empty() {
            if failed.is_none() && self.is(F::CommitOfNothingMarked) {
                cx.write_sent().settle(true);
            }
        } else {
            self.apply(cx, &name, &mut plan).await;
            match self.fault {
                Some(F::CommitUnmarked) => {}
                Some(F::DeletionUnmarked) if deletions => {}
                Some(F::CommitLeftOpen) => drop(cx.write_sent()),
                _ => cx.write_sent().settle(true),
            }
        }
        failed.map_or(Ok(plan.written), Err)
    }

    async fn apply(&self, cx: &CallContext, name: &str, plan: &mut Plan) {
        let now = cx.now();
        let area = if self.is(F::CommitInAnotherArea) { (self.area + 1) % 4 } else { self.area };
        for row in plan.rows.drain(..) {
            if self.is(F::CommitTorn) {
                tokio::task::yield_now().await;
            }
            let key = row.record.key.clone();
            let mut state = self.state();
            state.last = Some((area, name.to_owned(), key.clone()));
            self.seen.lock().expect("nothing panics under it").remove(&(name.to_owned(), key.clone()));
            state.areas[area].entry(name.to_owned()).or_default().rows.insert(key, row);
        }
        let mut state = self.state();
        let partition = state.areas[area].entry(name.to_owned()).or_default();
        partition.number = plan.number + if self.is(F::NumberOfEachOperation) { plan.keys.len() as u64 } else { 0 };
        partition.seq += 1;
        let keys = std::mem::take(&mut plan.keys);
        partition.history.push(Change { seq: partition.seq, at: now, number: plan.number, keys });
        self.trim(partition, now);
        let heard = partition.heard.replace(now).map_or(Timestamp::MIN, |heard| heard.min(now));
        let over = if self.is(F::ExpiredLetGoByOneClock) { now } else { heard };
        partition.rows.retain(|_, row| row.deleted || row.record.envelope.expiry.is_none_or(|expiry| expiry > over));
    }
}
