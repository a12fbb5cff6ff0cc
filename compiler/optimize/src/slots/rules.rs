//! The equations, each used from left to right.

use super::maps::{
    after_product, after_rotation, as_rotation, before_product, before_rotation, combine, is, rotate, sum,
};
use super::pass::Pass;
use hec_ir::circuit::{CircuitError, Node, Op, PlainId, ValueId};
use hec_ir::{Plain, Rotation, SlotMap};

/// What a rule gives for a node: a value of the new circuit, if it fits.
type Rewritten = Option<Result<ValueId, CircuitError>>;

/// An equation of slot circuits.
pub struct Rule {
    /// With ⊙ for products with plaintexts p and q, A and B for linear maps, and ρ(x, a) for a rotation.
    pub equation: &'static str,
    /// Its use.
    pub apply: fn(&mut Pass<'_>, &Node) -> Rewritten,
}

/// All rules; the first one that fits a node is used.
pub const RULES: [Rule; 18] = [
    Rule { equation: "ρ(x, 0) = x", apply: no_rotation },
    Rule { equation: "ρ(ρ(x, a), b) = ρ(x, a + b)", apply: two_rotations },
    Rule { equation: "x + 0 = x, x ⊙ 1 = x", apply: neutral },
    Rule { equation: "A x = ρ(x, a), where A is that", apply: map_is_rotation },
    Rule { equation: "A ρ(x, a) = (A ρ) x", apply: rotation_into_next_map },
    Rule { equation: "ρ(A x, a) = (ρ A) x", apply: rotation_into_map },
    Rule { equation: "A (p ⊙ x) = (A p) x", apply: mask_into_next_map },
    Rule { equation: "p ⊙ (A x) = (p A) x", apply: mask_into_map },
    Rule { equation: "−(A x) = (−A) x", apply: sign_into_map },
    Rule { equation: "A x + B x = (A + B) x", apply: sum_of_maps },
    Rule { equation: "(x ⊙ p) ⊙ q = x ⊙ (p ⊙ q)", apply: two_masks },
    Rule { equation: "(x + p) + q = x + (p + q)", apply: two_shifts },
    Rule { equation: "ρ(x + p, a) = ρ(x, a) + ρ(p, a)", apply: rotation_before_shift },
    Rule { equation: "ρ(x ⊙ p, a) = ρ(x, a) ⊙ ρ(p, a)", apply: rotation_before_mask },
    Rule { equation: "ρ(x, a) + ρ(y, a) = ρ(x + y, a)", apply: common_rotation },
    Rule { equation: "−(−x) = x", apply: two_signs },
    Rule { equation: "x + (−y) = x − y", apply: sign_in_sum },
    Rule { equation: "x x = x²", apply: square },
];

fn map_of<'a>(pass: &Pass<'a>, node: &Node) -> Option<&'a SlotMap> {
    match node.op {
        Op::Linear(id) => Some(&pass.old.maps[id]),
        _ => None,
    }
}

fn factor_of<'a>(pass: &Pass<'a>, node: &Node) -> Option<&'a Plain> {
    match node.op {
        Op::MulPlain(id) => Some(&pass.old.plains[id]),
        _ => None,
    }
}

fn shift_of<'a>(pass: &Pass<'a>, node: &Node) -> Option<&'a Plain> {
    match node.op {
        Op::AddPlain(id) => Some(&pass.old.plains[id]),
        _ => None,
    }
}

fn rotation_of(node: &Node) -> Option<Rotation> {
    match node.op {
        Op::Rotate(by) => Some(by),
        _ => None,
    }
}

fn no_rotation(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    rotation_of(node).filter(|by| by.is_zero()).map(|_| Ok(pass.at(node.args[0])))
}

fn two_rotations(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let inner = pass.node(*node.args.first()?);
    let (a, b) = (rotation_of(inner)?, rotation_of(node)?);
    let by = Rotation::new(i64::from(a.0) + i64::from(b.0), pass.old.slots);
    Some(pass.push(Op::Rotate(by), vec![pass.at(inner.args[0])], &node.origin))
}

fn neutral(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let one = factor_of(pass, node).is_some_and(|p| is(p, 1.0));
    let zero = shift_of(pass, node).is_some_and(|p| is(p, 0.0));
    (one || zero).then(|| Ok(pass.at(node.args[0])))
}

fn map_is_rotation(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let by = as_rotation(map_of(pass, node)?)?;
    Some(pass.push(Op::Rotate(by), vec![pass.at(node.args[0])], &node.origin))
}

fn rotation_into_next_map(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let map = map_of(pass, node)?;
    let inner = pass.node(node.args[0]);
    let merged = after_rotation(map, rotation_of(inner)?);
    Some(pass.linear(merged, pass.at(inner.args[0]), &inner.origin.merge(&node.origin)))
}

fn rotation_into_map(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let by = rotation_of(node)?;
    let inner = pass.own(node.args[0])?;
    let merged = before_rotation(map_of(pass, inner)?, by);
    Some(pass.linear(merged, pass.at(inner.args[0]), &inner.origin.merge(&node.origin)))
}

