//! Pages of what a backend finds in order: it looks for what is asked, lets a sequence begin there, and a page is the beginning of that.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;

use super::blob::{BlobHead, BlobName, BlobPage};
use super::envelope::Record;
use super::keys::KeyRange;
use super::{KeyPage, PartitionPage, ScanPage};

/// The first of these, at least one, and the one to go on after: the last of them, if there are more. One more is read, and no further.
fn first<T, N>(all: impl Iterator<Item = T>, limit: usize, name: impl FnOnce(&T) -> N) -> (Vec<T>, Option<N>) {
    let mut all = all;
    let page: Vec<T> = all.by_ref().take(limit.max(1)).collect();
    let next = page.last().filter(|_| all.next().is_some()).map(name);
    (page, next)
}

impl ScanPage {
    /// The first `limit` of these records, at least one, and where to go on. They are those of a range behind a key, in key order; of a
    /// service that is asked for so many, one more than the limit.
    pub fn of(records: impl IntoIterator<Item = Record>, limit: usize) -> Self {
        let (records, next) = first(records.into_iter(), limit, |record| record.key.clone());
        Self { records, next }
    }
}

impl KeyPage {
    /// The same of keys.
    pub fn of<'k>(keys: impl IntoIterator<Item = &'k str>, limit: usize) -> Self {
        let (keys, next) = first(keys.into_iter().map(str::to_owned), limit, String::clone);
        Self { keys, next }
    }
}

impl PartitionPage {
    /// The first `limit` of these names, at least one, and where to go on.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>, limit: usize) -> Self {
        let (partitions, next) = first(names.into_iter().map(str::to_owned), limit, String::clone);
        Self { partitions, next }
    }
}

impl BlobPage {
    /// The first `limit` of these payloads, at least one, and where to go on. They are those of a prefix behind a name, in name order.
    pub fn of(blobs: impl IntoIterator<Item = (BlobName, BlobHead)>, limit: usize) -> Self {
        let (blobs, next) = first(blobs.into_iter(), limit, |(name, _)| name.path().to_owned());
        Self { blobs, next }
    }
}

impl KeyRange {
    /// What a map in key order holds of the range behind a key.
    pub fn behind<'m, K: Borrow<str> + Ord, T>(
        &'m self,
        map: &'m BTreeMap<K, T>,
        after: Option<&'m str>,
    ) -> impl Iterator<Item = (&'m K, &'m T)> {
        // Bounded above by looking: bounds that are turned around would be a panic.
        let rows = map.range::<str, _>((self.begin(after), Bound::Unbounded));
        rows.take_while(|(key, _)| (*key).borrow() < self.to.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_where_there_is_more_and_nothing_behind_that_is_read() {
        let mut read = 0;
        let mut page = |limit: usize| {
            let all = ["a", "b", "c"].into_iter().inspect(|_| read += 1);
            let page = PartitionPage::of(all, limit);
            (page.partitions.len(), page.next, std::mem::take(&mut read))
        };
        assert_eq!(page(0), (1, Some("a".into()), 2));
        assert_eq!(page(2), (2, Some("b".into()), 3));
        assert_eq!(page(3), (3, None, 3));
        assert_eq!(page(4), (3, None, 3));
    }
}
