//! The names of segments.

/// The folder of the log.
pub(super) const LOG: &str = "log";
const SUFFIX: &str = ".jsonl";
/// Of a segment that is being written anew.
pub(super) const NEW: &str = ".new";

/// The file of a segment, in the log's folder.
pub(super) fn file_name(segment: u64) -> String {
    format!("{segment:020}{SUFFIX}")
}

/// The file of a segment.
pub(super) fn path(segment: u64) -> String {
    format!("{LOG}/{}", file_name(segment))
}

/// The segment whose file has this name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|number| *number > 0)
}
