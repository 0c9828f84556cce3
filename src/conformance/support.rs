//! What every property begins with: fresh ids, two replicas, and checks that say what was expected.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::{Capabilities, Harness, Replicas};
use crate::Stores;
use crate::backend::CallContext;
use crate::contract::{
    AccountId, AccountScope, CallOptions, Clock, DeviceId, DeviceScope, ErrorKind, Freshness, IdSource, LoopId,
    LoopScope, MemberId, MemoryScope, Outcome, Page, Paged, PersonId, RandomIds, Result, StoreError, SystemClock,
    Timestamp,
};

/// One property's own world: nothing else uses its ids.
pub(super) struct World {
    /// The first replica, at session freshness.
    pub(super) a: Stores,
    /// The second replica; its reads see every acknowledged write.
    pub(super) b: Stores,
    /// The second replica at session freshness.
    pub(super) b_session: Stores,
    pub(super) capabilities: Capabilities,
    pub(super) account: AccountId,
    pub(super) home: LoopScope,
    pub(super) robot: DeviceId,
    /// What the household told the robot.
    pub(super) memory_scope: MemoryScope,
    /// The clock of both replicas where the world was made by [`World::on_a_clock`]; else nobody reads it.
    pub(super) clock: Arc<TestClock>,
    tag: String,
}

impl World {
    pub(super) async fn of(h: &dyn Harness) -> Self {
        Self::over(h.replicas().await, h.capabilities(), Arc::default())
    }

    /// The same with both replicas on a clock of the world's own, which moves a millisecond each time it is read and as
    /// far as the property moves it.
    pub(super) async fn on_a_clock(h: &dyn Harness) -> Self {
        let clock = Arc::new(TestClock::default());
        let Replicas { a, b } = h.replicas().await;
        let replicas = Replicas { a: a.with_clock(clock.clone()), b: b.with_clock(clock.clone()) };
        Self::over(replicas, h.capabilities(), clock)
    }

    /// Another world on the same replicas.
    pub(super) fn again(&self) -> Self {
        let replicas = Replicas { a: self.a.clone(), b: self.b_session.clone() };
        Self::over(replicas, self.capabilities, self.clock.clone())
    }

    fn over(replicas: Replicas, capabilities: Capabilities, clock: Arc<TestClock>) -> Self {
        let tag = format!("{:016x}", random());
        let account = AccountId::new(format!("usr-{tag}")).must("an account id");
        let loop_id = LoopId::new(format!("loop-{tag}")).must("a loop id");
        let robot = DeviceId::new(format!("BOJW-{tag}")).must("a device id");
        let home = LoopScope::new(account.clone(), loop_id);
        let latest = CallOptions::new().with_freshness(Freshness::Latest);
        Self {
            a: replicas.a,
            b: replicas.b.with(latest),
            b_session: replicas.b,
            capabilities,
            memory_scope: home.household_memory(robot.clone()),
            account,
            home,
            robot,
            clock,
            tag,
        }
    }

    /// A context for calling a port directly, on the world's clock.
    pub(super) fn context(&self) -> CallContext {
        context_on(self.clock.clone())
    }

    /// A text that no other property uses.
    pub(super) fn text(&self, name: &str) -> String {
        format!("{name}-{}", self.tag)
    }

    pub(super) fn account(&self) -> AccountScope {
        AccountScope::new(self.account.clone())
    }

    pub(super) fn device(&self) -> DeviceScope {
        DeviceScope::new(self.robot.clone())
    }

    pub(super) fn another_account(&self, name: &str) -> AccountId {
        AccountId::new(self.text(name)).must("an account id")
    }

    pub(super) fn another_robot(&self, name: &str) -> DeviceId {
        DeviceId::new(self.text(name)).must("a device id")
    }

    pub(super) fn another_home(&self, name: &str) -> LoopScope {
        LoopScope::new(self.account.clone(), LoopId::new(self.text(name)).must("a loop id"))
    }

    pub(super) fn person(&self, name: &str) -> MemoryScope {
        self.home.person_memory(self.robot.clone(), person(name))
    }
}

pub(super) fn person(name: &str) -> PersonId {
    PersonId::new(name).must("a person id")
}

pub(super) fn member(name: &str) -> MemberId {
    MemberId::new(name).must("a member id")
}

/// A whole list, page by page, whatever the size of the backend's pages.
pub(super) async fn whole<T, F>(mut read: impl FnMut(Page) -> F) -> Vec<T>
where
    F: Future<Output = Result<Paged<T>>>,
{
    let (mut items, mut page) = (Vec::new(), Page::first());
    for _ in 0..10_000 {
        let paged = read(page).await.must("a page of a list");
        items.extend(paged.items);
        let Some(next) = paged.next else { return items };
        page = Page::after(next);
    }
    panic!("the list must come to an end")
}

/// 64 random bits.
pub(super) fn random() -> u64 {
    let bytes = RandomIds.next_id();
    u64::from_be_bytes(std::array::from_fn(|i| bytes[i]))
}

