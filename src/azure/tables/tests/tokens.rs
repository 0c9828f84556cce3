//! Tokens that the service refuses.

use super::fake::{Fault, Reply};
use super::*;
use crate::azure::token::KeptTokens;
use crate::azure::token::numbered::Numbered;
use crate::contract::ErrorKind;
use Precondition::{Absent, Any};

const REFUSED: Reply = Reply::Error(401, "InvalidAuthenticationInfo");
/// Longer than nobody asks again after a refusal.
const A_WHILE: Duration = Duration::from_secs(60);

fn with_tokens(fake: &Fake) -> (FencedTable, Arc<Numbered>) {
    let tokens = Arc::new(Numbered::default());
    let client_options = ClientOptions {
        transport: Some(Transport::new(Arc::new(fake.clone()))),
        retry: RetryOptions::none(),
        per_try_policies: vec![Arc::new(MeterPolicy)],
        ..ClientOptions::default()
    };
    let credential = TablesCredential::Token(Arc::new(KeptTokens::new(tokens.clone())));
    let endpoint = Url::parse("https://127.0.0.1:10002/devstoreaccount1").unwrap();
    let client = TablesClient::new(endpoint, credential, TablesClientOptions { client_options }).unwrap();
    (FencedTable::new(client.table("memory").unwrap()), tokens)
}

fn refuse_commit(fake: &Fake, answer: Reply) {
    fake.state().faults.push_back(Fault { applied: false, meanwhile: None, answer });
}

fn needs(needs: &'static str) -> ErrorKind {
    ErrorKind::Denied { needs: needs.into() }
}

// Guards against: a revoked token was sent until its end, and every call was denied for that long.
#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_and_the_call_goes_on() {
    for refused in [REFUSED, Reply::Error(401, ""), Reply::Error(403, "AuthenticationFailed")] {
        let fake = Fake::default();
        let (table, tokens) = with_tokens(&fake);
        write(&table, "m:a", 1, Absent).await;
        assert_eq!(tokens.asked(), 1);
        fake.state().read_faults.push_back(refused);
        assert!(read(&table, "m:a").await.is_some());
        assert_eq!(tokens.asked(), 2);
        tokio::time::advance(A_WHILE).await;
        refuse_commit(&fake, refused);
        let (answer, requests) = commit(&table, vec![put("m:a", 2, Any)]).await;
        answer.unwrap();
        assert_eq!((tokens.asked(), requests), (3, 2), "the head is known still, and nothing is read");
        tokio::time::advance(A_WHILE).await;
        refuse_commit(&fake, refused);
        assert_eq!(table.erase(&call(), "p", &[KeyRange::below("m")], None).await.unwrap(), 1);
        fake.state().read_faults.push_back(refused);
        tokio::time::advance(A_WHILE).await;
        table.probe(&call()).await.unwrap();
        assert_eq!(tokens.asked(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_that_is_refused_too_is_denied_at_once_and_nothing_is_written() {
    let fake = Fake::default();
    let (table, tokens) = with_tokens(&fake);
    write(&table, "m:a", 1, Absent).await;
    let before = fake.dump();
    (0..2).for_each(|_| refuse_commit(&fake, REFUSED));
    let cx = call();
    let error = table.commit(&cx, Commit::new("p", cx.next_op(), vec![put("m:a", 2, Any)])).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&needs("a valid credential"), Outcome::NotApplied));
    assert_eq!((cx.outcome_if_abandoned(), requests(&cx), tokens.asked()), (Outcome::NotApplied, 2, 2));
    // Nobody asks again for a while.
    fake.state().read_faults = [REFUSED, REFUSED].into();
    for _ in 0..2 {
        assert_eq!(*table.get(&call(), "p", "m:a").await.unwrap_err().kind(), needs("a valid credential"));
    }
    assert_eq!((tokens.asked(), fake.dump() == before), (2, true));
    tokio::time::advance(A_WHILE).await;
    fake.state().read_faults.push_back(REFUSED);
    assert!(read(&table, "m:a").await.is_some());
    assert_eq!(tokens.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn calls_refused_with_one_token_ask_once_together() {
    let fake = Fake::default();
    let (table, tokens) = with_tokens(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.state().revoked = Some("token-1");
    for found in futures::future::join_all((0..50).map(|_| read(&table, "m:a"))).await {
        assert!(found.is_some());
    }
    assert_eq!(tokens.asked(), 2);
    write(&table, "m:a", 2, Any).await;
    assert_eq!(tokens.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_missing_role_is_no_reason_to_ask_for_another_token() {
    let fake = Fake::default();
    let (table, tokens) = with_tokens(&fake);
    write(&table, "m:a", 1, Absent).await;
    refuse_commit(&fake, Reply::Error(403, "AuthorizationPermissionMismatch"));
    let error = commit(&table, vec![put("m:a", 2, Any)]).await.0.unwrap_err();
    assert_eq!((error.kind().name(), error.outcome(), tokens.asked()), ("denied", Outcome::NotApplied, 1));
}

// A send that was refused with a token may not make a later refusal look like the echo of it.
#[tokio::test(start_paused = true)]
async fn a_refused_token_hides_no_definite_answer() {
    let fake = Fake::default();
    let (table, _) = with_tokens(&fake);
    let first = write(&table, "m:a", 1, Absent).await;
    write(&table, "m:a", 2, exact(&first)).await;
    refuse_commit(&fake, REFUSED);
    let error = commit(&table, vec![put("m:a", 3, exact(&first))]).await.0.unwrap_err();
    assert_eq!(kind(&error), ("conflict", Outcome::NotApplied, Some(0)));
}
