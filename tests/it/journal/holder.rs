//! One process has a journal open: a second one is told which, and a killed one holds nothing.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use openjibo_store::backend::{CallContext, Commit};
use openjibo_store::journal::{Journal, JournalOptions};
use openjibo_store::{Clock, ErrorKind, Freshness, Outcome, Timestamp};

use super::bad_input::{MARK, directory, refused};
use super::{commit, memory, put, small};

#[tokio::test]
async fn a_second_open_is_denied_and_names_the_holder() {
    let (_parent, path) = directory();
    let journal = Journal::open(&path, small()).await.unwrap();
    let port = memory(&journal);
    let process = std::process::id();
    for path in [path.clone(), path.join("..").join(MARK)] {
        let error = refused(&path, small()).await;
        let named = |needs: &str| needs.contains(&format!("held by process {process} since 2"));
        assert!(matches!(error.kind(), ErrorKind::Denied { needs } if named(needs)), "{error}");
    }
    // A port alone keeps it open.
    drop(journal);
    assert!(matches!(refused(&path, small()).await.kind(), ErrorKind::Denied { .. }));
    commit(&port, "a", vec![put("m:a", 1)]).await.unwrap();
    drop(port);
    Journal::open(&path, small()).await.unwrap();
}

/// The directory that a child holds; absent in a plain run.
const CHILD_PATH: &str = "OPENJIBO_TEST_JOURNAL_HELD";

/// Opens a journal, writes to it, and ends only when it is made to.
#[tokio::test]
async fn child_holds_a_journal() {
    let Ok(path) = std::env::var(CHILD_PATH) else { return };
    let journal = Journal::open(&path, JournalOptions::new()).await.unwrap();
    commit(&memory(&journal), "a", vec![put("m:told", "by the child")]).await.unwrap();
    println!("\nholds it");
    std::future::pending::<()>().await;
}

/// A process that ends with this, whatever ends the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).unwrap();
    }
}

#[tokio::test]
async fn the_lock_of_a_process_that_was_killed_is_taken_over() {
    let (_parent, path) = directory();
    let test = "journal::holder::child_holds_a_journal";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD_PATH, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let said = BufReader::new(child.0.stdout.take().unwrap()).lines().find(|line| line.as_ref().unwrap() == "holds it");
    assert!(said.is_some(), "the child opens the journal");
    let error = refused(&path, JournalOptions::new()).await;
    let holder = format!("held by process {} since 2", child.0.id());
    assert!(matches!(error.kind(), ErrorKind::Denied { needs } if needs.contains(&holder)), "{error}");
    drop(child);

    let journal = Journal::open(&path, JournalOptions::new()).await.unwrap();
    let record = memory(&journal).get(&super::call(), "a", "m:told").await.unwrap().unwrap();
    assert_eq!(record.envelope.value, "by the child");
    let error = refused(&path, JournalOptions::new()).await;
    assert!(error.to_string().contains(&format!("held by process {}", std::process::id())), "{error}");
}

/// Panics when the writer asks it.
#[derive(Debug)]
struct PanicsInTheWriter;

impl Clock for PanicsInTheWriter {
    fn now(&self) -> Timestamp {
        assert_ne!(std::thread::current().name(), Some("openjibo-journal"), "planted: the clock panics in the writer");
        Timestamp::now()
    }
}

/// Bug: after a panic of the application's clock in the writer, calls waited for a thread that was gone until their deadlines.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_writer_is_told_to_everyone_at_once() {
    let (_parent, path) = directory();
    let journal = Journal::open(&path, small()).await.unwrap();
    let port = memory(&journal);
    commit(&port, "a", vec![put("m:a", 1)]).await.unwrap();
    let began = tokio::time::Instant::now();
    let planted = |n: u8| {
        let port = &port;
        async move {
            let time = Duration::from_secs(300);
            let cx = CallContext::new("test", [n; 16], time, Freshness::Latest, Arc::new(PanicsInTheWriter));
            port.commit(&cx, Commit::new("a", cx.next_op(), vec![put("m:a", 2)])).await.unwrap_err()
        }
    };
    for error in futures::future::join_all((0..8).map(planted)).await {
        assert!(matches!(error.kind(), ErrorKind::Unavailable { .. }), "{error}");
    }
    let later = commit(&port, "a", vec![put("m:a", 3)]).await.unwrap_err();
    assert_eq!(later.outcome(), Outcome::NotApplied, "{later}");
    assert!(began.elapsed() < Duration::from_secs(1), "nobody waits: {:?}", began.elapsed());
    drop((journal, port));
    assert_eq!(Journal::open(&path, small()).await.unwrap().report().records, 1);
}
