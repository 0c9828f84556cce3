//! The files of payloads: `payloads/<area>/id-<account>/id-<loop>/<32 hex digits>`.
//!
//! A segment of the key codec tells letters by their case, which not every file system does: an upper-case letter is written as `+` and
//! the lower-case one. The `id-` keeps a folder from being named like a device.

use super::super::PAYLOADS;
use super::super::disk::is_segment;
use crate::backend::{BlobArea, BlobName};
use crate::contract::StoreError;

pub(super) const AREAS: [BlobArea; 3] = [BlobArea::Media, BlobArea::Backups, BlobArea::Content];

/// What the folder of an account or a loop begins with.
const MARK: &str = "id-";

/// The folder of an area.
pub(super) fn area_folder(area: BlobArea) -> String {
    format!("{PAYLOADS}/{}", area.name())
}

/// The folder of a segment; `None` for a text that is no segment of the codec, or too long for a file system.
pub(super) fn folder(segment: &str) -> Option<String> {
    let mut name = String::from(MARK);
    for letter in segment.chars() {
        match letter {
            'A'..='Z' => name.extend(['+', letter.to_ascii_lowercase()]),
            'a'..='z' | '0'..='9' | '-' | '_' | '=' => name.push(letter),
            _ => return None,
        }
    }
    (name.len() > MARK.len() && is_segment(&name)).then_some(name)
}

/// The segment of a folder; `None` for a folder that [`folder`] makes of none.
pub(super) fn segment_of(name: &str) -> Option<String> {
    let mut letters = name.strip_prefix(MARK)?.chars();
    let mut segment = String::new();
    while let Some(letter) = letters.next() {
        segment.push(if letter == '+' { letters.next()?.to_ascii_uppercase() } else { letter });
    }
    (folder(&segment).as_deref() == Some(name)).then_some(segment)
}

/// The name inside its area of the payload in this file, if it is one's.
#[cfg(feature = "conformance")]
pub(in super::super) fn payload_of(file: &str) -> Option<String> {
    let mut parts = file.strip_prefix(PAYLOADS)?.strip_prefix('/')?.splitn(4, '/').skip(1);
    let (account, household) = (segment_of(parts.next()?)?, segment_of(parts.next()?)?);
    Some(format!("{account}/{household}/{}", parts.next()?))
}

/// Where a payload is.
#[derive(Debug)]
pub(super) struct PayloadPath {
    /// The folder of the area.
    pub(super) area: String,
    /// The folder of the account.
    pub(super) account: String,
    /// The folder of the loop.
    pub(super) household: String,
    /// The file.
    pub(super) file: String,
}

impl PayloadPath {
    /// # Errors
    /// `Invalid{blob}` when a segment of the name is longer than a file system's names, which none of the key codec's is.
    pub(super) fn of(name: &BlobName) -> Result<Self, StoreError> {
        let mut segments = name.path().split('/');
        let mut next = || segments.next().and_then(folder);
        let (Some(account), Some(household)) = (next(), next()) else {
            return Err(StoreError::invalid("blob", "an id in its name is too long for a folder"));
        };
        let area = area_folder(name.area());
        let account = format!("{area}/{account}");
        let household = format!("{account}/{household}");
        let file = format!("{household}/{}", name.random());
        Ok(Self { area, account, household, file })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::backend::keys::encode_segment;

    #[test]
    fn no_folder_is_read_as_another() {
        for (segment, name) in [
            ("CON", "id-+c+o+n"),
            ("con", "id-con"),
            ("Con", "id-+con"),
            ("_2e_2e_2f_65tc", "id-_2e_2e_2f_65tc"),
            ("=aB-", "id-=a+b-"),
        ] {
            assert_eq!(folder(segment).as_deref(), Some(name));
        }
        assert_ne!(encode_segment("é"), encode_segment("e\u{301}"));
        for text in ["", "..", "a/b", "a+b", "é", "a b", "a.b", &"a".repeat(253), &"A".repeat(127)] {
            assert_eq!(folder(text), None, "{text}");
        }
        for name in ["", "id-", "con", "id-A", "id-+", "id-a+", "id-++", "id-+A", "id-+1", "id-a.b", "id-é", "ID-a"] {
            assert_eq!(segment_of(name), None, "{name}");
        }
    }

    #[cfg(feature = "conformance")]
    #[test]
    fn a_file_says_whose_payload_it_is() {
        for path in ["A/b", "_2e_2e/-_", "con/NUL"] {
            let name = BlobName::listed(BlobArea::Backups, &format!("{path}/{:032x}", 9)).unwrap();
            assert_eq!(payload_of(&PayloadPath::of(&name).unwrap().file).as_deref(), Some(name.path()));
        }
        for other in ["tmp/payload-1", "payloads/media", "payloads/media/id-a/id-b", "payloadsx/media/id-a/id-b/c"] {
            assert_eq!(payload_of(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn every_segment_of_the_codec_has_a_folder_of_its_own(
            a in any::<String>(),
            b in "[A-Ca-c0_=-]{1,4}",
            c in "[A-Ca-c0_=-]{1,4}",
        ) {
            for segment in [encode_segment(&a), encode_segment(&a.repeat(20)), b.clone()] {
                if segment.is_empty() {
                    continue;
                }
                let name = folder(&segment).unwrap();
                prop_assert!(is_segment(&name) && name.len() <= 255);
                prop_assert_eq!(segment_of(&name), Some(segment));
            }
            prop_assert_eq!(b == c, folder(&b) == folder(&c));
        }

        #[test]
        fn a_folder_that_is_read_is_the_one_that_is_made(name in "(id-)?[a-cA-C+_=.-]{0,6}") {
            if let Some(segment) = segment_of(&name) {
                prop_assert_eq!(folder(&segment), Some(name));
            }
        }
    }
}
