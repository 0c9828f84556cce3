//! What became of a create-only write under a name that is used once, from what is under the name.

use super::Verdict;

/// Judges a create by what a read found under its name; `found` is whether the content is the one sent, `None` when
/// nothing is there.
///
/// Nobody else writes under the name, so the same content is one's own. Other content proves that a create can't take
/// place any more. Nothing there means that the request may yet land.
pub fn judge_content(found: Option<bool>) -> Verdict {
    match found {
        Some(true) => Verdict::Applied,
        Some(false) => Verdict::NotApplied,
        None => Verdict::StillAsKnown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_under_a_name_used_once_decides() {
        assert_eq!(judge_content(Some(true)), Verdict::Applied);
        assert_eq!(judge_content(Some(false)), Verdict::NotApplied);
        assert_eq!(judge_content(None), Verdict::StillAsKnown);
    }
}
