//! Clear inputs from array files: which array is for which input, and which part of it is one sample.

use crate::{RunError, tensor_proto};
use hec_ir::array::{self, ArrayError};
use hec_ir::artifact::ClientFile;
use hec_ir::circuit::Input;
use hec_ir::tensor::{Shape, Tensor};
use std::path::{Path, PathBuf};

/// A file with one or several inputs; with a name, its only array is for that input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// Name of the model's input.
    pub name: Option<String>,
    /// `.npy`, `.npz` or `.pb`.
    pub path: PathBuf,
}

impl std::str::FromStr for InputFile {
    type Err = std::convert::Infallible;

    /// `path`, or `name=path`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('=') {
            // A path that exists wins over a name.
            Some((name, path)) if !Path::new(text).exists() => {
                InputFile { name: Some(name.to_owned()), path: path.into() }
            }
            _ => InputFile { name: None, path: text.into() },
        })
    }
}

/// The samples of all inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// For each input its shape and all samples one after the other.
    inputs: Vec<(Shape, Tensor)>,
    count: usize,
}

impl Samples {
    /// Read files and find an array for each input of the program.
    ///
    /// # Errors
    /// Unreadable files; inputs without an array; arrays that are neither one sample nor several along the first axis.
    pub fn read(client: &ClientFile, files: &[InputFile]) -> Result<Self, RunError> {
        let mut arrays = Vec::new();
        for file in files {
            let mut found = read_arrays(&file.path)?;
            if let Some(name) = &file.name {
                let [(only, _)] = &mut found[..] else {
                    let path = file.path.display();
                    return Err(RunError::Input(format!(
                        "{path} holds {} arrays; give it without a name",
                        found.len()
                    )));
                };
                only.clone_from(name);
            }
            arrays.append(&mut found);
        }
        Self::assign(&client.inputs, arrays)
    }

    /// An array for each input: by name, or the only one for the only one.
    fn assign(inputs: &[Input], mut arrays: Vec<(String, Tensor)>) -> Result<Self, RunError> {
        if let ([input], [(name, _)]) = (inputs, &mut arrays[..]) {
            name.clone_from(&input.name);
        }
        if let Some((name, _)) = arrays.iter().find(|(name, _)| inputs.iter().all(|i| i.name != *name)) {
            let names = names(inputs);
            return Err(RunError::Input(format!(
                "the model has no input {name}: it has {names}; name arrays with --input name=path"
            )));
        }
        let mut assigned = Vec::new();
        let mut counts = Vec::new();
        for input in inputs {
            let mut own = arrays.iter().filter(|(name, _)| *name == input.name);
            let (Some((_, tensor)), None) = (own.next(), own.next()) else {
                let names = names(inputs);
                return Err(RunError::Input(format!(
                    "give input {} exactly once with --input name=path (the model has {names})",
                    input.name
                )));
            };
            counts.push(sample_count(input, &tensor.shape)?);
            assigned.push((input.layout.shape.clone(), tensor.clone()));
        }
        let count = counts.first().copied().unwrap_or(1);
        if counts.iter().any(|&c| c != count) {
            return Err(RunError::Input(format!("the inputs hold different numbers of samples: {counts:?}")));
        }
        Ok(Samples { inputs: assigned, count })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The tensors of one sample, one for each input.
    ///
    /// # Errors
    /// When there are not that many.
    pub fn get(&self, index: usize) -> Result<Vec<Tensor>, RunError> {
        if index >= self.count {
            return Err(RunError::Input(format!("there is no sample {index}: the input holds {}", self.count)));
        }
        let part = |(shape, all): &(Shape, Tensor)| {
            let size = shape.elements();
            Tensor { shape: shape.clone(), data: all.data[index * size..][..size].to_vec() }
        };
        Ok(self.inputs.iter().map(part).collect())
    }
}

fn names(inputs: &[Input]) -> String {
    let names: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
    names.join(", ")
}

/// How many samples an array holds. Axes of extent 1 do not matter.
fn sample_count(input: &Input, found: &Shape) -> Result<usize, RunError> {
    let squeeze = |dims: &[usize]| dims.iter().copied().filter(|&d| d != 1).collect::<Vec<_>>();
    let (model, found) = (input.layout.shape.dims(), found.dims());
    if squeeze(model) == squeeze(found) {
        return Ok(1);
    }
    if let Some((&count, rest)) = found.split_first() {
        // Several samples stacked, or concatenated along the model's own batch axis.
        if squeeze(rest) == squeeze(model) {
            return Ok(count);
        }
        if let Some((&batch, own)) = model.split_first()
            && !own.is_empty()
            && squeeze(rest) == squeeze(own)
            && batch > 0
            && count.is_multiple_of(batch)
        {
            return Ok(count / batch);
        }
    }
    let name = &input.name;
    Err(RunError::Input(format!(
        "input {name} has shape {found:?}, but the model takes {model:?}, or several of them along a first axis"
    )))
}

/// The arrays of a `.npy`, `.npz` or `.pb` file with their names.
///
/// # Errors
/// When it cannot be read as what its name says.
pub fn read_arrays(path: &Path) -> Result<Vec<(String, Tensor)>, RunError> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pb")) {
        let bytes = std::fs::read(path).map_err(RunError::io(path))?;
        let tensor = tensor_proto::parse(&bytes).map_err(|reason| RunError::Proto { path: path.to_owned(), reason })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![(name, tensor)]);
    }
    let arrays = array::load(path).map_err(|e| match e {
        ArrayError::Io { path, source } => RunError::Io { path, source },
        other => RunError::Array(other),
    })?;
    Ok(arrays.into_iter().map(|(name, array)| (name, array.tensor)).collect())
}

