//! What the Table service does: one partition, its transactions, its checks in order.

/// A row's ETag: the count of the transaction that wrote it, so it never comes back.
pub(super) type Tag = u8;

pub(super) const KEYS: usize = 2;

/// The fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Head {
    pub(super) seq: u8,
    pub(super) number: u8,
    pub(super) tag: Tag,
}

/// What a row of a transaction asks of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum If {
    Absent,
    Tag(Tag),
    /// No precondition at all: only ever sent by a broken rule.
    Whatever,
}

impl If {
    fn holds(self, found: Option<Tag>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Tag(tag) => found == Some(tag),
            Self::Whatever => true,
        }
    }
}

/// One record operation of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) call: u8,
    pub(super) key: u8,
    pub(super) delete: bool,
    pub(super) when: If,
}

/// One transaction: head, change row, records.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Transaction {
    /// The commit id: the calls in it, one bit each. A rebuild with the same calls keeps it.
    pub(super) commit: u8,
    pub(super) head: If,
    pub(super) seq: u8,
    pub(super) number: u8,
    pub(super) rows: Vec<Row>,
}

/// The answer to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Applied(Head),
    /// The head or the change row is not as expected.
    Fence,
    /// The record of this row is not.
    Record(usize),
}

/// One partition of the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Table {
    pub(super) head: Option<Head>,
    /// Commit ids of the change rows, the first of seq 1.
    changes: Vec<u8>,
    /// How many of them, the oldest, are deleted.
    trimmed: u8,
    pub(super) records: [Option<Tag>; KEYS],
    /// Transactions applied.
    pub(super) applied: u8,
}

impl Table {
    /// No row at all.
    pub(super) fn new() -> Self {
        Self { head: None, changes: Vec::new(), trimmed: 0, records: [None; KEYS], applied: 0 }
    }

    /// Each record written by one earlier commit.
    pub(super) fn seeded() -> Self {
        let head = Head { seq: 1, number: 1, tag: 1 };
        Self { head: Some(head), changes: vec![0], trimmed: 0, records: [Some(1); KEYS], applied: 1 }
    }

    /// The commit id in the change row of this seq.
    pub(super) fn change(&self, seq: u8) -> Option<u8> {
        if seq <= self.trimmed { None } else { self.changes.get(usize::from(seq) - 1).copied() }
    }

    /// The oldest change row that is left.
    pub(super) fn oldest(&self) -> Option<u8> {
        (usize::from(self.trimmed) < self.changes.len()).then_some(self.trimmed + 1)
    }

    pub(super) fn trim(&mut self) {
        self.trimmed += 1;
    }

    /// Executes a transaction: all of it or nothing, looking at its operations in order.
    pub(super) fn execute(&mut self, transaction: &Transaction) -> Answer {
        let head = self.head.map(|head| head.tag);
        if !transaction.head.holds(head) || self.change(transaction.seq).is_some() {
            return Answer::Fence;
        }
        let fails = |row: &Row| !row.when.holds(self.records[usize::from(row.key)]);
        if let Some(index) = transaction.rows.iter().position(fails) {
            return Answer::Record(index);
        }
        self.applied += 1;
        let head = Head { seq: transaction.seq, number: transaction.number, tag: self.applied };
        self.head = Some(head);
        self.changes.push(transaction.commit);
        for row in &transaction.rows {
            self.records[usize::from(row.key)] = (!row.delete).then_some(self.applied);
        }
        Answer::Applied(head)
    }
}