fn mask_into_next_map(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let map = map_of(pass, node)?;
    let inner = pass.node(node.args[0]);
    let merged = after_product(map, factor_of(pass, inner)?);
    Some(pass.linear(merged, pass.at(inner.args[0]), &inner.origin.merge(&node.origin)))
}

fn mask_into_map(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let factor = factor_of(pass, node)?;
    let inner = pass.own(node.args[0])?;
    let merged = before_product(map_of(pass, inner)?, factor);
    Some(pass.linear(merged, pass.at(inner.args[0]), &inner.origin.merge(&node.origin)))
}

fn sign_into_map(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let inner = (node.op == Op::Negate).then(|| pass.own(node.args[0]))??;
    let merged = before_product(map_of(pass, inner)?, &Plain::Scalar(-1.0));
    Some(pass.linear(merged, pass.at(inner.args[0]), &inner.origin.merge(&node.origin)))
}

fn sum_of_maps(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let factor = match node.op {
        Op::Add => 1.0,
        Op::Sub => -1.0,
        _ => return None,
    };
    let (left, right) = (pass.own(node.args[0])?, pass.own(node.args[1])?);
    let (a, b) = (map_of(pass, left)?, map_of(pass, right)?);
    if left.args != right.args {
        return None;
    }
    let origin = left.origin.merge(&right.origin);
    Some(pass.linear(sum(a, b, factor), pass.at(left.args[0]), &origin))
}

fn two_masks(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let q = factor_of(pass, node)?;
    let inner = pass.own(node.args[0])?;
    let both = combine(factor_of(pass, inner)?, q, node.count, pass.old.slots, |a, b| a * b);
    Some(pass.plain(Op::MulPlain, both, pass.at(inner.args[0]), &inner.origin.merge(&node.origin)))
}

fn two_shifts(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let q = shift_of(pass, node)?;
    let inner = pass.own(node.args[0])?;
    let both = combine(shift_of(pass, inner)?, q, node.count, pass.old.slots, |a, b| a + b);
    Some(pass.plain(Op::AddPlain, both, pass.at(inner.args[0]), &inner.origin.merge(&node.origin)))
}

/// Only where the rotation then meets another one or a map.
fn meets(pass: &Pass<'_>, value: ValueId) -> bool {
    match pass.node(value).op {
        Op::Rotate(_) => true,
        Op::Linear(_) => pass.own(value).is_some(),
        Op::AddPlain(_) | Op::MulPlain(_) => pass.own(value).is_some_and(|n| meets(pass, n.args[0])),
        _ => false,
    }
}

/// The plaintext of a node, if it is an operation of that kind.
type Operand = for<'a> fn(&Pass<'a>, &Node) -> Option<&'a Plain>;

/// A rotation goes before an operation with a plaintext, which is rotated instead.
fn rotation_before(pass: &mut Pass<'_>, node: &Node, operand: Operand, op: fn(PlainId) -> Op) -> Rewritten {
    let by = rotation_of(node)?;
    let inner = pass.own(node.args[0])?;
    let plain = rotate(operand(pass, inner)?, by);
    if !meets(pass, inner.args[0]) {
        return None;
    }
    let turned = pass.push(Op::Rotate(by), vec![pass.at(inner.args[0])], &node.origin);
    Some(turned.and_then(|x| pass.plain(op, plain, x, &inner.origin)))
}

fn rotation_before_shift(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    rotation_before(pass, node, shift_of, Op::AddPlain)
}

fn rotation_before_mask(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    rotation_before(pass, node, factor_of, Op::MulPlain)
}

fn common_rotation(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    if !matches!(node.op, Op::Add | Op::Sub) || node.args[0] == node.args[1] {
        return None;
    }
    let (left, right) = (pass.own(node.args[0])?, pass.own(node.args[1])?);
    let by = rotation_of(left).filter(|by| rotation_of(right) == Some(*by))?;
    let args = vec![pass.at(left.args[0]), pass.at(right.args[0])];
    let sum = pass.push(node.op, args, &node.origin);
    Some(sum.and_then(|x| pass.push(Op::Rotate(by), vec![x], &left.origin.merge(&right.origin))))
}

fn two_signs(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let inner = (node.op == Op::Negate).then(|| pass.node(node.args[0]))?;
    (inner.op == Op::Negate).then(|| Ok(pass.at(inner.args[0])))
}

fn sign_in_sum(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let opposite = match node.op {
        Op::Add => Op::Sub,
        Op::Sub => Op::Add,
        _ => return None,
    };
    let (x, y) = (node.args[0], pass.node(node.args[1]));
    if y.op == Op::Negate {
        return Some(pass.push(opposite, vec![pass.at(x), pass.at(y.args[0])], &node.origin));
    }
    let first = pass.node(x);
    let swapped = node.op == Op::Add && first.op == Op::Negate;
    swapped.then(|| pass.push(Op::Sub, vec![pass.at(node.args[1]), pass.at(first.args[0])], &node.origin))
}

fn square(pass: &mut Pass<'_>, node: &Node) -> Rewritten {
    let same = node.op == Op::Mul && pass.at(node.args[0]) == pass.at(node.args[1]);
    same.then(|| pass.push(Op::Square, vec![pass.at(node.args[0])], &node.origin))
}
