//! The answer of a transaction: a multipart of HTTP answers, usually wrapped once more in a change set.

/// One inner answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Inner {
    /// HTTP status.
    pub(super) status: u16,
    /// `ETag`, of a write that left a row.
    pub(super) etag: Option<String>,
    /// JSON of a failure.
    pub(super) body: Vec<u8>,
}

/// What is wrong with an answer. Says nothing of its content.
pub(super) type Malformed = &'static str;

/// The inner answers, in order.
pub(super) fn parse(content_type: &str, body: &[u8]) -> Result<Vec<Inner>, Malformed> {
    let boundary = boundary(content_type).ok_or("the answer is no multipart")?;
    let mut inner = Vec::new();
    for part in parts(body, boundary)? {
        let (headers, content) = head(part)?;
        match header(&headers, "content-type") {
            Some(wrapped) if self::boundary(wrapped).is_some() => {
                let boundary = self::boundary(wrapped).unwrap_or_default();
                for part in parts(content, boundary)? {
                    inner.push(http(head(part)?.1)?);
                }
            }
            _ => inner.push(http(content)?),
        }
    }
    Ok(inner)
}

/// The boundary of a multipart content type.
fn boundary(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').map(str::trim);
    let essence = parameters.next()?.to_ascii_lowercase();
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"'))
    })?;
    (essence.starts_with("multipart/") && !value.is_empty()).then_some(value)
}

/// The parts between the delimiter lines; the closing one must be there.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<&'a [u8]>, Malformed> {
    let mut parts = Vec::new();
    let (mut start, mut position) = (None, 0);
    for line in body.split_inclusive(|&b| b == b'\n') {
        let end = position;
        position += line.len();
        let Some(rest) = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary.as_bytes())) else {
            continue;
        };
        let closing = match rest.trim_ascii_end() {
            b"" => false,
            b"--" => true,
            _ => continue,
        };
        if let Some(start) = start {
            parts.push(&body[start..end]);
        }
        if closing {
            return Ok(parts);
        }
        start = Some(position);
    }
    Err("a multipart is cut off")
}

type Headers<'a> = Vec<(&'a str, &'a str)>;

/// Header lines up to the empty line, and what follows it.
fn head(part: &[u8]) -> Result<(Headers<'_>, &[u8]), Malformed> {
    let mut headers = Vec::new();
    let mut rest = part;
    while !rest.is_empty() {
        let (line, after) = line(rest)?;
        rest = after;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or("a part has a stray line")?;
        headers.push((name.trim(), value.trim()));
    }
    Ok((headers, rest))
}

fn line(text: &[u8]) -> Result<(&str, &[u8]), Malformed> {
    let end = text.iter().position(|&b| b == b'\n');
    let (line, rest) = match end {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &text[text.len()..]),
    };
    let line = std::str::from_utf8(line).map_err(|_| "a part is no text")?;
    Ok((line.trim_end(), rest))
}

fn header<'a>(headers: &Headers<'a>, name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| *value)
}

/// `HTTP/1.1 204 No Content`, headers, body.
fn http(message: &[u8]) -> Result<Inner, Malformed> {
    let (first, rest) = line(message)?;
    let mut words = first.split_ascii_whitespace();
    let version = words.next().unwrap_or_default();
    let digits = |word: &&str| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit());
    let status = words.next().filter(digits).and_then(|word| word.parse().ok());
    let status = match status {
        Some(status) if version.starts_with("HTTP/1.") && (100..600).contains(&status) => status,
        _ => return Err("an inner answer has no status line"),
    };
    let (headers, body) = head(rest)?;
    Ok(Inner { status, etag: header(&headers, "etag").map(str::to_owned), body: body.trim_ascii().to_vec() })
}
