//! The committed vectors against the crate: every implementation of the protocol can run the same comparison.

#[path = "golden/mod.rs"]
mod golden;
#[path = "reencode/mod.rs"]
mod reencode;

use antiphon_protocol::{
    BrokenStream, ClientFrame, DecodeError, Link, RawFrame, Record, ServerFrame, next_frame,
};
use golden::{bytes, cases, committed, describe, refused, sums, text, to_hex};
use serde_json::{Value, json};

fn whole(bytes: &[u8]) -> RawFrame<'_> {
    let frame = next_frame(bytes, u32::MAX).unwrap().unwrap();
    assert_eq!(
        frame.whole.len(),
        bytes.len(),
        "one frame, nothing behind it"
    );
    frame
}

#[test]
fn every_client_vector_decodes_to_its_fields_and_back_to_its_bytes() {
    for vector in committed("client.json") {
        let bytes = bytes(&vector, "hex");
        let raw = whole(&bytes);
        let frame = ClientFrame::decode(raw).unwrap();
        assert_eq!(
            describe::client(&frame),
            vector["fields"],
            "{}",
            vector["name"]
        );
        assert_eq!(
            to_hex(&reencode::client(&frame, raw)),
            to_hex(&bytes),
            "{}",
            vector["name"]
        );
        assert_eq!(json!(raw.header.kind), vector["kind"]);
        assert_eq!(golden::word(raw.header.id.0), vector["id"]);
    }
}

#[test]
fn every_server_vector_decodes_to_its_fields_and_back_to_its_bytes() {
    for vector in committed("server.json") {
        let bytes = bytes(&vector, "hex");
        let raw = whole(&bytes);
        let frame = ServerFrame::decode(raw).unwrap();
        assert_eq!(
            describe::server(&frame),
            vector["fields"],
            "{}",
            vector["name"]
        );
        assert_eq!(
            to_hex(&reencode::server(&frame, raw)),
            to_hex(&bytes),
            "{}",
            vector["name"]
        );
        assert_eq!(json!(raw.header.kind), vector["kind"]);
        assert_eq!(golden::word(raw.header.id.0), vector["id"]);
    }
}

#[test]
fn every_record_vector_decodes_links_to_the_one_before_it_and_is_built_again_alike() {
    for vector in committed("records.json") {
        let bytes = bytes(&vector, "hex");
        let record = Record::parse(&bytes).unwrap();
        assert_eq!(
            describe::record(&record),
            vector["fields"],
            "{}",
            vector["name"]
        );
        let digits = text(&vector, "link_before").trim_start_matches("0x");
        let before = Link(u64::from_str_radix(digits, 16).unwrap());
        assert!(record.verify_link(before), "{}", vector["name"]);
        assert_eq!(record.verify_link(Link(before.0 ^ 1)), record.is_erased());
        if record.is_erased() {
            continue;
        }
        let mut again = Vec::new();
        let link =
            antiphon_protocol::append_record(&mut again, &reencode::record_fields(&record), before);
        assert_eq!(link, record.link());
        assert_eq!(to_hex(&again), to_hex(&bytes), "{}", vector["name"]);
    }
}

fn assert_refused(vector: &Value, outcome: Option<DecodeError>) {
    let error = outcome.unwrap_or_else(|| panic!("{} was not refused", vector["name"]));
    assert_eq!(
        json!(error.code().name()),
        vector["code"],
        "{}: {error:?}",
        vector["name"]
    );
    assert_eq!(
        json!(error.hint()),
        vector["hint"],
        "{}: {error:?}",
        vector["name"]
    );
}

#[test]
fn every_refused_vector_is_refused_with_its_code_and_hint() {
    for vector in committed("refused-client.json") {
        assert_refused(
            &vector,
            ClientFrame::decode(whole(&bytes(&vector, "hex"))).err(),
        );
    }
    for vector in committed("refused-server.json") {
        assert_refused(
            &vector,
            ServerFrame::decode(whole(&bytes(&vector, "hex"))).err(),
        );
    }
}

