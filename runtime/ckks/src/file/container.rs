//! Header, section table, sections on 64-byte boundaries, SHA-256 of everything before it. All numbers little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic |
//! | 8..24 | version, kind, flags (bit 0: insecure parameters), number of sections: u32 each |
//! | 24..32 | length of the file, u64 |
//! | 32..64 | SHA-256 of the parameters |
//! | 64..96 | program |
//! | 96..112 | secret key's name |
//! | 112..128 | zero |
//! | 128.. | offset and length of each section, u64 each |

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{FileError, FileKind, ProgramId};
use crate::{CkksError, KeyId};

const MAGIC: &[u8; 8] = b"HECCKKS\0";
const VERSION: u32 = 1;
const HEADER: u64 = 128;
const ENTRY: u64 = 16;
const ALIGNMENT: u64 = 64;
const CHECKSUM: u64 = 32;

#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub kind: FileKind,
    pub insecure: bool,
    pub fingerprint: [u8; 32],
    pub program: ProgramId,
    pub key: KeyId,
}

/// What a file says about itself; nothing of it is verified beyond the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Kind.
    pub kind: FileKind,
    /// Whether the parameters are below 128-bit security.
    pub insecure: bool,
    /// SHA-256 of the parameters.
    pub fingerprint: [u8; 32],
    /// Program.
    pub program: ProgramId,
    /// Secret key that it belongs to.
    pub key: KeyId,
    /// Bytes.
    pub length: u64,
    /// SHA-256 of everything before it, as the file says.
    pub checksum: [u8; 32],
}

impl FileInfo {
    /// Read the header of a file.
    ///
    /// # Errors
    /// [`FileError`] when it is not one of these files.
    pub fn read(path: &Path) -> Result<FileInfo, CkksError> {
        let io = |source| super::io_error(path, source);
        let mut file = fs::File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let Header { kind, insecure, fingerprint, program, key } = *Input::open(&file, length, path)?.header();
        let mut checksum = [0; CHECKSUM as usize];
        file.seek(SeekFrom::End(-(CHECKSUM as i64))).and_then(|_| file.read_exact(&mut checksum)).map_err(io)?;
        Ok(FileInfo { kind, insecure, fingerprint, program, key, length, checksum })
    }
}

/// Writes a section's bytes.
pub(crate) type WriteSection<'a> = dyn Fn(&mut dyn Write) -> io::Result<()> + 'a;

/// A section: its length and what writes it, so that files larger than the memory left can be written.
pub struct Section<'a> {
    pub(crate) length: u64,
    pub(crate) write: Box<WriteSection<'a>>,
}

impl<'a> Section<'a> {
    /// A section of bytes at hand, wiped after they are written.
    pub(crate) fn bytes(bytes: Vec<u8>) -> Self {
        let bytes = Zeroizing::new(bytes);
        Section { length: bytes.len() as u64, write: Box::new(move |sink| sink.write_all(&bytes)) }
    }
}

