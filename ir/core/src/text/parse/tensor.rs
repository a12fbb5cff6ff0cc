//! `tensor name { const …  %x = op …  output … }`

use super::cursor::{Cursor, Parsed};
use super::symbols::Symbols;
use crate::tensor::{
    ConstId, ConvAttributes, Function, Graph, LinearStep, Node, Normalization, Op, Output, Tensor, ValueId, Window,
};
use crate::text::token::Token;
use hec_poly::Basis;
use std::sync::{Arc, LazyLock};

/// Every operation: linear steps first, which may also stand in a chain; functions last.
static OPS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let functions = Function::all().map(Function::name);
    STEPS.iter().chain(OTHERS).copied().chain(functions).collect()
});

/// The linear steps.
const STEPS: &[&str] =
    &["conv", "matmul", "scale", "average_pool", "mean", "reshape", "transpose", "slice", "pad", "expand"];

/// What is neither a linear step nor a function.
const OTHERS: &[&str] = &[
    "input",
    "linear",
    "add_constant",
    "negate",
    "add",
    "sub",
    "mul",
    "batch_matmul",
    "square",
    "power",
    "polynomial",
    "max_pool",
    "softmax",
    "lookup",
    "layer_norm",
    "rms_norm",
];

/// The graph as it grows.
struct Reader {
    graph: Graph,
    values: Symbols<ValueId>,
    constants: Symbols<ConstId>,
}

/// A tensor graph, after its keyword.
pub(super) fn graph(c: &mut Cursor) -> Parsed<Graph> {
    let span = c.span();
    let graph = Graph::new(c.network_name()?);
    let mut reader = Reader { graph, values: Symbols::new("value"), constants: Symbols::new("constant") };
    c.expect(Token::BraceOpen, "the statements stand in braces")?;
    while !c.eat(Token::BraceClose) {
        if c.token() == Token::Value {
            reader.node(c)?;
            continue;
        }
        match c.statement("%x =", &["const", "output"])? {
            "const" => reader.constant(c)?,
            _ => reader.output(c)?,
        }
    }
    reader.graph.verify().map_err(|e| c.ill_formed(span, "a well-formed tensor graph", e))?;
    Ok(reader.graph)
}

impl Reader {
    /// `const @b : f64[2] = [0.5, -1]`, or `= external`
    fn constant(&mut self, c: &mut Cursor) -> Parsed<()> {
        let span = c.span();
        let name = self.constants.fresh_name(c)?;
        c.expect(Token::Colon, "after the name of a constant stands `: f64[…]`")?;
        c.word("f64")?;
        let shape = c.shape()?;
        c.expect(Token::Equals, "then the numbers, or `external`")?;
        let values = c.span();
        let tensor = match c.eat_word("external") {
            true => c.external(values, &name, &shape)?,
            false => {
                let data = c.list(Cursor::float)?;
                let (found, expected) = (data.len(), format!("as many numbers as {:?} has elements", shape.dims()));
                let fits = shape.dims().iter().try_fold(1usize, |n, &extent| n.checked_mul(extent)) == Some(found);
                if !fits {
                    return Err(c.error(values, expected, format!("{found}"), "numbers stand in row-major order"));
                }
                Arc::new(Tensor { shape, data })
            }
        };
        let id = self.graph.constants.add(&name, tensor);
        if self.graph.constants.name(id) != name {
            return Err(c.refuse(span, "a name of letters, digits and _ . / : -", "rename the constant"));
        }
        self.constants.define(name, id);
        Ok(())
    }

