//! A Blob service of one container in memory, whose answers and requests get lost as planned.

use super::*;

/// What befalls one request. Requests beyond the plan are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The request is lost.
    LostBefore,
    /// It is executed and its answer lost; the body of a GET breaks in its middle.
    LostAfter,
    /// It is executed, and the answer is a 500.
    ErrorAfter,
    /// It is refused: 503 `ServerBusy`.
    Busy,
    /// There is no connection.
    Unconnected,
    /// No answer comes, and it is executed before the next request.
    Late,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<String, Vec<u8>>,
    staged: BTreeMap<String, Vec<u8>>,
    late: Vec<Seen>,
    creations: u32,
    requests: u32,
}

#[derive(Debug)]
pub(super) struct Fake {
    plan: Mutex<VecDeque<Fault>>,
    state: Mutex<State>,
}

impl Fake {
    pub(super) fn new(plan: impl IntoIterator<Item = Fault>) -> Arc<Self> {
        Arc::new(Self { plan: Mutex::new(plan.into_iter().collect()), state: Mutex::default() })
    }

    /// Faults for the requests from now on.
    pub(super) fn plan(&self, faults: &[Fault]) {
        *self.plan.lock().unwrap() = faults.iter().copied().collect();
    }

    /// The payload under the only name, after every request on its way has arrived.
    pub(super) fn settled(&self) -> Option<Vec<u8>> {
        let mut state = self.state.lock().unwrap();
        state.land();
        assert!(state.blobs.len() <= 1);
        state.blobs.values().next().cloned()
    }

    /// How often a payload came to be readable.
    pub(super) fn creations(&self) -> u32 {
        self.state.lock().unwrap().creations
    }

    pub(super) fn requests(&self) -> u32 {
        self.state.lock().unwrap().requests
    }
}

impl State {
    fn land(&mut self) {
        for request in std::mem::take(&mut self.late) {
            self.execute(&request);
        }
    }

    fn create(&mut self, request: &Seen, bytes: Vec<u8>) -> Answer {
        assert_eq!(request.header("if-none-match"), Some("*"), "every write that counts is create-only");
        if self.blobs.contains_key(request.url.path()) {
            return Answer::code(409, "BlobAlreadyExists");
        }
        let answer = Answer::new(201).with("etag", "\"0x1\"").with("content-md5", md5(&bytes));
        self.blobs.insert(request.url.path().to_owned(), bytes);
        self.creations += 1;
        answer
    }

    fn execute(&mut self, request: &Seen) -> Answer {
        let there = self.blobs.get(request.url.path()).cloned();
        match (request.verb().as_str(), there) {
            ("PUT block", _) => {
                self.staged.insert(request.query("blockid").unwrap(), request.body.to_vec());
                Answer::new(201)
            }
            ("PUT blocklist", _) => {
                let xml = String::from_utf8(request.body.to_vec()).unwrap();
                let ids = xml.split("<Latest>").skip(1).map(|rest| rest.split('<').next().unwrap());
                let blocks: Option<Vec<Vec<u8>>> = ids.map(|id| self.staged.get(id).cloned()).collect();
                match blocks {
                    Some(blocks) => self.create(request, blocks.concat()),
                    None => Answer::code(400, "InvalidBlockList"),
                }
            }
            ("PUT", _) => self.create(request, request.body.to_vec()),
            (_, None) => Answer::code(404, "BlobNotFound"),
            ("HEAD", Some(bytes)) => Answer::new(200)
                .with("content-length", bytes.len().to_string())
                .with("content-md5", md5(&bytes))
                .with("x-ms-creation-time", TIME),
            ("DELETE", Some(_)) => {
                self.blobs.remove(request.url.path());
                Answer::new(202)
            }
            ("GET", Some(bytes)) => {
                let range = request.header("range").or(request.header("x-ms-range")).unwrap();
                let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
                let first: usize = first.parse().unwrap();
                let end = bytes.len().min(last.parse::<usize>().unwrap() + 1);
                assert_eq!(request.header("if-match"), (first > 0).then_some("\"0x1\""), "later ranges are pinned");
                Answer::new(206)
                    .with("etag", "\"0x1\"")
                    .with("content-range", format!("bytes {first}-{}/{}", end - 1, bytes.len()))
                    .body(bytes[first..end].to_vec())
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The answer to a GET, cut in its middle; any other is lost.
fn cut(answer: Answer) -> Answer {
    match answer {
        Answer::Reply { status: 206, headers, mut body } => {
            let whole = body.remove(0).unwrap();
            Answer::Reply { status: 206, headers, body: Vec::new() }.body(whole.slice(..whole.len() / 2)).broken()
        }
        _ => Answer::Fail(SdkErrorKind::Io),
    }
}

#[async_trait]
impl HttpClient for Fake {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let request = Seen::of(request);
        let fault = self.plan.lock().unwrap().pop_front();
        let answer = {
            let mut state = self.state.lock().unwrap();
            state.land();
            state.requests += 1;
            match fault {
                None => state.execute(&request),
                Some(Fault::LostBefore) => Answer::Fail(SdkErrorKind::Io),
                Some(Fault::LostAfter) => cut(state.execute(&request)),
                Some(Fault::ErrorAfter) => {
                    state.execute(&request);
                    Answer::code(500, "InternalError")
                }
                Some(Fault::Busy) => Answer::code(503, "ServerBusy"),
                Some(Fault::Unconnected) => Answer::Fail(SdkErrorKind::Connection),
                Some(Fault::Late) => {
                    state.late.push(request);
                    Answer::Hang
                }
            }
        };
        answer.respond().await
    }
}
