//! From a configuration to a running node.
//!
//! ```text
//!  agree -> descriptors -> bind -> lock directory -> recover log -> pollers, lanes, channels -> threads, peers -> listen
//! ```
//! What can fail for reasons outside comes first, and clients last: whoever connects finds a node that serves.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use antiphon_core::channel::Exchange;
use antiphon_core::limits::Limits;
use antiphon_core::{
    CheckpointQueue, Core, CoreConfig, CoreId, HashState, Member, Membership, PartitionSeed,
    SlotMap,
};
use antiphon_disk::{DataDirectory, FileDisk, MAPS_DEFAULT, NewCluster, NewDirectory, SegmentMaps};
use antiphon_log::Log;
use antiphon_protocol::NodeId;
use antiphon_protocol::peer::{ClusterId, DirectoryId, Life, voters_digest};
use crossbeam_channel::{Receiver, Sender, bounded};
use mio::Poll;
use mio::net::TcpListener;

use crate::acceptor::{self, Accepted, Acceptor, Door};
use crate::admin::cells::{CoreCell, LogCells};
use crate::admin::{self, CoreLine, Sights};
use crate::affinity::Pins;
use crate::clock::Clock;
use crate::config::cluster::{self, ClusterPlan};
use crate::config::{Config, Conflict, Session};
use crate::core_thread::{self, CoreThread, PeerEnds, Persistence, Ports};
use crate::descriptors;
use crate::error::StartError;
use crate::guard;
use crate::lanes::Lanes;
use crate::limits::{
    DESCRIPTORS_MIN, HANDOVER_SOCKETS_MAX, LANE_MESSAGES_MAX, LOG_JOBS_MAX, PEER_ACCEPTED_MAX,
    PERSISTED_MAX, READ_JOBS_MAX,
};
use crate::listen::Bound;
use crate::log_thread::{
    LogJob, LogListener, LogPort, LogThread, Makers, Retaining, Scrubbing, SpaceWatch,
};
use crate::node::{AcceptorHandle, CoreHandle, LogHandle, Node, Report};
use crate::peers::{CoreDoor, Identity, PeerNews, PeerPort, Peers};
use crate::phase::PhaseCell;
use crate::places::Places;
use crate::readers::{Answer, ReadListener, Readers};
use crate::recovery::{Recovered, recover, retention, scrub_pace};
use crate::wake::Sleeper;

/// One core's poller and the receiving ends of its channels, before its thread runs.
struct Seat {
    poll: Poll,
    sleeper: Arc<Sleeper>,
    cell: Arc<CoreCell>,
    sockets: (Sender<Accepted>, Receiver<Accepted>),
    persisted: (Sender<Persistence>, Receiver<Persistence>),
    answers: (Sender<Answer>, Receiver<Answer>),
    /// Of a node with peers.
    peers: Option<(Receiver<PeerNews>, PeerPort)>,
}

/// What all cores of the node have in common.
struct Common {
    clock: Clock,
    map: SlotMap,
    node: NodeId,
    membership: Membership,
    limits: Limits,
    exchange: Arc<Exchange>,
    phase: Arc<PhaseCell>,
    reports: Sender<Report>,
    jobs: Sender<LogJob<FileDisk>>,
    log_cells: Arc<LogCells>,
}

