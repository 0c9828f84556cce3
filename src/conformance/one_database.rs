//! Many properties on one database: what a fresh one for each would hide.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

use super::properties::properties;
use super::support::{Must, World};
use super::{Harness, Property};
use crate::contract::{Expect, PersonalMemoryStore};

/// The families in which a backend shows that it mixes up partitions, areas or scopes, for [`all_on_one`]. [`conformance_tests!`] runs
/// these as the test `on_one_database`.
///
/// [`conformance_tests!`]: crate::conformance_tests
pub const ON_ONE_DATABASE: &[&str] = &[
    "ports",
    "loads",
    "marks",
    "origins",
    "closing",
    "payloads",
    "history",
    "isolation",
    "forgetting",
    "memory",
    "lists",
    "members",
    "devices",
    "media",
];

/// Checks all properties of these families one after the other on one harness, and so on one database: each finds there what those
/// before it have written. A backend that mixes up partitions may only fail here, where there are others.
///
/// All are checked, also after one has failed; [`properties`] has the names of all families.
///
/// # Panics
/// When a property does, with the names of all that did. When the suite has no family of a name. When two calls of
/// [`Harness::replicas`] are not over the same data.
pub async fn all_on_one(harness: &dyn Harness, families: &[&str]) {
    calls_are_over_the_same_data(harness).await;
    let (mut checked, mut failed) = (0, Vec::new());
    for family in families {
        let members: Vec<&Property> = properties().iter().filter(|property| property.family == *family).collect();
        assert!(!members.is_empty(), "the suite has no family {family}");
        for property in members {
            checked += 1;
            if AssertUnwindSafe(property.check(harness)).catch_unwind().await.is_err() {
                failed.push(format!("{family}::{}", property.name));
            }
        }
    }
    assert!(failed.is_empty(), "on one database {} of {checked} properties fail: {}", failed.len(), failed.join(", "));
}

async fn calls_are_over_the_same_data(harness: &dyn Harness) {
    let w = World::of(harness).await;
    let set = w.a.set_name(&w.memory_scope, "Ana", Expect::Absent).await.must("set");
    let third = harness.replicas().await.a;
    let found = third.name(&w.memory_scope).await.must("read");
    assert_eq!(found, Some(set), "each call of `replicas` on one harness is over the same data");
}
