//! The calls of the contract that are one step of the mechanism: a family's own file names them in a line each.

use serde::Serialize;

use super::{IdempotentCommit, fingerprint};
use super::{Modified, Record, delete, get, modify, not_found, page, put};
use crate::backend::RecordBackend;
use crate::contract::{Expect, Page, Paged, Result, Stored, Timestamp};
use crate::stores::Stores;

/// A record's scope and its id in it.
pub(crate) type At<'a, T> = (&'a <T as Record>::Scope, &'a <T as Record>::Id);

/// A partial change of a record. It is an argument of the call as a whole: a call made again must ask the same.
pub(crate) trait Patch<T>: Serialize + Clone + Send + Sync {
    /// Refuses what must not be stored, before anything is sent.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn apply(self, value: &mut T, now: Timestamp);
}

impl Stores {
    /// The backend of a family's area.
    pub(crate) fn records<T: Record>(&self) -> &dyn RecordBackend {
        self.backends().records(T::FAMILY.area)
    }

    pub(crate) async fn get<T: Record>(&self, operation: &'static str, at: At<'_, T>) -> Result<Option<Stored<T>>> {
        self.read(operation, |cx| async move { get(self.records::<T>(), &cx, &T::address(at.0, at.1)).await }).await
    }

    /// Writes the whole record.
    pub(crate) async fn put<T: Record>(
        &self,
        operation: &'static str,
        at: At<'_, T>,
        value: T,
        expect: Expect,
    ) -> Result<Stored<T>> {
        self.write(operation, |cx| async move {
            put(self.records::<T>(), &cx, &T::address(at.0, at.1), value, &expect).await
        })
        .await
    }

    /// Changes a part of the record: of what is there under `Any`, of that revision under `Exact`.
    pub(crate) async fn patch<T: Record, P: Patch<T>>(
        &self,
        operation: &'static str,
        at: At<'_, T>,
        patch: P,
        expect: Expect,
    ) -> Result<Stored<T>> {
        self.write(operation, |cx| async move {
            patch.check()?;
            let (backend, address) = (self.records::<T>(), T::address(at.0, at.1));
            let once = IdempotentCommit::new(backend, &cx, &address, &(&patch, fingerprint(&expect)))?;
            let now = cx.now();
            let changed = modify(backend, &once, &cx, &address, &expect, |value: &mut T| {
                patch.clone().apply(value, now);
                Ok(true)
            });
            match changed.await? {
                Some(Modified::Changed(stored) | Modified::Kept(stored)) => Ok(stored),
                None => Err(not_found()),
            }
        })
        .await
    }

    /// Deletes the record. False when there was none under `Any`.
    pub(crate) async fn delete<T: Record>(
        &self,
        operation: &'static str,
        at: At<'_, T>,
        expect: Expect,
    ) -> Result<bool> {
        self.write(operation, |cx| async move {
            delete::<T>(self.records::<T>(), &cx, &T::address(at.0, at.1), &expect).await
        })
        .await
    }

    /// One page of the family's records in this scope, in key order.
    pub(crate) async fn list<T: Record>(
        &self,
        operation: &'static str,
        scope: &T::Scope,
        of: Page,
    ) -> Result<Paged<Stored<T>>> {
        self.read(operation, |cx| async move { page(self.records::<T>(), &cx, scope, &of).await }).await
    }
}
