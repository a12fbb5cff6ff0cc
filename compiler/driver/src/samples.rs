//! Inputs from files, as samples of a network.

use crate::Failure;
use hec_ir::samples::{InputFile, Samples, Wanted};
use hec_ir::tensor::Tensor;
use std::convert::Infallible;
use std::path::PathBuf;

/// All samples in the files, one list of input tensors each. A file may be given as `name=path` for one input.
///
/// # Errors
/// When a file cannot be read or does not fit the inputs.
pub fn load(files: &[PathBuf], wanted: &Wanted) -> Result<Vec<Vec<Tensor>>, Failure> {
    let file = |path: &PathBuf| path.to_string_lossy().parse();
    let files: Result<Vec<InputFile>, Infallible> = files.iter().map(file).collect();
    let Ok(files) = files;
    Ok(Samples::read(wanted, &files)?.all(usize::MAX))
}
