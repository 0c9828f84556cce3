//! Tokens of Entra ID: one kept for each scope, and what it means that none could be had, or that one is refused.

mod kept;
#[cfg(test)]
pub(super) mod numbered;
mod scopes;
mod signed;
mod signing;

use std::error::Error;

use azure_core::error::ErrorKind as SdkErrorKind;

pub(super) use kept::KeptTokens;
pub(super) use signed::{SignedBy, is_refusal, signed};
pub(super) use signing::TokenPolicy;

use crate::contract::{ErrorKind, StoreError};

/// Whether another try may get a token: the identity endpoint could not be reached, is asked too often, is being updated (404 and 410
/// of the Instance Metadata Service: "How to use managed identities to acquire an access token", error handling), failed itself, or
/// something before it answered what can't be read. An endpoint that refuses goes on to do so.
///
/// The SDKs call all of it a failed credential, and keep the reason as its source.
pub(super) fn may_come(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<azure_core::Error>().map(azure_core::Error::kind) {
            Some(SdkErrorKind::Io | SdkErrorKind::Connection | SdkErrorKind::DataConversion) => return true,
            Some(SdkErrorKind::HttpResponse { status, .. }) => {
                return matches!(u16::from(*status), 404 | 408 | 410 | 429 | 500..=599);
            }
            _ => next = error.source(),
        }
    }
    false
}

/// The error of a call that needed one.
pub(super) fn missing(may_come: bool) -> StoreError {
    match may_come {
        true => StoreError::unavailable(),
        false => StoreError::new(ErrorKind::Denied { needs: "a credential that yields a token".into() }),
    }
}

#[cfg(test)]
mod tests {
    use azure_core::http::StatusCode;

    use super::*;

    /// As `azure_identity` and the pipelines around it wrap it.
    fn failed(kind: SdkErrorKind) -> azure_core::Error {
        let inner = azure_core::Error::with_message(kind, "no answer");
        let credential = azure_core::Error::with_error(SdkErrorKind::Credential, inner, "authentication failed");
        credential.with_context("not retried")
    }

    #[test]
    fn an_endpoint_that_is_not_well_may_answer_later() {
        let answered = |status| SdkErrorKind::HttpResponse { status, error_code: None, raw_response: None };
        for kind in [
            SdkErrorKind::Io,
            SdkErrorKind::Connection,
            SdkErrorKind::DataConversion,
            answered(StatusCode::NotFound),
            answered(StatusCode::Gone),
            answered(StatusCode::RequestTimeout),
            answered(StatusCode::TooManyRequests),
            answered(StatusCode::InternalServerError),
            answered(StatusCode::ServiceUnavailable),
        ] {
            assert!(may_come(&failed(kind.clone())), "{kind:?}");
        }
        for kind in [
            SdkErrorKind::Other,
            answered(StatusCode::BadRequest),
            answered(StatusCode::Unauthorized),
            answered(StatusCode::Forbidden),
        ] {
            assert!(!may_come(&failed(kind.clone())), "{kind:?}");
        }
        assert_eq!((missing(true).kind().name(), missing(false).kind().name()), ("unavailable", "denied"));
    }
}
