//! The operator binary: `openjibo-store --help`.

#![forbid(unsafe_code)]
#![deny(clippy::arithmetic_side_effects)]

use std::process::ExitCode;

fn main() -> ExitCode {
    openjibo_store::cli::main()
}