#[test]
fn every_accepted_vector_means_what_its_model_means() {
    let models: Vec<Value> = [committed("client.json"), committed("server.json")].concat();
    for vector in committed("accepted.json") {
        let bytes = bytes(&vector, "hex");
        let fields = match text(&vector, "from") {
            "client" => describe::client(&ClientFrame::decode(whole(&bytes)).unwrap()),
            _ => describe::server(&ServerFrame::decode(whole(&bytes)).unwrap()),
        };
        let model = models
            .iter()
            .find(|model| model["name"] == vector["same_as"])
            .unwrap();
        assert_eq!(fields, model["fields"], "{}", vector["name"]);
    }
}

#[test]
fn every_stream_vector_is_cut_where_it_says() {
    for vector in committed("streams.json") {
        let bytes = bytes(&vector, "hex");
        let len_max = u32::try_from(vector["len_max"].as_u64().unwrap()).unwrap();
        let (frames, end) = cut(&bytes, len_max);
        assert_eq!(json!(frames), vector["frames"], "{}", vector["name"]);
        assert_eq!(json!(end), vector["then"], "{}", vector["name"]);
    }
}

/// Sizes of the whole frames of a stream, and what stands behind them.
fn cut(mut bytes: &[u8], len_max: u32) -> (Vec<usize>, &'static str) {
    let mut frames = Vec::new();
    loop {
        match next_frame(bytes, len_max) {
            Ok(Some(frame)) => {
                frames.push(frame.whole.len());
                bytes = &bytes[frame.whole.len()..];
            }
            Ok(None) if bytes.is_empty() => return (frames, "end"),
            Ok(None) => return (frames, "more"),
            Err(broken @ (BrokenStream::TooLarge { .. } | BrokenStream::Reserved { .. })) => {
                return (frames, broken.code().name().unwrap());
            }
        }
    }
}

#[test]
fn every_sum_vector_is_computed_alike() {
    for vector in committed("sums.json") {
        let number = |field: &str| vector[field].as_u64().unwrap();
        let word = |field: &str| {
            u64::from_str_radix(text(&vector, field).trim_start_matches("0x"), 16).unwrap()
        };
        let again = match text(&vector, "of") {
            "slot" => sums::slot(number("namespace") as u32, text(&vector, "name")),
            "room_id" => sums::room_id(number("slot") as u16, word("counter")),
            "position" => sums::position(word("room_id"), word("seq")),
            "producer" => sums::producer(word("birth"), number("random") as u32),
            "digest" => sums::digest(
                number("record_kind") as u8,
                number("codec") as u8,
                &bytes(&vector, "headers"),
                &bytes(&vector, "body"),
            ),
            other => panic!("{other}"),
        };
        assert_eq!(again, vector);
    }
}

#[test]
fn the_committed_bytes_are_those_the_cases_write_today() {
    let hexes = |name: &str| -> Vec<String> {
        committed(name)
            .iter()
            .map(|vector| text(vector, "hex").to_owned())
            .collect()
    };
    let of = |cases: Vec<cases::Case>| -> Vec<String> {
        cases.iter().map(|case| to_hex(&case.frame)).collect()
    };
    assert_eq!(hexes("client.json"), of(cases::client()));
    assert_eq!(hexes("server.json"), of(cases::server()));
    assert_eq!(hexes("records.json"), of(cases::lobby()));
    let of = |refused: Vec<refused::Refused>| -> Vec<String> {
        refused
            .iter()
            .map(|refused| to_hex(&refused.frame))
            .collect()
    };
    assert_eq!(hexes("refused-client.json"), of(refused::client()));
    assert_eq!(hexes("refused-server.json"), of(refused::server()));
    assert_eq!(committed("sums.json"), sums::all());
}
