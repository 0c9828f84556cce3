//! The storage account: its name, endpoints and authorization, out of four variables and a connection string.

use azure_core::http::Url;

use super::{
    StorageAuth, check_entra, check_secret,
    connection_string::ConnectionString,
    problems::Problems,
    rules,
    vars::{BLOB_ENDPOINT, CONNECTION_STRING, Raw, SAS_TOKEN, STORAGE_ACCOUNT, TABLE_ENDPOINT},
};

/// The storage account, checked.
#[derive(Clone)]
pub(super) struct Storage {
    pub(super) account: Option<String>,
    pub(super) blob_endpoint: Url,
    pub(super) table_endpoint: Url,
    pub(super) auth: StorageAuth,
}

/// What the settings give, before they are checked against each other.
struct Given<'a> {
    raw: &'a Raw,
    string: ConnectionString,
    /// The account's name, if one is given that can be used.
    account: Option<String>,
}

/// Reads the storage account (`None` only with a problem), and whether the settings leave it to Entra ID.
pub(super) fn resolve(raw: &Raw, allow_keys: bool, problems: &mut Problems) -> (Option<Storage>, bool) {
    let string = raw.get(CONNECTION_STRING).map(|text| ConnectionString::parse(text, problems)).unwrap_or_default();
    let account = account(raw, &string, problems);
    let given = Given { raw, string, account };
    let blob = given.endpoint(BLOB_ENDPOINT, given.string.blob_endpoint.as_deref(), "blob", problems);
    let table = given.endpoint(TABLE_ENDPOINT, given.string.table_endpoint.as_deref(), "table", problems);
    let secret_from = given.secret_from();
    let auth = given.auth(problems);
    let endpoints = [&blob, &table].into_iter().flatten();
    match secret_from {
        Some(variable) => {
            let urls = endpoints.map(|(_, url)| url);
            check_secret(variable, urls, allow_keys, problems);
        }
        None => endpoints.for_each(|(source, url)| check_entra(source, url, problems)),
    }
    let storage = match (blob, table, auth) {
        (Some((_, blob_endpoint)), Some((_, table_endpoint)), Some(auth)) => {
            Some(Storage { account: given.account, blob_endpoint, table_endpoint, auth })
        }
        _ => None,
    };
    (storage, secret_from.is_none())
}

/// The account's name. `None` if it is required and missing, malformed or ambiguous, each with a problem, or if both
/// endpoints are given and no name.
fn account(raw: &Raw, string: &ConnectionString, problems: &mut Problems) -> Option<String> {
    let before = problems.len();
    let names = [(STORAGE_ACCOUNT, raw.get(STORAGE_ACCOUNT)), (CONNECTION_STRING, string.account.as_deref())];
    for (source, name) in names {
        if name.is_some_and(|name| !rules::is_account_name(name)) {
            problems.add(source, "the account name must be 3 to 24 lower-case letters and digits");
        }
    }
    match (names[0].1, names[1].1) {
        (Some(a), Some(b)) if a != b => {
            problems.add(STORAGE_ACCOUNT, format!("names another account than {CONNECTION_STRING}"))
        }
        (None, None) => {
            let blob = raw.get(BLOB_ENDPOINT).or(string.blob_endpoint.as_deref());
            let table = raw.get(TABLE_ENDPOINT).or(string.table_endpoint.as_deref());
            if blob.is_none() || table.is_none() {
                problems.add(
                    STORAGE_ACCOUNT,
                    "is required unless both endpoints or a connection string with AccountName are given",
                );
            }
        }
        _ => {}
    }
    let name = names[0].1.or(names[1].1).map(str::to_owned);
    name.filter(|_| problems.len() == before)
}

impl Given<'_> {
    /// One service's endpoint with the variable it comes from: the explicit variable, else the connection string's,
    /// else made from the account's name. `None` only with a problem.
    fn endpoint(
        &self,
        variable: &'static str,
        in_string: Option<&str>,
        service: &str,
        problems: &mut Problems,
    ) -> Option<(&'static str, Url)> {
        let account = self.account.as_deref();
        let (source, text) = if let Some(text) = self.raw.get(variable) {
            (variable, text.to_owned())
        } else if let Some(text) = in_string {
            (CONNECTION_STRING, text.to_owned())
        } else {
            // Without a name `account` has noted why.
            let account = account?;
            let protocol = self.string.protocol.unwrap_or("https");
            let suffix = self.string.suffix.as_deref().unwrap_or("core.windows.net");
            let source = match self.raw.get(CONNECTION_STRING) {
                Some(_) => CONNECTION_STRING,
                None => STORAGE_ACCOUNT,
            };
            (source, format!("{protocol}://{account}.{service}.{suffix}"))
        };
        let url = rules::endpoint(source, &text, true, problems)?;
        let in_path = &url.path()[1..];
        if account.is_some_and(|account| !in_path.is_empty() && in_path != account) {
            return problems.refuse(source, format!("the {service} endpoint's path names another account"));
        }
        Some((source, url))
    }

    /// The variable that gives a key or a SAS; `None` means Entra ID.
    fn secret_from(&self) -> Option<&'static str> {
        if self.raw.get(SAS_TOKEN).is_some() {
            Some(SAS_TOKEN)
        } else if self.string.key.is_some() || self.string.sas.is_some() {
            Some(CONNECTION_STRING)
        } else {
            None
        }
    }

    /// How requests are authorized. `None` only with a problem.
    fn auth(&self, problems: &mut Problems) -> Option<StorageAuth> {
        let string = &self.string;
        let key = string.key.as_ref().map(|key| rules::key(CONNECTION_STRING, key.secret(), problems));
        let token = self.raw.get(SAS_TOKEN).map(|token| rules::sas(SAS_TOKEN, token, problems));
        let in_string = string.sas.as_ref().map(|sas| rules::sas(CONNECTION_STRING, sas.secret(), problems));
        if let (Some(Some(a)), Some(Some(b))) = (&token, &in_string)
            && a != b
        {
            problems.add(SAS_TOKEN, format!("is another SAS than the one in {CONNECTION_STRING}"));
        }
        match (key, token.or(in_string)) {
            (Some(_), Some(_)) => problems.refuse(
                self.secret_from().unwrap_or(CONNECTION_STRING),
                format!("give either a SAS or the key in {CONNECTION_STRING}, not both"),
            ),
            (Some(key), None) => {
                if string.account.is_none() && self.raw.get(STORAGE_ACCOUNT).is_none() {
                    problems.add(CONNECTION_STRING, "AccountKey needs AccountName");
                }
                let account = self.account.clone()?;
                Some(StorageAuth::SharedKey { account, key: key? })
            }
            (None, Some(sas)) => sas.map(StorageAuth::Sas),
            (None, None) => Some(StorageAuth::Entra),
        }
    }
}
