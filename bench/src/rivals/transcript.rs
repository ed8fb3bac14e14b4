//! Wires against bytes, without a system: what a wire says, and what it makes of a transcript, however that is cut.

use crate::target::{Event, Wire};

/// What `speak` appends, as text.
pub(super) fn said(speak: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    speak(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The events in `transcript`. It is read whole, and byte by byte; both must give the same.
pub(super) fn heard<W: Wire>(make: impl Fn() -> W, transcript: &[u8]) -> Vec<String> {
    let whole = events(make(), transcript, transcript.len());
    let bytewise = events(make(), transcript, 1);
    assert_eq!(whole, bytewise, "cut elsewhere, it says something else");
    whole
}

fn events<W: Wire>(mut wire: W, transcript: &[u8], step: usize) -> Vec<String> {
    let (mut told, mut input, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for piece in transcript.chunks(step) {
        input.extend_from_slice(piece);
        let used = wire.parse(&input, &mut out, &mut |event| told.push(in_words(event)));
        match used {
            Ok(used) => drop(input.drain(..used)),
            Err(error) => {
                told.push(error.to_string());
                return told;
            }
        }
    }
    assert!(input.is_empty(), "not taken: {input:?}");
    told
}

fn in_words(event: Event<'_>) -> String {
    let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    match event {
        Event::Ready => "Ready".to_owned(),
        Event::Subscribed => "Subscribed".to_owned(),
        Event::Acked { request } => format!("Acked {request}"),
        Event::Delivered { body } => format!("Delivered {}", text(body)),
        Event::HistoryItem { body } => format!("HistoryItem {}", text(body)),
        Event::History { request } => format!("History {request}"),
        Event::Signalled => "Signalled".to_owned(),
        Event::Refused => "Refused".to_owned(),
    }
}
