//! A node with its resolved inputs: what an operator's rule reads.

use crate::error::{Code, Fault};
use crate::model::{Attribute, Node};
use crate::tensor_proto::Kind;
use hec_ir::tensor::{ClientOp, Tensor, ValueId};
use std::sync::Arc;

/// Largest magnitude of an integer attribute: far above any extent, and sums of a few cannot overflow.
const MAX_INTEGER: i64 = 1 << 31;

/// A tensor known while compiling.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    pub name: String,
    pub tensor: Arc<Tensor>,
    pub kind: Kind,
}

impl Constant {
    pub fn new(name: impl Into<String>, tensor: Tensor, kind: Kind) -> Self {
        Constant { name: name.into(), tensor: Arc::new(tensor), kind }
    }

    /// The elements as integers; values beyond the range saturate.
    pub fn integers(&self) -> Vec<i64> {
        self.tensor.data.iter().map(|&v| v as i64).collect()
    }

    /// The only value that its elements have.
    pub fn uniform(&self) -> Option<f64> {
        let first = *self.tensor.data.first()?;
        self.tensor.data.iter().all(|&v| v == first).then_some(first)
    }
}

/// What a name of the model stands for.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Constant(Constant),
    Encrypted(ValueId),
    /// Integers of an input, which the client looks up in tables before encryption.
    Tokens(ValueId),
    /// Encrypted, and to be finished by the client.
    Client(ValueId, Vec<ClientOp>),
    /// Of unknown shape, because of an error before; a stand-in of the graph.
    Unknown(ValueId),
}

/// A node with its inputs.
pub(crate) struct Call<'a> {
    pub node: &'a Node,
    pub inputs: Vec<Option<Value>>,
    pub opset: i64,
}

impl Call<'_> {
    /// The input, which must be given.
    pub fn value(&self, index: usize) -> Result<&Value, Fault> {
        let value = self.inputs.get(index).and_then(Option::as_ref);
        value.ok_or_else(|| Fault::malformed(format!("input {index} is missing")))
    }

    /// The encrypted input at `index`.
    pub fn encrypted(&self, index: usize) -> Result<ValueId, Fault> {
        match self.value(index)? {
            Value::Encrypted(id) => Ok(*id),
            Value::Constant(_) => Err(Fault::form(
                format!("input {index} is a constant, and another input is encrypted"),
                "Rewrite the layer so that its data input is the encrypted one",
            )),
            Value::Tokens(_) => Err(crate::tokens::misuse()),
            Value::Client(..) | Value::Unknown(_) => Err(after_client()),
        }
    }

    /// The constant input at `index`.
    pub fn constant(&self, index: usize) -> Result<&Constant, Fault> {
        match self.value(index)? {
            Value::Constant(constant) => Ok(constant),
            _ => Err(Fault::form(
                format!("input {index} is encrypted, but must be a constant"),
                "Export the model with its weights and shapes fixed",
            )),
        }
    }

    /// The constant input at `index`, if it is given.
    pub fn optional(&self, index: usize) -> Result<Option<&Constant>, Fault> {
        match self.inputs.get(index) {
            Some(Some(_)) => self.constant(index).map(Some),
            _ => Ok(None),
        }
    }

    /// Integers that are an input in newer operator sets and an attribute in older ones.
    pub fn integers(&self, index: usize, attribute: &str) -> Result<Option<Vec<i64>>, Fault> {
        match self.optional(index)? {
            Some(constant) => Ok(Some(constant.integers())),
            None => self.raw_ints(attribute),
        }
    }

    /// An integer attribute.
    pub fn int(&self, name: &str, default: i64) -> Result<i64, Fault> {
        match self.node.attributes.get(name) {
            None => Ok(default),
            Some(&Attribute::Int(v)) if v.abs_diff(0) <= MAX_INTEGER.unsigned_abs() => Ok(v),
            Some(_) => Err(wrong_attribute(name, "an integer in range")),
        }
    }

    /// A list of integers, of any magnitude.
    pub fn raw_ints(&self, name: &str) -> Result<Option<Vec<i64>>, Fault> {
        match self.node.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values.clone())),
            Some(_) => Err(wrong_attribute(name, "a list of integers")),
        }
    }

    /// A list of integers in range.
    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Fault> {
        match self.raw_ints(name)? {
            Some(values) if values.iter().any(|v| v.abs_diff(0) > MAX_INTEGER.unsigned_abs()) => {
                Err(wrong_attribute(name, "a list of integers in range"))
            }
            values => Ok(values),
        }
    }

    /// A real attribute.
    pub fn float(&self, name: &str, default: f64) -> Result<f64, Fault> {
        match self.node.attributes.get(name) {
            None => Ok(default),
            Some(&Attribute::Float(v)) if v.is_finite() => Ok(v),
            Some(_) => Err(wrong_attribute(name, "a finite number")),
        }
    }

    /// A text attribute.
    pub fn text(&self, name: &str, default: &str) -> Result<String, Fault> {
        match self.node.attributes.get(name) {
            None => Ok(default.to_owned()),
            Some(Attribute::Text(text)) => Ok(text.clone()),
            Some(_) => Err(wrong_attribute(name, "text")),
        }
    }

    /// The axis attribute as an index below `rank`, or up to `rank` if `end` is allowed.
    pub fn axis(&self, default: i64, rank: usize, end: bool) -> Result<usize, Fault> {
        let axis = self.int("axis", default)?;
        if end && axis == rank as i64 {
            return Ok(rank);
        }
        axis_index(axis, rank)
    }
}

/// A possibly negative axis as an index below `rank`.
pub(crate) fn axis_index(axis: i64, rank: usize) -> Result<usize, Fault> {
    let index = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(index)
        .ok()
        .filter(|&a| a < rank)
        .ok_or_else(|| Fault::shape(format!("axis {axis} does not exist in a tensor of {rank} axes")))
}

/// Several axes, ascending and distinct.
pub(crate) fn axis_indices(axes: &[i64], rank: usize) -> Result<Vec<usize>, Fault> {
    let mut indices = axes.iter().map(|&a| axis_index(a, rank)).collect::<Result<Vec<_>, _>>()?;
    indices.sort_unstable();
    match indices.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err(Fault::shape(format!("axes {axes:?} name one axis twice"))),
        false => Ok(indices),
    }
}

/// A count or extent as an index type.
pub(crate) fn natural(value: i64, what: &str) -> Result<usize, Fault> {
    match usize::try_from(value) {
        Ok(n) if value <= MAX_INTEGER => Ok(n),
        _ => Err(Fault::form(format!("{what} is {value}"), "Use a value that is not negative and in range")),
    }
}

/// Nothing encrypted can follow what the client does.
pub(crate) fn after_client() -> Fault {
    Fault::new(
        Code::Form,
        "it follows a layer that is left to the client",
        "Only the last layer can be left to the client: cut the model there",
    )
}

fn wrong_attribute(name: &str, expected: &str) -> Fault {
    Fault::malformed(format!("attribute {name} is not {expected}"))
}
