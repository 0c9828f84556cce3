//! One entry of `Tenants`.

use super::document::Run;
use super::error::SnapshotErrorKind;
use super::memory::{LegacyAffinity, LegacyTenant, Rejection, shown};
use super::shape::{Any, Leaf, Name, NameSeed, Plain, Shape};
use crate::backend::keys::normalize_key;
use serde::de::{IgnoredAny, MapAccess, SeqAccess};
use std::collections::HashSet;

const PROPERTIES: [&str; 7] = ["TenantKey", "Name", "Birthday", "Preferences", "ImportantDates", "Affinities", "Lists"];

/// A tenant while its properties arrive in any order.
#[derive(Default)]
struct Draft {
    key: Option<String>,
    /// Why no key is usable, whatever comes later.
    key_problem: Option<String>,
    name: Option<String>,
    birthday: Option<String>,
    preferences: Vec<(String, String)>,
    important_dates: Vec<(String, String)>,
    affinities: Vec<(String, LegacyAffinity)>,
    lists: Vec<(String, Vec<String>)>,
    /// Path and reason.
    rejected: Vec<(String, String)>,
    values: u64,
}

impl Draft {
    /// Counts a value before it is kept or rejected.
    fn count<E: serde::de::Error>(&mut self, run: &mut Run<'_>) -> Result<(), E> {
        self.values += 1;
        let limit = run.limits.max_tenant_values;
        if self.values <= limit {
            return Ok(());
        }
        let (tenant_index, tenant_key) = (run.tenant_index, run.tenant_key.take());
        let name = "max_tenant_values";
        Err(run.fail(SnapshotErrorKind::LimitExceeded { name, limit, actual: self.values, tenant_index, tenant_key }))
    }

    fn reject(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.rejected.push((path.into(), reason.into()));
    }

    fn finish(mut self, index: u64) -> Result<LegacyTenant, Rejection> {
        let tenant_key = self.key.as_deref().map(shown);
        let reject = |path: String, reason: String| {
            let tenant_key = tenant_key.clone();
            Rejection { tenant_index: Some(index), tenant_key, path, reason }
        };
        if let Some(reason) = self.key_problem.take() {
            return Err(reject(String::new(), reason));
        }
        let Some(key) = self.key.take() else {
            return Err(reject(String::new(), "there is no TenantKey".to_owned()));
        };
        let parts: Vec<&str> = key.split('|').take(5).collect();
        let (account, loop_id, device, person) = match parts[..] {
            [account, loop_id, device] => (account, loop_id, device, None),
            [account, loop_id, device, person] => (account, loop_id, device, Some(person)),
            _ => {
                let count = key.split('|').count();
                let reason = format!("TenantKey should have 3 or 4 parts divided by `|` and has {count}");
                return Err(reject(String::new(), reason));
            }
        };
        if let Some(blank) = parts.iter().position(|part| part.trim().is_empty()) {
            return Err(reject(String::new(), format!("part {} of TenantKey is blank", blank + 1)));
        }
        Ok(LegacyTenant {
            index,
            account: account.to_owned(),
            loop_id: loop_id.to_owned(),
            device: device.to_owned(),
            person: person.map(str::to_owned),
            name: self.name,
            birthday: self.birthday,
            preferences: self.preferences,
            important_dates: self.important_dates,
            affinities: self.affinities,
            lists: self.lists,
            rejected: self.rejected.into_iter().map(|(path, reason)| reject(path, reason)).collect(),
        })
    }
}

fn mismatch(expected: &str, leaf: &Leaf) -> String {
    format!("should be {expected} and is {}", leaf.kind())
}

/// Reads one entry of `Tenants`.
pub(super) struct TenantShape<'r, 'a>(pub(super) &'r mut Run<'a>);

impl<'de> Shape<'de> for TenantShape<'_, '_> {
    type Out = Result<LegacyTenant, Rejection>;

    fn leaf<E>(self, leaf: Leaf) -> Result<Self::Out, E> {
        let reason = mismatch("an object", &leaf);
        Ok(Err(Rejection { tenant_index: self.0.tenant_index, tenant_key: None, path: String::new(), reason }))
    }

    fn object<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Out, A::Error> {
        let run = self.0;
        let mut draft = Draft::default();
        let mut seen = [false; PROPERTIES.len()];
        while let Some(name) = entries.next_key_seed(NameSeed)? {
            match name.one_of(&PROPERTIES) {
                None => {
                    run.unknown(format!("Tenants[].{}", name.shown()));
                    entries.next_value::<IgnoredAny>()?;
                }
                Some(at) if std::mem::replace(&mut seen[at], true) => {
                    entries.next_value::<IgnoredAny>()?;
                    if at == 0 {
                        draft.key_problem = Some("TenantKey is given twice".to_owned());
                    } else {
                        draft.count(run)?;
                        draft.reject(name.shown(), "repeats a property of this tenant; the first one counts");
                    }
                }
                Some(0) => match entries.next_value_seed(Any(run.progress, Plain))? {
                    Leaf::Text(key) => {
                        run.tenant_key = Some(shown(&key));
                        draft.key = Some(key);
                    }
                    Leaf::Null => {}
                    other => draft.key_problem = Some(format!("TenantKey {}", mismatch("text", &other))),
                },
                Some(at) => property(at, &mut draft, run, &mut entries)?,
            }
        }
        let index = run.tenant_index.unwrap_or_default();
        Ok(draft.finish(index))
    }
}