/// A context for calling a port directly.
pub(super) fn context() -> CallContext {
    context_on(Arc::new(SystemClock))
}

/// The same on this clock.
pub(super) fn context_on(clock: Arc<dyn Clock>) -> CallContext {
    CallContext::new("conformance", RandomIds.next_id(), Duration::from_secs(60), Freshness::Latest, clock)
}

/// A clock that moves as far as it is moved, and by a step each time it is read. It begins at the system's present, since
/// services stamp what they keep themselves.
#[derive(Debug)]
pub(super) struct TestClock {
    micros: AtomicI64,
    step: AtomicI64,
}

impl TestClock {
    /// The step unless it is set: no two reads in one millisecond, which is as fine as the time index of media is.
    pub(super) const STEP: Duration = Duration::from_millis(1);

    /// Moves it forward.
    pub(super) fn advance(&self, time: Duration) {
        self.micros.fetch_add(micros(time), Ordering::SeqCst);
    }

    /// How far each read moves it from now on; zero stops it.
    pub(super) fn set_step(&self, step: Duration) {
        self.step.store(micros(step), Ordering::SeqCst);
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).expect("a time that a property can wait for")
}

impl Default for TestClock {
    fn default() -> Self {
        Self { micros: Timestamp::now().as_micros().into(), step: micros(Self::STEP).into() }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.micros.fetch_add(self.step.load(Ordering::SeqCst), Ordering::SeqCst))
    }
}

/// A clock that stands still.
#[derive(Debug)]
pub(super) struct FixedClock(pub(super) Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A clock that stands at this many milliseconds after 1970.
pub(super) fn clock_at(millis: i64) -> Arc<dyn Clock> {
    Arc::new(FixedClock(Timestamp::from_millis(millis)))
}

/// Takes the value out, or panics with what was expected.
pub(super) trait Must<T> {
    fn must(self, what: &str) -> T;
}

impl<T> Must<T> for Result<T> {
    #[track_caller]
    fn must(self, what: &str) -> T {
        match self {
            Ok(value) => value,
            Err(error) => panic!("{what}: failed with '{error}' ({error:?})"),
        }
    }
}

impl<T> Must<T> for Option<T> {
    #[track_caller]
    fn must(self, what: &str) -> T {
        match self {
            Some(value) => value,
            None => panic!("{what}: there is none"),
        }
    }
}

/// The error of a call that must fail with its write not applied.
#[track_caller]
pub(super) fn refused<T>(result: Result<T>, what: &str) -> StoreError {
    match result {
        Ok(_) => panic!("{what}: must be refused, but it was done"),
        Err(error) => {
            assert_eq!(error.outcome(), Outcome::NotApplied, "{what}: {error}");
            error
        }
    }
}

#[track_caller]
pub(super) fn conflicts<T>(result: Result<T>, what: &str) -> StoreError {
    let error = refused(result, what);
    assert!(matches!(error.kind(), ErrorKind::Conflict { .. }), "{what}: must be a conflict, not '{error}'");
    error
}

#[track_caller]
pub(super) fn exists<T>(result: Result<T>, what: &str) -> StoreError {
    let error = refused(result, what);
    assert_eq!(*error.kind(), ErrorKind::AlreadyExists, "{what}");
    error
}

#[track_caller]
pub(super) fn not_found<T>(result: Result<T>, what: &str) {
    let error = refused(result, what);
    assert_eq!(*error.kind(), ErrorKind::NotFound, "{what}");
}

#[track_caller]
pub(super) fn invalid<T>(result: Result<T>, name: &str, what: &str) -> StoreError {
    let error = refused(result, what);
    match error.kind() {
        ErrorKind::Invalid { field, .. } => assert_eq!(field, name, "{what}"),
        _ => panic!("{what}: must be Invalid{{{name}}}, not '{error}'"),
    }
    error
}

#[track_caller]
pub(super) fn over_limit<T>(result: Result<T>, (most, given): (u64, u64), what: &str) {
    let error = refused(result, what);
    match error.kind() {
        ErrorKind::LimitExceeded { field, limit, actual } => {
            assert!(!field.is_empty(), "{what}: the field must be named");
            assert_eq!((*limit, *actual), (most, given), "{what}: {error}");
        }
        _ => panic!("{what}: must be over the limit, not '{error}'"),
    }
}

#[track_caller]
pub(super) fn corrupt<T>(result: Result<T>, what: &str) -> StoreError {
    let error = refused(result, what);
    match error.kind() {
        ErrorKind::Corrupt { record, reason } => {
            assert!(!record.is_empty() && !reason.is_empty(), "{what}: {error}");
        }
        _ => panic!("{what}: must be corrupt, not '{error}'"),
    }
    error
}

#[track_caller]
pub(super) fn unsupported<T>(result: Result<T>, what: &str) {
    let error = refused(result, what);
    assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{what}: must be unsupported, not '{error}'");
}
