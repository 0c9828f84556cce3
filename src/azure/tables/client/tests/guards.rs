//! Every limit at its edge and one past; nothing refused is sent.

use super::*;
use azure_core::http::Context;

/// The violation of an entity, tried through each operation that takes one.
async fn refused(entity: &Entity) -> Option<Violation> {
    let script = Script::default();
    let (table, ctx) = (script.table(), Context::new());
    let transaction = Transaction::new(entity.partition_key.clone()).insert(entity.clone());
    let Err(Error::Invalid(violation)) = table.encoded_len(&transaction) else {
        return None;
    };
    let any = IfMatch::Any;
    let whole = Violation { operation: None, ..violation };
    assert_eq!(table.insert(&ctx, entity).await, Err(Error::Invalid(whole)));
    assert_eq!(table.replace(&ctx, entity, &any).await, Err(Error::Invalid(whole)));
    assert_eq!(table.merge(&ctx, entity, &any).await, Err(Error::Invalid(whole)));
    assert_eq!(table.execute(&ctx, &transaction).await, Err(Error::Invalid(violation)));
    assert!(script.seen().is_empty(), "nothing is sent");
    Some(whole)
}

async fn edge(fits: Entity, beyond: Entity, rule: Rule, limit: u64, actual: u64) {
    assert_eq!(refused(&fits).await, None, "{rule:?}");
    let expected = Violation { rule, limit, actual, operation: None };
    assert_eq!(refused(&beyond).await, Some(expected));
}

fn row() -> Entity {
    Entity::new("p", "r")
}

#[tokio::test]
async fn values_end_at_64_kib() {
    // Two UTF-16 units each, four bytes of UTF-8.
    let text = |units: usize| row().with("T", "🎉".repeat(units / 2) + &"x".repeat(units % 2));
    edge(text(32_768), text(32_769), Rule::StringLength, 32_768, 32_769).await;
    let bytes = |length| row().with("B", vec![0_u8; length]);
    edge(bytes(65_536), bytes(65_537), Rule::BinaryLength, 65_536, 65_537).await;
}

#[tokio::test]
async fn entities_end_at_1_mib_of_the_formula() {
    let sized = |size: usize| {
        // 4 + keys (2 units) 4; 15 × (8 + 3 × 2 + 65,536 + 4) = 983,310; the last: 8 + 3 × 2 + n + 4.
        let mut row = row();
        for index in 0..15 {
            row = row.with(format!("B{index:02}"), vec![0_u8; 65_536]);
        }
        row.with("B15", vec![0_u8; size - 8 - 983_310 - 18])
    };
    edge(sized(1_048_576), sized(1_048_577), Rule::EntitySize, 1_048_576, 1_048_577).await;
    // Every type: 8 + 2 (name) + its size.
    let all = row()
        .with("A", 1)
        .with("B", 1_i64)
        .with("C", 1.0)
        .with("D", true)
        .with("E", Value::DateTime("2024-01-02T03:04:05Z".into()))
        .with("F", Value::Guid("c9da6455-213d-42c9-9a79-3e9149a57833".into()))
        .with("G", "xy");
    let small = 4 + 4 + 7 * 10 + 4 + 8 + 8 + 1 + 8 + 16 + 8;
    let fill = |size: usize| {
        let mut row = all.clone();
        for index in 0..15 {
            row = row.with(format!("H{index:02}"), vec![0_u8; 65_536]);
        }
        row.with("H15", vec![0_u8; size - small - 983_310 - 18])
    };
    edge(fill(1_048_576), fill(1_048_577), Rule::EntitySize, 1_048_576, 1_048_577).await;
}

#[tokio::test]
async fn properties_are_at_most_252_identifiers() {
    let many = |count| (0..count).fold(row(), |row, index| row.with(format!("P{index}"), 1));
    edge(many(252), many(253), Rule::PropertyCount, 252, 253).await;
    let named = |name: &str| row().with(name, 1);
    let long = |length| named(&"n".repeat(length));
    edge(long(255), long(256), Rule::PropertyNameLength, 255, 256).await;
    edge(named("_"), named(""), Rule::PropertyNameLength, 1, 0).await;
    edge(named("badName"), named("bad-name"), Rule::PropertyName, 0, 3).await;
    edge(named("x123"), named("123x"), Rule::PropertyName, 0, 0).await;
    edge(named("Größe"), named("a@odata.type"), Rule::PropertyName, 0, 1).await;
    for reserved in ["PartitionKey", "RowKey", "Timestamp"] {
        edge(named("Rowkey"), named(reserved), Rule::PropertyReserved, 0, 1).await;
    }
}

