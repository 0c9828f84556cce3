//! What is wrong with a configuration, all of it at once.

use std::fmt;

use super::vars;

/// One setting that can't be used.
///
/// The reason is made of fixed text, limits and names of settings. It never repeats any part of a value, because a
/// value may be a secret that was put into the wrong variable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The environment variable, also for a value that was given to the builder; a setting without a variable goes
    /// by its builder name (`blob_block_size`).
    pub variable: &'static str,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.reason)
    }
}

/// A configuration that can't be used: every problem found, in the order of the documented table, never only the first.
///
/// `Display` writes one problem per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

impl ConfigError {
    /// An error of one problem. The reason must not hold any part of a value.
    pub(crate) fn one(variable: &'static str, reason: impl Into<String>) -> Self {
        Self { problems: vec![ConfigProblem { variable, reason: reason.into() }] }
    }

    /// The problems, at least one.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Collects problems while the settings are read.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<ConfigProblem>);

impl Problems {
    /// Notes a problem. The reason must not hold any part of a value.
    pub(super) fn add(&mut self, variable: &'static str, reason: impl Into<String>) {
        self.0.push(ConfigProblem { variable, reason: reason.into() });
    }

    /// Notes a problem and answers `None`, for a check that ends there.
    pub(super) fn refuse<T>(&mut self, variable: &'static str, reason: impl Into<String>) -> Option<T> {
        self.add(variable, reason);
        None
    }

    /// How many so far; a check compares it to know whether it has added any.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in the order of the documented table.
    pub(super) fn into_error(mut self) -> ConfigError {
        let place = |p: &ConfigProblem| vars::ALL.iter().position(|v| *v == p.variable);
        // Settings without a variable come last.
        self.0.sort_by_key(|p| place(p).unwrap_or(vars::ALL.len()));
        ConfigError { problems: self.0 }
    }
}
