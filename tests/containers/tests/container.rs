//! One container: its ports are on loopback, and it goes with this process, however that ends.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use openjibo_store::{IdSource as _, RandomIds};
use testcontainers::core::{ContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{GenericImage, ImageExt as _};

/// How long a container may take until it is ready, the pull of its image excluded.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// Removes the container that `$0` names when standard input ends. Signals of a terminal reach this shell too, and must not end it.
const GUARDIAN: &str = r#"trap '' INT TERM HUP; cat >/dev/null; docker rm --force --volumes "$0" >/dev/null"#;

/// What to run.
pub(crate) struct Spec {
    /// `name`, `name:tag` or `name@sha256:digest`.
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Port of the host, 0 for any, and port of the container.
    pub(crate) ports: Vec<(u16, u16)>,
    pub(crate) ready: WaitFor,
}

/// A running container. Nothing of it depends on the runtime that started it.
pub(crate) struct Container {
    pub(crate) name: String,
    /// The ports of the host, in the order in which they were asked for.
    pub(crate) ports: Vec<u16>,
    _guardian: Guardian,
}

impl Container {
    /// Starts a container under a name of its own and waits until it is ready. An image that the engine does not have is pulled.
    ///
    /// # Panics
    /// When no engine answers, the image can't be had, or the container is not ready in time; it is removed then.
    pub(crate) async fn start(spec: Spec) -> Self {
        let name = format!("openjibo-{:032x}", u128::from_be_bytes(RandomIds.next_id()));
        // Before the container: from its creation on there is somebody to remove it.
        let guardian = Guardian::of(&name);
        let (image, tag) = name_and_tag(&spec.image);
        let mut request = GenericImage::new(image, tag)
            .with_wait_for(spec.ready)
            .with_container_name(&name)
            .with_cmd(spec.command)
            .with_startup_timeout(READY_WITHIN)
            .with_host_config_modifier(|host| {
                for binding in host.port_bindings.iter_mut().flatten().flat_map(|(_, bound)| bound).flatten() {
                    binding.host_ip = Some("127.0.0.1".to_owned());
                }
            });
        for (key, value) in spec.environment {
            request = request.with_env_var(key, value);
        }
        for (host, container) in &spec.ports {
            request = request.with_mapped_port(*host, ContainerPort::Tcp(*container));
        }
        let running = request.start().await.unwrap_or_else(|error| panic!("{} does not start: {error}", spec.image));
        let mut ports = Vec::new();
        for (_, container) in spec.ports {
            let port = running.get_host_port_ipv4(container).await;
            ports.push(port.unwrap_or_else(|error| panic!("{} has no port {container}: {error}", spec.image)));
        }
        // Its end is the guardian's: dropping it needs the runtime that started it.
        std::mem::forget(running);
        Self { name, ports, _guardian: guardian }
    }
}

/// A shell that removes a container when this process ends: the kernel closes its standard input then, after `kill -9` too.
/// It holds this process's standard output until the container is gone. Dropping it removes the container and waits for that.
struct Guardian(Child);

impl Guardian {
    fn of(name: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", GUARDIAN, name]).stdin(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        Self(shell.spawn().expect("a shell can be run"))
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let removed = self.0.wait();
        assert!(
            removed.is_ok_and(|status| status.success()) || std::thread::panicking(),
            "the container is still there"
        );
    }
}

fn name_and_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        // A port of the registry.
        Some((_, tag)) if tag.contains('/') => (image, "latest"),
        Some(parts) => parts,
        None => (image, "latest"),
    }
}

#[test]
fn image_names_are_split_at_their_tag() {
    assert_eq!(name_and_tag("mcr.example/azurite:3.37.0"), ("mcr.example/azurite", "3.37.0"));
    assert_eq!(name_and_tag("localhost:5000/azurite"), ("localhost:5000/azurite", "latest"));
    assert_eq!(name_and_tag("localhost:5000/azurite:1"), ("localhost:5000/azurite", "1"));
    assert_eq!(name_and_tag("azurite@sha256:00ff"), ("azurite@sha256", "00ff"));
    assert_eq!(name_and_tag("azurite"), ("azurite", "latest"));
}
