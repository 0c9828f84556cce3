//! No household is named by the debug form of a backend that has worked for it.

use crate::azure::config::AzureConfig;
use crate::contract::*;
use crate::emulator::EmulatorSet;
use crate::stores::Stores;

const MARK: &str = "planted";

async fn use_everything(stores: &Stores) {
    let random = u128::from_be_bytes(RandomIds.next_id());
    let account = AccountId::new(format!("{MARK}-{random:032x}")).unwrap();
    let scope = LoopScope::new(account.clone(), LoopId::new(format!("{MARK}-loop")).unwrap());
    let memory_scope = scope.household_memory(DeviceId::new(format!("{MARK}-{random:x}")).unwrap());
    stores.create_account(Account::new(account, format!("{MARK}@example.org"))).await.unwrap();
    stores.set_preference(&memory_scope, MARK, MARK, Expect::Absent).await.unwrap();
    let body = MediaBody::from(MARK.as_bytes().to_vec());
    stores.put_media(&scope, NewMedia::new(MARK), body, Expect::Absent).await.unwrap();
    stores.load_scope(&memory_scope).await.unwrap();
}

#[tokio::test]
async fn no_backend_shows_its_households() {
    let set = EmulatorSet::for_tests().await.unwrap();
    let config = AzureConfig::from_vars(|name| set.env().get(name).cloned()).unwrap();
    for stores in [Stores::azure(config).await.unwrap(), Stores::in_memory()] {
        use_everything(&stores).await;
        let text = format!("{:?} {:#?} {stores:?}", stores.backends(), stores.backends());
        assert!(!text.contains(MARK), "{text}");
    }
}
