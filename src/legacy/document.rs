//! The document around the tenants.

use super::error::{FileKind, SnapshotError, SnapshotErrorKind};
use super::memory::{MemoryEntry, ReaderLimits, Rejection, SnapshotSummary, shown};
use super::shape::{Any, Leaf, NameSeed, Plain, Shape};
use super::source::{Progress, Refusal, Source};
use super::tenant::TenantShape;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};
use serde_json::error::Category;
use std::io::Read;
use std::ops::ControlFlow;

const PROPERTIES: [&str; 5] = ["SchemaVersion", "Revision", "LastLoadedUtc", "LastSavedUtc", "Tenants"];
const TENANTS: usize = 4;
/// The properties that a `cloud-state` document has and a memory does not. The oldest form has the last three alone.
const CLOUD_STATE: [&str; 24] = [
    "Account",
    "Robot",
    "RobotProfile",
    "Devices",
    "RobotCredentialBindings",
    "Sessions",
    "SymmetricKeys",
    "KeyRequests",
    "CommuteProfiles",
    "CalendarEvents",
    "GreetingPresences",
    "Holidays",
    "Loops",
    "LoopMembers",
    "People",
    "Users",
    "RecognitionObservations",
    "RevokedIdentityGraphAnchors",
    "TrustedServerAdmissions",
    "TrustedServers",
    "UserDeviceLinks",
    "Updates",
    "Media",
    "Backups",
];
const UNKNOWN_NAMES: usize = 100;

/// The state of one read.
pub(super) struct Run<'a> {
    pub(super) limits: ReaderLimits,
    /// The tenant being read.
    pub(super) tenant_index: Option<u64>,
    /// Its key as shown, once read.
    pub(super) tenant_key: Option<String>,
    pub(super) progress: &'a Progress,
    sink: &'a mut dyn FnMut(MemoryEntry) -> ControlFlow<()>,
    summary: SnapshotSummary,
    failure: Option<SnapshotErrorKind>,
}

impl Run<'_> {
    /// Ends the read: the parser's error only carries control back, the kind waits here.
    pub(super) fn fail<E: serde::de::Error>(&mut self, kind: SnapshotErrorKind) -> E {
        self.failure = Some(kind);
        E::custom("stopped")
    }

    pub(super) fn unknown(&mut self, name: String) {
        let names = &mut self.summary.unknown_properties;
        let full = names.len() >= UNKNOWN_NAMES && !names.contains_key(&name);
        *names.entry(if full { "…".to_owned() } else { name }).or_default() += 1;
    }

    fn give<E: serde::de::Error>(&mut self, entry: MemoryEntry) -> Result<(), E> {
        match (self.sink)(entry) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(self.fail(SnapshotErrorKind::Stopped)),
        }
    }

    fn reject<E: serde::de::Error>(&mut self, path: &str, reason: String) -> Result<(), E> {
        self.summary.values_rejected += 1;
        let (tenant_index, tenant_key, path) = (None, None, path.to_owned());
        self.give(MemoryEntry::Rejected(Rejection { tenant_index, tenant_key, path, reason }))
    }

    fn tenants_seen(&self) -> u64 {
        self.summary.tenants_read + self.summary.tenants_rejected
    }

    fn error(self, parser: serde_json::Error) -> SnapshotError {
        let (at, tenants_before) = (self.progress.position(), self.tenants_seen());
        let kind = match (self.failure, self.progress.refusal()) {
            (Some(kind), _) => kind,
            (None, Some(Refusal::AnotherFile(found))) => SnapshotErrorKind::AnotherFile { found },
            (None, Some(Refusal::ControlCharacter)) => {
                SnapshotErrorKind::Malformed { reason: "a control character in a text".to_owned() }
            }
            (None, Some(Refusal::Limit(actual))) => SnapshotErrorKind::LimitExceeded {
                name: "max_tenant_bytes",
                limit: self.limits.max_tenant_bytes,
                actual,
                tenant_index: self.tenant_index,
                tenant_key: self.tenant_key,
            },
            (None, None) => match parser.classify() {
                Category::Io => SnapshotErrorKind::Io(parser.into()),
                Category::Eof => SnapshotErrorKind::Truncated,
                // `Data` errors are made by visitors only, and every visitor here takes any value.
                Category::Syntax | Category::Data => {
                    let text = parser.to_string();
                    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason).to_owned();
                    SnapshotErrorKind::Malformed { reason }
                }
            },
        };
        SnapshotError { kind, at, tenants_before }
    }
}

/// Reads a `personal-memory` snapshot and hands each tenant to `sink` as soon as it is whole, in the file's order.
///
/// `sink` answers `Break` to stop; the read then ends with [`SnapshotErrorKind::Stopped`]. The summary is only given for
/// a document that was read, and hashed, to its last byte. Two entries with the same tenant key are both handed over.
///
/// # Errors
///
/// The document's end was not reached: [`SnapshotErrorKind`] says why, and the error says where and how many tenants came
/// before. What was handed over stays with the caller: who must not keep a part collects first or reads twice. A version
/// that is not supported is noticed where it stands: in a file with `SchemaVersion` behind `Tenants`, after them.
pub fn read_personal_memory<R: Read>(
    reader: R,
    limits: ReaderLimits,
    mut sink: impl FnMut(MemoryEntry) -> ControlFlow<()>,
) -> Result<SnapshotSummary, SnapshotError> {
    let progress = Progress::new(limits.max_tenant_bytes);
    let mut source = Source::new(reader, &progress);
    let mut run = Run {
        limits,
        tenant_index: None,
        tenant_key: None,
        progress: &progress,
        sink: &mut sink,
        summary: SnapshotSummary::default(),
        failure: None,
    };
    let mut parser = serde_json::Deserializer::from_reader(&mut source);
    match Any(&progress, DocumentShape(&mut run)).deserialize(&mut parser).and_then(|()| parser.end()) {
        Ok(()) => {
            let bytes = progress.position().byte;
            Ok(SnapshotSummary { bytes, sha256: source.sha256_hex(), ..run.summary })
        }
        Err(error) => Err(run.error(error)),
    }
}

