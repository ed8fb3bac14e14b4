//! Frames that ride beside records, written by hand from docs/protocol.md: offset by offset, without a look at any encoder.
//!
//! The golden vectors come from the encoders; these come from the document, so the two can disagree.

use antiphon_protocol::{
    ClientFrame, Count, Cursor, CursorAnswer, CursorEntries, CursorEntry, CursorMoved,
    CursorPosition, CursorScope, Device, Fetch, FetchRange, Link, Metadata, MetadataNode,
    MetadataRequest, NodeId, Ok_, Pong, PongDigest, ProducerSeq, ReadLevel, RequestId, RoomId,
    RoomRef, Seq, ServerFrame, Signal, SignalContent, SignalPush, Start, Subscribe, Subscribed,
    Timestamp, Wants, next_frame, position_digest,
};

/// The room of the document's examples.
const ROOM: RoomId = RoomId(0x4b10_0000_0000_0001);

/// Hex pairs, and text in quotes, to bytes.
fn bytes(lines: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in lines.iter().flat_map(|line| line.split(' ')) {
        match part.strip_prefix('"') {
            Some(text) => bytes.extend(text.trim_end_matches('"').bytes()),
            None => bytes.push(u8::from_str_radix(part, 16).expect("a hex pair")),
        }
    }
    bytes
}

fn position(seq: u64, count: u64) -> CursorPosition {
    let (seq, count) = (Seq(seq), Count(count));
    CursorPosition { seq, count }
}

fn from_client(by_hand: &[u8], frame: ClientFrame<'_>, encode: impl Fn(&mut Vec<u8>)) {
    let raw = next_frame(by_hand, u32::MAX)
        .expect("sound")
        .expect("whole");
    assert_eq!(raw.whole.len(), by_hand.len());
    assert_eq!(ClientFrame::decode(raw), Ok(frame));
    let mut out = Vec::new();
    encode(&mut out);
    assert_eq!(out, by_hand);
}

fn from_server(by_hand: &[u8], frame: ServerFrame<'_>, encode: impl Fn(&mut Vec<u8>)) {
    let raw = next_frame(by_hand, u32::MAX)
        .expect("sound")
        .expect("whole");
    assert_eq!(raw.whole.len(), by_hand.len());
    assert_eq!(ServerFrame::decode(raw), Ok(frame));
    let mut out = Vec::new();
    encode(&mut out);
    assert_eq!(out, by_hand);
}

#[test]
fn signal_from_a_client() {
    let by_hand = bytes(&[
        "36 00 00 00 1e 00 00 00 11 00 00 00 00 00 00 00", // len 32 + 5 + 6 + 7 + 4
        "00 00 00 00 00 00 00 00",                         // room_id: by name
        "04 00 06 07",                                     // value_len, name_len, key_len
        "05 00 00 00", // room_len, sender_len, scope room, reserved
        "00 00 00 00", // ttl_ms
        "00 00 00 00", // device
        "00 00 00 00", // dropped
        "00 00 00 00", // reserved
        "\"lobby\" \"typing\" \"ann/web\" \"open\"",
    ]);
    let signal = Signal {
        room: RoomRef::Name("lobby"),
        name: "typing",
        key: b"ann/web",
        value: b"open",
    };
    from_client(&by_hand, ClientFrame::Signal(signal), |out| {
        signal.encode(RequestId(0x11), out);
    });
}

#[test]
fn signal_from_the_server_and_the_number_alone() {
    let by_hand = bytes(&[
        "33 00 00 00 1e 00 00 00 00 00 00 00 00 00 00 00", // len 32 + 6 + 7 + 3 + 3
        "01 00 00 00 00 00 10 4b",
        "03 00 06 07",
        "00 03 00 00", // sender_len 3
        "00 00 00 00",
        "01 d0 00 00", // device
        "02 01 00 00", // dropped 258
        "00 00 00 00",
        "\"typing\" \"ann/web\" \"ann\" \"off\"", // name, key, sender, value
    ]);
    let push = SignalPush {
        room_id: ROOM,
        dropped: 258,
        signal: Some(SignalContent {
            sender: "ann",
            device: Device(0xd001),
            name: "typing",
            key: b"ann/web",
            value: b"off",
        }),
    };
    from_server(&by_hand, ServerFrame::Signal(push), |out| push.encode(out));
    let alone = bytes(&[
        "20 00 00 00 1e 00 00 00 00 00 00 00 00 00 00 00",
        "01 00 00 00 00 00 10 4b",
        "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
        "ff ff ff ff 00 00 00 00", // that many or more
    ]);
    let push = SignalPush {
        room_id: ROOM,
        dropped: u32::MAX,
        signal: None,
    };
    from_server(&alone, ServerFrame::Signal(push), |out| push.encode(out));
}

