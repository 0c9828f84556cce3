//! What became of a commit in a partition whose commits have an order, from what stands at its place.

use super::Verdict;

/// What stands at the place in the partition's history where a commit would stand if it was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtPlace {
    /// This very commit.
    Own,
    /// Another commit.
    Another,
    /// Nothing; if the fence has moved, also not when looked for again after that was seen.
    Nothing {
        /// Whether the fence, read afterwards, is still the one that the commit was sent under.
        fence_unmoved: bool,
    },
    /// Something that does not say whose it is.
    Unreadable,
}

/// Judges a commit by what stands at its place.
///
/// Evidence is kept for longer than a call may last; so nothing stands behind a moved fence only where someone removed
/// it.
pub fn judge_place(found: AtPlace) -> Verdict {
    match found {
        AtPlace::Own => Verdict::Applied,
        AtPlace::Another => Verdict::NotApplied,
        AtPlace::Nothing { fence_unmoved: true } => Verdict::StillAsKnown,
        AtPlace::Nothing { fence_unmoved: false } | AtPlace::Unreadable => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_decides_and_nothing_is_guessed() {
        assert_eq!(judge_place(AtPlace::Own), Verdict::Applied);
        assert_eq!(judge_place(AtPlace::Another), Verdict::NotApplied);
        assert_eq!(judge_place(AtPlace::Nothing { fence_unmoved: true }), Verdict::StillAsKnown);
        assert_eq!(judge_place(AtPlace::Nothing { fence_unmoved: false }), Verdict::Unknown);
        assert_eq!(judge_place(AtPlace::Unreadable), Verdict::Unknown);
    }
}
