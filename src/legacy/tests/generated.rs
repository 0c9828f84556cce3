//! Generated snapshots.

use super::*;
use proptest::prelude::*;

fn entries<V: std::fmt::Debug>(value: impl Strategy<Value = V>) -> impl Strategy<Value = Vec<(String, V)>> {
    let key = "[a-zé\u{1F916}\"\\\\\n]{1,4}";
    prop::collection::vec((key, value), 0..5).prop_map(|entries| {
        let mut seen = std::collections::HashSet::new();
        entries.into_iter().filter(|(key, _)| !key.trim().is_empty() && seen.insert(key.trim().to_owned())).collect()
    })
}

fn any_tenant() -> impl Strategy<Value = LegacyTenant> {
    let id = "[A-Za-z0-9 é-]{0,3}[a-z]";
    let affinity = prop::sample::select(vec![LegacyAffinity::Like, LegacyAffinity::Love, LegacyAffinity::Dislike]);
    let ids = (id, id, id, prop::option::of(id));
    let texts = (prop::option::of(any::<String>()), prop::option::of(any::<String>()));
    let maps = (entries(any::<String>()), entries(any::<String>()), entries(affinity));
    let lists = entries(prop::collection::vec("[ -~é]{0,4}[a-z]", 0..4));
    (ids, texts, maps, lists).prop_map(|(ids, (name, birthday), (preferences, important_dates, affinities), lists)| {
        LegacyTenant {
            index: 0,
            account: ids.0,
            loop_id: ids.1,
            device: ids.2,
            person: ids.3,
            name,
            birthday,
            preferences,
            important_dates,
            affinities,
            lists,
            rejected: vec![],
        }
    })
}

fn written(tenant: &LegacyTenant, rotate: usize) -> String {
    let json = |value: &dyn Fn() -> serde_json::Value| value().to_string();
    fn map<V>(entries: &[(String, V)], value: impl Fn(&V) -> serde_json::Value) -> String {
        let entries: Vec<_> =
            entries.iter().map(|(key, v)| format!("{} : {}", serde_json::json!(key), value(v))).collect();
        format!("{{{}}}", entries.join(","))
    }
    let ids = [Some(&tenant.account), Some(&tenant.loop_id), Some(&tenant.device), tenant.person.as_ref()];
    let key = ids.into_iter().flatten().cloned().collect::<Vec<_>>().join("|");
    let mut properties = [
        ("TenantKey", json(&|| key.clone().into())),
        ("name", json(&|| tenant.name.clone().into())),
        ("BIRTHDAY", json(&|| tenant.birthday.clone().into())),
        ("Preferences", map(&tenant.preferences, |text| text.clone().into())),
        ("importantDates", map(&tenant.important_dates, |text| text.clone().into())),
        ("Affinities", map(&tenant.affinities, |affinity| (*affinity as u8).into())),
        ("Lists", map(&tenant.lists, |items| items.clone().into())),
    ];
    properties.rotate_left(rotate);
    let properties: Vec<_> = properties.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", properties.join(", "))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn generated_snapshots_come_back_as_they_were(
        mut tenants in prop::collection::vec(any_tenant(), 0..6),
        rotate in 0_usize..7,
        version_first in any::<bool>(),
    ) {
        for (index, tenant) in tenants.iter_mut().enumerate() {
            tenant.index = index as u64;
        }
        let list: Vec<_> = tenants.iter().map(|tenant| written(tenant, rotate)).collect();
        let mut parts = ["\"SchemaVersion\":\"1\"".to_owned(), format!("\"Tenants\":[{}]", list.join(",\n"))];
        if !version_first {
            parts.reverse();
        }
        let outcome = read(format!("{{{}}}", parts.join(",")));
        prop_assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        prop_assert_eq!(outcome.summary().values_read, tenants.iter().map(LegacyTenant::values).sum::<u64>());
        prop_assert!(outcome.tenants == tenants && outcome.rejected.is_empty());
    }
}
