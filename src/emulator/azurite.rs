//! The Azurite supervisor: one child process with free ports, in memory, ended with its parent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::{EmulatorError, EmulatorOptions, TlsFiles, install};

/// The account and key that every Azurite has: published in its documentation, not a secret.
pub(crate) const ACCOUNT: &str = "devstoreaccount1";
pub(crate) const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const KEPT_LINES: usize = 20;

/// A running Azurite. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Azurite {
    child: Child,
    blob: String,
    table: String,
    output: Output,
    /// Never sent: the sender goes away when both output streams have been read to their end.
    ended: oneshot::Receiver<Infallible>,
}

impl Azurite {
    /// Installs Azurite where needed, starts it and waits for the ports of all its services.
    ///
    /// `ready_within` bounds the start, not the install. Beyond `blob_memory_mib` uploads fail.
    pub(crate) async fn start(options: &EmulatorOptions) -> Result<Self, EmulatorError> {
        let folder = install::folder();
        install::ensure(&folder).await?;
        Self::launch(&folder, options).await
    }

    async fn launch(folder: &Path, options: &EmulatorOptions) -> Result<Self, EmulatorError> {
        let mut child = Command::new("node")
            .arg("launch.js")
            .args(["--inMemoryPersistence", "--disableTelemetry", "--silent"])
            .args(["--extentMemoryLimit", &options.blob_memory_mib.to_string()])
            .args(["--blobHost", "127.0.0.1", "--queueHost", "127.0.0.1", "--tableHost", "127.0.0.1"])
            .args(["--blobPort", "0", "--queuePort", "0", "--tablePort", "0"])
            .args(options.tls.iter().flat_map(tls_arguments))
            .current_dir(folder)
            .env_remove("AZURITE_ACCOUNTS")
            .env_remove("AZURITE_DB")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(EmulatorError::io("run node"))?;
        let output = Output::default();
        let (ready, ports) = oneshot::channel();
        let (alive, ended) = oneshot::channel();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // From here on the guard ends the process on every way out.
        let mut azurite = Self { child, blob: String::new(), table: String::new(), output, ended };
        let alive = Arc::new(alive);
        if let Some(stderr) = stderr {
            let (output, alive) = (azurite.output.clone(), Arc::clone(&alive));
            drain("azurite-stderr", stderr, move |line| {
                let _held_until_the_stream_ends = &alive;
                output.keep(line);
            })?;
        }
        if let Some(stdout) = stdout {
            let output = azurite.output.clone();
            let mut found = Ports::new(ready);
            drain("azurite-stdout", stdout, move |line| {
                let _held_until_the_stream_ends = &alive;
                found.look_at(line);
                output.keep(line);
            })?;
        }
        match tokio::time::timeout(options.ready_within, ports).await {
            Ok(Ok((blob, table))) => {
                (azurite.blob, azurite.table) = (blob, table);
                Ok(azurite)
            }
            Ok(Err(_)) => {
                azurite.end();
                // The reason may be on the other stream.
                Err(azurite.ended().await)
            }
            Err(_) => Err(EmulatorError::NotReady { waited: options.ready_within, last_lines: azurite.output.lines() }),
        }
    }

    /// `http://127.0.0.1:<port>`, or `https://…`, of the Blob service.
    pub(crate) fn blob(&self) -> &str {
        &self.blob
    }

    /// The same of the Table service.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// Returns when Azurite has ended by itself, with its last output.
    pub(crate) async fn ended(&mut self) -> EmulatorError {
        // Only ever an error: the channel carries no value.
        let _ = (&mut self.ended).await;
        EmulatorError::Exited { last_lines: self.output.lines() }
    }

    /// Ends the process by its id and collects it. All its state is in memory, so there is nothing to save.
    fn end(&mut self) {
        // Both fail only where the process is gone and collected already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        self.end();
    }
}

/// HTTPS, and tokens beside keys. *Basic* checks a token's times, issuer and audience, neither its signature nor any role.
fn tls_arguments(tls: &TlsFiles) -> [&OsStr; 6] {
    let (certificate, key) = (tls.certificate.as_os_str(), tls.key.as_os_str());
    let name = OsStr::new;
    [name("--oauth"), name("basic"), name("--cert"), certificate, name("--key"), key]
}

