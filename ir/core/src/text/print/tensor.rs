//! The tensor level.

use super::super::token::{at_name, number, quote, word_or_quote};
use super::{Body, Printer, Values, client, numbers, origin, tight};
use crate::tensor::{ConstId, Constants, ConvAttributes, Graph, LinearStep, Node, Op, Tensor, Window};
use hec_poly::Basis;
use std::sync::Arc;

impl Body for Graph {
    fn write(&self, p: &mut Printer) {
        p.outer(format_args!("tensor {} {{", word_or_quote(&self.name)));
        for (_, name, tensor) in self.constants.iter() {
            let values = values(p, name, tensor);
            p.line(format_args!("const {} : f64{} = {values}", at_name(name), tight(tensor.shape.dims())));
        }
        for (id, node) in self.nodes.iter() {
            let operation = operation(self, node);
            p.line(format_args!("{id} = {operation} : {}{}", tight(node.shape.dims()), origin(&node.origin)));
        }
        for output in &self.outputs {
            p.line(format_args!("output {} {}{}", quote(&output.name), output.value, client(&output.client)));
        }
        p.outer(format_args!("}}"));
    }
}

fn values(p: &mut Printer, name: &str, tensor: &Arc<Tensor>) -> String {
    match p.values {
        Values::Elided if p.outside(tensor.data.len()) => "...".to_owned(),
        Values::External if p.outside(tensor.data.len()) => {
            p.external.insert(name.to_owned(), tensor.clone());
            "external".to_owned()
        }
        _ => numbers(&tensor.data),
    }
}

/// The name of a constant; of one that does not exist, something that no parser takes.
fn constant(constants: &Constants, id: ConstId) -> String {
    constants.get(id).map_or_else(|| format!("@?{}", id.0), |_| at_name(constants.name(id)))
}

/// An operation with its arguments.
fn operation(graph: &Graph, node: &Node) -> String {
    let args: Vec<_> = node.args.iter().map(ToString::to_string).collect();
    let args = args.join(", ");
    let name = node.op.name();
    match &node.op {
        Op::Input { name } => format!("input {}", quote(name)),
        Op::Linear(steps) => match steps.as_slice() {
            [step] => {
                let comma = if step.constant().is_some() { "," } else { "" };
                format!("{name} {args}{comma}{}", operands(&graph.constants, step))
            }
            [] => format!("linear {args} {{ }}"),
            _ => {
                let chain = |step| format!("{}{}", LinearStep::name(step), operands(&graph.constants, step));
                format!("linear {args} {{ {} }}", steps.iter().map(chain).collect::<Vec<_>>().join("; "))
            }
        },
        Op::AddConstant(id) => format!("{name} {args}, {}", constant(&graph.constants, *id)),
        Op::Power(exponent) => format!("{name} {args}, {exponent}"),
        Op::Polynomial { basis, coefficients } => {
            let basis = match basis {
                Basis::Monomial => "monomial",
                Basis::Chebyshev => "chebyshev",
            };
            format!("{name} {args}, {} {basis}", constant(&graph.constants, *coefficients))
        }
        Op::Activation(function) => {
            let parameter = |(name, value)| format!(" {name} {}", number(value));
            format!("{name} {args}{}", function.parameters().into_iter().map(parameter).collect::<String>())
        }
        Op::MaxPool(w) => format!("{name} {args}{}", window(w)),
        Op::Softmax { axis } => format!("{name} {args} axis {axis}"),
        Op::Lookup { table } => format!("{name} {args}, {}", constant(&graph.constants, *table)),
        Op::Normalize(n) => format!("{name} {args} axes {} epsilon {}", tight(&n.axes), number(n.epsilon)),
        Op::Negate | Op::Add | Op::Sub | Op::Mul | Op::Square | Op::BatchMatMul => format!("{name} {args}"),
    }
}

/// What follows the name of a step, with a space before it.
fn operands(constants: &Constants, step: &LinearStep) -> String {
    match step {
        LinearStep::Conv { weight, attributes } => {
            format!(" {}{}", constant(constants, *weight), conv_attributes(attributes))
        }
        LinearStep::MatMul { weight } => format!(" {}", constant(constants, *weight)),
        LinearStep::Scale { factor } => format!(" {}", constant(constants, *factor)),
        LinearStep::AveragePool(w) => window(w),
        LinearStep::Mean { axes } => format!(" {}", tight(axes)),
        LinearStep::Reshape { shape } | LinearStep::Expand { shape } => format!(" {}", tight(shape.dims())),
        LinearStep::Transpose { permutation } => format!(" {}", tight(permutation)),
        LinearStep::Slice { starts, steps, extents } => {
            let steps = if steps.iter().all(|&s| s == 1) && steps.len() == starts.len() {
                String::new()
            } else {
                format!(" steps {}", tight(steps))
            };
            format!(" starts {}{steps} extents {}", tight(starts), tight(extents))
        }
        LinearStep::Pad { before, after } => format!(" before {} after {}", tight(before), tight(after)),
    }
}

/// Attributes that differ from their defaults.
fn conv_attributes(a: &ConvAttributes) -> String {
    let mut out = String::new();
    if a.strides != [1, 1] {
        out.push_str(&format!(" strides {}", tight(&a.strides)));
    }
    if a.pads != [0; 4] {
        out.push_str(&format!(" pads {}", tight(&a.pads)));
    }
    if a.dilations != [1, 1] {
        out.push_str(&format!(" dilations {}", tight(&a.dilations)));
    }
    if a.groups != 1 {
        out.push_str(&format!(" groups {}", a.groups));
    }
    out
}

/// A window, its padding only if there is some.
fn window(w: &Window) -> String {
    let mut out = format!(" kernel {} strides {}", tight(&w.kernel), tight(&w.strides));
    if w.pads != [0; 4] {
        out.push_str(&format!(" pads {}", tight(&w.pads)));
    }
    if w.count_include_pad {
        out.push_str(" count_include_pad");
    }
    out
}
