//! What a commit writes: numbers, tags, times, op ids, content.

use openjibo_store::backend::{Before, Commit, Draft, OpId, Operation, Precondition, Record, Written, next_number};
use openjibo_store::{OpTrail, Timestamp};
use serde_json::Value;

use super::records::Records;
use super::state::{Partition, Row};
use super::table::F;

fn trail(ops: &[u64]) -> OpTrail {
    ops.iter().copied().collect()
}

impl Records {
    pub(super) fn number(&self, partition: &Partition, commit: &Commit, now: Timestamp) -> u64 {
        let keys = commit.operations.iter().map(Operation::key);
        let there = keys.filter_map(|key| partition.row(key)).map(|row| row.record.envelope.number).max();
        match self.fault {
            Some(F::NumberFollowsTheClock) => next_number(0, now),
            Some(F::NumberRestarts) => next_number(there.unwrap_or(0), now),
            Some(F::NumberCounts) => partition.number + 1,
            Some(F::OriginNumberNotFollowed) => next_number(partition.number, now),
            _ => commit.number(partition.number, now),
        }
    }

    /// What is brought, as it is taken.
    pub(super) fn brought(&self, mut draft: Draft) -> Draft {
        if let Some(origin) = &mut draft.origin {
            match self.fault {
                Some(F::OriginIgnored) => draft.origin = None,
                Some(F::OriginNumberIgnored) => origin.number += 1,
                Some(F::OriginCreatedIgnored) => origin.created = origin.updated,
                Some(F::OriginUpdatedIgnored) => origin.updated = origin.created,
                _ => {}
            }
        }
        draft
    }

    pub(super) fn tag(&self, (write, of_commit): (u64, u64), draft: &Value, before: Option<&Row>) -> String {
        match (self.fault, before) {
            (Some(F::TagStays), Some(row)) if !row.deleted => row.record.tag.clone(),
            (Some(F::TagOfTheValue), _) => format!("\"{:x}\"", draft.to_string().len()),
            (Some(F::TagRestarts), Some(row)) if !row.deleted => format!("{}i", row.record.tag),
            (Some(F::TagRestarts), _) => "\"i".to_owned(),
            (Some(F::TagEmpty), _) => String::new(),
            (Some(F::TagTooLong), _) => format!("{write:0121}"),
            (Some(F::TagLongest), _) => format!("{write:0120}"),
            (Some(F::TagUnprintable), _) => format!("{write}\u{7}é"),
            (Some(F::TagOfTheCommit), _) => format!("\"{of_commit:x}\""),
            _ => format!("\"{write:x}\""),
        }
    }

    /// What a put keeps of what it replaces. `row` is what is there, deleted or over as it may be.
    pub(super) fn before(&self, operation: &Operation, live: Option<&Row>, row: Option<&Row>) -> Option<Before> {
        let witness = live.map(|row| row.record.witness());
        let before = operation.before(witness.as_ref());
        match (self.fault, operation.expect(), live, row) {
            (Some(F::CreatedOutlivesDeletion), _, None, Some(row)) if row.deleted => {
                Some(Before { created: Some(row.record.envelope.created), ops: OpTrail::default() })
            }
            (Some(F::OpsOutliveDeletion), _, None, Some(row)) if row.deleted => {
                Some(Before::tombstone(row.record.envelope.ops))
            }
            (Some(F::ExpiredLivesOn), _, None, Some(row)) if !row.deleted => Some(Before::live(&row.record.witness())),
            (Some(F::CreatedKeptUnderPresent), Precondition::Present, Some(row), _) => {
                Some(Before { created: Some(row.record.envelope.created), ops: OpTrail::default() })
            }
            (Some(F::OpsKeptUnderPresent), Precondition::Present, Some(row), _) => {
                Some(Before { created: None, ops: row.record.envelope.ops })
            }
            (Some(F::WitnessOnTrust), Precondition::Exact(witness), _, _) => Some(Before::live(witness)),
            (Some(F::CreatedMoves), _, _, _) => before.map(|before| Before { created: None, ..before }),
            (Some(F::OpsDropped), _, _, _) => before.map(|before| Before { ops: OpTrail::default(), ..before }),
            _ => before,
        }
    }

