//! The backend against a scripted service.

mod download;
mod fake;
mod faults;
mod listing;
mod pacing;
mod tokens;
mod upload;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind as SdkErrorKind};
use azure_core::http::headers::Headers;
use azure_core::http::{
    AsyncRawResponse, Body, ClientOptions, HttpClient, Method, Request, StatusCode, Transport, Url,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt as _;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::{AzureBlobs, BlobTuning};
use crate::azure::tests::capture::Log;
use crate::backend::{BlobArea, BlobBackend as _, BlobName, BlobReader, CallContext};
use crate::contract::{ErrorKind, Freshness, MediaBody, Outcome, StoreError, system_clock};

const URL: &str = "https://acct.blob.core.windows.net/?sig=MARK-sas";
const TIME: &str = "Sun, 01 Mar 2026 08:00:00 GMT";
const PATH: &str = "kitchen/home/000102030405060708090a0b0c0d0e0f";

/// What the service does with one request.
#[derive(Debug, Clone)]
enum Answer {
    Reply { status: u16, headers: Vec<(&'static str, String)>, body: Vec<Result<Bytes, ()>> },
    Fail(SdkErrorKind),
    Hang,
}

impl Answer {
    fn new(status: u16) -> Self {
        Self::Reply { status, headers: Vec::new(), body: Vec::new() }
    }

    fn code(status: u16, code: &str) -> Self {
        Self::new(status).with("x-ms-error-code", code)
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }

    fn body(mut self, chunk: impl Into<Bytes>) -> Self {
        if let Self::Reply { body, .. } = &mut self {
            body.push(Ok(chunk.into()));
        }
        self
    }

    fn broken(mut self) -> Self {
        if let Self::Reply { body, .. } = &mut self {
            body.push(Err(()));
        }
        self
    }

    async fn respond(self) -> azure_core::Result<AsyncRawResponse> {
        match self {
            Self::Hang => futures::future::pending().await,
            Self::Fail(kind) => Err(Error::with_message(kind, "MARK of the transport")),
            Self::Reply { status, headers, body } => {
                let mut all = Headers::new();
                for (name, value) in headers {
                    all.insert(name, value);
                }
                let broken = |_| Error::with_message(SdkErrorKind::Io, "MARK of the body");
                let body = futures::stream::iter(body).map(move |chunk| chunk.map_err(broken));
                Ok(AsyncRawResponse::new(StatusCode::from(status), all, body.boxed()))
            }
        }
    }
}

/// One request as it was sent.
#[derive(Debug, Clone)]
struct Seen {
    method: Method,
    url: Url,
    headers: Headers,
    body: Bytes,
}

impl Seen {
    fn of(request: &Request) -> Self {
        let body = match request.body() {
            Body::Bytes(bytes) => bytes.clone(),
            Body::SeekableStream(_) => panic!("bodies are sent from memory"),
        };
        Self { method: request.method(), url: request.url().clone(), headers: request.headers().clone(), body }
    }

    fn header(&self, name: &'static str) -> Option<&str> {
        self.headers.get_optional_str(&name.into())
    }

    fn query(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// Method and `comp`, such as `PUT block`.
    fn verb(&self) -> String {
        format!("{} {}", self.method.as_str(), self.query("comp").unwrap_or_default()).trim_end().to_owned()
    }
}

#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    /// The answer to every request after those.
    forever: Option<Answer>,
    seen: Mutex<Vec<Seen>>,
}

impl Script {
    fn of(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Self::ending(answers, None)
    }

    /// These answers, then the last one again and again.
    fn then_always(answers: impl IntoIterator<Item = Answer>, last: Answer) -> Arc<Self> {
        Self::ending(answers, Some(last))
    }

    fn always(answer: Answer) -> Arc<Self> {
        Self::then_always([], answer)
    }

    fn ending(answers: impl IntoIterator<Item = Answer>, forever: Option<Answer>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), forever, seen: Mutex::default() })
    }

    fn seen(&self) -> Vec<Seen> {
        assert!(self.answers.lock().unwrap().is_empty(), "not every answer was asked for");
        self.seen.lock().unwrap().clone()
    }

    fn verbs(&self) -> Vec<String> {
        self.seen().iter().map(Seen::verb).collect()
    }
}

#[async_trait]
impl HttpClient for Script {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        self.seen.lock().unwrap().push(Seen::of(request));
        let next = self.answers.lock().unwrap().pop_front();
        let answer = next.or_else(|| self.forever.clone()).expect("one request more than answers");
        answer.respond().await
    }
}

const TUNING: BlobTuning = BlobTuning { block_size: 4, parallelism: 2 };

fn blobs(script: &Arc<Script>) -> AzureBlobs {
    blobs_over(Arc::clone(script) as Arc<dyn HttpClient>)
}

fn blobs_over(service: Arc<dyn HttpClient>) -> AzureBlobs {
    blobs_with(service, None)
}

fn blobs_with(service: Arc<dyn HttpClient>, credential: Option<Arc<dyn TokenCredential>>) -> AzureBlobs {
    blobs_tuned(service, credential, TUNING)
}

fn blobs_tuned(
    service: Arc<dyn HttpClient>,
    credential: Option<Arc<dyn TokenCredential>>,
    tuning: BlobTuning,
) -> AzureBlobs {
    let options = ClientOptions { transport: Some(Transport::new(service)), ..ClientOptions::default() };
    let containers = [(BlobArea::Media, "xmedia".to_owned()), (BlobArea::Backups, "xbackups".to_owned())];
    let url = URL.parse().unwrap();
    AzureBlobs::with_client_options(url, credential, Vec::new(), containers, tuning, options).unwrap()
}

