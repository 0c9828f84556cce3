//! What a value costs that is JSON and no value of its place: itself.

use super::*;

/// Three tenants, the second with these properties: it, its neighbours and the summary came out whole.
fn read_amid(second: &str) -> Outcome {
    let outcome = read(format!(
        r#"{{"SchemaVersion":"1","Tenants":[{{"TenantKey":"a|l|d"}},{{{second}}},{{"TenantKey":"a|l|e"}}],"Revision":3}}"#
    ));
    assert_eq!(outcome.summary().revision, Some(3), "{second}");
    assert!(outcome.tenants.iter().any(|tenant| tenant.device == "e"), "{second}");
    outcome
}

/// Bug: half of a surrogate pair anywhere in the file was a syntax error, and every tenant behind it was lost.
#[test]
fn a_lone_surrogate_costs_its_own_value() {
    let no_text = "should be text and is text that is not Unicode";
    let cases = [
        (r#""Name":"x\ud83d","Birthday":"kept""#, format!("Name: {no_text}")),
        (r#""Birthday":"\ude00x","Name":"kept""#, format!("Birthday: {no_text}")),
        (r#""Preferences":{"a":"\ud83d\ud83d","b":"kept"}"#, format!("Preferences.a: {no_text}")),
        (r#""ImportantDates":{"a":"\ud83d\n","b":"kept"}"#, format!("ImportantDates.a: {no_text}")),
        (r#""ImportantDates":{"a":"\uD83Dx","b":"kept"}"#, format!("ImportantDates.a: {no_text}")),
        (
            r#""Affinities":{"a":"\ud83d","b":0}"#,
            "Affinities.a: should be 0, 1 or 2 and is text that is not Unicode".to_owned(),
        ),
        (r#""Lists":{"l":["kept","\ude00\ud83d"]}"#, format!("Lists.l[1]: {no_text}")),
        (
            r#""Lists":{"l":"\ud83d","m":["kept"]}"#,
            "Lists.l: should be an array and is text that is not Unicode".to_owned(),
        ),
        (
            r#""Preferences":"\ud83d","Name":"kept""#,
            "Preferences: should be an object and is text that is not Unicode".to_owned(),
        ),
        (r#""Name":{"\ud83d":1,"x":["\ud83d"]},"Birthday":"kept""#, "Name: should be text and is an object".to_owned()),
        (r#""Name":["\ud83d",{"\ud83d":1}],"Birthday":"kept""#, "Name: should be text and is an array".to_owned()),
    ];
    for (properties, report) in cases {
        let outcome = read_amid(&format!(r#""TenantKey":"a|l|d|p",{properties}"#));
        assert_eq!(outcome.reports(), [report]);
        assert_eq!((outcome.summary().values_read, outcome.summary().values_rejected), (1, 1), "{properties}");
    }
    let whole = read_amid(r#""TenantKey":"a|l|d|p","Name":"\ud83d\ude00\ud83D\uDC4B""#);
    assert_eq!(whole.tenants[1].name.as_deref(), Some("😀👋"), "a pair is no half");
}

/// Bug: a key with half of a surrogate pair ended the file.
#[test]
fn keys_that_are_not_unicode_cost_their_own_entry_and_never_meet() {
    for (map, kept) in [
        ("Preferences", r#"{"x\ud83d":"a","x\ud83e":"b","x\ufffd":"kept"}"#),
        ("Affinities", r#"{"x\ud83d":1,"x\ud83e":2,"x\ufffd":0}"#),
        ("Lists", r#"{"x\ud83d":["a"],"x\ud83e":["b"],"x\ufffd":["kept"]}"#),
    ] {
        let outcome = read_amid(&format!(r#""TenantKey":"a|l|d|p","{map}":{kept}"#));
        let shown = format!("{map}.x\u{FFFD}\u{FFFD}\u{FFFD}: the key is not Unicode");
        assert_eq!(outcome.reports(), [shown.as_str(), shown.as_str()]);
        assert_eq!(outcome.tenants[1].values(), 1, "the key that is U+FFFD itself is no twin of theirs");
    }
}

/// Bug: the file ended at a tenant key with half of a surrogate pair, and at property names like that.
#[test]
fn a_tenant_key_that_is_not_unicode_costs_its_tenant() {
    let outcome = read_amid(r#""Name":"x","TenantKey":"a|l|\ud83d""#);
    assert_eq!(outcome.reports(), [": TenantKey should be text and is text that is not Unicode"]);
    assert_eq!((outcome.rejected[0].tenant_index, outcome.summary().tenants_rejected), (Some(1), 1));
    assert_eq!(outcome.tenants.iter().map(|tenant| tenant.index).collect::<Vec<_>>(), [0, 2]);

    let outcome = read_amid(r#""TenantKey":"a|l|d|p","Nam\ud83d":"x","Name":"kept""#);
    assert_eq!(outcome.summary().unknown_properties["Tenants[].Nam\u{FFFD}\u{FFFD}\u{FFFD}"], 1);
    assert_eq!(outcome.tenants[1].name.as_deref(), Some("kept"));

    let outcome = read(r#"{"\ud83d":"\ud83d","LastSavedUtc":"\ud83d","Revision":"\ud83d","Tenants":["\ud83d",{}]}"#);
    assert_eq!(outcome.summary().unknown_properties["\u{FFFD}\u{FFFD}\u{FFFD}"], 1);
    assert_eq!((outcome.summary().tenants_rejected, outcome.summary().values_rejected), (2, 2));
}

/// Bug: one byte that is no UTF-8, which the old server read as U+FFFD, ended the file.
#[test]
fn bytes_that_are_not_utf8_cost_their_own_value() {
    let document =
        br#"{"@":1,"Tenants":[{"TenantKey":"a|l|d","Name":"caf@","Preferences":{"t@":"x","tea":"@","ok":"kept"},
        "Mood@":{"@":"@"},"Lists":{"l":["@@","kept"]}},{"TenantKey":"a|l|@"},{"TenantKey":"a|l|e"}]}"#;
    let pieces: Vec<&[u8]> = document.split(|byte| *byte == b'@').collect();
    for bytes in [&b"\xE9"[..], b"\xC3", b"\xED\xA0\xBD", b"\xF5\x80\x80\x80", b"\xC0\xAF", b"\xFE"] {
        let outcome = read(pieces.join(bytes));
        assert_eq!((outcome.summary().tenants_read, outcome.summary().tenants_rejected), (2, 1), "{bytes:?}");
        assert_eq!((outcome.summary().values_read, outcome.summary().values_rejected), (2, 4), "{bytes:?}");
        assert_eq!((&*outcome.tenants[0].lists[0].1[0], outcome.tenants[0].values()), ("kept", 2));
    }
}

/// Bug: a number beyond an `f64` ended the file, whatever its place.
#[test]
fn a_number_beyond_every_range_costs_its_own_value() {
    let long = "9".repeat(5_000);
    for number in ["1e999", "-1E+999", "1e-999", "0.1e99999999999999999999", "18446744073709551616", &long] {
        let outcome = read_amid(&format!(r#""TenantKey":"a|l|d|p","Name":{number},"Birthday":"kept""#));
        assert_eq!(outcome.reports(), ["Name: should be text and is a number"], "{number}");
        let outcome = read_amid(&format!(r#""TenantKey":"a|l|d|p","Affinities":{{"a":{number},"b":1}}"#));
        assert_eq!(outcome.reports(), ["Affinities.a: should be 0, 1 or 2 and is another number"], "{number}");
        let outcome = read_amid(&format!(r#""TenantKey":{number}"#));
        assert_eq!(outcome.reports(), [": TenantKey should be text and is a number"], "{number}");
        let outcome = read(format!(r#"{{"Revision":{number},"Other":{number},"Tenants":[{number}]}}"#));
        assert_eq!(outcome.reports()[0], "Revision: should be an integer from 0 and is a number");
        assert_eq!((outcome.summary().revision, outcome.summary().tenants_rejected), (None, 1));
        let outcome = read(format!(r#"{{"SchemaVersion":{number}}}"#));
        let kind = &outcome.error().kind;
        assert!(matches!(kind, SnapshotErrorKind::UnsupportedVersion { .. }), "{kind}");
    }
}

/// Bug: an object with the property by which the parser hands numbers over under one of its features was read as that number.
#[test]
fn an_object_is_never_read_as_a_number() {
    let outcome = read_amid(r#""TenantKey":"a|l|d|p","Affinities":{"a":{"$serde_json::private::Number":"1"},"b":0}"#);
    assert_eq!(outcome.reports(), ["Affinities.a: should be 0, 1 or 2 and is an object"]);
    let outcome = read_amid(r#""TenantKey":"a|l|d|p","Name":{"$serde_json::private::RawValue":"1"}"#);
    assert_eq!(outcome.reports(), ["Name: should be text and is an object"]);
}

#[test]
fn text_that_names_a_number_is_text() {
    let outcome = read_amid(r#""TenantKey":"a|l|d|p","Name":"NaN","Affinities":{"a":"Infinity","b":"1"}"#);
    assert_eq!(outcome.tenants[1].name.as_deref(), Some("NaN"));
    assert_eq!(outcome.reports().len(), 2);
    for bare in ["NaN", "Infinity", "-Infinity", "+1", "01", "1.", ".5", "1e", "0x1"] {
        let outcome = read(format!(r#"{{"Tenants":[{{"TenantKey":"a|l|d"}},{{"Name":{bare}}}]}}"#));
        assert!(matches!(outcome.error().kind, SnapshotErrorKind::Malformed { .. }), "{bare}: {}", outcome.error());
        assert_eq!(outcome.tenants.len(), 1);
    }
}

#[test]
fn an_odd_value_in_any_place_costs_that_place_alone() {
    let deep = "[{\"\\ud83d\":".repeat(50_000) + "\"\\ud83d\"" + &"}]".repeat(50_000);
    let long = "-".to_owned() + &"9".repeat(400) + ".5e+400";
    let texts =
        [r#""\ud83d""#, r#""\udfff\ud800""#, r#""\ud83d\\u""#, r#""\uD83D\uD83D\uDE00""#, "\"\\ud83d\u{1F600}\""];
    let others =
        [r#"{"\ud83d":1e999,"\ud83d":{}}"#, r#"["\ud83d",1e999,[]]"#, "1e999", "-0", "0.5", "true", &long, &deep];
    let places = [
        r#""Name":@,"Birthday":"kept""#,
        r#""Name":"kept","Birthday":@"#,
        r#""Preferences":{"a":@,"b":"kept"}"#,
        r#""Preferences":@,"Name":"kept""#,
        r#""ImportantDates":{"b":"kept","a":@}"#,
        r#""Affinities":{"a":@,"b":2}"#,
        r#""Lists":{"l":[@,"kept"]}"#,
        r#""Lists":{"l":@,"m":["kept"]}"#,
        r#""Mood":@,"Name":"kept""#,
        r#""Name":"kept","name":@"#,
        r#""Preferences":{"a":"kept","A":@}"#,
    ];
    for odd in texts.into_iter().chain(others) {
        for place in places {
            let outcome = read_amid(&format!(r#""TenantKey":"a|l|d|p",{}"#, place.replace('@', odd)));
            let summary = outcome.summary();
            // An array has its place in lists, and its items are places of their own; so has an object in maps.
            let (is_list, in_list) = (odd.starts_with('['), place.contains(r#""l":@"#));
            let (is_map, in_map) = (odd.starts_with('{'), place.contains(r#""Preferences":@"#));
            let rejected = match () {
                () if place.contains("Mood") => 0,
                () if is_map && in_map => 2,
                () if is_list && in_list => {
                    if odd == deep {
                        1
                    } else {
                        3
                    }
                }
                () => 1,
            };
            let shown = &odd[..odd.len().min(30)];
            assert_eq!((summary.values_read, summary.values_rejected), (1, rejected), "{shown} in {place}");
            assert_eq!((summary.tenants_read, summary.tenants_rejected), (3, 0), "{shown} in {place}");
        }
        let outcome =
            read(format!(r#"{{"Tenants":[{odd},{{"TenantKey":{odd},"Name":"x"}},{{"TenantKey":"a|l|d"}}]}}"#));
        assert_eq!((outcome.summary().tenants_read, outcome.summary().tenants_rejected), (1, 2));
    }
}
