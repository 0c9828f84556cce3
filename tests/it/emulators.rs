//! The emulators as a process and as a library: they answer, they end with their parent, they don't collide.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use openjibo_store::emulator::{EmulatorOptions, EmulatorSet, Emulators, ReadRegion};

/// Bounds each wait on a socket; the ends take milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

fn address(url: &str) -> SocketAddr {
    let rest = url.strip_prefix("http://").expect("an emulator's address is plain HTTP");
    rest.split('/').next().unwrap().parse().unwrap()
}

fn connect(url: &str) -> TcpStream {
    let stream = TcpStream::connect(address(url)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// The whole answer to a bare GET.
fn get(url: &str, path: &str) -> String {
    let mut stream = connect(url);
    let host = address(url);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn endpoints(set: &EmulatorSet) -> [String; 4] {
    let second = set.replicated_env(ReadRegion::Second);
    assert_eq!(second["AZURE_COSMOS_REGION"], "West US,East US");
    [
        set.env()["AZURE_COSMOS_ENDPOINT"].clone(),
        second["AZURE_COSMOS_ENDPOINT"].clone(),
        set.env()["AZURE_STORAGE_BLOB_ENDPOINT"].clone(),
        set.env()["AZURE_STORAGE_TABLE_ENDPOINT"].clone(),
    ]
}

fn assert_all_answer(set: &EmulatorSet) {
    let [cosmos, replicated, blob, table] = endpoints(set);
    let account = get(&cosmos, "/");
    assert!(
        account.starts_with("HTTP/1.1 200") && account.contains("East US") && !account.contains("West US"),
        "{account}"
    );
    let account = get(&replicated, "/");
    assert!(account.starts_with("HTTP/1.1 200") && account.contains("West US"), "{account}");
    for (service, endpoint) in [("Azurite-Blob/3.37.0", blob), ("Azurite-Table/3.37.0", table)] {
        let answer = get(&endpoint, "/devstoreaccount1?comp=list");
        assert!(answer.contains(service), "{answer}");
    }
}

/// Waits for the end of a connection that was opened while the service ran, then until a new one is refused:
/// an ending process closes its sockets in no particular order.
fn assert_ends(mut open: TcpStream, url: &str) {
    match open.read(&mut [0; 1]) {
        Ok(0) => {}
        Ok(_) => panic!("{url} spoke unasked"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{url}: {error}"),
    }
    let since = Instant::now();
    while TcpStream::connect_timeout(&address(url), DEADLINE).is_ok() {
        assert!(since.elapsed() < DEADLINE, "{url} still listens");
        std::thread::yield_now();
    }
}

fn spawn(arguments: &[&str]) -> (Child, ChildStdin, EmulatorSet) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_openjibo-emulators"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let set = EmulatorSet::from_ready_line(&line).unwrap();
    (child, stdin, set)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_of_two_sets_answers_and_they_share_no_port() {
    let options = EmulatorOptions::default;
    let (one, two) = tokio::join!(Emulators::start(options()), Emulators::start(options()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_all_answer(one.set());
    assert_all_answer(two.set());
    let (mine, theirs) = (endpoints(one.set()), endpoints(two.set()));
    for (left, right) in mine.iter().flat_map(|left| theirs.iter().map(move |right| (left, right))) {
        assert_ne!(address(left), address(right));
    }
    // What one set is told, the other does not know.
    one.set().provision().await.unwrap();
    assert!(get(&mine[0], "/dbs/openjibo").starts_with("HTTP/1.1 200"));
    assert!(get(&theirs[0], "/dbs/openjibo").starts_with("HTTP/1.1 404"));

    let open: Vec<_> = mine.iter().map(|url| (connect(url), url)).collect();
    one.stop();
    open.into_iter().for_each(|(stream, url)| assert_ends(stream, url));
    assert_all_answer(two.set());
}

#[tokio::test]
async fn tests_share_one_provisioned_set() {
    let set = EmulatorSet::for_tests().await.unwrap();
    assert!(std::ptr::eq(set, EmulatorSet::for_tests().await.unwrap()));
    assert_all_answer(set);
    assert!(get(&endpoints(set)[0], "/dbs/openjibo/colls/records").starts_with("HTTP/1.1 200"));
    assert!(get(&endpoints(set)[1], "/dbs/openjibo/colls/records").starts_with("HTTP/1.1 200"));
}

#[test]
fn killing_the_parent_takes_every_emulator_with_it() {
    let (mut child, _stdin, set) = spawn(&[]);
    assert_all_answer(&set);
    let urls = endpoints(&set);
    let open: Vec<_> = urls.iter().map(|url| (connect(url), url)).collect();
    // SIGKILL on Unix: the parent runs no code of its own any more.
    child.kill().unwrap();
    child.wait().unwrap();
    open.into_iter().for_each(|(stream, url)| assert_ends(stream, url));
}

#[test]
fn with_parent_ends_with_standard_input() {
    let (mut child, stdin, set) = spawn(&["--with-parent"]);
    let urls = endpoints(&set);
    let open: Vec<_> = urls.iter().map(|url| (connect(url), url)).collect();
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    open.into_iter().for_each(|(stream, url)| assert_ends(stream, url));
}

#[cfg(unix)]
#[test]
fn a_termination_signal_ends_everything_with_exit_code_0() {
    for signal in ["-TERM", "-INT"] {
        let (mut child, _stdin, set) = spawn(&[]);
        let urls = endpoints(&set);
        let open: Vec<_> = urls.iter().map(|url| (connect(url), url)).collect();
        let sent = Command::new("sh").args(["-c", &format!("kill {signal} {}", child.id())]).status();
        assert!(sent.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0));
        open.into_iter().for_each(|(stream, url)| assert_ends(stream, url));
    }
}

#[test]
fn an_unknown_argument_is_exit_code_2() {
    let run = Command::new(env!("CARGO_BIN_EXE_openjibo-emulators")).arg("--port=1").output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(run.stdout.is_empty());
}
