//! Who leads this partition, and what that means for those who ask.
//!
//! A node alone leads always, and answers as soon as it has applied what it found. Of several, the leader alone admits publishes and moves cursors;
//! another replica says who leads. Questions about heads, positions and history are answered by every replica out of what it has applied, each time
//! after a majority has confirmed, to the leader, that it still leads: what was acked anywhere before, everybody shows. A publish is refused on the
//! same terms: what is right to refuse here may be right to take at a leader that knows more. A publish that is taken needs no question, for its
//! commit is the answer. Subscriptions live on wherever they are: what is applied is the same everywhere.
//!
//! ```text
//!  question ─▶ waiting ─ask the leader─▶ a majority: it leads ─▶ applied here up to what was committed then ─▶ answered
//!                                          └─ not for 2 s: MOVED to who is said to lead, or UNAVAILABLE
//! ```

use alloc::collections::VecDeque;

use antiphon_log::Term;
use antiphon_protocol::{Code, NodeId};

use crate::core::CoreId;
use crate::home::desk::{Asker, Turn};
use crate::home::limits::{LEADERLESS_MS_MAX, ORPHAN_MS_MAX, QUESTION_AGAIN_MS};
use crate::home::partition::proposals::refuse_batch;
use crate::home::partition::subscribing;
use crate::home::partition::{Partition, Role};
use crate::home::replica::Standing;
use crate::lane::{Refused, ToEdge, ToHome};
use crate::planted::{Bug, planted};

/// A publish that was refused, and whose publisher is not told yet.
#[derive(Clone, Copy, Debug)]
struct Judged {
    asker: Asker,
    code: Code,
    hint: u64,
}

/// The question under way: how many of the oldest of those who wait it is for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    number: u64,
    /// When, in ms.
    at_ms: u64,
    waiting: usize,
    judged: usize,
}

/// What this replica knew about its leader when it last looked, and the question under way.
#[derive(Debug, Default)]
pub(super) struct Leadership {
    /// The term in which it leads.
    leads: Option<Term>,
    /// Who else leads.
    follows: Option<NodeId>,
    /// Whom clients are told that leads; `None`: they were told nothing yet.
    told: Option<Option<NodeId>>,
    /// Since when nobody serves, in ms; `None`: somebody does.
    leaderless_since: Option<u64>,
    /// Publishes that are refused once it is confirmed that this replica led, oldest first. Bounded by the publishes in flight of all connections.
    judged: VecDeque<Judged>,
    asked: Option<Asked>,
    /// Since when somebody waits and nothing was confirmed, in ms.
    unconfirmed_since: Option<u64>,
}

impl Partition {
    /// Whether no other replica can lead.
    fn is_alone(&self) -> bool {
        match &self.role {
            Role::Running(replica) => replica.is_alone(),
            Role::Impaired(_) => true,
        }
    }

    /// Looks who leads. Leadership that is over takes everything with it that was not committed.
    pub(super) fn notice_leader(&mut self, turn: &mut Turn<'_>) {
        let Role::Running(replica) = &self.role else {
            return;
        };
        if replica.is_alone() || replica.is_broken() {
            return;
        }
        let is_serving = replica.is_serving();
        let (leads, follows) = match replica.standing() {
            Standing::Leads(term) => (Some(term), None),
            Standing::Follows(node) => (None, Some(node)),
            Standing::Seeks => (None, None),
        };
        if self.leadership.leads.is_some() && self.leadership.leads != leads {
            self.end_leadership(turn);
        }
        let leader = follows.or(leads.map(|_| turn.settings.node));
        if self.leadership.told != Some(leader) {
            self.leadership.told = Some(leader);
            turn.exchange.leading().led_by(self.number, leader);
        }
        if (self.leadership.leads, self.leadership.follows) != (leads, follows) {
            // Whoever was asked may not know any more, or never have heard it.
            self.leadership.asked = None;
        }
        (self.leadership.leads, self.leadership.follows) = (leads, follows);
        if is_serving || follows.is_some() {
            self.leadership.leaderless_since = None;
        } else {
            let now = turn.now.mono_ms;
            let since = *self.leadership.leaderless_since.get_or_insert(now);
            if now.saturating_sub(since) >= ORPHAN_MS_MAX {
                self.end_subscriptions(turn, Code::UNAVAILABLE);
            }
        }
    }

