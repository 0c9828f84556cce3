//! Azurite and the Cosmos Linux emulator, both in containers.
//!
//! Written from the emulator's documentation ("Linux-based emulator - vNext"): its image was not at hand.

use std::error::Error as _;
use std::net::TcpListener;
use std::sync::LazyLock;

use openjibo_store::AzureConfig;
use testcontainers::core::wait::HttpWaitStrategy;
use testcontainers::core::{ContainerPort, WaitFor};

use crate::Containers;
use crate::container::{Container, Spec};
use crate::services::{apart, config, image, variables};

const IMAGE: &str = "mcr.microsoft.com/cosmosdb/linux/azure-cosmos-emulator:vnext-latest";

/// The port of the health probes, inside. `/ready` is answered with 200 when the gateway and its database take requests.
const HEALTH: u16 = 8080;

static SERVICES: LazyLock<(AzureConfig, Container)> = LazyLock::new(|| {
    apart(async || {
        let container = Container::start(emulator(free_ports())).await;
        let config = config(&variables(&format!("http://127.0.0.1:{}", container.ports[0])));
        if let Err(error) = openjibo_store::azure::provision(&config).await {
            panic!("the Cosmos emulator can't be provisioned: {error}: {:?}", error.source().map(ToString::to_string));
        }
        (config, container)
    })
});

/// The account's description repeats the port of the container, and clients go there: it is the port of the host too.
fn emulator([port, health]: [u16; 2]) -> Spec {
    Spec {
        image: image("OPENJIBO_COSMOS_IMAGE", || IMAGE.to_owned()),
        command: ["--protocol", "http", "--port", &port.to_string()].map(str::to_owned).into(),
        environment: vec![
            // The address in the account's description.
            ("GATEWAY_PUBLIC_ENDPOINT", "127.0.0.1".to_owned()),
            ("ENABLE_EXPLORER", "false".to_owned()),
            ("ENABLE_TELEMETRY", "false".to_owned()),
        ],
        ports: vec![(port, port), (health, HEALTH)],
        // The whole address: of its own, testcontainers asks the bridge's gateway when this process is in a container too.
        ready: WaitFor::http(
            HttpWaitStrategy::new(format!("http://127.0.0.1:{health}/ready"))
                .with_port(ContainerPort::Tcp(HEALTH))
                .with_expected_status_code(200_u16),
        ),
    }
}

/// Two different ports. Another process may take one before the engine does; the start fails then.
fn free_ports() -> [u16; 2] {
    let bound = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port can be bound"));
    bound.map(|listener| listener.local_addr().expect("a bound socket has an address").port())
}

openjibo_store::conformance_tests!(Containers(SERVICES.0.clone()));
