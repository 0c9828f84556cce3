//! The change history: one row a commit, with the keys it touched and **never a value**.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::FencedTable;
use super::client::{Entity, Query};
use super::columns::{Columns, number, with_chunks};
use super::head::Head;
use crate::backend::{CallContext, ChangeCursor, ChangeEntry, ChangePage, History};
use crate::contract::{ErrorKind, StoreError};

/// The layout of a cursor's position: behind which commit it stands, by its sequence and its id.
const CURSORS: u32 = 2;
/// What the row keys of change rows begin with.
const PREFIX: &str = "!c:";
/// The first key after them.
const END: &str = "!c;";

/// The row key of a commit's change row.
pub(super) fn row_key(seq: u64) -> String {
    format!("{PREFIX}{seq:020}")
}

/// The commit that a change row belongs to.
pub(super) fn seq_of(row_key: &str) -> Option<u64> {
    row_key.strip_prefix(PREFIX)?.parse().ok()
}

/// What one commit changed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The commit's id.
    pub(super) commit: String,
    /// The number of the last call. The calls before it have the numbers before it, one each.
    pub(super) number: u64,
    /// The calls that share the commit, in the order of their numbers.
    pub(super) calls: Vec<Call>,
}

/// What one call changed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Call {
    /// The call's op id.
    pub(super) op: String,
    /// The row keys: `+key` written, `-key` deleted. Empty once the keys were forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) rows: Vec<String>,
}

// Row keys are personal data.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Change {
    pub(super) fn encode(&self, partition: &str, seq: u64) -> Result<Entity, StoreError> {
        let calls = serde_json::to_string(&self.calls)
            .map_err(|_| StoreError::invalid("operations", "their keys have no JSON form"))?;
        let row = Entity::new(partition, row_key(seq))
            .with("Commit", self.commit.as_str())
            .with("Number", number("number", self.number)?);
        Ok(with_chunks(row, "Chunks", "C", &calls))
    }

    /// # Errors
    /// `Corrupt`, naming the change row by its place, and the property.
    pub(super) fn decode(entity: &Entity) -> Result<Self, StoreError> {
        let columns = Columns::of(entity, format!("change row {}", seq_of(&entity.row_key).unwrap_or(0)));
        let calls = serde_json::from_str(&columns.chunks("Chunks", "C")?);
        Ok(Self {
            commit: columns.text("Commit")?.to_owned(),
            number: columns.number("Number")?,
            calls: calls.map_err(|_| columns.corrupt("the text of C0 and on", "is not a list of calls"))?,
        })
    }

    /// The same commit without keys: what is left when they are forgotten, so that a late retry finds its evidence.
    pub(super) fn without_keys(mut self) -> Self {
        self.calls.iter_mut().for_each(|call| call.rows.clear());
        self
    }

    fn entries(self) -> impl Iterator<Item = ChangeEntry> {
        let numbers = (0..=self.number).rev();
        let calls = self.calls.into_iter().rev().zip(numbers).collect::<Vec<_>>().into_iter().rev();
        calls.flat_map(|(call, number)| call.rows.into_iter().map(move |row| (row, number))).filter_map(
            |(row, number)| {
                let deleted = row.starts_with('-');
                let key = row.strip_prefix(['+', '-'])?.to_owned();
                Some(ChangeEntry { key, number: Some(number), deleted })
            },
        )
    }
}

/// The change rows from that of a commit on.
fn rows_from(partition: &str, seq: u64) -> Query {
    Query::rows(partition, &row_key(seq), END)
}

/// The change rows of the commits before `seq`.
pub(super) fn rows_before(partition: &str, seq: u64) -> Query {
    Query::rows(partition, PREFIX, &row_key(seq))
}

fn snapshot() -> StoreError {
    StoreError::new(ErrorKind::SnapshotRequired)
}

