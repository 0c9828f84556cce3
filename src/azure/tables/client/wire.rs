//! From an operation to its HTTP exchange: URLs, the two pipelines, attempts, redaction.
//!
//! Keys and filters are part of a table's URLs, and every SDK pipeline logs its URLs. So the request that travels through the
//! pipeline names the table only; the true URL, with keys, query and signature, is in the context ([`Call`]) and is put in
//! place by [`Wire::send`]'s last policy, below every log and trace of the SDK.

use super::{
    auth::TablesCredential,
    call::Call,
    entity::IfMatch,
    error::{Error, Operation, Rule, Violation},
    json,
};
use async_trait::async_trait;
use azure_core::{
    Error as CoreError,
    error::ErrorKind,
    http::{
        AsyncRawResponse, ClientOptions, Context, Method, Pipeline, PipelineSendOptions, Request, RetryOptions,
        Transport, Url,
        headers::{HeaderName, Headers},
        policies::{Policy, PolicyResult},
        response::ResponseBody,
    },
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tracing::{Dispatch, instrument::WithSubscriber as _};

use crate::azure::retry_after::retry_after;
use crate::azure::token::{self, SignedBy, may_come};

/// The first version of the service that takes Entra tokens on tables.
const API_VERSION: &str = "2020-12-06";
pub(super) const ACCEPT_JSON: &str = "application/json;odata=minimalmetadata";
pub(super) const JSON: &str = "application/json";
pub(super) const DATA_SERVICE_VERSION: &str = "3.0";
pub(super) const NO_CONTENT: &str = "return-no-content";

/// Everything but RFC 3986's unreserved characters as `%XX`; a space is `%20`.
pub(super) fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// `(PartitionKey='…',RowKey='…')`, quotes doubled, then percent-encoded.
pub(super) fn key_path(partition_key: &str, row_key: &str) -> String {
    let literal = |key: &str| percent_encode(&key.replace('\'', "''"));
    format!("(PartitionKey='{}',RowKey='{}')", literal(partition_key), literal(row_key))
}

/// One operation, before it has a URL.
pub(super) struct Outgoing<'a> {
    pub(super) operation: Operation,
    pub(super) method: Method,
    /// First path segment below the endpoint: a table name, `Tables` or `$batch`.
    pub(super) resource: &'a str,
    /// What follows it, encoded.
    pub(super) keys: String,
    /// Names and values, not encoded.
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) if_match: Option<&'a IfMatch>,
    /// Content type and bytes.
    pub(super) body: Option<(&'a str, Vec<u8>)>,
}

impl<'a> Outgoing<'a> {
    pub(super) fn new(operation: Operation, method: Method, resource: &'a str) -> Self {
        Self { operation, method, resource, keys: String::new(), query: Vec::new(), if_match: None, body: None }
    }
}

/// The last policy of both pipelines: counts the attempt, puts the true URL in place, keeps it out of logs and errors.
#[derive(Debug)]
struct Exchange(Transport);

#[async_trait]
impl Policy for Exchange {
    async fn send(&self, ctx: &Context, request: &mut Request, _next: &[Arc<dyn Policy>]) -> PolicyResult {
        let mut request = request.clone();
        if let Some(call) = ctx.value::<Call>() {
            call.count_attempt();
            *request.url_mut() = call.url().clone();
        }
        let exchange = async {
            let answer = self.0.send(ctx, &mut request).await?;
            let (status, headers, body) = answer.deconstruct();
            let body = body.collect().await?;
            Ok(AsyncRawResponse::from_bytes(status, headers, body))
        };
        exchange.with_subscriber(Dispatch::none()).await.map_err(redacted)
    }
}

/// The same kind of error without the transport's texts, which hold the URL.
fn redacted(error: CoreError) -> CoreError {
    let kind = error.kind().clone();
    match io_kind(&error) {
        Some(io) => CoreError::with_error(kind, io::Error::from(io), "no answer"),
        None => CoreError::with_message(kind, "no answer"),
    }
}

fn io_kind(error: &CoreError) -> Option<io::ErrorKind> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

/// One account: its endpoint and its pipelines, over one connection pool.
pub(super) struct Wire {
    endpoint: Url,
    credential: TablesCredential,
    reads: Pipeline,
    writes: Pipeline,
}

impl Wire {
    pub(super) fn new(
        mut endpoint: Url,
        credential: TablesCredential,
        mut options: ClientOptions,
    ) -> Result<Self, Violation> {
        let plain = matches!(endpoint.scheme(), "http" | "https")
            && endpoint.has_host()
            && endpoint.username().is_empty()
            && endpoint.password().is_none()
            && endpoint.query().is_none()
            && endpoint.fragment().is_none();
        if !plain {
            return Err(Violation::new(Rule::Endpoint, 0, 1));
        }
        credential.check(&endpoint)?;
        let path = endpoint.path().trim_end_matches('/').to_owned();
        endpoint.set_path(&path);

        let transport = options.transport.take().unwrap_or_default();
        options.transport = Some(Transport::with_policy(Arc::new(Exchange(transport))));
        let pipeline = |options: ClientOptions| {
            Pipeline::new(
                option_env!("CARGO_PKG_NAME"),
                option_env!("CARGO_PKG_VERSION"),
                options,
                Vec::new(),
                credential.policy().into_iter().collect(),
                None,
            )
        };
        let reads = pipeline(options.clone());
        options.retry = RetryOptions::none();
        let writes = pipeline(options);
        Ok(Self { endpoint, credential, reads, writes })
    }

