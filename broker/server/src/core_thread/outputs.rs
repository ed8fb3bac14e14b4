//! Carrying out what the core's state wants done.

use antiphon_core::{CoreEvent, CoreId, Now, Output};

use crate::core_thread::CoreThread;
use crate::readers::Job;

impl CoreThread {
    /// Drains the core's outputs.
    pub(super) fn put_out(&mut self, now: Now) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Flush(id) => self.queue_flush(id),
                Output::Close(id) => self.close(id, now),
                Output::Resume(id) => self.resume(id),
                Output::Lane { to, message } => {
                    if let Err(message) = self.ports.lanes.send(to.0, message) {
                        self.core.lane_refused(to, message);
                    }
                }
                Output::Wake(core) => self.ports.lanes.note_wake(core.0),
                Output::Append(append) => self.ports.log.append(append),
                Output::Checkpoint(job) => self.ports.log.checkpoint(job),
                Output::Read(job) => self.ports.readers.ask(Job::Records(job)),
                Output::ReadEntries(job) => self.ports.readers.ask(Job::Entries(job)),
                Output::Peer { to, messages } => {
                    let ends = self.ports.peers.as_mut();
                    let ends = ends.expect("INV-SRV-13: a node alone has nobody to write to");
                    if !ends.port.send(to, messages) {
                        self.core.peer_lost(to);
                    }
                }
                Output::Event(event) => tell(self.me, &event),
            }
        }
    }
}

/// Writes an event of the core's state to the log: changes of state for operators, single connections for debugging.
fn tell(core: CoreId, event: &CoreEvent) {
    let core = core.0;
    match event {
        CoreEvent::SessionOpened { conn } => {
            tracing::debug!(core, conn = conn.slot, "session_opened")
        }
        CoreEvent::GoawaySent { conn, code } => {
            tracing::debug!(core, conn = conn.slot, %code, "goaway_sent");
        }
        CoreEvent::GroupQuarantined { group, code } => {
            tracing::error!(core, %group, %code, "group_quarantined");
        }
        other => tracing::debug!(core, ?other, "core_event"),
    }
}
