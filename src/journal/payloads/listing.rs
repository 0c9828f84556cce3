//! Listing payloads: a walk in name order, which ends when the page is full.

use std::io;

use super::names::{PayloadPath, area_folder, folder, segment_of};
use super::{Files, is_missing};
use crate::backend::{BlobArea, BlobName, BlobPage};

/// Names that begin with `prefix`, after the name `after`.
struct Wanted<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
}

impl Wanted<'_> {
    fn name(&self, name: &str) -> bool {
        name.starts_with(self.prefix) && self.after.is_none_or(|after| name > after)
    }

    /// Whether any name that begins with `start` can be wanted.
    fn any_below(&self, start: &str) -> bool {
        (start.starts_with(self.prefix) || self.prefix.starts_with(start))
            && self.after.is_none_or(|after| start > after || after.starts_with(start))
    }
}

/// A page of payloads, of one at least where there are any. Anything in the folders that is no payload is passed over. Holds the names of one folder and of the page.
pub(super) fn page(
    files: &Files,
    area: BlobArea,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> io::Result<BlobPage> {
    files.check_in_place(&area_folder(area))?;
    let wanted = Wanted { prefix, after };
    let limit = limit.max(1);
    let most = limit.saturating_add(1);
    let mut found: Vec<BlobName> = Vec::new();
    'walk: for (account, account_folder) in folders(files, &wanted, "", &area_folder(area))? {
        for (household, household_folder) in folders(files, &wanted, &account, &account_folder)? {
            let mut names: Vec<_> = (entries(files, &household_folder)?.into_iter())
                .filter(|(_, is_folder)| !is_folder)
                .filter_map(|(random, _)| BlobName::listed(area, &format!("{household}{random}")))
                .filter(|name| wanted.name(name.path()))
                .collect();
            names.sort_unstable();
            names.truncate(most - found.len());
            found.append(&mut names);
            if found.len() == most {
                break 'walk;
            }
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|name| name.path().to_owned());
    let mut blobs = Vec::with_capacity(found.len());
    for name in found {
        let Ok(place) = PayloadPath::of(&name) else { continue };
        // One that was deleted since is none.
        if let Some(head) = files.head(&place)? {
            blobs.push((name, head));
        }
    }
    Ok(BlobPage { blobs, next })
}

/// The folders in `parent` that names wanted are in: what those names begin with, ending in `/`, and the folder; in name order.
fn folders(files: &Files, wanted: &Wanted<'_>, above: &str, parent: &str) -> io::Result<Vec<(String, String)>> {
    let named = wanted.prefix.strip_prefix(above).and_then(|rest| rest.split_once('/'));
    let segments: Vec<String> = match named {
        // The prefix names one folder: no other is looked at.
        Some((segment, _)) => vec![segment.to_owned()],
        None => {
            let entries = entries(files, parent)?.into_iter();
            entries.filter(|(_, is_folder)| *is_folder).filter_map(|(name, _)| segment_of(&name)).collect()
        }
    };
    let place = |segment: String| Some((format!("{above}{segment}/"), format!("{parent}/{}", folder(&segment)?)));
    let mut found: Vec<_> = segments.into_iter().filter_map(place).collect();
    found.retain(|(start, _)| wanted.any_below(start));
    found.sort_unstable();
    Ok(found)
}

fn entries(files: &Files, dir: &str) -> io::Result<Vec<(String, bool)>> {
    match files.disk.list(dir) {
        Err(error) if is_missing(&error) => Ok(Vec::new()),
        other => other,
    }
}