/// Starts a node.
pub(crate) fn start(config: &Config) -> Result<Node, StartError> {
    config.agree()?;
    let places_max = connections_max(config)?;
    let bound = Bound::new(config.listen.address)?;
    let admin_port = config
        .admin
        .enabled
        .then(|| admin::bind(config.admin.address))
        .transpose()?;
    let node = NodeId(config.data.node.number());
    let plan = cluster::plan(&config.cluster, node.0).map_err(Conflict::from)?;
    let peers_bound = match &plan {
        Some(plan) => Some(Bound::new(plan.of(node).peers)?),
        None => None,
    };
    let mut directory = open_directory(config, plan.as_ref())?;
    let limits = limits(&config.session);
    let recovered = recover(&directory, &config.data, limits.budgets.hot_bytes)?;
    let (listener, address) = bound.listen(config.listen.backlog.number())?;

    let cores = core_count(config);
    let mut seats: Vec<Seat> = (0..cores)
        .map(|_| Seat::new())
        .collect::<io::Result<_>>()
        .map_err(system("a poller"))?;
    let (reports, told) = bounded(usize::from(cores) + 8);
    let (jobs, jobs_receiver) = bounded(LOG_JOBS_MAX);
    let common = Common {
        clock: Clock::start(),
        map: SlotMap::even(recovered.partitions, cores),
        node: recovered.node,
        membership: membership(recovered.node, plan.as_ref()),
        limits,
        exchange: Exchange::new(cores),
        phase: Arc::new(PhaseCell::default()),
        reports,
        jobs: jobs.clone(),
        log_cells: Arc::default(),
    };
    common.exchange.set_kept_from(recovered.log.first_kept());
    let lines = seats.iter().map(Seat::line).collect();
    let sights = Sights {
        node: common.node,
        clients: address,
        cores: lines,
        log: Arc::clone(&common.log_cells),
        started: Instant::now(),
    };
    let peers = match (plan, peers_bound) {
        (Some(plan), Some(bound)) => {
            Some(peers(bound, &mut directory, &plan, &common, &mut seats)?)
        }
        _ => None,
    };
    let exchange = Arc::clone(&common.exchange);
    let (acceptor, acceptor_handle) = acceptor(config, listener, places_max, exchange, &seats)?;

    // From here on threads run. Should one not start, dropping the node ends those that do.
    let mut node = Node {
        address,
        drain: config.shutdown.drain.duration(),
        phase: Arc::clone(&common.phase),
        acceptor: acceptor_handle,
        cores: Vec::new(),
        readers: None,
        peers: None,
        admin: None,
        log: LogHandle { jobs, thread: None },
        reports: told,
        directory,
    };
    start_threads(&mut node, config, common, seats, recovered, jobs_receiver)?;
    let running = peers.map(Peers::start).transpose();
    node.peers = running.map_err(system("a thread"))?;
    let thread = guard::spawn("acceptor".to_owned(), move || acceptor.run());
    node.acceptor.thread = Some(thread.map_err(system("a thread"))?);
    node.admin = admin_port
        .map(|listener| admin::start(listener, sights))
        .transpose()?;
    tracing::info!(%address, cores, connections_max = places_max, "listening");
    Ok(node)
}

/// The data directory of a node alone, or of a member of the cluster planned.
fn open_directory(
    config: &Config,
    plan: Option<&ClusterPlan>,
) -> Result<DataDirectory, StartError> {
    let (path, node) = (&config.data.directory, NodeId(config.data.node.number()));
    let Some(plan) = plan else {
        let partitions = config.data.partitions.number();
        return Ok(DataDirectory::open(
            path,
            NewDirectory { node, partitions },
        )?);
    };
    let count = plan.members.len();
    if count % 2 == 0 {
        tracing::warn!(
            members = count,
            outlives = (count - 1) / 2,
            "cluster_of_even_number"
        );
    }
    let partitions = config.cluster.partitions.number();
    let cluster = NewCluster {
        cluster: plan.id,
        nodes: plan.members.iter().map(|member| member.node).collect(),
    };
    let new = NewDirectory { node, partitions };
    Ok(DataDirectory::open_member(path, new, &cluster)?)
}

fn membership(node: NodeId, plan: Option<&ClusterPlan>) -> Membership {
    let Some(plan) = plan else {
        return Membership::alone(node);
    };
    let members = plan.members.iter().map(|member| Member {
        node: member.node,
        address: member.clients.to_string().into(),
    });
    Membership::new(members.collect()).expect("a plan's members are few, have ids, and differ")
}

/// The peer thread, which does not run yet; each seat gets its ends towards it.
fn peers(
    bound: Bound,
    directory: &mut DataDirectory,
    plan: &ClusterPlan,
    common: &Common,
    seats: &mut [Seat],
) -> Result<Peers, StartError> {
    let (listener, address) = bound.listen(PEER_ACCEPTED_MAX as u32)?;
    let nodes: Vec<NodeId> = plan.members.iter().map(|member| member.node).collect();
    let others = plan.members.iter().filter(|one| one.node != common.node);
    let me = Identity {
        node: common.node,
        cluster: ClusterId(plan.id),
        directory: DirectoryId(directory.file().directory_id),
        life: Life(random()?.max(1)),
        voters_digest: voters_digest(&nodes),
        partitions: common.map.partitions(),
        others: others.map(|one| (one.node, one.peers)).collect(),
    };
    let book = directory.take_book();
    let book = book.expect("INV-SRV-14: a member's directory knows its cluster");
    let (doors, news): (Vec<_>, Vec<_>) = seats
        .iter()
        .map(|seat| CoreDoor::new(&seat.sleeper))
        .unzip();
    let (peers, port) = Peers::new(listener, me, book, common.map.clone(), doors, common.clock)
        .map_err(system("a poller"))?;
    for (seat, news) in seats.iter_mut().zip(news) {
        seat.peers = Some((news, port.clone()));
    }
    tracing::info!(%address, members = nodes.len(), "listening_for_peers");
    Ok(peers)
}

