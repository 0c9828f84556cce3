//! The simulated disk is as unkind as it says.

use super::*;
use crate::journal::disk::{Disk, DiskFile, read_exact};

/// A file `log/one` with "abc" durable, and its handle.
fn with_file() -> (SimDisk, Arc<dyn DiskFile>) {
    let disk = SimDisk::new();
    disk.create_dir("log").unwrap();
    disk.sync_dir("").unwrap();
    let file = disk.create("log/one").unwrap();
    file.append(b"abc").unwrap();
    file.sync().unwrap();
    disk.sync_dir("log").unwrap();
    (disk, file)
}

/// What the images hold in `log/one`, by what was lost.
fn found(images: &[Image]) -> Vec<(Loss, String)> {
    let text = |image: &Image| match image.disk.files().iter().find(|(name, _)| name == "log/one") {
        Some((_, bytes)) => String::from_utf8_lossy(bytes).replace('\0', "0"),
        None => "-".into(),
    };
    images.iter().map(|image| (image.loss, text(image))).collect()
}

fn all(disk: &SimDisk, cuts: Cuts) -> Vec<(Loss, String)> {
    found(&disk.images(cuts))
}

#[test]
fn an_unsynced_append_may_be_lost_whole_or_in_part_and_a_synced_one_is_not() {
    let (disk, file) = with_file();
    assert_eq!(all(&disk, Cuts::EVERY), [(Loss::Pending, "abc".into())]);
    file.append(b"de").unwrap();
    file.append(b"fgh").unwrap();
    let pair = |loss, text: &str| (loss, text.to_owned());
    let expected = [
        pair(Loss::Pending, "abc"),
        pair(Loss::Nothing, "abcdefgh"),
        pair(Loss::After(1), "abcde"),
        pair(Loss::Tail(0), "abcde"),
        pair(Loss::Tail(1), "abcdef"),
        pair(Loss::Tail(2), "abcdefg"),
        pair(Loss::Zeros(0), "abcde000"),
        pair(Loss::Zeros(1), "abcdef00"),
        pair(Loss::Zeros(2), "abcdefg0"),
    ];
    assert_eq!(all(&disk, Cuts::EVERY), expected);
    assert_eq!(all(&disk, Cuts::NONE), expected[..3]);
    file.sync().unwrap();
    assert_eq!(all(&disk, Cuts::EVERY), [(Loss::Pending, "abcdefgh".into())]);
}

#[test]
fn a_file_synced_in_a_folder_that_is_not_may_have_no_name() {
    let disk = SimDisk::new();
    disk.create_dir("log").unwrap();
    disk.create("log/one").unwrap().append(b"x").unwrap();
    disk.open("log/one").unwrap().sync().unwrap();
    assert_eq!(all(&disk, Cuts::NONE)[0], (Loss::Pending, "-".into()));
    disk.sync_dir("log").unwrap();
    assert_eq!(all(&disk, Cuts::NONE)[0], (Loss::Pending, "-".into()), "the folder itself has no durable name");
    disk.sync_dir("").unwrap();
    assert_eq!(all(&disk, Cuts::NONE), [(Loss::Pending, "x".into())]);
}

#[test]
fn an_unsynced_rename_may_or_may_not_be_there_and_apart_from_the_bytes() {
    let (disk, _) = with_file();
    let new = disk.create("log/new").unwrap();
    new.append(b"new").unwrap();
    disk.rename("log/new", "log/one").unwrap();
    let images = all(&disk, Cuts::NONE);
    for (loss, text) in [(Loss::Pending, "abc"), (Loss::Nothing, "new"), (Loss::Bytes, ""), (Loss::Names, "abc")] {
        assert!(images.contains(&(loss, text.into())), "{loss:?} in {images:?}");
    }
    new.sync().unwrap();
    disk.remove("log/one").unwrap();
    let images = all(&disk, Cuts::NONE);
    // Pending: the new name, the rename, the removal.
    for (loss, text) in [(Loss::Pending, "abc"), (Loss::Nothing, "-"), (Loss::OnlyName(1), "new")] {
        assert!(images.contains(&(loss, text.into())), "{loss:?} in {images:?}");
    }
    assert!(images.contains(&(Loss::WithoutName(2), "new".into())), "{images:?}");
    disk.sync_dir("log").unwrap();
    assert_eq!(all(&disk, Cuts::NONE), [(Loss::Pending, "-".into())]);
}

