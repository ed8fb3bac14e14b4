//! Raft's messages as the library has them, and as they travel.
//!
//! The library's type is a protobuf message with a field for everything; what travels is closed, and decoded and checked before it comes here. Sender and
//! receiver are the peering's. What the library would send and this version does not serve (snapshots, forwarded proposals) is dropped.

use alloc::vec::Vec;

use antiphon_protocol::NodeId;
use antiphon_protocol::peer::{
    Append, AppendAnswer, Entry, Heartbeat, Index, Message, ReadContext, Refused, Term, Vote,
    VoteAnswer,
};
use raft::eraftpb::{Entry as RaftEntry, EntryType, Message as RaftMessage, MessageType};

use crate::home::limits::RAFT_ENTRIES_PER_MESSAGE_MAX;

/// What the library says about an election that the leader itself asked for.
const TRANSFER: &[u8] = b"CampaignTransfer";

const CONTEXT_BYTES: usize = 12;

/// A question's number as the library carries it.
pub(super) fn context_bytes(context: ReadContext) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CONTEXT_BYTES);
    bytes.extend_from_slice(&context.node.0.to_le_bytes());
    bytes.extend_from_slice(&context.number.to_le_bytes());
    bytes
}

/// As [`context_bytes`] made it.
pub(super) fn context_of(bytes: &[u8]) -> Option<ReadContext> {
    let (node, number) = bytes.split_first_chunk::<4>()?;
    Some(ReadContext {
        node: NodeId(u32::from_le_bytes(*node)),
        number: u64::from_le_bytes(number.try_into().ok()?),
    })
}

/// Whom a message of the library is for, and what travels; `None`: it is not served.
pub(super) fn from_library(message: RaftMessage) -> Option<(NodeId, Message)> {
    let to = NodeId(u32::try_from(message.to).ok()?);
    let term = Term(message.term);
    let heartbeat = |message: &RaftMessage| Heartbeat {
        term,
        commit: Index(message.commit),
        context: context_of(&message.context),
    };
    let travels = match message.msg_type {
        MessageType::MsgHeartbeat => Message::Heartbeat(heartbeat(&message)),
        MessageType::MsgHeartbeatResponse => Message::HeartbeatAnswer(heartbeat(&message)),
        MessageType::MsgAppend => Message::Append(append_from(message, term)),
        MessageType::MsgAppendResponse => Message::AppendAnswer(AppendAnswer {
            term,
            index: Index(message.index),
            commit: Index(message.commit),
            refused: message.reject.then_some(Refused {
                hint: Index(message.reject_hint),
                hint_term: Term(message.log_term),
            }),
        }),
        MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => Message::Vote(Vote {
            term,
            last: Index(message.index),
            last_term: Term(message.log_term),
            commit: Index(message.commit),
            commit_term: Term(message.commit_term),
            is_pre: message.msg_type == MessageType::MsgRequestPreVote,
            is_transfer: &message.context[..] == TRANSFER,
        }),
        MessageType::MsgRequestVoteResponse | MessageType::MsgRequestPreVoteResponse => {
            let why_not = (Index(message.commit), Term(message.commit_term));
            Message::VoteAnswer(VoteAnswer {
                term,
                is_pre: message.msg_type == MessageType::MsgRequestPreVoteResponse,
                refused: message.reject.then_some(why_not),
            })
        }
        MessageType::MsgTimeoutNow => Message::TimeoutNow { term },
        MessageType::MsgReadIndex => Message::Read {
            context: context_of(&message.entries.first()?.data)?,
        },
        MessageType::MsgReadIndexResp => Message::ReadAnswer {
            term,
            index: Index(message.index),
            context: context_of(&message.entries.first()?.data)?,
        },
        _ => return None,
    };
    Some((to, travels))
}

fn append_from(mut message: RaftMessage, term: Term) -> Append {
    let entries: Vec<Entry> = message
        .take_entries()
        .into_iter()
        .map(|entry| Entry {
            index: Index(entry.index),
            term: Term(entry.term),
            payload: entry.data,
        })
        .collect();
    debug_assert!(
        entries.len() <= 2 * RAFT_ENTRIES_PER_MESSAGE_MAX,
        "INV-HOME-50: a message to a follower is bounded"
    );
    Append {
        term,
        previous: Index(message.index),
        previous_term: Term(message.log_term),
        commit: Index(message.commit),
        entries,
    }
}

