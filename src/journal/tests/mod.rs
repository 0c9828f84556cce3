//! The journal on a disk that loses power and that fails.

mod sim;
