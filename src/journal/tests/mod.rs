//! The journal on a disk that loses power and that fails.

mod erasures;
mod failing_disk;
mod far_numbers;
mod power_cut;
mod seams;
mod sim;
mod support;
mod suspended;