/// The acceptor, which does not run yet, and the node's handle of it.
fn acceptor(
    config: &Config,
    listener: TcpListener,
    places_max: u32,
    exchange: Arc<Exchange>,
    seats: &[Seat],
) -> Result<(Acceptor, AcceptorHandle), StartError> {
    let poll = Poll::new().map_err(system("a poller"))?;
    let sleeper = Sleeper::new(poll.registry(), acceptor::WAKE).map_err(system("a poller"))?;
    let sleeper = Arc::new(sleeper);
    let per_address_max = config.connections.per_address_max.number();
    let cores = u16::try_from(seats.len()).expect("the limit of cores is a u16");
    let places = Places::new(places_max, per_address_max, cores, Arc::clone(&sleeper));
    let stop = Arc::new(AtomicBool::new(false));
    let handle = AcceptorHandle {
        stop: Arc::clone(&stop),
        sleeper: Arc::clone(&sleeper),
        thread: None,
    };
    let doors = seats.iter().map(Seat::door).collect();
    Ok((
        Acceptor::new(poll, listener, places, exchange, doors, sleeper, stop),
        handle,
    ))
}

fn start_threads(
    node: &mut Node,
    config: &Config,
    common: Common,
    seats: Vec<Seat>,
    recovered: Recovered,
    jobs: Receiver<LogJob<FileDisk>>,
) -> Result<(), StartError> {
    let Recovered { log, seeds, .. } = recovered;
    let listeners = seats.iter().map(Seat::log_listener).collect();
    let maps = Arc::new(node.directory.maps(MAPS_DEFAULT));
    let is_retaining = retention(&config.data).is_on();
    let directory = &node.directory;
    // With files of its own: what it cannot read is no news of the log thread's.
    let scrubbing = Scrubbing::start(
        scrub_pace(&config.data),
        directory.disk(),
        directory.file().directory_id,
        Arc::clone(&common.log_cells),
    );
    node.log.thread = Some(start_log(
        &common,
        log,
        node.directory.disk(),
        (Arc::clone(&maps), is_retaining),
        scrubbing.map_err(system("a thread"))?,
        listeners,
        jobs,
    )?);
    let listeners = seats.iter().map(Seat::read_listener).collect();
    let readers = Readers::start(config.threads.readers.number(), maps, listeners);
    let (readers, read_port) = readers.map_err(system("a thread"))?;
    node.readers = Some(readers);

    let sleepers: Vec<_> = seats.iter().map(|seat| Arc::clone(&seat.sleeper)).collect();
    let lanes = Lanes::between(&sleepers, LANE_MESSAGES_MAX);
    let input_bytes_max = config.connections.input_bytes_max.bytes();
    let input_bytes_max = usize::try_from(input_bytes_max).unwrap_or(usize::MAX);
    let pins = Pins::new(config.threads.pin);
    let mut seeds = deal(seeds, &common.map);
    for ((seat, lanes), number) in seats.into_iter().zip(lanes).zip(0_u16..) {
        let me = CoreId(number);
        let seeds = std::mem::take(&mut seeds[usize::from(number)]);
        let core = Core::new(
            common.core_config(me)?,
            Arc::clone(&common.exchange),
            seeds,
            common.clock.now(),
        );
        let ports = Ports {
            sockets: seat.sockets.1,
            persisted: seat.persisted.1,
            answers: seat.answers.1,
            lanes,
            peers: seat.peers.map(|(news, port)| PeerEnds { news, port }),
            exchange: Arc::clone(&common.exchange),
            log: LogPort::new(common.jobs.clone()),
            readers: read_port.clone(),
            phase: Arc::clone(&common.phase),
            cell: seat.cell,
            reports: common.reports.clone(),
            input_bytes_max,
        };
        let sleeper = Arc::clone(&seat.sleeper);
        let thread = CoreThread::new(me, core, seat.poll, seat.sleeper, common.clock, ports);
        let pin = pins.of(number);
        let thread = guard::spawn(format!("core-{number}"), move || {
            pin.apply();
            thread.run();
        });
        let thread = thread.map_err(system("a thread"))?;
        node.cores.push(CoreHandle {
            sleeper,
            thread: Some(thread),
        });
    }
    Ok(())
}