fn call() -> CallContext {
    CallContext::new("test", [7; 16], Duration::from_secs(30), Freshness::Session, system_clock())
}

fn name() -> BlobName {
    BlobName::listed(BlobArea::Media, PATH).unwrap()
}

fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

fn counts(cx: &CallContext) -> Vec<(&'static str, u32, u32)> {
    cx.meter().snapshot().iter().map(|count| (count.kind, count.requests, count.attempts)).collect()
}

async fn drain(reader: BlobReader) -> Result<Vec<u8>, StoreError> {
    let mut body = reader.body;
    let mut all = Vec::new();
    while let Some(chunk) = body.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all)
}

#[test]
fn tuning_and_endpoint_are_checked() {
    let build = |url: &str, block_size, parallelism| {
        let tuning = BlobTuning { block_size, parallelism };
        AzureBlobs::new(url.parse().unwrap(), None, Vec::new(), [], tuning)
    };
    for (block_size, parallelism) in [(0, 1), (1, 0), (4_000 * 1024 * 1024 + 1, 1)] {
        assert_eq!(build(URL, block_size, parallelism).unwrap_err().kind().name(), "invalid");
    }
    assert_eq!(build("data:,x", 1, 1).unwrap_err().kind().name(), "invalid");
    assert_eq!(BlobTuning::default(), BlobTuning { block_size: 8 * 1024 * 1024, parallelism: 4 });
}

#[test]
fn debug_shows_neither_url_nor_sas() {
    let text = format!("{:?}", blobs(&Script::of([])));
    assert!(text.contains("xmedia") && !text.contains("MARK") && !text.contains("windows"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn logs_name_neither_payloads_nor_the_sas() {
    let whole = || {
        Answer::new(206)
            .with("etag", "e")
            .with("content-range", "bytes 0-3/8")
            .with("x-ms-request-id", "MARK")
            .body(&b"abcd"[..])
    };
    let log = Log::default();
    let _everything = tracing::subscriber::set_default(log.clone());
    tracing::trace!("listening");
    let script = Script::of([
        Answer::new(201).with("content-md5", md5(b"abc")),
        Answer::Fail(SdkErrorKind::Io),
        Answer::code(404, "BlobNotFound"),
        Answer::code(403, "AuthenticationFailed"),
        Answer::new(200).with("content-length", "3"),
        Answer::new(201),
        Answer::new(201),
        Answer::new(201),
        whole().broken(),
        Answer::Fail(SdkErrorKind::Io),
        Answer::code(403, "AuthenticationFailed"),
        Answer::code(500, "InternalError"),
        Answer::code(403, "AuthenticationFailed"),
        Answer::code(403, "AuthenticationFailed"),
        Answer::Fail(SdkErrorKind::Io),
        Answer::new(202),
    ]);
    let (blobs, cx, name) = (blobs(&script), call(), name());
    blobs.put(&cx, &name, MediaBody::from(b"abc".to_vec())).await.unwrap();
    blobs.put(&cx, &name, MediaBody::from(b"abc".to_vec())).await.unwrap_err();
    blobs.put(&cx, &name, MediaBody::from(b"abcdefgh".to_vec())).await.unwrap();
    drain(blobs.open(&cx, &name, None).await.unwrap().unwrap()).await.unwrap_err();
    blobs.head(&cx, &name).await.unwrap_err();
    blobs.list(&cx, BlobArea::Media, "kitchen/", Some(PATH), 2).await.unwrap_err();
    blobs.delete(&cx, &name).await.unwrap();
    script.seen();
    let log = log.text();
    assert!(log.contains("listening") && !log.contains("kitchen") && !log.contains("MARK"), "{log}");
}

#[tokio::test]
async fn received_bytes_are_those_of_the_body_whatever_length_is_stated() {
    let received = |cx: &CallContext| cx.meter().snapshot().iter().map(|count| count.bytes_received).sum::<u64>();
    let chunked = Answer::new(206).with("etag", "e").with("content-range", "bytes 0-2/3").body("a").body("bc");
    let head = Answer::new(200).with("content-length", "1000000").with("x-ms-creation-time", TIME);
    let script = Script::of([chunked, head]);
    let cx = call();
    let reader = blobs(&script).open(&cx, &name(), None).await.unwrap().unwrap();
    let headers = received(&cx);
    assert_eq!(headers, ("etag: e\r\n".len() + "content-range: bytes 0-2/3\r\n".len()) as u64);
    assert_eq!(drain(reader).await.unwrap(), b"abc");
    assert_eq!(received(&cx), headers + 3);
    let cx = call();
    assert_eq!(blobs(&script).head(&cx, &name()).await.unwrap().unwrap().length, 1_000_000);
    assert!(received(&cx) < 200);
}

#[tokio::test]
async fn an_area_without_a_container_is_refused_before_sending() {
    let script = Script::of([]);
    let name = BlobName::listed(BlobArea::Content, PATH).unwrap();
    let error = blobs(&script).head(&call(), &name).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error:?}");
    assert!(script.seen().is_empty());
}

#[test]
fn dot_segments_never_become_the_containers_url() {
    let blobs = blobs(&Script::of([]));
    for path in [".", "..", "a/../b", "a//b", "", "a/"] {
        assert!(blobs.target_at(&call(), BlobArea::Media, path).is_err(), "{path}");
    }
    assert_eq!(blobs.target(&call(), &name()).unwrap().client.url().path().matches('/').count(), 2);
}
