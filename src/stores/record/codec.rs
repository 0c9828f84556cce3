//! Typed values as stored records, and back.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::address::{RecordAddress, RecordId, Scope};
use super::family::Family;
use crate::backend::{
    Draft, MAX_VALUE_BYTES, Precondition, Record as StoredRecord, Written, check_schema, json_bytes, record_name,
};
use crate::contract::{ErrorKind, Expect, Outcome, Result, Revision, StoreError, Stored};

/// A type of record: what the mechanism must know of it.
pub(crate) trait Record: Serialize + DeserializeOwned + Clone + Send + Sync {
    type Scope: Scope + ?Sized;
    type Id: RecordId + ?Sized;
    const FAMILY: &'static Family;

    /// The full record key that the value names; none where a value does not name its record, as a fact's does not.
    fn named(&self) -> Option<String> {
        None
    }

    /// Tidies the value and refuses what must not be stored. It runs before every write, by whichever call; `was` is what
    /// a partial change replaces.
    fn admit(&mut self, _was: Option<&Self>) -> Result<()> {
        Ok(())
    }

    /// Where the record with this id is.
    fn address(scope: &Self::Scope, id: &Self::Id) -> RecordAddress {
        RecordAddress::new(Self::FAMILY, scope, id)
    }
}

/// Reads a record as a value of its type, checking that it is the record asked for.
pub(crate) fn decode<T: Record>(address: &RecordAddress, record: &StoredRecord) -> Result<Stored<T>> {
    let family = T::FAMILY;
    let corrupt = |reason: &'static str| StoreError::corrupt(record_name(family.record_type, &record.key), reason);
    let envelope = &record.envelope;
    if envelope.record_type != family.record_type {
        return Err(corrupt("its type is another"));
    }
    if address.key != record.key || envelope.record_key != address.record_key {
        return Err(corrupt("its full key is another than its place says"));
    }
    if envelope.owner != address.owner {
        return Err(corrupt("its owner is another than its place says"));
    }
    if envelope.schema_version == 0 {
        return Err(corrupt("its schema version is 0"));
    }
    let value = T::deserialize(&envelope.value).map_err(|_| match envelope.schema_version {
        newer if newer > family.schema => {
            let what =
                format!("reading a {} of schema version {newer}, which a newer release wrote", family.record_type);
            StoreError::new(ErrorKind::Unsupported { what: what.into() })
        }
        _ => corrupt("its value does not have the type's fields"),
    })?;
    if value.named().is_some_and(|named| named != address.record_key) {
        return Err(corrupt("its value is another record's"));
    }
    let revision = Revision::seal(&address.partition, &record.key, record.witness())?;
    Ok(Stored::new(value, revision, envelope.updated))
}

pub(crate) fn encode<T: Record>(address: &RecordAddress, value: &T) -> Result<Draft> {
    let value = serde_json::to_value(value).map_err(|_| StoreError::invalid("value", "it can't be written as JSON"))?;
    let bytes = json_bytes(&value);
    if bytes > MAX_VALUE_BYTES {
        return Err(StoreError::limit("value (bytes of JSON)", MAX_VALUE_BYTES as u64, bytes as u64));
    }
    Ok(Draft {
        key: address.key.clone(),
        owner: address.owner.clone(),
        record_type: T::FAMILY.record_type.into(),
        record_key: address.record_key.clone(),
        value,
        schema_version: T::FAMILY.schema,
        expiry: None,
        origin: None,
    })
}

/// The port's precondition; a damaged or foreign revision is refused here, before anything is sent.
pub(crate) fn precondition<T: Record>(address: &RecordAddress, expect: &Expect) -> Result<Precondition> {
    Ok(match expect {
        Expect::Any => Precondition::Any,
        Expect::Absent => Precondition::Absent,
        Expect::Exact(revision) => {
            let witness = revision.unseal(&address.partition, &address.key)?;
            check_schema(T::FAMILY.schema, witness.schema_version)?;
            Precondition::Exact(Box::new(witness.clone()))
        }
    })
}

/// What was written, as the answer of the call.
pub(crate) fn stored<T>(address: &RecordAddress, value: T, written: Option<Written>) -> Result<Stored<T>> {
    match written {
        Some(Written::Put { witness, updated }) => {
            let sealed = Revision::seal(&address.partition, &address.key, witness);
            let revision = sealed.map_err(|error| error.with_outcome(Outcome::Applied))?;
            Ok(Stored::new(value, revision, updated))
        }
        _ => {
            Err(StoreError::integrity("the backend's answer does not say what was written")
                .with_outcome(Outcome::Unknown))
        }
    }
}