    /// `%x = op … : [shape] from "…"`
    fn node(&mut self, c: &mut Cursor) -> Parsed<()> {
        let name = self.values.fresh_value(c)?;
        c.expect(Token::Equals, "a value is defined by `%x = operation`")?;
        let span = c.span();
        let (op, args) = self.operation(c)?;
        let has_shape = c.eat(Token::Colon);
        let declared_at = c.span();
        let declared = if has_shape { Some(c.shape()?) } else { None };
        let shape = match (&op, declared) {
            (Op::Input { .. }, Some(shape)) => shape,
            (Op::Input { .. }, None) => return Err(c.fail("`: [shape]` of the input", "it cannot be inferred")),
            (_, declared) => {
                let fits = "an operation that fits its arguments";
                let inferred = self.graph.infer(&op, &args).map_err(|e| c.refuse(span, fits, e))?;
                if let Some(declared) = declared.filter(|shape| *shape != inferred) {
                    let (expected, found) = (format!("{:?}", inferred.dims()), format!("{:?}", declared.dims()));
                    return Err(c.error(declared_at, expected, found, "the shape may be left out"));
                }
                inferred
            }
        };
        let origin = c.origin()?;
        self.values.define(name, self.graph.nodes.push(Node { op, args, shape, origin }));
        Ok(())
    }

    fn operation(&mut self, c: &mut Cursor) -> Parsed<(Op, Vec<ValueId>)> {
        let name = c.keyword("an operation", &OPS)?;
        if name == "input" {
            return Ok((Op::Input { name: c.string("the name of the input")? }, Vec::new()));
        }
        let x = self.values.value(c)?;
        if STEPS.contains(&name) {
            let step = self.step(c, name, true)?;
            return Ok((Op::Linear(vec![step]), vec![x]));
        }
        let op = match name {
            "linear" => Op::Linear(self.chain(c)?),
            "add_constant" => Op::AddConstant(self.operand(c)?),
            "polynomial" => {
                let coefficients = self.operand(c)?;
                let basis = match c.keyword("the basis of the polynomial", &["monomial", "chebyshev"])? {
                    "monomial" => Basis::Monomial,
                    _ => Basis::Chebyshev,
                };
                Op::Polynomial { basis, coefficients }
            }
            "add" | "sub" | "mul" | "batch_matmul" => {
                c.expect(Token::Comma, "it takes two values")?;
                let y = self.values.value(c)?;
                let op = match name {
                    "add" => Op::Add,
                    "sub" => Op::Sub,
                    "mul" => Op::Mul,
                    _ => Op::BatchMatMul,
                };
                return Ok((op, vec![x, y]));
            }
            "negate" => Op::Negate,
            "square" => Op::Square,
            "power" => {
                c.expect(Token::Comma, "then the exponent")?;
                Op::Power(c.integer("an exponent")?)
            }
            "max_pool" => Op::MaxPool(window(c)?),
            "softmax" => {
                c.word("axis")?;
                Op::Softmax { axis: c.integer("an axis")? }
            }
            "lookup" => Op::Lookup { table: self.operand(c)? },
            "layer_norm" | "rms_norm" => Op::Normalize(normalization(c, name == "layer_norm")?),
            function => Op::Activation(activation(c, function)?),
        };
        Ok((op, vec![x]))
    }

    /// `, @constant`
    fn operand(&self, c: &mut Cursor) -> Parsed<ConstId> {
        c.expect(Token::Comma, "then the constant")?;
        self.constants.name(c)
    }

    /// `{ step; step }`
    fn chain(&self, c: &mut Cursor) -> Parsed<Vec<LinearStep>> {
        c.expect(Token::BraceOpen, "the steps of the chain stand in braces")?;
        let mut steps = Vec::new();
        while !c.eat(Token::BraceClose) {
            if !steps.is_empty() {
                c.expect(Token::Semicolon, "steps are separated by `;`")?;
            }
            let name = c.keyword("a linear step", STEPS)?;
            steps.push(self.step(c, name, false)?);
        }
        Ok(steps)
    }

