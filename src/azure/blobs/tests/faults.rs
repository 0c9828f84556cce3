//! Every sequence of a few faults, for each kind of call, judged from what the service holds in the end.

use super::fake::{Fake, Fault};
use super::*;

const FAULTS: [Fault; 6] =
    [Fault::LostBefore, Fault::LostAfter, Fault::ErrorAfter, Fault::Busy, Fault::Unconnected, Fault::Late];

/// Every sequence of at most `longest` faults.
fn plans(longest: u32) -> impl Iterator<Item = Vec<Fault>> {
    let kinds = FAULTS.len();
    (0..=longest).flat_map(move |length| {
        (0..kinds.pow(length)).map(move |index| (0..length).map(|at| FAULTS[index / kinds.pow(at) % kinds]).collect())
    })
}

fn service(fake: &Arc<Fake>) -> AzureBlobs {
    blobs_over(Arc::clone(fake) as Arc<dyn HttpClient>)
}

async fn uploaded(
    bytes: &'static [u8],
    plan: Vec<Fault>,
) -> (Arc<Fake>, Result<crate::backend::BlobDigest, StoreError>) {
    let fake = Fake::new(plan);
    let result = service(&fake).put(&call(), &name(), MediaBody::from(bytes)).await;
    (fake, result)
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_applied_once_whatever_gets_lost() {
    for (bytes, longest) in [(b"abcd".as_slice(), 4), (b"abcdefghi", 4)] {
        let mut runs = 0;
        for plan in plans(longest) {
            let (fake, result) = uploaded(bytes, plan.clone()).await;
            let digest = result.unwrap_or_else(|error| panic!("{plan:?}: {error:?} {}", error.outcome()));
            assert_eq!(digest.sha256, <[u8; 32]>::from(Sha256::digest(bytes)), "{plan:?}");
            assert_eq!((fake.settled().as_deref(), fake.creations()), (Some(bytes), 1), "{plan:?}");
            let least = if bytes.len() > 4 { 4 } else { 1 };
            assert!(fake.requests() <= least + 2 * plan.len() as u32, "{plan:?}: {} requests", fake.requests());
            runs += 1;
        }
        println!("{runs} plans of at most {longest} faults for an upload of {} bytes: all applied once", bytes.len());
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_ends_open_is_unknown_and_one_not_applied_never_lands() {
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for first in plans(2) {
        for forever in FAULTS {
            let plan = first.iter().copied().chain(std::iter::repeat_n(forever, 200));
            let (fake, result) = uploaded(b"abcd", plan.collect()).await;
            let there = fake.settled().is_some();
            let end = match result {
                Ok(_) => {
                    assert!(there, "{first:?} {forever:?}");
                    "applied".to_owned()
                }
                Err(error) => {
                    assert!(error.is_transient(), "{first:?} {forever:?}: never like a refusal: {error:?}");
                    if error.outcome() == Outcome::NotApplied {
                        assert!(!there, "{first:?} {forever:?}");
                    }
                    error.outcome().to_string()
                }
            };
            assert!(fake.creations() <= 1 && fake.requests() <= 60, "{first:?} {forever:?}");
            *ends.entry(end).or_default() += 1;
        }
    }
    println!("{ends:?}");
    assert!(ends.contains_key("unknown") && ends.contains_key("not applied"), "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delete_is_applied_whatever_gets_lost() {
    for plan in plans(3) {
        let (fake, _) = uploaded(b"abcd", Vec::new()).await;
        fake.plan(&plan);
        let cx = call();
        service(&fake).delete(&cx, &name()).await.unwrap_or_else(|error| panic!("{plan:?}: {error:?}"));
        assert_eq!(fake.settled(), None, "{plan:?}");
        assert_eq!(fake.requests(), 2 + plan.len() as u32, "{plan:?}: nothing is read");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_ends_open_is_unknown_and_one_not_applied_deletes_nothing() {
    for first in plans(2) {
        for forever in FAULTS {
            let (fake, _) = uploaded(b"abcd", Vec::new()).await;
            fake.plan(&first.iter().copied().chain(std::iter::repeat_n(forever, 100)).collect::<Vec<_>>());
            let cx = call();
            let Err(error) = service(&fake).delete(&cx, &name()).await else {
                // Applied: a repetition found it gone.
                assert_eq!(fake.settled(), None, "{first:?} {forever:?}");
                continue;
            };
            let open = first.iter().chain([&forever]).any(|fault| !matches!(fault, Fault::Busy | Fault::Unconnected));
            let expected = if open { Outcome::Unknown } else { Outcome::NotApplied };
            assert_eq!((error.outcome(), cx.outcome_if_abandoned()), (expected, expected), "{first:?} {forever:?}");
            assert!(open || fake.settled().is_some());
            assert!(fake.requests() <= 21, "{first:?} {forever:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_yields_the_payload_whatever_breaks() {
    const PAYLOAD: &[u8] = b"abcdefghij";
    for plan in plans(3) {
        let (fake, _) = uploaded(PAYLOAD, Vec::new()).await;
        fake.plan(&plan);
        let reader = service(&fake).open(&call(), &name(), None).await;
        let reader = reader.unwrap_or_else(|error| panic!("{plan:?}: {error:?}")).unwrap();
        assert_eq!(drain(reader).await.unwrap_or_else(|error| panic!("{plan:?}: {error:?}")), PAYLOAD);
    }
}