    /// The record as it is kept.
    pub(super) fn kept(&self, mut record: Record, expect: &Precondition, live: Option<&Record>, op: OpId) -> Record {
        let envelope = &mut record.envelope;
        let ops = envelope.ops.as_slice().to_vec();
        match self.fault {
            Some(F::UpdatedStays) => envelope.updated = live.map_or(envelope.updated, |live| live.envelope.updated),
            Some(F::UpdatedBySystemClock) => envelope.updated = Timestamp::now(),
            Some(F::OpsOnlyTheLast) => envelope.ops = trail(&[op.short()]),
            Some(F::OpsOnlyThree) => envelope.ops = trail(&ops[ops.len().saturating_sub(3)..]),
            Some(F::OpsReversed) => envelope.ops = ops.into_iter().rev().collect(),
            Some(F::OpsMissUnderPresent) if *expect == Precondition::Present => envelope.ops = OpTrail::default(),
            Some(F::SchemaNotKept) => envelope.schema_version = 1,
            Some(F::OwnerDropped) => envelope.owner = openjibo_store::backend::Owner::default(),
            Some(F::OwnerPersonDropped) => envelope.owner.person = None,
            Some(F::TypeDropped) => envelope.record_type = "record".into(),
            Some(F::RecordKeyIsTheKey) => envelope.record_key.clone_from(&record.key),
            Some(F::ExpiryDropped) => envelope.expiry = None,
            Some(F::ExpiryOutlivesReplacement) => {
                envelope.expiry = envelope.expiry.or(live.and_then(|live| live.envelope.expiry));
            }
            Some(F::ExpiryKeptUnderPresent) if *expect == Precondition::Present => {
                envelope.expiry = live.and_then(|live| live.envelope.expiry);
            }
            _ => self.change(&mut envelope.value),
        }
        record
    }

    fn change(&self, value: &mut Value) {
        match (self.fault, &mut *value) {
            (Some(F::ValueCut), Value::String(text)) => {
                let end = (0..=text.len().min(32_000)).rev().find(|at| text.is_char_boundary(*at));
                text.truncate(end.unwrap_or(0));
            }
            (Some(F::ValueTrimmed), Value::String(text)) => *text = text.trim().to_owned(),
            (Some(F::ValueFloatsRounded), Value::Number(number)) if number.is_f64() => {
                *value = number.as_f64().map(|float| float as f32).map_or(Value::Null, Value::from);
            }
            (Some(F::ValueIntegersAreFloats), Value::Number(number)) => {
                *value = number.as_f64().map_or(Value::Null, Value::from);
            }
            (_, Value::Array(values)) => values.iter_mut().for_each(|value| self.change(value)),
            (_, Value::Object(values)) => {
                if self.is(F::ValueWithoutNulls) {
                    values.retain(|_, value| !value.is_null());
                }
                values.values_mut().for_each(|value| self.change(value));
            }
            _ => {}
        }
    }

    /// What is answered of a put.
    pub(super) fn answer(&self, record: &Record, now: Timestamp) -> Written {
        let (mut witness, mut updated) = (record.witness(), record.envelope.updated);
        if self.is(F::UpdatedBySystemClock) || self.is(F::UpdatedStays) {
            updated = now;
        }
        match self.fault {
            Some(F::NumberAnsweredWrong) => witness.number += 1,
            Some(F::CreatedAnsweredWrong) => witness.created = Timestamp::from_micros(7),
            Some(F::OpsAnsweredWrong) => witness.ops = OpTrail::default(),
            Some(F::TagAnsweredWrong) => witness.tag.push('x'),
            Some(F::UpdatedAnsweredWrong) => updated = Timestamp::from_micros(now.as_micros() + 1),
            _ => {}
        }
        Written::Put { witness, updated }
    }
}
