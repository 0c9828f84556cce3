//! The plan: rules, the draw, and what was done.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::answers::{Answers, UnderWay};
use super::request::{Action, Fault, Request, RequestKind};
use crate::contract::Service;

/// Which of the requests that a rule matches it strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum When {
    /// All of them.
    Always,
    /// The nth since the rule was added, from 1, and no other.
    Nth(u64),
    /// Each with this probability, 0 to 1.
    Share(f64),
}

/// A fault, where it strikes and how often.
#[derive(Debug, Clone)]
pub struct FaultRule {
    fault: Fault,
    service: Option<Service>,
    kinds: Vec<RequestKind>,
    when: When,
}

impl FaultRule {
    /// A rule for requests of these kinds to any service.
    pub fn new(fault: Fault, kinds: impl Into<Vec<RequestKind>>, when: When) -> Self {
        Self { fault, service: None, kinds: kinds.into(), when }
    }

    /// The same, for one service only.
    #[must_use]
    pub fn at(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    fn matches(&self, request: &Request<'_>) -> bool {
        self.service.is_none_or(|service| service == request.service) && self.kinds.contains(&request.kind)
    }
}

/// How often a fault was injected into requests of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// [`Fault::name`].
    pub fault: String,
    /// Where.
    pub service: Service,
    /// Into what.
    pub kind: RequestKind,
    /// How often.
    pub count: u64,
}

/// Switches of a client library's own "connection refused": only the client's side can tell that nothing was sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals {
    /// Refuses each request while on.
    pub(crate) always: Arc<AtomicBool>,
    /// Refuses the next request while on and while `hits` is 0; the client counts `hits`.
    pub(crate) once: Arc<AtomicBool>,
    pub(crate) hits: Arc<AtomicU32>,
    /// Hits before the last rule.
    before: u64,
}

impl Refusals {
    fn count(&self) -> u64 {
        self.before + u64::from(self.hits.load(Ordering::SeqCst))
    }
}

#[derive(Default)]
struct State {
    random: u64,
    rules: Vec<(FaultRule, u64)>,
    requests: BTreeMap<(Service, RequestKind), u64>,
    injected: BTreeMap<(String, Service, RequestKind), u64>,
    /// Faults by the partition or payload that they struck.
    scopes: BTreeMap<String, u64>,
    /// Services whose next read is lost.
    lose_read: Vec<Service>,
    /// Services of which every answer and every read is lost.
    dark: Vec<Service>,
    /// Requests of a service that the client itself may refuse.
    refusals: BTreeMap<(Service, RequestKind), Refusals>,
}

/// Which requests go wrong, and how. A cheap handle: clones are the same plan.
///
/// The seed decides the sequence of draws. Requests draw in the order in which they arrive: with one caller at a time, a
/// seed means the same faults each time; with many, the same number of them and another distribution.
#[derive(Clone)]
pub struct FaultPlan {
    seed: u64,
    state: Arc<Mutex<State>>,
    answers: Answers,
}

