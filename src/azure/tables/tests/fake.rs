//! A table service in memory: enough of the wire protocol for this backend, with faults and interventions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{AUTHORIZATION, Headers};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method, Request, Url};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::azure::tables::head::HEAD;

pub(super) type Row = Map<String, Value>;

/// What happens to the next transaction instead of what would.
pub(super) struct Fault {
    /// Whether it is applied before its answer is lost.
    pub(super) applied: bool,
    /// What others do right after.
    pub(super) meanwhile: Option<fn(&mut State)>,
    pub(super) answer: Reply,
}

/// What the caller gets to see of a fault.
#[derive(Clone, Copy)]
pub(super) enum Reply {
    /// The connection breaks.
    Broken,
    /// Nothing, ever.
    Silence,
    /// A status and an error code.
    Error(u16, &'static str),
    /// The same, with a header that says how long to wait.
    Wait(u16, &'static str, [&'static str; 2]),
    /// The answer to a transaction that names one of its operations.
    Names(usize, u16, &'static str),
}

/// What a test does at some request.
type Deed = Box<dyn FnOnce(&mut State) + Send>;

/// The rows of one table, and what was asked of it.
#[derive(Default)]
pub(super) struct State {
    pub(super) rows: BTreeMap<(String, String), Row>,
    pub(super) log: Vec<String>,
    pub(super) faults: VecDeque<Fault>,
    /// What happens to the next reads instead of their answers.
    pub(super) read_faults: VecDeque<Reply>,
    /// The token that is not taken any more.
    pub(super) revoked: Option<&'static str>,
    /// Transactions wait here for a permit each.
    pub(super) gate: Option<Arc<Semaphore>>,
    /// No transaction is applied or answered.
    pub(super) silent: bool,
    /// The last transaction whose fault kept it from being applied.
    lost: String,
    /// What others do right before each transaction, as many times.
    pub(super) interventions: (usize, Option<fn(&mut State)>),
    /// What happens right before the head is read next.
    pub(super) before_head: Option<fn(&mut State)>,
    /// What happens right after the next request whose line in the log begins so, before its answer arrives.
    pub(super) after: Option<(&'static str, Deed)>,
    /// How long each read takes.
    pub(super) read_time: Duration,
    /// Rows of a page; 1,000 if 0.
    pub(super) page: usize,
    /// Answers every query with an empty page and a continuation first.
    pub(super) empty_pages: bool,
    /// Others commit while each query runs.
    pub(super) busy: bool,
    /// The service's clock, as the minute of an hour.
    pub(super) minute: u32,
    writes: u64,
}

/// The service. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Fake(Arc<Mutex<State>>);

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

struct Refusal(u16, &'static str);

impl Fake {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// What was asked since the last time.
    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
    }

    pub(super) fn fault(&self, applied: bool, meanwhile: Option<fn(&mut State)>) {
        self.state().faults.push_back(Fault { applied, meanwhile, answer: Reply::Broken });
    }

    /// Lets others do something right before each of the next transactions.
    pub(super) fn intervene(&self, times: usize, intervention: fn(&mut State)) {
        self.state().interventions = (times, Some(intervention));
    }

    /// Does this right after the next request whose line in the log begins so.
    pub(super) fn after(&self, line: &'static str, deed: impl FnOnce(&mut State) + Send + 'static) {
        self.state().after = Some((line, Box::new(deed)));
    }

    /// Holds transactions back until permits are added.
    pub(super) fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.state().gate = Some(Arc::clone(&gate));
        gate
    }

    /// Everything stored, as text.
    pub(super) fn dump(&self) -> String {
        let state = self.state();
        state.rows.iter().map(|(keys, row)| format!("{keys:?} {}\n", Value::Object(row.clone()))).collect()
    }
}

impl State {
    pub(super) fn row(&mut self, key: &str) -> &mut Row {
        self.rows.get_mut(&("p".to_owned(), key.to_owned())).expect("the row exists")
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.rows.remove(&("p".to_owned(), key.to_owned())).expect("the row exists");
    }

    pub(super) fn keys(&self) -> Vec<&str> {
        self.rows.keys().map(|(_, key)| key.as_str()).collect()
    }