    /// The rest of a linear step. Alone, its constant follows the argument after a comma.
    fn step(&self, c: &mut Cursor, name: &str, alone: bool) -> Parsed<LinearStep> {
        let constant = |c: &mut Cursor| if alone { self.operand(c) } else { self.constants.name(c) };
        Ok(match name {
            "conv" => LinearStep::Conv { weight: constant(c)?, attributes: conv_attributes(c)? },
            "matmul" => LinearStep::MatMul { weight: constant(c)? },
            "scale" => LinearStep::Scale { factor: constant(c)? },
            "average_pool" => LinearStep::AveragePool(window(c)?),
            "mean" => LinearStep::Mean { axes: c.integers("an axis")? },
            "reshape" => LinearStep::Reshape { shape: c.shape()? },
            "transpose" => LinearStep::Transpose { permutation: c.integers("an axis")? },
            "slice" => slice(c)?,
            "pad" => {
                c.word("before")?;
                let before = c.integers("a number of zeros")?;
                c.word("after")?;
                LinearStep::Pad { before, after: c.integers("a number of zeros")? }
            }
            _ => LinearStep::Expand { shape: c.shape()? },
        })
    }

    /// `output "y" %x client softmax 1`
    fn output(&mut self, c: &mut Cursor) -> Parsed<()> {
        let name = c.string("the name of the output")?;
        let value = self.values.value(c)?;
        self.graph.outputs.push(Output { name, value, client: c.client()? });
        Ok(())
    }
}

/// `strides [1,1] pads [0,0,0,0] dilations [1,1] groups 1`: any of them, each at most once, in any order.
fn conv_attributes(c: &mut Cursor) -> Parsed<ConvAttributes> {
    let mut attributes = ConvAttributes { strides: [1, 1], pads: [0; 4], dilations: [1, 1], groups: 1 };
    let mut left = vec!["strides", "pads", "dilations", "groups"];
    while let Some(attribute) = c.eat_any(&left) {
        left.retain(|&a| a != attribute);
        match attribute {
            "strides" => attributes.strides = c.array("a stride")?,
            "pads" => attributes.pads = c.array("a number of zeros")?,
            "dilations" => attributes.dilations = c.array("a distance")?,
            _ => attributes.groups = c.integer("a number of groups")?,
        }
    }
    Ok(attributes)
}

/// `kernel [2,2] strides [2,2] pads [0,0,0,0] count_include_pad`: the strides default to the kernel.
fn window(c: &mut Cursor) -> Parsed<Window> {
    c.word("kernel")?;
    let kernel = c.array("an extent")?;
    let mut window = Window { kernel, strides: kernel, pads: [0; 4], count_include_pad: false };
    let mut left = vec!["strides", "pads", "count_include_pad"];
    while let Some(attribute) = c.eat_any(&left) {
        left.retain(|&a| a != attribute);
        match attribute {
            "strides" => window.strides = c.array("a stride")?,
            "pads" => window.pads = c.array("a number of zeros")?,
            _ => window.count_include_pad = true,
        }
    }
    Ok(window)
}

/// `axes [2] epsilon 0.00001`
fn normalization(c: &mut Cursor, center: bool) -> Parsed<Normalization> {
    c.word("axes")?;
    let axes = c.integers("an axis")?;
    c.word("epsilon")?;
    Ok(Normalization { axes, center, epsilon: c.float()? })
}

/// `starts [0,0] steps [1,1] extents [2,2]`: the steps default to 1.
fn slice(c: &mut Cursor) -> Parsed<LinearStep> {
    c.word("starts")?;
    let starts: Vec<usize> = c.integers("a first index")?;
    let steps = match c.eat_word("steps") {
        true => c.list(|c| c.signed("a step"))?,
        false => vec![1; starts.len()],
    };
    c.word("extents")?;
    Ok(LinearStep::Slice { starts, steps, extents: c.integers("an extent")? })
}

/// A function by its name, which each parameter follows with its own, as in `clip %x low 0 high 6`.
fn activation(c: &mut Cursor, name: &str) -> Parsed<Function> {
    let parameter = |name: &'static str| {
        c.word(name)?;
        c.float()
    };
    let function = Function::read(name, parameter)?;
    function.ok_or_else(|| c.fail("an operation", "this word is none"))
}
