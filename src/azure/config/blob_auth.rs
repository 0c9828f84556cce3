//! Shared Key signing for the Blob service, which the SDK does not have: for emulators, and where keys are allowed.
//!
//! Source: "Authorize with Shared Key", string to sign of version 2015-02-21 and later. The Table service signs
//! differently.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use azure_core::{
    credentials::Secret,
    hmac::hmac_sha256,
    http::{
        Body, Context, Request,
        headers::HeaderName,
        policies::{Policy, PolicyResult},
    },
    time::{OffsetDateTime, to_rfc7231},
};

const AUTHORIZATION: HeaderName = HeaderName::from_static("authorization");
const MS_DATE: HeaderName = HeaderName::from_static("x-ms-date");

/// Standard headers of the string to sign, in its order.
const SIGNED_HEADERS: [HeaderName; 11] = [
    HeaderName::from_static("content-encoding"),
    HeaderName::from_static("content-language"),
    HeaderName::from_static("content-length"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-type"),
    HeaderName::from_static("date"),
    HeaderName::from_static("if-modified-since"),
    HeaderName::from_static("if-match"),
    HeaderName::from_static("if-none-match"),
    HeaderName::from_static("if-unmodified-since"),
    HeaderName::from_static("range"),
];

/// A per-try policy that signs each attempt with the account's key, under a fresh date: the service refuses one that
/// is 15 minutes old, and a retry may be.
pub(crate) struct SharedKeyPolicy {
    account: String,
    key: Secret,
}

impl SharedKeyPolicy {
    /// A policy for `ClientOptions::per_try_policies`, as the last of them: headers that change later are not signed.
    pub(crate) fn new(account: impl Into<String>, key: Secret) -> Self {
        Self { account: account.into(), key }
    }

    fn sign(&self, request: &mut Request, now: OffsetDateTime) -> azure_core::Result<()> {
        request.insert_header(MS_DATE, to_rfc7231(&now));
        let signature = hmac_sha256(&string_to_sign(&self.account, request), &self.key)?;
        let value = format!("SharedKey {}:{signature}", self.account);
        request.insert_header(AUTHORIZATION, value);
        Ok(())
    }
}

impl fmt::Debug for SharedKeyPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKeyPolicy").field("account", &self.account).finish_non_exhaustive()
    }
}

#[async_trait]
impl Policy for SharedKeyPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        self.sign(request, OffsetDateTime::now_utc())?;
        match next.split_first() {
            Some((policy, rest)) => policy.send(ctx, request, rest).await,
            None => Err(azure_core::Error::with_message(
                azure_core::error::ErrorKind::Other,
                "the pipeline ends without a transport",
            )),
        }
    }
}

/// Verb, standard headers, `x-ms-*` headers by name, and the canonical resource.
fn string_to_sign(account: &str, request: &Request) -> String {
    let mut text = String::from(request.method().as_str());
    text.push('\n');
    for name in &SIGNED_HEADERS {
        let value = request.headers().get_optional_str(name);
        match name.as_str() {
            // x-ms-date takes its place.
            "date" => {}
            "content-length" => text.push_str(&content_length(value, request.body())),
            _ => text.push_str(value.unwrap_or_default().trim()),
        }
        text.push('\n');
    }
    let mut ms_headers: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().trim()))
        .filter(|(name, _)| name.starts_with("x-ms-"))
        .collect();
    ms_headers.sort_unstable();
    for (name, value) in ms_headers {
        text.push_str(&format!("{name}:{value}\n"));
    }
    text.push_str(&canonical_resource(account, request.url()));
    text
}

/// The length that goes out: the header, else that of a body in memory, which the transport announces. Zero is written
/// as nothing, and a stream without the header goes out without a length.
fn content_length(header: Option<&str>, body: &Body) -> String {
    match (header, body) {
        (Some("0"), _) => String::new(),
        (Some(length), _) => length.to_owned(),
        (None, Body::Bytes(bytes)) if !bytes.is_empty() => bytes.len().to_string(),
        _ => String::new(),
    }
}

/// `/account`, the path as it is sent, and the decoded query: names in lower case and sorted, one line each, several
/// values of one name sorted and joined by commas.
fn canonical_resource(account: &str, url: &azure_core::http::Url) -> String {
    let mut text = format!("/{account}{}", url.path());
    let mut query: Vec<(String, String)> =
        url.query_pairs().map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned())).collect();
    query.sort_unstable();
    let mut last = None;
    for (name, value) in &query {
        if last == Some(name) {
            text.push(',');
        } else {
            text.push_str(&format!("\n{name}:"));
        }
        text.push_str(value);
        last = Some(name);
    }
    text
}

#[cfg(test)]
mod tests {
    use azure_core::{
        Bytes,
        http::{Method, Url},
        time::parse_rfc7231,
    };

