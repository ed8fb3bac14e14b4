//! One message of Raft between two replicas of a group: what it says, and its bytes.
//!
//! ```text
//!  0        4    5     6       8        16
//!  +--------+----+-----+-------+--------+--------------------------------+
//!  | group  |type|flags|entries| term   | fields of the type, all u64    |
//!  | u32    | u8 | u8  | u16   | u64    | APPEND: and then its entries   |
//!  +--------+----+-----+-------+--------+--------------------------------+
//! ```
//! Who sent it and who is meant is said by the peering, never by the message.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::error::DecodeError;
use crate::ids::NodeId;
use crate::limits::{PEER_ENTRIES_MAX, PEER_ENTRY_BYTES_MAX};
use crate::peer::ids::{Group, Index, Term};
use crate::wire::{Fields, length_u32};

const HEARTBEAT: u8 = 1;
const HEARTBEAT_ANSWER: u8 = 2;
const APPEND: u8 = 3;
const APPEND_ANSWER: u8 = 4;
const VOTE: u8 = 5;
const VOTE_ANSWER: u8 = 6;
const TIMEOUT_NOW: u8 = 7;
const READ: u8 = 8;
const READ_ANSWER: u8 = 9;

/// HEARTBEAT, HEARTBEAT_ANSWER: a [`ReadContext`] follows.
const FLAG_CONTEXT: u8 = 1;
/// APPEND_ANSWER, VOTE_ANSWER: no, and why follows.
const FLAG_REFUSED: u8 = 2;
/// VOTE, VOTE_ANSWER: asked before an election, nothing is voted yet.
const FLAG_PRE: u8 = 4;
/// VOTE: the leader itself asked for this election.
const FLAG_TRANSFER: u8 = 8;

/// Payload of entries: kind 0 is items; 1 and 2, changes of voters, are numbered and refused.
const ENTRY_ITEMS: u8 = 0;

/// One entry of a group's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its number.
    pub index: Index,
    /// When it was proposed.
    pub term: Term,
    /// Items (docs/log-format.md, section 7), or empty: the first entry of a term.
    pub payload: Bytes,
}

/// Ties a confirmation of leadership to the question: numbered by the node that asked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ReadContext {
    /// Who asked. Not 0.
    pub node: NodeId,
    /// Its number, ascending.
    pub number: u64,
}

/// The leader lives; also the answer to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heartbeat {
    /// The sender's term.
    pub term: Term,
    /// Committed, as far as the receiver is known to hold it; in an answer: by the sender.
    pub commit: Index,
    /// The newest question that an answer confirms.
    pub context: Option<ReadContext>,
}

/// Entries to be appended behind `previous`, if that is there with `previous_term`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Append {
    /// The leader's term.
    pub term: Term,
    /// The entry before the first one here; 0: none.
    pub previous: Index,
    /// Its term; 0 if and only if there is none.
    pub previous_term: Term,
    /// Committed, by the leader.
    pub commit: Index,
    /// `entries[0].index == previous + 1`, and so on. Terms don't fall and are at most `term`.
    pub entries: Vec<Entry>,
}

/// Why an APPEND was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Where the two logs may agree.
    pub hint: Index,
    /// The term there.
    pub hint_term: Term,
}

/// What became of an APPEND: sent only when the entries are synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AppendAnswer {
    /// The follower's term.
    pub term: Term,
    /// Synced up to here; if refused: the `previous` that was refused.
    pub index: Index,
    /// Committed, by the follower.
    pub commit: Index,
    /// Set: it was not taken.
    pub refused: Option<Refused>,
}

/// Asks for a vote. Sent only when the candidate's own vote is synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Vote {
    /// The term of the election.
    pub term: Term,
    /// The candidate's newest entry.
    pub last: Index,
    /// Its term.
    pub last_term: Term,
    /// Committed, by the candidate.
    pub commit: Index,
    /// The term of the entry there.
    pub commit_term: Term,
    /// Only asked whether it would be given.
    pub is_pre: bool,
    /// The leader wants it: a lease does not count.
    pub is_transfer: bool,
}

