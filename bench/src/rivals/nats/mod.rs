//! NATS: core subjects for what is not kept, JetStream for what is.

mod core;
mod jetstream;
mod jetstream_wire;
mod node;
mod text;

pub use self::core::{Core, CoreWire};
pub use self::jetstream::{JetStream, SyncInterval};
pub use self::jetstream_wire::JetStreamWire;