impl FencedTable {
    /// See [`RecordBackend::changes`](crate::backend::RecordBackend::changes).
    ///
    /// Two requests, the head after the rows, so that a floor raised meanwhile is noticed; two more for each page of change
    /// rows without keys. The rows begin with the one of the commit that the cursor stands behind. A page ends with a whole
    /// commit, so one with more than `limit` entries is a page of its own, and a page is empty only at the end of the history.
    pub(super) async fn read_changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        let now = cx.now();
        let history = History { layout: CURSORS, area: self.table.name(), partition };
        let page = |changes, seq: u64, commit: &str| {
            let next = ChangeCursor::behind(&history, (seq, commit), now);
            Ok(ChangePage { changes, next })
        };
        let mut since = match since {
            None => None,
            Some(cursor) => {
                let (seq, commit) = cursor.commit(&history, now)?;
                Some(Behind { seq, commit: Some(commit.to_owned()) })
            }
        };
        loop {
            let from = since.as_ref().map_or(0, |since| since.seq);
            let rows = self.change_rows(cx, rows_from(partition, from), limit).await?;
            let Some(head) = self.read_head(cx, partition).await? else {
                // A partition without a head has no history: nothing that a cursor could stand behind.
                return if from == 0 { page(Vec::new(), 0, "") } else { Err(snapshot()) };
            };
            let (changes, to) = collect(&rows, since.as_ref(), &head, limit)?;
            let ended = to.seq == head.seq || since.is_some_and(|since| since.seq == to.seq);
            if let (true, Some(commit)) = (ended || !changes.is_empty(), &to.commit) {
                return page(changes, to.seq, commit);
            }
            since = Some(to);
        }
    }

    /// The first change rows of a query, at least two if there are as many: one may be that of the cursor's own commit.
    async fn change_rows(&self, cx: &CallContext, query: Query, limit: usize) -> Result<Vec<Entity>, StoreError> {
        let query = query.with_top(super::rows_of_page(limit.saturating_add(1)).max(2));
        let (mut rows, mut next) = (Vec::new(), Some(query.clone()));
        while let Some(query_of_page) = next.take() {
            let page = self.page(cx, query_of_page).await?;
            rows.extend(page.entities);
            next = page.continuation.filter(|_| rows.len() < 2).map(|behind| query.clone().after(behind));
        }
        Ok(rows)
    }
}

/// Behind which commit a page begins or ends. The id is not known where that commit's row was not read.
#[derive(Debug, PartialEq, Eq)]
struct Behind {
    seq: u64,
    commit: Option<String>,
}

