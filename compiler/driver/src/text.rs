//! Programs as text in files: `NAME.hel`, with the numbers that the text leaves out in `NAME.npz` beside it.

use crate::Failure;
use hec_ir::array::{self, ElementType};
use hec_ir::tensor::Graph;
use hec_ir::text::{AnyLevel, ExternalConstants, Print, parse};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Read a text of any level.
///
/// # Errors
/// When a file cannot be read or the text is ill-formed.
pub fn load(path: &Path) -> Result<AnyLevel, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, e))?;
    let numbers = numbers_path(path);
    let external = if numbers.exists() {
        let arrays = array::load(&numbers)?;
        arrays.into_iter().map(|(name, tensor)| (name, Arc::new(tensor))).collect()
    } else {
        ExternalConstants::new()
    };
    parse(&text, &external).map_err(|e| Failure::new("HEC-T001", format!("{}: {e}", path.display())))
}

/// Read a text of the tensor level.
///
/// # Errors
/// When it cannot be read, or is of another level.
pub fn load_tensor(path: &Path) -> Result<Graph, Failure> {
    match load(path)? {
        AnyLevel::Tensor(graph) => Ok(graph),
        other => Err(Failure::new("HEC-T002", format!("{} is text of the {} level", path.display(), other.name()))
            .advise("`hec compile` takes ONNX or tensor text; `hec opt` restarts from the other levels")),
    }
}

/// Write a text to a file and its numbers beside it, or print it for people if there is no file.
///
/// # Errors
/// When a file cannot be written.
pub fn store(level: &impl Print, path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else {
        println!("{}", level.print_elided());
        return Ok(());
    };
    let (text, external) = level.print();
    let numbers = numbers_path(path);
    if external.is_empty() {
        if numbers.exists() {
            std::fs::remove_file(&numbers).map_err(|e| Failure::file(&numbers, e))?;
        }
    } else {
        let entries = external.iter().map(|(name, t)| (name.as_str(), t.as_ref(), ElementType::F64));
        let bytes = array::write_npz(entries)?;
        hec_ir::artifact::write_file(&numbers, &bytes).map_err(|e| Failure::file(&numbers, e))?;
    }
    hec_ir::artifact::write_file(path, text.as_bytes()).map_err(|e| Failure::file(path, e))
}

fn numbers_path(path: &Path) -> PathBuf {
    path.with_extension("npz")
}
