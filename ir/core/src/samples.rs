//! Clear inputs from array files: which array is for which input, and which part of it is one sample.

use crate::array::{self, ArrayError};
use crate::circuit::Input;
use crate::tensor::{Graph, Shape, Tensor};
use std::path::{Path, PathBuf};

/// Why files cannot be read as samples.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum SamplesError {
    #[error(transparent)]
    Array(#[from] ArrayError),
    #[error("{path} holds {count} arrays; give it without a name", path = path.display())]
    Named { path: PathBuf, count: usize },
    #[error("the model has no input {name}: it has {inputs}; name arrays with name=path")]
    Unknown { name: String, inputs: String },
    #[error("{path} holds {arrays}, none of which is named like an input ({inputs}); name arrays with name=path",
        path = path.display())]
    Unmatched { path: PathBuf, arrays: String, inputs: String },
    #[error("nothing is given for input {name} (the model has {inputs}); name arrays with name=path")]
    Missing { name: String, inputs: String },
    #[error("the inputs hold different numbers of samples: {0:?}")]
    Counts(Vec<usize>),
    #[error("input {name} has shape {found:?}, but the model takes {model:?}, or several of them along a first axis")]
    Shape { name: String, found: Vec<usize>, model: Vec<usize> },
    #[error("there is no sample {index}: the input holds {count}")]
    Index { index: usize, count: usize },
    #[error("{path} must hold one array, not {count}", path = path.display())]
    NotOne { path: PathBuf, count: usize },
    #[error("{path}: {value} is not a class", path = path.display())]
    Label { path: PathBuf, value: f64 },
}

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

/// What a model takes: the name and shape of each input.
pub type Wanted = Vec<(String, Shape)>;

/// What a network takes.
pub fn wanted_by_graph(graph: &Graph) -> Wanted {
    graph.inputs().map(|(id, name)| (name.to_owned(), graph.shape(id).clone())).collect()
}

/// What a program takes.
pub fn wanted_by_program(inputs: &[Input]) -> Wanted {
    inputs.iter().map(|i| (i.name.clone(), i.layout.shape.clone())).collect()
}

/// The samples of all inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// For each input its shape and all samples one after the other.
    inputs: Vec<(Shape, Vec<f64>)>,
    count: usize,
}

