//! Cursors: what a place in a history is good for, and for how long.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::backend::{ChangeCursor, KeyRange};
use crate::conformance::Harness;
use crate::conformance::raw::{Place, places};
use crate::conformance::support::{Must, World, clock_at, context, context_on, refused};
use crate::contract::{ErrorKind, Result, Timestamp};

const MINUTE: i64 = 60 * 1_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Where the history of a place ends, for a call this many milliseconds from now.
async fn end(place: &Place<'_>, millis: i64) -> ChangeCursor {
    let mut cursor = None;
    loop {
        let cx = context_on(clock_at(Timestamp::now().as_millis() + millis));
        let page = place.backend.changes(&cx, &place.partition, cursor.as_ref(), 100).await.must(place.name);
        if page.changes.is_empty() {
            return page.next;
        }
        cursor = Some(page.next);
    }
}

/// How many changes are told behind a cursor in one page, this many milliseconds from now.
async fn told(place: &Place<'_>, cursor: &ChangeCursor, millis: i64) -> Result<usize> {
    let cx = context_on(clock_at(Timestamp::now().as_millis() + millis));
    let page = place.backend.changes(&cx, &place.partition, Some(cursor), 100).await?;
    Ok(page.changes.len())
}

#[track_caller]
fn needs_a_snapshot(told: Result<usize>, what: &str) {
    assert_eq!(*refused(told, what).kind(), ErrorKind::SnapshotRequired, "{what}");
}

/// The same cursor with another layout, or another position.
fn changed(cursor: &ChangeCursor, change: impl FnOnce(&mut [String; 5])) -> ChangeCursor {
    let text = URL_SAFE_NO_PAD.decode(cursor.to_string()).expect("a cursor's text is base64url");
    let text = String::from_utf8(text).expect("a cursor's text is text");
    let mut parts: Vec<String> = text.splitn(5, '|').map(str::to_owned).collect();
    let parts: &mut [String; 5] = parts.as_mut_slice().try_into().expect("form, layout, time, mark and position");
    change(parts);
    URL_SAFE_NO_PAD.encode(parts.join("|")).parse().must("a cursor's text")
}

/// A cursor holds for thirty days and not for longer, and one that is ahead of the clock needs a snapshot.
pub async fn a_cursor_holds_for_thirty_days(h: &dyn Harness) {
    let w = World::of(h).await;
    if !w.capabilities.change_history {
        return;
    }
    for place in places(&w, &w.a) {
        place.set("one", 1).await;
        let cursor = end(&place, 0).await;
        for millis in [-4 * MINUTE, 0, 29 * DAY] {
            assert_eq!(told(&place, &cursor, millis).await.must(place.name), 0, "{}: {millis} ms on", place.name);
        }
        for days in [31, 45, 400] {
            needs_a_snapshot(told(&place, &cursor, days * DAY).await, &format!("{}: after {days} days", place.name));
        }
        for days in [1, 20, 40] {
            let ahead = end(&place, days * DAY).await;
            needs_a_snapshot(told(&place, &ahead, 0).await, &format!("{}: {days} days ahead", place.name));
        }
    }
}

/// A cursor of another layout needs a snapshot, and so does one whose place is ahead of the history, or another commit's: where the history
/// is one of commits, such places can be made up.
pub async fn a_cursor_of_what_is_not_there_needs_a_snapshot(h: &dyn Harness) {
    let w = World::of(h).await;
    if !w.capabilities.change_history {
        return;
    }
    for place in places(&w, &w.a) {
        place.set("one", 1).await;
        place.set("two", 1).await;
        let cursor = end(&place, 0).await;
        let layout = |parts: &mut [String; 5]| parts[1] = (parts[1].parse::<u32>().expect("a layout") + 1).to_string();
        let of = format!("{}: another layout", place.name);
        needs_a_snapshot(told(&place, &changed(&cursor, layout), 0).await, &of);
        let mut ahead = None;
        let mut other = None;
        changed(&cursor, |parts| {
            let Some((seq, commit)) = parts[4].split_once(':') else { return };
            let Ok(seq) = seq.parse::<u64>() else { return };
            ahead = Some(format!("{}:{commit}", seq + 1_000));
            other = Some(format!("{seq}:0{commit}"));
        });
        for (what, position) in [("ahead of the history", ahead), ("another commit", other)] {
            let Some(position) = position else { continue };
            let made_up = changed(&cursor, |parts| parts[4] = position);
            needs_a_snapshot(told(&place, &made_up, 0).await, &format!("{}: {what}", place.name));
        }
        assert_eq!(told(&place, &cursor, 0).await.must(place.name), 0, "{}: the true one", place.name);
    }
}

/// An erasure of one partition is nothing to the cursors of another.
pub async fn an_erasure_is_nothing_to_another_partition(h: &dyn Harness) {
    let w = World::of(h).await;
    if !w.capabilities.change_history {
        return;
    }
    let others = places(&w.again(), &w.a);
    for (place, other) in places(&w, &w.a).into_iter().zip(others) {
        place.set("one", 1).await;
        other.set("one", 1).await;
        let cursor = end(&place, 0).await;
        let erased =
            other.backend.erase(&context(), &other.partition, &[KeyRange::below("x")], None).await.must(place.name);
        assert_eq!(erased, 1, "{}", place.name);
        assert_eq!(told(&place, &cursor, 0).await.must(place.name), 0, "{}", place.name);
        place.set("two", 1).await;
        assert!(told(&place, &cursor, 0).await.must(place.name) > 0, "{}", place.name);
    }
}
