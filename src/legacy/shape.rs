//! Visitors that take any JSON value, so that an unusable one is a report and not the end of the read.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The key of the one-entry map as which `serde_json` hands over a number when another crate of the build has switched its
/// feature `arbitrary_precision` on.
const NUMBER_KEY: &str = "$serde_json::private::Number";

/// A value without structure, or the kind of structure that was skipped.
#[derive(Debug)]
pub(super) enum Leaf {
    Null,
    Bool,
    Integer(u64),
    /// Negative or fractional.
    OtherNumber,
    Text(String),
    Array,
    Object,
}

impl Leaf {
    /// The kind of value: the value itself is never shown.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Integer(_) | Self::OtherNumber => "a number",
            Self::Text(_) => "text",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// What to do with a value: each method has a default that skips the structure and calls [`leaf`](Self::leaf).
pub(super) trait Shape<'de>: Sized {
    type Out;

    fn leaf<E: serde::de::Error>(self, leaf: Leaf) -> Result<Self::Out, E>;

    fn array<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Out, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.leaf(Leaf::Array)
    }

    /// `key` is the first entry's, already taken from `entries`; its value is still there.
    fn object<A: MapAccess<'de>>(self, key: Option<String>, mut entries: A) -> Result<Self::Out, A::Error> {
        if key.is_some() {
            entries.next_value::<IgnoredAny>()?;
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        }
        self.leaf(Leaf::Object)
    }
}

/// The plain leaf.
struct Plain;

impl Shape<'_> for Plain {
    type Out = Leaf;

    fn leaf<E>(self, leaf: Leaf) -> Result<Leaf, E> {
        Ok(leaf)
    }
}

impl<'de> Deserialize<'de> for Leaf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Any(Plain).deserialize(deserializer)
    }
}

/// Runs a [`Shape`] on whatever value comes.
pub(super) struct Any<S>(pub(super) S);

impl<'de, S: Shape<'de>> DeserializeSeed<'de> for Any<S> {
    type Value = S::Out;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Out, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Shape<'de>> Visitor<'de> for Any<S> {
    type Value = S::Out;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<S::Out, E> {
        self.0.leaf(Leaf::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<S::Out, E> {
        self.0.leaf(Leaf::Bool)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<S::Out, E> {
        self.0.leaf(Leaf::Integer(number))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<S::Out, E> {
        self.0.leaf(u64::try_from(number).map_or(Leaf::OtherNumber, Leaf::Integer))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<S::Out, E> {
        self.0.leaf(Leaf::OtherNumber)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<S::Out, E> {
        self.0.leaf(Leaf::Text(text.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<S::Out, E> {
        self.0.leaf(Leaf::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<S::Out, A::Error> {
        self.0.array(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<S::Out, A::Error> {
        let key = entries.next_key::<String>()?;
        if key.as_deref() != Some(NUMBER_KEY) {
            return self.0.object(key, entries);
        }
        let number = match entries.next_value::<Leaf>()? {
            Leaf::Text(digits) => digits.parse().map_or(Leaf::OtherNumber, Leaf::Integer),
            _ => Leaf::OtherNumber,
        };
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.0.leaf(number)
    }
}
