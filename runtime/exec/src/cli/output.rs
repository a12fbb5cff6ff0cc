//! Results in files, whole or not there, and as text.

use hec_ckks::ProgramId;
use hec_ir::array::{ElementType, write_npy, write_npz};
use hec_ir::leveled::Scheme;
use hec_ir::tensor::{Shape, Tensor};
use hec_ir::{Parameters, ParametersLiteral};
use hec_run::RunError;
use std::fmt::Write;
use std::path::Path;

/// Write under another name in the same folder, and rename when it is complete.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".partial-{}", std::process::id()));
    let partial = path.with_file_name(name);
    let written = std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|source| {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&partial);
        RunError::Io { path: path.to_owned(), source }
    })
}

/// Outputs to `.npz`, or one output to `.npy`.
pub fn write_outputs<'a>(
    path: &Path,
    outputs: impl ExactSizeIterator<Item = (&'a str, &'a Tensor)>,
) -> Result<(), RunError> {
    let npz = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz"));
    let mut outputs = outputs.map(|(name, tensor)| (name, tensor, ElementType::F64));
    let bytes = match (npz, outputs.len()) {
        (true, _) => write_npz(outputs)?,
        (false, 1) => outputs.next().map_or(Ok(Vec::new()), |(_, tensor, element)| write_npy(tensor, element))?,
        (false, count) => {
            return Err(RunError::Usage(format!("the model has {count} outputs: write them to a file named .npz")));
        }
    };
    write_file(path, &bytes)
}

/// Tensors of one shape, one after the other along the first axis.
pub fn stacked<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Tensor {
    let (mut dims, mut data, mut count) = (Vec::new(), Vec::new(), 0);
    for tensor in tensors {
        dims = tensor.shape.dims().to_vec();
        data.extend_from_slice(&tensor.data);
        count += 1;
    }
    match dims.first_mut() {
        Some(rows) => *rows *= count,
        None => dims.push(count),
    }
    Tensor { shape: Shape::new(dims), data }
}

/// The index of the largest value of each row along the last axis.
pub fn classes(tensor: &Tensor) -> Vec<usize> {
    let row = tensor.shape.dims().last().copied().unwrap_or(1).max(1);
    let largest = |row: &[f64]| (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
    tensor.data.chunks(row).map(largest).collect()
}

/// An output for people: its shape, its values if they are few, its class.
pub fn describe(name: &str, tensor: &Tensor) -> String {
    const SHOWN: usize = 32;
    let mut text = format!("{name} {:?}:", tensor.shape.dims());
    for x in tensor.data.iter().take(SHOWN) {
        let _ = write!(text, " {x:.6}");
    }
    if tensor.data.len() > SHOWN {
        text.push_str(" ...");
    }
    let _ = write!(text, "\n  largest at {:?}", classes(tensor));
    text
}

/// The security line.
pub fn security_line(literal: &ParametersLiteral) -> Result<String, RunError> {
    let parameters = Parameters::check(literal.clone()).map_err(|e| RunError::Program(e.to_string()))?;
    Ok(parameters.security().to_string())
}

/// Whether the parameters, and the sparse secret of a bootstrap, have 128-bit security.
pub fn is_secure(scheme: &Scheme) -> bool {
    let sparse = scheme.bootstrap().is_none_or(|b| b.encapsulation_report().is_secure());
    scheme.parameters().security().is_secure() && sparse
}

/// Say loudly when parameters do not protect anything.
pub fn warn_insecure(scheme: &Scheme) {
    if !is_secure(scheme) {
        super::complain("INSECURE: toy parameters below 128-bit security. Anyone can decrypt. Use no real data.");
    }
}

/// The first digits of a hash.
pub fn short(id: &ProgramId) -> String {
    id[..6].iter().map(|b| format!("{b:02x}")).collect()
}
