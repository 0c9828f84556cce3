//! A managed identity endpoint as App Service and Container Apps have it, answering unsigned tokens.
//!
//! Each client id has an endpoint of its own: what it answers is set, and how often it was asked is counted, by requests, so from
//! other processes too.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The value of `IDENTITY_HEADER`, a secret.
pub(crate) const HEADER: &str = "planted-identity-header";
/// What every token begins with: its header says that nothing signed it.
pub(crate) const TOKEN: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
/// In the text of every answer that is not a token.
pub(crate) const TEXT: &str = "planted-identity-answer";

const API_VERSION: &str = "2019-08-01";

/// A running endpoint; its thread lasts as long as the process.
#[derive(Debug)]
pub(crate) struct IdentityEndpoint(SocketAddr);

/// By client id.
type Identities = Arc<Mutex<BTreeMap<String, Identity>>>;

#[derive(Default)]
struct Identity {
    answers: String,
    requests: BTreeMap<String, usize>,
}

impl IdentityEndpoint {
    /// Listens on a free loopback port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let identities = Identities::default();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let identities = identities.clone();
                // A client that went away has no need of an answer.
                std::thread::spawn(move || stream.and_then(|stream| serve(stream, &identities)).ok());
            }
        });
        Self(address)
    }

    /// The value of `IDENTITY_ENDPOINT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/msi/token", self.0)
    }
}

/// One client id of the endpoint at a URL.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    url: String,
}

impl Client {
    pub(crate) fn new(url: String, id: String) -> Self {
        Self { id, url }
    }

    /// Answers these from now on, one after the other, separated by dots, the last one for good: `valid`, `soon` (valid, about to
    /// expire), `expired`, `early`, `audience`, `issuer`, `garbage`, `silent` (the connection is closed), `hang` (it is not), or a status.
    pub(crate) fn answers(&self, what: &str) {
        self.control(&format!("/set?client_id={}&answers={what}", self.id));
    }

    /// How often a token was asked for, by resource.
    pub(crate) fn requests(&self) -> BTreeMap<String, usize> {
        serde_json::from_str(&self.control(&format!("/requests?client_id={}", self.id))).unwrap()
    }

    fn control(&self, target: &str) -> String {
        let address = self.url.strip_prefix("http://").unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

fn serve(stream: TcpStream, identities: &Identities) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let line = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut secret = None;
    for header in lines {
        let header = header?;
        match header.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("x-identity-header") => secret = Some(value.to_owned()),
            Some(_) => {}
            None => break,
        }
    }
    let target = line.split(' ').nth(1).unwrap_or_default();
    let answer = answer(target, secret.as_deref(), &mut identities.lock().unwrap());
    let (status, body) = match answer {
        Answer::Told(status, body) => (status, body),
        Answer::Closed => return Ok(()),
        // Until the client goes away.
        Answer::Never => return (&stream).read_to_end(&mut Vec::new()).map(drop),
    };
    let head = format!("HTTP/1.1 {status} -\r\ncontent-type: application/json\r\nconnection: close\r\n");
    write!(&stream, "{head}content-length: {}\r\n\r\n{body}", body.len())
}

enum Answer {
    Told(u16, String),
    Closed,
    Never,
}

fn answer(target: &str, secret: Option<&str>, identities: &mut BTreeMap<String, Identity>) -> Answer {
    let refused = |status| Answer::Told(status, format!(r#"{{"error":"{TEXT}"}}"#));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: BTreeMap<&str, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, value.replace("%3A", ":").replace("%2F", "/")))
        .collect();
    let asked = |name| query.get(name).map(String::as_str);
    let Some(client_id) = asked("client_id") else { return refused(400) };
    let identity = identities.entry(client_id.to_owned()).or_default();
    match path {
        "/set" => identity.answers = asked("answers").unwrap_or_default().to_owned(),
        "/requests" => return Answer::Told(200, serde_json::json!(identity.requests).to_string()),
        "/msi/token" if secret != Some(HEADER) || asked("api-version") != Some(API_VERSION) => return refused(401),
        "/msi/token" => {
            let Some(resource) = asked("resource") else { return refused(400) };
            *identity.requests.entry(resource.to_owned()).or_default() += 1;
            let answers = identity.answers.clone();
            let (this, later) = answers.split_once('.').unwrap_or((&answers, &answers));
            identity.answers = later.to_owned();
            return token(this, resource);
        }
        _ => return refused(404),
    }
    Answer::Told(200, String::new())
}

fn token(answers: &str, resource: &str) -> Answer {
    const HOUR: i64 = 3600;
    let (from, to, audience, issuer) = match answers {
        "valid" => (-HOUR, HOUR, resource, "windows.net"),
        // Within the five minutes before its end, in which the SDK asks for the next one.
        "soon" => (-HOUR, 200, resource, "windows.net"),
        "expired" => (-2 * HOUR, -HOUR, resource, "windows.net"),
        "early" => (HOUR, 2 * HOUR, resource, "windows.net"),
        "audience" => (-HOUR, HOUR, "https://vault.azure.net", "windows.net"),
        "issuer" => (-HOUR, HOUR, resource, "example.org"),
        "garbage" => return Answer::Told(200, TEXT.to_owned()),
        "silent" => return Answer::Closed,
        "hang" => return Answer::Never,
        status => {
            let status = status.parse().expect("a word above or a status");
            return Answer::Told(status, format!(r#"{{"error":"{TEXT}"}}"#));
        }
    };
    Answer::Told(200, issued(from, to, audience, issuer, resource))
}

/// A token that is valid between these seconds from now, in App Service's answer. The answer itself always says that it lasts:
/// so a client sends it, whatever is wrong with it.
fn issued(from: i64, to: i64, audience: &str, issuer: &str, resource: &str) -> String {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let issuer = format!("https://sts.{issuer}/tenant/");
    let claims =
        serde_json::json!({ "aud": audience, "iss": issuer, "iat": now + from, "nbf": now + from, "exp": now + to });
    let token = format!("{TOKEN}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let expires_on = now + if to > 0 { to } else { 3600 };
    let answer = serde_json::json!({
        "access_token": token, "expires_on": expires_on.to_string(), "resource": resource, "token_type": "Bearer",
    });
    answer.to_string()
}