#[test]
fn handles_outlive_names() {
    let (disk, file) = with_file();
    disk.rename("log/one", "log/two").unwrap();
    disk.create("log/three").unwrap().append(b"three").unwrap();
    disk.rename("log/three", "log/two").unwrap();
    file.append(b"d").unwrap();
    assert_eq!(read_exact(&*file, 0, 4).unwrap(), b"abcd");
    assert_eq!(*disk.read("log/two"), b"three");
    disk.remove("log/two").unwrap();
    assert_eq!((file.len().unwrap(), disk.names("log").len()), (4, 0));
}

#[test]
fn a_fault_strikes_the_operation_it_was_set_for_once() {
    let (disk, file) = with_file();
    let failed = |result: io::Result<()>| result.map_err(|error| error.raw_os_error());
    disk.fail(&[Kind::Append, Kind::Sync], 1, Failure::Error(EIO));
    file.append(b"d").unwrap();
    disk.create("log/two").unwrap();
    assert_eq!(failed(file.sync()), Err(Some(EIO)));
    file.sync().unwrap();
    assert_eq!(disk.clear_faults(), 0);
    disk.fail(&[Kind::Append], 0, Failure::Short { written: 1, code: ENOSPC });
    assert_eq!(failed(file.append(b"efg")), Err(Some(ENOSPC)));
    assert_eq!(*disk.read("log/one"), b"abcde");
    disk.fail(&[Kind::SetLen], 0, Failure::Error(EIO));
    assert_eq!(failed(file.set_len(4)), Err(Some(EIO)));
    assert_eq!(file.len().unwrap(), 5);
    for (kind, call) in [
        (Kind::Rename, (|disk: &SimDisk| disk.rename("log/two", "log/three")) as fn(&SimDisk) -> io::Result<()>),
        (Kind::Remove, |disk| disk.remove("log/two")),
        (Kind::Create, |disk| disk.create("log/four").map(drop)),
        (Kind::CreateDir, |disk| disk.create_dir("more")),
        (Kind::SyncDir, |disk| disk.sync_dir("log")),
        (Kind::Read, |disk| disk.open("log/one").map(drop)),
        (Kind::Read, |disk| disk.list("log").map(drop)),
    ] {
        let before = disk.files();
        disk.fail(&[kind], 0, Failure::Error(EIO));
        assert_eq!(failed(call(&disk)), Err(Some(EIO)), "{kind:?}");
        assert_eq!(disk.files(), before, "{kind:?}");
    }
    let ops = disk.log();
    assert!(ops.iter().any(|op| op.kind == Kind::Rename && op.failed));
    assert_eq!(disk.count(&[Kind::Append]), 3);
    disk.fail(&[Kind::Sync], 7, Failure::Error(EIO));
    assert_eq!(disk.clear_faults(), 1, "a fault that met nothing is told");
}