/// The last lines of both streams, for error texts.
#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<VecDeque<String>>>);

impl Output {
    fn keep(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Collects the addresses from the lines that Azurite prints even when silent.
struct Ports {
    blob: Option<String>,
    table: Option<String>,
    queue: bool,
    ready: Option<oneshot::Sender<(String, String)>>,
}

impl Ports {
    fn new(ready: oneshot::Sender<(String, String)>) -> Self {
        Self { blob: None, table: None, queue: false, ready: Some(ready) }
    }

    fn look_at(&mut self, line: &str) {
        let Some((service, address)) = line.split_once(" service is successfully listening at ") else {
            return;
        };
        match service {
            "Azurite Blob" => self.blob = Some(address.trim().to_owned()),
            "Azurite Table" => self.table = Some(address.trim().to_owned()),
            "Azurite Queue" => self.queue = true,
            _ => return,
        }
        if let (Some(blob), Some(table), true) = (&self.blob, &self.table, self.queue)
            && let Some(ready) = self.ready.take()
        {
            // Nobody waits any more after a time-out.
            let _ = ready.send((blob.clone(), table.clone()));
        }
    }
}

/// Reads a stream to its end on a thread of its own, whatever becomes of the runtime: a full pipe would stop Azurite.
fn drain(
    name: &str,
    stream: impl Read + Send + 'static,
    mut each: impl FnMut(&str) + Send + 'static,
) -> Result<(), EmulatorError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            // An error is the end, like an empty read.
            while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                each(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
                line.clear();
            }
        })
        .map(drop)
        .map_err(EmulatorError::io("start a thread"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ready_within(limit: Duration) -> EmulatorOptions {
        EmulatorOptions::default().with_ready_within(limit)
    }

    fn launcher(script: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("launch.js"), script).unwrap();
        folder
    }

    #[test]
    fn ports_are_known_only_when_all_services_listen() {
        let (ready, mut ports) = oneshot::channel();
        let mut found = Ports::new(ready);
        found.look_at("Azurite Blob service is starting at http://127.0.0.1:0");
        found.look_at("Azurite Blob service is successfully listening at http://127.0.0.1:41");
        found.look_at("Azurite Queue service is successfully listening at http://127.0.0.1:42");
        assert!(ports.try_recv().is_err());
        found.look_at("Azurite Table service is successfully listening at http://127.0.0.1:43");
        assert_eq!(ports.try_recv().unwrap(), ("http://127.0.0.1:41".to_owned(), "http://127.0.0.1:43".to_owned()));
    }

    #[test]
    fn a_stream_is_read_to_its_end_whatever_its_bytes() {
        let (lines, seen) = std::sync::mpsc::channel();
        let stream: &[u8] = b"one\r\n\xff\n\nlast";
        drain("test", stream, move |line| drop(lines.send(line.to_owned()))).unwrap();
        assert_eq!(seen.iter().collect::<Vec<_>>(), ["one", "\u{fffd}", "", "last"]);
    }

    #[tokio::test]
    async fn an_early_end_is_reported_with_the_last_lines() {
        let folder = launcher("console.error('no such port'); process.exitCode = 3");
        match Azurite::launch(folder.path(), &ready_within(Duration::from_secs(60))).await {
            Err(EmulatorError::Exited { last_lines }) => assert_eq!(last_lines, ["no such port"]),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_start_that_takes_too_long_is_ended_and_reported() {
        let folder = launcher("process.stdin.resume()");
        let started = Azurite::launch(folder.path(), &ready_within(Duration::from_millis(50))).await;
        assert!(matches!(started, Err(EmulatorError::NotReady { .. })), "{started:?}");
    }

    #[tokio::test]
    async fn an_end_while_running_is_noticed() {
        let folder = launcher(
            "for (const s of ['Blob', 'Queue', 'Table']) console.log(`Azurite ${s} service is successfully listening at http://127.0.0.1:1`);
             process.stdin.once('end', () => process.exit(0)).resume()",
        );
        let mut azurite = Azurite::launch(folder.path(), &ready_within(Duration::from_secs(60))).await.unwrap();
        drop(azurite.child.stdin.take());
        assert!(matches!(azurite.ended().await, EmulatorError::Exited { .. }));
    }
}
