//! A document of the protocol, as its tables.

/// The text of a document of `docs/`.
pub(crate) fn text(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

/// Cells of the table rows that stand behind `heading`.
pub(crate) fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let start = document
        .find(heading)
        .unwrap_or_else(|| panic!("no {heading}"));
    let rows = document[start..]
        .lines()
        .skip_while(|line| !line.starts_with('|'));
    rows.take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}
