//! A household's fact in a backend of one's own, which is beside this file: `cargo run --example map_file [FOLDER]`.
//!
//! It opens the folder twice, and finds what the opening before has left; run again, also what the run before has left.

mod backend;

use std::error::Error;
use std::path::PathBuf;

use openjibo_store::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(|| "target/map_file".into(), PathBuf::from);
    let home = LoopScope::new(AccountId::new("usr_example")?, LoopId::new("example")?);
    let told = home.household_memory(DeviceId::new("BOJW-EXAMPLE")?);
    for opening in ["one", "two"] {
        // This is how a backend gets in. The next opening is refused while this one lives.
        let stores = Stores::over(backend::open(&folder)?)?;
        let found = stores.preference(&told, "drink").await?;
        let (times, expect) = match &found {
            None => (1, Expect::Absent),
            Some(found) => (found.value().value.matches("tea").count() + 1, found.revision().into()),
        };
        println!(
            "opening {opening} found: {}",
            found.map_or_else(|| "nothing".into(), |found| found.into_value().value)
        );
        stores.set_preference(&told, "drink", &vec!["tea"; times].join(" and "), expect).await?;
        let read = stores.preference(&told, "drink").await?.ok_or("it was just written")?;
        println!("opening {opening} left:  {}", read.value().value);
    }
    Ok(())
}
