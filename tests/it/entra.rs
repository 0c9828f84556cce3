//! Tables and Blobs with tokens of a managed identity, over HTTPS, by the configuration that production uses.

use std::error::Error as _;
use std::time::Instant;

use openjibo_store::{StoreError, Stores};

use crate::support::entra::{Setting, in_child};

fn shown(error: &StoreError) -> String {
    format!("{error} | {error:?} | {:?}", error.source().map(ToString::to_string))
}

#[test]
fn probe() {
    let child = in_child(module_path!(), "probe", Setting::Well, async |lane| {
        for what in ["valid", "expired", "early", "audience", "issuer", "400", "garbage", "silent", "500"] {
            let id = lane.identity(what);
            let began = Instant::now();
            let opened = Stores::azure(lane.config(&id.id)).await;
            println!(
                "{what}: {:?} {:?} {:?}",
                opened.map(|_| ()).map_err(|e| shown(&e)),
                began.elapsed(),
                id.requests()
            );
        }
    });
    if let Some(child) = child {
        println!("{child:?}");
    }
}
#[test]
fn probe2() {
    in_child(module_path!(), "probe2", Setting::UntrustedCertificate, async |lane| {
        let id = lane.identity("valid");
        let began = Instant::now();
        let opened = Stores::azure(lane.config(&id.id)).await;
        panic!("{:?} {:?} {:?}", opened.map(|_| ()).map_err(|e| shown(&e)), began.elapsed(), id.requests());
    });
}
