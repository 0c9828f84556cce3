//! A cloud host in small: it holds contract types only, and the backend is chosen where the program starts.
//!
//! `cargo run --example cloud_host` keeps everything in memory. Built with `--features azure` and started with the
//! variables of `AzureConfig`, the same code runs on Azure.

use std::error::Error;
use std::sync::Arc;

use openjibo_store::*;

const PHOTO: &[u8] = include_bytes!("data/kitchen.png");

/// What the host needs of the stores, and nothing more.
struct CloudHost {
    devices: Arc<dyn DeviceStore>,
    memory: Arc<dyn PersonalMemoryStore>,
    media: Arc<dyn MediaStore>,
}

impl CloudHost {
    /// A robot connects. Safe on every connection: one that says nothing new costs one request.
    async fn connect(&self, robot: &DeviceId) -> Result<()> {
        let hello = DeviceRegistration::new(robot.clone()).with_firmware("12.10.0");
        let registered = self.devices.register_device(hello).await?;
        println!("robot {:?}", registered.outcome);
        Ok(())
    }

    /// A turn of a conversation reads everything that its scope remembers, in one request.
    async fn greeting(&self, scope: &MemoryScope) -> Result<String> {
        let memory = self.memory.load_scope(scope).await?;
        Ok(match &memory.name {
            Some(name) => format!("Good morning, {}!", name.value()),
            None => "Good morning! What is your name?".to_owned(),
        })
    }

    /// Adds to a preference. Another replica may write at the same time: then its text is read, and kept.
    async fn also_likes(&self, scope: &MemoryScope, key: &str, liked: &str) -> Result<()> {
        for _ in 0..8 {
            let (text, expect) = match self.memory.preference(scope, key).await? {
                None => (liked.to_owned(), Expect::Absent),
                Some(found) => {
                    let text = format!("{}, {liked}", found.value().value);
                    (text, found.revision().into())
                }
            };
            let written = self.memory.set_preference(scope, key, &text, expect).await;
            match written {
                Err(error) if error.is_conflict() => {}
                ended => return ended.map(drop),
            }
        }
        Err(StoreError::contended())
    }

    /// Stores a photo, and says whether it was new.
    async fn upload(&self, home: &LoopScope, path: &str, photo: &'static [u8]) -> Result<bool> {
        let (store, media) = (&self.media, NewMedia::new(path));
        let put = store.put_media(home, media, photo.into(), Expect::Absent);
        match put.await {
            Ok(_) => Ok(true),
            Err(error) if *error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The only place that knows backends.
async fn open() -> Result<Stores, Box<dyn Error>> {
    #[cfg(feature = "azure")]
    if std::env::var_os("AZURE_COSMOS_ENDPOINT").is_some() {
        let config = azure::AzureConfig::from_env()?;
        return Ok(Stores::azure(config).await?);
    }
    Ok(Stores::in_memory())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let stores = Arc::new(open().await?);
    let host = CloudHost { devices: stores.clone(), memory: stores.clone(), media: stores.clone() };
    let home = LoopScope::new(AccountId::new("usr_example")?, LoopId::new("example")?);
    let robot = DeviceId::new("BOJW-EXAMPLE")?;
    let ada = home.person_memory(robot.clone(), PersonId::new("mbr-ada")?);

    host.connect(&robot).await?;
    println!("{}", host.greeting(&ada).await?);
    host.memory.set_name(&ada, "Ada", Expect::Any).await?;
    println!("{}", host.greeting(&ada).await?);

    // Two replicas read the same revision; one writes. The other finds out, and loses nothing.
    let (memory, music) = (&host.memory, "music");
    let read = memory.set_preference(&ada, music, "fado", Expect::Any).await?;
    let expect = Expect::from(read.revision());
    memory.set_preference(&ada, music, "fado, morna", expect.clone()).await?;
    if let Err(error) = memory.set_preference(&ada, music, "fado, tango", expect).await {
        println!("{error}: {}", error.outcome());
    }
    host.also_likes(&ada, music, "tango").await?;

    let path = "/photos/kitchen.png";
    println!("new photo: {}", host.upload(&home, path, PHOTO).await?);
    if let Some(photo) = host.media.open_media(&home, path, None).await? {
        println!("read back: {}", photo.into_bytes().await? == PHOTO);
    }
    stores.close(std::time::Duration::from_secs(30)).await?;
    Ok(())
}
