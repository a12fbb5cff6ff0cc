//! Sums of products by index: those of two operands that are matrix products after a permutation of axes.

use crate::call::{Call, Constant, Value};
use crate::error::Fault;
use crate::lower::Lowering;
use crate::model::Attribute;
use crate::{matrix, product};
use hec_ir::Origin;
use hec_ir::tensor::{Graph, LinearStep, Output, Shape, Tensor, ValueId};
use std::sync::Arc;

/// Which index stands for which axis: of both operands and of the result.
struct Equation {
    left: Vec<char>,
    right: Vec<char>,
    result: Vec<char>,
}

pub(crate) fn einsum(lowering: &mut Lowering, call: &Call) -> Result<Vec<Value>, Fault> {
    let text = match call.node.attributes.get("equation") {
        Some(Attribute::Text(text)) => text.clone(),
        _ => return Err(Fault::malformed("the equation is missing")),
    };
    if call.inputs.len() != 2 {
        return Err(unsupported(&text));
    }
    let equation = Equation::parse(&text).ok_or_else(|| unsupported(&text))?;
    let y = match (call.value(0)?, call.value(1)?) {
        (Value::Encrypted(x), y @ (Value::Encrypted(_) | Value::Constant(_))) => {
            equation.lower(lowering, *x, y, &text)?
        }
        (y @ Value::Constant(_), Value::Encrypted(x)) => equation.swapped().lower(lowering, *x, y, &text)?,
        _ => return Err(crate::call::after_client()),
    };
    Ok(vec![Value::Encrypted(y)])
}

fn unsupported(text: &str) -> Fault {
    Fault::form(
        format!("the equation {text:?} is not a product of two matrices after a permutation of axes"),
        "Write it with MatMul, Transpose, Mul and ReduceSum",
    )
}

impl Equation {
    fn parse(text: &str) -> Option<Equation> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (operands, result) = text.split_once("->")?;
        let (left, right) = operands.split_once(',')?;
        let indices = |part: &str| {
            let all: Vec<char> = part.chars().collect();
            let distinct = all.iter().enumerate().all(|(i, c)| c.is_ascii_alphabetic() && !all[..i].contains(c));
            distinct.then_some(all)
        };
        let equation = Equation { left: indices(left)?, right: indices(right)?, result: indices(result)? };
        let Equation { left, right, result } = &equation;
        let known = result.iter().all(|c| left.contains(c) || right.contains(c));
        // An index of one operand alone that the result lacks would be a sum before the product.
        let used = |own: &[char], other: &[char]| own.iter().all(|c| other.contains(c) || result.contains(c));
        (known && used(left, right) && used(right, left)).then_some(equation)
    }

    fn swapped(self) -> Equation {
        Equation { left: self.right, right: self.left, result: self.result }
    }

    fn lower(&self, lowering: &mut Lowering, x: ValueId, y: &Value, text: &str) -> Result<ValueId, Fault> {
        let Equation { left, right, result } = self;
        let of = |keep: &dyn Fn(&char) -> bool| result.iter().copied().filter(|c| keep(c)).collect::<Vec<char>>();
        let batch = of(&|c| left.contains(c) && right.contains(c));
        let (rows, columns) = (of(&|c| !right.contains(c)), of(&|c| !left.contains(c)));
        let inner: Vec<char> = left.iter().copied().filter(|c| right.contains(c) && !result.contains(c)).collect();
        let shape = lowering.graph.shape(x).clone();
        let other = match y {
            Value::Constant(c) => c.tensor.shape.clone(),
            Value::Encrypted(y) => lowering.graph.shape(*y).clone(),
            _ => return Err(crate::call::after_client()),
        };
        if shape.rank() != left.len() || other.rank() != right.len() {
            return Err(Fault::shape(format!("the equation {text:?} does not fit the operands' axes")));
        }
        let extent = |c: &char| match left.iter().position(|l| l == c) {
            Some(at) => shape.dims()[at],
            None => right.iter().position(|r| r == c).map_or(1, |at| other.dims()[at]),
        };
        if right.iter().zip(other.dims()).any(|(c, &d)| extent(c) != d) {
            return Err(Fault::shape(format!("an index of {text:?} stands for axes of different extents")));
        }
        let extents = |part: &[char]| part.iter().map(extent).collect::<Vec<usize>>();
        let size = |part: &[char]| extents(part).iter().product::<usize>();
        let matrices = |own: &[char], [first, second]: [&[char]; 2]| {
            let order = [&batch, first, second].concat();
            let permutation = order.iter().filter_map(|c| own.iter().position(|o| o == c)).collect();
            let shape = Shape::new([extents(&batch), vec![size(first), size(second)]].concat());
            vec![LinearStep::Transpose { permutation }, LinearStep::Reshape { shape }]
        };
        let x = lowering.linear(x, matrices(left, [&rows, &inner]))?;
        let steps = matrices(right, [&inner, &columns]);
        let product = match y {
            Value::Constant(c) => {
                let moved = moved(lowering, c, steps)?;
                matrix::right(lowering, x, &moved)?
            }
            Value::Encrypted(y) => {
                let y = lowering.linear(*y, steps)?;
                product::matmul(lowering, x, y)?
            }
            _ => return Err(crate::call::after_client()),
        };
        let made = [batch.as_slice(), &rows, &columns].concat();
        let permutation = result.iter().filter_map(|c| made.iter().position(|m| m == c)).collect();
        let steps =
            vec![LinearStep::Reshape { shape: Shape::new(extents(&made)) }, LinearStep::Transpose { permutation }];
        lowering.linear(product, steps)
    }
}

/// A constant after linear steps that need no other constants.
fn moved(lowering: &mut Lowering, c: &Constant, steps: Vec<LinearStep>) -> Result<Constant, Fault> {
    lowering.charge(c.tensor.data.len())?;
    let mut graph = Graph::new("constant");
    let x = graph.input("x", c.tensor.shape.clone());
    let value = graph.push(hec_ir::tensor::Op::Linear(steps), [x], Origin::default())?;
    graph.outputs.push(Output { name: String::new(), value, client: Vec::new() });
    let tensor: Option<Tensor> = graph.run(std::slice::from_ref(c.tensor.as_ref()))?.pop();
    let tensor = tensor.ok_or_else(|| Fault::malformed("it has no result"))?;
    Ok(Constant { tensor: Arc::new(tensor), ..c.clone() })
}
