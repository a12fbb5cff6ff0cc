//! The leveled level, and what it shares with programs: parameters and types.

use super::super::token::{number, word_or_quote};
use super::constants::{Operand, inputs, maps, operation, outputs, plains};
use super::{Body, Printer, list, origin};
use crate::leveled::{Circuit, Op, Scheme, Type};
use crate::{Batch, Level, Parameters, ParametersLiteral};
use hec_params::{BootstrapChoice, Order};

impl Body for Circuit {
    fn write(&self, p: &mut Printer) {
        p.outer(format_args!("leveled {}{} {{", word_or_quote(&self.name), batch(self.batch)));
        let scheme = self.scheme().ok();
        parameters(p, &self.parameters, self.bootstrap.as_ref());
        inputs(p, &self.inputs);
        maps(p, &self.maps);
        plains(p, &self.plains);
        for (id, node) in self.nodes.iter() {
            let operation = operation(&self.maps, node.op.name(), &node.args, operand(node.op));
            let ty = ty(&node.ty, scheme.as_ref().map(Scheme::parameters));
            p.line(format_args!("{id} = {operation} : {ty}{}", origin(&node.origin)));
        }
        outputs(p, &self.outputs);
        p.outer(format_args!("}}"));
    }
}

/// ` batch 64`; nothing for one input.
pub(super) fn batch(batch: Batch) -> String {
    if batch.is_one() { String::new() } else { format!(" batch {}", batch.0) }
}

/// The parameters, and the choice of a bootstrap that they follow from.
pub(super) fn parameters(p: &mut Printer, literal: &ParametersLiteral, choice: Option<&BootstrapChoice>) {
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
    if let Some(choice) = choice {
        bootstrap(p, choice);
    }
}

/// What a bootstrap chooses, but for the ring and its security, which are those of the parameters.
fn bootstrap(p: &mut Printer, c: &BootstrapChoice) {
    let order = match c.order {
        Order::CoeffsFirst => "coeffs_first",
        Order::CoeffsLast => "coeffs_last",
    };
    p.line(format_args!("bootstrap {{"));
    p.line(format_args!("  slots {}", c.slots));
    p.line(format_args!("  order {order}"));
    p.line(format_args!("  levels {}", c.levels));
    for (name, bits) in [
        ("scale_bits", c.scale_bits),
        ("base_bits", c.base_bits),
        ("eval_bits", c.eval_bits),
        ("boost_bits", c.boost_bits),
    ] {
        p.line(format_args!("  {name} {}", number(bits)));
    }
    p.line(format_args!("  coeffs_to_slots {}", list(&c.coeffs_to_slots)));
    p.line(format_args!("  slots_to_coeffs {}", list(&c.slots_to_coeffs)));
    p.line(format_args!("  degree {}", c.sine.degree));
    p.line(format_args!("  double_angles {}", c.sine.double_angles));
    p.line(format_args!("  arcsine {}", c.sine.arcsine));
    p.line(format_args!("  ratio_bits {}", number(c.sine.ratio_bits)));
    p.line(format_args!("  weight {}", c.weight));
    p.line(format_args!("  log2_failure {}", number(c.log2_failure)));
    p.line(format_args!("  digit_size {}", c.digit_size));
    p.line(format_args!("}}"));
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
        Op::Adjust(level) | Op::Bootstrap(level) => Operand::Number(level.0),
        Op::Add | Op::Sub | Op::Negate | Op::Mul | Op::Square | Op::Relinearize | Op::Rescale => Operand::Nothing,
    }
}
