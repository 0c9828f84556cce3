//! The calls of the port, each made of both and compared.

use openjibo_store::backend::{CHANGE_RETENTION, ChangeEntry, Commit, KeyRange, OpId, Written};
use openjibo_store::{Clock as _, ErrorKind};

use super::super::draws::Calls;
use super::{Cursors, PARTITIONS, World, both, plain};

impl World {
    pub(super) async fn commit(&mut self) {
        let (area, partition) = self.draw_place();
        let op = OpId::derive(&u128::from(self.dice.next()).to_be_bytes(), 0);
        let known = |key: &str| self.known.get(&(area, partition, key.to_owned()));
        let [of_model, of_journal] = Calls(&mut self.dice).operations(&known, self.clock.now());
        let cx = self.calls();
        let keys: Vec<String> = of_model.iter().map(|operation| operation.key().to_owned()).collect();
        let [model, journal] = self.ports[area].clone();
        let model = model.commit(&cx[0], Commit::new(PARTITIONS[partition], op, of_model)).await;
        let journal = journal.commit(&cx[1], Commit::new(PARTITIONS[partition], op, of_journal)).await;
        assert_eq!(cx[0].outcome_if_abandoned(), cx[1].outcome_if_abandoned());
        let (model, journal) = match both(model, journal) {
            Ok(written) => written,
            Err(name) => return *self.counts.refused.entry(name).or_default() += 1,
        };
        self.counts.commits += 1;
        assert_eq!((model.len(), journal.len()), (keys.len(), keys.len()));
        for (key, written) in keys.into_iter().zip(model.into_iter().zip(journal)) {
            match written {
                (Written::Put { witness: model, updated }, Written::Put { witness: journal, updated: and }) => {
                    assert_eq!(updated, and);
                    self.same_witnesses(&(area, partition, key), model, journal);
                }
                (model, journal) => assert_eq!(model, journal),
            }
        }
    }

    pub(super) async fn get(&mut self) {
        let (place, key) = (self.draw_place(), Calls(&mut self.dice).key());
        let cx = self.calls();
        let [model, journal] = &self.ports[place.0];
        let name = PARTITIONS[place.1];
        let found = both(model.get(&cx[0], name, &key).await, journal.get(&cx[1], name, &key).await);
        if let Ok((model, journal)) = found {
            self.same_records(place, model.into_iter().collect(), journal.into_iter().collect());
        }
    }

    pub(super) async fn scan(&mut self) {
        let (place, range) = (self.draw_place(), Calls(&mut self.dice).range());
        let mut after = self.dice.permille(300).then(|| Calls(&mut self.dice).key());
        let limit = *self.dice.one(&[0, 1, 2, 5, 17, 5_000]);
        for _ in 0..4 {
            let cx = self.calls();
            let [model, journal] = &self.ports[place.0];
            let (name, from) = (PARTITIONS[place.1], after.as_deref());
            let model = model.scan(&cx[0], name, &range, from, limit).await;
            let Ok((model, journal)) = both(model, journal.scan(&cx[1], name, &range, from, limit).await) else {
                return;
            };
            assert_eq!(model.next, journal.next);
            self.counts.pages += 1;
            self.same_records(place, model.records, journal.records);
            after = model.next;
            if after.is_none() {
                return;
            }
        }
    }

    pub(super) async fn load(&mut self, place: (usize, usize), range: KeyRange) {
        let cx = self.calls();
        let [model, journal] = &self.ports[place.0];
        let name = PARTITIONS[place.1];
        if let Ok((model, journal)) =
            both(model.load_all(&cx[0], name, &range).await, journal.load_all(&cx[1], name, &range).await)
        {
            self.same_records(place, model, journal);
        }
    }

    pub(super) async fn erase(&mut self) {
        let place = self.draw_place();
        let ranges: Vec<KeyRange> = (0..self.dice.below(3)).map(|_| Calls(&mut self.dice).range()).collect();
        let cx = self.calls();
        let [model, journal] = &self.ports[place.0];
        let name = PARTITIONS[place.1];
        if let Ok((model, journal)) =
            both(model.erase(&cx[0], name, &ranges, None).await, journal.erase(&cx[1], name, &ranges, None).await)
        {
            assert_eq!(model, journal, "records erased");
            self.counts.erased += model;
        }
    }

