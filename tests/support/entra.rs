//! Azurite over HTTPS, where it takes tokens, and an identity endpoint that issues them: what a store needs to run as in production,
//! with a managed identity. Trust in the certificate and the endpoint's address come from the environment, so each test runs
//! alone in a child process.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use openjibo_store::azure::AzureConfigBuilder;
use openjibo_store::emulator::{EMULATORS, EmulatorOptions, EmulatorSet, Emulators, TlsFiles};
use openjibo_store::{AzureConfig, Stores};

use super::azure::fresh;
use super::child::Child;
use super::identity::{Client, HEADER, IdentityEndpoint};

/// Set in a child.
const CHILD: &str = "OPENJIBO_TEST_ENTRA";
const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";

/// How long a test waits for a service that can't answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a child's environment says, where it is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// All is well.
    Well,
    /// The certificate of the storage account is not trusted.
    UntrustedCertificate,
    /// Nothing listens where the identity endpoint should be.
    NoIdentityEndpoint,
}

/// What runs in this process, for its children.
struct Running {
    emulators: Emulators,
    identity: IdentityEndpoint,
}

/// What Azurite serves with, and a certificate that nothing serves with. Made once, so that no test needs a crate that compiles C.
const SERVED: &str = include_str!("certificates/served.pem");
const SERVED_KEY: &str = include_str!("certificates/served.key.pem");
const STRANGER: &str = include_str!("certificates/stranger.pem");

fn running() -> &'static Running {
    static RUNNING: OnceLock<Running> = OnceLock::new();
    RUNNING.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let tls = TlsFiles { certificate: folder.path().join("certificate.pem"), key: folder.path().join("key.pem") };
        std::fs::write(&tls.certificate, SERVED).unwrap();
        std::fs::write(&tls.key, SERVED_KEY).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let emulators = runtime.block_on(Emulators::start(EmulatorOptions::default().with_tls(tls))).unwrap();
        Running { emulators, identity: IdentityEndpoint::start() }
    })
}

/// Runs `body` in a child process that runs this very test, `module::test`, and nothing else. Answers the child's output; in the
/// child, nothing.
pub(crate) fn in_child<F>(module: &str, test: &str, setting: Setting, body: impl FnOnce(Lane) -> F) -> Option<Child>
where
    F: Future<Output = ()>,
{
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { body(Lane::enter(setting).await).await });
        return None;
    }
    let running = running();
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("trusted.pem");
    let certificate = match setting {
        Setting::UntrustedCertificate => STRANGER,
        _ => SERVED,
    };
    std::fs::write(&trusted, certificate).unwrap();
    let identity = match setting {
        // The port of the first service that Unix systems stopped having.
        Setting::NoIdentityEndpoint => "http://127.0.0.1:1/msi/token".to_owned(),
        _ => running.identity.url(),
    };
    let variables = [
        (CHILD, "1"),
        (EMULATORS, &running.emulators.ready_line()),
        (IDENTITY_ENDPOINT, &identity),
        ("IDENTITY_HEADER", HEADER),
        ("SSL_CERT_FILE", trusted.to_str().unwrap()),
        // Nothing in it has the name of a certificate: the host's own are not trusted.
        ("SSL_CERT_DIR", folder.path().to_str().unwrap()),
    ];
    Some(Child::run(module, test, &variables))
}

/// The services, as a child sees them.
pub(crate) struct Lane {
    env: BTreeMap<String, String>,
}

impl Lane {
    async fn enter(setting: Setting) -> Self {
        let set = EmulatorSet::for_tests().await.unwrap();
        // By the account's key: nothing is created with a token.
        let provisioned = set.provision().await;
        // Cosmos DB comes first there, and has no certificate.
        assert_eq!(provisioned.is_err(), setting == Setting::UntrustedCertificate, "{provisioned:?}");
        let mut env = set.env().clone();
        env.remove("AZURE_STORAGE_CONNECTION_STRING").unwrap();
        Self { env }
    }

    /// A user-assigned identity of its own, for which the endpoint answers this.
    pub(crate) fn identity(&self, answers: &str) -> Client {
        let client = self.unknown_identity();
        client.answers(answers);
        client
    }

    /// One of which the endpoint has not been told.
    pub(crate) fn unknown_identity(&self) -> Client {
        Client::new(std::env::var(IDENTITY_ENDPOINT).unwrap(), fresh("identity"))
    }

    /// As in production, but for Cosmos DB's endpoint and key: storage by a token of this identity.
    pub(crate) fn config(&self, identity: &Client) -> AzureConfig {
        self.builder(identity).build().expect("the lane's variables are a configuration")
    }

    /// The same, for a service that can't answer.
    pub(crate) fn impatient(&self, identity: &Client) -> AzureConfig {
        self.builder(identity).with_open_deadline(PATIENCE).build().expect("the lane's variables are a configuration")
    }

    fn builder(&self, identity: &Client) -> AzureConfigBuilder {
        AzureConfig::builder().with_vars(|name| self.env.get(name).cloned()).with_client_id(&identity.id)
    }

    /// Stores that work by tokens of this identity.
    pub(crate) async fn open(&self, identity: &Client) -> Stores {
        Stores::azure(self.config(identity)).await.expect("the identity has a token")
    }
}
