//! The operator binary `openjibo-store`: its arguments, its commands, and its exit codes.
//!
//! | `--store` | feature | store |
//! |---|---|---|
//! | `memory:` | | in this process |
//! | `journal:PATH` | `journal` | a local directory |
//! | `emulator:` | `emulator` | local emulators |
//! | `azure:` | `azure` | the account that the `AZURE_*` variables name |
//!
//! `demo` plays a day on the store, reads everything back and exits with 1 if a read differs from what was written. `check` reports the state of
//! a store. It creates no journal, and exits with 2 where there is none. Both exit with 2 for bad settings, and `demo` for a memory file of another
//! kind.
//! `--repair` opens a damaged journal without the lines that can't be read, and keeps the old log in the folder `damaged`.

mod check;
mod demo;
mod error;
mod open;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use error::CliError;
use open::StoreUrl;

const EXIT_CODES: &str = "\
Exit codes:
  0  fine
  1  a read differs from what was written, or a call failed
  2  bad arguments, or settings that can't be used

Standard output holds results, standard error everything else. RUST_LOG=openjibo_store=debug shows each call.";

/// Durable state for a cloud of home robots.
#[derive(Debug, Parser)]
#[command(name = "openjibo-store", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Store a household, play a day in it, read everything back and show what each call cost
    ///
    /// Reads a personal-memory file of the old server and stores it with the household it implies, uploads a photo and an audio
    /// file, plays a day (two replicas write one preference: the conflict is shown, then resolved), reads everything back and
    /// compares it with what was written. It can be run again on the same store. Records of the same ids are overwritten: give it
    /// a store made for trying.
    #[command(after_help = EXIT_CODES)]
    Demo(DemoArgs),
    /// Open a store, say what opening it found, and ask every service for one read and one write that it must refuse
    ///
    /// Of a journal: how much is in it, whether a write had been cut off at its end, and what a repair left out.
    #[command(after_help = EXIT_CODES)]
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct StoreArgs {
    /// Where to store: `memory:` in this process; `journal:PATH` a local directory; `emulator:` the emulators that
    /// OPENJIBO_EMULATORS or AZURE_* name, else a set started for this run; `azure:` what AZURE_* name
    #[arg(long, value_name = "URL", default_value = "memory:")]
    store: StoreUrl,
    /// Open a damaged journal without the lines that can't be read, and name them; the old log is kept in its folder `damaged`
    #[arg(long)]
    repair: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DemoArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The personal-memory file to store, instead of the one built in; a regular file, since it is read twice
    #[arg(long, value_name = "FILE")]
    memory: Option<PathBuf>,
    /// Print the table as one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the operator binary on the process's arguments: 0 is fine, 1 a read that differs or a call that failed, 2 bad arguments or
/// settings.
pub fn main() -> ExitCode {
    // Writes help, versions and refusals itself and ends with 2 for the latter.
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("openjibo_store=warn")))
        .with_writer(std::io::stderr)
        .init();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to say it to when standard error is gone.
            drop(writeln!(std::io::stderr(), "openjibo-store: {error}"));
            error.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("could not start a runtime: {error}")))?;
    runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Check(args) => check::run(args).await,
        }
    })
}

fn print(text: &str) -> Result<(), CliError> {
    match io::stdout().write_all(text.as_bytes()) {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => ended.map_err(|error| CliError::Failed(format!("could not print: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent_and_exit_codes_documented() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        assert!(help.contains("Exit codes") && help.contains("2  bad arguments"), "{help}");
    }

    #[test]
    fn a_store_is_named_by_its_scheme() {
        for text in ["memory:", "emulator:", "azure:", "journal:some/where"] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), text);
        }
        for text in ["", "memory", "memory://", "azure:x", "AZURE:", "nonsense:", "journal:"] {
            let refusal = text.parse::<StoreUrl>().unwrap_err();
            for accepted in ["memory:", "journal:PATH", "emulator:", "azure:"] {
                assert!(refusal.contains(accepted), "{refusal}");
            }
        }
    }
}
