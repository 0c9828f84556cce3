//! Lists, against those of the backend in memory.

use super::*;
use crate::memory::MemoryBlobs;

const ACCOUNTS: [&str; 6] = ["a", "A", "a-b", "a=", "ab", "_61"];
const LOOPS: [&str; 4] = ["x", "X", "x-", "=x"];

fn listed(area: BlobArea, account: &str, home: &str, n: u32) -> BlobName {
    BlobName::listed(area, &format!("{account}/{home}/{n:032x}")).unwrap()
}

/// A model and payloads that hold the same: a few in each of several households, and fewer in another area.
async fn both(home: &Home) -> (MemoryBlobs, JournalBlobs) {
    let (model, blobs) = (MemoryBlobs::default(), home.blobs());
    let mut random = 7_u32;
    for account in ACCOUNTS {
        for household in LOOPS {
            for n in 0..4 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let area = if n == 3 { BlobArea::Backups } else { BlobArea::Media };
                let name = listed(area, account, household, random);
                for backend in [&model as &dyn BlobBackend, &blobs] {
                    backend.put(&cx(), &name, payload(1, n).to_vec().into()).await.unwrap();
                }
            }
        }
    }
    (model, blobs)
}

async fn page(
    backend: &dyn BlobBackend,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> (Vec<(BlobName, u64)>, Option<String>) {
    let page = backend.list(&cx(), BlobArea::Media, prefix, after, limit).await.unwrap();
    (page.blobs.into_iter().map(|(name, head)| (name, head.length)).collect(), page.next)
}

#[tokio::test]
async fn lists_are_those_of_the_model() {
    let home = Home::new();
    let (model, blobs) = both(&home).await;
    let (all, end) = page(&model, "", None, 1_000).await;
    assert_eq!((all.len(), end), (72, None));
    let some: Vec<&str> = all.iter().step_by(11).map(|(name, _)| name.path()).collect();
    let mut prefixes = vec![
        "", "a", "a/", "a/x", "a/x/", "A/X/", "a-", "=", "a/x/0", "no/body/", "a/X-/", "é/x/", "a//", "/", "../",
        "a/../",
    ];
    prefixes.extend(&some);
    let mut afters = vec![None, Some(""), Some("a"), Some("a/"), Some("a/x/"), Some("a/x/f"), Some("zz"), Some("a/x0")];
    afters.extend(some.iter().map(|name| Some(*name)));
    let mut found = 0;
    for prefix in &prefixes {
        for after in &afters {
            for limit in [0, 1, 2, 5, 71, 72, 73, usize::MAX] {
                let expected = page(&model, prefix, *after, limit).await;
                found += expected.0.len();
                assert_eq!(page(&blobs, prefix, *after, limit).await, expected, "{prefix:?} {after:?} {limit}");
            }
        }
    }
    assert!(found > 1_000, "{found}");
}

#[tokio::test]
async fn what_is_no_payload_is_passed_over_and_left_alone() {
    let home = Home::new();
    let (model, blobs) = both(&home).await;
    let media = home.root().join("payloads/media");
    let hex = format!("{:032x}", 5);
    for folder in [
        "Notes",
        "id-A",
        "id-+",
        "id-a/id-y.z",
        "id-a/id-x/sub",
        &format!("id-a/id-x/{hex}"),
        "id-empty",
        "id-void/id-x",
    ] {
        std::fs::create_dir(media.join(folder).parent().unwrap()).ok();
        std::fs::create_dir_all(media.join(folder)).unwrap();
    }
    let long = "f".repeat(33);
    for file in [
        "readme.txt",
        "id-b",
        "id-a/id-file",
        "id-a/notes",
        "id-a/id-x/notes",
        &format!("id-a/id-x/{long}"),
        "Notes/notes",
    ] {
        std::fs::write(media.join(file), b"not a payload").unwrap();
    }
    std::fs::write(media.join("id-a/id-x").join(format!("{:032X}", 0xabc)), b"not a payload").unwrap();
    let before = files_below(&home.root());
    for prefix in ["", "a/", "a/x/", "b/", "b/x/", "a/file/", "empty/", "void/x/"] {
        assert_eq!(page(&blobs, prefix, None, 1_000).await, page(&model, prefix, None, 1_000).await, "{prefix}");
    }
    let in_a_file = listed(BlobArea::Media, "b", "x", 1);
    assert!(read(&blobs, &in_a_file).await.is_none());
    assert!(blobs.head(&cx(), &in_a_file).await.unwrap().is_none());
    blobs.delete(&cx(), &in_a_file).await.unwrap();
    assert_eq!(put(&blobs, &in_a_file, &payload(1, 1)).await.unwrap_err().outcome(), Outcome::NotApplied);
    let in_a_folder = listed(BlobArea::Media, "a", "x", 5);
    assert_eq!(put(&blobs, &in_a_folder, &payload(1, 1)).await.unwrap_err().outcome(), Outcome::NotApplied);
    assert_eq!(files_below(&home.root()), before);
}

#[tokio::test]
async fn a_list_reads_no_folder_that_it_does_not_need() {
    let home = Home::new();
    both(&home).await;
    let read = Arc::new(Mutex::new(Vec::new()));
    let steps = Arc::clone(&read);
    let blobs = home.hooked(move |step, name| {
        if step == "list" {
            steps.lock().unwrap().push(name.to_owned());
        }
        Do::Pass
    });
    let lists = async |prefix, after, limit| {
        read.lock().unwrap().clear();
        page(&blobs, prefix, after, limit).await;
        std::mem::take(&mut *read.lock().unwrap())
    };
    assert_eq!(lists("a/X/", None, 10).await, ["payloads/media/id-a/id-+x"]);
    assert_eq!(lists("A/x/00", None, 10).await, ["payloads/media/id-+a/id-x"]);
    assert_eq!(lists("a/X", None, 10).await, ["payloads/media/id-a", "payloads/media/id-a/id-+x"]);
    let first = ["payloads/media", "payloads/media/id-+a", "payloads/media/id-+a/id-=x"];
    assert_eq!(lists("", None, 2).await, first, "a full page ends the walk");
    let last = lists("", Some("ab/x/"), 10).await;
    assert_eq!(
        last,
        ["payloads/media", "payloads/media/id-ab", "payloads/media/id-ab/id-x"],
        "what is before is not walked"
    );
}