impl fmt::Debug for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultPlan").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// The first rule that strikes decides; a request that none strikes is forwarded.
impl FaultPlan {
    /// A plan without rules: every request is forwarded, and counted.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            state: Arc::new(Mutex::new(State { random: seed, ..State::default() })),
            answers: Answers::default(),
        }
    }

    /// The seed, to be printed beside figures.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule behind the others. It holds from the next request on.
    pub fn add(&self, rule: FaultRule) {
        let mut state = self.state();
        if matches!(rule.fault, Fault::Refused) {
            let struck = state.refusals.iter_mut().filter(|((service, kind), _)| {
                rule.kinds.contains(kind) && rule.service.is_none_or(|at| at == *service)
            });
            for (_, refusals) in struck {
                refusals.before += u64::from(refusals.hits.swap(0, Ordering::SeqCst));
                let switch = if rule.when == When::Always { &refusals.always } else { &refusals.once };
                switch.store(true, Ordering::SeqCst);
            }
        }
        state.rules.push((rule, 0));
    }

    /// [`add`](Self::add), for building.
    #[must_use]
    pub fn with(self, rule: FaultRule) -> Self {
        self.add(rule);
        self
    }

    /// Removes all rules, and all that they have begun: from now on every request is forwarded. Counts stay.
    pub fn clear(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.lose_read.clear();
        state.dark.clear();
        for refusals in state.refusals.values() {
            refusals.always.store(false, Ordering::SeqCst);
            refusals.once.store(false, Ordering::SeqCst);
        }
    }

    /// Decides about one request, counts it, and counts what is done to it. Called once for each send, retries included.
    pub fn decide(&self, request: &Request<'_>) -> Action {
        let mut state = self.state();
        let place = (request.service, request.kind);
        *state.requests.entry(place).or_default() += 1;
        if request.kind == RequestKind::Other {
            return Action::Forward;
        }
        // The client refuses what is registered; the plan only knows that it may.
        let by_client = state.refusals.contains_key(&place);
        let Some((fault, action)) = state.strike(request, by_client) else { return Action::Forward };
        state.count(fault, request);
        action
    }

    /// Requests seen so far, by service and kind.
    pub fn requests(&self) -> Vec<(Service, RequestKind, u64)> {
        self.state().requests.iter().map(|((service, kind), count)| (*service, *kind, *count)).collect()
    }

    /// Requests seen so far by one service.
    pub fn requests_to(&self, service: Service) -> u64 {
        self.requests().into_iter().filter(|(at, ..)| *at == service).map(|(.., count)| count).sum()
    }

    /// What was injected so far, by fault, service and kind.
    pub fn injected(&self) -> Vec<Injected> {
        let state = self.state();
        let counted = state.injected.iter().map(|((fault, service, kind), count)| Injected {
            fault: fault.clone(),
            service: *service,
            kind: *kind,
            count: *count,
        });
        let refused = state.refusals.iter().map(|((service, kind), refusals)| Injected {
            fault: Fault::Refused.name(),
            service: *service,
            kind: *kind,
            count: refusals.count(),
        });
        counted.chain(refused.filter(|refused| refused.count > 0)).collect()
    }

    /// How many faults were injected so far.
    pub fn total(&self) -> u64 {
        self.injected().iter().map(|injected| injected.count).sum()
    }

    /// How many faults have struck requests about partitions or payloads whose names begin so, where the wire could tell.
    pub fn struck(&self, scope: &str) -> u64 {
        let state = self.state();
        let below = state.scopes.range(scope.to_owned()..).take_while(|(name, _)| name.starts_with(scope));
        below.map(|(_, count)| count).sum()
    }

    /// A request that a wire forwards, until its answer is there or its sender gives it up.
    #[cfg_attr(not(feature = "emulator"), allow(dead_code, reason = "used by wires"))]
    pub(crate) fn under_way(&self, scopes: &[&str]) -> UnderWay {
        self.answers.begin(scopes)
    }

    /// For how long, from `since` until now, at least one request was under way that took longer than 250 ms, about partitions or
    /// payloads whose names begin so. A wire that doesn't say when its requests are under way has none.
    pub fn slow(&self, scopes: &[&str], since: Instant) -> Duration {
        self.answers.slow(scopes, since)
    }

    /// The switches of a client that refuses connections itself, for requests of this kind.
    #[cfg_attr(not(feature = "emulator"), allow(dead_code, reason = "used by clients with such switches"))]
    pub(crate) fn refusals(&self, service: Service, kind: RequestKind) -> Refusals {
        self.state().refusals.entry((service, kind)).or_default().clone()
    }
}

impl State {
    /// The next of a sequence that the seed decides ("splitmix64").
    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn strike(&mut self, request: &Request<'_>, by_client: bool) -> Option<(String, Action)> {
        let write = request.kind.is_write();
        if self.dark.contains(&request.service) {
            let action = if write { Action::LoseAnswer } else { Action::LoseRequest };
            return Some((Fault::DeadlineOpen.name(), action));
        }
        if !write && let Some(at) = self.lose_read.iter().position(|service| *service == request.service) {
            self.lose_read.swap_remove(at);
            return Some((Fault::ReadBackLost.name(), Action::LoseRequest));
        }
        for at in 0..self.rules.len() {
            let (rule, seen) = &mut self.rules[at];
            if !rule.matches(request) || (by_client && matches!(rule.fault, Fault::Refused)) {
                continue;
            }
            *seen += 1;
            let (when, seen) = (rule.when, *seen);
            let strikes = match when {
                When::Always => true,
                When::Nth(n) => seen == n,
                When::Share(share) => self.draw() < share,
            };
            if strikes {
                return Some(self.action(at, request.service));
            }
        }
        None
    }

    fn action(&mut self, rule: usize, service: Service) -> (String, Action) {
        let fault = self.rules[rule].0.fault.clone();
        let name = fault.name();
        let action = match fault {
            Fault::AnswerLost => Action::LoseAnswer,
            Fault::RequestLost => Action::LoseRequest,
            Fault::Refused => Action::Refuse,
            Fault::Delay(time) => Action::Delay(time),
            Fault::BodyTruncated => Action::Truncate,
            Fault::Status(status) => Action::Answer(status),
            Fault::StatusAfter(status) => Action::AnswerAfter(status),
            Fault::ReadBackLost => {
                self.lose_read.push(service);
                Action::LoseAnswer
            }
            Fault::PeerMovesHead(peer) => Action::LoseAnswerToPeer(peer),
            Fault::DeadlineOpen => {
                self.dark.push(service);
                Action::LoseAnswer
            }
        };
        (name, action)
    }

