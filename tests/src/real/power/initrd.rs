//! The guest's root: a cpio archive ("newc"), which the kernel unpacks into memory.
//!
//! ```text
//!  "070701" | 13 numbers, 8 hex digits each | name, 0 | pad to 4 | content | pad to 4      per file; the last one is "TRAILER!!!"
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::needs::{self, LIBRARIES};

/// A folder anybody may read.
const FOLDER: u32 = 0o040_755;
/// A program.
const PROGRAM: u32 = 0o100_755;
/// The name of the last entry.
const TRAILER: &str = "TRAILER!!!";

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Initrd {
    bytes: Vec<u8>,
    entries: u32,
    folders: BTreeSet<String>,
}

impl Initrd {
    /// A folder, and those above it.
    pub(crate) fn folder(&mut self, name: &str) {
        if name.is_empty() || !self.folders.insert(name.to_owned()) {
            return;
        }
        if let Some((above, _)) = name.rsplit_once('/') {
            self.folder(above);
        }
        self.entry(name, FOLDER, &[]);
    }

    /// A file that may be run.
    pub(crate) fn file(&mut self, name: &str, content: &[u8]) {
        if let Some((folder, _)) = name.rsplit_once('/') {
            self.folder(folder);
        }
        self.entry(name, PROGRAM, content);
    }

    /// A program of this machine under `name`, with the libraries that it loads where it looks for them.
    pub(crate) fn program(&mut self, name: &str, from: &Path) -> io::Result<()> {
        self.file(name, &fs::read(from)?);
        for library in libraries(from)? {
            let name = library.display().to_string();
            let name = name.trim_start_matches('/');
            if self.folders.insert(format!("{name} is there")) {
                self.file(name, &fs::read(&library)?);
            }
        }
        Ok(())
    }

    /// The archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let name_bytes = name.len() as u32 + 1;
        let content_bytes = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let links = if mode == FOLDER { 2 } else { 1 };
        // Number, mode, user, group, links, time, size, device (2), device it is (2), length of the name, sum.
        let numbers = [
            self.entries,
            mode,
            0,
            0,
            links,
            0,
            content_bytes,
            0,
            0,
            0,
            0,
            name_bytes,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for number in numbers {
            self.bytes
                .extend_from_slice(format!("{number:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// What `ldd` names; nothing for a static program.
fn libraries(program: &Path) -> io::Result<Vec<PathBuf>> {
    let ldd = needs::find(LIBRARIES).unwrap_or_else(|| LIBRARIES.into());
    let told = Command::new(ldd)
        .arg(program)
        .stdin(Stdio::null())
        .output()?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let paths = told
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'));
    Ok(paths.map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_a_header_a_name_and_a_content_for_each_file_and_its_folders_once() {
        let mut initrd = Initrd::default();
        initrd.file("bin/a", b"12345");
        initrd.file("bin/b", b"");
        let bytes = initrd.finish();
        let header = |entry: u32, mode: &str, links: u32, size: u32, name: u32| {
            format!(
                "070701{entry:08X}{mode}{:016X}{links:08X}{:08X}{size:08X}{:032X}{name:08X}{:08X}",
                0, 0, 0, 0
            )
        };
        let mut expected = Vec::new();
        for (header, name, content) in [
            (header(1, "000041ED", 2, 0, 4), "bin\0\0\0", ""),
            (header(2, "000081ED", 1, 5, 6), "bin/a\0", "12345\0\0\0"),
            (header(3, "000081ED", 1, 0, 6), "bin/b\0", ""),
            (header(4, "00000000", 1, 0, 11), "TRAILER!!!\0\0\0\0", ""),
        ] {
            expected.extend_from_slice(header.as_bytes());
            expected.extend_from_slice(name.as_bytes());
            while !expected.len().is_multiple_of(4) {
                expected.push(0);
            }
            expected.extend_from_slice(content.as_bytes());
        }
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            String::from_utf8_lossy(&expected)
        );
    }

    #[test]
    fn a_program_brings_its_libraries() {
        let shell = needs::find("sh").unwrap();
        let mut initrd = Initrd::default();
        initrd.program("bin/sh", &shell).unwrap();
        let text = String::from_utf8_lossy(&initrd.finish()).into_owned();
        assert!(text.contains("bin/sh\0"));
        let is_static = libraries(&shell).unwrap().is_empty();
        assert!(is_static || text.contains("libc"));
    }
}