/// Hashes what passes through and counts it.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
    position: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Hashing { inner, hash: Sha256::new(), position: 0 }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.position += bytes.len() as u64;
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.pass(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn aligned(position: u64) -> Option<u64> {
    position.checked_next_multiple_of(ALIGNMENT)
}

/// Where sections of these lengths lie, and where the checksum begins; `None` if that overflows.
fn offsets(lengths: impl ExactSizeIterator<Item = u64>) -> Option<(Vec<u64>, u64)> {
    let mut position = aligned((lengths.len() as u64).checked_mul(ENTRY)?.checked_add(HEADER)?)?;
    let mut offsets = Vec::with_capacity(lengths.len());
    for length in lengths {
        offsets.push(position);
        position = aligned(position.checked_add(length)?)?;
    }
    Some((offsets, position))
}

pub(super) fn write(header: &Header, sections: &[Section<'_>], sink: &mut dyn Write) -> io::Result<()> {
    let too_long = || io::Error::other("too long for one file");
    let count = u32::try_from(sections.len()).map_err(|_| too_long())?;
    let (offsets, end) = offsets(sections.iter().map(|s| s.length)).ok_or_else(too_long)?;
    let mut head = Vec::new();
    head.extend_from_slice(MAGIC);
    for field in [VERSION, header.kind as u32, u32::from(header.insecure), count] {
        head.extend_from_slice(&field.to_le_bytes());
    }
    head.extend_from_slice(&(end + CHECKSUM).to_le_bytes());
    head.extend_from_slice(&header.fingerprint);
    head.extend_from_slice(&header.program);
    head.extend_from_slice(&header.key.0);
    head.resize(HEADER as usize, 0);
    for (section, offset) in sections.iter().zip(&offsets) {
        head.extend_from_slice(&offset.to_le_bytes());
        head.extend_from_slice(&section.length.to_le_bytes());
    }
    let mut out = Hashing::new(sink);
    out.write_all(&head)?;
    for (section, &offset) in sections.iter().zip(&offsets) {
        pad(&mut out, offset)?;
        (section.write)(&mut out)?;
        debug_assert_eq!(out.position, offset + section.length, "a section writes the length that it says");
    }
    pad(&mut out, end)?;
    let checksum = out.hash.finalize();
    out.inner.write_all(&checksum)
}

fn pad(out: &mut Hashing<&mut dyn Write>, to: u64) -> io::Result<()> {
    let count = to - out.position;
    out.write_all(&[0; ALIGNMENT as usize][..count as usize])
}

/// A file being read, section by section.
pub struct Input<'p, R> {
    source: Hashing<R>,
    path: &'p Path,
    header: Header,
    /// Offset and length of the sections that are left, last first.
    left: Vec<(u64, u64)>,
    end: u64,
}

impl<'p, R: Read> Input<'p, R> {
    pub(super) fn open(source: R, length: u64, path: &'p Path) -> Result<Self, CkksError> {
        let mut source = Hashing::new(source);
        if length < HEADER + CHECKSUM {
            return Err(FileError::Magic.into());
        }
        let head = read(&mut source, path, HEADER)?;
        if &head[..8] != MAGIC {
            return Err(FileError::Magic.into());
        }
        let [version, kind, flags, count] = [8, 12, 16, 20].map(|at| u32::from_le_bytes(array(&head, at)));
        if version != VERSION {
            return Err(FileError::Version { found: version, supported: VERSION }.into());
        }
        let kinds = FileKind::ALL.into_iter().find(|&k| k as u32 == kind);
        let kind = kinds.ok_or(FileError::Corrupt("an unknown kind"))?;
        let expected = u64::from_le_bytes(array(&head, 24));
        if expected != length {
            return Err(FileError::Length { found: length, expected }.into());
        }
        if flags > 1 || head[112..].iter().any(|&b| b != 0) {
            return Err(FileError::Corrupt("unknown flags").into());
        }
        let header = Header {
            kind,
            insecure: flags == 1,
            fingerprint: array(&head, 32),
            program: array(&head, 64),
            key: KeyId(array(&head, 96)),
        };
        let table_length = u64::from(count) * ENTRY;
        if table_length > length - HEADER - CHECKSUM {
            return Err(FileError::Corrupt("a section table longer than the file").into());
        }
        let table = read(&mut source, path, table_length)?;
        let number = |entry: &[u8], at| u64::from_le_bytes(array(entry, at));
        let mut left: Vec<_> =
            table.chunks_exact(ENTRY as usize).map(|entry| (number(entry, 0), number(entry, 8))).collect();
        let (places, end) =
            offsets(left.iter().map(|&(_, length)| length)).ok_or(FileError::Corrupt("section table"))?;
        if end != length - CHECKSUM || !places.iter().zip(&left).all(|(place, (offset, _))| place == offset) {
            return Err(FileError::Corrupt("sections that do not fill the file").into());
        }
        left.reverse();
        Ok(Input { source, path, header, left, end })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// How many sections are left.
    pub(crate) fn left(&self) -> usize {
        self.left.len()
    }

    /// The next section, which must have this length.
    pub(crate) fn section(&mut self, length: u64) -> Result<Zeroizing<Vec<u8>>, CkksError> {
        match self.left.last() {
            Some(&(_, found)) if found == length => self.any_section(),
            _ => Err(FileError::Corrupt("a section of a wrong length").into()),
        }
    }

    /// The next section, of any length.
    pub(crate) fn any_section(&mut self) -> Result<Zeroizing<Vec<u8>>, CkksError> {
        let (offset, length) = self.left.pop().ok_or(FileError::Corrupt("a section is missing"))?;
        self.skip_padding(offset)?;
        read(&mut self.source, self.path, length)
    }

    /// Check that nothing is left and that the checksum holds.
    pub(super) fn finish(mut self) -> Result<(), CkksError> {
        if !self.left.is_empty() {
            return Err(FileError::Corrupt("more sections than expected").into());
        }
        self.skip_padding(self.end)?;
        let mut checksum = [0; CHECKSUM as usize];
        self.source.inner.read_exact(&mut checksum).map_err(|source| super::io_error(self.path, source))?;
        if checksum[..] == self.source.hash.finalize()[..] { Ok(()) } else { Err(FileError::Checksum.into()) }
    }

    fn skip_padding(&mut self, to: u64) -> Result<(), CkksError> {
        let count = to - self.source.position;
        let padding = read(&mut self.source, self.path, count)?;
        if padding.iter().any(|&b| b != 0) {
            return Err(FileError::Corrupt("padding that is not zero").into());
        }
        Ok(())
    }
}

/// Exactly `length` bytes; the caller has compared `length` with the length of the file.
fn read<R: Read>(source: &mut Hashing<R>, path: &Path, length: u64) -> Result<Zeroizing<Vec<u8>>, CkksError> {
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(length).map_err(|_| FileError::Corrupt("too long"))?]);
    source.inner.read_exact(&mut bytes).map_err(|error| FileError::Io { path: PathBuf::from(path), source: error })?;
    source.pass(&bytes);
    Ok(bytes)
}

/// `K` bytes from `at`, which the caller knows to be there.
pub(super) fn array<const K: usize>(bytes: &[u8], at: usize) -> [u8; K] {
    let mut out = [0; K];
    out.copy_from_slice(&bytes[at..at + K]);
    out
}