#[tokio::test]
async fn keys_are_512_units_without_forbidden_characters() {
    let text = |units: usize| "🎉".repeat(units / 2) + &"x".repeat(units % 2);
    let pk = |key: String| Entity::new(key, "");
    let rk = |key: String| Entity::new("", key);
    edge(pk(text(512)), pk(text(513)), Rule::KeyLength, 512, 513).await;
    edge(rk(text(512)), rk(text(513)), Rule::KeyLength, 512, 513).await;
    for c in ['/', '\\', '#', '?', '\0', '\u{1f}', '\u{7f}', '\u{9f}'] {
        edge(pk("a".into()), pk(format!("é{c}")), Rule::KeyCharacter, 0, 1).await;
        edge(rk(" '%+\u{a0}".into()), rk(format!("{c}")), Rule::KeyCharacter, 0, 0).await;
    }
    let script = Script::default();
    let (table, ctx) = (script.table(), Context::new());
    assert!(matches!(table.get(&ctx, "p", "a/b", &[]).await, Err(Error::Invalid(_))));
    assert!(matches!(table.delete(&ctx, "a#", "r", &IfMatch::Any).await, Err(Error::Invalid(_))));
    let transaction = Transaction::new("p").delete("a?", IfMatch::Any);
    assert!(matches!(table.execute(&ctx, &transaction).await, Err(Error::Invalid(_))));
    assert!(script.seen().is_empty());
}

#[tokio::test]
async fn dates_and_guids_are_well_formed() {
    let date = |text: &str| row().with("D", Value::DateTime(text.into()));
    for bad in [
        "2024-01-02T03:04:05.12345678Z",
        "2024-01-02T03:04:05+00:00",
        "2024-02-30T03:04:05Z",
        "1600-12-31T23:59:59Z",
        "2024-01-02 03:04:05Z",
        ".",
        "",
    ] {
        let fits = date("1601-01-01T00:00:00.1234567Z");
        edge(fits, date(bad), Rule::DateTime, 28, bad.len() as u64).await;
    }
    let guid = |text: &str| row().with("G", Value::Guid(text.into()));
    for bad in ["c9da6455213d42c99a793e9149a57833", "g9da6455-213d-42c9-9a79-3e9149a57833", ""] {
        let fits = guid("C9da6455-213d-42c9-9a79-3e9149a57833");
        edge(fits, guid(bad), Rule::Guid, 36, bad.len() as u64).await;
    }
}

#[tokio::test]
async fn etags_are_entity_tags() {
    let script = Script::default();
    let (table, ctx) = (script.table(), Context::new());
    for bad in ["", "*", "W/", "\"", "x", "W/\"a", "\"a\"b\"", "\"a\r\nX: y\"", "\"a b\"", "w/\"a\"", "\"é\""] {
        let tag = IfMatch::ETag(bad.into());
        let expected = Violation { rule: Rule::ETag, limit: 0, actual: bad.len() as u64, operation: None };
        let transaction = Transaction::new("p").delete("q", IfMatch::Any).delete("r", tag.clone());
        assert_eq!(table.replace(&ctx, &row(), &tag).await, Err(expected.into()));
        assert_eq!(table.merge(&ctx, &row(), &tag).await, Err(expected.into()));
        assert_eq!(table.delete(&ctx, "p", "r", &tag).await, Err(expected.into()));
        assert_eq!(table.execute(&ctx, &transaction).await, Err(expected.at(1).into()));
    }
    assert!(script.seen().is_empty());
    for good in ["\"\"", "W/\"datetime'2026-11-22T20%3A40%3A32.7222075Z'\""] {
        let transaction = Transaction::new("p").delete("r", IfMatch::ETag(good.into()));
        assert!(table.encoded_len(&transaction).is_ok());
    }
}

#[tokio::test]
async fn queries_take_1_to_1000_rows_of_named_properties() {
    let script = Script::default();
    let (table, ctx) = (script.table(), Context::new());
    for top in [0, 1001] {
        let expected = Violation::new(Rule::Top, 1000, top as usize);
        let query = Query::new().with_top(top);
        assert_eq!(table.query(&ctx, &query).await, Err(expected.into()));
    }
    let query = Query::new().with_select(&["Timestamp", "a,b"]);
    assert_eq!(table.query(&ctx, &query).await, Err(Violation::new(Rule::PropertyName, 0, 1).into()));
    assert!(table.get(&ctx, "p", "r", &["a&b"]).await.is_err());
    assert!(script.seen().is_empty());
    for top in [1, 1000] {
        script.answer(200, &[], r#"{"value":[]}"#);
        table.query(&ctx, &Query::new().with_top(top)).await.unwrap();
    }
}

#[tokio::test]
async fn table_names_follow_the_pattern() {
    let script = Script::default();
    let client = script.client(shared_key(), script.options());
    for good in ["abc", "A12", &"x".repeat(63)] {
        assert!(client.table(good).is_ok());
    }
    for bad in ["", "ab", "1bc", "a-b", "abcé", "tables", "Tables", &"x".repeat(64)] {
        let expected = Violation::new(Rule::TableName, 63, bad.chars().count());
        assert_eq!(client.table(bad).unwrap_err(), expected.into());
        assert_eq!(client.create_table(&Context::new(), bad).await, Err(expected.into()));
    }
    assert!(script.seen().is_empty());
}

#[test]
fn endpoints_are_plain_urls() {
    let build = |endpoint: &str| {
        let options = TablesClientOptions { client_options: Script::default().options() };
        TablesClient::new(Url::parse(endpoint).unwrap(), shared_key(), options)
    };
    assert!(build("https://acct.table.core.windows.net").is_ok());
    for bad in ["https://h/?sig=x", "https://u:p@h/", "https://h/#f", "ftp://h/", "data:x"] {
        assert_eq!(build(bad).unwrap_err(), Violation::new(Rule::Endpoint, 0, 1).into());
    }
}
