//! NATS: core subjects for what is not kept, JetStream for what is.

mod core;
mod jetstream;
mod node;
mod text;

pub use self::core::{Core, CoreWire};
pub use self::jetstream::{JetStream, JetStreamWire, SyncInterval};