/// The changes of these rows, which begin with that of the commit `since`, under a head read after them; and the commit they
/// end with.
fn collect(
    rows: &[Entity],
    since: Option<&Behind>,
    head: &Head,
    limit: usize,
) -> Result<(Vec<ChangeEntry>, Behind), StoreError> {
    let mut seq = since.map_or(head.floor, |since| since.seq);
    if seq < head.floor || seq > head.seq {
        return Err(snapshot());
    }
    let own = rows.iter().find(|row| seq_of(&row.row_key) == Some(seq));
    let mut commit = match own {
        _ if seq == 0 => Some(String::new()),
        Some(row) => row.string("Commit").map(str::to_owned),
        None => (seq == head.seq).then(|| head.commit.clone()),
    };
    // Another commit stands there now, or none: the table went back to an earlier state and grew again.
    let stands = |since: &Behind| match (&since.commit, &commit) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(known), Some(there)) => known == there,
    };
    if !since.is_none_or(stands) {
        return Err(snapshot());
    }
    let mut changes = Vec::new();
    for row in rows {
        let row_seq = seq_of(&row.row_key)
            .ok_or_else(|| StoreError::corrupt("change row", "the row key is not that of a commit"))?;
        // Up to the floor history is gone, whether or not its rows are.
        if row_seq <= seq {
            continue;
        }
        if changes.len() >= limit.max(1) {
            break;
        }
        if row_seq != seq + 1 {
            return Err(snapshot());
        }
        let change = Change::decode(row)?;
        let of = change.commit.clone();
        let entries: Vec<ChangeEntry> = change.entries().collect();
        if !changes.is_empty() && changes.len() + entries.len() > limit {
            break;
        }
        commit = Some(of);
        changes.extend(entries);
        seq = row_seq;
    }
    Ok((changes, Behind { seq, commit }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(rows: &[&str]) -> Change {
        let rows = rows.iter().map(|&row| row.to_owned()).collect();
        Change { commit: "ab".into(), number: 7, calls: vec![Call { op: "ab".into(), rows }] }
    }

    fn head(seq: u64, floor: u64) -> Head {
        Head { seq, number: 9, floor, commit: "ef".into(), tag: String::new(), stamp: None, closed: None }
    }

    fn row(seq: u64) -> Entity {
        change(&[&format!("+k{seq}"), "-gone"]).encode("p", seq).unwrap()
    }

    fn keys(changes: &[ChangeEntry]) -> Vec<&str> {
        changes.iter().map(|entry| entry.key.as_str()).collect()
    }

    #[test]
    fn ninety_seven_long_keys_survive_the_round_trip() {
        let rows: Vec<String> = (0..97).map(|n| format!("+{n:0500}")).collect();
        let long = Change { calls: vec![Call { op: "op".into(), rows }], ..change(&[]) };
        let entity = long.encode("p", 1).unwrap();
        assert!(entity.get("C1").is_some());
        assert_eq!(Change::decode(&entity).unwrap(), long);
        assert_eq!(seq_of(&entity.row_key), Some(1));
    }

    #[test]
    fn each_call_of_a_commit_has_its_own_number_and_the_last_has_the_rows() {
        let call = |rows: &[&str]| Call { op: "op".into(), rows: rows.iter().map(|&row| row.to_owned()).collect() };
        let shared = Change { calls: vec![call(&["+a", "-b"]), call(&[]), call(&["+c"])], ..change(&[]) };
        let entity = shared.encode("p", 1).unwrap();
        let entries: Vec<_> = Change::decode(&entity).unwrap().entries().collect();
        let entries: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.number)).collect();
        assert_eq!(entries, [("a", Some(5)), ("b", Some(5)), ("c", Some(7))]);
    }

    #[test]
    fn forgetting_keys_keeps_commit_and_op_ids() {
        let entity = change(&["+secret"]).without_keys().encode("p", 1).unwrap();
        assert_eq!(entity.string("C0"), Some(r#"[{"op":"ab"}]"#));
        assert_eq!(Change::decode(&entity).unwrap(), change(&[]));
    }

    fn behind(seq: u64, commit: &str) -> Behind {
        Behind { seq, commit: Some(commit.to_owned()) }
    }

    #[test]
    fn a_page_ends_with_a_whole_commit_and_the_next_goes_on() {
        let rows: Vec<Entity> = (1..=3).map(row).collect();
        // One commit alone may have more than the limit; one more that would, waits for the next page.
        for limit in 1..=3 {
            let (changes, to) = collect(&rows, None, &head(3, 0), limit).unwrap();
            assert_eq!((keys(&changes), to), (vec!["k1", "gone"], behind(1, "ab")), "{limit}");
        }
        let (changes, to) = collect(&rows, None, &head(3, 0), 4).unwrap();
        assert_eq!((keys(&changes), &to), (vec!["k1", "gone", "k2", "gone"], &behind(2, "ab")));
        assert!(changes[1].deleted && changes[0].number == Some(7));
        let (changes, to) = collect(&rows[1..], Some(&to), &head(3, 0), 3).unwrap();
        assert_eq!((keys(&changes), &to), (vec!["k3", "gone"], &behind(3, "ab")));
        assert_eq!(collect(&rows[2..], Some(&to), &head(3, 0), 3).unwrap(), (Vec::new(), behind(3, "ab")));
        assert_eq!(collect(&[], None, &head(3, 3), 3).unwrap(), (Vec::new(), behind(3, "ef")));
    }

    #[test]
    fn another_commit_at_the_cursors_place_or_none_needs_a_snapshot() {
        // A history that fell back and grew again was told from the cursor's place on, as if nothing had changed before it.
        let rows: Vec<Entity> = (1..=3).map(row).collect();
        for (rows, since, head) in [
            (&rows[..], behind(2, "cd"), head(3, 0)),
            (&rows[2..], behind(2, "ab"), head(3, 0)),
            (&rows[2..], behind(3, "ef"), head(3, 0)),
            (&[], behind(3, "ab"), head(3, 0)),
            (&rows[..], Behind { seq: 4, commit: None }, head(5, 0)),
        ] {
            let told = collect(rows, Some(&since), &head, 10);
            assert_eq!(*told.unwrap_err().kind(), ErrorKind::SnapshotRequired, "{since:?}");
        }
        // The head's own commit is as good as its row.
        assert_eq!(collect(&[], Some(&behind(3, "ef")), &head(3, 0), 10).unwrap().1, behind(3, "ef"));
        assert_eq!(collect(&rows, Some(&behind(0, "")), &head(3, 0), 10).unwrap().1, behind(3, "ab"));
    }

    #[test]
    fn cursors_below_the_floor_ahead_or_over_a_gap_need_a_snapshot() {
        let rows: Vec<Entity> = (1..=3).map(row).collect();
        for (rows, since, head) in
            [(&rows[..], Some(1), head(3, 2)), (&[], Some(4), head(3, 0)), (&rows[1..], None, head(3, 0))]
        {
            let since = since.map(|seq| behind(seq, "ab"));
            assert_eq!(*collect(rows, since.as_ref(), &head, 10).unwrap_err().kind(), ErrorKind::SnapshotRequired);
        }
        // Rows up to the floor that are not deleted yet are history no more.
        assert_eq!(keys(&collect(&rows, None, &head(3, 2), 10).unwrap().0), ["k3", "gone"]);
    }
}
