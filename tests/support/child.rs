//! One test of this binary run alone in a child process, so that its memory can be measured or its environment is another.

use std::process::Command;

/// The process's peak resident memory so far, from Linux's `/proc`.
pub(crate) fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// What a child printed.
#[derive(Debug)]
pub(crate) struct Child(String);

impl Child {
    /// Runs the test `test` of the module `module` alone, with these variables set.
    pub(crate) fn run(module: &str, test: &str, variables: &[(&str, &str)]) -> Self {
        Self::ran(Command::new(std::env::current_exe().unwrap()), module, test, variables)
    }

    /// The same under this umask.
    #[cfg(feature = "journal")]
    pub(crate) fn run_under_umask(umask: &str, module: &str, test: &str, variables: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(std::env::current_exe().unwrap());
        Self::ran(shell, module, test, variables)
    }

    fn ran(mut command: Command, module: &str, test: &str, variables: &[(&str, &str)]) -> Self {
        let module = module.split_once("::").map_or("", |(_, module)| module);
        let output = command
            .args(["--exact", &format!("{module}::{test}"), "--nocapture", "--test-threads=1"])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let ran = output.status.success() && text.contains("test result: ok. 1 passed");
        assert!(ran, "{text}{}", String::from_utf8_lossy(&output.stderr));
        Self(text)
    }

    /// The number printed behind `name`.
    pub(crate) fn get(&self, name: &str) -> u64 {
        let (_, rest) = self.0.split_once(name).unwrap_or_else(|| panic!("no {name} in {}", self.0));
        rest.split_whitespace().next().unwrap().parse().unwrap()
    }
}
