//! Where a load of a whole range goes.

use async_trait::async_trait;

use super::envelope::Record;
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
