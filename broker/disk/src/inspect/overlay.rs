//! The directory as a disk that keeps nothing: what is written stays in memory, so the log's own recovery can be run
//! over a directory without changing it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use antiphon_log::{Disk, DiskError, DiskErrorKind, DiskOp};
use rustix::io::Errno;

use crate::bad_pages::PAGE_BYTES;
use crate::failure::kind;
use crate::file::list;
use crate::inspect::segment::read_whole;

/// A data directory below, memory above.
#[derive(Clone, Debug)]
pub(super) struct Overlay {
    root: PathBuf,
    above: Rc<RefCell<Above>>,
}

#[derive(Debug, Default)]
struct Above {
    /// Files made, written to or renamed, by name.
    files: BTreeMap<String, Content>,
    /// Names below that were removed or renamed.
    hidden: BTreeSet<String>,
}

type Content = Rc<RefCell<Memory>>;

/// A file in memory; the file below is read when it is first needed.
#[derive(Debug, Default)]
struct Memory {
    below: Option<File>,
    /// The first bytes; what follows up to `len` is zeros.
    bytes: Vec<u8>,
    len: u64,
    /// Pages that the device below cannot read.
    unreadable_pages: Vec<u32>,
}

/// An open file.
#[derive(Debug)]
pub(super) struct OverlayFile {
    name: String,
    content: Content,
}

impl Overlay {
    pub(super) fn new(root: &Path) -> Self {
        Overlay {
            root: root.to_owned(),
            above: Rc::default(),
        }
    }

    /// The file of this name, above or below.
    fn find(&self, op: DiskOp, name: &str) -> Result<Content, DiskError> {
        let above = self.above.borrow();
        if let Some(content) = above.files.get(name) {
            return Ok(Rc::clone(content));
        }
        if above.hidden.contains(name) {
            return Err(DiskError {
                op,
                kind: DiskErrorKind::Missing,
            });
        }
        let file = File::open(self.root.join(name)).map_err(told(op))?;
        let len = file.metadata().map_err(told(op))?.len();
        Ok(Rc::new(RefCell::new(Memory {
            below: Some(file),
            len,
            ..Memory::default()
        })))
    }
}

impl Memory {
    fn load(&mut self) -> io::Result<()> {
        if let Some(file) = self.below.take() {
            (self.bytes, self.unreadable_pages) = read_whole(&file)?;
            self.len = self.bytes.len() as u64;
        }
        Ok(())
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.load()?;
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let into_len = into.len().min(left);
        let into = &mut into[..into_len];
        let pages = offset / PAGE_BYTES..(offset + into_len as u64).div_ceil(PAGE_BYTES);
        if self
            .unreadable_pages
            .iter()
            .any(|page| pages.contains(&u64::from(*page)))
        {
            return Err(Errno::IO.into());
        }
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let known = &self.bytes[start..];
        let copied = known.len().min(into.len());
        into[..copied].copy_from_slice(&known[..copied]);
        into[copied..].fill(0);
        Ok(into.len())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.load()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start + bytes.len();
        self.len = self.len.max(end as u64);
        // Zeros behind everything need no memory: a new segment is mostly that.
        if start >= self.bytes.len() && bytes.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
        Ok(())
    }
}

impl Disk for Overlay {
    type File = OverlayFile;

    fn create(&self, name: &str) -> Result<OverlayFile, DiskError> {
        if self.find(DiskOp::Create, name).is_ok() {
            return Err(DiskError {
                op: DiskOp::Create,
                kind: DiskErrorKind::Exists,
            });
        }
        let content = Content::default();
        self.above
            .borrow_mut()
            .files
            .insert(name.to_owned(), Rc::clone(&content));
        Ok(OverlayFile {
            name: name.to_owned(),
            content,
        })
    }

    fn open(&self, name: &str) -> Result<OverlayFile, DiskError> {
        let content = self.find(DiskOp::Open, name)?;
        Ok(OverlayFile {
            name: name.to_owned(),
            content,
        })
    }

    fn size(&self, file: &OverlayFile) -> Result<u64, DiskError> {
        Ok(file.content.borrow().len)
    }

