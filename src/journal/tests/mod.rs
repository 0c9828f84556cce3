//! The journal on a disk that loses power and that fails.

mod power_cut;
mod sim;
mod support;
