//! Bounds, at their edges.

use super::*;

#[test]
fn a_tenant_of_the_limit_passes_and_one_byte_more_does_not() {
    let tenant = r#"{"TenantKey":"a|l|d","Name":"Ada"}"#;
    let longer = r#"{"TenantKey":"a|l|d","Name":"Adam"}"#;
    let limits = ReaderLimits::default().with_max_tenant_bytes(tenant.len() as u64);
    let outcome = read_with(format!(r#"{{"Tenants":[{tenant},{tenant} ]}}"#).as_bytes(), limits);
    assert_eq!(outcome.summary().tenants_read, 2);

    let outcome = read_with(format!(r#"{{"Tenants":[{tenant}, {longer}]}}"#).as_bytes(), limits);
    assert_eq!((outcome.tenants.len(), outcome.error().tenants_before), (1, 1));
    let SnapshotErrorKind::LimitExceeded { name, limit, actual, tenant_index, tenant_key } = &outcome.error().kind
    else {
        panic!("{}", outcome.error())
    };
    assert_eq!((*name, *limit, *actual), ("max_tenant_bytes", tenant.len() as u64, longer.len() as u64));
    assert_eq!((*tenant_index, tenant_key.as_deref()), (Some(1), Some("a|l|d")));
    let text = outcome.error().to_string();
    assert!(text.starts_with("Tenants[1] (a|l|d) exceeds max_tenant_bytes: at least 35, limit 34;"), "{text}");
}

#[test]
fn the_limit_holds_outside_the_tenants_too() {
    let limits = ReaderLimits::default().with_max_tenant_bytes(1000);
    let long = "x".repeat(2000);
    for document in [
        format!(r#"{{"Unknown":"{long}"}}"#),
        format!(r#"{{"{long}":1}}"#),
        format!(r#"{{"SchemaVersion":"{long}"}}"#),
        format!(r#"{{"Unknown":{}}}"#, "[".repeat(2000)),
        format!("{}{{}}", " ".repeat(2000)),
        format!("{{}}{}", " ".repeat(2000)),
        format!(r#"{{"Tenants":[],"tenants":["{long}"]}}"#),
    ] {
        let outcome = read_with(document.as_bytes(), limits);
        let kind = &outcome.error().kind;
        let expected = SnapshotErrorKind::LimitExceeded {
            name: "max_tenant_bytes",
            limit: 1000,
            actual: 1001,
            tenant_index: None,
            tenant_key: None,
        };
        assert_eq!(format!("{kind:?}"), format!("{expected:?}"));
    }
    let stretches = format!(r#"{{{}"Tenants":[]}}"#, r#""Unknown":"abcdefgh","#.repeat(200));
    assert!(read_with(stretches.as_bytes(), limits).result.is_ok(), "each property is a stretch of its own");
}

#[test]
fn deep_nesting_in_a_skipped_value_is_no_danger() {
    let depth = 1_000_000;
    let deep = "[".repeat(depth) + &"]".repeat(depth);
    let outcome = read_tenant(&format!(r#""Unknown":{deep},"Preferences":{{"x":{deep},"y":"z"}}"#));
    assert_eq!(outcome.reports(), ["Preferences.x: should be text and is an array"]);
    assert_eq!(outcome.tenants[0].values(), 1);
}

#[test]
fn values_of_a_tenant_are_limited_the_rejected_ones_counted() {
    let limits = ReaderLimits::default().with_max_tenant_values(5);
    let document = |items: &str| {
        format!(r#"{{"Tenants":[{{"TenantKey":"a|l|d","Name":"x","Affinities":{{"a":7}},"Lists":{{"l":{items}}}}}]}}"#)
    };
    assert!(read_with(document(r#"["x",null]"#).as_bytes(), limits).result.is_ok());
    let outcome = read_with(document(r#"["x",null,"y"]"#).as_bytes(), limits);
    let expected = SnapshotErrorKind::LimitExceeded {
        name: "max_tenant_values",
        limit: 5,
        actual: 6,
        tenant_index: Some(0),
        tenant_key: Some("a|l|d".to_owned()),
    };
    assert_eq!(format!("{:?}", outcome.error().kind), format!("{expected:?}"));
    assert!(outcome.tenants.is_empty());
}
