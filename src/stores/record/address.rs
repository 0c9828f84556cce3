//! Where one record is: computed from its family, its scope and its id, and nowhere else.

use super::family::{Family, Keys, OwnColumn};
use crate::backend::keys::encode_segment;
use crate::backend::{Area, Owner};
use crate::contract::{DeviceId, EventId, LoopId, MemberId, PersonId, RobotId};

/// Between the parts of a full record key: a control character, which no part contains.
pub(crate) const SEPARATOR: &str = "\u{1f}";

/// Where records live: the partition, the owner columns, and what stands before a family's key.
pub(crate) trait Scope: Sync {
    fn partition(&self, area: Area) -> String;

    fn owner(&self) -> Owner;

    /// The segments before the family's own, with their separator.
    fn key_prefix(&self) -> String {
        String::new()
    }

    /// The full record key of a family with one record a scope.
    fn own_key(&self) -> String {
        String::new()
    }
}

/// The id of a record inside its scope: the parts of its full key.
pub(crate) trait RecordId: Sync {
    fn parts(&self) -> Vec<String>;
}

/// The only record of its scope.
impl RecordId for () {
    fn parts(&self) -> Vec<String> {
        Vec::new()
    }
}

macro_rules! record_ids {
    ($($id:ty),*) => {
        $(impl RecordId for $id {
            fn parts(&self) -> Vec<String> {
                vec![self.canonical()]
            }
        })*
    };
}

record_ids!(DeviceId, EventId, LoopId, MemberId, PersonId, RobotId);

/// An id in its stored form: a normalised fact key, a media path, a payload's name.
impl RecordId for str {
    fn parts(&self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

/// A list and an item of it.
impl RecordId for (String, String) {
    fn parts(&self) -> Vec<String> {
        vec![self.0.clone(), self.1.clone()]
    }
}

/// The place of one record.
#[derive(Debug, Clone)]
pub(crate) struct RecordAddress {
    pub(crate) partition: String,
    pub(crate) key: String,
    pub(crate) owner: Owner,
    /// The parts of the record's id in full.
    pub(crate) record_key: String,
}

impl RecordAddress {
    pub(crate) fn new(family: &Family, scope: &(impl Scope + ?Sized), id: &(impl RecordId + ?Sized)) -> Self {
        Self::of_parts(family, scope, &id.parts())
    }

    /// The address that a record found in this scope must have, by its own full key.
    pub(crate) fn of_record_key(family: &Family, scope: &(impl Scope + ?Sized), record_key: &str) -> Self {
        let parts: Vec<String> = match family.keys {
            Keys::One(_) | Keys::Instead(_) => Vec::new(),
            // An empty key is no id: its record is at no address.
            Keys::Each(..) if record_key.is_empty() => Vec::new(),
            Keys::Each(..) => record_key.split(SEPARATOR).map(str::to_owned).collect(),
        };
        Self::of_parts(family, scope, &parts)
    }

    fn of_parts(family: &Family, scope: &(impl Scope + ?Sized), parts: &[String]) -> Self {
        let mut key = prefix(family, scope);
        if matches!(family.keys, Keys::Each(..)) {
            for part in parts {
                key.push(':');
                key.push_str(&encode_segment(part));
            }
        }
        let record_key = match family.keys {
            Keys::One(_) | Keys::Instead(_) => scope.own_key(),
            Keys::Each(..) => parts.join(SEPARATOR),
        };
        let mut owner = scope.owner();
        match family.own {
            OwnColumn::None => {}
            OwnColumn::Loop => owner.loop_id = Some(record_key.clone()),
            OwnColumn::Device => owner.device = Some(record_key.clone()),
            OwnColumn::Person => owner.person = Some(record_key.clone()),
        }
        Self { partition: scope.partition(family.area), key, owner, record_key }
    }
}

/// The first segments of every key of the family in this scope.
pub(crate) fn prefix(family: &Family, scope: &(impl Scope + ?Sized)) -> String {
    format!("{}{}", scope.key_prefix(), family.keys.prefix())
}
