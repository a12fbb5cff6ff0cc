//! A network compiled for training: steps on buffers, forwards and backwards, one sample at a time.

use crate::TuneError;
use crate::average::Average;
use crate::elementwise;
use crate::layout::{Broadcast, load};
use crate::parameters::Parameters;
use crate::polynomial::Polynomial;
use crate::product::Product;
use hec_ir::entity::EntityVec;
use hec_ir::tensor::{ConstId, Function, Tensor, ValueId};
use std::collections::BTreeMap;

hec_ir::entity!(
    /// A buffer.
    SlotId, "s"
);

/// What a step computes.
#[derive(Clone, Debug)]
pub enum Kernel {
    /// A convolution or a product with a matrix.
    Product(Product),
    /// A movement of elements, a mean, a pool.
    Average(Average),
    /// The maximum over windows.
    Maximum(Average),
    /// A product with numbers that repeat.
    Scale(Broadcast),
    /// A sum with numbers that repeat. In place: its result is in the buffer of its argument.
    Shift(Broadcast),
    /// Polynomials that repeat.
    Polynomial(Polynomial),
    /// x + factor·y
    Sum {
        /// 1 or −1.
        factor: f32,
    },
    /// −x
    Negate,
    /// x·y
    Multiply,
    /// x^k
    Power(u32),
    /// A function of each element.
    Function(Function),
    /// Numbers beyond a range, which repeats, become the ends of what the program allows.
    Guard(Vec<[f32; 2]>),
}

/// A step: its arguments and its result are buffers.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it computes.
    pub kernel: Kernel,
    /// From what.
    pub args: Vec<SlotId>,
    /// Where to.
    pub out: SlotId,
    /// The node that it comes from, and its place in a chain.
    pub origin: (ValueId, usize),
    /// Its constant, and where that is among the parameters.
    pub weights: Option<Weights>,
}

/// The constant of a step.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// Which one.
    pub constant: ConstId,
    /// Where it is.
    pub place: crate::parameters::Place,
    /// Whether it is trained.
    pub trained: bool,
}

/// A network as steps.
#[derive(Clone, Debug)]
pub struct Program {
    /// Elements of each buffer.
    pub slots: EntityVec<SlotId, usize>,
    /// Whether the gradient of a buffer is needed.
    pub trained: EntityVec<SlotId, bool>,
    /// In order.
    pub steps: Vec<Step>,
    /// The buffers of the network's inputs.
    pub inputs: Vec<SlotId>,
    /// The buffer of each value.
    pub values: EntityVec<ValueId, SlotId>,
    /// Sizes of the parameters' forms.
    pub sizes: crate::parameters::Sizes,
    /// By which share of its width numbers may leave a guarded range on each side.
    pub guard: f32,
}

/// The buffers of one run.
#[derive(Debug)]
pub struct Workspace {
    /// Values.
    pub values: EntityVec<SlotId, Vec<f32>>,
    /// Gradients of the loss by them.
    pub gradients: EntityVec<SlotId, Vec<f32>>,
    /// A padded input for each step.
    padded: Vec<Vec<f32>>,
    /// A padded gradient.
    scratch: Vec<f32>,
}

impl Program {
    /// Buffers for this program. Each is a lane longer than its value, so that kernels may read whole lanes.
    pub fn workspace(&self) -> Workspace {
        let buffers = || self.slots.values().map(|&n| vec![0.0; n + crate::kernel::WIDTH]).collect();
        Workspace {
            values: buffers(),
            gradients: buffers(),
            padded: vec![Vec::new(); self.steps.len()],
            scratch: Vec::new(),
        }
    }

    /// The same program for training. Whatever reads one of the buffers of `ranges` finds its numbers within their ranges,
    /// which repeat.
    pub fn guarded(&self, ranges: &[(SlotId, Vec<[f32; 2]>)]) -> Self {
        let mut program = Program { steps: Vec::new(), ..self.clone() };
        let mut renamed = BTreeMap::new();
        let last_write = |slot: SlotId| self.steps.iter().rposition(|s| s.out == slot);
        for (i, step) in self.steps.iter().enumerate() {
            let mut step = step.clone();
            let in_place = |arg: SlotId| arg == step.out;
            let args = step.args.iter().map(|&a| if in_place(a) { a } else { renamed.get(&a).copied().unwrap_or(a) });
            step.args = args.collect();
            let (out, origin) = (step.out, step.origin);
            program.steps.push(step);
            if let Some((_, ranges)) = ranges.iter().find(|(slot, _)| *slot == out && last_write(out) == Some(i)) {
                let guarded = program.slots.push(self.slots[out]);
                program.trained.push(self.trained[out]);
                renamed.insert(out, guarded);
                let kernel = Kernel::Guard(ranges.clone());
                program.steps.push(Step { kernel, args: vec![out], out: guarded, origin, weights: None });
            }
        }
        program
    }

