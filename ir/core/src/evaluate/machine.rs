//! A program under way.

use super::{Constants, Evaluator, apply};
use crate::circuit::Output;
use crate::entity::Entity;
use crate::program::{Op, Program, Register};

/// The next instruction of a program, and what its registers hold. A register is emptied by `free`, so that memory is
/// what the schedule planned. Between two instructions this is all there is to know of an evaluation.
#[derive(Debug)]
pub struct Machine<'p, V> {
    program: &'p Program,
    next: usize,
    inputs: Vec<Option<V>>,
    registers: Vec<Option<V>>,
}

impl<'p, V: Clone> Machine<'p, V> {
    /// Before the first instruction. `inputs` are the bundles of `program.inputs`, in order.
    pub fn new(program: &'p Program, inputs: Vec<V>) -> Self {
        Machine::resume(program, inputs, 0, Vec::new())
    }

    /// Before the instruction `next`, with what [`Machine::live`] told there.
    pub fn resume(program: &'p Program, inputs: Vec<V>, next: usize, live: Vec<(Register, V)>) -> Self {
        let count = program.instructions.iter().map(|i| i.destination.index() + 1).max().unwrap_or(0);
        let mut registers: Vec<Option<V>> = vec![None; count];
        for (register, value) in live {
            registers[register.index()] = Some(value);
        }
        Machine { program, next, inputs: inputs.into_iter().map(Some).collect(), registers }
    }

    /// How many instructions are done.
    pub fn position(&self) -> usize {
        self.next
    }

    /// The registers that are full, in order.
    pub fn live(&self) -> impl Iterator<Item = (Register, &V)> {
        let registers = self.registers.iter().enumerate();
        registers.filter_map(|(i, value)| Some((Register::new(i), value.as_ref()?)))
    }

    /// What a register holds.
    pub fn register(&self, register: Register) -> Option<&V> {
        self.registers.get(register.index())?.as_ref()
    }

    /// Do the next instruction; false if none is left.
    ///
    /// # Errors
    /// The evaluator's.
    ///
    /// # Panics
    /// If the program does not verify, the number of inputs differs, or the machine was resumed with other registers
    /// than were live.
    pub fn step<E: Evaluator<Value = V>>(&mut self, e: &mut E) -> Result<bool, E::Error> {
        let p = self.program;
        let Some(instruction) = p.instructions.get(self.next) else { return Ok(false) };
        let constants = Constants { maps: &p.maps, plans: Some(&p.plans), plains: &p.plains };
        e.enter(&instruction.origin, instruction.op.name());
        let destination = instruction.destination.index();
        let full = "verified: written before it is read";
        match instruction.op {
            Op::Load(i) => {
                self.registers[destination] = Some(self.inputs[i as usize].take().expect("verified: loaded once"));
            }
            Op::Decompose => e.decompose(self.registers[destination].as_mut().expect(full))?,
            Op::Forget => e.forget(self.registers[destination].as_mut().expect(full)),
            Op::Free => self.registers[destination] = None,
            op => {
                let x = |i: usize| self.registers[instruction.args[i].index()].as_ref().expect(full);
                let value = apply(e, op, x, &constants)?.expect("the others are applied");
                self.registers[destination] = Some(value);
            }
        }
        self.next += 1;
        Ok(true)
    }

    /// The outputs' bundles, when no instruction is left.
    ///
    /// # Panics
    /// If an instruction is left that makes one of them.
    pub fn outputs(&self) -> Vec<V> {
        let value = |o: &Output<Register>| self.registers[o.value.index()].clone().expect("verified: full at the end");
        self.program.outputs.iter().map(value).collect()
    }
}

/// Run a program.
///
/// # Errors
/// The evaluator's.
///
/// # Panics
/// If `program` does not verify or the number of inputs differs.
pub fn run_program<E: Evaluator>(p: &Program, e: &mut E, inputs: Vec<E::Value>) -> Result<Vec<E::Value>, E::Error> {
    let mut machine = Machine::new(p, inputs);
    while machine.step(e)? {}
    Ok(machine.outputs())
}
