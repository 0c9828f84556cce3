//! What a sound file gives.

use super::*;
use sha2::{Digest, Sha256};

#[test]
fn every_field_arrives_as_written() {
    let outcome = read(WHOLE);
    let tenant = &outcome.tenants[0];
    assert_eq!((&*tenant.account, &*tenant.loop_id, &*tenant.device), ("a", "l", "d"));
    assert_eq!((tenant.index, tenant.person.as_deref()), (0, Some("p")));
    assert_eq!((tenant.name.as_deref(), tenant.birthday.as_deref()), (Some("Zoë"), Some("May 17")));
    assert_eq!(tenant.preferences, owned(&[("Tea ", "green")]));
    assert_eq!(tenant.important_dates, owned(&[("x", "y")]));
    let affinities: Vec<_> = tenant.affinities.iter().map(|(item, affinity)| (item.as_str(), *affinity)).collect();
    let expected = [("jazz", LegacyAffinity::Love), ("rain", LegacyAffinity::Like), ("snow", LegacyAffinity::Dislike)];
    assert_eq!(affinities, expected);
    assert_eq!(tenant.lists[0], ("shopping".into(), vec!["milk".into(), " Olive Oil ".into(), "milk".into()]));
    assert_eq!(tenant.lists[1], ("to do".into(), vec![]));
    assert_eq!((outcome.tenants[1].index, outcome.tenants[1].person.as_deref()), (1, None));

    let summary = outcome.summary();
    assert_eq!((summary.schema_version.as_deref(), summary.revision), (Some("1"), Some(17)));
    assert_eq!(summary.last_saved_utc.as_deref(), Some("2026-03-01T08:00:00+00:00"));
    assert_eq!((summary.tenants_read, summary.tenants_rejected), (2, 0));
    assert_eq!((summary.values_read, summary.values_rejected), (11, 0));
}

#[test]
fn a_byte_order_mark_is_skipped_counted_and_hashed() {
    let marked = [b"\xEF\xBB\xBF", WHOLE.as_bytes()].concat();
    let (plain, with_mark) = (read(WHOLE), read(&marked));
    assert_eq!(plain.tenants, with_mark.tenants);
    assert_eq!(with_mark.summary().bytes, marked.len() as u64);
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(with_mark.summary().sha256, hex(&marked));
    assert_eq!(plain.summary().sha256, hex(WHOLE.as_bytes()));
}

#[test]
fn property_names_match_in_any_case() {
    let changed = |change: fn(&str) -> String| {
        let names = ["SchemaVersion", "Revision", "LastSavedUtc", "TenantKey", "Name", "Birthday"];
        let maps = ["Tenants", "Preferences", "ImportantDates", "Affinities", "Lists"];
        names.iter().chain(&maps).fold(WHOLE.to_owned(), |document, name| {
            document.replace(&format!("\"{name}\""), &format!("\"{}\"", change(name)))
        })
    };
    let plain = read(WHOLE);
    for document in [changed(str::to_ascii_lowercase), changed(str::to_ascii_uppercase)] {
        let outcome = read(&document);
        assert_eq!(outcome.tenants, plain.tenants);
        assert_eq!(outcome.summary().revision, plain.summary().revision);
        assert!(outcome.summary().unknown_properties.is_empty());
    }
}

#[test]
fn the_order_of_properties_does_not_matter() {
    let outcome = read(r#"{"Tenants":[{"Name":"Ada","Affinities":{"x":9},"TenantKey":"a|l|d"}],"SchemaVersion":1}"#);
    assert_eq!(outcome.tenants[0].name.as_deref(), Some("Ada"));
    assert_eq!(outcome.tenants[0].rejected[0].tenant_key.as_deref(), Some("a|l|d"));
    assert_eq!(outcome.summary().schema_version.as_deref(), Some("1"));
}

#[test]
fn every_property_may_be_absent_or_null() {
    for document in ["{}", r#"{"SchemaVersion":null,"Revision":null,"LastLoadedUtc":null,"Tenants":null}"#] {
        let outcome = read(document);
        assert_eq!((outcome.summary().schema_version.as_deref(), outcome.summary().revision), (None, None));
        assert!(outcome.rejected.is_empty() && outcome.tenants.is_empty());
    }
    let nulls =
        r#""Name":null,"Birthday":null,"Preferences":null,"ImportantDates":null,"Affinities":null,"Lists":null"#;
    let outcome = read_tenant(nulls);
    assert_eq!((outcome.tenants[0].values(), outcome.reports().len()), (0, 0));
}

#[test]
fn unknown_properties_are_skipped_and_counted_by_name() {
    let mood = r#"{"TenantKey":"a|l|d","Mood":{"deep":[1,{"x":null}]}}"#;
    let outcome = read(format!(r#"{{"Server":[true,-1.5e3,"x"],"Tenants":[{mood},{mood}]}}"#));
    let names: Vec<_> = outcome.summary().unknown_properties.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(names, [("Server", 1), ("Tenants[].Mood", 2)]);
    assert_eq!(outcome.tenants.len(), 2);
}

#[test]
fn names_of_unknown_properties_are_bounded() {
    let names: Vec<_> = (0..200).map(|n| format!("\"p{n}\":0")).collect();
    let outcome = read(format!("{{{}}}", names.join(",")));
    assert_eq!(outcome.summary().unknown_properties.len(), 101);
    assert_eq!(outcome.summary().unknown_properties["…"], 100);
}

#[test]
fn keys_that_only_a_full_case_folding_joins_stay_apart() {
    let outcome = read_tenant(r#""Preferences":{"İ":"a","i̇":"b","ß":"c","ss":"d","Σ":"e","ς":"f"}"#);
    assert_eq!((outcome.tenants[0].values(), outcome.reports().len()), (6, 0));
}

#[test]
fn a_sink_that_breaks_stops_the_read() {
    let mut given = 0;
    let result = read_personal_memory(WHOLE.as_bytes(), ReaderLimits::default(), |_| {
        given += 1;
        ControlFlow::Break(())
    });
    let error = result.unwrap_err();
    assert!(matches!(error.kind, SnapshotErrorKind::Stopped));
    assert_eq!((given, error.tenants_before), (1, 1));
}
