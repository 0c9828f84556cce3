//! Which kept token signed a request, so that the service's refusal of it has a consequence.
//!
//! A service refuses a token that the keeper holds for good: it was revoked, or the host's clock is slow. It does so before it executes
//! anything, so the request may go again. The calls' own loops send it again, as after any refusal that may pass; here it is only decided
//! whether there is another token to expect. So there is no loop: one token is asked for, and if that one is refused as well, the call is
//! denied.

use std::cell::RefCell;

use super::scopes::Signature;

tokio::task_local! {
    static LAST: RefCell<Option<Signature>>;
}

/// What signed a request; nothing, if that was a key or a credential that keeps no tokens.
#[derive(Default)]
pub(in crate::azure) struct SignedBy(Option<Signature>);

impl SignedBy {
    /// Says that the service refused the token. Whether the request may go again with another one.
    pub(in crate::azure) fn refused(&self) -> bool {
        self.0.as_ref().is_some_and(Signature::refused)
    }
}

/// Runs a request, and tells what its last send was signed with. The SDKs sign in the task that waits for the answer.
pub(in crate::azure) fn signed<F: Future>(request: F) -> impl Future<Output = (F::Output, SignedBy)> {
    // Boxed: the SDKs' futures are so large that a few layers of them by value are a thread's stack.
    let request = Box::pin(request);
    let noting = async {
        let output = request.await;
        (output, SignedBy(LAST.with(RefCell::take)))
    };
    LAST.scope(RefCell::default(), noting)
}

/// Notes what the request under way is signed with.
pub(super) fn note(signature: Signature) {
    // Whoever asks outside of a request has nothing to note it for.
    let _ = LAST.try_with(|last| last.replace(Some(signature)));
}

/// Whether a storage service's answer says that it does not take the token, whatever the identity may do.
pub(in crate::azure) fn is_refusal(status: u16, code: Option<&str>) -> bool {
    status == 401 || (status == 403 && matches!(code, Some("AuthenticationFailed" | "InvalidAuthenticationInfo")))
}
