//! The Entra ID credential: chosen from the settings alone, once, without trying one after the other.
//!
//! `azure_identity` has no `DefaultAzureCredential` and does not read `AZURE_TOKEN_CREDENTIALS`; the spellings here
//! are those of the other Azure SDKs, as far as `azure_identity` has the credential.

use std::{fmt, path::PathBuf, sync::Arc};

use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions};
use azure_core::time::Duration;
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential, AzureDeveloperCliCredentialOptions,
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, DeveloperToolsCredential,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};

use super::{
    ConfigError,
    problems::Problems,
    vars::{CLIENT_ID, CLIENT_SECRET, FEDERATED_TOKEN_FILE, Raw, TENANT_ID, TOKEN_CREDENTIALS},
};

/// Accepted values, as they are listed in a problem.
const ACCEPTED: &str = "ManagedIdentityCredential, WorkloadIdentityCredential, EnvironmentCredential, \
    AzureCliCredential, AzureDeveloperCliCredential, dev, prod";

/// The chosen credential with what it needs.
#[derive(Clone)]
pub(super) enum EntraCredential {
    /// App Service, Container Apps (both by `IDENTITY_ENDPOINT`) and machines (IMDS); with a client id the user-assigned identity.
    ManagedIdentity { client_id: Option<String> },
    /// Kubernetes: a service account token in a file is exchanged.
    WorkloadIdentity { tenant_id: String, client_id: String, token_file: PathBuf },
    /// A service principal with a secret.
    ClientSecret { tenant_id: String, client_id: String, secret: Secret },
    /// `az login`.
    AzureCli { tenant_id: Option<String> },
    /// `azd auth login`.
    AzureDeveloperCli { tenant_id: Option<String> },
    /// The Azure CLI, then the Azure Developer CLI; uses the tenant that they are logged in to.
    DeveloperTools,
}

impl EntraCredential {
    /// Reads the choice. An unknown value is always a problem; missing companions only when `needed`, since the
    /// variables of Entra ID may be there for other parts of the process.
    pub(super) fn resolve(raw: &Raw, needed: bool, problems: &mut Problems) -> Option<Self> {
        let choice = raw.get(TOKEN_CREDENTIALS).map(str::to_ascii_lowercase);
        let choice = match choice.as_deref() {
            None => "managedidentitycredential",
            Some("prod") if raw.get(CLIENT_SECRET).is_some() => "environmentcredential",
            Some("prod") if raw.get(FEDERATED_TOKEN_FILE).is_some() => "workloadidentitycredential",
            Some("prod") => "managedidentitycredential",
            Some(choice) => choice,
        };
        let mut settings = Settings { raw, problems, needed };
        match choice {
            "managedidentitycredential" => Some(Self::ManagedIdentity { client_id: settings.optional(CLIENT_ID)? }),
            "workloadidentitycredential" => {
                let tenant_id = settings.required(TENANT_ID);
                let client_id = settings.required(CLIENT_ID);
                let token_file = settings.required(FEDERATED_TOKEN_FILE);
                Some(Self::WorkloadIdentity {
                    tenant_id: tenant_id?,
                    client_id: client_id?,
                    token_file: token_file?.into(),
                })
            }
            "environmentcredential" => {
                let tenant_id = settings.required(TENANT_ID);
                let client_id = settings.required(CLIENT_ID);
                let secret = settings.required(CLIENT_SECRET);
                Some(Self::ClientSecret { tenant_id: tenant_id?, client_id: client_id?, secret: Secret::new(secret?) })
            }
            "azureclicredential" => Some(Self::AzureCli { tenant_id: settings.optional(TENANT_ID)? }),
            "azuredeveloperclicredential" => Some(Self::AzureDeveloperCli { tenant_id: settings.optional(TENANT_ID)? }),
            "dev" => Some(Self::DeveloperTools),
            _ => problems.refuse(TOKEN_CREDENTIALS, format!("must be one of {ACCEPTED}")),
        }
    }

