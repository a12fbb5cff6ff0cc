//! Instructions, shared decompositions, registers.

use hec_ir::Origin;
use hec_ir::circuit::Output;
use hec_ir::entity::{Entity, EntityVec};
use hec_ir::leveled::{self, Circuit, Type, ValueId};
use hec_ir::program::{Instruction, Op, Register};
use std::collections::BTreeSet;

/// Instructions in the order of the circuit, and where the outputs are at the end.
pub(crate) fn allocate(circuit: &Circuit) -> (Vec<Instruction>, Vec<Output<Register>>) {
    let steps = steps(circuit);
    let mut allocator = Allocator {
        circuit,
        uses: Uses::of(circuit, &steps),
        register: circuit.nodes.keys().map(|_| None).collect(),
        free: BTreeSet::new(),
        next: 0,
        out: Vec::new(),
    };
    for (index, step) in steps.iter().enumerate() {
        allocator.step(index, step);
    }
    let outputs = circuit.outputs.iter().map(|o| Output {
        name: o.name.clone(),
        value: allocator.register_of(o.value),
        layout: o.layout.clone(),
        client: o.client.clone(),
    });
    let outputs = outputs.collect();
    (allocator.out, outputs)
}

/// An operation that makes a value.
struct Step<'a> {
    value: ValueId,
    op: Op,
    args: Vec<ValueId>,
    ty: Type,
    origin: &'a Origin,
}

/// The nodes as operations of the machine: a relinearization that only a rescale reads is one with it.
fn steps(circuit: &Circuit) -> Vec<Step<'_>> {
    let mut users: EntityVec<ValueId, u32> = circuit.nodes.keys().map(|_| 0).collect();
    let args = circuit.nodes.values().flat_map(|n| n.args.iter().copied());
    for value in args.chain(circuit.outputs.iter().map(|o| o.value)) {
        users[value] += 1;
    }
    let relinearized = |id: ValueId| circuit.nodes[id].op == leveled::Op::Relinearize && users[id] == 1;
    let mut fused = BTreeSet::new();
    for node in circuit.nodes.values().filter(|n| n.op == leveled::Op::Rescale) {
        fused.extend(node.args.iter().copied().filter(|&a| relinearized(a)));
    }
    let step = |(value, node): (ValueId, _)| {
        let node: &leveled::Node = node;
        if fused.contains(&value) {
            return None;
        }
        let merged = node.args.first().filter(|a| fused.contains(a));
        let (op, args) = match merged {
            Some(&relinearize) => (Op::RelinearizeRescale, circuit.nodes[relinearize].args.clone()),
            None => (node.op.into(), node.args.clone()),
        };
        Some(Step { value, op, args, ty: node.ty, origin: &node.origin })
    };
    circuit.nodes.iter().filter_map(step).collect()
}

/// Who reads a value.
#[derive(Clone, Default)]
struct Use {
    /// The last step that reads it.
    last: Option<usize>,
    /// The steps that rotate it or map it linearly, in order.
    hoisted: Vec<usize>,
    /// Outputs live to the end.
    is_output: bool,
}

impl Use {
    /// Whether more than one step would decompose it.
    fn shares_decomposition(&self) -> bool {
        self.hoisted.len() > 1
    }

    fn dies_at(&self, step: usize) -> bool {
        self.last == Some(step) && !self.is_output
    }
}

struct Uses(EntityVec<ValueId, Use>);

impl Uses {
    fn of(circuit: &Circuit, steps: &[Step]) -> Self {
        let mut uses: EntityVec<ValueId, Use> = circuit.nodes.keys().map(|_| Use::default()).collect();
        for (index, step) in steps.iter().enumerate() {
            for &arg in &step.args {
                uses[arg].last = Some(index);
                if matches!(step.op, Op::Rotate(_) | Op::Linear(_)) {
                    uses[arg].hoisted.push(index);
                }
            }
        }
        for output in &circuit.outputs {
            uses[output.value].is_output = true;
        }
        Uses(uses)
    }
}

struct Allocator<'a> {
    circuit: &'a Circuit,
    uses: Uses,
    register: EntityVec<ValueId, Option<Register>>,
    free: BTreeSet<Register>,
    next: usize,
    out: Vec<Instruction>,
}

impl Allocator<'_> {
    fn step(&mut self, index: usize, step: &Step) {
        let read: BTreeSet<ValueId> = step.args.iter().copied().collect();
        for &arg in &read {
            let uses = &self.uses.0[arg];
            if uses.shares_decomposition() && uses.hoisted.first() == Some(&index) {
                self.in_place(Op::Decompose, arg);
            }
        }
        let args = step.args.iter().map(|&a| self.register_of(a)).collect();
        let (dead, live): (Vec<ValueId>, Vec<ValueId>) = read.iter().partition(|&&a| self.uses.0[a].dies_at(index));
        // The result takes the place of an argument that dies, if there is one.
        let destination = match dead.first() {
            Some(&argument) => self.register_of(argument),
            None => self.take(),
        };
        let (op, ty, origin) = (step.op, step.ty, step.origin.clone());
        self.out.push(Instruction { op, destination, args, ty, origin });
        for &arg in &live {
            let uses = &self.uses.0[arg];
            if uses.shares_decomposition() && uses.hoisted.last() == Some(&index) {
                self.in_place(Op::Forget, arg);
            }
        }
        for &arg in dead.iter().skip(1) {
            self.in_place(Op::Free, arg);
            self.free.insert(self.register_of(arg));
        }
        self.register[step.value] = Some(destination);
        let result = &self.uses.0[step.value];
        if result.last.is_none() && !result.is_output {
            self.in_place(Op::Free, step.value);
            self.free.insert(destination);
        }
    }

    fn register_of(&self, value: ValueId) -> Register {
        self.register[value].expect("a value is made before it is read")
    }

    /// An instruction whose destination is its argument.
    fn in_place(&mut self, op: Op, value: ValueId) {
        let register = self.register_of(value);
        let node = &self.circuit.nodes[value];
        let (args, origin) = (vec![register], node.origin.clone());
        self.out.push(Instruction { op, destination: register, args, ty: node.ty, origin });
    }

    fn take(&mut self) -> Register {
        self.free.pop_first().unwrap_or_else(|| {
            self.next += 1;
            Register::new(self.next - 1)
        })
    }
}