    fn count(&mut self, fault: String, request: &Request<'_>) {
        *self.injected.entry((fault, request.service, request.kind)).or_default() += 1;
        for scope in request.scopes {
            *self.scopes.entry((*scope).to_owned()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: RequestKind) -> Request<'static> {
        Request { service: Service::Tables, kind, scopes: &["home"] }
    }

    fn struck(plan: &FaultPlan, kind: RequestKind) -> bool {
        !matches!(plan.decide(&request(kind)), Action::Forward)
    }

    #[test]
    fn a_seed_means_the_same_faults() {
        let draws = |seed| {
            let rule = FaultRule::new(Fault::AnswerLost, [RequestKind::Get], When::Share(0.2));
            let plan = FaultPlan::new(seed).with(rule);
            (0..10_000).map(|_| struck(&plan, RequestKind::Get)).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        let share = draws(7).iter().filter(|struck| **struck).count();
        assert!((1_850..2_150).contains(&share), "{share} of 10,000 at 20 %");
    }

    #[test]
    fn a_rule_strikes_where_and_when_it_says() {
        let rule = FaultRule::new(Fault::AnswerLost, RequestKind::RECORD_WRITES, When::Nth(2)).at(Service::Tables);
        let plan = FaultPlan::new(1).with(rule);
        let elsewhere = Request { service: Service::Blobs, kind: RequestKind::Create, scopes: &[] };
        assert!(matches!(plan.decide(&elsewhere), Action::Forward));
        let kinds = [RequestKind::Create, RequestKind::Get, RequestKind::Replace, RequestKind::Delete];
        assert_eq!(kinds.map(|kind| struck(&plan, kind)), [false, false, true, false]);
        let only =
            Injected { fault: "answer lost".into(), service: Service::Tables, kind: RequestKind::Replace, count: 1 };
        assert_eq!(plan.injected(), [only]);
        assert_eq!((plan.total(), plan.struck("home"), plan.requests_to(Service::Tables)), (1, 1, 4));
    }

    #[test]
    fn a_fault_counts_for_everything_that_a_request_carries() {
        let plan = FaultPlan::new(1).with(FaultRule::new(Fault::AnswerLost, [RequestKind::Transaction], When::Always));
        let group = ["home", "house", "garden"];
        plan.decide(&Request { service: Service::Journal, kind: RequestKind::Transaction, scopes: &group });
        assert_eq!((plan.total(), plan.struck("ho"), plan.struck("garden"), plan.struck("hut")), (1, 2, 1, 0));
    }

    #[test]
    fn a_lost_read_back_is_the_next_read() {
        let plan = FaultPlan::new(1).with(FaultRule::new(Fault::ReadBackLost, [RequestKind::Create], When::Nth(1)));
        let kinds = [RequestKind::Get, RequestKind::Create, RequestKind::Create, RequestKind::Query, RequestKind::Get];
        assert_eq!(kinds.map(|kind| struck(&plan, kind)), [false, true, false, true, false]);
    }

    #[test]
    fn an_outcome_stays_open_until_the_plan_is_cleared() {
        let plan = FaultPlan::new(1).with(FaultRule::new(Fault::DeadlineOpen, [RequestKind::Create], When::Nth(1)));
        assert!(matches!(plan.decide(&request(RequestKind::Create)), Action::LoseAnswer));
        assert!(matches!(plan.decide(&request(RequestKind::Replace)), Action::LoseAnswer));
        assert!(matches!(plan.decide(&request(RequestKind::Get)), Action::LoseRequest));
        plan.clear();
        assert!(!struck(&plan, RequestKind::Get));
    }

    #[test]
    fn a_client_that_refuses_connections_is_told_when() {
        let plan = FaultPlan::new(1);
        let switches = plan.refusals(Service::Cosmos, RequestKind::Create);
        plan.add(FaultRule::new(Fault::Refused, [RequestKind::Create], When::Nth(1)));
        assert!(switches.once.load(Ordering::SeqCst) && !switches.always.load(Ordering::SeqCst));
        let request = Request { service: Service::Cosmos, kind: RequestKind::Create, scopes: &[] };
        assert!(matches!(plan.decide(&request), Action::Forward), "the client has let it through");
        switches.hits.store(1, Ordering::SeqCst);
        assert_eq!(plan.total(), 1);
        plan.add(FaultRule::new(Fault::Refused, [RequestKind::Create], When::Nth(1)));
        assert_eq!((plan.total(), switches.hits.load(Ordering::SeqCst)), (1, 0));
        plan.clear();
        assert!(!switches.once.load(Ordering::SeqCst));
    }
}
