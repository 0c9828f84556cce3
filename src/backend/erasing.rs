//! What an erasure may be asked.

use super::commit::{Commit, Operation, Precondition};
use super::context::OpId;
use super::envelope::Draft;
use super::keys::{KeyRange, check_partition, check_range};
use super::limits::RecordLimits;
use crate::contract::StoreError;

/// Checks what an erasure is asked, before anything is sent.
///
/// # Errors
/// `Invalid{partition}` and `Invalid{range}` for names outside the key codec; `Invalid{mark}` for a mark inside the ranges or with an
/// origin, and for one that no put could write, those of a put.
pub fn check_erasure(
    limits: &RecordLimits,
    partition: &str,
    ranges: &[KeyRange],
    mark: Option<&Draft>,
) -> Result<(), StoreError> {
    check_partition(partition)?;
    ranges.iter().try_for_each(check_range)?;
    let Some(mark) = mark else { return Ok(()) };
    if mark.origin.is_some() {
        return Err(StoreError::invalid("mark", "it is written here first"));
    }
    if ranges.iter().any(|range| range.contains(&mark.key)) {
        return Err(StoreError::invalid("mark", "it lies in what is to be erased"));
    }
    let put = Operation::Put { draft: mark.clone(), expect: Precondition::Any };
    let alone = Commit::new(partition, OpId::derive(&[0; 16], 0), vec![put]);
    alone.check().and_then(|()| limits.check(&alone)).map_err(StoreError::without_index)
}