    /// Nothing that was proposed and is not committed will be answered from here: whoever published finds out from the next leader.
    fn end_leadership(&mut self, turn: &mut Turn<'_>) {
        self.overlay.clear(&self.state);
        self.proposals.refuse_all(turn, Code::UNAVAILABLE);
        self.refuse_cursors(turn, Code::UNAVAILABLE);
        self.refuse_judged(turn, Code::UNAVAILABLE);
    }

    /// Refuses a publish for what the state says.
    pub(super) fn judge(&mut self, turn: &mut Turn<'_>, asker: Asker, code: Code, hint: u64) {
        if self.is_alone() {
            return turn.desk.refuse(asker, Refused::Publish, code, hint);
        }
        self.leadership
            .judged
            .push_back(Judged { asker, code, hint });
    }

    /// Nobody will confirm what was judged: it is refused with a code that leaves everything open.
    pub(super) fn refuse_judged(&mut self, turn: &mut Turn<'_>, code: Code) {
        self.leadership.asked = None;
        for Judged { asker, .. } in self.leadership.judged.drain(..) {
            turn.desk.refuse(asker, Refused::Publish, code, 0);
        }
    }

    /// Nobody waits to be told of a refusal.
    pub(super) fn has_told_all(&self) -> bool {
        self.leadership.judged.is_empty()
    }

    /// Why what only a leader does is refused now: another one leads, or nobody has for too long.
    pub(super) fn elsewhere(&self, now_ms: u64) -> Option<(Code, u64)> {
        if self.is_alone() {
            return None;
        }
        if let Some(node) = self.leadership.follows {
            return Some((Code::MOVED, u64::from(node.0)));
        }
        let since = self.leadership.leaderless_since?;
        (now_ms.saturating_sub(since) >= LEADERLESS_MS_MAX).then_some((Code::UNAVAILABLE, 0))
    }

    /// Why questions are refused now: nobody has led for too long, or nobody has confirmed it.
    fn unanswered(&self, now_ms: u64) -> Option<(Code, u64)> {
        let Leadership {
            follows,
            leaderless_since,
            unconfirmed_since,
            ..
        } = &self.leadership;
        let since = leaderless_since.iter().chain(unconfirmed_since).min()?;
        let is_over = now_ms.saturating_sub(*since) >= LEADERLESS_MS_MAX;
        is_over.then_some(follows.map_or((Code::UNAVAILABLE, 0), |node| {
            (Code::MOVED, u64::from(node.0))
        }))
    }

    /// Handles one message of an edge; before the partition serves, it waits: heads and producers may be about to move without anything new, by
    /// what was synced before the last stop, or by what another leader committed.
    pub(crate) fn handle(&mut self, turn: &mut Turn<'_>, edge: CoreId, message: ToHome) {
        let is_bound = !matches!(
            message,
            ToHome::Tail(_) | ToHome::Unsubscribe(_) | ToHome::Signal(_)
        );
        let answers = match self.is_alone() {
            true => self.answers() && self.waiting.is_empty(),
            // Those belong to what was granted before, and to this replica alone.
            false => !is_bound,
        };
        if answers {
            self.answer(turn, edge, message);
        } else {
            self.waiting.push_back((edge, message));
        }
    }

    /// Answers those who wait, if it is time, or says where to go.
    pub(super) fn answer_waiting(&mut self, turn: &mut Turn<'_>) {
        if self.is_alone() {
            if self.answers() {
                self.answer_oldest(turn, self.waiting.len());
            }
            return;
        }
        self.turn_away_channels(turn);
        let now_ms = turn.now.mono_ms;
        if self.waiting.is_empty() && self.leadership.judged.is_empty() {
            self.leadership.unconfirmed_since = None;
            return;
        }
        self.leadership.unconfirmed_since.get_or_insert(now_ms);
        if let Some((code, hint)) = self.unanswered(now_ms) {
            self.leadership.unconfirmed_since = None;
            self.refuse_judged(turn, Code::UNAVAILABLE);
            while let Some((edge, message)) = self.waiting.pop_front() {
                turn_away(turn, edge, message, code, hint);
            }
            return;
        }
        let applied = self.state.applied();
        let Role::Running(replica) = &mut self.role else {
            return;
        };
        if let Some(asked) = self.leadership.asked
            && replica.is_readable(asked.number, applied)
        {
            self.leadership.asked = None;
            self.leadership.unconfirmed_since = None;
            let judged = self.leadership.judged.drain(..asked.judged);
            for Judged { asker, code, hint } in judged {
                turn.desk.refuse(asker, Refused::Publish, code, hint);
            }
            self.answer_oldest(turn, asked.waiting);
        }
        self.ask_for_waiting(turn);
    }

