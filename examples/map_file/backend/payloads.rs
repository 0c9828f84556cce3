//! Payloads as files under write-once names.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use openjibo_store::backend::{
    BlobArea, BlobBackend, BlobDigest, BlobHead, BlobName, BlobPage, BlobReader, CallContext, Cost, check_byte_range,
    digested,
};
use openjibo_store::{ErrorKind, IdSource as _, MediaBody, Outcome, RandomIds, Result, Service, StoreError, Timestamp};

use super::{failed, sync_folder};

/// The most bytes that a reader holds.
const CHUNK: u64 = 64 * 1024;

/// The payloads of a folder.
pub struct FilePayloads {
    pub folder: PathBuf,
}

// Names hold ids.
impl fmt::Debug for FilePayloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilePayloads").finish_non_exhaustive()
    }
}

/// A file that is not whole yet: it goes with who was writing it, also with a call that is given up.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // One that stays is removed when the folder is opened.
        let _ = fs::remove_file(&self.0);
    }
}

impl FilePayloads {
    /// A name's segments are of the key codec, and good as names of files where upper and lower case are told apart.
    fn path(&self, name: &BlobName) -> PathBuf {
        self.folder.join("payloads").join(name.area().name()).join(name.path())
    }

    /// What is there is whole, and stays what it is for whoever has it open.
    fn find(&self, name: &BlobName) -> Result<Option<(File, BlobHead)>> {
        let found = missing_is_none(File::open(self.path(name))).and_then(|file| match file {
            None => Ok(None),
            Some(file) => head_of(&file.metadata()?).map(|head| Some((file, head))),
        });
        found.map_err(|error| failed("open a payload", &error))
    }

    /// Gives a synced file its name, if nobody has it: a link is refused where something is.
    async fn publish(&self, cx: &CallContext, whole: &Path, name: &BlobName, digest: &BlobDigest) -> Result<()> {
        let path = self.path(name);
        let folders: Vec<&Path> = path.ancestors().skip(1).take(3).collect();
        let [household, account, area] = folders[..] else { return Err(StoreError::invalid("blob", "it is no path")) };
        let made = fs::create_dir_all(household).and_then(|()| sync_folder(area)).and_then(|()| sync_folder(account));
        made.map_err(|error| failed("make a folder", &error))?;
        cx.check_time()?;
        match fs::hard_link(whole, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // The same bytes again are the same payload.
                let there = self.open(cx, name, None).await?;
                let same = match there {
                    Some(there) => digested(MediaBody::Stream(there.body), |_| Ok(())).await? == *digest,
                    None => false,
                };
                if !same {
                    return Err(StoreError::new(ErrorKind::AlreadyExists));
                }
            }
            linked => linked.map_err(|error| failed("name a payload", &error))?,
        }
        // It is readable, and may be gone after a power cut.
        sync_folder(household).map_err(|error| failed("sync a folder", &error).with_outcome(Outcome::Unknown))
    }

    fn count(cx: &CallContext, kind: &'static str) {
        cx.meter().add(Service::Other, kind, Cost::one());
    }
}

fn missing_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Length, and when it was written, by the clock of the file system.
fn head_of(metadata: &fs::Metadata) -> io::Result<BlobHead> {
    let since_1970 = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX);
    Ok(BlobHead { length: metadata.len(), created: Timestamp::from_micros(micros) })
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let Some(entries) = missing_is_none(fs::read_dir(folder))? else { return Ok(Vec::new()) };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[async_trait]
impl BlobBackend for FilePayloads {
    fn service(&self) -> Service {
        Service::Other
    }

    async fn put(&self, cx: &CallContext, name: &BlobName, body: MediaBody) -> Result<BlobDigest> {
        Self::count(cx, "put");
        let random = u128::from_be_bytes(RandomIds.next_id());
        let temporary = Temporary(self.folder.join("tmp").join(format!("{random:032x}")));
        let mut file = File::create_new(&temporary.0).map_err(|error| failed("make a file", &error))?;
        // Memory is bounded whatever the length, and a body that fails leaves nothing under the name. An upload is no write of the call.
        let digest =
            digested(body, |piece| file.write_all(&piece).map_err(|error| failed("write a payload", &error))).await?;
        file.sync_all().map_err(|error| failed("sync a payload", &error))?;
        self.publish(cx, &temporary.0, name, &digest).await?;
        Ok(digest)
    }

    async fn open(&self, cx: &CallContext, name: &BlobName, range: Option<Range<u64>>) -> Result<Option<BlobReader>> {
        Self::count(cx, "get");
        let Some((mut file, BlobHead { length, .. })) = self.find(name)? else { return Ok(None) };
        if let Some(range) = &range {
            check_byte_range(range, length)?;
        }
        let range = range.unwrap_or(0..length);
        file.seek(SeekFrom::Start(range.start)).map_err(|error| failed("read a payload", &error))?;
        let body = stream::try_unfold((file, range.end - range.start), |(mut file, left)| async move {
            let mut piece = vec![0; left.min(CHUNK) as usize];
            file.read_exact(&mut piece).map_err(|error| failed("read a payload", &error))?;
            let left = left - piece.len() as u64;
            Ok((!piece.is_empty()).then(|| (piece.into(), (file, left))))
        });
        Ok(Some(BlobReader { length, body: body.boxed() }))
    }

    async fn head(&self, cx: &CallContext, name: &BlobName) -> Result<Option<BlobHead>> {
        Self::count(cx, "head");
        Ok(self.find(name)?.map(|(_, head)| head))
    }

    async fn delete(&self, cx: &CallContext, name: &BlobName) -> Result<()> {
        Self::count(cx, "delete");
        cx.check_time()?;
        let (path, sent) = (self.path(name), cx.write_sent());
        if let Err(error) = missing_is_none(fs::remove_file(&path)) {
            sent.settle(false);
            return Err(failed("delete a payload", &error));
        }
        let synced = path.parent().map_or(Ok(()), |folder| missing_is_none(sync_folder(folder)).map(drop));
        // Not settled: it may be back after a power cut.
        synced.map_err(|error| failed("sync a folder", &error).with_outcome(Outcome::Unknown))?;
        // A write of the call, also where nothing was.
        sent.settle(true);
        Ok(())
    }

    async fn list(
        &self,
        cx: &CallContext,
        area: BlobArea,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BlobPage> {
        Self::count(cx, "list");
        let top = self.folder.join("payloads").join(area.name());
        let walk = || {
            let mut paths = Vec::new();
            for account in names_in(&top)? {
                for household in names_in(&top.join(&account))? {
                    let folder = format!("{account}/{household}");
                    paths.extend(names_in(&top.join(&folder))?.into_iter().map(|random| format!("{folder}/{random}")));
                }
            }
            Ok(paths)
        };
        let paths: Vec<String> = walk().map_err(|error: io::Error| failed("list payloads", &error))?;
        let wanted = |path: &&String| path.starts_with(prefix) && after.is_none_or(|after| path.as_str() > after);
        // What is no payload's name is passed over.
        let mut names: Vec<BlobName> =
            paths.iter().filter(wanted).filter_map(|path| BlobName::listed(area, path)).collect();
        names.sort_unstable();
        let mut found = Vec::new();
        for name in names {
            // One that was deleted since is none.
            found.extend(self.find(&name)?.map(|(_, head)| (name, head)));
        }
        Ok(BlobPage::of(found, limit))
    }
}
