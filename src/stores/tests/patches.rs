//! A partial change changes each field that it names, and no other.

use crate::contract::*;
use crate::stores::Stores;

#[tokio::test]
async fn a_patch_changes_each_field_that_it_names() {
    let stores = Stores::in_memory();
    let id = AccountId::new("usr_1").unwrap();
    let mut account = Account::new(id.clone(), "a@example.org");
    (account.first_name, account.last_name) = ("Ana".into(), "Ito".into());
    stores.create_account(account).await.unwrap();
    let keep = stores.patch_account(&id, AccountPatch::default(), Expect::Any).await.unwrap();
    let fields = |stored: &Stored<Account>| {
        (stored.email.clone(), stored.first_name.clone(), stored.last_name.clone(), stored.is_active)
    };
    assert_eq!(fields(&keep), ("a@example.org".into(), "Ana".into(), "Ito".into(), true));
    let patch = AccountPatch {
        email: Some(" B@Example.org ".into()),
        first_name: Some("Bea".into()),
        last_name: Some("Oz".into()),
        is_active: Some(false),
    };
    let set = stores.patch_account(&id, patch, Expect::Any).await.unwrap();
    assert_eq!(fields(&set), ("b@example.org".into(), "Bea".into(), "Oz".into(), false));

    let home = LoopScope::new(id, LoopId::new("home").unwrap());
    stores.create_loop(Loop::new(home.clone(), "Home")).await.unwrap();
    let robot = |text| RobotId::new(text).unwrap();
    let patch = LoopPatch {
        name: Some("Den".into()),
        robot_id: Change::Set(robot("r")),
        robot_friendly_id: Change::Set(robot("f")),
        is_suspended: Some(true),
    };
    stores.patch_loop(&home, patch, Expect::Any).await.unwrap();
    let keep = stores.patch_loop(&home, LoopPatch::default(), Expect::Any).await.unwrap();
    assert_eq!((&*keep.name, keep.is_suspended), ("Den", true));
    assert_eq!((keep.robot_id.clone(), keep.robot_friendly_id.clone()), (Some(robot("r")), Some(robot("f"))));
    let clear = LoopPatch { robot_id: Change::Clear, robot_friendly_id: Change::Clear, ..LoopPatch::default() };
    let cleared = stores.patch_loop(&home, clear, Expect::Any).await.unwrap();
    assert_eq!((cleared.robot_id.clone(), cleared.robot_friendly_id.clone()), (None, None));
}