    /// The URL of `path` without signature: what a transaction's inner requests name.
    pub(super) fn absolute(&self, path: &str) -> String {
        let mut url = self.endpoint.clone();
        url.set_path(&self.path(path));
        url.into()
    }

    fn path(&self, path: &str) -> String {
        format!("{}/{path}", self.endpoint.path().trim_end_matches('/'))
    }

    /// Sends it and returns any answer; only the lack of one is an error.
    pub(super) async fn send(&self, ctx: &Context<'_>, outgoing: Outgoing<'_>) -> Result<Answer, Error> {
        let operation = outgoing.operation;
        let mut visible = self.endpoint.clone();
        visible.set_path(&self.path(outgoing.resource));
        let mut url = self.endpoint.clone();
        url.set_path(&self.path(&format!("{}{}", outgoing.resource, outgoing.keys)));
        let parameters: Vec<String> = outgoing
            .query
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encode(value)))
            .chain(self.credential.query().map(str::to_owned))
            .collect();
        if !parameters.is_empty() {
            url.set_query(Some(&parameters.join("&")));
        }

        let mut request = Request::new(visible, outgoing.method);
        request.insert_header("x-ms-version", API_VERSION);
        request.insert_header("accept", ACCEPT_JSON);
        request.insert_header("dataserviceversion", DATA_SERVICE_VERSION);
        if !operation.is_read() {
            request.insert_header("prefer", NO_CONTENT);
        }
        if let Some(condition) = outgoing.if_match {
            request.insert_header("if-match", condition.as_str().to_owned());
        }
        if let Some((content_type, body)) = outgoing.body {
            request.insert_header("content-type", content_type.to_owned());
            request.set_body(body);
        }

        let attempts = Arc::new(AtomicU32::new(0));
        let ctx = ctx.to_borrowed().with_value(Call::new(url, attempts.clone()));
        let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
        let pipeline = match operation.is_read() {
            true => &self.reads,
            false => &self.writes,
        };
        let (result, signed) = token::signed(pipeline.send(&ctx, &mut request, Some(options))).await;
        let attempts = attempts.load(Ordering::Relaxed);
        let (status, headers, body) = result.map_err(|error| failure(operation, attempts, &error))?.deconstruct();
        Ok(Answer { operation, status: status.into(), headers, body, attempts, signed })
    }
}

fn failure(operation: Operation, attempts: u32, error: &CoreError) -> Error {
    match error.kind() {
        ErrorKind::Credential => Error::Credential { operation, attempts, may_come: may_come(error) },
        kind => Error::Transport {
            operation,
            never_sent: attempts == 0 || (attempts == 1 && *kind == ErrorKind::Connection),
            attempts,
            io: io_kind(error),
        },
    }
}

/// An answer, whatever its status.
pub(super) struct Answer {
    operation: Operation,
    pub(super) status: u16,
    headers: Headers,
    pub(super) body: ResponseBody,
    pub(super) attempts: u32,
    signed: SignedBy,
}

impl Answer {
    pub(super) fn header(&self, name: &'static str) -> Option<&str> {
        self.headers.get_optional_str(&HeaderName::from_static(name))
    }

    /// Itself, if its status is 2xx; else the error it stands for.
    pub(super) fn success(self) -> Result<Self, Error> {
        match self.status {
            200..=299 => Ok(self),
            _ => Err(self.error()),
        }
    }

    /// The error it stands for.
    pub(super) fn error(&self) -> Error {
        let code = self.code();
        if token::is_refusal(self.status, code.as_deref()) && self.signed.refused() {
            // The send that was refused is none of those before.
            let attempts = self.attempts.saturating_sub(1);
            return Error::Credential { operation: self.operation, attempts, may_come: true };
        }
        Error::Service {
            operation: self.operation,
            status: self.status,
            code,
            request_id: self.request_id(),
            attempts: self.attempts,
            retry_after: self.retry_after(),
        }
    }

    /// An answer that can't be understood.
    pub(super) fn protocol(&self, what: &'static str) -> Error {
        Error::Protocol {
            operation: self.operation,
            what,
            status: self.status,
            request_id: self.request_id(),
            attempts: self.attempts,
        }
    }

    /// The entity tag of a write.
    pub(super) fn etag(&self) -> Result<String, Error> {
        let etag = self.header("etag").map(str::to_owned);
        etag.ok_or_else(|| self.protocol("the answer of a write has no ETag"))
    }

    /// Error code: of the header, else of the body.
    pub(super) fn code(&self) -> Option<String> {
        let header = self.header("x-ms-error-code").map(str::to_owned);
        header.or_else(|| json::decode_error(&self.body).0).and_then(|code| token(&code))
    }

    pub(super) fn request_id(&self) -> Option<String> {
        self.header("x-ms-request-id").and_then(token)
    }

    /// How long the service asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        retry_after(|name| self.header(name))
    }
}

/// A short identifier of the service, or nothing: no other text of an answer gets into an error.
pub(super) fn token(text: &str) -> Option<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(legal);
    fits.then(|| text.to_owned())
}
