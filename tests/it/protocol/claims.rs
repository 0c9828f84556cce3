//! What holds in every state of the fenced partition, and what must be reachable for that to mean anything.

use stateright::Property;

use super::partition::{CallState, Committers, End, Expect, Progress, Stage, State};

fn applied(end: End) -> bool {
    matches!(end, End::Applied | End::AppliedByResend | End::AppliedByEvidence)
}

/// True in every state.
pub(super) fn always() -> Vec<Property<Committers>> {
    vec![
        Property::always("an acknowledged write was applied", |_, state: &State| {
            state.ended(applied).all(|(_, call)| call.applied == 1)
        }),
        Property::always("nothing is applied twice", |_, state: &State| {
            state.calls.iter().all(|call| call.applied <= 1)
        }),
        Property::always("what is answered as not applied never is", |_, state: &State| {
            let refused = |end| matches!(end, End::NotApplied | End::Conflict | End::Nothing);
            state.ended(refused).all(|(_, call)| call.applied == 0)
        }),
        Property::always("a write replaces only what its call named", |_, state: &State| !state.wrongs().0),
        Property::always("a conflict is real", |_, state: &State| !state.wrongs().1),
        Property::always("Any never ends in a conflict", |model: &Committers, state: &State| {
            let conflicts = state.ended(|end| end == End::Conflict);
            conflicts.into_iter().all(|(call, _)| model.calls[call].expect != Expect::Any)
        }),
        Property::always("a delete that found nothing had nothing to delete", |_, state: &State| {
            state.ended(|end| end == End::Nothing).all(|(_, call)| State::saw_nothing(call))
        }),
        Property::always("a deadline ends its own call alone", |_, state: &State| {
            state.ended(|end| end == End::Unknown).all(|(_, call)| call.over)
        }),
        Property::always("numbers grow", |_, state: &State| !state.wrongs().2),
        Property::always("the head counts the commits", |_, state: &State| {
            state.table.head.map_or(0, |head| head.seq) == state.table.applied
        }),
        Property::always("a live send finds its change row", |_, state: &State| !state.evidence_is_gone()),
        Property::always(
            "a second look leaves nothing unknown but at the deadline",
            |model: &Committers, state: &State| {
                !model.second_look || state.ended(|end| end == End::UnknownByEvidence).next().is_none()
            },
        ),
    ]
}

/// True in some state.
pub(super) fn sometimes(model: &Committers) -> Vec<Property<Committers>> {
    let mut properties = vec![
        Property::sometimes("a group of two is applied", |_, state: &State| {
            (1..=4).filter_map(|seq| state.table.change(seq)).any(|commit| commit.count_ones() == 2)
        }),
        Property::sometimes("a commit is built again over another's", |_, state: &State| {
            state.table.applied > 1
                && state.replicas.iter().any(|replica| matches!(replica.stage, Stage::Gather { .. }))
        }),
        Property::sometimes("every call is answered as applied or refused", |model: &Committers, state: &State| {
            let known = |end| !matches!(end, End::Unknown | End::UnknownByEvidence);
            state.ended(known).count() == model.calls.len()
        }),
    ];
    if model.faults > 0 {
        properties.extend([
            Property::sometimes("a lost answer is recovered", |_, state: &State| {
                state.ended(|end| end == End::AppliedByEvidence).next().is_some()
            }),
            Property::sometimes("a resend is accepted", |_, state: &State| {
                state.ended(|end| end == End::AppliedByResend).next().is_some()
            }),
        ]);
        if !model.second_look {
            properties.push(Property::sometimes("a late send lands between two reads", |_, state: &State| {
                state.ended(|end| end == End::UnknownByEvidence).next().is_some()
            }));
        }
    }
    if model.any_time {
        properties.extend([
            Property::sometimes("a transaction goes on for a member when the other has left", |_, state: &State| {
                let left = state.ended(|end| end == End::Unknown).any(|(_, call)| call.applied == 1);
                let same = |call: &CallState| call.progress == Progress::Ended(End::Applied);
                left && state.table.change(2).is_some_and(|commit| commit.count_ones() == 2)
                    && state.calls.iter().any(same)
            }),
            Property::sometimes("a member that left is not built again with the other", |model: &Committers, state| {
                let left = |call: usize| state.calls[call].over && state.calls[call].applied == 0;
                let applied = |call: usize| state.calls[call].progress == Progress::Ended(End::Applied);
                let shares = |a: usize, b: usize| a != b && model.calls[a].replica == model.calls[b].replica;
                let calls = 0..model.calls.len();
                calls.clone().any(|a| calls.clone().any(|b| shares(a, b) && left(a) && applied(b)))
            }),
            Property::sometimes("two deadlines strike", |_, state: &State| state.give_ups == 2),
        ]);
    }
    if model.give_ups > 0 {
        properties.extend([
            Property::sometimes("an unknown write was applied", |_, state: &State| {
                state.ended(|end| end == End::Unknown).any(|(_, call)| call.applied == 1)
            }),
            Property::sometimes("an unknown write never lands", |_, state: &State| {
                state.ended(|end| end == End::Unknown).any(|(_, call)| call.applied == 0)
            }),
        ]);
    }
    properties
}