/// A vote. Sent only when it is synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VoteAnswer {
    /// Granted: the term of the election; else the voter's.
    pub term: Term,
    /// Of a question before an election.
    pub is_pre: bool,
    /// Set: no; this much is committed, in this term, by the voter.
    pub refused: Option<(Index, Term)>,
}

/// What one replica says to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// Leader to follower.
    Heartbeat(Heartbeat),
    /// Follower to leader.
    HeartbeatAnswer(Heartbeat),
    /// Leader to follower.
    Append(Append),
    /// Follower to leader.
    AppendAnswer(AppendAnswer),
    /// Candidate to voter.
    Vote(Vote),
    /// Voter to candidate.
    VoteAnswer(VoteAnswer),
    /// Leader to follower: stand for election at once.
    TimeoutNow {
        /// The leader's term.
        term: Term,
    },
    /// Follower to leader: how far must I be to answer for now.
    Read {
        /// The question.
        context: ReadContext,
    },
    /// Leader to follower.
    ReadAnswer {
        /// The leader's term.
        term: Term,
        /// Committed when the question came.
        index: Index,
        /// The question.
        context: ReadContext,
    },
}

/// Appends little-endian fields.
struct Out<'a>(&'a mut Vec<u8>);

impl Out<'_> {
    fn head(&mut self, group: Group, kind: u8, flags: u8, entries: u16, term: Term) -> &mut Self {
        self.0.extend_from_slice(&group.0.to_le_bytes());
        self.0.extend_from_slice(&[kind, flags]);
        self.0.extend_from_slice(&entries.to_le_bytes());
        self.u64(term.0)
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn context(&mut self, context: ReadContext) -> &mut Self {
        self.u64(u64::from(context.node.0)).u64(context.number)
    }

    fn entry(&mut self, entry: &Entry) {
        self.u64(entry.index.0).u64(entry.term.0);
        self.0
            .extend_from_slice(&length_u32(&entry.payload).to_le_bytes());
        self.0.extend_from_slice(&[ENTRY_ITEMS, 0, 0, 0]);
        self.0.extend_from_slice(&entry.payload);
        let padding = entry.payload.len().next_multiple_of(8);
        let padding = padding.saturating_sub(entry.payload.len());
        self.0.extend(core::iter::repeat_n(0, padding));
    }
}

impl Message {
    /// Appends the message of `group`.
    pub(super) fn encode(&self, group: Group, out: &mut Vec<u8>) {
        let mut out = Out(out);
        match self {
            Message::Heartbeat(beat) => encode_beat(&mut out, group, HEARTBEAT, beat),
            Message::HeartbeatAnswer(beat) => encode_beat(&mut out, group, HEARTBEAT_ANSWER, beat),
            Message::Append(append) => encode_append(&mut out, group, append),
            Message::AppendAnswer(answer) => {
                let flags = answer.refused.map_or(0, |_| FLAG_REFUSED);
                out.head(group, APPEND_ANSWER, flags, 0, answer.term)
                    .u64(answer.index.0)
                    .u64(answer.commit.0);
                if let Some(refused) = answer.refused {
                    out.u64(refused.hint.0).u64(refused.hint_term.0);
                }
            }
            Message::Vote(vote) => {
                let flags = if vote.is_pre { FLAG_PRE } else { 0 }
                    | if vote.is_transfer { FLAG_TRANSFER } else { 0 };
                out.head(group, VOTE, flags, 0, vote.term)
                    .u64(vote.last.0)
                    .u64(vote.last_term.0)
                    .u64(vote.commit.0)
                    .u64(vote.commit_term.0);
            }
            Message::VoteAnswer(answer) => {
                let flags = if answer.is_pre { FLAG_PRE } else { 0 }
                    | answer.refused.map_or(0, |_| FLAG_REFUSED);
                out.head(group, VOTE_ANSWER, flags, 0, answer.term);
                if let Some((commit, commit_term)) = answer.refused {
                    out.u64(commit.0).u64(commit_term.0);
                }
            }
            Message::TimeoutNow { term } => {
                out.head(group, TIMEOUT_NOW, 0, 0, *term);
            }
            Message::Read { context } => {
                out.head(group, READ, 0, 0, Term(0)).context(*context);
            }
            Message::ReadAnswer {
                term,
                index,
                context,
            } => {
                out.head(group, READ_ANSWER, 0, 0, *term)
                    .u64(index.0)
                    .context(*context);
            }
        }
    }