    /// Another writer's commit: it moves the head and leaves its change row.
    pub(super) fn commit_of_another(&mut self) {
        self.move_head();
        let mut change = self.row(HEAD).clone();
        let seq: u64 = change["Seq"].as_str().unwrap().parse().unwrap();
        change.insert("C0".into(), json!("[]"));
        change.insert("Chunks".into(), json!(1));
        self.put("p", &format!("!c:{seq:020}"), change);
    }

    /// Moves the head without a change row.
    pub(super) fn move_head(&mut self) {
        let mut head = self.row(HEAD).clone();
        let seq: u64 = head["Seq"].as_str().unwrap().parse().unwrap();
        head.insert("Seq".into(), json!((seq + 1).to_string()));
        head.insert("Commit".into(), json!("f".repeat(32)));
        self.put("p", HEAD, head);
    }

    /// The transaction lost last is applied after all.
    pub(super) fn land_late(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        assert!(self.transaction(&lost).is_ok(), "the lost transaction is applied");
    }

    /// Another writer's commit that writes a record anew.
    pub(super) fn rewrite_by_another(&mut self, key: &str) {
        self.commit_of_another();
        self.rewrite(key);
    }

    /// Another writer's commit of a record like this one.
    pub(super) fn copy_by_another(&mut self, key: &str, copy: &str) {
        self.commit_of_another();
        let row = self.row(key).clone();
        self.put("p", copy, row);
    }

    /// Writes a record past the fence.
    pub(super) fn rewrite(&mut self, key: &str) {
        let row = self.row(key).clone();
        self.put("p", key, row);
    }

    fn put(&mut self, partition: &str, key: &str, mut row: Row) -> String {
        self.writes += 1;
        let tag = format!("W/\"datetime'{}'\"", self.writes);
        row.insert("PartitionKey".into(), json!(partition));
        row.insert("RowKey".into(), json!(key));
        row.insert("Timestamp@odata.type".into(), json!("Edm.DateTime"));
        row.insert("Timestamp".into(), json!(format!("2026-03-01T08:{:02}:00.0000001Z", self.minute)));
        row.insert("odata.etag".into(), json!(tag));
        self.rows.insert((partition.to_owned(), key.to_owned()), row);
        tag
    }

    fn write(
        &mut self,
        method: &str,
        keys: &(String, String),
        condition: Option<&str>,
        body: Row,
    ) -> Result<Option<String>, Refusal> {
        let tag = self.rows.get(keys).map(|row| row["odata.etag"].as_str().unwrap().to_owned());
        match (method, tag, condition) {
            ("POST", None, None) => Ok(Some(self.put(&keys.0, &keys.1, body))),
            ("POST", Some(_), None) => Err(Refusal(409, "EntityAlreadyExists")),
            (_, None, Some(_)) => Err(Refusal(404, "ResourceNotFound")),
            (_, Some(tag), Some(condition)) if condition != "*" && condition != tag => {
                Err(Refusal(412, "UpdateConditionNotSatisfied"))
            }
            ("PUT", Some(_), Some(_)) => Ok(Some(self.put(&keys.0, &keys.1, body))),
            ("DELETE", Some(_), Some(_)) => {
                self.rows.remove(keys);
                Ok(None)
            }
            other => panic!("an unconditional write: {other:?}"),
        }
    }

    /// All or nothing; the answer of each, or the first refusal.
    fn transaction(&mut self, body: &str) -> Result<Vec<Option<String>>, (usize, Refusal)> {
        let before = self.rows.clone();
        let mut tags = Vec::new();
        let mut named = Vec::new();
        for (index, part) in body.split("--changeset_tables\r\n").skip(1).enumerate() {
            let request = part.split_once("\r\n\r\n").unwrap().1;
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            let (method, target) = head.split_once(' ').unwrap();
            let url = Url::parse(target.split(' ').next().unwrap()).unwrap();
            let condition = head.lines().find_map(|line| line.strip_prefix("If-Match: "));
            let body: Row = serde_json::from_str(body.split("\r\n").next().unwrap()).unwrap_or_default();
            let keys = keys_of(&url).unwrap_or_else(|| (text(&body, "PartitionKey"), text(&body, "RowKey")));
            named.push(format!("{}{}", &method[..1], keys.1));
            match self.write(method, &keys, condition, body) {
                Ok(tag) => tags.push(tag),
                Err(refusal) => {
                    self.rows = before;
                    self.log.push(format!("commit {} refused {index}", named.join(" ")));
                    return Err((index, refusal));
                }
            }
        }
        self.log.push(format!("commit {}", named.join(" ")));
        Ok(tags)
    }

