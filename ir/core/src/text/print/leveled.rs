//! The leveled level, and what it shares with programs: parameters and types.

use super::super::token::{number, word_or_quote};
use super::constants::{Operand, inputs, maps, operation, outputs, plains};
use super::{Body, Printer, list, origin};
use crate::leveled::{Circuit, Op, Type};
use crate::{Level, Parameters, ParametersLiteral};

impl Body for Circuit {
    fn write(&self, p: &mut Printer) {
        p.outer(format_args!("leveled {} {{", word_or_quote(&self.name)));
        let checked = parameters(p, &self.parameters);
        inputs(p, &self.inputs);
        maps(p, &self.maps);
        plains(p, &self.plains);
        for (id, node) in self.nodes.iter() {
            let operation = operation(&self.maps, node.op.name(), &node.args, operand(node.op));
            let ty = ty(&node.ty, checked.as_ref());
            p.line(format_args!("{id} = {operation} : {ty}{}", origin(&node.origin)));
        }
        outputs(p, &self.outputs);
        p.outer(format_args!("}}"));
    }
}

/// The parameters; returned checked, unless they do not pass.
pub(super) fn parameters(p: &mut Printer, literal: &ParametersLiteral) -> Option<Parameters> {
    let checked = Parameters::check(literal.clone()).ok();
    p.line(format_args!("parameters {{"));
    p.line(format_args!("  log_n {}", literal.log_n.0));
    for (level, primes) in literal.levels.iter().enumerate() {
        let scale = checked.as_ref().map(|c| libm::log2(c.scale(Level(level as u32)).0));
        let comment = scale.map_or(String::new(), |bits| format!("  # scale 2^{bits:.3}"));
        p.line(format_args!("  level {level} {}{comment}", list(primes)));
    }
    p.line(format_args!("  special {}", list(&literal.special)));
    p.line(format_args!("  digit_size {}", literal.digit_size));
    p.line(format_args!("  top_scale {}", number(literal.top_scale.0)));
    if literal.insecure_toy {
        p.line(format_args!("  insecure_toy"));
    }
    p.line(format_args!("}}"));
    checked
}

/// `level 3 count 2 scale squared parts 3`, as much of it as is not the usual. A scale that is neither canonical nor
/// the square of one is printed as it is.
pub(super) fn ty(ty: &Type, parameters: Option<&Parameters>) -> String {
    let mut out = format!("level {}", ty.level);
    if ty.count != 1 {
        out.push_str(&format!(" count {}", ty.count));
    }
    let canonical = parameters.filter(|p| ty.level <= p.top_level()).map(|p| p.scale(ty.level).0);
    if canonical != Some(ty.scale.0) {
        let squared = canonical.map(|scale| scale * scale) == Some(ty.scale.0);
        let scale = if squared { "squared".to_owned() } else { number(ty.scale.0) };
        out.push_str(&format!(" scale {scale}"));
    }
    if ty.parts != 2 {
        out.push_str(&format!(" parts {}", ty.parts));
    }
    out
}

fn operand(op: Op) -> Operand {
    match op {
        Op::Input(i) => Operand::Number(i),
        Op::Linear(map) => Operand::Map(map),
        Op::AddPlain(plain) | Op::MulPlain(plain) => Operand::Plain(plain),
        Op::Rotate(rotation) => Operand::Number(rotation.0),
        Op::Adjust(level) => Operand::Number(level.0),
        Op::Add | Op::Sub | Op::Negate | Op::Mul | Op::Square | Op::Relinearize | Op::Rescale => Operand::Nothing,
    }
}
