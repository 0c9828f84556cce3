use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::backend::JumpingClock;
use crate::contract::{Freshness, system_clock};

type Script<T> = Mutex<VecDeque<T>>;

/// A write whose sends and reads end as scripted; without a line left, a send and a read never answer.
struct Scripted {
    cx: CallContext,
    sends: Script<Reply<&'static str, &'static str>>,
    reads: Script<Result<Evidence<&'static str>, StoreError>>,
    asked: Mutex<Vec<Answer>>,
    sent: Mutex<u32>,
}

impl Delivery for Scripted {
    type Accepted = &'static str;
    type Refused = &'static str;
    type Found = &'static str;

    fn sending(&self) -> Vec<PendingWrite> {
        vec![self.cx.write_sent()]
    }

    async fn send(&self, until: Instant) -> Reply<&'static str, &'static str> {
        *self.sent.lock().unwrap() += 1;
        let next = self.sends.lock().unwrap().pop_front();
        match next {
            Some(reply) => reply,
            None => {
                tokio::time::sleep_until(until).await;
                Reply::Open(StoreError::timeout())
            }
        }
    }

    async fn evidence(&self, last: Answer) -> Result<Evidence<&'static str>, StoreError> {
        self.asked.lock().unwrap().push(last);
        let next = self.reads.lock().unwrap().pop_front();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

fn refused(executions: Option<u32>, proof: Proof) -> Reply<&'static str, &'static str> {
    Reply::Refused { refusal: "refused", executions, proof }
}

fn open() -> Reply<&'static str, &'static str> {
    Reply::Open(StoreError::unavailable())
}

fn throttled(millis: u64) -> StoreError {
    StoreError::new(ErrorKind::Throttled { retry_after: Some(Duration::from_millis(millis)) })
}

fn script(
    sends: impl IntoIterator<Item = Reply<&'static str, &'static str>>,
    reads: impl IntoIterator<Item = Result<Evidence<&'static str>, StoreError>>,
) -> Scripted {
    Scripted {
        cx: CallContext::new("test", [0; 16], Duration::from_secs(30), Freshness::Session, system_clock()),
        sends: Mutex::new(sends.into_iter().collect()),
        reads: Mutex::new(reads.into_iter().collect()),
        asked: Mutex::default(),
        sent: Mutex::default(),
    }
}

/// The end in one word, the sends, the reads, and the outcome that the call is left with.
async fn end(write: &Scripted) -> (String, u32, usize, Outcome) {
    let end = match deliver(&write.cx, write).await {
        Ok(Delivered::Accepted(_)) => "accepted".to_owned(),
        Ok(Delivered::Refused(_)) => "refused".to_owned(),
        Ok(Delivered::Applied(_)) => "applied".to_owned(),
        Ok(Delivered::NotApplied(_)) => "not applied".to_owned(),
        Err(error) => format!("{}, {}", error.kind().name(), error.outcome()),
    };
    let reads = write.asked.lock().unwrap().len();
    (end, *write.sent.lock().unwrap(), reads, write.cx.outcome_if_abandoned())
}

async fn check(write: Scripted, expected: &str, sends: u32, reads: usize, left: Outcome) {
    assert_eq!(end(&write).await, (expected.to_owned(), sends, reads, left));
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_success_is_applied_and_nothing_is_read() {
    check(script([Reply::Accepted("")], []), "accepted", 1, 0, Outcome::Unknown).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_never_executed_is_not_applied_and_its_error_stays() {
    let write = script([Reply::NotExecuted(throttled(5))], []);
    check(write, "throttled, not applied", 1, 0, Outcome::NotApplied).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_only_execution_is_definite() {
    for (executions, proof) in [(Some(1), Proof::IfOnly), (Some(1), Proof::Always), (None, Proof::Always)] {
        check(script([refused(executions, proof)], []), "refused", 1, 0, Outcome::NotApplied).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_may_be_an_echo_is_decided_by_a_read() {
    for executions in [Some(2), None] {
        for proof in [Proof::IfOnly, Proof::IfOnlyAndRead] {
            let write = script([refused(executions, proof)], [Ok(Evidence::Applied(""))]);
            check(write, "applied", 1, 1, Outcome::Unknown).await;
            let write = script([refused(executions, proof)], [Ok(Evidence::NotApplied(""))]);
            check(write, "not applied", 1, 1, Outcome::NotApplied).await;
            let write = script([refused(executions, proof)], [Ok(Evidence::Inconclusive)]);
            check(write, "unavailable, unknown", 1, 1, Outcome::Unknown).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_read_also_after_a_proven_refusal_but_a_failed_read_leaves_it_proven() {
    let write = script([refused(Some(1), Proof::IfOnlyAndRead)], [Ok(Evidence::NotApplied(""))]);
    check(write, "not applied", 1, 1, Outcome::NotApplied).await;
    let reads = [Err(StoreError::invalid("f", "r")), Ok(Evidence::MayStillLand), Ok(Evidence::Inconclusive)];
    for read in reads {
        let write = script([refused(Some(1), Proof::IfOnlyAndRead)], [read]);
        check(write, "refused", 1, 1, Outcome::NotApplied).await;
    }
    let write = script([refused(Some(2), Proof::IfOnlyAndRead)], [Err(StoreError::invalid("f", "r"))]);
    check(write, "unavailable, unknown", 1, 1, Outcome::Unknown).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_still_land_is_sent_again_until_an_answer() {
    let write = script([open(), open(), Reply::Accepted("")], [Ok(Evidence::MayStillLand), Ok(Evidence::MayStillLand)]);
    check(write, "accepted", 3, 2, Outcome::Unknown).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_resend_is_never_taken_for_definite() {
    let write =
        script([open(), refused(Some(1), Proof::IfOnly)], [Ok(Evidence::MayStillLand), Ok(Evidence::Applied(""))]);
    assert_eq!(end(&write).await, ("applied".to_owned(), 2, 2, Outcome::Unknown));
    assert_eq!(*write.asked.lock().unwrap(), [Answer::Open, Answer::Refused { attempts: Some(2) }]);
}

#[tokio::test(start_paused = true)]
async fn a_resend_refused_before_execution_leaves_the_first_send_open() {
    let sends = [open(), Reply::NotExecuted(throttled(1_500)), Reply::Accepted("")];
    let write = script(sends, [Ok(Evidence::MayStillLand), Ok(Evidence::MayStillLand)]);
    let began = Instant::now();
    assert_eq!(end(&write).await, ("accepted".to_owned(), 3, 2, Outcome::Unknown));
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(1_500) && waited <= Duration::from_millis(1_520), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_until_the_deadline_is_unknown() {
    let write = script([], std::iter::repeat_with(|| Ok(Evidence::MayStillLand)).take(50));
    let (end, sends, _, left) = end(&write).await;
    assert_eq!((end.as_str(), left), ("timeout, unknown", Outcome::Unknown));
    assert!((3..=10).contains(&sends), "{sends} sends");
    assert!(Instant::now() < write.cx.deadline());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_broken_gets_a_bounded_number_of_sends() {
    let sends = std::iter::repeat_with(open).take(100);
    let write = script(sends, std::iter::repeat_with(|| Ok(Evidence::MayStillLand)).take(100));
    let (end, sends, _, _) = end(&write).await;
    assert_eq!(end, "unavailable, unknown");
    assert!((8..=20).contains(&sends), "{sends} sends");
}

#[tokio::test(start_paused = true)]
async fn the_read_itself_may_get_lost_and_is_made_again() {
    let write = script([open()], [Err(StoreError::unavailable()), Err(throttled(3)), Ok(Evidence::Applied(""))]);
    check(write, "applied", 1, 3, Outcome::Unknown).await;
}

#[tokio::test(start_paused = true)]
async fn a_read_that_never_answers_leaves_the_outcome_unknown_and_ends_with_the_call() {
    let write = script([open()], []);
    let (end, sends, reads, left) = end(&write).await;
    assert_eq!((end.as_str(), sends, left), ("timeout, unknown", 1, Outcome::Unknown));
    assert!(reads >= 2);
    assert!(Instant::now() <= write.cx.deadline());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_never_looks_like_a_refusal() {
    for error in [StoreError::conflict(None), StoreError::new(ErrorKind::AlreadyExists), throttled(1)] {
        let error = unknown(error);
        assert_eq!((error.kind().name(), error.outcome()), ("unavailable", Outcome::Unknown));
    }
}

// Guards against: a pause beyond what the clock can count panicked, and the write's outcome with it.
#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_any_clock_counts_leaves_an_open_write_unknown() {
    let forever = StoreError::new(ErrorKind::Throttled { retry_after: Some(Duration::MAX) });
    let write = script([open(), Reply::NotExecuted(forever)], [Ok(Evidence::MayStillLand), Ok(Evidence::MayStillLand)]);
    check(write, "unavailable, unknown", 2, 2, Outcome::Unknown).await;
}

// Guards against a write sent, or sent again, by a host that was suspended for longer than its call may take.
#[tokio::test(start_paused = true)]
async fn a_suspended_call_sends_nothing_and_nothing_again() {
    let clock = Arc::new(JumpingClock::default());
    let call = || CallContext::new("test", [0; 16], Duration::from_secs(300), Freshness::Session, clock.clone());
    let write = Scripted { cx: call(), ..script([Reply::Accepted("")], []) };
    clock.jump(3_600);
    check(write, "timeout, not applied", 0, 0, Outcome::NotApplied).await;

    let may_land = Ok(Evidence::MayStillLand);
    let wait = || Reply::NotExecuted(throttled(2_000));
    let write = Scripted {
        cx: call(),
        ..script([open(), wait(), Reply::Accepted("")], [may_land, Ok(Evidence::MayStillLand)])
    };
    let suspended = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        clock.jump(3_600);
    };
    let ((end, sends, _, left), ()) = futures::join!(end(&write), suspended);
    assert_eq!((end.as_str(), sends, left), ("unavailable, unknown", 2, Outcome::Unknown));
}
