//! Storage connection strings.
//!
//! Source: "Configure Azure Storage connection strings" and, for `UseDevelopmentStorage`, "Use the Azurite emulator".

use azure_core::credentials::Secret;

use super::{problems::Problems, vars::CONNECTION_STRING};

/// Account, key and endpoints of the emulator: public, the same on every machine.
const EMULATOR: &str = "AccountName=devstoreaccount1;\
    AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;\
    BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;\
    TableEndpoint=http://127.0.0.1:10002/devstoreaccount1";

/// Settings that are read.
const USED: [&str; 8] = [
    "AccountName",
    "AccountKey",
    "SharedAccessSignature",
    "BlobEndpoint",
    "TableEndpoint",
    "DefaultEndpointsProtocol",
    "EndpointSuffix",
    "UseDevelopmentStorage",
];

/// Settings of services that the store does not use.
const IGNORED: [&str; 7] = [
    "QueueEndpoint",
    "FileEndpoint",
    "DfsEndpoint",
    "BlobSecondaryEndpoint",
    "TableSecondaryEndpoint",
    "QueueSecondaryEndpoint",
    "FileSecondaryEndpoint",
];

/// The parts of a connection string, not yet checked against other settings.
#[derive(Debug, Default)]
pub(super) struct ConnectionString {
    pub(super) account: Option<String>,
    pub(super) key: Option<Secret>,
    pub(super) sas: Option<Secret>,
    pub(super) blob_endpoint: Option<String>,
    pub(super) table_endpoint: Option<String>,
    /// `http` or `https`.
    pub(super) protocol: Option<&'static str>,
    pub(super) suffix: Option<String>,
}

impl ConnectionString {
    /// Parses `name=value` pairs separated by `;`. Names compare without case, blank values count as unset.
    ///
    /// Unknown and repeated names, and pairs without `=`, are problems that name the position, never the text.
    pub(super) fn parse(text: &str, problems: &mut Problems) -> Self {
        let mut values: [Option<&str>; USED.len()] = [None; USED.len()];
        let mut unknown = Vec::new();
        for (i, pair) in text.split(';').map(str::trim).enumerate() {
            if pair.is_empty() {
                continue;
            }
            let place = i + 1;
            let Some((name, value)) = pair.split_once('=') else {
                problems.add(CONNECTION_STRING, format!("part {place} has no '='"));
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            let is = |known: &&str| known.eq_ignore_ascii_case(name);
            match USED.iter().position(is) {
                Some(index) if values[index].is_some() => {
                    problems.add(CONNECTION_STRING, format!("{} is given twice", USED[index]));
                }
                Some(index) if !value.is_empty() => values[index] = Some(value),
                Some(_) => {}
                None if IGNORED.iter().any(is) => {}
                None => unknown.push(place.to_string()),
            }
        }
        // One problem for all of them: a text of another kind has hundreds.
        if !unknown.is_empty() {
            let (parts, are) = if unknown.len() == 1 { ("part", "is") } else { ("parts", "are") };
            let (unknown, known) = (unknown.join(", "), USED.join(", "));
            problems.add(CONNECTION_STRING, format!("{parts} {unknown} {are} none of the known settings ({known})"));
        }
        let [account, key, sas, blob, table, protocol, suffix, development] = values;
        if let Some(value) = development {
            if !value.eq_ignore_ascii_case("true") {
                problems.add(CONNECTION_STRING, "UseDevelopmentStorage can only be true");
            } else if values[..7].iter().any(Option::is_some) {
                problems.add(CONNECTION_STRING, "UseDevelopmentStorage=true stands alone, without other settings");
            } else {
                return Self::parse(EMULATOR, problems);
            }
        }
        let protocol = match protocol {
            None => None,
            Some(p) if p.eq_ignore_ascii_case("https") => Some("https"),
            Some(p) if p.eq_ignore_ascii_case("http") => Some("http"),
            Some(_) => problems.refuse(CONNECTION_STRING, "DefaultEndpointsProtocol is neither https nor http"),
        };
        let is_suffix =
            |s: &&str| !s.starts_with('.') && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        if suffix.is_some_and(|s| !is_suffix(&s)) {
            problems.add(CONNECTION_STRING, "EndpointSuffix is not a host name");
        }
        Self {
            account: account.map(str::to_owned),
            key: key.map(|k| Secret::new(k.to_owned())),
            sas: sas.map(|s| Secret::new(s.to_owned())),
            blob_endpoint: blob.map(str::to_owned),
            table_endpoint: table.map(str::to_owned),
            protocol,
            suffix: suffix.filter(is_suffix).map(str::to_owned),
        }
    }
}
