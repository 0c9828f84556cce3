//! Runs one input of a target under its bound on memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use openjibo_store::fuzzing::Target;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with a count of the bytes that Rust code holds and of their highest number.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came; the counters change nothing about it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed).wrapping_add(layout.size());
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `at` came from `alloc`, hence from the system's allocator, with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Runs the target, and panics if it held more bytes at a time than it states. libFuzzer runs one input at a time, on one thread.
pub fn run(target: &Target, data: &[u8]) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    (target.run)(data);
    let held = PEAK.load(Relaxed).saturating_sub(before);
    let bound = target.bound(data.len());
    assert!(held <= bound, "{} held {held} bytes for an input of {}: its bound is {bound}", target.name, data.len());
}