    /// The name of the credential, as the other SDKs spell it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::ManagedIdentity { .. } => "ManagedIdentityCredential",
            Self::WorkloadIdentity { .. } => "WorkloadIdentityCredential",
            Self::ClientSecret { .. } => "ClientSecretCredential",
            Self::AzureCli { .. } => "AzureCliCredential",
            Self::AzureDeveloperCli { .. } => "AzureDeveloperCliCredential",
            Self::DeveloperTools => "DeveloperToolsCredential",
        }
    }

    /// Builds the credential; no token is asked for.
    ///
    /// # Errors
    /// One problem: an unsupported kind of managed identity, an unreadable token file, an `AZURE_AUTHORITY_HOST`
    /// (which `azure_identity` reads itself) that is not an `https://` URL.
    pub(super) fn build(&self) -> Result<Arc<dyn TokenCredential>, ConfigError> {
        let built: azure_core::Result<Arc<dyn TokenCredential>> = match self.clone() {
            Self::ManagedIdentity { client_id } => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.map(UserAssignedId::ClientId),
                    client_options: token_requests(),
                }))
                .map(|c| c as _)
            }
            Self::WorkloadIdentity { tenant_id, client_id, token_file } => {
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    tenant_id: Some(tenant_id),
                    client_id: Some(client_id),
                    token_file_path: Some(token_file),
                    credential_options: ClientAssertionCredentialOptions { client_options: token_requests() },
                }))
                .map(|c| c as _)
            }
            Self::ClientSecret { tenant_id, client_id, secret } => {
                let options = ClientSecretCredentialOptions { client_options: token_requests() };
                ClientSecretCredential::new(&tenant_id, client_id, secret, Some(options)).map(|c| c as _)
            }
            Self::AzureCli { tenant_id } => {
                AzureCliCredential::new(Some(AzureCliCredentialOptions { tenant_id, ..Default::default() }))
                    .map(|c| c as _)
            }
            Self::AzureDeveloperCli { tenant_id } => {
                AzureDeveloperCliCredential::new(Some(AzureDeveloperCliCredentialOptions {
                    tenant_id,
                    ..Default::default()
                }))
                .map(|c| c as _)
            }
            Self::DeveloperTools => DeveloperToolsCredential::new(None).map(|c| c as _),
        };
        // The SDK's text is dropped: it may repeat settings.
        built.map_err(|_| match self {
            Self::ManagedIdentity { .. } => ConfigError::one(
                TOKEN_CREDENTIALS,
                "this host's kind of managed identity is not supported; App Service, Container Apps and machines \
                 with IMDS are",
            ),
            Self::WorkloadIdentity { .. } => ConfigError::one(
                FEDERATED_TOKEN_FILE,
                "the federated token file can't be read, or AZURE_AUTHORITY_HOST is not an https:// URL",
            ),
            _ => ConfigError::one(
                TOKEN_CREDENTIALS,
                format!("{} can't be built; check AZURE_AUTHORITY_HOST (an https:// URL)", self.name()),
            ),
        })
    }
}

/// A token is asked for at most three times, within about a second where answers are quick; calls that find no token ask again until
/// their deadline. For machines `azure_identity` puts 72 s in its place. [`KeptTokens`](crate::azure::token::KeptTokens) bounds all of it.
fn token_requests() -> ClientOptions {
    let retry = ExponentialRetryOptions {
        initial_delay: Duration::milliseconds(50),
        max_retries: 2,
        ..ExponentialRetryOptions::default()
    };
    ClientOptions { retry: RetryOptions::exponential(retry), ..ClientOptions::default() }
}

impl fmt::Debug for EntraCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The variables beside the choice.
struct Settings<'a> {
    raw: &'a Raw,
    problems: &'a mut Problems,
    needed: bool,
}

impl Settings<'_> {
    /// `None` when it is set and not well formed.
    fn optional(&mut self, variable: &'static str) -> Option<Option<String>> {
        match self.raw.get(variable) {
            None => Some(None),
            Some(_) => self.required(variable).map(Some),
        }
    }

    fn required(&mut self, variable: &'static str) -> Option<String> {
        let problem = match self.raw.get(variable) {
            None => "is required by the chosen AZURE_TOKEN_CREDENTIALS",
            // Client ids are GUIDs, tenants GUIDs or domain names; `azure_identity` puts the tenant into a URL.
            Some(value)
                if matches!(variable, CLIENT_ID | TENANT_ID)
                    && !value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')) =>
            {
                "must be made of letters, digits, '.' and '-'"
            }
            Some(value) => return Some(value.to_owned()),
        };
        if self.needed {
            self.problems.add(variable, problem);
        }
        None
    }
}
