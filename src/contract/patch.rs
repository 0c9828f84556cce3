//! Changes to one field, and fields this release does not know.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A change to one optional field: left out of an update, a field is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change<T> {
    /// Keep what is stored.
    #[default]
    Keep,
    /// Store this.
    Set(T),
    /// Store nothing.
    Clear,
}

impl<T> Change<T> {
    pub(crate) fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Set(value) => *field = Some(value),
            Self::Clear => *field = None,
        }
    }
}

impl Change<String> {
    /// As [`apply`](Self::apply); text is trimmed, and blank text clears the field.
    pub(crate) fn apply_text(self, field: &mut Option<String>) {
        self.apply(field);
        *field = none_if_blank(field.take());
    }
}

/// Trims, and takes blank for none.
pub(crate) fn none_if_blank(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Trims, and takes this text for blank.
pub(crate) fn text_or(text: &mut String, default: &str) {
    let trimmed = text.trim();
    *text = if trimmed.is_empty() { default.to_owned() } else { trimmed.to_owned() };
}

/// Fields written by a newer release of the same schema version. They travel with the record, unseen and unchanged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnknownFields(Map<String, Value>);

/// Gives a type a debug form of these fields alone: the others are personal.
macro_rules! bare_debug {
    ($type:ident { $($field:ident),* }) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))$(.field(stringify!($field), &self.$field))*.finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use bare_debug;
