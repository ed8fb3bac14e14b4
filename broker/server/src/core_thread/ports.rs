//! Everything through which a core thread hears from other threads and speaks to them.

use std::sync::Arc;

use antiphon_core::channel::Exchange;
use antiphon_core::lane::Message;
use antiphon_core::{CoreId, Now};
use antiphon_disk::FileDisk;
use antiphon_log::{LogPosition, Persisted};
use crossbeam_channel::{Receiver, Sender};

use crate::acceptor::Accepted;
use crate::admin::cells::CoreCell;
use crate::core_thread::CoreThread;
use crate::lanes::Lanes;
use crate::limits::{LANE_TURN_MESSAGES_MAX, PEER_NEWS_MAX};
use crate::log_thread::LogPort;
use crate::node::Report;
use crate::peers::{PeerNews, PeerPort};
use crate::phase::PhaseCell;
use crate::readers::{Answer, ReadPort};

/// A core thread's ends.
pub(crate) struct Ports {
    /// New connections.
    pub(crate) sockets: Receiver<Accepted>,
    /// What the log thread has synced.
    pub(crate) persisted: Receiver<Persistence>,
    /// What reader threads have found.
    pub(crate) answers: Receiver<Answer>,
    /// To and from the other cores.
    pub(crate) lanes: Lanes<Message>,
    /// Room channels that are ready.
    pub(crate) exchange: Arc<Exchange>,
    /// To and from the other nodes; a node alone has none.
    pub(crate) peers: Option<PeerEnds>,
    /// To the log thread.
    pub(crate) log: LogPort<FileDisk>,
    /// To the reader threads.
    pub(crate) readers: ReadPort,
    /// What the node is doing.
    pub(crate) phase: Arc<PhaseCell>,
    /// Where the admin thread asks for what was counted.
    pub(crate) cell: Arc<CoreCell>,
    /// To the node.
    pub(crate) reports: Sender<Report>,
    /// Memory that all connections of this core may hold input in, in bytes.
    pub(crate) input_bytes_max: usize,
}

/// A core's ends towards the peer thread.
pub(crate) struct PeerEnds {
    pub(crate) news: Receiver<PeerNews>,
    pub(crate) port: PeerPort,
}

/// What one flush of the log made durable for one core.
#[derive(Debug)]
pub(crate) struct Persistence {
    pub(crate) persisted: Vec<Persisted>,
    pub(crate) sync_end: LogPosition,
}

impl Ports {
    /// Whether something waits to be taken: the thread must not sleep.
    pub(crate) fn has_news(&self, me: CoreId) -> bool {
        !self.sockets.is_empty()
            || !self.persisted.is_empty()
            || !self.answers.is_empty()
            || self
                .peers
                .as_ref()
                .is_some_and(|ends| !ends.news.is_empty())
            || self.lanes.has_news()
            || self.exchange.has_ready(me)
            || self.cell.is_asked()
    }

    /// Tells the node. It listens as long as there are threads.
    pub(crate) fn report(&self, report: Report) {
        let _ = self.reports.try_send(report);
    }
}

impl CoreThread {
    /// Takes everything that other threads have for this core, and offers again what they could not take.
    pub(super) fn take_messages(&mut self, now: Now) {
        while let Ok(accepted) = self.ports.sockets.try_recv() {
            self.welcome(accepted, now);
        }
        let core = &mut self.core;
        self.ports
            .lanes
            .receive(LANE_TURN_MESSAGES_MAX, |from, message| {
                core.lane(CoreId(from), message, now)
            });
        while let Some(to) = self.ports.lanes.opened() {
            core.lane_open(CoreId(to), now);
        }
        let news = self
            .ports
            .peers
            .iter()
            .flat_map(|ends| ends.news.try_iter());
        for news in news.take(PEER_NEWS_MAX) {
            match news {
                PeerNews::Said { from, messages } => messages
                    .into_iter()
                    .for_each(|(group, message)| core.peer(from, group, message)),
                PeerNews::Lost(node) => core.peer_lost(node),
            }
        }
        while let Ok(report) = self.ports.persisted.try_recv() {
            core.persisted(&report.persisted, report.sync_end, now);
        }
        while let Ok(answer) = self.ports.answers.try_recv() {
            match answer {
                Answer::Records(answer) => core.read_done(answer, now),
                Answer::Entries(answer) => core.entries_read(answer),
            }
        }
        self.ports.log.offer_again();
        self.ports.readers.offer_again();
    }
}
