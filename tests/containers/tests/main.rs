//! The behaviour suite on services in containers. `make test-containers` runs it; docs/containers.md says what it proves.

#![forbid(unsafe_code)]

mod container;
#[cfg(feature = "cosmos")]
mod cosmos;
mod services;

use openjibo_store::conformance::{Harness, Replicas};
use openjibo_store::{AzureConfig, Stores};

/// Services that are running and provisioned.
struct Containers(AzureConfig);

#[async_trait::async_trait]
impl Harness for Containers {
    async fn replicas(&self) -> Replicas {
        let open = || Stores::azure(self.0.clone());
        let (a, b) = futures::join!(open(), open());
        Replicas { a: a.expect("the services are provisioned"), b: b.expect("the services are provisioned") }
    }
}

mod azurite {
    use crate::Containers;
    use crate::services::azurite_and_cosmos_in_process;

    openjibo_store::conformance_tests!(Containers(azurite_and_cosmos_in_process()));
}

mod lifetime {
    use std::process::Command;

    use crate::container::Container;
    use crate::services::{apart, azurite};

    fn docker(arguments: &[&str]) -> String {
        let output = Command::new("docker").args(arguments).output().expect("docker can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_container_is_on_loopback_and_goes_with_its_guardian() {
        let container = apart(async || Container::start(azurite()).await);
        let ports = docker(&["port", &container.name]);
        assert_eq!(ports.lines().count(), 2, "{ports}");
        assert!(ports.lines().all(|line| line.contains(" -> 127.0.0.1:")), "{ports}");

        let named = format!("name={}", container.name);
        let there = || docker(&["ps", "--all", "--quiet", "--filter", &named]);
        assert_eq!(there().lines().count(), 1);
        drop(container);
        assert_eq!(there(), "");
    }
}
