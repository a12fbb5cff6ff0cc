//! The archive: stored entries, aligned, and a checksum at the end.

use super::ArtifactError;
use sha2::{Digest, Sha256};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// Entries begin at multiples of this.
const ALIGNMENT: u16 = 64;
/// Precedes the checksum in the archive's comment.
const LABEL: &str = "SHA-256 of all bytes before it: ";
/// Length of the checksum: the last bytes of the file, in hexadecimal digits.
const CHECKSUM: usize = 64;
/// First bytes of an archive.
const SIGNATURE: &[u8] = b"PK\x03\x04";

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// SHA-256 of the first `length` bytes.
fn checksum<F: Read + Seek>(file: &mut F, length: u64) -> Result<String, ArtifactError> {
    file.rewind()?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file.take(length), &mut hash)?;
    Ok(hex(&hash.finalize()))
}

/// Writes entries one after the other.
pub(super) struct Writer<F: Write + Seek> {
    zip: ZipWriter<BufWriter<F>>,
}

impl<F: Read + Write + Seek> Writer<F> {
    pub(super) fn new(file: F) -> Self {
        Writer { zip: ZipWriter::new(BufWriter::new(file)) }
    }

    pub(super) fn entry(&mut self, name: &str, content: &[u8]) -> Result<(), ArtifactError> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .large_file(content.len() >= u32::MAX as usize)
            .with_alignment(ALIGNMENT);
        self.zip.start_file(name, options)?;
        Ok(self.zip.write_all(content)?)
    }

    /// Write the directory and the checksum.
    pub(super) fn finish(mut self) -> Result<F, ArtifactError> {
        self.zip.set_comment(format!("{LABEL}{}", "0".repeat(CHECKSUM)));
        let buffer = self.zip.finish()?;
        let mut file = buffer.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        let end = file.seek(SeekFrom::End(0))? - CHECKSUM as u64;
        let digits = checksum(&mut file, end)?;
        file.seek(SeekFrom::Start(end))?;
        file.write_all(digits.as_bytes())?;
        file.flush()?;
        Ok(file)
    }
}

/// Reads entries by name.
pub(super) struct Reader<F> {
    zip: ZipArchive<BufReader<F>>,
    /// Bytes that entries may still have: all of them lie in the file, each once.
    left: u64,
}

impl<F: Read + Seek> Reader<F> {
    /// Check the signature and the checksum, and read the directory.
    pub(super) fn new(mut file: F) -> Result<Self, ArtifactError> {
        let length = file.seek(SeekFrom::End(0))?;
        let mut start = Vec::new();
        file.rewind()?;
        file.by_ref().take(SIGNATURE.len() as u64).read_to_end(&mut start)?;
        if start != SIGNATURE {
            return Err(ArtifactError::Foreign);
        }
        let end = length.checked_sub(CHECKSUM as u64).ok_or(ArtifactError::Checksum)?;
        let found = checksum(&mut file, end)?;
        let mut stored = Vec::new();
        file.seek(SeekFrom::Start(end))?;
        file.by_ref().take(CHECKSUM as u64).read_to_end(&mut stored)?;
        if stored != found.as_bytes() {
            return Err(ArtifactError::Checksum);
        }
        Ok(Reader { zip: ZipArchive::new(BufReader::new(file))?, left: length })
    }

    /// Names of the entries, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.zip.file_names().map(str::to_owned).collect()
    }

    pub(super) fn entry(&mut self, name: &str) -> Result<Vec<u8>, ArtifactError> {
        let entry = match self.zip.by_name(name) {
            Err(zip::result::ZipError::FileNotFound) => return Err(ArtifactError::Missing(name.to_owned())),
            entry => entry?,
        };
        let size = entry.size();
        let refused = || ArtifactError::Entry(name.to_owned());
        let stored = entry.compression() == CompressionMethod::Stored && entry.compressed_size() == size;
        self.left = self.left.checked_sub(size).filter(|_| stored).ok_or_else(refused)?;
        let mut content = Vec::with_capacity(size as usize);
        entry.take(size).read_to_end(&mut content)?;
        if content.len() as u64 == size { Ok(content) } else { Err(refused()) }
    }
}