    /// The elements of a value.
    pub fn value<'a>(&self, workspace: &'a Workspace, slot: SlotId) -> &'a [f32] {
        &workspace.values[slot][..self.slots[slot]]
    }

    /// Compute all values from the inputs, one list of elements for each as they lie in buffers.
    pub fn forward<'a>(
        &self,
        parameters: &Parameters,
        inputs: impl IntoIterator<Item = &'a [f32]>,
        workspace: &mut Workspace,
    ) {
        for (&slot, input) in self.inputs.iter().zip(inputs) {
            workspace.values[slot][..input.len()].copy_from_slice(input);
        }
        for (i, step) in self.steps.iter().enumerate() {
            let mut buffer = std::mem::take(&mut workspace.values[step.out]);
            let out = &mut buffer[..self.slots[step.out]];
            let working = parameters.working(step);
            // A shift works in place, so that its argument has been taken.
            let arg = |i: usize| {
                let slot = step.args[i];
                workspace.values[slot].get(..self.slots[slot]).unwrap_or(&[])
            };
            match &step.kernel {
                Kernel::Product(p) => p.forward(working, arg(0), out, &mut workspace.padded[i]),
                Kernel::Average(a) => a.forward(arg(0), out),
                Kernel::Maximum(a) => a.maximum(arg(0), out),
                Kernel::Scale(_) => elementwise::scale(working, arg(0), out),
                Kernel::Shift(_) => elementwise::shift(working, out),
                Kernel::Polynomial(p) => p.forward(working, arg(0), out),
                Kernel::Sum { factor } => elementwise::sum(*factor, arg(0), arg(1), out),
                Kernel::Negate => elementwise::negate(arg(0), out),
                Kernel::Multiply => elementwise::multiply(arg(0), arg(1), out),
                Kernel::Power(k) => elementwise::power(*k, arg(0), out),
                Kernel::Function(f) => elementwise::function(*f, arg(0), out),
                Kernel::Guard(ranges) => elementwise::guard(ranges, self.guard, arg(0), out),
            }
            workspace.values[step.out] = buffer;
        }
    }

    /// Forget all gradients.
    pub fn clear_gradients(&self, workspace: &mut Workspace) {
        for (gradient, _) in workspace.gradients.values_mut().zip(self.trained.values()).filter(|(_, t)| **t) {
            gradient.fill(0.0);
        }
    }

    /// From the gradients of the loss by some values, which have been written into the workspace, add those by all
    /// parameters to `gradient`. The values are those of the last [`Program::forward`].
    pub fn backward(&self, parameters: &Parameters, workspace: &mut Workspace, gradient: &mut [f32]) {
        for (i, step) in self.steps.iter().enumerate().rev().filter(|(_, s)| self.trained[s.out]) {
            let buffer = std::mem::take(&mut workspace.gradients[step.out]);
            let (n, working) = (self.slots[step.out], parameters.working(step));
            let d = &buffer[..n];
            let own = match &step.weights {
                Some(w) if w.trained => &mut gradient[w.place.gradient()],
                _ => &mut [][..],
            };
            let x = |i: usize| &workspace.values[step.args[i]][..self.slots[step.args[i]]];
            match &step.kernel {
                _ if own.is_empty() => {}
                Kernel::Product(p) => p.outer(x(0), &buffer, own, &workspace.padded[i]),
                Kernel::Scale(_) => elementwise::scale_outer(x(0), d, own),
                Kernel::Shift(_) => elementwise::shift_outer(d, own),
                _ => {}
            }
            for (position, &slot) in step.args.iter().enumerate().filter(|(_, s)| **s != step.out) {
                let mut nowhere = Vec::new();
                let dx = match self.trained[slot] {
                    true => &mut workspace.gradients[slot][..self.slots[slot]],
                    false if matches!(step.kernel, Kernel::Polynomial(_)) => {
                        nowhere.resize(n, 0.0);
                        &mut nowhere[..]
                    }
                    false => continue,
                };
                match &step.kernel {
                    Kernel::Product(p) => p.scatter(working, d, dx, &mut workspace.scratch),
                    Kernel::Average(a) => a.backward(d, dx),
                    Kernel::Maximum(a) => a.maximum_backward(x(0), d, dx),
                    Kernel::Scale(_) => elementwise::scale_backward(working, d, dx),
                    Kernel::Shift(_) => {}
                    Kernel::Polynomial(p) => p.backward(working, x(0), d, own, dx),
                    Kernel::Sum { factor } => elementwise::add_times(if position == 0 { 1.0 } else { *factor }, d, dx),
                    Kernel::Negate => elementwise::add_times(-1.0, d, dx),
                    Kernel::Multiply => elementwise::multiply_backward(x(1 - position), d, dx),
                    Kernel::Power(k) => elementwise::power_backward(*k, x(0), d, dx),
                    Kernel::Function(f) => elementwise::function_backward(*f, x(0), d, dx),
                    Kernel::Guard(ranges) => elementwise::guard_backward(ranges, self.guard, x(0), d, dx),
                }
            }
            workspace.gradients[step.out] = buffer;
        }
    }

    /// Inputs as they lie in buffers.
    ///
    /// # Errors
    /// Never for inputs of the network's shapes.
    pub fn load(&self, inputs: &[Tensor]) -> Result<Vec<Vec<f32>>, TuneError> {
        let fits = inputs.len() == self.inputs.len()
            && inputs.iter().zip(&self.inputs).all(|(t, &slot)| t.data.len() == self.slots[slot]);
        if fits { Ok(inputs.iter().map(load).collect()) } else { Err(TuneError::Different) }
    }
}
