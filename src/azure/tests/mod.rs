//! Tests of all three services at once, and what tests of several share.

pub(super) mod capture;
#[cfg(feature = "emulator")]
mod damage;
#[cfg(feature = "emulator")]
mod earlier;
#[cfg(feature = "emulator")]
mod privacy;
