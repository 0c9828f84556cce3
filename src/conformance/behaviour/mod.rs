//! What single families promise, and rules across them.

pub mod calendar;
pub mod devices;
pub mod forgetting;
pub mod health;
pub mod holidays;
mod hostile;
pub mod isolation;
pub mod limits;
pub mod lists;
pub mod media;
pub mod members;
pub mod memory;
pub mod presence;
pub mod profiles;
pub mod secrets;
pub mod torn;
pub mod update;
