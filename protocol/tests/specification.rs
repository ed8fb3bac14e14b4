//! docs/protocol.md against the crate: the document is what others implement from, so it must not drift.

#[path = "document/mod.rs"]
mod document;
#[path = "golden/mod.rs"]
mod golden;

use antiphon_protocol::{Class, Code, GapReason, HeaderTag, Kind, RecordKind, limits};

use document::table;

fn document() -> String {
    document::text("protocol.md")
}

#[test]
fn every_example_is_a_vector_byte_by_byte() {
    let files = ["client.json", "server.json", "records.json"];
    let vectors: Vec<_> = files.into_iter().flat_map(golden::committed).collect();
    let document = document();
    let mut examples = 0;
    for fence in document.split("```hex ").skip(1) {
        let (name, rest) = fence.split_once('\n').unwrap();
        let (block, _) = rest.split_once("```").unwrap();
        let mut bytes = Vec::new();
        for line in block.lines() {
            let (row, _) = line.split_once('|').unwrap();
            let mut cells = row.split_whitespace();
            assert_eq!(
                cells.next().unwrap().parse(),
                Ok(bytes.len()),
                "{name}: {line}"
            );
            bytes.extend(cells.map(|cell| u8::from_str_radix(cell, 16).unwrap()));
        }
        let vector = vectors
            .iter()
            .find(|vector| vector["name"] == name)
            .unwrap();
        assert_eq!(
            golden::to_hex(&bytes),
            golden::text(vector, "hex"),
            "{name}"
        );
        examples += 1;
    }
    assert_eq!(examples, 9);
}

#[test]
fn every_code_has_the_number_name_and_class_of_the_document() {
    let class = |class: Class| format!("{class:?}").to_lowercase();
    let written: Vec<_> = table(&document(), "**Codes and their usual class**")
        .into_iter()
        .map(|row| (row[0].parse().unwrap(), row[1].clone(), row[2].clone()))
        .collect();
    let known: Vec<(u16, String, String)> = Code::NAMED
        .iter()
        .filter(|code| **code != Code::NONE)
        .map(|code| (code.wire(), code.to_string(), class(code.class())))
        .collect();
    assert_eq!(written, known);
}

#[test]
fn every_kind_has_the_number_and_name_of_the_document() {
    let written: Vec<(u8, String)> = table(&document(), "## 2. Kinds")
        .into_iter()
        .map(|row| (row[0].parse().unwrap(), row[1].clone()))
        .collect();
    let known: Vec<(u8, String)> = Kind::ALL
        .iter()
        .map(|kind| (kind.wire(), format!("{kind:?}").to_uppercase()))
        .collect();
    assert_eq!(written, known);
}

#[test]
fn every_record_kind_and_gap_reason_is_in_the_document() {
    let document = document();
    let named = |name: Option<&str>| name.unwrap().to_lowercase();
    for kind in RecordKind::NAMED {
        let text = format!("{} {}", kind.wire(), named(kind.name()).replace('_', " "));
        assert!(document.contains(&text), "{text}");
    }
    for reason in GapReason::NAMED {
        let text = format!("{} {}", reason.wire(), named(reason.name()));
        assert!(document.contains(&text), "{text}");
    }
}

#[test]
fn every_header_has_the_tag_of_the_document() {
    let written: Vec<u16> = table(&document(), "**Headers** are a list")
        .into_iter()
        .map(|row| row[0].parse().unwrap())
        .collect();
    let known = [
        HeaderTag::ORIGIN_TIME,
        HeaderTag::REF,
        HeaderTag::KEY,
        HeaderTag::TTL_MS,
        HeaderTag::CONTENT_TYPE,
        HeaderTag::PROPERTY,
    ];
    assert_eq!(written, known);
}

fn thousands(number: u32) -> String {
    match number / 1_000 {
        0 => number.to_string(),
        more => format!("{},{:03}", thousands(more), number % 1_000),
    }
}