#[test]
fn bytes_under_a_failed_sync_are_kept_or_lost_for_good() {
    for (failure, expected) in [
        (Failure::Error(EIO), vec!["abc", "abcde"]),
        (Failure::Short { written: 0, code: EIO }, vec!["abcde"]),
        (Failure::Lost(EIO), vec!["abc"]),
    ] {
        let (disk, file) = with_file();
        file.append(b"de").unwrap();
        disk.fail(&[Kind::Sync], 0, failure);
        file.sync().unwrap_err();
        assert_eq!(all(&disk, Cuts::NONE).into_iter().map(|(_, text)| text).collect::<Vec<_>>(), expected);
        assert_eq!(*disk.read("log/one"), b"abcde", "the process goes on reading it");
        file.append(b"f").unwrap();
        file.sync().unwrap();
        let after = if failure == Failure::Lost(EIO) { "abc00f" } else { "abcdef" };
        assert_eq!(all(&disk, Cuts::NONE), [(Loss::Pending, after.into())]);
    }
}

#[test]
fn a_full_disk_takes_what_fits_and_goes_on_when_there_is_space() {
    let (disk, file) = with_file();
    disk.set_space(Some(2));
    assert_eq!(file.append(b"def").unwrap_err().raw_os_error(), Some(ENOSPC));
    assert_eq!(disk.create("log/two").unwrap_err().raw_os_error(), Some(ENOSPC));
    assert_eq!(*disk.read("log/one"), b"abcde");
    file.set_len(3).unwrap();
    disk.set_space(None);
    file.append(b"def").unwrap();
    assert_eq!(*disk.read("log/one"), b"abcdef");
}

#[test]
fn every_moment_can_be_had_again_and_images_are_independent() {
    let (disk, file) = with_file();
    file.append(b"de").unwrap();
    file.set_len(1).unwrap();
    let kinds: Vec<Kind> = disk.log().iter().map(|op| op.kind).collect();
    use Kind::*;
    assert_eq!(kinds, [CreateDir, SyncDir, Create, Append, Sync, SyncDir, Append, SetLen]);
    assert_eq!(disk.images_at(0, Cuts::NONE)[0].disk.files().len(), 0);
    assert!(found(&disk.images_at(7, Cuts::NONE)).contains(&(Loss::Nothing, "abcde".into())));
    let last = disk.images_at(8, Cuts::NONE);
    assert_eq!(found(&last), all(&disk, Cuts::NONE));
    last[0].disk.open("log/one").unwrap().append(b"!").unwrap();
    assert_eq!(found(&last)[0].1, "abc!");
    assert_eq!(found(&disk.images_at(8, Cuts::NONE))[0].1, "abc");
    assert_eq!(*disk.read("log/one"), b"a");
    let mut replay = disk.replay();
    while replay.step().is_some() {}
    assert_eq!(replay.done(), disk.done());
    let left = replay.left();
    assert_eq!((&**left.read("log/one"), all(&left, Cuts::NONE)), (&b"a"[..], all(&disk, Cuts::NONE)));
    assert_eq!((*disk.cut_file("log/one", 0).read("log/one")).len(), 0);
    assert_eq!(*disk.flip("log/one", 0, 0x20).read("log/one"), b"A");
    assert_eq!(*disk.copy().read("log/one"), b"a");
}

#[test]
fn names_are_as_strict_as_those_of_a_real_folder() {
    let (disk, _) = with_file();
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    for name in ["..", "a/../b", "A", "a//b", "a/", ".hidden"] {
        assert_eq!(kind(disk.create(name).map(drop)), io::ErrorKind::InvalidInput, "{name}");
    }
    disk.create_dir("log").unwrap();
    assert_eq!(kind(disk.create("log/one").map(drop)), io::ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.create("none/one").map(drop)), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.open("log/two").map(drop)), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.list("none").map(drop)), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.remove("log/two")), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.rename("log/two", "log/three")), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.sync_dir("none")), io::ErrorKind::NotFound);
    disk.create_dir("log/damaged").unwrap();
    disk.rename("log/one", "log/damaged/one").unwrap();
    assert_eq!(disk.list("log").unwrap(), [("damaged".to_owned(), true)]);
    assert_eq!(disk.names("log/damaged"), ["one"]);
    disk.rename("log/damaged", "kept").unwrap();
    assert_eq!(*disk.read("kept/one"), b"abc");
}
