use async_trait::async_trait;

use crate::Stores;
use crate::conformance::families::{Names, Sample, State, Target, names};
use crate::conformance::support::World;
use crate::contract::{Expect, Media, MediaStore, MediaWindow, NewMedia, Page, Result, Stored};
use crate::stores::families::family;
use crate::stores::record::{Family, Record, RecordAddress, prefix};

pub(in crate::conformance) const MEDIA: Target = &Photos;

pub(super) const SAMPLES: &[Target] = &[MEDIA];

const PATH: &str = "Photos/One.jpg";

#[derive(Debug)]
struct Photos;

fn state(stored: &Stored<Media>) -> State {
    State::of(stored, &stored.sha256)
}

#[async_trait(?Send)]
impl Sample for Photos {
    fn family(&self) -> &'static Family {
        Media::FAMILY
    }

    fn address(&self, w: &World) -> RecordAddress {
        Media::address(&w.home, PATH)
    }

    fn companions(&self) -> &'static [&'static str] {
        &["media-time", "media-blob"]
    }

    async fn write(&self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
        let text = format!("value {n}");
        let media = NewMedia::new(PATH).with_meta("text", text.clone());
        stores.put_media(&w.home, media, text.into_bytes().into(), expect).await.map(|stored| state(&stored))
    }

    async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
        let found = stores.media(&w.home, PATH).await?;
        Ok(found.filter(|found| !found.is_deleted).map(|stored| state(&stored)))
    }

    async fn remove(&self, w: &World, stores: &Stores, expect: Expect) -> Result<bool> {
        let removed = stores.remove_media(&w.home, PATH, expect).await?;
        Ok(removed.is_some_and(|media| media.is_deleted))
    }

    async fn add(&self, w: &World, stores: &Stores, name: &str) -> Result<()> {
        let body = name.as_bytes().to_vec().into();
        stores.put_media(&w.home, NewMedia::new(name), body, Expect::Absent).await.map(drop)
    }

    async fn take_out(&self, w: &World, stores: &Stores, name: &str) -> Result<bool> {
        Ok(stores.remove_media(&w.home, name, Expect::Any).await?.is_some())
    }

    async fn page(&self, w: &World, stores: &Stores, page: Page) -> Result<Names> {
        Ok(names(stores.list_media(&w.home, MediaWindow::default(), page).await?, |found| found.path.clone()))
    }

    /// The time index, not the records.
    fn list_range(&self, w: &World) -> (String, String) {
        (self.address(w).partition, prefix(family("media-time"), &w.home))
    }
}
