//! The defaults as a file, each of its sections alone, and values as people write them.

use antiphon_server::config::{Sources, show};

pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let defaults = show(&Sources::default()).expect("the defaults are a configuration");
    let mut seeds = vec![("defaults".to_owned(), defaults.clone().into_bytes())];
    for section in defaults.split("\n\n") {
        let name = section.trim_start_matches('[').split(']').next();
        seeds.push((name.unwrap_or_default().to_owned(), section.into()));
    }
    let others = [
        ("address", "listen = { address = \"[::1]:0\" }\n"),
        (
            "dotted",
            "session.keepalive = \"1m 30s\"\nsession.body_bytes_max = \"64KiB\"\n",
        ),
        ("number", "[session]\nframe_bytes_max = 0x10_0000\n"),
        ("date", "[session]\nkeepalive = 1979-05-27T07:32:00Z\n"),
        ("path", "[data]\ndirectory = '''C:\\a \"b\"\t\u{7f}'''\n"),
        ("twice", "[listen]\n[listen]\n"),
        ("unknown", "[listn]\nadress = 1\n"),
    ];
    seeds.extend(others.map(|(name, text)| (name.to_owned(), text.into())));
    seeds
}