    fn query(&self, url: &Url) -> AsyncRawResponse {
        let parameters: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        let after = parameters.get("NextRowKey").map(String::as_str);
        let top = parameters.get("$top").map_or(1_000, |top| top.parse().unwrap());
        let top = if self.page > 0 { self.page.min(top) } else { top };
        let mut headers = Headers::new();
        if self.empty_pages && after.is_none() {
            headers.insert("x-ms-continuation-nextrowkey", "-");
            return answer(200, headers, json!({"value": []}).to_string());
        }
        let after = after.filter(|after| *after != "-").unwrap_or("");
        let found = self.rows.iter().filter(|(keys, _)| matches_filter(keys, &parameters["$filter"]));
        let position = |keys: &(String, String)| format!("{}|{}", keys.0, keys.1);
        let mut found = found.filter(|(keys, _)| position(keys).as_str() > after).peekable();
        let page: Vec<(&(String, String), &Row)> = found.by_ref().take(top).collect();
        if let Some((keys, _)) = page.last().filter(|_| found.peek().is_some()) {
            headers.insert("x-ms-continuation-nextrowkey", position(keys));
        }
        let select = parameters.get("$select");
        let value: Vec<Row> = page.into_iter().map(|(_, row)| selected(row, select)).collect();
        answer(200, headers, json!({"value": value}).to_string())
    }
}

fn selected(row: &Row, select: Option<&String>) -> Row {
    let mut row = row.clone();
    if let Some(select) = select {
        row.retain(|name, _| name == "odata.etag" || select.split(',').any(|one| name.split('@').next() == Some(one)));
    }
    row
}

fn text(row: &Row, name: &str) -> String {
    row[name].as_str().unwrap().to_owned()
}

/// `… eq 'x' and …`, with `ge`, `gt`, `lt`.
fn matches_filter(keys: &(String, String), filter: &str) -> bool {
    filter.split(" and ").all(|term| {
        let mut words = term.splitn(3, ' ');
        let field = if words.next() == Some("RowKey") { &keys.1 } else { &keys.0 };
        let operator = words.next().unwrap();
        let value = words.next().unwrap().trim_matches('\'');
        match operator {
            "eq" => field == value,
            "ge" => field.as_str() >= value,
            "gt" => field.as_str() > value,
            "lt" => field.as_str() < value,
            other => panic!("operator {other}"),
        }
    })
}

/// The keys in `…(PartitionKey='…',RowKey='…')`.
fn keys_of(url: &Url) -> Option<(String, String)> {
    let path = percent_decoded(url.path());
    let (partition, row) = path.split_once("(PartitionKey='")?.1.split_once("',RowKey='")?;
    Some((partition.to_owned(), row.strip_suffix("')")?.to_owned()))
}

fn percent_decoded(path: &str) -> String {
    let query = path.replace('+', "%2B");
    let url = Url::parse(&format!("http://x/?{query}")).unwrap();
    url.query_pairs()
        .map(|(name, value)| if value.is_empty() { name.into_owned() } else { format!("{name}={value}") })
        .collect()
}

fn answer(status: u16, headers: Headers, body: String) -> AsyncRawResponse {
    AsyncRawResponse::from_bytes(status.into(), headers, body)
}

fn refusal(status: u16, code: &str, message: &str) -> String {
    json!({"odata.error": {"code": code, "message": {"lang": "en-US", "value": message}, "status": status}}).to_string()
}

fn batch_answer(result: Result<Vec<Option<String>>, (usize, Refusal)>) -> AsyncRawResponse {
    let inner = match result {
        Ok(tags) => tags
            .into_iter()
            .map(|tag| {
                let tag = tag.map(|tag| format!("ETag: {tag}\r\n")).unwrap_or_default();
                format!("HTTP/1.1 204 No Content\r\n{tag}\r\n\r\n")
            })
            .collect(),
        Err((index, Refusal(status, code))) => {
            let body = refusal(status, code, &format!("{index}:no"));
            vec![format!("HTTP/1.1 {status} No\r\nContent-Type: application/json\r\n\r\n{body}\r\n")]
        }
    };
    let mut body = String::from("--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n");
    for inner in inner {
        body += &format!("--c\r\nContent-Type: application/http\r\n\r\n{inner}");
    }
    body += "--c--\r\n--b--\r\n";
    let mut headers = Headers::new();
    headers.insert("content-type", "multipart/mixed; boundary=b");
    answer(202, headers, body)
}

#[async_trait]
impl HttpClient for Fake {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let gate = self.state().gate.clone().filter(|_| request.url().path().ends_with("$batch"));
        if let Some(gate) = gate {
            gate.acquire().await.expect("the gate is never closed").forget();
        }
        let read_time = self.state().read_time;
        if request.method() == Method::Get && !read_time.is_zero() {
            tokio::time::sleep(read_time).await;
        }
        let answer = self.respond(request);
        self.state().deed_is_due();
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

impl Fake {
    fn respond(&self, request: &Request) -> Option<azure_core::Result<AsyncRawResponse>> {
        let Body::Bytes(body) = request.body() else { panic!("bodies are bytes") };
        let body = String::from_utf8(body.to_vec()).unwrap();
        let url = request.url();
        let mut state = self.state();
        if let Some(revoked) = state.revoked
            && request.headers().get_optional_str(&AUTHORIZATION) == Some(&format!("Bearer {revoked}"))
        {
            return Reply::Error(401, "InvalidAuthenticationInfo").answer();
        }
        if url.path().ends_with("$batch") {
            return state.commit(&body);
        }
        if request.method() == Method::Get
            && let Some(fault) = state.read_faults.pop_front()
        {
            state.log.push("read lost".into());
            return fault.answer();
        }
        let Some(keys) = keys_of(url) else {
            state.log.push("query".into());
            let page = state.query(url);
            if state.busy {
                state.commit_of_another();
            }
            return Some(Ok(page));
        };
        if request.method() == Method::Put {
            state.log.push(format!("replace {}", keys.1));
            let condition = request.headers().get_optional_str(&"if-match".into()).map(str::to_owned);
            let body = serde_json::from_str(&body).unwrap();
            return Some(Ok(match state.write("PUT", &keys, condition.as_deref(), body) {
                Ok(_) => answer(204, Headers::new(), String::new()),
                Err(Refusal(status, code)) => answer(status, Headers::new(), refusal(status, code, "no")),
            }));
        }
        state.log.push(format!("get {}", keys.1));
        if keys.1 == HEAD
            && let Some(happens) = state.before_head.take()
        {
            happens(&mut state);
        }
        let select = url.query_pairs().find(|(name, _)| name == "$select").map(|(_, names)| names.into_owned());
        Some(Ok(match state.rows.get(&keys) {
            None => answer(404, Headers::new(), refusal(404, "ResourceNotFound", "no")),
            Some(row) => answer(200, Headers::new(), Value::Object(selected(row, select.as_ref())).to_string()),
        }))
    }
}

impl State {
    fn deed_is_due(&mut self) {
        let due = |(line, _): &mut (&str, Deed)| self.log.last().is_some_and(|last| last.starts_with(*line));
        if let Some((_, deed)) = self.after.take_if(due) {
            deed(self);
        }
    }