#[test]
fn cursor_both_ways_and_its_ok() {
    let by_hand = bytes(&[
        "24 00 00 00 14 00 00 00 0e 00 00 00 00 00 00 00", // len 32 + 4
        "01 00 00 00 00 00 10 4b",                         // by id
        "2f 03 00 00 00 00 00 00",                         // seq 815
        "80 02 00 00 00 00 00 00",                         // count 640
        "04 00 00 01",                                     // name_len, room_len, user_len, members
        "01 00 00 00",                                     // sync
        "\"read\"",
    ]);
    let cursor = Cursor {
        room: RoomRef::Id(ROOM),
        name: "read",
        position: position(815, 640),
        scope: CursorScope::MEMBERS,
        is_sync: true,
    };
    from_client(&by_hand, ClientFrame::Cursor(cursor), |out| {
        cursor.encode(RequestId(14), out);
    });
    let moved = bytes(&[
        "27 00 00 00 14 00 00 00 00 00 00 00 00 00 00 00", // len 32 + 4 + 3
        "01 00 00 00 00 00 10 4b",
        "2f 03 00 00 00 00 00 00",
        "80 02 00 00 00 00 00 00",
        "04 00 03 00 00 00 00 00",
        "\"read\" \"ann\"", // name, user
    ]);
    let push = CursorMoved {
        room_id: ROOM,
        user: "ann",
        name: "read",
        position: position(815, 640),
        scope: CursorScope::PRIVATE,
    };
    from_server(&moved, ServerFrame::Cursor(push), |out| push.encode(out));
    let ok = bytes(&[
        "24 00 00 00 07 00 00 00 0e 00 00 00 00 00 00 00",
        "02 00 20 00", // extension 2, 32 bytes
        "2c 03 00 00 00 00 00 00 7e 02 00 00 00 00 00 00",
        "2f 03 00 00 00 00 00 00 80 02 00 00 00 00 00 00",
    ]);
    let answer = CursorAnswer {
        position: position(812, 638),
        head: position(815, 640),
    };
    assert_eq!(answer.unread(), 2);
    let cursor = Some(answer);
    from_server(&ok, ServerFrame::Ok(Ok_ { cursor }), |out| {
        Ok_ { cursor }.encode(RequestId(14), out);
    });
}

#[test]
fn subscribe_from_a_time_and_from_a_cursor() {
    let from_time = bytes(&[
        "25 00 00 00 0c 00 00 00 02 00 00 00 00 00 00 00", // len 32 + 5
        "00 00 00 00 00 00 00 00",
        "2f 8f a9 7c 9b 01 00 00", // position: ms since the epoch
        "00 00 00 00 00 00 00 00", // link
        "00 00 00 00",             // interest
        "03 00 05 00",             // start from time, mode all, room_len, reserved
        "\"lobby\"",
    ]);
    let time = Timestamp(0x019b_7ca9_8f2f);
    let subscribe = Subscribe::new(RoomRef::Name("lobby"), Start::Time(time));
    from_client(&from_time, ClientFrame::Subscribe(subscribe), |out| {
        subscribe.encode(RequestId(2), out);
    });
    let from_cursor = bytes(&[
        "35 00 00 00 0c 00 00 00 02 00 00 00 00 00 00 00", // len 32 + 5 + 8 + 8
        "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
        "00 00 00 00 00 00 00 00 00 00 00 00",
        "04 00 05 00",
        "\"lobby\"",
        "02 00 04 00 03 00 00 00", // extension 2: SIGNAL and CURSOR
        "04 00 04 00 \"read\"",    // extension 4: the cursor
    ]);
    let wants = Wants {
        signals: true,
        cursors: true,
    };
    let subscribe = Subscribe {
        wants,
        ..Subscribe::new(RoomRef::Name("lobby"), Start::Cursor("read"))
    };
    from_client(&from_cursor, ClientFrame::Subscribe(subscribe), |out| {
        subscribe.encode(RequestId(2), out);
    });
}

#[test]
fn subscribed_lists_my_cursors() {
    let by_hand = bytes(&[
        "83 00 00 00 0d 00 00 00 02 00 00 00 00 00 00 00", // len 80 + 4 + 22 + 25
        "01 00 00 00 00 00 10 4b",                         // room_id
        "2f 03 00 00 00 00 00 00",                         // head_seq 815
        "80 02 00 00 00 00 00 00",                         // head_count 640
        "11 00 00 00 00 00 00 00",                         // head_link
        "22 00 00 00 00 00 00 00",                         // head_time
        "01 00 00 00 00 00 00 00",                         // first_seq
        "2d 03 00 00 00 00 00 00",                         // next_seq 813
        "33 00 00 00 00 00 00 00",                         // link
        "04 00 00 00 00 00 00 00",                         // producer_seq
        "00 00 00 00 00 00 00 00",                         // role, reserved
        "02 00 2f 00",                                     // extension 2: 22 + 25 bytes
        "2c 03 00 00 00 00 00 00 7e 02 00 00 00 00 00 00 00 04 \"read\"",
        "01 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 01 07 \"shopper\"",
    ]);
    let mut list = Vec::new();
    let entries = [
        ("read", position(812, 638), CursorScope::PRIVATE),
        ("shopper", position(1, 1), CursorScope::MEMBERS),
    ];
    for (name, position, scope) in entries {
        let entry = CursorEntry {
            name,
            position,
            scope,
        };
        entry.append(&mut list);
    }
    let subscribed = Subscribed {
        room_id: ROOM,
        head_seq: Seq(815),
        head_count: Count(640),
        head_link: Link(0x11),
        head_time: Timestamp(0x22),
        first_seq: Seq(1),
        next_seq: Seq(813),
        link: Link(0x33),
        producer_seq: ProducerSeq(4),
        role: 0,
        cursors: CursorEntries::new(&list).expect("lawful"),
    };
    from_server(&by_hand, ServerFrame::Subscribed(subscribed), |out| {
        subscribed.encode(RequestId(2), out);
    });
}

