//! Identifiers: one newtype each, checked when they are made.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::error::StoreError;

/// The longest id, in UTF-8 bytes after trimming.
pub const MAX_ID_BYTES: usize = 256;

/// The longest fact key, list name, list item or media path, in UTF-8 bytes.
pub const MAX_KEY_BYTES: usize = 4_096;

fn check(field: &'static str, text: &str) -> Result<Box<str>, StoreError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(StoreError::invalid(field, "it is blank"));
    }
    if text.len() > MAX_ID_BYTES {
        return Err(StoreError::limit(field, MAX_ID_BYTES as u64, text.len() as u64));
    }
    if text.chars().any(char::is_control) {
        return Err(StoreError::invalid(field, "it holds a control character"));
    }
    Ok(text.into())
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        ///
        /// Trimmed, not blank, at most [`MAX_ID_BYTES`] UTF-8 bytes, without control characters. Two ids are equal
        /// when they differ in ASCII case only; the spelling given is kept for display.
        #[derive(Clone)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks and trims the text.
            ///
            /// # Errors
            /// `Invalid` when it is blank or holds a control character, `LimitExceeded` over 256 bytes.
            pub fn new(text: impl AsRef<str>) -> Result<Self, StoreError> {
                check($field, text.as_ref()).map(Self)
            }

            /// The spelling given.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The form that is compared and stored in keys: ASCII lower case.
            pub fn canonical(&self) -> String {
                self.0.to_ascii_lowercase()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.canonical().hash(state);
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.canonical().cmp(&other.canonical())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &self.0)
            }
        }

        impl FromStr for $name {
            type Err = StoreError;

            fn from_str(text: &str) -> Result<Self, StoreError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = StoreError;

            fn try_from(text: &str) -> Result<Self, StoreError> {
                Self::new(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type! {
    /// An owner tenant.
    AccountId, "account_id"
}
id_type! {
    /// A household.
    LoopId, "loop_id"
}
id_type! {
    /// A robot's inventory record: its serial, friendly id or knowledge-base id.
    DeviceId, "device_id"
}
id_type! {
    /// The second identity of a robot, such as its friendly four-word id. Several inventory records may share one.
    RobotId, "robot_id"
}
id_type! {
    /// A person profile inside a household.
    PersonId, "person_id"
}
id_type! {
    /// A roster entry of a household.
    MemberId, "member_id"
}

id_type! {
    /// An event of a household's calendar, or a holiday.
    EventId, "event_id"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ErrorKind;

    #[test]
    fn ids_compare_without_ascii_case_and_keep_their_spelling() {
        let id = DeviceId::new("  BOJW-01 ").unwrap();
        assert_eq!(id, DeviceId::new("bojw-01").unwrap());
        assert_eq!(id.as_str(), "BOJW-01");
        assert_eq!(id.canonical(), "bojw-01");
        assert_ne!(DeviceId::new("É").unwrap(), DeviceId::new("é").unwrap());
    }

    #[test]
    fn blank_and_control_ids_name_their_field() {
        for text in ["", "   ", "a\u{7}b", "a\nb"] {
            match LoopId::new(text).unwrap_err().kind() {
                ErrorKind::Invalid { field, .. } => assert_eq!(field, "loop_id"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_id_of_256_bytes_is_taken_and_one_more_is_not() {
        assert!(AccountId::new("a".repeat(256)).is_ok());
        let error = AccountId::new("a".repeat(257)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::LimitExceeded { limit: 256, actual: 257, .. }));
    }
}
