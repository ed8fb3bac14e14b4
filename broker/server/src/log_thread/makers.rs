//! The threads that make files for the log: segments ahead, and checkpoints.
//!
//! Two, so that a large checkpoint keeps no segment waiting: a log without one ahead has to make it itself, and then everybody
//! waits. Each has one order at a time; what was made comes back as a job of the log thread.

use std::io;
use std::thread::JoinHandle;

use antiphon_core::CheckpointJob;
use antiphon_log::{CheckpointMaker, Disk, SegmentMaker};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::guard;
use crate::log_thread::LogJob;

/// See the module.
pub(crate) struct Makers<D: Disk> {
    segments: Sender<SegmentMaker<D>>,
    checkpoints: Sender<(CheckpointMaker<D>, CheckpointJob)>,
    threads: [JoinHandle<()>; 2],
}

impl<D> Makers<D>
where
    D: Disk + Send + 'static,
    D::File: Send,
{
    /// Two threads that give what they make to `made`.
    pub(crate) fn start(made: &Sender<LogJob<D>>) -> io::Result<Self> {
        let (segments, orders) = bounded(1);
        let segment_thread = start(
            "segments",
            orders,
            made.clone(),
            |maker: SegmentMaker<D>| LogJob::Made(maker.make()),
        )?;
        let (checkpoints, orders) = bounded(1);
        let checkpoint_thread = start(
            "checkpoints",
            orders,
            made.clone(),
            |(maker, job): (CheckpointMaker<D>, CheckpointJob)| {
                LogJob::Checkpointed(maker.make(&job.bytes))
            },
        )?;
        Ok(Self {
            segments,
            checkpoints,
            threads: [segment_thread, checkpoint_thread],
        })
    }
}

impl<D: Disk> Makers<D> {
    /// Orders a segment.
    pub(crate) fn make_segment(&self, maker: SegmentMaker<D>) {
        let ordered = self.segments.try_send(maker);
        assert!(
            ordered.is_ok(),
            "INV-SRV-9: the log asks for one segment at a time, and for one checkpoint"
        );
    }

    /// Orders a checkpoint.
    pub(crate) fn make_checkpoint(&self, maker: CheckpointMaker<D>, job: CheckpointJob) {
        let ordered = self.checkpoints.try_send((maker, job));
        assert!(
            ordered.is_ok(),
            "INV-SRV-9: the log asks for one segment at a time, and for one checkpoint"
        );
    }

    /// Waits until what is being made is done. A segment stays for the next start, and so does a checkpoint: an unnamed file is
    /// as good as a named one.
    pub(crate) fn end(self) {
        drop((self.segments, self.checkpoints));
        for thread in self.threads {
            // A panic there has ended the process already.
            let _ = thread.join();
        }
    }
}

/// A thread that carries out orders in turn.
fn start<D, O>(
    name: &str,
    orders: Receiver<O>,
    made: Sender<LogJob<D>>,
    make: impl Fn(O) -> LogJob<D> + Send + 'static,
) -> io::Result<JoinHandle<()>>
where
    D: Disk + Send + 'static,
    D::File: Send,
    O: Send + 'static,
{
    guard::spawn(name.to_owned(), move || {
        for order in orders {
            // The log thread may be closing, and listen no more.
            let _ = made.send(make(order));
        }
    })
}
