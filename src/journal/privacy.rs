//! Files are their owner's alone: a household's memory and photos lie in them.
//!
//! What the journal makes is readable by its owner from its creation on, whatever the umask. What an earlier release or an operator made
//! wider is left as it is and told.

use std::fs::{DirBuilder, OpenOptions};
use std::path::Path;

use super::OWN;

/// Files made with these options are readable and writable by their owner alone. Systems without such modes have other ways.
pub(super) fn file(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Folders that this makes can be entered by their owner alone.
pub(super) fn folder() -> DirBuilder {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "there is no mode to set"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// How many files and folders of the journal's directory others may read, each with all that is below it. None where they can't enter the
/// directory itself. What can't be looked at isn't counted: opening meets it by itself.
pub(super) fn readable_by_others(root: &Path) -> u64 {
    if !is_wide(root) {
        return 0;
    }
    OWN.iter().filter(|name| is_wide(&root.join(name))).count() as u64
}

#[cfg(unix)]
fn is_wide(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_wide(_path: &Path) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_wider_is_counted_where_others_can_enter() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in OWN {
            self::folder().create(root.join(name)).unwrap();
        }
        chmod(&root.join("log"), 0o755);
        chmod(&root.join("payloads"), 0o710);
        chmod(root, 0o700);
        assert_eq!(readable_by_others(root), 0);
        chmod(root, 0o755);
        assert_eq!(readable_by_others(root), 2);
        assert_eq!(readable_by_others(&root.join("missing")), 0);
    }
}