struct DocumentShape<'r, 'a>(&'r mut Run<'a>);

impl<'de> Shape<'de> for DocumentShape<'_, '_> {
    type Out = ();

    fn leaf<E: serde::de::Error>(self, leaf: Leaf) -> Result<(), E> {
        let kind = SnapshotErrorKind::NotASnapshot { path: "", expected: "an object", found: leaf.kind() };
        Err(self.0.fail(kind))
    }

    fn object<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let run = self.0;
        let progress = run.progress;
        let mut seen = [false; PROPERTIES.len()];
        while let Some(name) = entries.next_key_seed(NameSeed)? {
            match name.one_of(&PROPERTIES) {
                None if !seen[TENANTS] && name.one_of(&CLOUD_STATE).is_some() => {
                    return Err(run.fail(SnapshotErrorKind::AnotherFile { found: FileKind::CloudState }));
                }
                None => {
                    run.unknown(name.shown());
                    entries.next_value::<IgnoredAny>()?;
                }
                Some(at) if std::mem::replace(&mut seen[at], true) => {
                    entries.next_value::<IgnoredAny>()?;
                    run.reject(&name.shown(), "repeats a property of the document; the first one counts".to_owned())?;
                }
                Some(TENANTS) => entries.next_value_seed(Any(progress, TenantsShape(&mut *run)))?,
                Some(at) => header(PROPERTIES[at], entries.next_value_seed(Any(progress, Plain))?, run)?,
            }
            progress.mark_done();
        }
        Ok(())
    }
}

/// Takes a property of the document other than `Tenants`.
fn header<E: serde::de::Error>(name: &'static str, leaf: Leaf, run: &mut Run<'_>) -> Result<(), E> {
    let summary = &mut run.summary;
    match (name, leaf) {
        (_, Leaf::Null) => Ok(()),
        ("SchemaVersion", Leaf::Integer(1)) => {
            summary.schema_version = Some("1".to_owned());
            Ok(())
        }
        ("SchemaVersion", Leaf::Text(text)) if text == "1" => {
            summary.schema_version = Some(text);
            Ok(())
        }
        ("SchemaVersion", other) => {
            let found = match other {
                Leaf::Text(text) => format!("`{}`", shown(&text)),
                Leaf::Integer(number) => number.to_string(),
                other => other.kind().to_owned(),
            };
            Err(run.fail(SnapshotErrorKind::UnsupportedVersion { found }))
        }
        ("Revision", Leaf::Integer(number)) => {
            summary.revision = Some(number);
            Ok(())
        }
        ("Revision", other) => run.reject(name, format!("should be an integer from 0 and is {}", other.kind())),
        ("LastLoadedUtc", Leaf::Text(text)) => {
            summary.last_loaded_utc = Some(text);
            Ok(())
        }
        ("LastSavedUtc", Leaf::Text(text)) => {
            summary.last_saved_utc = Some(text);
            Ok(())
        }
        (_, other) => run.reject(name, format!("should be text and is {}", other.kind())),
    }
}

struct TenantsShape<'r, 'a>(&'r mut Run<'a>);

impl<'de> Shape<'de> for TenantsShape<'_, '_> {
    type Out = ();

    fn leaf<E: serde::de::Error>(self, leaf: Leaf) -> Result<(), E> {
        if matches!(leaf, Leaf::Null) {
            return Ok(());
        }
        let kind = SnapshotErrorKind::NotASnapshot { path: "Tenants", expected: "an array", found: leaf.kind() };
        Err(self.0.fail(kind))
    }

    fn array<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let run = self.0;
        while let Some(tenant) = items.next_element_seed(EntrySeed(&mut *run))? {
            run.progress.mark_done();
            (run.tenant_index, run.tenant_key) = (None, None);
            match tenant {
                Ok(tenant) => {
                    run.summary.tenants_read += 1;
                    run.summary.values_read += tenant.values();
                    run.summary.values_rejected += tenant.rejected.len() as u64;
                    run.give(MemoryEntry::Tenant(tenant))?;
                }
                Err(rejection) => {
                    run.summary.tenants_rejected += 1;
                    run.give(MemoryEntry::Rejected(rejection))?;
                }
            }
        }
        Ok(())
    }
}

/// Opens the segment of an entry of `Tenants`: the parser calls it with the first byte peeked at.
struct EntrySeed<'r, 'a>(&'r mut Run<'a>);

impl<'de> DeserializeSeed<'de> for EntrySeed<'_, '_> {
    type Value = <TenantShape<'static, 'static> as Shape<'de>>::Out;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let progress = self.0.progress;
        progress.mark_peeked();
        self.0.tenant_index = Some(self.0.tenants_seen());
        Any(progress, TenantShape(self.0)).deserialize(deserializer)
    }
}