    /// Takes one message off the front.
    pub(super) fn decode(fields: &mut Fields<'_>) -> Result<(Group, Message), DecodeError> {
        let group = Group(fields.u32()?);
        let (kind, flags, entries) = (fields.u8()?, fields.u8()?, fields.u16()?);
        let term = Term(fields.u64()?);
        let lawful = match kind {
            HEARTBEAT | HEARTBEAT_ANSWER => FLAG_CONTEXT,
            APPEND_ANSWER => FLAG_REFUSED,
            VOTE => FLAG_PRE | FLAG_TRANSFER,
            VOTE_ANSWER => FLAG_PRE | FLAG_REFUSED,
            _ => 0,
        };
        if flags & !lawful != 0 {
            return Err(DecodeError::BadValue("message flags"));
        }
        if entries != 0 && kind != APPEND {
            return Err(DecodeError::BadValue("entries"));
        }
        if (term == Term(0)) != (kind == READ) {
            return Err(DecodeError::BadValue("term"));
        }
        let is = |flag: u8| flags & flag != 0;
        let message = match kind {
            HEARTBEAT => Message::Heartbeat(decode_beat(fields, term, is(FLAG_CONTEXT))?),
            HEARTBEAT_ANSWER => {
                Message::HeartbeatAnswer(decode_beat(fields, term, is(FLAG_CONTEXT))?)
            }
            APPEND => Message::Append(decode_append(fields, term, entries)?),
            APPEND_ANSWER => Message::AppendAnswer(AppendAnswer {
                term,
                index: Index(fields.u64()?),
                commit: Index(fields.u64()?),
                refused: if is(FLAG_REFUSED) {
                    Some(Refused {
                        hint: Index(fields.u64()?),
                        hint_term: Term(fields.u64()?),
                    })
                } else {
                    None
                },
            }),
            VOTE => Message::Vote(decode_vote(fields, term, is(FLAG_PRE), is(FLAG_TRANSFER))?),
            VOTE_ANSWER => Message::VoteAnswer(VoteAnswer {
                term,
                is_pre: is(FLAG_PRE),
                refused: if is(FLAG_REFUSED) {
                    Some((Index(fields.u64()?), Term(fields.u64()?)))
                } else {
                    None
                },
            }),
            TIMEOUT_NOW => Message::TimeoutNow { term },
            READ => Message::Read {
                context: decode_context(fields)?,
            },
            READ_ANSWER => Message::ReadAnswer {
                term,
                index: Index(fields.u64()?),
                context: decode_context(fields)?,
            },
            _ => return Err(DecodeError::BadValue("message type")),
        };
        Ok((group, message))
    }
}

fn encode_beat(out: &mut Out<'_>, group: Group, kind: u8, beat: &Heartbeat) {
    let flags = beat.context.map_or(0, |_| FLAG_CONTEXT);
    out.head(group, kind, flags, 0, beat.term)
        .u64(beat.commit.0);
    if let Some(context) = beat.context {
        out.context(context);
    }
}

fn decode_beat(
    fields: &mut Fields<'_>,
    term: Term,
    has_context: bool,
) -> Result<Heartbeat, DecodeError> {
    Ok(Heartbeat {
        term,
        commit: Index(fields.u64()?),
        context: if has_context {
            Some(decode_context(fields)?)
        } else {
            None
        },
    })
}

