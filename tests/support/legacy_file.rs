//! `personal-memory` files, written as the old server wrote them and made while they are read.

use std::fmt;
use std::io::{self, Read};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// The document: its properties in their order.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Snapshot {
    pub(crate) schema_version: String,
    pub(crate) revision: u64,
    pub(crate) last_loaded_utc: Option<String>,
    pub(crate) last_saved_utc: Option<String>,
    pub(crate) tenants: Vec<Tenant>,
}

/// An entry of `Tenants`: every property is there, null or not.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Tenant {
    pub(crate) tenant_key: String,
    pub(crate) birthday: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) preferences: Entries<String>,
    pub(crate) important_dates: Entries<String>,
    pub(crate) affinities: Entries<u8>,
    pub(crate) lists: Entries<Vec<String>>,
}

/// A map that keeps its order: the old server's have none.
pub(crate) struct Entries<V>(pub(crate) Vec<(String, V)>);

impl<V: Serialize> Serialize for Entries<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<V>(Vec<(String, V)>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
            type Value = Entries<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Entries<V>, A::Error> {
                while let Some(entry) = entries.next_entry()? {
                    self.0.push(entry);
                }
                Ok(Entries(self.0))
            }
        }
        deserializer.deserialize_map(InOrder(Vec::new()))
    }
}

/// JSON as .NET's default encoder escapes it: whatever is outside of ASCII or means something in HTML, in capitals, `"` too.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut rest = json.chars();
    while let Some(char) = rest.next() {
        match (char, if char == '\\' { rest.next() } else { None }) {
            (_, Some('"')) => text.push_str("\\u0022"),
            (_, Some('u')) => {
                text.push_str("\\u");
                text.extend(rest.by_ref().take(4).map(|digit| digit.to_ascii_uppercase()));
            }
            (_, Some(escape)) => text.extend(['\\', escape]),
            ('\'' | '<' | '>' | '&' | '+' | '`' | '\x7F'.., None) => {
                let units =
                    char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect::<String>();
                text.push_str(&units);
            }
            (plain, None) => text.push(plain),
        }
    }
    text
}

/// The document with these tenants in place of its own. One of them is in memory at a time.
pub(crate) fn written(head: Snapshot, tenants: impl Iterator<Item = Tenant>) -> impl Read {
    // An instant's `+` is not escaped.
    let instant = |utc: Option<String>| utc.map_or("null".to_owned(), |utc| format!("\"{utc}\""));
    let (version, revision) = (head.schema_version, head.revision);
    let (loaded, saved) = (instant(head.last_loaded_utc), instant(head.last_saved_utc));
    let head = format!(
        "{{\n  \"SchemaVersion\": \"{version}\",\n  \"Revision\": {revision},\n  \"LastLoadedUtc\": {loaded},\n  \
         \"LastSavedUtc\": {saved},\n  \"Tenants\": ["
    );
    let mut tenants = tenants.peekable();
    let end = if tenants.peek().is_some() { "\n  ]\n}" } else { "]\n}" };
    let body = tenants.enumerate().map(|(index, tenant)| {
        let json = escaped(&serde_json::to_string_pretty(&tenant).unwrap());
        format!("{}\n    {}", if index == 0 { "" } else { "," }, json.replace('\n', "\n    "))
    });
    ChunkReader { chunks: std::iter::once(head).chain(body).chain([end.to_owned()]), chunk: Vec::new(), at: 0 }
}

/// A snapshot of `tenants` tenants, about 2 KiB each, the same bytes every time.
///
/// Each household has four tenants: three persons and the scope without a person. Each tenant has 24 usable values.
#[cfg(target_os = "linux")]
pub(crate) fn synthetic_snapshot(tenants: usize) -> impl Read {
    let head = Snapshot {
        schema_version: "1".to_owned(),
        revision: 17,
        last_loaded_utc: None,
        last_saved_utc: Some("2026-03-01T08:01:39.528174+00:00".to_owned()),
        tenants: Vec::new(),
    };
    written(head, (0..tenants).map(tenant))
}

/// Usable values in each tenant of [`synthetic_snapshot`].
#[cfg(target_os = "linux")]
pub(crate) const VALUES_PER_TENANT: u64 = 24;

#[cfg(target_os = "linux")]
fn tenant(index: usize) -> Tenant {
    let (house, member, day) = (index / 4, index % 4, index % 28 + 1);
    let person = if member == 3 { String::new() } else { format!("|mbr-{index:032x}") };
    let entry = |key: &str, value: String| (key.to_owned(), value);
    let facts = (0..14).map(|fact| {
        let value = format!("value {fact} of {index}: café, a text of a sentence or two, as households keep them");
        entry(&format!("topic {fact}"), value)
    });
    let dates = [("anniversary", "October"), ("first day of school", "September")];
    let list = |name: &str, items: &[&str]| (name.to_owned(), items.iter().map(|item| (*item).to_owned()).collect());
    Tenant {
        tenant_key: format!("usr_openjibo_owner|loop-house-{house:06}|BOJW-{house:06}-17432{person}"),
        birthday: Some(format!("May {day}")),
        name: Some(format!("Zoë {index}")),
        preferences: Entries(facts.collect()),
        important_dates: Entries(dates.map(|(label, month)| entry(label, format!("{month} {day}"))).into()),
        affinities: Entries(vec![("broccoli".to_owned(), (index % 3) as u8), ("jazz".to_owned(), 1)]),
        lists: Entries(vec![list("shopping", &["milk", "Olive Oil", "batteries"]), list("to do", &["call mom"])]),
    }
}

/// A [`Read`] over the texts of an iterator.
struct ChunkReader<I> {
    chunks: I,
    chunk: Vec<u8>,
    at: usize,
}

impl<I: Iterator<Item = String>> Read for ChunkReader<I> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            let Some(next) = self.chunks.next() else {
                return Ok(0);
            };
            (self.chunk, self.at) = (next.into_bytes(), 0);
        }
        let n = out.len().min(self.chunk.len() - self.at);
        out[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