#[test]
fn fetch_around_and_by_time() {
    let frame = |range: &str, position: &str| {
        bytes(&[
            "20 00 00 00 12 00 00 00 0c 00 00 00 00 00 00 00",
            "01 00 00 00 00 00 10 4b",
            position,
            "05 00 00 00", // limit
            range,         // range, read any, room_len, reserved
            "00 00 00 00 00 00 00 00",
        ])
    };
    let fetch = |range| Fetch {
        room: RoomRef::Id(ROOM),
        range,
        limit: 5,
        read: ReadLevel::Any,
        token: 0,
    };
    let around = fetch(FetchRange::Around(Seq(3)));
    let by_hand = frame("03 00 00 00", "03 00 00 00 00 00 00 00");
    from_client(&by_hand, ClientFrame::Fetch(around), |out| {
        around.encode(RequestId(12), out);
    });
    let by_time = fetch(FetchRange::Time(Timestamp(0x019b_7ca9_8f2f)));
    let by_hand = frame("04 00 00 00", "2f 8f a9 7c 9b 01 00 00");
    from_client(&by_hand, ClientFrame::Fetch(by_time), |out| {
        by_time.encode(RequestId(12), out);
    });
}

#[test]
fn metadata_asked_and_told() {
    let ask = bytes(&[
        "10 00 00 00 28 00 00 00 0f 00 00 00 00 00 00 00",
        "07 00 00 00 00 00 00 00", // version
        "00 00 00 00 00 00 00 00",
    ]);
    let request = MetadataRequest { version: 7 };
    from_client(&ask, ClientFrame::Metadata(request), |out| {
        request.encode(RequestId(15), out);
    });
    let told = bytes(&[
        "3f 00 00 00 28 00 00 00 0f 00 00 00 00 00 00 00", // len 32 + 19 + 12
        "07 00 00 00 00 00 00 00",                         // version
        "01 00 00 00",                                     // node 1 answers
        "03 00 02 00",                                     // partitions 3, nodes 2
        "13 00 00 00",                                     // nodes_len 8 + 11
        "0c 00 00 00",                                     // leaders_len
        "00 00 00 00 00 00 00 00",                         // slots_len, reserved
        "01 00 00 00 00 00 00 00",                         // node 1, no address
        "02 00 00 00 00 03 00 00 \"h:1\"",                 // node 2
        "01 00 00 00 00 00 00 00 02 00 00 00",             // leaders 1, not known, 2
    ]);
    let raw = next_frame(&told, u32::MAX).expect("sound").expect("whole");
    let metadata = Metadata::decode(raw).expect("lawful");
    let nodes: Vec<_> = metadata
        .nodes()
        .map(|one| (one.node.0, one.address))
        .collect();
    assert_eq!(nodes, [(1, ""), (2, "h:1")]);
    let leaders: Vec<_> = metadata.leaders().collect();
    assert_eq!(leaders, [Some(NodeId(1)), None, Some(NodeId(2))]);
    let node = |node, address| MetadataNode {
        node: NodeId(node),
        address,
    };
    let (nodes, leaders) = ([node(1, ""), node(2, "h:1")], [1, 0, 2].map(NodeId));
    let mut out = Vec::new();
    Metadata::encode(7, NodeId(1), &nodes, &leaders, RequestId(15), &mut out);
    assert_eq!(out, told);
}

#[test]
fn a_digest_in_a_pong() {
    let by_hand = bytes(&[
        "28 00 00 00 04 01 00 00 09 00 00 00 00 00 00 00", // flags: bit 0
        "2a 00 00 00 00 00 00 00",                         // nonce
        "ef 90 56 9d ba 0c 3c f8", // XOR of the rooms' xxh3_64, by the plain Python of client-sdk/python
        "02 00 00 00",             // rooms
        "01 00 00 00",             // behind
        "05 00 00 00",             // as_of_ms
        "00 00 00 00 00 00 00 00 00 00 00 00",
    ]);
    let rooms = [(ROOM, Seq(3)), (RoomId(ROOM.0 + 1), Seq(7))];
    let digest = PongDigest {
        digest: rooms.iter().fold(0, |digest, (room, seq)| {
            digest ^ position_digest(*room, *seq)
        }),
        rooms: 2,
        behind: 1,
        as_of_ms: 5,
    };
    let pong = Pong {
        nonce: 42,
        digest: Some(digest),
    };
    from_server(&by_hand, ServerFrame::Pong(pong), |out| {
        pong.encode(RequestId(9), out);
    });
}
