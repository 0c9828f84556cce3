//! A disk that fails once, at every step in turn.

use std::collections::BTreeSet;

use super::*;

/// Which step fails, and how; and the steps that a run took.
#[derive(Default)]
struct Plan {
    fail: Option<(usize, Do)>,
    steps: Vec<(String, String)>,
}

/// A fresh directory under a plan.
fn planned() -> (Home, JournalBlobs, Arc<Mutex<Plan>>) {
    let (home, plan) = (Home::new(), Arc::new(Mutex::new(Plan::default())));
    let hears = Arc::clone(&plan);
    let blobs = home.hooked(move |step, name| {
        let mut plan = hears.lock().unwrap();
        if step == "removed" {
            return Do::Pass;
        }
        plan.steps.push((step.to_owned(), name.to_owned()));
        match plan.fail {
            Some((at, how)) if at + 1 == plan.steps.len() => how,
            _ => Do::Pass,
        }
    });
    (home, blobs, plan)
}

impl Plan {
    fn set(plan: &Mutex<Self>, fail: Option<(usize, Do)>) {
        *plan.lock().unwrap() = Self { fail, steps: Vec::new() };
    }

    /// The kind of the step that failed; `None` when the run ended before it.
    fn failed(plan: &Mutex<Self>) -> Option<String> {
        let plan = plan.lock().unwrap();
        Some(plan.steps.get(plan.fail?.0)?.0.clone())
    }
}

fn is_definite(error: &StoreError) -> bool {
    error.outcome() == Outcome::NotApplied
}

/// Runs a put of `bytes` with each step failing once, each way. `before` is what the household already has.
async fn put_under_faults(before: &[(u128, Bytes)], expected_steps: &[&str]) {
    let bytes = payload(1, 2 * upload::LARGEST + 5);
    let (mut failed, mut runs) = (BTreeSet::new(), 0);
    for how in [Do::Fail, Do::FailDone] {
        for at in 0.. {
            let (home, blobs, plan) = planned();
            for (n, bytes) in before {
                put(&blobs, &name(*n), bytes).await.unwrap();
            }
            let taken = before.iter().find(|(n, _)| *n == 1).map(|(_, bytes)| bytes.clone());
            Plan::set(&plan, Some((at, how)));
            let end = blobs.put(&cx(), &name(1), MediaBody::Bytes(bytes.clone())).await;
            let Some(step) = Plan::failed(&plan) else {
                assert!(at > 3);
                break;
            };
            runs += 1;
            let context = format!("{how:?} {at} {step}: {end:?}");
            Plan::set(&plan, None);
            // A process that opens the directory afterwards finds the same.
            let there = read(&blobs, &name(1)).await;
            assert_eq!(home.temporary(), [""; 0], "{context}");
            assert_eq!(read(&home.blobs(), &name(1)).await, there, "{context}");
            match &end {
                Ok(digest) => {
                    assert_eq!(there.as_deref(), Some(&*bytes), "{context}");
                    assert_eq!(digest.length, bytes.len() as u64);
                }
                Err(error) if is_definite(error) => {
                    assert_eq!(there.as_deref(), taken.as_deref(), "{context}");
                }
                Err(error) => {
                    assert_eq!(error.outcome(), Outcome::Unknown, "{context}");
                    assert!(error.is_transient(), "{context}");
                    assert_eq!(there.as_deref(), Some(&*bytes), "{context}");
                    let may_end = step == "sync_dir" || (step == "rename" && how == Do::FailDone);
                    assert!(may_end, "{context}");
                }
            }
            if end.is_err() {
                failed.insert(step.clone());
            }
            let again = put(&blobs, &name(1), &bytes).await;
            if taken.is_none() || taken.as_ref() == Some(&bytes) {
                assert_eq!(again.unwrap().length, bytes.len() as u64, "{context}");
            } else {
                assert_eq!(again.unwrap_err().kind(), &ErrorKind::AlreadyExists, "{context}");
            }
            put(&blobs, &name(2), &payload(2, 10)).await.unwrap();
            assert_eq!(read(&blobs, &name(2)).await.unwrap(), payload(2, 10), "{context}");
            assert_eq!(home.temporary(), [""; 0], "{context}");
        }
    }
    assert_eq!(failed.iter().collect::<Vec<_>>(), expected_steps);
    println!("{runs} failures");
}

#[tokio::test]
async fn a_put_whose_step_failed_left_nothing_or_all() {
    let first = ["append", "create", "create_dir", "open", "rename", "sync", "sync_dir"];
    put_under_faults(&[], &first).await;
    let later = ["append", "create", "open", "rename", "sync", "sync_dir"];
    put_under_faults(&[(7, payload(7, 10))], &later).await;
}

#[tokio::test]
async fn a_put_to_a_taken_name_whose_step_failed_left_what_was_there() {
    let same = payload(1, 2 * upload::LARGEST + 5);
    let mut other = same.to_vec();
    other[2_000_000] ^= 1;
    let equal = ["append", "create", "len", "open", "read_at", "sync", "sync_dir"];
    put_under_faults(&[(1, same)], &equal).await;
    // Refused in any case, whether a step failed or not.
    let refused = ["append", "create", "len", "open", "read_at", "remove", "sync"];
    put_under_faults(&[(1, other.into())], &refused).await;
}

