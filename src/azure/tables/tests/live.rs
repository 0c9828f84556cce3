//! By hand, against Azurite.
use super::*;
use crate::contract::Timestamp;
use Precondition::{Absent, Any};
use std::time::Instant;

async fn live() -> (FencedTable, FencedTable) {
    let port = std::env::var("LIVE_PORT").unwrap();
    let endpoint = format!("http://127.0.0.1:{port}/devstoreaccount1");
    let mut b = [0u8; 8];
    getrandom::fill(&mut b).unwrap();
    let table = format!("t{:016x}", u64::from_be_bytes(b));
    let client = azure_core::http::new_http_client(None);
    let one = replica(client.clone(), &endpoint, &table);
    let cred = TablesCredential::SharedKey {
        account: "devstoreaccount1".into(),
        key: Secret::new("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="),
    };
    let c = TablesClient::new(Url::parse(&endpoint).unwrap(), cred, TablesClientOptions::default()).unwrap();
    let err = one.probe(&call()).await.unwrap_err();
    println!("no table: {err} {:?}", err.outcome());
    let err = commit(&one, vec![put("m:a", 1, Absent)]).await.0.unwrap_err();
    println!("no table write: {err} {:?}", err.outcome());
    c.create_table(&azure_core::http::Context::new(), &table).await.unwrap();
    one.probe(&call()).await.unwrap();
    (one, replica(client, &endpoint, &table))
}

