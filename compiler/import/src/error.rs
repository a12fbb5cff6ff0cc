//! What can be wrong with a model, and what to do about it.

use hec_ir::tensor::{InterpretError, ShapeError};
use std::fmt;

/// Kinds of import errors; each has a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The file cannot be read.
    Unreadable,
    /// The file is not a well-formed ONNX model.
    Malformed,
    /// The operator set or IR version is outside the supported range.
    Version,
    /// Weights stored in another file are missing, truncated or outside the model's folder.
    ExternalData,
    /// The operator is not supported on encrypted values.
    Operator,
    /// The operator is supported, but not in this form.
    Form,
    /// Shapes do not fit.
    Shape,
    /// An axis has no fixed extent.
    DynamicAxis,
    /// The element type cannot be encrypted or read.
    ElementType,
    /// A constant is not finite, or a division by zero would be needed.
    Number,
    /// A tensor is larger than what the file justifies or the compiler handles.
    TooLarge,
    /// An output of the model cannot be an encrypted result.
    Output,
}

impl Code {
    /// The code as printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Unreadable => "HEC-I001",
            Code::Malformed => "HEC-I002",
            Code::Operator => "HEC-I003",
            Code::Form => "HEC-I004",
            Code::Shape => "HEC-I005",
            Code::DynamicAxis => "HEC-I006",
            Code::ElementType => "HEC-I007",
            Code::Number => "HEC-I008",
            Code::ExternalData => "HEC-I009",
            Code::Version => "HEC-I010",
            Code::TooLarge => "HEC-I011",
            Code::Output => "HEC-I012",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a model cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ImportError {
    /// The kind of error.
    pub code: Code,
    /// The ONNX node's name; empty when the error concerns the whole model.
    pub node: String,
    /// The ONNX operator, or `input` or `output` of the model; empty when there is none.
    pub operator: String,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub advice: String,
    /// How many other problems the model has; a check lists them all.
    pub more: usize,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code)?;
        match (self.node.is_empty(), self.operator.is_empty()) {
            (false, false) if matches!(self.operator.as_str(), "input" | "output") => {
                write!(f, "{} \"{}\": ", self.operator, self.node)?;
            }
            (false, false) => write!(f, "layer \"{}\" ({}): ", self.node, self.operator)?,
            (false, true) => write!(f, "\"{}\": ", self.node)?,
            _ => {}
        }
        write!(f, "{}. {}", self.reason, self.advice)?;
        match self.more {
            0 => Ok(()),
            1 => f.write_str(" (There is one more problem: `hec check` lists it.)"),
            n => write!(f, " (There are {n} more problems: `hec check` lists them.)"),
        }
    }
}

/// An error before it is known to which node it belongs.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub code: Code,
    pub reason: String,
    pub advice: String,
}

impl Fault {
    pub fn new(code: Code, reason: impl Into<String>, advice: impl Into<String>) -> Self {
        Fault { code, reason: reason.into(), advice: advice.into() }
    }

    /// A violation of the ONNX format.
    pub fn malformed(reason: impl Into<String>) -> Self {
        Fault::new(Code::Malformed, reason, "Export the model again and check it with `onnx.checker.check_model`")
    }

    /// A form of a supported operator that is not.
    pub fn form(reason: impl Into<String>, advice: impl Into<String>) -> Self {
        Fault::new(Code::Form, reason, advice)
    }

    /// Shapes that do not fit.
    pub fn shape(reason: impl Into<String>) -> Self {
        Fault::new(Code::Shape, reason, "Check the model's shapes with `onnx.shape_inference.infer_shapes`")
    }

    pub fn at(self, node: &str, operator: &str) -> ImportError {
        let Fault { code, reason, advice } = self;
        ImportError { code, node: node.to_owned(), operator: operator.to_owned(), reason, advice, more: 0 }
    }

    /// An error of the whole model.
    pub fn of_model(self) -> ImportError {
        self.at("", "")
    }
}

impl From<ShapeError> for Fault {
    fn from(error: ShapeError) -> Self {
        Fault::shape(error.to_string())
    }
}

impl From<InterpretError> for Fault {
    fn from(error: InterpretError) -> Self {
        Fault::shape(format!("its constant inputs cannot be evaluated: {error}"))
    }
}
