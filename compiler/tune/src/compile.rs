//! From a tensor graph to steps on buffers.

use crate::TuneError;
use crate::average::Average;
use crate::borders::tied;
use crate::layout::Broadcast;
use crate::parameters::Sizes;
use crate::polynomial::Polynomial;
use crate::product::Product;
use crate::program::{Kernel, Program, SlotId, Step, Weights};
use hec_ir::entity::EntityVec;
use hec_ir::tensor::{ConstId, Graph, LinearStep, Node, Op, Shape, ShapeError, ValueId};

impl Program {
    /// Compile a network.
    ///
    /// An affine map of the inputs is preprocessing and stays as it is; all other constants are trained.
    ///
    /// # Errors
    /// When it holds an operation that cannot be trained, or is ill-formed.
    pub fn compile(graph: &Graph) -> Result<Self, TuneError> {
        Self::with_borders(graph, 0)
    }

    /// The same; polynomials that are equal are trained as one, but at the borders of images, for as many rows and columns
    /// as `borders` says.
    ///
    /// # Errors
    /// As those of [`Program::compile`].
    pub fn with_borders(graph: &Graph, borders: usize) -> Result<Self, TuneError> {
        let program = Program {
            slots: EntityVec::new(),
            trained: EntityVec::new(),
            steps: Vec::new(),
            inputs: Vec::new(),
            values: EntityVec::new(),
            sizes: Sizes::default(),
            guard: 0.0,
        };
        let uses = graph.users().values().map(Vec::len).collect();
        let mut compiler = Compiler { graph, program, uses, borders };
        for (id, node) in graph.nodes.iter() {
            let slot = compiler.node(id, node)?;
            compiler.program.values.push(slot);
        }
        Ok(compiler.program)
    }
}

struct Compiler<'a> {
    graph: &'a Graph,
    program: Program,
    uses: EntityVec<ValueId, usize>,
    borders: usize,
}

