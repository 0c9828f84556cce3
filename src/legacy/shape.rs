//! Visitors that take any JSON value, so that an unusable one is a report and not the end of the read.
//!
//! JSON holds more than Rust's types: a text with half of a surrogate pair, a number beyond every range. And the old server took bytes
//! that are no UTF-8 for U+FFFD. So texts are taken as bytes and numbers as digits, and decoded where they have been read whole.

use super::memory::shown;
use super::source::Progress;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// A value without structure, or the kind of structure that was skipped.
#[derive(Debug)]
pub(super) enum Leaf {
    Null,
    Bool,
    Integer(u64),
    /// Negative, fractional, or beyond 64 bits.
    OtherNumber,
    Text(String),
    NotUnicode,
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
            Self::NotUnicode => "text that is not Unicode",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// The name of an object's entry.
pub(super) enum Name {
    Unicode(String),
    /// As it is shown: two of these that look alike may be two names.
    NotUnicode(String),
}

impl Name {
    /// Which of these it is, in any ASCII case.
    pub(super) fn one_of(&self, names: &[&str]) -> Option<usize> {
        let Self::Unicode(own) = self else { return None };
        names.iter().position(|name| name.eq_ignore_ascii_case(own))
    }

    pub(super) fn shown(&self) -> String {
        match self {
            Self::Unicode(name) => shown(name),
            Self::NotUnicode(shown) => shown.clone(),
        }
    }
}

/// Reads the name of an entry.
pub(super) struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Name, E> {
        // More than is shown, so that a character cut here is not.
        const ENOUGH: usize = 400;
        Ok(match String::from_utf8(bytes.to_vec()) {
            Ok(name) => Name::Unicode(name),
            Err(_) => Name::NotUnicode(shown(&String::from_utf8_lossy(&bytes[..bytes.len().min(ENOUGH)]))),
        })
    }
}

/// What to do with a value: each method has a default that skips the structure and calls [`leaf`](Self::leaf).
pub(super) trait Shape<'de>: Sized {
    type Out;

    fn leaf<E: Error>(self, leaf: Leaf) -> Result<Self::Out, E>;

    fn array<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Out, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.leaf(Leaf::Array)
    }

    fn object<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Out, A::Error> {
        while entries.next_entry_seed(NameSeed, PhantomData::<IgnoredAny>)?.is_some() {}
        self.leaf(Leaf::Object)
    }
}

/// The plain leaf.
pub(super) struct Plain;

impl Shape<'_> for Plain {
    type Out = Leaf;

    fn leaf<E>(self, leaf: Leaf) -> Result<Leaf, E> {
        Ok(leaf)
    }
}

/// Runs a [`Shape`] on whatever value comes.
pub(super) struct Any<'p, S>(pub(super) &'p Progress, pub(super) S);

impl<'de, S: Shape<'de>> DeserializeSeed<'de> for Any<'_, S> {
    type Value = S::Out;

    /// As an optional value: for that the parser looks at the value's first byte, which is then the last one read.
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Out, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: Shape<'de>> Visitor<'de> for Any<'_, S> {
    type Value = S::Out;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_none<E: Error>(self) -> Result<S::Out, E> {
        self.1.leaf(Leaf::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Out, D::Error> {
        match self.0.last() {
            b'"' => deserializer.deserialize_bytes(self),
            b'-' | b'0'..=b'9' => {
                let digits = Box::<RawValue>::deserialize(deserializer)?;
                self.1.leaf(digits.get().parse().map_or(Leaf::OtherNumber, Leaf::Integer))
            }
            _ => deserializer.deserialize_any(self),
        }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<S::Out, E> {
        self.1.leaf(Leaf::Bool)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<S::Out, E> {
        self.1.leaf(String::from_utf8(bytes.to_vec()).map_or(Leaf::NotUnicode, Leaf::Text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<S::Out, A::Error> {
        self.1.array(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<S::Out, A::Error> {
        self.1.object(entries)
    }
}
