//! A replica whose nearest region lags by an hour: what it reads at each freshness.

use std::time::Duration;

use openjibo_store::emulator::{EmulatorOptions, Emulators, ReadRegion};
use openjibo_store::{
    CallOptions, Expect, Freshness, LoopStore, Person, PersonId, PersonStore, PersonalMemoryStore, Stores,
};

use crate::support::azure::{config, household};

#[tokio::test]
async fn session_reads_lag_behind_other_replicas_and_latest_reads_do_not() {
    let options = EmulatorOptions::default().with_replication_delay(Duration::from_secs(3_600));
    let emulators = Emulators::start(options).await.unwrap();
    emulators.set().provision().await.unwrap();
    let open = |region| Stores::azure(config(emulators.set().replicated_env(region)));
    let near = open(ReadRegion::Write).await.unwrap();
    let far = open(ReadRegion::Second).await.unwrap();
    let latest = far.with(CallOptions::new().with_freshness(Freshness::Latest));

    let home = household();
    let zoe = Person::new(PersonId::new("zoe").unwrap());
    let put = near.put_person(&home, zoe.clone(), Expect::Absent).await.unwrap();
    assert_eq!(far.person(&home, &zoe.person_id).await.unwrap(), None, "the far region lags");
    assert_eq!(latest.person(&home, &zoe.person_id).await.unwrap(), Some(put.clone()), "latest is latest");

    // Conditional writes are decided in the write region, whatever the far replica has read.
    far.put_person(&home, zoe.clone(), Expect::Absent).await.unwrap_err();
    let newer = far.put_person(&home, zoe.clone(), put.revision().into()).await.unwrap();
    assert_eq!(far.person(&home, &zoe.person_id).await.unwrap(), Some(newer), "own writes are seen at once");

    // Personal memory has no lag: tables are read from the primary.
    let told = home.household_memory(openjibo_store::DeviceId::new("robot").unwrap());
    let tea = near.set_preference(&told, "drink", "tea", Expect::Absent).await.unwrap();
    assert_eq!(far.preference(&told, "drink").await.unwrap(), Some(tea));
    assert!(latest.get_loop(&home).await.unwrap().is_none());
    emulators.stop();
}
