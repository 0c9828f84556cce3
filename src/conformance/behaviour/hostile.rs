//! Names that try to collide.

use std::collections::BTreeMap;

use crate::backend::keys;
use crate::conformance::support::{Must, World};
use crate::contract::{Expect, MemoryScope, PersonId, PersonalMemoryStore};

/// Ids that are near each other once they are trimmed, folded, escaped, joined or cut.
pub(in crate::conformance) fn hostile() -> Vec<String> {
    let long = "é".repeat(105);
    let mut texts: Vec<String> = [
        "a",
        "a:b",
        "b",
        "a_3ab",
        "a_b",
        "_",
        "-",
        ".",
        ".a",
        "a.",
        "a;",
        "a:",
        ":a",
        "::",
        "=a",
        "_3a",
        "a/b",
        "a\\b",
        "a#b",
        "a?b",
        "a%b",
        "a%3Ab",
        "a+b",
        "a b",
        "a'b",
        "a\"b",
        "a,b",
        "a|b",
        "!head",
        "!c:1",
        "é",
        "e\u{301}",
        "É",
        "İ",
        "i\u{307}",
        "ı",
        "ß",
        "ẞ",
        "ss",
        "K",
        "\u{212a}",
        "ſ",
        "s",
        "σ",
        "ς",
        "Σ",
        "👩‍🚀",
        "\u{feff}a",
        "\u{200b}a",
        "null",
        "undefined",
    ]
    .map(str::to_owned)
    .into();
    texts.extend(["x", "y", "xx"].map(|end| format!("{long}{end}")));
    // The text whose plain form is the hashed form of another.
    texts.push(keys::encode_segment(&long));
    texts.push("a".repeat(96));
    texts.push("a".repeat(97));
    texts
}

/// Random short texts over an alphabet of separators and escapes; the seed is part of the failure's message.
pub(in crate::conformance) fn generated(seed: u64, count: usize) -> Vec<String> {
    let mut state = seed | 1;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let alphabet = [':', '_', '3', 'a', 'A', '.', '-', '=', ';', '%', 'é', ' ', '/', '\u{1f600}'];
    (0..count)
        .map(|_| {
            let length = 1 + next(5);
            let text: String = (0..length).map(|_| alphabet[next(alphabet.len())]).collect();
            // Blank ids are refused: each begins with something.
            format!("g{text}z")
        })
        .collect()
}

/// Texts that differ as ids, by the id type's own equality.
pub(in crate::conformance) fn distinct(texts: Vec<String>) -> Vec<String> {
    let mut by_id = BTreeMap::new();
    for text in texts {
        let id = PersonId::new(&text).must("an id");
        by_id.entry(id).or_insert(text);
    }
    by_id.into_values().collect()
}

/// Writes a name into every scope and reads them all back on the other replica.
pub(in crate::conformance) async fn scopes_are_apart(w: &World, scopes: &[MemoryScope], what: &str) {
    for (n, scope) in scopes.iter().enumerate() {
        let set = w.a.set_name(scope, &format!("name {n}"), Expect::Absent).await;
        set.must(&format!("{what}: scope {n}, {scope:?}, must be a scope of its own"));
    }
    for (n, scope) in scopes.iter().enumerate() {
        let found = w.b.name(scope).await.must(what).must(what);
        assert_eq!(*found.value(), format!("name {n}"), "{what}: {scope:?}");
        let loaded = w.b.load_scope(scope).await.must(what);
        assert_eq!(loaded.name.as_ref(), Some(&found), "{what}: {scope:?}");
    }
}