#[tokio::test(flavor = "multi_thread")]
async fn live_all() {
    let (one, two) = live().await;
    // budgets
    let (a, n) = commit(&one, vec![put("m:a", 1, Absent)]).await;
    assert_eq!(n, 2);
    let first = witness(&a.unwrap()[0]);
    println!("tag {}", first.tag);
    assert_eq!(read(&one, "m:a").await.unwrap().witness(), first);
    assert_eq!(commit(&one, vec![put("m:b", 1, Absent)]).await.1, 1);
    let (a, n) = commit(&one, vec![put("m:a", 2, exact(&first))]).await;
    let second = witness(&a.unwrap()[0]);
    assert_eq!(n, 1);
    let r = read(&one, "m:a").await.unwrap();
    assert_eq!(r.witness(), second);
    assert_eq!(r.envelope.created, first.created);
    let (a, n) = commit(&one, vec![put("m:x", 1, Absent), put("m:a", 3, exact(&first))]).await;
    let e = a.unwrap_err();
    println!("{e}");
    assert_eq!((kind(&e), n), (("conflict", Outcome::NotApplied, Some(1)), 2));
    let (a, n) = commit(&one, vec![put("m:x", 1, Absent), put("m:a", 3, Absent)]).await;
    assert_eq!((kind(&a.unwrap_err()), n), (("already_exists", Outcome::NotApplied, Some(1)), 1));
    assert!(read(&one, "m:x").await.is_none());
    assert_eq!(commit(&one, vec![put("m:a", 3, Any)]).await.1, 2);
    assert_eq!(commit(&two, vec![put("m:a", 4, Any)]).await.1, 3);
    assert_eq!(commit(&one, vec![put("m:c", 4, Absent)]).await.1, 3);
    assert_eq!(commit(&two, vec![put("m:a", 4, Any)]).await.1, 5);
    let (a, n) = commit(&two, vec![delete("m:a", exact(&first))]).await;
    assert_eq!((a.unwrap_err().is_conflict(), n), (true, 2));
    let (a, n) = commit(&two, vec![delete("m:a", Any), delete("m:nn", Any)]).await;
    assert_eq!((a.unwrap(), n), (vec![Written::Deleted, Written::Nothing], 3));
    // present
    let (a, _) = commit(&two, vec![put("m:r", 1, Absent), put("m:s", 1, Absent), put("m:t", 1, Absent)]).await;
    let w = witness(&a.unwrap()[0]);
    let ops = |w: &Witness| {
        vec![put("m:r", 2, exact(w)), put("m:s", 2, Precondition::Present), delete("m:t", Precondition::Present)]
    };
    let (a, n) = commit(&two, ops(&w)).await;
    let w = witness(&a.unwrap()[0]);
    assert_eq!(n, 1);
    let (a, _) = commit(&two, ops(&w)).await;
    assert_eq!(kind(&a.unwrap_err()), ("conflict", Outcome::NotApplied, Some(2)));
    // big values
    for unit in ["a", "é", "☃", "🎉", "\"", "\u{1}"] {
        let escaped = json!(unit).to_string().len() - 2;
        let value = json!(unit.repeat((crate::backend::MAX_VALUE_BYTES - 2) / escaped));
        let (a, _) = commit(&two, vec![put("m:big", value.clone(), Any)]).await;
        println!("{unit:?} {:?}", a.as_ref().err());
        a.unwrap();
        assert_eq!(read(&two, "m:big").await.unwrap().envelope.value, value);
    }
    let ops: Vec<_> = (0..13).map(|n| put(&format!("m:big{n}"), "x".repeat(262_142), Absent)).collect();
    let t = Instant::now();
    commit(&two, ops).await.0.unwrap();
    println!("13 x 256 KiB in {:?}", t.elapsed());
    let ops: Vec<_> = (0..13).map(|n| put(&format!("m:sig{n}"), "\"".repeat(131_071), Absent)).collect();
    let (a, n) = commit(&two, ops).await;
    println!("escaped: {} after {n} requests", a.unwrap_err());
    let _ = two.erase(&call(), "p", &[KeyRange::below("m")]).await.unwrap();
    assert_eq!(values(&two).await.len(), 0);
    // instants
    let mut d = draft("m:time", json!(1.1));
    d.expiry = Some(Timestamp::from_micros(1_772_352_000_000_001));
    d.owner.person = Some("pé".into());
    let (a, _) = commit(&one, vec![Operation::Put { draft: d.clone(), expect: Absent }]).await;
    a.unwrap();
    let r = read(&one, "m:time").await.unwrap();
    assert_eq!((r.envelope.expiry, &r.envelope.owner), (d.expiry, &d.owner));
    println!("{:?}", r.envelope);
    // load large
    let t = Instant::now();
    for n in 0..26 {
        let ops: Vec<_> = (0..97).map(|k| put(&format!("m:l{:04}", n * 97 + k), n, Absent)).collect();
        commit(&one, ops).await.0.unwrap();
    }
    println!("26 commits of 97 in {:?}", t.elapsed());
    for (table, expected) in [(&one, 3 + 2), (&one, 3 + 2), (&two, 3 + 3), (&two, 3 + 2)] {
        let cx = call();
        assert_eq!(table.load(&cx, "p", &KeyRange::below("m")).await.unwrap().len(), 26 * 97 + 1);
        assert_eq!(requests(&cx), expected);
    }
    // scan
    let (mut after, mut keys, mut pages) = (None, 0, 0);
    loop {
        let page = one.scan(&call(), "p", &KeyRange::below("m"), after.as_deref(), 700).await.unwrap();
        keys += page.records.len();
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((keys, pages), (26 * 97 + 1, 4));
    // changes
    let ch = one.changes(&call(), "p", None, 100).await.unwrap();
    println!("changes {} next {}", ch.changes.len(), ch.next.position);
    let (mut cur, mut total) = (None, 0);
    loop {
        let p = one.changes(&call(), "p", cur.as_ref(), 100).await.unwrap();
        if p.changes.is_empty() {
            break;
        }
        total += p.changes.len();
        cur = Some(p.next);
    }
    assert_eq!(total, 26 * 97 + 1);
    // erase
    let t = Instant::now();
    let cx = call();
    let erased = one.erase(&cx, "p", &[KeyRange::below("m")]).await.unwrap();
    println!("erased {erased} in {:?}, {} requests", t.elapsed(), requests(&cx));
    let all =
        one.table.query(&azure_core::http::Context::new(), &super::super::client::Query::partition("p")).await.unwrap();
    for e in &all.entities {
        for (name, v) in &e.properties {
            if let super::super::client::Value::String(s) = v {
                assert!(!s.contains("m:"), "{} {name} {s}", e.row_key);
            }
        }
    }
    println!("rows left: {}", all.entities.len());
    assert_eq!(one.changes(&call(), "p", Some(&ch.next), 5).await.unwrap_err().kind().name(), "snapshot_required");
    // partitions
    for p in ["a:x", "b:x", "c:x"] {
        let cx = call();
        one.commit(&cx, Commit::new(p, cx.next_op(), vec![put("m:a", 1, Absent)])).await.unwrap();
    }
    let f = one.partitions(&call(), None, 2).await.unwrap();
    println!("{f:?}");
    let g = one.partitions(&call(), f.next.as_deref(), 5).await.unwrap();
    assert_eq!(g.partitions, ["c:x", "p"]);
    // contention
    let t = Instant::now();
    let writes = (0..200).map(|n| {
        let table = if n % 2 == 0 { &one } else { &two };
        async move { commit(table, vec![put(&format!("m:{n}"), n, Any), put("m:last", n, Any)]).await }
    });
    let done = futures::future::join_all(writes).await;
    let reqs: u32 = done.iter().map(|d| d.1).sum();
    for d in &done {
        d.0.as_ref().unwrap();
    }
    println!("200 contended commits {:?} {reqs} requests", t.elapsed());
    assert_eq!(values(&one).await.len(), 201);
}