    fn commit(&mut self, body: &str) -> Option<azure_core::Result<AsyncRawResponse>> {
        if let (left @ 1.., Some(intervention)) = self.interventions {
            self.interventions.0 = left - 1;
            intervention(self);
        }
        if self.silent {
            self.log.push("commit lost".into());
            return None;
        }
        let Some(fault) = self.faults.pop_front() else {
            return Some(Ok(batch_answer(self.transaction(body))));
        };
        if fault.applied {
            assert!(self.transaction(body).is_ok(), "the transaction is applied");
        } else {
            self.lost = body.to_owned();
            self.log.push("commit lost".into());
        }
        fault.meanwhile.into_iter().for_each(|meanwhile| meanwhile(self));
        fault.answer.answer()
    }
}

impl Reply {
    fn answer(self) -> Option<azure_core::Result<AsyncRawResponse>> {
        match self {
            Self::Silence => None,
            Self::Broken => Some(Err(azure_core::Error::with_message(ErrorKind::Io, "broken"))),
            Self::Error(status, code) => Some(Ok(answer(status, Headers::new(), refusal(status, code, "no")))),
            Self::Wait(status, code, [name, value]) => {
                let mut headers = Headers::new();
                headers.insert(name, value);
                Some(Ok(answer(status, headers, refusal(status, code, "no"))))
            }
            Self::Names(index, status, code) => Some(Ok(batch_answer(Err((index, Refusal(status, code)))))),
        }
    }
}
