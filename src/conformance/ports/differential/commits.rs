//! Commits as they are drawn.

use std::collections::HashSet;
use std::time::Duration;

use super::Checked;
use super::records::{At, Both, MINUTE, Run};
use crate::backend::{Draft, Operation, Precondition};
use crate::contract::{Clock as _, RecordState, Timestamp};

impl<'a> Run<'a> {
    pub(super) fn draft(&mut self, key: String) -> Draft {
        let minutes = 1 + self.dice.below(9) as i64;
        let ends = Timestamp::from_micros(self.clock.now().as_micros() + minutes * MINUTE);
        let mut draft = self.places[0][0].draft("", self.dice.value());
        draft.owner.person = self.dice.percent(30).then(|| "ana".to_owned());
        draft.owner.device = self.dice.percent(30).then(|| "bojw-1".to_owned());
        draft.record_key = (*self.dice.one(&["full key", "é ☃", "k"])).to_owned();
        draft.schema_version = 1 + self.dice.below(8).saturating_sub(5) as u32;
        draft.expiry = self.dice.percent(15).then_some(ends);
        Draft { key, ..draft }
    }

    /// What an operation expects, with the model's witness and with the other's.
    fn expect(&mut self, at: At, (key, version): (&str, u32), impossible: bool, exact: &mut bool) -> [Precondition; 2] {
        let known = self.known.get(&(at, key.to_owned()));
        let over = known.is_some_and(|known| known.is_over(self.clock.now()));
        let there = known.is_some_and(|known| known.there) && !over;
        let witnesses = known.map(|known| known.witnesses.as_slice()).unwrap_or_default();
        let both = |expect: Precondition| [expect.clone(), expect];
        let of = |(model, theirs): &(RecordState, RecordState)| {
            [model, theirs].map(|witness| Precondition::Exact(Box::new(witness.clone())))
        };
        match (self.dice.below(13), witnesses.last().filter(|_| !over)) {
            (0..3, Some(last)) => {
                *exact = true;
                of(last)
            }
            (3, Some(_)) => {
                *exact = true;
                of(&witnesses[self.dice.below(witnesses.len())])
            }
            (4, Some((last, _))) => {
                *exact = true;
                let number = if impossible { u64::MAX } else { last.number };
                both(Precondition::Exact(Box::new(RecordState { tag: String::new(), number, ..last.clone() })))
            }
            (5..8, Some((last, _))) if *exact && (!there || last.schema_version <= version) => {
                both(Precondition::Present)
            }
            (8 | 9, _) => both(Precondition::Absent),
            _ => both(Precondition::Any),
        }
    }

    pub(super) async fn commit(&mut self, call: Both<'a>) -> Checked {
        // One thing wrong at a time: of several, any may be named.
        let wrong = if self.partitions_of(call.at.0).contains(&call.name) { self.dice.below(50) } else { 50 };
        let (mut exact, mut keys) = (false, HashSet::new());
        let (mut model, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..1 + self.dice.below(4) {
            let key = self.dice.key();
            if !keys.insert(key.clone()) && wrong > 2 {
                continue;
            }
            let draft = self.draft(key.clone());
            let version = draft.schema_version;
            let [of_model, of_theirs] = self.expect(call.at, (&key, version), (45..50).contains(&wrong), &mut exact);
            if self.dice.percent(25) {
                let of = |expect| Operation::Delete { key: key.clone(), expect, schema_version: version };
                model.push(of(of_model));
                theirs.push(of(of_theirs));
            } else {
                model.push(Operation::Put { draft: draft.clone(), expect: of_model });
                theirs.push(Operation::Put { draft, expect: of_theirs });
            }
        }
        match wrong {
            3 => (model, theirs) = (Vec::new(), Vec::new()),
            4 => {
                let bad = (*self.dice.one(&["a b", "!x", "é", "", ".x"])).to_owned();
                let put = Operation::Put { draft: self.draft(bad), expect: Precondition::Any };
                model.push(put.clone());
                theirs.push(put);
            }
            // Of a backend that takes very many no more are tried.
            5 if call.backend.limits().operations_per_commit <= 2_000 => {
                let delete = |n: usize| {
                    let key = format!("z:{n}");
                    Operation::Delete { key, expect: Precondition::Any, schema_version: 1 }
                };
                model = (0..=call.backend.limits().operations_per_commit).map(delete).collect();
                theirs.clone_from(&model);
            }
            _ => {}
        }
        self.committed(call, model, theirs).await
    }

    /// Calls whose time is over.
    pub(super) async fn over(&mut self, at: At) -> Checked {
        let draft = self.draft("x:over".to_owned());
        let put = vec![Operation::Put { draft, expect: Precondition::Any }];
        let call = self.call(at, Duration::ZERO);
        self.committed(call, put.clone(), put).await?;
        let call = self.call(at, Duration::ZERO);
        self.erase(call).await
    }
}
