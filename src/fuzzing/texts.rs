//! Texts that a caller hands back: revisions, page tokens, change cursors.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::backend::{ChangeCursor, History};
use crate::contract::{OpTrail, PageToken, RecordState, Revision, StoreError, Timestamp};

const HISTORY: History<'_> = History { layout: 1, area: "memory", partition: "a:one" };

/// Reads a text. What is accepted is written as exactly that text; what is refused says the same whatever the text is.
fn read<T: FromStr<Err = StoreError> + Display + PartialEq>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(value) => {
            let written = value.to_string();
            assert_eq!(written, text, "an accepted text is another than what it stands for");
            assert!(written.parse::<T>().is_ok_and(|again| again == value));
            Some(value)
        }
        Err(error) => {
            let Err(plain) = "".parse::<T>() else { panic!("an empty text is accepted") };
            same(&error, &plain);
            None
        }
    }
}

/// The errors say the same.
fn same(error: &StoreError, plain: &StoreError) {
    let texts = |error: &dyn Debug, shown: &dyn Display| format!("{error:?} {shown}");
    assert_eq!(texts(error, error), texts(plain, plain), "an error depends on the text");
}

/// Bytes as the text that many of these formats are made of.
fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn revision(data: &[u8]) {
    let numbered = |number: u64, body: &[u8]| format!("{number:x}-{}", encoded(body));
    let texts = [String::from_utf8_lossy(data).into_owned(), numbered(7, data), numbered(u64::MAX >> 1, data)];
    for revision in texts.iter().filter_map(|text| read::<Revision>(text)) {
        assert!(revision.to_string().len() < 256);
        let shown = format!("{revision:?}");
        assert!(shown.len() < 64 && revision.digest().to_string().parse::<Revision>().is_err());
        // Its check was made by somebody else. What it says can be said of a record, under a check of ours.
        assert!(revision.unseal("a:one", "loop:x").is_err(), "a check was guessed");
        let created = revision.created();
        assert!(created.is_storable() && revision.number() < RecordState::MAX_NUMBER);
        let witness = revision.witness().clone();
        let sealed = Revision::seal("a:one", "loop:x", witness.clone()).expect("what is accepted can be sealed");
        let again = read::<Revision>(&sealed.to_string()).expect("what was sealed is read");
        assert_eq!(again.unseal("a:one", "loop:x").ok(), Some(&witness));
        assert!(again.unseal("a:one", "loop:y").is_err() && again.unseal("a:two", "loop:x").is_err());
        let ops = witness.ops.to_texts();
        assert_eq!(OpTrail::from_texts(ops.iter().map(String::as_str)), Some(witness.ops));
    }
}

pub(super) fn page_token(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let plain = PageToken::after("members", String::new()).key_in("people").unwrap_err();
    for text in [&*text, &encoded(data)] {
        if let Some(token) = read::<PageToken>(text) {
            for list in ["members", "people"] {
                if let Err(error) = token.key_in(list) {
                    same(&error, &plain);
                }
            }
            assert_eq!(format!("{token:?}"), "PageToken");
        }
    }
    // Any key can be gone on after, in its own list.
    let token = PageToken::after("members", text.clone().into_owned());
    let again = read::<PageToken>(&token.to_string()).expect("what was written is read");
    assert_eq!(again.key_in("members").ok(), Some(&*text));
    assert!(again.key_in("people").is_err());
}

pub(super) fn cursor(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let marked = ChangeCursor::new(&HISTORY, &*text, Timestamp::from_micros(0)).to_string();
    assert!(read::<ChangeCursor>(&marked).is_some_and(|cursor| {
        let position = cursor.position(&HISTORY, Timestamp::from_micros(1)).ok();
        position == Some(&*text)
    }));
    for text in [&*text, &encoded(data), &encoded(format!("2|{text}").as_bytes()), &marked] {
        let Some(cursor) = read::<ChangeCursor>(text) else { continue };
        for now in [i64::MIN, 0, i64::MAX].map(Timestamp::from_micros) {
            let position = cursor.position(&HISTORY, now);
            let commit = cursor.commit(&HISTORY, now);
            match (position, commit) {
                (Ok(position), Ok((seq, commit))) => assert_eq!(position, format!("{seq}:{commit}")),
                (Err(error), Err(commit)) => same(&error, &commit),
                (Ok(_), Err(error)) => assert_eq!(error.kind().name(), "invalid"),
                (Err(_), Ok(_)) => panic!("a commit without a position"),
            }
            let behind = ChangeCursor::sequence(Some(&cursor), &HISTORY, now, (3, 9), |_| Some(String::new()));
            assert!(behind.map_or(true, |seq| (3..=9).contains(&seq)));
        }
        assert!(format!("{cursor:?}").len() < 128);
    }
}
