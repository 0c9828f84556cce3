//! How long a wire's requests were under way: what an outcome that no fault explains is held against.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A request that was under way for longer is slow. A service that is well answers in some milliseconds; a call that waits for a hundred
/// answers as slow as this is at its deadline.
pub(crate) const SLOW: Duration = Duration::from_millis(250);

/// The requests under way, and those that were slow, by partition or payload.
#[derive(Clone, Default)]
pub(super) struct Answers(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: u64,
    open: BTreeMap<u64, (Vec<String>, Instant)>,
    slow: BTreeMap<String, Vec<(Instant, Instant)>>,
}

/// A request under way, until it is dropped: answered, or given up by its sender.
#[must_use = "a request is under way as long as this"]
pub(crate) struct UnderWay {
    answers: Answers,
    id: u64,
}

impl Answers {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, scopes: &[&str]) -> UnderWay {
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        state.open.insert(id, (scopes, Instant::now()));
        UnderWay { answers: self.clone(), id }
    }

    /// For how long, from `since` until now, at least one slow request was under way about names that begin so.
    pub(super) fn slow(&self, prefixes: &[&str], since: Instant) -> Duration {
        let now = Instant::now();
        let state = self.state();
        let about = |scope: &str| prefixes.iter().any(|prefix| scope.starts_with(prefix));
        let closed = state.slow.iter().filter(|(scope, _)| about(scope)).flat_map(|(_, slow)| slow.iter().copied());
        let open = state
            .open
            .values()
            .filter(|(scopes, began)| scopes.iter().any(|scope| about(scope)) && now.duration_since(*began) > SLOW);
        let all = closed.chain(open.map(|(_, began)| (*began, now)));
        covered(all.filter(|(_, end)| *end > since).map(|(begin, end)| (begin.max(since), end)).collect())
    }
}

/// The length of the union of these spans.
fn covered(mut spans: Vec<(Instant, Instant)>) -> Duration {
    spans.sort_unstable();
    let (mut all, mut reached) = (Duration::ZERO, None::<Instant>);
    for (begin, end) in spans {
        let from = reached.map_or(begin, |reached| reached.max(begin));
        all += end.saturating_duration_since(from);
        reached = Some(reached.map_or(end, |reached| reached.max(end)));
    }
    all
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.answers.state();
        let Some((scopes, began)) = state.open.remove(&self.id) else { return };
        let end = Instant::now();
        if end.duration_since(began) > SLOW {
            for scope in scopes {
                state.slow.entry(scope).or_default().push((began, end));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_overlap_are_counted_once() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let spans = vec![(at(5), at(6)), (at(0), at(3)), (at(1), at(2)), (at(2), at(4))];
        assert_eq!(covered(spans), Duration::from_secs(5));
        assert_eq!(covered(Vec::new()), Duration::ZERO);
    }

    #[test]
    fn only_slow_requests_of_the_scope_and_of_the_time_are_counted() {
        let answers = Answers::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        answers.state().slow.insert("home:a".into(), vec![(at(0), at(4)), (at(6), at(8))]);
        answers.state().slow.insert("house".into(), vec![(at(0), at(8))]);
        assert_eq!(answers.slow(&["home"], at(0)), Duration::from_secs(6));
        assert_eq!(answers.slow(&["home"], at(3)), Duration::from_secs(3));
        assert_eq!(answers.slow(&["home", "house"], at(1)), Duration::from_secs(7));
        assert_eq!(answers.slow(&["hut"], at(0)), Duration::ZERO);
        // A quick one leaves nothing, answered or under way.
        let quick = answers.begin(&["hut"]);
        assert_eq!(answers.slow(&["hut"], begin), Duration::ZERO);
        drop(quick);
        assert!(answers.state().open.is_empty() && !answers.state().slow.contains_key("hut"));
        // One that is slow already counts before it is answered.
        if let Some(long_ago) = begin.checked_sub(2 * SLOW) {
            answers.state().open.insert(0, (vec!["hut".into()], long_ago));
            assert!(answers.slow(&["hut"], long_ago) >= 2 * SLOW);
        }
    }
}
