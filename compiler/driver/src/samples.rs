//! Inputs from files, as samples of a network.

use crate::Failure;
use hec_ir::samples::{InputFile, Samples, Wanted, wanted_by_graph};
use hec_ir::tensor::{Graph, Tensor};
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

/// The samples of a network's inputs, as they are encrypted: after what the client computes.
///
/// # Errors
/// As [`load`]; a sample that the client's part does not take.
pub fn encrypted(files: &[PathBuf], network: &Graph, prologue: Option<&Graph>) -> Result<Vec<Vec<Tensor>>, Failure> {
    let samples = load(files, &wanted_by_graph(network))?;
    let Some(prologue) = prologue else {
        return Ok(samples);
    };
    let run = |sample: &Vec<Tensor>| prologue.run(sample).map_err(|e| Failure::new("HEC-C004", e));
    samples.iter().map(run).collect()
}
