//! Arrays in files: NumPy's `.npy` and `.npz`, and ONNX's `TensorProto` (`.pb`), alone or a folder of them.
//!
//! What a file claims is believed only as far as its bytes bear it out: nothing is allocated that the size of the file
//! does not justify, and what a compressed archive may grow to is bounded.
//! Source: NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays".

mod header;
mod npy;
mod npz;
mod tensor_proto;

use crate::tensor::{Shape, Tensor};
use std::path::{Path, PathBuf};

pub use npy::{read_npy, write_npy};
pub use npz::{read_npz, write_npz};

/// How the elements of a file are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ElementType {
    /// `<f8`
    F64,
    /// `<f4`
    F32,
    /// `<i8`
    I64,
    /// `<i4`
    I32,
    /// `|u1`
    U8,
    /// `|b1`
    Bool,
}

/// An array as it came from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The elements. Integers are exact; a boolean is 0 or 1.
    pub tensor: Tensor,
    /// How they were stored.
    pub element: ElementType,
}

/// Why an array cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ArrayError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    In { path: PathBuf, source: Box<ArrayError> },
    #[error("not an ONNX TensorProto: {0}")]
    Proto(String),
    #[error("the folder holds no .pb file")]
    EmptyFolder,
    #[error("its shape {found:?} differs from {expected:?} of the files before it")]
    Differs { expected: Vec<usize>, found: Vec<usize> },
    #[error("neither .npy nor .npz: it begins with neither of their signatures")]
    Signature,
    #[error(".npy version {0}.{1} is unknown; versions 1 and 2 are read")]
    Version(u8, u8),
    #[error("ill-formed .npy header: {0}")]
    Header(&'static str),
    #[error("element type {0} is not supported; save it as <f4, <f8, <i4, <i8, |u1 or |b1, for example with .astype")]
    ElementType(String),
    #[error("the file ends early: {needed} bytes are needed, {found} are there")]
    Truncated { needed: usize, found: usize },
    #[error("{0} bytes follow the array")]
    Trailing(usize),
    #[error("shape {0:?} has more elements than can be addressed")]
    TooLarge(Vec<usize>),
    #[error("{value} at element {index} cannot be held exactly as {element:?}")]
    Inexact { index: usize, value: String, element: ElementType },
    #[error("ill-formed .npz archive: {0}")]
    Archive(#[from] zip::result::ZipError),
    #[error("{entry}: {source}")]
    Entry { entry: String, source: Box<ArrayError> },
    #[error(
        "the archive would grow beyond {limit} bytes, too much for its size; save it uncompressed with numpy.savez"
    )]
    Bomb { limit: u64 },
}

impl ElementType {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            ElementType::F64 | ElementType::I64 => 8,
            ElementType::F32 | ElementType::I32 => 4,
            ElementType::U8 | ElementType::Bool => 1,
        }
    }

    /// NumPy's name for it.
    pub fn descriptor(self) -> &'static str {
        match self {
            ElementType::F64 => "<f8",
            ElementType::F32 => "<f4",
            ElementType::I64 => "<i8",
            ElementType::I32 => "<i4",
            ElementType::U8 => "|u1",
            ElementType::Bool => "|b1",
        }
    }

    /// The type that NumPy calls so.
    fn from_descriptor(descriptor: &str) -> Result<Self, ArrayError> {
        use ElementType::{Bool, F32, F64, I32, I64, U8};
        let all = [F64, F32, I64, I32, U8, Bool];
        let found = all.into_iter().find(|e| e.descriptor() == descriptor);
        found.ok_or_else(|| ArrayError::ElementType(descriptor.to_owned()))
    }
}

/// The named arrays of a file or of a folder of `.pb` files.
///
/// `.pb` files are told by their extension, the others by their first bytes. A single array is named by its file. In a
/// folder, `NAME_0.pb`, `NAME_1.pb`, … are joined along a new first axis under the name `NAME`.
///
/// # Errors
/// When a file cannot be read or is ill-formed; the error names it.
pub fn load(path: &Path) -> Result<Vec<(String, Tensor)>, ArrayError> {
    if path.is_dir() {
        return load_folder(path);
    }
    let bytes = std::fs::read(path).map_err(|source| ArrayError::Io { path: path.to_owned(), source })?;
    let arrays = if is_proto(path) {
        tensor_proto::parse(&bytes).map(|tensor| vec![(stem(path), tensor)]).map_err(ArrayError::Proto)
    } else if bytes.starts_with(npz::SIGNATURE) || bytes.starts_with(npz::EMPTY_SIGNATURE) {
        read_npz(&bytes).map(|arrays| arrays.into_iter().map(|(name, array)| (name, array.tensor)).collect())
    } else {
        read_npy(&bytes).map(|array| vec![(stem(path), array.tensor)])
    };
    arrays.map_err(within(path))
}

fn is_proto(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pb"))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn within(path: &Path) -> impl Fn(ArrayError) -> ArrayError {
    move |source| ArrayError::In { path: path.to_owned(), source: Box::new(source) }
}

fn load_folder(path: &Path) -> Result<Vec<(String, Tensor)>, ArrayError> {
    let io = |source| ArrayError::Io { path: path.to_owned(), source };
    let entries = std::fs::read_dir(path).map_err(io)?.collect::<Result<Vec<_>, _>>().map_err(io)?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|e| e.path()).filter(|p| is_proto(p)).collect();
    // By length first, so that NAME_10 follows NAME_9.
    files.sort_by_key(|p| (stem(p).len(), stem(p)));
    let mut joined: Vec<(String, Tensor)> = Vec::new();
    for file in &files {
        for (name, tensor) in load(file)? {
            let base = match name.rsplit_once('_') {
                Some((base, number)) if number.parse::<u64>().is_ok() => base.to_owned(),
                _ => name,
            };
            join(&mut joined, base, tensor).map_err(within(file))?;
        }
    }
    if joined.is_empty() { Err(within(path)(ArrayError::EmptyFolder)) } else { Ok(joined) }
}

/// Append a tensor along the first axis of the array of that name, or begin one.
fn join(joined: &mut Vec<(String, Tensor)>, name: String, tensor: Tensor) -> Result<(), ArrayError> {
    let found = tensor.shape.dims();
    match joined.iter_mut().find(|(n, _)| *n == name) {
        Some((_, all)) if all.shape.dims()[1..] == *found => {
            all.data.extend(&tensor.data);
            all.shape = Shape::new([&[all.shape.dims()[0] + 1], found].concat());
        }
        Some((_, all)) => {
            return Err(ArrayError::Differs { expected: all.shape.dims()[1..].to_vec(), found: found.to_vec() });
        }
        None => joined.push((name, Tensor { shape: Shape::new([&[1], found].concat()), data: tensor.data })),
    }
    Ok(())
}
