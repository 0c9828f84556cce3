//! A scripted service, and the tests that use it.

mod answers;
mod guards;
mod redaction;
mod requests;
mod transactions;

use super::*;
use async_trait::async_trait;
use azure_core::{
    credentials::Secret,
    error::ErrorKind,
    http::{
        AsyncRawResponse, Body, ClientOptions, FixedRetryOptions, HttpClient, Request, RetryOptions, Transport, Url,
        headers::Headers,
    },
    time::Duration,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

/// What the service does with one request.
#[derive(Debug)]
enum Reply {
    Answer(u16, Vec<(&'static str, String)>, String),
    Failure(ErrorKind),
}

/// One request as it left.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Seen {
    /// Request line, headers that are not volatile, body.
    fn golden(&self) -> String {
        let mut out = format!("{} {}\n", self.method, self.url);
        for (name, value) in &self.headers {
            let volatile = ["authorization", "user-agent", "x-ms-client-request-id", "x-ms-date"];
            if !volatile.contains(&name.as_str()) {
                out.push_str(&format!("{name}: {value}\n"));
            }
        }
        out + "\n" + &self.body
    }
}

/// A queue of replies, and what was asked.
#[derive(Clone, Debug, Default)]
struct Script {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[async_trait]
impl HttpClient for Script {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        // What a real transport logs.
        tracing::debug!(url = %request.url(), "performing request");
        let body = match request.body() {
            Body::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            Body::SeekableStream(_) => panic!("bodies are bytes"),
        };
        let header = |(name, value): (&_, &_)| {
            let name: &azure_core::http::headers::HeaderName = name;
            let value: &azure_core::http::headers::HeaderValue = value;
            (name.as_str().to_owned(), value.as_str().to_owned())
        };
        self.seen.lock().unwrap().push(Seen {
            method: request.method().to_string(),
            url: request.url().to_string(),
            headers: request.headers().iter().map(header).collect(),
            body,
        });
        match self.replies.lock().unwrap().pop_front().expect("a reply is scripted") {
            Reply::Answer(status, pairs, body) => {
                let mut headers = Headers::new();
                for (name, value) in pairs {
                    headers.insert(name, value);
                }
                Ok(AsyncRawResponse::from_bytes(status.into(), headers, body))
            }
            Reply::Failure(kind) => {
                let text = format!("error sending request for url ({})", request.url());
                let io = std::io::Error::new(std::io::ErrorKind::ConnectionReset, text.clone());
                Err(azure_core::Error::with_error(kind, io, text))
            }
        }
    }
}

impl Script {
    fn answer(&self, status: u16, headers: &[(&'static str, &str)], body: &str) -> &Self {
        let headers = headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        self.push(Reply::Answer(status, headers, body.to_owned()))
    }

    fn fail(&self, kind: ErrorKind) -> &Self {
        self.push(Reply::Failure(kind))
    }

    fn push(&self, reply: Reply) -> &Self {
        self.replies.lock().unwrap().push_back(reply);
        self
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn last(&self) -> Seen {
        self.seen().pop().expect("something was sent")
    }

    fn options(&self) -> ClientOptions {
        ClientOptions {
            transport: Some(Transport::new(Arc::new(self.clone()))),
            retry: RetryOptions::fixed(FixedRetryOptions {
                delay: Duration::ZERO,
                max_retries: 2,
                ..FixedRetryOptions::default()
            }),
            ..ClientOptions::default()
        }
    }

    fn client(&self, credential: TablesCredential, client_options: ClientOptions) -> TablesClient {
        let endpoint = Url::parse("http://127.0.0.1:10002/acct/").unwrap();
        TablesClient::new(endpoint, credential, TablesClientOptions { client_options }).unwrap()
    }

    fn table(&self) -> TableClient {
        self.client(shared_key(), self.options()).table("things").unwrap()
    }
}

const KEY: &str = "c2VjcmV0LW1hcms=";

fn shared_key() -> TablesCredential {
    TablesCredential::SharedKey { account: "acct".into(), key: Secret::new(KEY) }
}

/// `{"odata.error": …}`.
fn odata_error(code: &str, message: &str) -> String {
    format!(r#"{{"odata.error":{{"code":"{code}","message":{{"lang":"en-US","value":"{message}"}}}}}}"#)
}