fn decode_context(fields: &mut Fields<'_>) -> Result<ReadContext, DecodeError> {
    let node = u32::try_from(fields.u64()?).map_err(|_| DecodeError::BadValue("context"))?;
    if node == 0 {
        return Err(DecodeError::BadValue("context"));
    }
    Ok(ReadContext {
        node: NodeId(node),
        number: fields.u64()?,
    })
}

fn encode_append(out: &mut Out<'_>, group: Group, append: &Append) {
    let count = u16::try_from(append.entries.len()).unwrap_or(u16::MAX);
    assert!(
        count <= PEER_ENTRIES_MAX,
        "INV-PROTO-14: an APPEND has so many entries at most"
    );
    out.head(group, APPEND, 0, count, append.term)
        .u64(append.previous.0)
        .u64(append.previous_term.0)
        .u64(append.commit.0);
    let mut before = append.previous;
    for entry in &append.entries {
        assert!(
            entry.index == before.next(),
            "INV-PROTO-15: the entries of an APPEND follow each other"
        );
        before = entry.index;
        out.entry(entry);
    }
}

fn decode_append(fields: &mut Fields<'_>, term: Term, count: u16) -> Result<Append, DecodeError> {
    let previous = Index(fields.u64()?);
    let previous_term = Term(fields.u64()?);
    let commit = Index(fields.u64()?);
    if count > PEER_ENTRIES_MAX {
        return Err(DecodeError::BadValue("entries"));
    }
    if (previous == Index(0)) != (previous_term == Term(0)) || previous_term > term {
        return Err(DecodeError::BadValue("previous term"));
    }
    let mut append = Append {
        term,
        previous,
        previous_term,
        commit,
        entries: Vec::new(),
    };
    let mut before = (previous, previous_term);
    for _ in 0..count {
        let entry = decode_entry(fields)?;
        if entry.index != before.0.next() || entry.index.0 == u64::MAX {
            return Err(DecodeError::BadValue("entry index"));
        }
        if entry.term < before.1 || entry.term > term || entry.term == Term(0) {
            return Err(DecodeError::BadValue("entry term"));
        }
        before = (entry.index, entry.term);
        append.entries.push(entry);
    }
    Ok(append)
}

fn decode_entry(fields: &mut Fields<'_>) -> Result<Entry, DecodeError> {
    let (index, term) = (Index(fields.u64()?), Term(fields.u64()?));
    let (len, kind) = (fields.u32()?, fields.u8()?);
    fields.zeros::<3>()?;
    if len > PEER_ENTRY_BYTES_MAX {
        return Err(DecodeError::TooLarge {
            length: len,
            limit: PEER_ENTRY_BYTES_MAX,
        });
    }
    if kind != ENTRY_ITEMS {
        return Err(DecodeError::BadValue("entry kind"));
    }
    let payload = fields.bytes(len as usize)?;
    let padding = payload.len().next_multiple_of(8);
    let padding = fields.bytes(padding.saturating_sub(payload.len()))?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(DecodeError::Reserved);
    }
    Ok(Entry {
        index,
        term,
        payload: Bytes::copy_from_slice(payload),
    })
}

fn decode_vote(
    fields: &mut Fields<'_>,
    term: Term,
    is_pre: bool,
    is_transfer: bool,
) -> Result<Vote, DecodeError> {
    let vote = Vote {
        term,
        last: Index(fields.u64()?),
        last_term: Term(fields.u64()?),
        commit: Index(fields.u64()?),
        commit_term: Term(fields.u64()?),
        is_pre,
        is_transfer,
    };
    let is_lawful = (vote.last == Index(0)) == (vote.last_term == Term(0))
        && vote.last_term <= term
        && vote.commit <= vote.last;
    if is_lawful {
        Ok(vote)
    } else {
        Err(DecodeError::BadValue("vote"))
    }
}
