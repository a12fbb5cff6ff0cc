//! Inputs from files, as samples of a network.
//!
//! A `.npy` holds one input; a `.npz` holds one array for each input by name, or a single one; a folder holds ONNX
//! `TensorProto` files `NAME.pb`, or several samples as `NAME_0.pb`, `NAME_1.pb`, … An array either has the shape of the
//! input, or holds many samples along one more leading axis, or along the input's first axis if that is 1.

use crate::Failure;
use hec_ir::array;
use hec_ir::tensor::{Graph, Shape, Tensor};
use std::path::{Path, PathBuf};

/// All samples in the files, one list of input tensors each.
///
/// # Errors
/// When a file cannot be read or does not fit the inputs.
pub fn load(files: &[PathBuf], graph: &Graph) -> Result<Vec<Vec<Tensor>>, Failure> {
    let inputs: Vec<(&str, &Shape)> = graph.inputs().map(|(id, name)| (name, graph.shape(id))).collect();
    let mut samples = Vec::new();
    for path in files {
        let arrays = if path.is_dir() { folder(path)? } else { file(path)? };
        samples.extend(split(path, arrays, &inputs)?);
    }
    Ok(samples)
}

/// Labels: the class of each sample.
///
/// # Errors
/// When the file cannot be read or holds something else.
pub fn labels(path: &Path) -> Result<Vec<usize>, Failure> {
    let arrays = array::load(path)?;
    let (_, labels) = arrays
        .iter()
        .find(|(name, _)| name == "labels")
        .or(arrays.first())
        .ok_or_else(|| Failure::file(path, "it holds no array"))?;
    let class = |&v: &f64| {
        (v >= 0.0 && v.fract() == 0.0)
            .then_some(v as usize)
            .ok_or_else(|| Failure::file(path, format!("{v} is not a class")))
    };
    labels.tensor.data.iter().map(class).collect()
}

fn file(path: &Path) -> Result<Vec<(String, Tensor)>, Failure> {
    if path.extension().is_some_and(|e| e == "pb") {
        let tensor = hec_import::read_tensor_proto(path).map_err(|e| Failure::file(path, e))?;
        return Ok(vec![(stem(path), tensor)]);
    }
    Ok(array::load(path)?.into_iter().map(|(name, a)| (name, a.tensor)).collect())
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The tensors of a folder of `.pb` files in the order of their names, those of one input joined along a new axis.
fn folder(path: &Path) -> Result<Vec<(String, Tensor)>, Failure> {
    let entries = std::fs::read_dir(path).map_err(|e| Failure::file(path, e))?;
    let mut files: Vec<PathBuf> = entries.filter_map(Result::ok).map(|e| e.path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "pb"));
    files.sort_by_key(|p| (stem(p).len(), stem(p)));
    let mut joined: Vec<(String, Tensor)> = Vec::new();
    for file in &files {
        let tensor = hec_import::read_tensor_proto(file).map_err(|e| Failure::file(file, e))?;
        let name = stem(file);
        let base = match name.rsplit_once('_') {
            Some((base, number)) if number.parse::<u64>().is_ok() => base.to_owned(),
            _ => name,
        };
        let shape = tensor.shape.dims();
        match joined.iter_mut().find(|(n, _)| *n == base) {
            Some((_, all)) if all.shape.dims()[1..] == *shape => {
                all.data.extend(&tensor.data);
                all.shape = Shape::new([&[all.shape.dims()[0] + 1], shape].concat());
            }
            Some(_) => return Err(Failure::file(file, "its shape differs from the files before it")),
            None => joined.push((base, Tensor { shape: Shape::new([&[1], shape].concat()), data: tensor.data })),
        }
    }
    if joined.is_empty() {
        return Err(Failure::file(path, "the folder holds no .pb file"));
    }
    Ok(joined)
}

/// Cut arrays into samples for the inputs.
fn split(path: &Path, arrays: Vec<(String, Tensor)>, inputs: &[(&str, &Shape)]) -> Result<Vec<Vec<Tensor>>, Failure> {
    let mut columns: Vec<Vec<Tensor>> = Vec::new();
    for (name, shape) in inputs {
        let named = arrays.iter().find(|(n, _)| n == name);
        let fitting = || arrays.iter().find(|(_, t)| count(&t.shape, shape).is_some());
        let found = if inputs.len() == 1 { named.or_else(fitting).or(arrays.first()) } else { named };
        let (_, tensor) = found.ok_or_else(|| {
            let names: Vec<&str> = arrays.iter().map(|(n, _)| n.as_str()).collect();
            Failure::file(path, format!("no array for input {name}; it holds {names:?}"))
                .advise("name the arrays of an .npz like the model's inputs")
        })?;
        let samples = count(&tensor.shape, shape).ok_or_else(|| {
            let (has, wants) = (tensor.shape.dims(), shape.dims());
            Failure::file(path, format!("shape {has:?} does not fit input {name} of shape {wants:?}"))
                .advise("give arrays of the input's shape, or many of them along one leading axis")
        })?;
        let size = shape.elements();
        let cut = |i: usize| Tensor { shape: (*shape).clone(), data: tensor.data[i * size..(i + 1) * size].to_vec() };
        columns.push((0..samples).map(cut).collect());
    }
    let samples = columns.iter().map(Vec::len).min().unwrap_or(0);
    if columns.iter().any(|c| c.len() != samples) {
        return Err(Failure::file(path, "the arrays hold different numbers of samples"));
    }
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    Ok((0..samples).map(|_| columns.iter_mut().filter_map(Iterator::next).collect()).collect())
}

/// How many samples of `input` an array of shape `array` holds.
fn count(array: &Shape, input: &Shape) -> Option<usize> {
    let (a, i) = (array.dims(), input.dims());
    if a == i {
        return Some(1);
    }
    match (a.split_first(), i.split_first()) {
        (Some((&n, rest)), _) if rest == i => Some(n),
        (Some((&n, rest)), Some((1, tail))) if rest == tail => Some(n),
        _ => None,
    }
}
