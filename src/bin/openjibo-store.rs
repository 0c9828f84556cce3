//! The operator binary: `openjibo-store --help`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    openjibo_store::cli::main()
}
