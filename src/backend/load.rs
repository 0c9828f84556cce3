//! Where a load of a whole range goes.

use async_trait::async_trait;

use super::envelope::Record;
use super::limits::RecordLimits;
use crate::contract::StoreError;

/// Takes the records of a range as they are read, page by page: a list, or a file of bounded memory.
#[async_trait]
pub trait RecordSink: Send {
    /// More records, in key order, behind those taken so far.
    ///
    /// # Errors
    /// They end the load, and are its own.
    async fn take(&mut self, page: Vec<Record>) -> Result<(), StoreError>;

    /// What was taken so far was not of one instant: everything comes again.
    ///
    /// # Errors
    /// They end the load, and are its own.
    async fn begin_again(&mut self) -> Result<(), StoreError>;
}

#[async_trait]
impl RecordSink for Vec<Record> {
    async fn take(&mut self, page: Vec<Record>) -> Result<(), StoreError> {
        self.extend(page);
        Ok(())
    }

    async fn begin_again(&mut self) -> Result<(), StoreError> {
        self.clear();
        Ok(())
    }
}

/// Hands the records of one instant to a sink, in pages of the backend's size: a [`load`](super::RecordBackend::load) of what is in memory.
///
/// # Errors
/// The sink's own.
pub async fn hand_out(
    records: impl IntoIterator<Item = Record, IntoIter: Send> + Send,
    limits: &RecordLimits,
    sink: &mut dyn RecordSink,
) -> Result<(), StoreError> {
    let mut records = records.into_iter();
    loop {
        let page: Vec<Record> = records.by_ref().take(limits.page_of(usize::MAX)).collect();
        if page.is_empty() {
            return Ok(());
        }
        sink.take(page).await?;
    }
}
