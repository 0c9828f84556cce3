//! The deployment itself.

mod health;