impl Compiler<'_> {
    fn node(&mut self, id: ValueId, node: &Node) -> Result<SlotId, TuneError> {
        let args: Vec<SlotId> = node.args.iter().map(|&a| self.program.values[a]).collect();
        let kernel = match &node.op {
            Op::Input { .. } => {
                let slot = self.slot(node.shape.elements(), false);
                self.program.inputs.push(slot);
                return Ok(slot);
            }
            Op::Linear(steps) => return self.chain(id, node, args[0], steps),
            Op::AddConstant(constant) => return self.shift(id, node, args[0], *constant),
            Op::Polynomial { basis, coefficients } => {
                let constant = self.graph.constants.tensor(*coefficients);
                let (&count, lead) = constant.shape.dims().split_last().unwrap_or((&1, &[]));
                let broadcast = self.broadcast(&Shape::new(lead), node)?;
                let rows = tied(constant, self.borders);
                let kernel = Kernel::Polynomial(Polynomial::new(*basis, count - 1, broadcast, rows));
                return Ok(self.weighted(kernel, args, node.shape.elements(), (id, 0), *coefficients));
            }
            Op::Negate => Kernel::Negate,
            Op::Add => Kernel::Sum { factor: 1.0 },
            Op::Sub => Kernel::Sum { factor: -1.0 },
            Op::Mul => Kernel::Multiply,
            Op::Square => Kernel::Power(2),
            Op::Power(k) => Kernel::Power(*k),
            Op::Activation(function) => Kernel::Function(*function),
            Op::MaxPool(window) => Kernel::Maximum(Average::pool(window, self.graph.shape(node.args[0]), &node.shape)),
            other => {
                let (layer, op) = (node.origin.layer().to_owned(), other.name().to_owned());
                return Err(TuneError::Unsupported { layer, op });
            }
        };
        Ok(self.push(kernel, args, node.shape.elements(), (id, 0)))
    }

    fn slot(&mut self, elements: usize, trained: bool) -> SlotId {
        self.program.trained.push(trained);
        self.program.slots.push(elements)
    }

    /// A step without a constant.
    fn push(&mut self, kernel: Kernel, args: Vec<SlotId>, elements: usize, origin: (ValueId, usize)) -> SlotId {
        let trained = args.iter().any(|&a| self.program.trained[a]);
        let out = self.slot(elements, trained);
        self.program.steps.push(Step { kernel, args, out, origin, weights: None });
        out
    }

    /// A step with a constant.
    fn weighted(
        &mut self,
        kernel: Kernel,
        args: Vec<SlotId>,
        elements: usize,
        origin: (ValueId, usize),
        constant: ConstId,
    ) -> SlotId {
        let affine = matches!(kernel, Kernel::Scale(_) | Kernel::Shift(_));
        let trained = !affine || args.iter().any(|&a| self.program.trained[a]);
        let place = self.program.sizes.place(&kernel, self.graph.constants.tensor(constant).data.len());
        let out = match kernel {
            Kernel::Shift(_) => args[0],
            _ => self.slot(elements, trained),
        };
        self.program.steps.push(Step {
            kernel,
            args,
            out,
            origin,
            weights: Some(Weights { constant, place, trained }),
        });
        out
    }

    fn broadcast(&self, from: &Shape, node: &Node) -> Result<Broadcast, TuneError> {
        Broadcast::new(from, &node.shape).ok_or_else(|| {
            let (left, right) = (from.dims().to_vec(), node.shape.dims().to_vec());
            shape_error(node, ShapeError::Mismatch { op: node.op.name(), left, right })
        })
    }

    /// In place where nothing else reads the argument, else on a copy.
    fn shift(&mut self, id: ValueId, node: &Node, arg: SlotId, constant: ConstId) -> Result<SlotId, TuneError> {
        let broadcast = self.broadcast(&self.graph.constants.tensor(constant).shape, node)?;
        let own = node.args[0];
        let read_elsewhere = self.uses[own] > 1 || self.graph.outputs.iter().any(|o| o.value == own);
        let fresh = self.program.steps.last().is_some_and(|s| s.out == arg && matches!(s.kernel, Kernel::Product(_)));
        let elements = node.shape.elements();
        let arg =
            if fresh && !read_elsewhere { arg } else { self.push(Kernel::Power(1), vec![arg], elements, (id, 0)) };
        Ok(self.weighted(Kernel::Shift(broadcast), vec![arg], elements, (id, 0), constant))
    }

    fn chain(&mut self, id: ValueId, node: &Node, arg: SlotId, steps: &[LinearStep]) -> Result<SlotId, TuneError> {
        let (mut slot, mut shape) = (arg, self.graph.shape(node.args[0]).clone());
        for (position, step) in steps.iter().enumerate() {
            let output = step.output_shape(&shape, &self.graph.constants).map_err(|e| shape_error(node, e))?;
            slot = self.linear(step, (slot, &shape), &output, node, (id, position))?;
            shape = output;
        }
        Ok(slot)
    }

    fn linear(
        &mut self,
        step: &LinearStep,
        (slot, input): (SlotId, &Shape),
        output: &Shape,
        node: &Node,
        origin: (ValueId, usize),
    ) -> Result<SlotId, TuneError> {
        let elements = output.elements();
        match step {
            LinearStep::Conv { weight, attributes } => {
                let shape = &self.graph.constants.tensor(*weight).shape;
                let product = Product::convolution(input, shape, output, attributes).ok_or_else(|| {
                    let (left, right) = (input.dims().to_vec(), shape.dims().to_vec());
                    shape_error(node, ShapeError::Mismatch { op: "conv", left, right })
                })?;
                Ok(self.weighted(Kernel::Product(product), vec![slot], elements, origin, *weight))
            }
            LinearStep::MatMul { weight } => {
                let &[inner, columns] = self.graph.constants.tensor(*weight).shape.dims() else {
                    let shape = input.dims().to_vec();
                    let reason = "its weight is not a matrix".to_owned();
                    return Err(shape_error(node, ShapeError::Invalid { op: "matmul", shape, reason }));
                };
                let product = Product::matrix(input.elements() / inner.max(1), inner, columns);
                // The last axis is contracted: it must lie innermost.
                let slot = self.average(Average::reorder(input, true), slot, input.elements(), origin);
                let slot = self.weighted(Kernel::Product(product), vec![slot], elements, origin, *weight);
                Ok(self.average(Average::reorder(output, false), slot, elements, origin))
            }
            LinearStep::Scale { factor } => {
                let constant = &self.graph.constants.tensor(*factor).shape;
                let broadcast = Broadcast::new(constant, output).ok_or_else(|| {
                    let (left, right) = (constant.dims().to_vec(), output.dims().to_vec());
                    shape_error(node, ShapeError::Mismatch { op: "scale", left, right })
                })?;
                Ok(self.weighted(Kernel::Scale(broadcast), vec![slot], elements, origin, *factor))
            }
            _ => {
                let average = Average::of_step(step, input).map_err(|e| shape_error(node, e))?;
                Ok(self.average(average, slot, elements, origin))
            }
        }
    }

    /// Nothing where nothing moves.
    fn average(&mut self, average: Average, slot: SlotId, elements: usize, origin: (ValueId, usize)) -> SlotId {
        if average.is_identity(elements) && self.program.slots[slot] == elements {
            return slot;
        }
        self.push(Kernel::Average(average), vec![slot], elements, origin)
    }
}

fn shape_error(node: &Node, source: ShapeError) -> TuneError {
    TuneError::Shape { layer: node.origin.layer().to_owned(), source }
}
