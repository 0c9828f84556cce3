//! Runs Azurite and the Cosmos emulator in the foreground, for tests and demos.
//!
//! Standard output: one line of JSON when everything is ready and provisioned, with the variables to export. Standard error: the rest.
//!
//! Exit codes: 0 ended by SIGINT or SIGTERM, or standard input ended under `--with-parent`; 1 could not start, or an emulator ended by
//! itself; 2 unknown argument.

#![forbid(unsafe_code)]
#![deny(clippy::arithmetic_side_effects)]

use std::io::{Read, Write};
use std::process::ExitCode;

use openjibo_store::emulator::{EmulatorError, EmulatorOptions, Emulators};
use tokio::sync::oneshot;

const USAGE: &str = "\
Usage: openjibo-emulators [--with-parent]

Runs Azurite and a Cosmos emulator on free loopback ports until SIGINT or SIGTERM, and prints one line of JSON when they are ready:
{\"event\":\"ready\",\"env\":{NAME: value, ...}, ...}

  --with-parent   end as well when standard input ends
  --help          print this text

Exit codes: 0 ended as asked; 1 could not start, or an emulator ended by itself; 2 unknown argument";

fn main() -> ExitCode {
    let mut with_parent = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--with-parent" => with_parent = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("openjibo-emulators: unknown argument {other:?}\n\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("openjibo-emulators: could not start a runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(with_parent)) {
        Ok(reason) => {
            eprintln!("openjibo-emulators: ended: {reason}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("openjibo-emulators: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns why it ended as asked; whatever was started is ended on every way out.
async fn run(with_parent: bool) -> Result<&'static str, Box<dyn std::error::Error>> {
    // Listen before anything starts: a signal during the start must end it too.
    let parent_gone = with_parent.then(parent_gone);
    tokio::select! {
        // A terminal's interrupt reaches Azurite as well: being asked comes before noticing that.
        biased;
        reason = asked_to_end(parent_gone) => Ok(reason?),
        ended = serve() => match ended {
            Ok(never) => match never {},
            Err(error) => Err(error),
        },
    }
}

async fn serve() -> Result<std::convert::Infallible, Box<dyn std::error::Error>> {
    eprintln!("openjibo-emulators: starting");
    let mut emulators = Emulators::start(EmulatorOptions::default()).await?;
    emulators.set().provision().await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", emulators.ready_line())?;
    stdout.flush()?;
    eprintln!("openjibo-emulators: ready");
    let error: EmulatorError = emulators.ended().await;
    Err(error.into())
}

async fn asked_to_end(parent_gone: Option<oneshot::Receiver<()>>) -> std::io::Result<&'static str> {
    let parent = async {
        match parent_gone {
            // An error as well means that the reading thread has ended.
            Some(gone) => drop(gone.await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        signal = signal() => signal,
        () = parent => Ok("standard input ended"),
    }
}

/// Reads standard input to its end on a thread that the process does not wait for.
fn parent_gone() -> oneshot::Receiver<()> {
    let (gone, seen) = oneshot::channel();
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut ignored = [0; 512];
        while matches!(stdin.read(&mut ignored), Ok(1..)) {}
        drop(gone);
    });
    seen
}

#[cfg(unix)]
async fn signal() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok("SIGINT"),
        _ = terminate.recv() => Ok("SIGTERM"),
    }
}

#[cfg(not(unix))]
async fn signal() -> std::io::Result<&'static str> {
    tokio::signal::ctrl_c().await.map(|()| "interrupted")
}