fn start_log(
    common: &Common,
    log: Log<FileDisk>,
    disk: FileDisk,
    (maps, is_retaining): (Arc<SegmentMaps>, bool),
    scrubbing: Scrubbing,
    listeners: Vec<LogListener>,
    jobs: Receiver<LogJob<FileDisk>>,
) -> Result<std::thread::JoinHandle<()>, StartError> {
    let makers = Makers::start(&common.jobs).map_err(system("a thread"))?;
    let thread = LogThread {
        log,
        jobs,
        listeners,
        map: common.map.clone(),
        makers,
        checkpoints: CheckpointQueue::default(),
        reports: common.reports.clone(),
        phase: Arc::clone(&common.phase),
        cells: Arc::clone(&common.log_cells),
        explain: |disk: &FileDisk| disk.take_failure().map(|failure| failure.to_string()),
        disk,
        no_segment_before: None,
        exchange: Arc::clone(&common.exchange),
        space: SpaceWatch::default(),
        retaining: Retaining::new(
            is_retaining,
            Box::new(move |first| maps.forget_below(first)),
        ),
        scrubbing,
        clock: common.clock,
    };
    guard::spawn("log".to_owned(), move || thread.run()).map_err(system("a thread"))
}

impl Seat {
    fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let sleeper = Arc::new(Sleeper::new(poll.registry(), core_thread::WAKE)?);
        Ok(Self {
            poll,
            sleeper,
            cell: Arc::default(),
            sockets: bounded(HANDOVER_SOCKETS_MAX),
            persisted: bounded(PERSISTED_MAX),
            answers: bounded(READ_JOBS_MAX),
            peers: None,
        })
    }

    fn line(&self) -> CoreLine {
        CoreLine {
            cell: Arc::clone(&self.cell),
            sleeper: Arc::clone(&self.sleeper),
        }
    }

    fn door(&self) -> Door {
        Door {
            sockets: self.sockets.0.clone(),
            sleeper: Arc::clone(&self.sleeper),
        }
    }

    fn log_listener(&self) -> LogListener {
        LogListener {
            persisted: self.persisted.0.clone(),
            sleeper: Arc::clone(&self.sleeper),
        }
    }

    fn read_listener(&self) -> ReadListener {
        ReadListener {
            answers: self.answers.0.clone(),
            sleeper: Arc::clone(&self.sleeper),
        }
    }
}

impl Common {
    fn core_config(&self, core: CoreId) -> Result<CoreConfig, StartError> {
        Ok(CoreConfig {
            node: self.node,
            membership: self.membership.clone(),
            core,
            cores: self.map.cores(),
            partitions: self.map.partitions(),
            seed: random()?,
            limits: self.limits.clone(),
            map: self.map.clone(),
            // Clients choose room and user names; nobody outside knows where in a table they land.
            hash: HashState::with_seed(random()?, foldhash::SharedSeed::global_random()),
        })
    }
}

/// Random bits from the system.
pub(crate) fn random() -> Result<u64, StartError> {
    getrandom::u64().map_err(|error| StartError::System {
        what: "random bytes",
        source: error.into(),
    })
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

fn connections_max(config: &Config) -> Result<u32, StartError> {
    let descriptors = descriptors::raise();
    if descriptors < DESCRIPTORS_MIN {
        return Err(StartError::Descriptors { descriptors });
    }
    let max = descriptors::connections_max(config.connections.max.number(), descriptors);
    if let Some(wanted) = max.cut_from {
        tracing::warn!(
            wanted,
            descriptors,
            connections = max.connections,
            "connections_max_cut"
        );
    }
    Ok(max.connections)
}

/// One core per CPU that this process may use, unless told otherwise.
fn core_count(config: &Config) -> u16 {
    let cores = match config.threads.cores.number() {
        0 => std::thread::available_parallelism()
            .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX)),
        cores => cores,
    };
    u16::try_from(cores.min(crate::limits::CORES_MAX)).expect("the limit of cores is a u16")
}

/// What clients are told in WELCOME, and what is not theirs to know.
fn limits(session: &Session) -> Limits {
    let bytes =
        |size: u64| u32::try_from(size).expect("the bounds of these settings are below 4 GiB");
    let keepalive_ms = bytes(session.keepalive.millis());
    Limits {
        frame_bytes_max: bytes(session.frame_bytes_max.bytes()),
        body_bytes_max: bytes(session.body_bytes_max.bytes()),
        in_flight_max: session.in_flight_max.number(),
        subscriptions_max: session.subscriptions_max.number(),
        requests_max: session.requests_max.number(),
        fetch_records_max: session.fetch_records_max.number(),
        keepalive_ms,
        ..Limits::default()
    }
}

/// Partitions by home core.
fn deal(seeds: Vec<PartitionSeed>, map: &SlotMap) -> Vec<Vec<PartitionSeed>> {
    let mut dealt: Vec<Vec<PartitionSeed>> = (0..map.cores()).map(|_| Vec::new()).collect();
    for seed in seeds {
        let home = map.home_of_partition(seed.partition());
        dealt[usize::from(home.0)].push(seed);
    }
    dealt
}