    fn reserve(&self, file: &OverlayFile, bytes: u64) -> Result<(), DiskError> {
        let mut content = file.content.borrow_mut();
        content.len = content.len.max(bytes);
        Ok(())
    }

    fn read_at(
        &self,
        file: &OverlayFile,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, DiskError> {
        file.content
            .borrow_mut()
            .read(offset, into)
            .map_err(told(DiskOp::Read))
    }

    fn write_at(&self, file: &OverlayFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let written = file.content.borrow_mut().write(offset, bytes);
        written.map_err(told(DiskOp::Write))?;
        self.above
            .borrow_mut()
            .files
            .insert(file.name.clone(), Rc::clone(&file.content));
        Ok(())
    }

    fn sync(&self, _file: &OverlayFile) -> Result<(), DiskError> {
        Ok(())
    }

    /// Nothing is written to the disk.
    fn free_bytes(&self) -> Result<Option<u64>, DiskError> {
        Ok(None)
    }

    fn forget_cached(&self, _file: &OverlayFile) -> Result<(), DiskError> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let content = self.find(DiskOp::Rename, from)?;
        let mut above = self.above.borrow_mut();
        above.files.remove(from);
        above.hidden.insert(from.to_owned());
        above.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.find(DiskOp::Remove, name)?;
        let mut above = self.above.borrow_mut();
        above.files.remove(name);
        above.hidden.insert(name.to_owned());
        Ok(())
    }

    fn sync_directory(&self, _folder: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, DiskError> {
        let above = self.above.borrow();
        let mut names: BTreeSet<String> = list(&self.root.join(folder))
            .map_err(told(DiskOp::List))?
            .into_iter()
            .collect();
        names.retain(|name| !above.hidden.contains(&format!("{folder}/{name}")));
        names.extend(above.files.keys().filter_map(|name| {
            name.strip_prefix(folder)?
                .strip_prefix('/')
                .map(str::to_owned)
        }));
        Ok(names.into_iter().collect())
    }
}

fn told(op: DiskOp) -> impl FnOnce(io::Error) -> DiskError {
    move |error| DiskError {
        op,
        kind: kind(&error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use antiphon_log::Disk;

    use super::Overlay;

    #[test]
    fn everything_can_be_changed_and_nothing_is() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(temp.path().join("log")).expect("made");
        for (name, text) in [("log/a", "one"), ("log/b", "two"), ("log/c", "three")] {
            fs::write(temp.path().join(name), text).expect("written");
        }
        let disk = Overlay::new(temp.path());
        assert_eq!(disk.remove("log/a"), Ok(()));
        assert_eq!(disk.rename("log/b", "log/d"), Ok(()));
        let c = disk.open("log/c").expect("below");
        assert_eq!(disk.write_at(&c, 2, b"XY"), Ok(()));
        let new = disk.create("log/e").expect("new");
        assert_eq!(disk.reserve(&new, 1 << 30), Ok(()));
        assert_eq!(disk.write_at(&new, 1 << 20, &[0; 4096]), Ok(()));
        assert_eq!(disk.write_at(&new, 4, b"new"), Ok(()));

        assert_eq!(
            disk.list("log"),
            Ok(["c", "d", "e"].map(str::to_owned).to_vec())
        );
        let read = |name: &str| {
            let mut bytes = vec![7; 8];
            let file = disk.open(name).expect("there");
            let read = disk.read_at(&file, 0, &mut bytes).expect("readable");
            bytes.truncate(read);
            bytes
        };
        assert_eq!(read("log/c"), b"thXYe");
        assert_eq!(read("log/d"), b"two");
        assert_eq!(read("log/e"), b"\0\0\0\0new\0");
        assert!(disk.open("log/a").is_err() && disk.open("log/b").is_err());

        let mut names: Vec<_> = fs::read_dir(temp.path().join("log"))
            .expect("listable")
            .collect();
        assert_eq!(names.len(), 3);
        names.clear();
        for (name, text) in [("log/a", "one"), ("log/b", "two"), ("log/c", "three")] {
            assert_eq!(
                fs::read(temp.path().join(name)).expect("there"),
                text.as_bytes()
            );
        }
    }
}