#[tokio::test]
async fn a_delete_whose_step_failed_left_all_or_nothing() {
    let (bytes, mut unknown) = (payload(1, 1_000), BTreeSet::new());
    for how in [Do::Fail, Do::FailDone] {
        for at in 0.. {
            let (home, blobs, plan) = planned();
            put(&blobs, &name(1), &bytes).await.unwrap();
            Plan::set(&plan, Some((at, how)));
            let cx = cx();
            let end = blobs.delete(&cx, &name(1)).await;
            let Some(step) = Plan::failed(&plan) else {
                assert_eq!(at, 2);
                break;
            };
            Plan::set(&plan, None);
            let there = read(&blobs, &name(1)).await;
            let error = end.unwrap_err();
            assert_eq!(cx.outcome_if_abandoned(), error.outcome());
            if is_definite(&error) {
                assert_eq!((step.as_str(), how, there.as_deref()), ("remove", Do::Fail, Some(&*bytes)));
            } else {
                assert!(error.is_transient() && there.is_none(), "{how:?} {step}");
                unknown.insert(step);
            }
            blobs.delete(&cx, &name(1)).await.unwrap();
            assert!(read(&blobs, &name(1)).await.is_none());
            put(&blobs, &name(1), &bytes).await.unwrap();
            assert_eq!(files_below(&home.root()).len(), 1);
        }
    }
    assert_eq!(unknown.into_iter().collect::<Vec<_>>(), ["remove", "sync_dir"]);
}

/// Bytes before the name, folders from above, the name last and then its folder: in this order a power cut finds the payload whole or
/// not at all, and an acknowledged one always.
#[tokio::test]
async fn a_put_is_durable_before_it_is_acknowledged() {
    let (_home, blobs, plan) = planned();
    let steps = async |n, length| {
        Plan::set(&plan, None);
        put(&blobs, &name(n), &payload(1, length)).await.unwrap();
        let steps = std::mem::take(&mut plan.lock().unwrap().steps);
        // Behind its number a temporary file's name is random.
        let plain = |name: String| match name.strip_prefix("tmp/payload-").and_then(|rest| rest.split_once('-')) {
            Some((number, _)) => format!("tmp/payload-{number}"),
            None => name,
        };
        steps.into_iter().map(|(step, name)| (step, plain(name))).collect::<Vec<_>>()
    };
    let named = |steps: &[(&str, &str)]| -> Vec<(String, String)> {
        steps.iter().map(|(step, name)| ((*step).to_owned(), (*name).to_owned())).collect()
    };
    let (account, household) = ("payloads/media/id-ann", "payloads/media/id-ann/id-home");
    let file = |n: u128| format!("{household}/{n:032x}");
    let expected = [
        ("create", "tmp/payload-0"),
        ("append", "tmp/payload-0"),
        ("append", "tmp/payload-0"),
        ("sync", "tmp/payload-0"),
        ("create_dir", account),
        ("sync_dir", "payloads/media"),
        ("create_dir", household),
        ("sync_dir", account),
        ("open", &file(1)),
        ("rename", &file(1)),
        ("sync_dir", household),
    ];
    assert_eq!(steps(1, upload::LARGEST + 1).await, named(&expected));
    let expected = [
        ("create", "tmp/payload-1"),
        ("sync", "tmp/payload-1"),
        ("open", &file(2)),
        ("rename", &file(2)),
        ("sync_dir", household),
    ];
    assert_eq!(steps(2, 0).await, named(&expected));
    // The same bytes once more: the put that wrote them may not have been durable.
    let expected = [
        ("create", "tmp/payload-2"),
        ("sync", "tmp/payload-2"),
        ("open", &file(2)),
        ("remove", "tmp/payload-2"),
        ("len", &file(2)),
        ("sync_dir", household),
    ];
    assert_eq!(steps(2, 0).await, named(&expected));
    // Nor may the delete that removed it.
    for _ in 0..2 {
        Plan::set(&plan, None);
        blobs.delete(&cx(), &name(2)).await.unwrap();
        let deleted = std::mem::take(&mut plan.lock().unwrap().steps);
        assert_eq!(deleted, named(&[("remove", &file(2)), ("sync_dir", household)]));
    }
}

#[tokio::test]
async fn a_folder_removed_by_hand_is_made_again() {
    let home = Home::new();
    let blobs = home.blobs();
    put(&blobs, &name(1), &payload(1, 10)).await.unwrap();
    std::fs::remove_dir_all(home.root().join("payloads/media/id-ann")).unwrap();
    assert!(is_definite(&put(&blobs, &name(1), &payload(1, 10)).await.unwrap_err()));
    put(&blobs, &name(1), &payload(1, 10)).await.unwrap();
    assert_eq!(read(&blobs, &name(1)).await.unwrap(), payload(1, 10));
}
