//! Whole clients over real sockets, against the model of a broker.

mod tasks;
mod threads;

use std::time::Duration;

use crate::ClientOptions;
use crate::fake_broker::Server;

const PATIENCE: Duration = Duration::from_secs(20);

fn options(server: &Server) -> ClientOptions {
    ClientOptions::new(server.address())
        .user("ann")
        .request_deadline(PATIENCE)
        .publish_deadline(PATIENCE)
        .backoff(Duration::from_millis(1), Duration::from_millis(20))
}