/// Reads a property other than the key.
fn property<'de, A: MapAccess<'de>>(
    at: usize,
    draft: &mut Draft,
    run: &mut Run<'_>,
    entries: &mut A,
) -> Result<(), A::Error> {
    let name = PROPERTIES[at];
    match name {
        "Name" | "Birthday" => match entries.next_value_seed(Any(run.progress, Plain))? {
            Leaf::Null => {}
            Leaf::Text(text) => {
                draft.count(run)?;
                if name == "Name" { draft.name = Some(text) } else { draft.birthday = Some(text) }
            }
            other => {
                draft.count(run)?;
                draft.reject(name, mismatch("text", &other));
            }
        },
        _ => entries.next_value_seed(Any(run.progress, MapShape { name, draft, run }))?,
    }
    Ok(())
}

/// Reads one of the four maps of a tenant into its draft.
struct MapShape<'d, 'r, 'a> {
    name: &'static str,
    draft: &'d mut Draft,
    run: &'r mut Run<'a>,
}

impl<'de> Shape<'de> for MapShape<'_, '_, '_> {
    type Out = ();

    fn leaf<E: serde::de::Error>(self, leaf: Leaf) -> Result<(), E> {
        if !matches!(leaf, Leaf::Null) {
            self.draft.count(self.run)?;
            self.draft.reject(self.name, mismatch("an object", &leaf));
        }
        Ok(())
    }

    fn object<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { name, draft, run } = self;
        let progress = run.progress;
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key_seed(NameSeed)? {
            draft.count(run)?;
            let key_text = match key {
                Name::Unicode(key_text) => key_text,
                Name::NotUnicode(shown) => {
                    entries.next_value::<IgnoredAny>()?;
                    draft.reject(format!("{name}.{shown}"), "the key is not Unicode");
                    continue;
                }
            };
            let path = || format!("{name}.{}", shown(&key_text));
            let folded = normalize_key(&key_text);
            if folded.is_empty() {
                entries.next_value::<IgnoredAny>()?;
                draft.reject(path(), "the key is blank");
            } else if !seen.insert(folded) {
                entries.next_value::<IgnoredAny>()?;
                draft.reject(path(), "repeats a key of this map; the first one counts");
            } else if name == "Lists" {
                let items = entries.next_value_seed(Any(progress, ListShape { path: path(), draft, run }))?;
                draft.lists.extend(items.map(|items| (key_text, items)));
            } else {
                match (name, entries.next_value_seed(Any(progress, Plain))?) {
                    ("Preferences", Leaf::Text(text)) => draft.preferences.push((key_text, text)),
                    ("ImportantDates", Leaf::Text(text)) => draft.important_dates.push((key_text, text)),
                    ("Affinities", Leaf::Integer(number)) => match LegacyAffinity::from_number(number) {
                        Some(affinity) => draft.affinities.push((key_text, affinity)),
                        None => draft.reject(path(), "should be 0, 1 or 2 and is another number"),
                    },
                    ("Affinities", Leaf::OtherNumber) => {
                        draft.reject(path(), "should be 0, 1 or 2 and is another number");
                    }
                    ("Affinities", other) => draft.reject(path(), mismatch("0, 1 or 2", &other)),
                    (_, other) => draft.reject(path(), mismatch("text", &other)),
                }
            }
        }
        Ok(())
    }
}

/// Reads one list; none if it is no array.
struct ListShape<'d, 'r, 'a> {
    path: String,
    draft: &'d mut Draft,
    run: &'r mut Run<'a>,
}

impl<'de> Shape<'de> for ListShape<'_, '_, '_> {
    type Out = Option<Vec<String>>;

    fn leaf<E>(self, leaf: Leaf) -> Result<Self::Out, E> {
        self.draft.reject(self.path, mismatch("an array", &leaf));
        Ok(None)
    }

    fn array<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Out, A::Error> {
        let mut texts = Vec::new();
        let mut index = 0_u64;
        while let Some(item) = items.next_element_seed(Any(self.run.progress, Plain))? {
            self.draft.count(self.run)?;
            let path = || format!("{}[{index}]", self.path);
            match item {
                Leaf::Text(text) if text.trim().is_empty() => self.draft.reject(path(), "the item is blank"),
                Leaf::Text(text) => texts.push(text),
                other => self.draft.reject(path(), mismatch("text", &other)),
            }
            index += 1;
        }
        Ok(Some(texts))
    }
}
