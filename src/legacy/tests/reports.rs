//! What is unusable is reported by name.

use super::*;

#[test]
fn unusable_tenants_are_reported_and_the_rest_is_read() {
    let cases = [
        (
            r#"{"TenantKey":"only|two"}"#,
            Some("only|two"),
            "TenantKey should have 3 or 4 parts divided by `|` and has 2",
        ),
        (
            r#"{"TenantKey":"a|b|c|d|e"}"#,
            Some("a|b|c|d|e"),
            "TenantKey should have 3 or 4 parts divided by `|` and has 5",
        ),
        (r#"{"TenantKey":""}"#, Some(""), "TenantKey should have 3 or 4 parts divided by `|` and has 1"),
        (r#"{"TenantKey":"a||c"}"#, Some("a||c"), "part 2 of TenantKey is blank"),
        (r#"{"TenantKey":"a|b|c| "}"#, Some("a|b|c| "), "part 4 of TenantKey is blank"),
        (r#"{"TenantKey":7,"Name":"x"}"#, None, "TenantKey should be text and is a number"),
        (r#"{"TenantKey":null}"#, None, "there is no TenantKey"),
        (r#"{"Name":"x"}"#, None, "there is no TenantKey"),
        (r#"{"TenantKey":"a|b|c","tenantkey":"x|y|z"}"#, Some("a|b|c"), "TenantKey is given twice"),
        ("null", None, "should be an object and is null"),
        ("[{}]", None, "should be an object and is an array"),
        ("false", None, "should be an object and is a boolean"),
    ];
    for (entry, key, reason) in cases {
        let outcome = read(format!(r#"{{"Tenants":[{{"TenantKey":"a|l|d"}},{entry},{{"TenantKey":"a|l|e"}}]}}"#));
        let expected = Rejection {
            tenant_index: Some(1),
            tenant_key: key.map(str::to_owned),
            path: String::new(),
            reason: reason.to_owned(),
        };
        assert_eq!(outcome.rejected, [expected], "{entry}");
        assert_eq!(outcome.tenants.iter().map(|t| t.index).collect::<Vec<_>>(), [0, 2], "{entry}");
        assert_eq!((outcome.summary().tenants_read, outcome.summary().tenants_rejected), (2, 1), "{entry}");
    }
}

#[test]
fn unusable_values_are_reported_and_their_neighbours_are_kept() {
    let cases = [
        (r#""Affinities":{"ok":0,"bad":7}"#, "Affinities.bad: should be 0, 1 or 2 and is another number"),
        (r#""Affinities":{"ok":0,"bad":-1}"#, "Affinities.bad: should be 0, 1 or 2 and is another number"),
        (r#""Affinities":{"ok":0,"bad":1.0}"#, "Affinities.bad: should be 0, 1 or 2 and is another number"),
        (r#""Affinities":{"ok":0,"bad":"Love"}"#, "Affinities.bad: should be 0, 1 or 2 and is text"),
        (r#""Affinities":{"bad":null,"ok":0}"#, "Affinities.bad: should be 0, 1 or 2 and is null"),
        (r#""Preferences":{"bad":4,"ok":"x"}"#, "Preferences.bad: should be text and is a number"),
        (r#""Preferences":{"bad":{"a":[1]},"ok":"x"}"#, "Preferences.bad: should be text and is an object"),
        (r#""Preferences":{" ":"x","ok":"x"}"#, "Preferences. : the key is blank"),
        (r#""ImportantDates":{"bad":null,"ok":"x"}"#, "ImportantDates.bad: should be text and is null"),
        (r#""ImportantDates":{"ok":"x","bad":[["x"],2]}"#, "ImportantDates.bad: should be text and is an array"),
        (r#""Lists":{"l":["x",null]}"#, "Lists.l[1]: should be text and is null"),
        (r#""Lists":{"l":[true,"x"]}"#, "Lists.l[0]: should be text and is a boolean"),
        (r#""Lists":{"l":["x"," "]}"#, "Lists.l[1]: the item is blank"),
        (r#""Lists":{"l":["x"],"bad":null}"#, "Lists.bad: should be an array and is null"),
        (r#""Lists":{"l":["x"],"bad":"x"}"#, "Lists.bad: should be an array and is text"),
        (r#""Name":3,"Birthday":"x""#, "Name: should be text and is a number"),
        (r#""Birthday":["x"],"Name":"x""#, "Birthday: should be text and is an array"),
        (r#""Preferences":["x"],"Name":"x""#, "Preferences: should be an object and is an array"),
        (r#""Lists":"x","Name":"x""#, "Lists: should be an object and is text"),
    ];
    for (properties, report) in cases {
        let outcome = read_tenant(properties);
        assert_eq!(outcome.reports(), [report]);
        assert_eq!((outcome.summary().values_read, outcome.summary().values_rejected), (1, 1), "{properties}");
        assert_eq!(outcome.tenants[0].values(), 1, "{properties}");
    }
}

#[test]
fn the_first_of_two_equal_names_counts_and_the_second_is_reported() {
    let cases = [
        (r#""Name":"first","name":"second""#, "name: repeats a property of this tenant; the first one counts"),
        (
            r#""Lists":{"l":["x"]},"LISTS":{"m":["y"]}"#,
            "LISTS: repeats a property of this tenant; the first one counts",
        ),
        (
            r#""Preferences":{"Tea":"x"," tEA":"y"}"#,
            "Preferences. tEA: repeats a key of this map; the first one counts",
        ),
        (r#""Affinities":{"Ä":1,"ä":2}"#, "Affinities.ä: repeats a key of this map; the first one counts"),
        (r#""Lists":{"l":["x"],"L":["y"]}"#, "Lists.L: repeats a key of this map; the first one counts"),
    ];
    for (properties, report) in cases {
        let outcome = read_tenant(properties);
        assert_eq!(outcome.reports(), [report]);
        assert_eq!(outcome.tenants[0].values(), 1);
    }
    let outcome = read(r#"{"Revision":1,"revision":2,"Tenants":[],"tenants":[{"TenantKey":"a|l|d"}]}"#);
    assert_eq!(outcome.summary().revision, Some(1));
    let reason = "repeats a property of the document; the first one counts";
    assert_eq!(outcome.reports(), [format!("revision: {reason}"), format!("tenants: {reason}")]);
    assert_eq!((outcome.summary().tenants_read, outcome.summary().values_rejected), (0, 2));
}

#[test]
fn unusable_properties_of_the_document_are_reported() {
    let outcome = read(r#"{"Revision":-1,"LastLoadedUtc":7,"LastSavedUtc":{},"Tenants":[]}"#);
    let expected = [
        "Revision: should be an integer from 0 and is a number",
        "LastLoadedUtc: should be text and is a number",
        "LastSavedUtc: should be text and is an object",
    ];
    assert_eq!(outcome.reports(), expected);
    assert!(outcome.rejected.iter().all(|rejection| rejection.tenant_index.is_none()));
}

#[test]
fn names_in_reports_are_cut_and_escaped() {
    let long = "é".repeat(500);
    let outcome = read_tenant(&format!(r#""Preferences":{{"{long}":1,"a\nb":2}}"#));
    let paths: Vec<_> = outcome.tenants[0].rejected.iter().map(|rejection| rejection.path.as_str()).collect();
    assert_eq!(paths, [format!("Preferences.{}…", "é".repeat(48)).as_str(), "Preferences.a\\nb"]);
}

#[test]
fn no_report_shows_a_value() {
    let mark = "planted-mark";
    let mut texts = Vec::new();
    for value in ["\"planted-mark\"", "[\"planted-mark\"]", "\"planted-mark\u{1}\"", "\"planted-mark"] {
        for name in ["Name", "Birthday", "Preferences", "Affinities", "Lists", "Other"] {
            texts.push(read(format!(r#"{{"Tenants":[{{"TenantKey":"a|l|d","{name}":{value},"Name":1}}]}}"#)));
            texts.push(read(format!(r#"{{"Tenants":[{{"TenantKey":1,"{name}":{value}}}]}}"#)));
        }
        for map in ["Preferences", "ImportantDates", "Affinities", "Lists"] {
            texts.push(read(format!(r#"{{"Tenants":[{{"TenantKey":"a|l|d","{map}":{{"x":{value},"X":{value}}}}}]}}"#)));
        }
    }
    texts.push(read_tenant(r#""Lists":{"l":["planted-mark",{"planted-mark":"planted-mark"}]}"#));
    for outcome in texts {
        let errors = outcome.result.as_ref().err().map(ToString::to_string);
        let text = format!("{:?}{:?}{:?}{errors:?}", outcome.tenants, outcome.rejected, outcome.result);
        assert!(!text.contains(mark), "{text}");
    }
}
