//! The locked npm install of Azurite.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::EmulatorError;

/// Overrides the folder that holds Azurite's `package.json`.
pub const AZURITE_DIR: &str = "OPENJIBO_AZURITE_DIR";

/// `npm ci` takes half a minute on an idle machine; ten minutes mean that it hangs.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);

/// Written last, so that an interrupted install is not taken for a whole one.
const STAMP: &str = "node_modules/.openjibo-lock-sha256";

/// The folder with `package.json`, `package-lock.json` and `launch.js`.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os(AZURITE_DIR)
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/azurite")), PathBuf::from)
}

/// Makes `node_modules` match `package-lock.json`; does nothing where it already does.
///
/// One process installs at a time; the others wait and find the work done. The file lock belongs to the kernel, so it
/// ends with its holder, however that dies.
///
/// # Errors
/// [`EmulatorError::Io`] if the folder can't be read or written, [`EmulatorError::Install`] if npm fails, is not there or takes longer
/// than ten minutes.
pub(crate) async fn ensure(folder: &Path) -> Result<(), EmulatorError> {
    let wanted = lock_digest(folder)?;
    if is_current(folder, &wanted) {
        return Ok(());
    }
    let lock = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join(".install.lock"))
        .map_err(EmulatorError::io("open the install lock"))?;
    let held = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .map_err(|error| EmulatorError::Install { detail: error.to_string() })?
        .map_err(EmulatorError::io("take the install lock"))?;
    if is_current(folder, &wanted) {
        return Ok(());
    }
    // npm's standard input is the locked file: were this process killed, npm would go on, and so would the lock.
    let with_npm = held.try_clone().map_err(EmulatorError::io("share the install lock"))?;
    run_npm(folder, with_npm.into()).await?;
    std::fs::write(folder.join(STAMP), &wanted).map_err(EmulatorError::io("stamp the install"))
}

fn lock_digest(folder: &Path) -> Result<String, EmulatorError> {
    let lock = std::fs::read(folder.join("package-lock.json"))
        .map_err(EmulatorError::io("read Azurite's package-lock.json"))?;
    Ok(format!("{:x}", Sha256::digest(lock)))
}

fn is_current(folder: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == wanted)
}

async fn run_npm(folder: &Path, stdin: Stdio) -> Result<(), EmulatorError> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    // Azurite asks for node 22 and runs on 20: engine-strict is off whatever the user's own npm settings say.
    let run = tokio::process::Command::new(npm)
        .args(["ci", "--engine-strict=false", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"])
        .current_dir(folder)
        .stdin(stdin)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(INSTALL_TIMEOUT, run)
        .await
        .map_err(|_| EmulatorError::Install { detail: format!("npm ci took longer than {INSTALL_TIMEOUT:?}") })?
        .map_err(EmulatorError::io("run npm"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let end = &lines[lines.len().saturating_sub(12)..];
    Err(EmulatorError::Install { detail: format!("{}: {}", output.status, end.join(" | ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_install_of_another_lock_is_not_current() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("package-lock.json"), b"{}").unwrap();
        let digest = lock_digest(folder.path()).unwrap();
        assert!(!is_current(folder.path(), &digest));
        std::fs::create_dir(folder.path().join("node_modules")).unwrap();
        std::fs::write(folder.path().join(STAMP), &digest).unwrap();
        assert!(is_current(folder.path(), &digest));
        std::fs::write(folder.path().join("package-lock.json"), b"{ }").unwrap();
        assert!(!is_current(folder.path(), &lock_digest(folder.path()).unwrap()));
    }

    #[tokio::test]
    async fn a_folder_without_a_lock_file_is_a_typed_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(ensure(folder.path()).await, Err(EmulatorError::Io { .. })));
    }

    #[tokio::test]
    async fn a_failing_npm_is_reported_with_its_last_lines_and_leaves_no_stamp() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("package.json"), b"{\"dependencies\":{\"azurite\":\"3.37.0\"}}").unwrap();
        std::fs::write(folder.path().join("package-lock.json"), b"{\"lockfileVersion\":3,\"packages\":{}}").unwrap();
        let Err(EmulatorError::Install { detail }) = ensure(folder.path()).await else {
            panic!("npm must refuse this lock")
        };
        assert!(detail.contains("npm"), "{detail}");
        assert!(!folder.path().join(STAMP).exists());
    }

    #[test]
    fn the_committed_lock_names_no_registry_and_pins_azurite_alone() {
        let package = std::fs::read_to_string(folder().join("package.json")).unwrap();
        let package: serde_json::Value = serde_json::from_str(&package).unwrap();
        assert_eq!(package["private"], true);
        assert_eq!(package["dependencies"], serde_json::json!({ "azurite": "3.37.0" }));
        let lock = std::fs::read_to_string(folder().join("package-lock.json")).unwrap();
        let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
        for (name, entry) in lock["packages"].as_object().unwrap() {
            assert!(entry.get("resolved").is_none(), "{name} names a registry");
            assert!(name.is_empty() || entry["integrity"].is_string(), "{name} has no checksum");
        }
    }
}