impl Samples {
    /// Read files and find the arrays of each input; several arrays of one input follow one another.
    ///
    /// An array belongs to the input of its name, or to the one that its file is given for. A model with one input takes
    /// from a file without its name the first array that fits.
    ///
    /// # Errors
    /// Unreadable files; inputs without an array; arrays that are neither one sample nor several along the first axis.
    pub fn read(wanted: &Wanted, files: &[InputFile]) -> Result<Self, SamplesError> {
        let mut samples =
            Samples { inputs: wanted.iter().map(|(_, shape)| (shape.clone(), Vec::new())).collect(), count: 0 };
        for file in files {
            for (index, tensor) in assign(wanted, file, array::load(&file.path)?)? {
                let (name, shape) = &wanted[index];
                sample_count(shape, &tensor.shape).ok_or_else(|| SamplesError::Shape {
                    name: name.clone(),
                    found: tensor.shape.dims().to_vec(),
                    model: shape.dims().to_vec(),
                })?;
                samples.inputs[index].1.extend(tensor.data);
            }
        }
        let counts: Vec<usize> =
            samples.inputs.iter().map(|(shape, data)| data.len() / shape.elements().max(1)).collect();
        if let (false, Some(empty)) = (files.is_empty(), counts.iter().position(|&c| c == 0)) {
            return Err(SamplesError::Missing { name: wanted[empty].0.clone(), inputs: names(wanted) });
        }
        samples.count = counts.first().copied().unwrap_or(0);
        if counts.iter().any(|&c| c != samples.count) {
            return Err(SamplesError::Counts(counts));
        }
        Ok(samples)
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
    pub fn get(&self, index: usize) -> Result<Vec<Tensor>, SamplesError> {
        if index >= self.count {
            return Err(SamplesError::Index { index, count: self.count });
        }
        let part = |(shape, all): &(Shape, Vec<f64>)| {
            let size = shape.elements();
            Tensor { shape: shape.clone(), data: all[index * size..][..size].to_vec() }
        };
        Ok(self.inputs.iter().map(part).collect())
    }

    /// All of them, one list of input tensors each; at most `limit`.
    pub fn all(&self, limit: usize) -> Vec<Vec<Tensor>> {
        (0..self.count.min(limit)).filter_map(|i| self.get(i).ok()).collect()
    }
}

/// Which input each array of a file is for.
fn assign(
    wanted: &Wanted,
    file: &InputFile,
    mut arrays: Vec<(String, Tensor)>,
) -> Result<Vec<(usize, Tensor)>, SamplesError> {
    if let Some(name) = &file.name {
        if arrays.len() != 1 {
            return Err(SamplesError::Named { path: file.path.clone(), count: arrays.len() });
        }
        let index = wanted.iter().position(|(n, _)| n == name);
        let index = index.ok_or_else(|| SamplesError::Unknown { name: name.clone(), inputs: names(wanted) })?;
        return Ok(arrays.pop().map(|(_, tensor)| (index, tensor)).into_iter().collect());
    }
    let has_name = |name: &str| wanted.iter().any(|(n, _)| n == name);
    if let ([(_, shape)], false) = (wanted.as_slice(), arrays.iter().any(|(name, _)| has_name(name))) {
        let fitting = arrays.iter().position(|(_, t)| sample_count(shape, &t.shape).is_some()).unwrap_or(0);
        if fitting < arrays.len() {
            return Ok(vec![(0, arrays.swap_remove(fitting).1)]);
        }
    }
    let found = names(&arrays);
    let index = |name: &str| wanted.iter().position(|(n, _)| n == name);
    let own: Vec<_> = arrays.into_iter().filter_map(|(name, tensor)| Some((index(&name)?, tensor))).collect();
    if own.is_empty() {
        return Err(SamplesError::Unmatched { path: file.path.clone(), arrays: found, inputs: names(wanted) });
    }
    Ok(own)
}

fn names<T>(named: &[(String, T)]) -> String {
    let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

/// How many samples of shape `model` an array holds. Axes of extent 1 do not matter.
fn sample_count(model: &Shape, found: &Shape) -> Option<usize> {
    let squeeze = |dims: &[usize]| dims.iter().copied().filter(|&d| d != 1).collect::<Vec<_>>();
    let (model, found) = (model.dims(), found.dims());
    if squeeze(model) == squeeze(found) {
        return Some(1);
    }
    let (&count, rest) = found.split_first()?;
    // Several samples stacked, or concatenated along the model's own batch axis.
    if squeeze(rest) == squeeze(model) {
        return Some(count);
    }
    let (&batch, own) = model.split_first()?;
    let concatenated = !own.is_empty() && squeeze(rest) == squeeze(own) && batch > 0 && count.is_multiple_of(batch);
    concatenated.then(|| count / batch)
}

/// The only array of a file.
///
/// # Errors
/// When it cannot be read, or holds several.
pub fn read_array(path: &Path) -> Result<Tensor, SamplesError> {
    let mut arrays = array::load(path)?;
    match (arrays.pop(), arrays.len()) {
        (Some((_, tensor)), 0) => Ok(tensor),
        (_, others) => Err(SamplesError::NotOne { path: path.to_owned(), count: others + 1 }),
    }
}

/// The class of each sample: the array `labels` of a file, or its first one.
///
/// # Errors
/// When it cannot be read, or holds something else.
pub fn read_labels(path: &Path) -> Result<Vec<usize>, SamplesError> {
    let arrays = array::load(path)?;
    let named = arrays.iter().find(|(name, _)| name == "labels").or(arrays.first());
    let (_, labels) = named.ok_or_else(|| SamplesError::NotOne { path: path.to_owned(), count: 0 })?;
    let class = |&value: &f64| {
        let is_class = value >= 0.0 && value.fract() == 0.0;
        is_class.then_some(value as usize).ok_or_else(|| SamplesError::Label { path: path.to_owned(), value })
    };
    labels.data.iter().map(class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(model: &[usize], found: &[usize]) -> Option<usize> {
        sample_count(&Shape::new(model), &Shape::new(found))
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

    fn file(name: Option<&str>) -> InputFile {
        InputFile { name: name.map(str::to_owned), path: "file.npz".into() }
    }

    fn array(name: &str, dims: &[usize]) -> (String, Tensor) {
        let shape = Shape::new(dims);
        let data = (0..shape.elements()).map(|x| x as f64).collect();
        (name.to_owned(), Tensor { shape, data })
    }

    #[test]
    fn arrays_find_their_inputs() {
        let wanted: Wanted = vec![("a".into(), Shape::new([1, 2])), ("b".into(), Shape::new([3]))];
        let found = |wanted: &Wanted, name, arrays| {
            let assigned = assign(wanted, &file(name), arrays).map_err(|e| e.to_string())?;
            Ok::<_, String>(assigned.into_iter().map(|(i, t)| (i, t.shape.dims().to_vec())).collect::<Vec<_>>())
        };
        let both = vec![array("b", &[2, 3]), array("labels", &[2]), array("a", &[2, 2])];
        assert_eq!(found(&wanted, None, both), Ok(vec![(1, vec![2, 3]), (0, vec![2, 2])]));
        assert_eq!(found(&wanted, Some("b"), vec![array("x", &[3])]), Ok(vec![(1, vec![3])]));
        for (name, arrays, reason) in [
            (Some("b"), vec![array("x", &[3]), array("y", &[3])], "holds 2 arrays"),
            (Some("c"), vec![array("x", &[3])], "no input c"),
            (None, vec![array("x", &[3])], "none of which is named like an input (a, b)"),
        ] {
            let error = found(&wanted, name, arrays).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
        let one: Wanted = wanted[..1].to_vec();
        assert_eq!(found(&one, None, vec![array("labels", &[9]), array("x", &[5, 2])]), Ok(vec![(0, vec![5, 2])]));
    }
}