#[test]
fn every_limit_has_the_value_of_the_document() {
    let written: Vec<_> = table(&document(), "## 8. Limits")
        .into_iter()
        .map(|row| row[1].clone())
        .collect();
    let seconds = |millis: u64| format!("{} s", millis / 1_000);
    let silence = u64::from(limits::KEEPALIVES_MISSED_MAX * limits::KEEPALIVE_MS);
    let known = [
        format!("{} bytes", thousands(limits::HANDSHAKE_BYTES_MAX)),
        format!("{} MiB by default", limits::FRAME_BYTES_MAX >> 20),
        format!("{} KiB by default", limits::BODY_BYTES_MAX >> 10),
        format!("{} bytes", thousands(limits::HEADERS_BYTES_MAX)),
        format!(
            "{} / {} bytes",
            limits::ROOM_NAME_BYTES_MAX,
            limits::USER_NAME_BYTES_MAX
        ),
        format!("{} a connection", thousands(limits::IN_FLIGHT_MAX)),
        format!("{} a connection", thousands(limits::REQUESTS_MAX)),
        format!("{} a connection", thousands(limits::SUBSCRIPTIONS_MAX)),
        thousands(limits::FETCH_RECORDS_MAX),
        format!("{} a partition", thousands(limits::PARTITION_ROOMS_MAX)),
        format!("{} a partition", thousands(limits::PARTITION_PRODUCERS_MAX)),
        format!("{} a partition", thousands(limits::PARTITION_ERASED_MAX)),
        format!("{} bytes", limits::CURSOR_NAME_BYTES_MAX),
        format!(
            "{} a room, {} a partition",
            limits::ROOM_CURSORS_MAX,
            thousands(limits::USER_CURSORS_MAX)
        ),
        format!("{} a partition", thousands(limits::PARTITION_CURSORS_MAX)),
        format!("once in {}, but for sync", seconds(limits::CURSOR_MS_MIN)),
        format!(
            "{} / {} / {} bytes",
            limits::SIGNAL_NAME_BYTES_MAX,
            limits::KEY_BYTES_MAX,
            thousands(limits::SIGNAL_VALUE_BYTES_MAX as u32)
        ),
        format!(
            "{} a second and connection, {} at once",
            limits::SIGNALS_PER_SECOND_MAX,
            limits::SIGNALS_BURST_MAX
        ),
        format!(
            "{} a second and room",
            thousands(limits::ROOM_SIGNALS_PER_SECOND_MAX)
        ),
        format!(
            "{} a room, {}",
            limits::ROOM_SIGNALS_WAITING_MAX,
            seconds(limits::SIGNAL_WAIT_MS_MAX)
        ),
        // The broker's own bound; a client needs no constant for it.
        "64 a room".to_owned(),
        // One at a time is no number that could drift.
        "1 a connection".to_owned(),
        seconds(limits::HANDSHAKE_MS_MAX),
        format!(
            "must be whole within {}, or arrive with at least {} KiB/s",
            seconds(limits::FRAME_MS_MAX),
            limits::FRAME_BYTES_PER_SECOND_MIN >> 10
        ),
        format!(
            "{} keepalives ({} by default)",
            limits::KEEPALIVES_MISSED_MAX,
            seconds(silence)
        ),
        // The broker's own patience; a client needs no constant for it.
        format!(
            "takes something other than PING, or is read again, within 60 s ({} keepalives if longer)",
            limits::KEEPALIVES_MISSED_MAX
        ),
    ];
    assert_eq!(written, known);
}

/// Offsets 16 to 21 of HELLO are alike in every version; a later one may have a shorter fixed part.
#[test]
fn a_hello_of_another_version_is_told_the_version_whatever_else_it_says() {
    let mut frame = vec![8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    frame.extend_from_slice(b"ANTP");
    frame.extend_from_slice(&[2, 3, 0, 0]);
    let raw = antiphon_protocol::next_frame(&frame, 8_192)
        .unwrap()
        .unwrap();
    let error = antiphon_protocol::Hello::decode(raw).unwrap_err();
    assert_eq!(error.code(), antiphon_protocol::Code::VERSION);
}
