//! Azurite and the Cosmos Linux emulator, both in containers.
//!
//! Written from the emulator's documentation ("Linux-based emulator - vNext"): its image was not at hand.

use std::net::TcpListener;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use openjibo_store::AzureConfig;

use crate::Containers;
use crate::container::{Container, Spec};
use crate::services::{apart, config, image, variables};

const IMAGE: &str = "mcr.microsoft.com/cosmosdb/linux/azure-cosmos-emulator:vnext-preview";

/// The gateway listens before its database does, and says nothing when both do: it is asked until it lets itself be provisioned.
const READY_WITHIN: Duration = Duration::from_secs(180);
const ATTEMPT: Duration = Duration::from_secs(30);
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

static SERVICES: LazyLock<(AzureConfig, Container)> = LazyLock::new(|| {
    apart(async || {
        let container = Container::start(emulator(free_port())).await;
        let config = config(&variables(&format!("http://127.0.0.1:{}", container.ports[0])));
        provision(&config).await;
        (config, container)
    })
});

/// The account's description repeats the port of the container, and clients go there: it is the port of the host too.
fn emulator(port: u16) -> Spec {
    Spec {
        image: image("OPENJIBO_COSMOS_IMAGE", || IMAGE.to_owned()),
        command: ["--protocol", "http", "--port", &port.to_string()].map(str::to_owned).into(),
        environment: vec![
            // The address in the account's description.
            ("GATEWAY_PUBLIC_ENDPOINT", "127.0.0.1".to_owned()),
            ("ENABLE_EXPLORER", "false".to_owned()),
            ("ENABLE_TELEMETRY", "false".to_owned()),
        ],
        ports: vec![(port, port)],
        ready: None,
    }
}

/// Another process may take it before the engine does; the start fails then.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.expect("a loopback port can be bound").port()
}

async fn provision(config: &AzureConfig) {
    let began = Instant::now();
    loop {
        let attempt = tokio::time::timeout(ATTEMPT, openjibo_store::azure::provision(config)).await;
        let why = match attempt {
            Ok(Ok(())) => return,
            Ok(Err(error)) => match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            },
            Err(_) => format!("no answer within {ATTEMPT:?}"),
        };
        assert!(began.elapsed() < READY_WITHIN, "the Cosmos emulator is not ready after {READY_WITHIN:?}: {why}");
        tokio::time::sleep(BETWEEN_ATTEMPTS).await;
    }
}

openjibo_store::conformance_tests!(Containers(SERVICES.0.clone()));
