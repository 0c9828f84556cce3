//! Rules for single values. No reason repeats any part of the value.

use std::net::IpAddr;

use azure_core::{credentials::Secret, http::Url};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::problems::Problems;

/// Whether the endpoint's host is this machine: 127.0.0.0/8, `::1` or `localhost`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|a| a.is_loopback())
}

/// Whether an emulator may answer at the endpoint: on this machine, at the host that the SDK takes for one, or in a container's
/// network. A container goes by a name without a dot, its host by one that the engine makes up.
pub(super) fn may_be_emulated(url: &Url, named: Option<&str>) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let engine = [".docker.internal", ".containers.internal"];
    is_loopback(url)
        || named.is_some_and(|named| host.eq_ignore_ascii_case(named))
        || !host.contains(['.', ':'])
        || engine.iter().any(|suffix| host.to_ascii_lowercase().ends_with(suffix))
}

/// An endpoint: absolute, `https://` (`http://` on loopback), no user name, query or fragment, trailing slashes cut.
///
/// A path is refused unless `account_path`, which takes one segment, the account of an emulator.
pub(super) fn endpoint(variable: &'static str, text: &str, account_path: bool, problems: &mut Problems) -> Option<Url> {
    let Ok(mut url) = Url::parse(text) else {
        return problems.refuse(variable, "is not an absolute URL");
    };
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return problems.refuse(variable, "must begin with https://");
    }
    let before = problems.len();
    if url.scheme() == "http" && !is_loopback(&url) {
        problems.add(variable, "must begin with https://; http:// is for loopback hosts only");
    }
    if !url.username().is_empty() || url.password().is_some() {
        problems.add(variable, "must not hold a user name or a password");
    }
    if url.query().is_some() {
        problems.add(variable, "must not have a query; a SAS has its own variable");
    }
    if url.fragment().is_some() {
        problems.add(variable, "must not have a fragment");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if !account_path && !path.is_empty() {
        problems.add(variable, "must not have a path");
    } else if !path.is_empty() && !is_account_name(&path[1..]) {
        problems.add(variable, "may have no path but the name of an emulator's account");
    }
    url.set_path(&path);
    (problems.len() == before).then_some(url)
}

/// Naming rule of storage accounts: 3 to 24 lower-case letters and digits ("Storage account overview").
pub(super) fn is_account_name(name: &str) -> bool {
    (3..=24).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Name of a Cosmos database or container: 1 to 255 characters without `/ \ # ?` ("Azure Cosmos DB service quotas").
pub(super) fn cosmos_name(variable: &'static str, name: &str, problems: &mut Problems) -> Option<String> {
    if name.chars().count() > 255 {
        return problems.refuse(variable, "is longer than 255 characters");
    }
    if name.contains(['/', '\\', '#', '?']) {
        return problems.refuse(variable, r"must not hold any of / \ # ?");
    }
    Some(name.to_owned())
}

/// The account's regions, nearest first, each spelled as in the portal (`East US`) or as in the API (`eastus`).
pub(super) fn regions(variable: &'static str, text: &str, problems: &mut Problems) -> Option<Vec<String>> {
    let before = problems.len();
    let mut seen = Vec::new();
    let regions: Vec<String> = text.split(',').map(|r| r.trim().to_owned()).collect();
    for (i, region) in regions.iter().enumerate() {
        let place = i + 1;
        let folded = region.replace(' ', "").to_ascii_lowercase();
        if region.is_empty() {
            problems.add(variable, format!("region {place} is blank"));
        } else if !folded.bytes().all(|b| b.is_ascii_alphanumeric()) || folded.len() > 64 {
            problems.add(variable, format!("region {place} is not made of letters, digits and spaces, at most 64"));
        } else if seen.contains(&folded) {
            problems.add(variable, format!("region {place} is listed twice"));
        }
        seen.push(folded);
    }
    (problems.len() == before).then_some(regions)
}

/// An account key: non-empty standard base64.
pub(super) fn key(variable: &'static str, key: &str, problems: &mut Problems) -> Option<Secret> {
    match STANDARD.decode(key) {
        Ok(bytes) if !bytes.is_empty() => Some(Secret::new(key.to_owned())),
        _ => problems.refuse(variable, "the key is not base64"),
    }
}

/// A shared access signature that serves Blob and Table: an account SAS (`ss` with `b` and `t`), signed. A leading
/// `?` is cut. Source: "Create an account SAS".
pub(super) fn sas(variable: &'static str, text: &str, problems: &mut Problems) -> Option<Secret> {
    let text = text.strip_prefix('?').unwrap_or(text);
    let field = |name: &str| {
        text.split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(n, v)| *n == name && !v.is_empty())
            .map(|(_, v)| v)
    };
    if text.contains(['#', '?', ' ']) || field("sig").is_none() || field("sv").is_none() {
        return problems.refuse(variable, "is not a SAS token: it needs sv and sig");
    }
    if !field("ss").is_some_and(|ss| ss.contains('b') && ss.contains('t')) {
        return problems.refuse(variable, "is not an account SAS for the services Blob and Table (ss=bt)");
    }
    Some(Secret::new(text.to_owned()))
}

/// `1` or `true`, `0` or `false`, in any case; unset is `false`.
pub(super) fn switch(variable: &'static str, text: Option<&str>, problems: &mut Problems) -> bool {
    match text.map(str::to_ascii_lowercase).as_deref() {
        None | Some("0" | "false") => false,
        Some("1" | "true") => true,
        Some(_) => {
            problems.add(variable, "must be 1 or true, 0 or false");
            false
        }
    }
}

/// A switch of the SDK, in its spellings: `1`, `true`, `yes` or `on`, `0`, `false`, `no` or `off`, in any case.
pub(super) fn sdk_switch(variable: &'static str, text: &str, problems: &mut Problems) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => problems.refuse(variable, "must be true, 1, yes or on, or false, 0, no or off"),
    }
}

/// The prefix of tables and containers: `[a-z][a-z0-9]{0,15}` or empty. With it every name stays inside the naming
/// rules of tables and of containers.
pub(super) fn prefix(variable: &'static str, text: &str, problems: &mut Problems) -> String {
    let fits = text.len() <= 16
        && text.bytes().enumerate().all(|(i, b)| b.is_ascii_lowercase() || (i > 0 && b.is_ascii_digit()));
    if !fits {
        problems.add(variable, "must be a lower-case letter and up to 15 lower-case letters and digits, or empty");
    }
    text.to_owned()
}