    use super::*;

    const KEY: &str = "bWFya2VkLWtleS1tYXJrZWQta2V5LW1hcmtlZC1rZXkh";

    fn request(method: Method, url: &str, headers: &[(&'static str, &'static str)]) -> Request {
        let mut request = Request::new(Url::parse(url).unwrap(), method);
        for (name, value) in headers {
            request.insert_header(*name, *value);
        }
        request
    }

    /// The example "Get Container Metadata" of the REST page.
    #[test]
    fn container_metadata_matches_the_documented_string() {
        let request = request(
            Method::Get,
            "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20",
            &[("x-ms-version", "2015-02-21"), ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT")],
        );
        assert_eq!(
            string_to_sign("myaccount", &request),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
             /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
    }

    #[test]
    fn every_signed_header_has_its_line() {
        let mut request = request(
            Method::Put,
            "http://127.0.0.1:10000/devstoreaccount1/media/a%2Fb",
            &[
                ("content-encoding", "gzip"),
                ("content-language", "de"),
                ("content-md5", "bWQ1"),
                ("content-type", "text/plain"),
                ("date", "not signed beside x-ms-date"),
                ("if-modified-since", "since"),
                ("if-match", "\"e\""),
                ("if-none-match", "*"),
                ("if-unmodified-since", "until"),
                ("range", "bytes=0-9"),
                ("accept", "not signed"),
                ("x-ms-version", " 2026-04-06 "),
                ("x-ms-blob-type", "BlockBlob"),
                ("x-ms-blob-content-md5", "bWQ1"),
            ],
        );
        request.set_body(Bytes::from_static(b"12345"));
        assert_eq!(
            string_to_sign("devstoreaccount1", &request),
            "PUT\ngzip\nde\n5\nbWQ1\ntext/plain\n\nsince\n\"e\"\n*\nuntil\nbytes=0-9\n\
             x-ms-blob-content-md5:bWQ1\nx-ms-blob-type:BlockBlob\nx-ms-version:2026-04-06\n\
             /devstoreaccount1/devstoreaccount1/media/a%2Fb"
        );
    }

    #[test]
    fn a_length_is_taken_from_the_header_and_zero_is_blank() {
        assert_eq!(content_length(Some("7"), &Body::from("x")), "7");
        assert_eq!(content_length(Some("0"), &Body::from("")), "");
        assert_eq!(content_length(None, &Body::from("abc")), "3");
        assert_eq!(content_length(None, &Body::from("")), "");
    }

    #[test]
    fn the_query_is_decoded_lower_cased_sorted_and_joined() {
        let url = Url::parse(
            "http://h/c?restype=container&Include=snapshots&comp=list&include=metadata&prefix=a%2Fb%20c&marker",
        )
        .unwrap();
        assert_eq!(
            canonical_resource("acc", &url),
            "/acc/c\ncomp:list\ninclude:metadata,snapshots\nmarker:\nprefix:a/b c\nrestype:container"
        );
        let root = Url::parse("https://acc.blob.core.windows.net?comp=list").unwrap();
        assert_eq!(canonical_resource("acc", &root), "/acc/\ncomp:list");
    }

    /// The expected signature was computed with OpenSSL over the golden text.
    #[test]
    fn each_attempt_is_signed_under_its_own_date() {
        let policy = SharedKeyPolicy::new("myaccount", Secret::new(KEY));
        let mut request = request(
            Method::Get,
            "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20",
            &[("x-ms-version", "2015-02-21")],
        );
        let first = parse_rfc7231("Fri, 26 Jun 2015 23:39:12 GMT").unwrap();
        policy.sign(&mut request, first).unwrap();
        let authorization = |request: &Request| {
            let value = request.headers().get_optional_str(&AUTHORIZATION);
            value.unwrap().to_owned()
        };
        let golden = authorization(&request);
        assert_eq!(golden, "SharedKey myaccount:OG8loPonIVio8tAPcECAA9SXPf627tQfEayNKbjMNRQ=");
        let second = parse_rfc7231("Fri, 26 Jun 2015 23:39:13 GMT").unwrap();
        policy.sign(&mut request, second).unwrap();
        assert_ne!(authorization(&request), golden);
        assert_eq!(request.headers().get_optional_str(&MS_DATE), Some("Fri, 26 Jun 2015 23:39:13 GMT"));
        policy.sign(&mut request, first).unwrap();
        assert_eq!(authorization(&request), golden, "nothing is left over");
    }

    #[test]
    fn debug_hides_the_key() {
        let text = format!("{:?}", SharedKeyPolicy::new("acc", Secret::new(KEY)));
        assert!(text.contains("acc") && !text.contains(KEY), "{text}");
    }
}
