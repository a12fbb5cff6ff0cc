//! The circuit level.

use super::super::token::word_or_quote;
use super::constants::{Operand, inputs, maps, operation, outputs, plains};
use super::leveled::batch;
use super::{Body, Printer, origin};
use crate::circuit::{Circuit, Op};

impl Body for Circuit {
    fn write(&self, p: &mut Printer) {
        let (name, batch) = (word_or_quote(&self.name), batch(self.batch));
        p.outer(format_args!("circuit {name} slots {}{batch} {{", self.slots));
        inputs(p, &self.inputs);
        maps(p, &self.maps);
        plains(p, &self.plains);
        for (id, node) in self.nodes.iter() {
            let operation = operation(&self.maps, node.op.name(), &node.args, operand(node.op));
            let count = if node.count == 1 { String::new() } else { format!(" : count {}", node.count) };
            p.line(format_args!("{id} = {operation}{count}{}", origin(&node.origin)));
        }
        outputs(p, &self.outputs);
        p.outer(format_args!("}}"));
    }
}

fn operand(op: Op) -> Operand {
    match op {
        Op::Input(i) => Operand::Number(i),
        Op::Linear(map) => Operand::Map(map),
        Op::AddPlain(plain) | Op::MulPlain(plain) => Operand::Plain(plain),
        Op::Rotate(rotation) => Operand::Number(rotation.0),
        Op::Add | Op::Sub | Op::Negate | Op::Mul | Op::Square => Operand::Nothing,
    }
}
