//! Credentials, and the SharedKeyLite signature (REST: "Authorize with Shared Key", "Shared Key Lite for Table service").

use super::{
    call::Call,
    error::{Rule, Violation},
};
use async_trait::async_trait;
use azure_core::{
    credentials::{Secret, TokenCredential},
    hmac::hmac_sha256,
    http::{
        Context, Request, Url,
        policies::{Policy, PolicyResult},
    },
    time::{OffsetDateTime, to_rfc7231},
};
use std::{fmt, sync::Arc};

use crate::azure::token::TokenPolicy;

/// How requests are authorised. `Debug` shows the kind only.
#[derive(Clone)]
pub(crate) enum TablesCredential {
    /// The account's key. Every try is signed with its own date, so that retries outlive the service's 15 minutes.
    SharedKey {
        /// Account name.
        account: String,
        /// Account key, base64.
        key: Secret,
    },
    /// A shared access signature: a query string with or without its `?`, appended to every URL as it is.
    Sas(Secret),
    /// Microsoft Entra ID, over `https` only.
    Token(Arc<dyn TokenCredential>),
}

impl fmt::Debug for TablesCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SharedKey { .. } => "SharedKey",
            Self::Sas(_) => "Sas",
            Self::Token(_) => "Token",
        })
    }
}

impl TablesCredential {
    /// Refuses what can't authorise any request to `endpoint`.
    pub(super) fn check(&self, endpoint: &Url) -> Result<(), Violation> {
        let unfit = |rule| Err(Violation::new(rule, 0, 1));
        match self {
            Self::SharedKey { account, key } => {
                let account_is_name = !account.is_empty() && account.bytes().all(|b| b.is_ascii_alphanumeric());
                if !account_is_name || hmac_sha256("", key).is_err() {
                    return unfit(Rule::Credential);
                }
            }
            Self::Sas(_) => {
                let query = self.query().unwrap_or_default();
                let legal = |b: u8| b.is_ascii_graphic() && b != b'#';
                if !query.bytes().all(legal) || !query.split('&').any(|p| p.starts_with("sig=")) {
                    return unfit(Rule::Credential);
                }
            }
            Self::Token(_) if endpoint.scheme() != "https" => return unfit(Rule::Endpoint),
            Self::Token(_) => {}
        }
        Ok(())
    }

    /// What goes into every URL.
    pub(super) fn query(&self) -> Option<&str> {
        match self {
            Self::Sas(sas) => Some(sas.secret().trim_start_matches('?')),
            _ => None,
        }
    }

    /// What runs on every try.
    pub(super) fn policy(&self) -> Option<Arc<dyn Policy>> {
        match self {
            Self::SharedKey { account, key } => {
                Some(Arc::new(SharedKeyLite { account: account.clone(), key: key.clone() }))
            }
            Self::Sas(_) => None,
            Self::Token(credential) => Some(Arc::new(TokenPolicy::new(credential.clone()))),
        }
    }
}

/// Signs each try anew.
struct SharedKeyLite {
    account: String,
    key: Secret,
}

impl fmt::Debug for SharedKeyLite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKeyLite")
    }
}

/// The text that is signed: the date and the canonical resource, which is `/account` + the encoded path + `?comp=…` if the
/// query has one.
fn canonical(account: &str, date: &str, url: &Url) -> String {
    let comp = url.query().and_then(|query| query.split('&').find(|pair| pair.starts_with("comp=")));
    match comp {
        Some(comp) => format!("{date}\n/{account}{}?{comp}", url.path()),
        None => format!("{date}\n/{account}{}", url.path()),
    }
}

#[async_trait]
impl Policy for SharedKeyLite {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let date = to_rfc7231(&OffsetDateTime::now_utc());
        let url = ctx.value::<Call>().map_or(request.url(), Call::url);
        let signature = hmac_sha256(&canonical(&self.account, &date, url), &self.key)?;
        request.insert_header("x-ms-date", date);
        request.insert_header("authorization", format!("SharedKeyLite {}:{signature}", self.account));
        next[0].send(ctx, request, &next[1..]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_signed_text_is_date_and_canonical_resource() {
        let date = "Sun, 22 Nov 2026 20:00:00 GMT";
        assert_eq!(
            canonical(
                "acct",
                date,
                &url("https://acct.table.core.windows.net/t(PartitionKey='a%20b',RowKey='')?$top=1")
            ),
            "Sun, 22 Nov 2026 20:00:00 GMT\n/acct/t(PartitionKey='a%20b',RowKey='')"
        );
        assert_eq!(
            canonical("devstoreaccount1", date, &url("http://127.0.0.1:1/devstoreaccount1/$batch")),
            "Sun, 22 Nov 2026 20:00:00 GMT\n/devstoreaccount1/devstoreaccount1/$batch"
        );
        assert_eq!(
            canonical("acct", date, &url("https://h/?restype=service&comp=properties")),
            "Sun, 22 Nov 2026 20:00:00 GMT\n/acct/?comp=properties"
        );
    }

    #[test]
    fn unfit_credentials_are_refused() {
        let https = url("https://h/");
        let key = |account: &str, key: &'static str| TablesCredential::SharedKey {
            account: account.into(),
            key: Secret::new(key),
        };
        assert_eq!(key("acct", "bWFyaw==").check(&https), Ok(()));
        for bad in [
            key("acct", "not base64!"),
            key("", "bWFyaw=="),
            key("a/b", "bWFyaw=="),
            TablesCredential::Sas(Secret::new("sv=1&se=2")),
            TablesCredential::Sas(Secret::new("?sv=1&sig=a b")),
            TablesCredential::Sas(Secret::new("sig=a#b")),
        ] {
            assert_eq!(bad.check(&https).unwrap_err().rule, Rule::Credential);
        }
        let sas = TablesCredential::Sas(Secret::new("?sv=1&sig=a%3D"));
        assert_eq!(sas.check(&https), Ok(()));
        assert_eq!(sas.query(), Some("sv=1&sig=a%3D"));
        assert_eq!(format!("{sas:?}"), "Sas");
    }
}