    /// One question for all who wait; the next one when it is confirmed, or may be lost. A leader's own is not: each heartbeat has the newest one again.
    pub(super) fn ask_for_waiting(&mut self, turn: &Turn<'_>) {
        let follows = self.leadership.follows.is_some();
        let Role::Running(replica) = &mut self.role else {
            return;
        };
        let (waiting, judged) = (self.waiting.len(), self.leadership.judged.len());
        let may_ask = !replica.is_alone() && (follows || replica.is_serving());
        let at_ms = turn.now.mono_ms;
        let is_open = self
            .leadership
            .asked
            .is_some_and(|asked| !follows || at_ms.saturating_sub(asked.at_ms) < QUESTION_AGAIN_MS);
        if may_ask && waiting + judged > 0 && !is_open {
            self.leadership.asked = Some(Asked {
                number: replica.ask_leader(turn.now),
                at_ms,
                waiting,
                judged,
            });
        }
    }

    /// Channels lead to the leader: who asks for one is told at once that another one leads. None is among those a question is under way for.
    fn turn_away_channels(&mut self, turn: &mut Turn<'_>) {
        let Some(node) = self.leadership.follows else {
            return;
        };
        let is_channel =
            |(_, message): &(CoreId, ToHome)| matches!(message, ToHome::OpenChannel { .. });
        if !self.waiting.iter().any(is_channel) {
            return;
        }
        let waiting = core::mem::take(&mut self.waiting);
        let (channels, rest) = waiting.into_iter().partition(is_channel);
        self.waiting = rest;
        let channels: VecDeque<(CoreId, ToHome)> = channels;
        for (edge, message) in channels {
            turn_away(turn, edge, message, Code::MOVED, u64::from(node.0));
        }
    }

    /// Who leads, if it is another replica.
    pub(super) fn follows(&self) -> Option<NodeId> {
        self.leadership.follows
    }

    fn answer_oldest(&mut self, turn: &mut Turn<'_>, count: usize) {
        for _ in 0..count {
            let Some((edge, message)) = self.waiting.pop_front() else {
                return;
            };
            self.answer(turn, edge, message);
        }
    }

    /// Whether questions are answered: the state holds everything that was ever acked.
    fn answers(&self) -> bool {
        match &self.role {
            Role::Running(replica) => replica.is_serving() || planted(Bug::AnswerBeforeServing),
            Role::Impaired(_) => true,
        }
    }

    /// Answers all publishes that are ready or were held with one code.
    pub(super) fn refuse_ready(&mut self, turn: &mut Turn<'_>, code: Code, hint: u64) {
        for (_, batch) in self.held.drain(..) {
            refuse_batch(turn, &batch, code, hint);
        }
        for channel in self.ready.drain(..) {
            while let Some(batch) = channel.take() {
                refuse_batch(turn, &batch, code, hint);
            }
            turn.exchange.rest(channel);
        }
    }

    /// Ends every subscription here.
    pub(super) fn end_subscriptions(&mut self, turn: &mut Turn<'_>, code: Code) {
        for (room, edge) in self.interest.take_rooms() {
            turn.desk.send(edge, ToEdge::Ended { room, code });
        }
        for ((namespace, name), edge) in self.interest.take_names() {
            let ended = ToEdge::NameEnded {
                namespace,
                name,
                code,
            };
            turn.desk.send(edge, ended);
        }
    }
}

/// Refuses one message of an edge.
fn turn_away(turn: &mut Turn<'_>, edge: CoreId, message: ToHome, code: Code, hint: u64) {
    let (conn, request, of) = match message {
        ToHome::OpenChannel { namespace, room } => {
            let refused = ToEdge::ChannelRefused {
                namespace,
                room,
                code,
                hint,
            };
            return turn.desk.send(edge, refused);
        }
        ToHome::Subscribe(subscribe) => {
            return subscribing::refuse(turn, edge, &subscribe, code, hint);
        }
        ToHome::Fetch(fetch) => (fetch.conn, fetch.request, Refused::Fetch(fetch.ticket)),
        ToHome::Cursor(cursor) => (cursor.conn, cursor.request, Refused::Cursor(cursor.ticket)),
        ToHome::Tail(_) | ToHome::Unsubscribe(_) | ToHome::Signal(_) | ToHome::Barrier(_) => {
            unreachable!("INV-HOME-53: only questions and channels wait for a leader")
        }
    };
    let asker = Asker {
        edge,
        conn,
        request,
    };
    turn.desk.refuse(asker, of, code, hint);
}