/// The only array of a file.
///
/// # Errors
/// When it cannot be read, or holds several.
pub fn read_array(path: &Path) -> Result<Tensor, RunError> {
    let mut arrays = read_arrays(path)?;
    match (arrays.pop(), arrays.len()) {
        (Some((_, tensor)), 0) => Ok(tensor),
        (_, others) => Err(RunError::Input(format!("{} must hold one array, not {}", path.display(), others + 1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::{Layout, Slots};

    fn input(name: &str, dims: &[usize]) -> Input {
        Input { name: name.to_owned(), layout: Layout::row_major(Shape::new(dims), Slots(64)) }
    }

    fn count(model: &[usize], found: &[usize]) -> Option<usize> {
        sample_count(&input("x", model), &Shape::new(found)).ok()
    }

    #[test]
    fn shapes_and_samples() {
        assert_eq!(count(&[1, 1, 4, 4], &[1, 1, 4, 4]), Some(1));
        assert_eq!(count(&[1, 1, 4, 4], &[4, 4]), Some(1));
        assert_eq!(count(&[1, 1, 4, 4], &[10, 4, 4]), Some(10));
        assert_eq!(count(&[1, 1, 4, 4], &[10, 1, 1, 4, 4]), Some(10));
        assert_eq!(count(&[2, 3], &[8, 3]), Some(4));
        assert_eq!(count(&[2, 3], &[7, 3]), None);
        assert_eq!(count(&[1, 1, 4, 4], &[5, 4]), None);
        assert_eq!(count(&[1, 4], &[16]), None);
        assert_eq!(count(&[1, 4], &[]), None);
    }

    #[test]
    fn arrays_find_their_inputs() {
        let inputs = [input("a", &[1, 2]), input("b", &[3])];
        let of = |name: &str, dims: &[usize]| {
            let data = (0..dims.iter().product()).map(|x: usize| x as f64).collect();
            (name.to_owned(), Tensor { shape: Shape::new(dims), data })
        };
        let samples = Samples::assign(&inputs, vec![of("b", &[2, 3]), of("a", &[2, 2])]).unwrap();
        assert_eq!(samples.len(), 2);
        let second = samples.get(1).unwrap();
        assert_eq!((&second[0].data[..], &second[1].data[..]), (&[2.0, 3.0][..], &[3.0, 4.0, 5.0][..]));
        assert!(samples.get(2).is_err());
        let refused = [
            (vec![of("a", &[2])], "input b exactly once"),
            (vec![of("a", &[2]), of("a", &[2]), of("b", &[3])], "input a exactly once"),
            (vec![of("a", &[2]), of("b", &[3]), of("c", &[3])], "no input c"),
            (vec![of("a", &[4, 2]), of("b", &[3])], "different numbers of samples"),
            (vec![of("a", &[4]), of("b", &[3])], "shape [4]"),
        ];
        for (arrays, reason) in refused {
            let error = Samples::assign(&inputs, arrays).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let alone = Samples::assign(&inputs[..1], vec![of("anything", &[2])]).unwrap();
        assert_eq!(alone.get(0).unwrap()[0].shape, Shape::new([1, 2]));
    }
}