/// A message that came from `from` to `to`, for the library; `None`: it is not served.
pub(super) fn to_library(from: NodeId, to: u64, message: Message) -> Option<RaftMessage> {
    let mut library = RaftMessage {
        from: u64::from(from.0),
        to,
        ..RaftMessage::default()
    };
    match message {
        Message::Heartbeat(beat) => {
            library.msg_type = MessageType::MsgHeartbeat;
            beat_to(&mut library, beat);
        }
        Message::HeartbeatAnswer(beat) => {
            library.msg_type = MessageType::MsgHeartbeatResponse;
            beat_to(&mut library, beat);
        }
        Message::Append(append) => {
            library.msg_type = MessageType::MsgAppend;
            library.term = append.term.0;
            library.index = append.previous.0;
            library.log_term = append.previous_term.0;
            library.commit = append.commit.0;
            let entries: Vec<RaftEntry> = append.entries.into_iter().map(entry_to).collect();
            library.set_entries(entries.into());
        }
        Message::AppendAnswer(answer) => {
            library.msg_type = MessageType::MsgAppendResponse;
            library.term = answer.term.0;
            library.index = answer.index.0;
            library.commit = answer.commit.0;
            if let Some(refused) = answer.refused {
                library.reject = true;
                library.reject_hint = refused.hint.0;
                library.log_term = refused.hint_term.0;
            }
        }
        Message::Vote(vote) => {
            library.msg_type = match vote.is_pre {
                true => MessageType::MsgRequestPreVote,
                false => MessageType::MsgRequestVote,
            };
            library.term = vote.term.0;
            library.index = vote.last.0;
            library.log_term = vote.last_term.0;
            library.commit = vote.commit.0;
            library.commit_term = vote.commit_term.0;
            if vote.is_transfer {
                library.context = bytes::Bytes::from_static(TRANSFER);
            }
        }
        Message::VoteAnswer(answer) => {
            library.msg_type = match answer.is_pre {
                true => MessageType::MsgRequestPreVoteResponse,
                false => MessageType::MsgRequestVoteResponse,
            };
            library.term = answer.term.0;
            if let Some((commit, commit_term)) = answer.refused {
                library.reject = true;
                library.commit = commit.0;
                library.commit_term = commit_term.0;
            }
        }
        Message::TimeoutNow { term } => {
            library.msg_type = MessageType::MsgTimeoutNow;
            library.term = term.0;
        }
        // Nobody asks in another's name: the answer would go to whoever sent it, and the question could be mistaken for one of the other's.
        Message::Read { context } if context.node != from => return None,
        Message::Read { context } => {
            library.msg_type = MessageType::MsgReadIndex;
            library.set_entries(alloc::vec![question(context)].into());
        }
        Message::ReadAnswer { context, .. } if u64::from(context.node.0) != to => return None,
        Message::ReadAnswer {
            term,
            index,
            context,
        } => {
            library.msg_type = MessageType::MsgReadIndexResp;
            library.term = term.0;
            library.index = index.0;
            library.set_entries(alloc::vec![question(context)].into());
        }
    }
    Some(library)
}

fn beat_to(library: &mut RaftMessage, beat: Heartbeat) {
    library.term = beat.term.0;
    library.commit = beat.commit.0;
    if let Some(context) = beat.context {
        library.context = context_bytes(context).into();
    }
}

/// The library carries a question's number as the data of an entry.
fn question(context: ReadContext) -> RaftEntry {
    RaftEntry {
        data: context_bytes(context).into(),
        ..RaftEntry::default()
    }
}

fn entry_to(entry: Entry) -> RaftEntry {
    RaftEntry {
        index: entry.index.0,
        term: entry.term.0,
        entry_type: EntryType::EntryNormal,
        data: entry.payload,
        ..RaftEntry::default()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// What one replica says is what the other one hears.
    fn passes(message: &Message) {
        let library = to_library(NodeId(2), 1, message.clone()).expect("served");
        assert_eq!((library.from, library.to), (2, 1));
        let back = RaftMessage { to: 2, ..library };
        assert_eq!(from_library(back), Some((NodeId(2), message.clone())));
    }

    #[test]
    fn every_message_that_is_served_passes_unchanged() {
        let context = Some(ReadContext {
            node: NodeId(7),
            number: u64::MAX,
        });
        let (term, index) = (Term(5), Index(9));
        for context in [None, context] {
            let beat = Heartbeat {
                term,
                commit: index,
                context,
            };
            passes(&Message::Heartbeat(beat));
            passes(&Message::HeartbeatAnswer(beat));
        }
        let entry = Entry {
            index: Index(10),
            term,
            payload: Bytes::from_static(b"items"),
        };
        passes(&Message::Append(Append {
            term,
            previous: index,
            previous_term: Term(4),
            commit: Index(8),
            entries: alloc::vec![entry],
        }));
        let refused = Refused {
            hint: Index(3),
            hint_term: Term(2),
        };
        for refused in [None, Some(refused)] {
            passes(&Message::AppendAnswer(AppendAnswer {
                term,
                index,
                commit: Index(8),
                refused,
            }));
        }
        for (is_pre, is_transfer) in [(false, false), (true, false), (false, true)] {
            passes(&Message::Vote(Vote {
                term,
                last: index,
                last_term: Term(4),
                commit: Index(8),
                commit_term: Term(4),
                is_pre,
                is_transfer,
            }));
        }
        for refused in [None, Some((Index(8), Term(4)))] {
            for is_pre in [false, true] {
                passes(&Message::VoteAnswer(VoteAnswer {
                    term,
                    is_pre,
                    refused,
                }));
            }
        }
        passes(&Message::TimeoutNow { term });
    }

    #[test]
    fn a_question_is_its_sender_s_own_and_an_answer_its_receiver_s() {
        let context = |node| ReadContext {
            node: NodeId(node),
            number: u64::MAX,
        };
        let answer = |node| Message::ReadAnswer {
            term: Term(5),
            index: Index(9),
            context: context(node),
        };
        // From node 2 to node 1.
        passes(&Message::Read {
            context: context(2),
        });
        passes(&answer(1));
        let in_another_s_name = Message::Read {
            context: context(1),
        };
        assert_eq!(to_library(NodeId(2), 1, in_another_s_name), None);
        assert_eq!(to_library(NodeId(2), 1, answer(2)), None);
    }
}