    pub(super) async fn partitions(&mut self) {
        let (area, limit) = (self.dice.below(4), self.dice.below(7));
        let mut after = self.dice.permille(200).then(|| (*self.dice.one(&["a", "m", "usr_5f1:home"])).to_owned());
        loop {
            let cx = self.calls();
            let [model, journal] = &self.ports[area];
            let model = model.partitions(&cx[0], after.as_deref(), limit).await.unwrap();
            assert_eq!(model, journal.partitions(&cx[1], after.as_deref(), limit).await.unwrap());
            after = model.next;
            if after.is_none() {
                return;
            }
        }
    }

    /// Follows a partition's changes to their end, from the beginning or from a cursor of before.
    pub(super) async fn changes(&mut self, place: (usize, usize), mut since: Option<Cursors>, limit: usize) {
        // Between two pages nothing is written, so that this ends.
        loop {
            let cx = self.calls();
            let [model, journal] = &self.ports[place.0];
            let (name, of_model) = (PARTITIONS[place.1], since.as_ref().map(|(model, _)| model));
            let model = model.changes(&cx[0], name, of_model, limit).await;
            let journal = journal.changes(&cx[1], name, since.as_ref().map(|(_, journal)| journal), limit).await;
            let (told, next) = match (model, journal) {
                (Ok(model), Ok(journal)) if model.changes == journal.changes => {
                    (model.changes.len(), (model.next, journal.next))
                }
                (Err(model), Err(journal)) => {
                    assert_eq!(plain(&model), plain(&journal));
                    self.counts.snapshots_required += 1;
                    return;
                }
                _ => return self.let_go_earlier(place, since).await,
            };
            self.counts.changes += told;
            self.cursors.entry(place).or_default().push(next.clone());
            if told == 0 {
                return;
            }
            since = Some(next);
        }
    }

    /// The model still tells what is older than the retention, and the journal does not: else they are the same.
    pub(super) async fn let_go_earlier(&mut self, place: (usize, usize), since: Option<Cursors>) {
        let cx = self.calls();
        let [model, journal] = &self.ports[place.0];
        let (model_since, journal_since) = (since.as_ref().map(|(m, _)| m), since.as_ref().map(|(_, j)| j));
        let model = model.changes(&cx[0], PARTITIONS[place.1], model_since, usize::MAX).await.unwrap();
        let oldest = self.clock.now().as_micros() - CHANGE_RETENTION.as_micros() as i64;
        // A commit's number is its instant, or a few more while the clock stands still.
        let old = |change: &ChangeEntry| change.number.unwrap() < oldest as u64;
        assert!(model.changes.iter().any(old), "the journal's history differs, and nothing in it is old");
        match (since.is_some(), journal.changes(&cx[1], PARTITIONS[place.1], journal_since, usize::MAX).await) {
            (false, Ok(journal)) => {
                let earlier = model.changes.len().checked_sub(journal.changes.len()).expect("the journal tells more");
                assert!(model.changes[..earlier].iter().all(old), "the journal lets go of what is not old");
                assert_eq!(model.changes[earlier..], journal.changes);
                self.cursors.entry(place).or_default().push((model.next, journal.next));
            }
            (true, Err(error)) => assert_eq!(*error.kind(), ErrorKind::SnapshotRequired),
            (_, answer) => panic!("the journal answers {answer:?}"),
        }
        self.counts.let_go_earlier += 1;
    }

    pub(super) async fn some_changes(&mut self) {
        let place = self.draw_place();
        let known = self.cursors.entry(place).or_default();
        let since = if self.dice.permille(200) { None } else { self.dice.maybe(known).cloned() };
        let limit = *self.dice.one(&[0, 1, 3, 10, 1_000]);
        self.changes(place, since, limit).await;
    }
}
