//! Large `personal-memory` snapshots, made while they are read.

use std::io::{self, Read};

/// A snapshot of `tenants` tenants, about 2 KiB each, the same bytes every time. One tenant is in memory at a time.
///
/// Each household has four tenants: three persons and the scope without a person. Each tenant has 24 usable values.
pub(crate) fn synthetic_snapshot(tenants: usize) -> impl Read {
    let head = "\u{FEFF}{\n  \"SchemaVersion\": \"1\",\n  \"Revision\": 17,\n  \"Tenants\": [".to_owned();
    let body = (0..tenants).map(|index| if index == 0 { tenant(index) } else { format!(",{}", tenant(index)) });
    ChunkReader { chunks: std::iter::once(head).chain(body).chain(["\n  ]\n}".to_owned()]), chunk: Vec::new(), at: 0 }
}

/// Usable values in each tenant of [`synthetic_snapshot`].
pub(crate) const VALUES_PER_TENANT: u64 = 24;

fn tenant(index: usize) -> String {
    let (house, member) = (index / 4, index % 4);
    let person = if member == 3 { String::new() } else { format!("|mbr-{index:032x}") };
    let facts = (0..14).map(|fact| {
        format!("\"topic {fact}\": \"value {fact} of {index}: caf\\u00E9, a text of a sentence or two, as households keep them\"")
    });
    format!(
        r#"
    {{
      "TenantKey": "usr_openjibo_owner|loop-house-{house:06}|BOJW-{house:06}-17432{person}",
      "Birthday": "May {day}",
      "Name": "Zo\u00EB {index}",
      "Preferences": {{ {facts} }},
      "ImportantDates": {{ "anniversary": "October {day}", "first day of school": "September {day}" }},
      "Affinities": {{ "broccoli": {like}, "jazz": 1 }},
      "Lists": {{ "shopping": [ "milk", "Olive Oil", "batteries" ], "to do": [ "call mom" ] }}
    }}"#,
        day = index % 28 + 1,
        facts = facts.collect::<Vec<_>>().join(", "),
        like = index % 3,
    )
}

/// A [`Read`] over the texts of an iterator.
struct ChunkReader<I> {
    chunks: I,
    chunk: Vec<u8>,
    at: usize,
}

impl<I: Iterator<Item = String>> Read for ChunkReader<I> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            let Some(next) = self.chunks.next() else {
                return Ok(0);
            };
            (self.chunk, self.at) = (next.into_bytes(), 0);
        }
        let n = out.len().min(self.chunk.len() - self.at);
        out[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
