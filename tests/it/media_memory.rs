//! Large media in a child process: requests, peak memory, and the bytes themselves.

use futures::{StreamExt as _, stream};
use openjibo_store::emulator::{EMULATORS, EmulatorSet};
use openjibo_store::{CallOptions, Expect, MediaBody, MediaStore, NewMedia, Stores};
use sha2::{Digest, Sha256};
use std::time::Duration;

use crate::support::azure::{Recorder, config, fresh};
use crate::support::child::{Child, peak_kib};

const CHUNK: usize = 64 * 1024;
/// Bytes that the child puts and gets, and the emulators it uses; absent in a plain run.
const CHILD_BYTES: &str = "OPENJIBO_TEST_MEDIA_BYTES";

/// Bytes that differ from block to block, never held as a whole.
fn chunk(index: u64) -> bytes::Bytes {
    let mut chunk = vec![0_u8; CHUNK];
    chunk.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at as u64 * 31 + index * 7 + (index >> 8)) as u8);
    chunk.into()
}

fn synthetic(length: u64) -> MediaBody {
    MediaBody::stream(stream::iter((0..length / CHUNK as u64).map(|index| Ok(chunk(index)))))
}

fn expected_sha256(length: u64) -> String {
    let mut hash = Sha256::new();
    (0..length / CHUNK as u64).for_each(|index| hash.update(chunk(index)));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn child_puts_and_gets() {
    let length = std::env::var(CHILD_BYTES).map_or(1 << 20, |text| text.parse().unwrap());
    let set = EmulatorSet::for_tests().await.unwrap();
    let options = CallOptions::new().with_deadline(Duration::from_secs(300));
    let (stores, calls) = Recorder::watch(&Stores::azure(config(set.env())).await.unwrap().with(options));
    let scope = crate::support::azure::household();
    let path = fresh("movie");
    let idle = peak_kib();
    let put = stores.put_media(&scope, NewMedia::new(&path), synthetic(length), Expect::Absent).await.unwrap();
    let put_requests = calls.only().total_requests();
    assert_eq!((put.length, put.sha256.clone()), (length, expected_sha256(length)));
    let put_peak = peak_kib();

    let mut reader = stores.open_media(&scope, &path, None).await.unwrap().unwrap();
    let mut hash = Sha256::new();
    while let Some(chunk) = reader.next().await {
        hash.update(chunk.unwrap());
    }
    drop(reader);
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, put.sha256, "the bytes read are the bytes put");
    let get_requests: u32 = calls.take().iter().map(openjibo_store::CallReport::total_requests).sum();
    println!(
        "put_requests={put_requests} get_requests={get_requests} peak_kib={} put_peak_kib={put_peak} idle_kib={idle} bytes={length}",
        peak_kib()
    );
}

#[tokio::test]
async fn a_payload_of_256_mib_takes_few_requests_and_little_memory() {
    let set = EmulatorSet::for_tests().await.unwrap();
    let ready = set.ready_line();
    let child = tokio::task::spawn_blocking(move || {
        let length = (256_u64 << 20).to_string();
        Child::run(module_path!(), "child_puts_and_gets", &[(CHILD_BYTES, &length), (EMULATORS, &ready)])
    });
    let child = child.await.unwrap();
    let [put, get, peak, idle] =
        ["put_requests=", " get_requests=", " peak_kib=", "idle_kib="].map(|name| child.get(name));
    println!("256 MiB: put {put} requests, get {get} requests, peak {peak} KiB, idle before {idle} KiB");
    assert!(put <= 36, "{put} requests");
    assert!(get <= 34, "{get} requests");
    assert!(peak <= 96 * 1024, "{peak} KiB");
}
