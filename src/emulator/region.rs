//! One region of a Cosmos account over HTTP: a listener, and requests handed on to the SDK's emulator.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use azure_core::http::headers::{HeaderName as CoreName, HeaderValue as CoreValue};
use azure_core::http::{Method, Request, Url};
use azure_data_cosmos_driver::in_memory_emulator::InMemoryEmulatorHttpClient;
use tokio::net::TcpListener;

use super::EmulatorError;

/// A batch body is at most 2 MB (concepts-limits); the rest leaves the refusal to the emulator.
const MAX_BODY: usize = 16 << 20;

pub(super) async fn bind() -> Result<(TcpListener, Url), EmulatorError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(EmulatorError::io("bind a loopback port"))?;
    let address = listener.local_addr().map_err(EmulatorError::io("read the bound port"))?;
    let base = Url::parse(&format!("http://{address}/"))
        .map_err(|error| EmulatorError::Cosmos { detail: error.to_string() })?;
    Ok((listener, base))
}

pub(super) fn spawn(listener: TcpListener, app: axum::Router) {
    // Without this a small answer can wait for the acknowledgement of the one before; a socket that refuses is only slower.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    tokio::spawn(async move { axum::serve(listener, app).await });
}

pub(super) struct Region {
    pub(super) base: Url,
    /// All regions: the account's description is the global endpoint's, which is up whatever region is not.
    pub(super) all: Arc<[Url]>,
    pub(super) emulator: Arc<InMemoryEmulatorHttpClient>,
}

/// Ends the connection without an answer: unwinding ends the task that serves it, and nothing else. No panic is reported.
pub(super) fn break_off() -> ! {
    std::panic::resume_unwind(Box::new("the connection ends here"))
}

type Refusal = (StatusCode, String);

/// The emulator's answer.
pub(super) async fn forwarded(region: &Region, request: axum::extract::Request) -> Response {
    match forward(region, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn forward(region: &Region, request: axum::extract::Request) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let bad = |what: &str| (StatusCode::BAD_REQUEST, what.to_owned());
    let method: Method = head.method.as_str().parse().map_err(|_| bad("unknown method"))?;
    let mut url = region.base.clone();
    url.set_path(head.uri.path());
    url.set_query(head.uri.query());
    let mut forwarded = Request::new(url, method);
    for (name, value) in &head.headers {
        let value = value.to_str().map_err(|_| bad("header is not text"))?;
        forwarded.insert_header(CoreName::from(name.as_str().to_owned()), CoreValue::from(value.to_owned()));
    }
    let body = to_bytes(body, MAX_BODY).await.map_err(|error| (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?;
    forwarded.set_body(body);

    let broken = |error: String| (StatusCode::INTERNAL_SERVER_ERROR, error);
    let mut response = region.emulator.execute_request(&forwarded).await;
    for other in region.all.iter().filter(|_| head.uri.path() == "/") {
        if response.is_err() {
            *forwarded.url_mut() = other.clone();
            response = region.emulator.execute_request(&forwarded).await;
        }
    }
    // The one error is a region that is down: nothing answers there.
    let Ok(response) = response else { break_off() };
    let (status, headers, body) = response.deconstruct();
    let body = body.collect().await.map_err(|error| broken(error.to_string()))?;
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status.into()).map_err(|error| broken(error.to_string()))?;
    for (name, value) in headers.iter() {
        let name: HeaderName = name.as_str().parse().map_err(|_| broken("unusable header name".to_owned()))?;
        let value = HeaderValue::from_str(value.as_str()).map_err(|_| broken("unusable header value".to_owned()))?;
        answer.headers_mut().insert(name, value);
    }
    Ok(answer)
}
