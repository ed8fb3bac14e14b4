//! Processes of nats-server: one, or three that find each other.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::super::install::Program;
use crate::error::StartError;
use crate::port::Ports;
use crate::server::{Place, Process, Server};

/// Settings that all of our uses share; see <https://docs.nats.io/running-a-nats-service/configuration>.
const SETTINGS: [(&str, &str); 3] = [
    // A subscriber is cut once so much waits for it ("slow consumer"); a burst to a thousand must not do that.
    ("max_pending", "1GB"),
    ("write_deadline", "\"60s\""),
    ("max_connections", "20000"),
];

/// One process.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where clients go.
    clients: SocketAddr,
    /// Where it meets the others; `None`: it has none.
    cluster: Option<SocketAddr>,
    /// Whether it has JetStream, and its own settings of that.
    jetstream: Option<String>,
}

impl Node {
    /// Without JetStream or others.
    pub(super) fn alone(ports: &mut Ports) -> Result<Self, StartError> {
        Ok(Self {
            clients: ports.take()?,
            cluster: None,
            jetstream: None,
        })
    }

    pub(super) fn with_jetstream(mut self, settings: &str) -> Self {
        self.jetstream = Some(settings.to_owned());
        self
    }

    pub(super) fn in_a_cluster(mut self, ports: &mut Ports) -> Result<Self, StartError> {
        self.cluster = Some(ports.take()?);
        Ok(self)
    }

    /// Its configuration file.
    fn configuration(&self, number: usize, all: &[Node], directory: &Path) -> String {
        let mut text = format!("listen: \"{}\"\nserver_name: \"n{number}\"\n", self.clients);
        for (key, value) in SETTINGS {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{key}: {value}");
        }
        if let Some(jetstream) = &self.jetstream {
            let store = directory.join(format!("store-{number}"));
            let _ = writeln!(
                text,
                "jetstream {{ store_dir: \"{}\"\n{jetstream} }}",
                store.display()
            );
        }
        if let Some(cluster) = self.cluster {
            let routes = all.iter().filter_map(|node| node.cluster);
            let routes: Vec<_> = routes.map(|route| format!("\"nats://{route}\"")).collect();
            let routes = routes.join(", ");
            let _ = writeln!(
                text,
                "cluster {{ name: \"bench\"\nlisten: \"{cluster}\"\nroutes: [{routes}] }}"
            );
        }
        text
    }
}

/// Settings in words, for the result.
pub(super) fn in_words(own: &[(&str, &str)]) -> Vec<String> {
    SETTINGS
        .iter()
        .chain(own)
        .map(|(key, value)| format!("{key} = {value}"))
        .collect()
}

/// Starts them all in one private directory, on their `ports`.
pub(super) fn start(nodes: &[Node], ports: Ports, place: &Place) -> Result<Server, StartError> {
    let directory = tempfile::Builder::new()
        .prefix("nats-bench-")
        .tempdir_in(&place.parent)?;
    let mut processes = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let name = format!("nats-{number}");
        let file = directory.path().join(format!("{name}.conf"));
        fs::write(&file, node.configuration(number, nodes, directory.path()))?;
        let mut command = Command::new(Program::Nats.path());
        command.arg("--config").arg(file);
        processes.push(Process::spawn(
            &command,
            &name,
            Program::Nats.advice(),
            directory.path(),
            place,
        )?);
    }
    for (process, node) in processes.iter_mut().zip(nodes) {
        process.wait_listening(node.clients)?;
    }
    Ok(Server {
        addresses: nodes.iter().map(|node| node.clients).collect(),
        processes,
        ports,
        directory,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_nodes_know_each_other_and_keep_apart() {
        let node = |port: u16| Node {
            clients: SocketAddr::from(([127, 0, 0, 1], port)),
            cluster: Some(SocketAddr::from(([127, 0, 0, 1], port + 1))),
            jetstream: Some("sync_interval: always".to_owned()),
        };
        let nodes = [node(10), node(20)];
        let expected = "listen: \"127.0.0.1:20\"\nserver_name: \"n1\"\n\
            max_pending: 1GB\nwrite_deadline: \"60s\"\nmax_connections: 20000\n\
            jetstream { store_dir: \"/d/store-1\"\nsync_interval: always }\n\
            cluster { name: \"bench\"\nlisten: \"127.0.0.1:21\"\n\
            routes: [\"nats://127.0.0.1:11\", \"nats://127.0.0.1:21\"] }\n";
        let told = nodes[1].configuration(1, &nodes, Path::new("/d"));
        assert_eq!(told, expected);
    }
}
