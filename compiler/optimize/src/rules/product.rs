//! Products of ciphertexts: rebalanced to least depth, with scales taken out.

use super::rule;
use crate::language::{Lang, Network};
use egg::Rewrite;

pub(super) fn rules() -> Vec<Rewrite<Lang, Network>> {
    vec![
        rule("x y = y x", "(mul ?x ?y)", |m| {
            let (x, y) = (m.id("?x"), m.id("?y"));
            Some(m.add(Lang::Mul([y, x])))
        }),
        rule("(x y) z = x (y z)", "(mul (mul ?x ?y) ?z)", |m| {
            let (x, y, z) = (m.id("?x"), m.id("?y"), m.id("?z"));
            let inner = m.add(Lang::Mul([y, z]));
            Some(m.add(Lang::Mul([x, inner])))
        }),
        rule("x^2 y^2 = (x y)^2", "(mul (square ?x) (square ?y))", |m| {
            let (x, y) = (m.id("?x"), m.id("?y"));
            let inner = m.add(Lang::Mul([x, y]));
            Some(m.add(Lang::Square(inner)))
        }),
        rule("(S x) y = S (x y)", "(mul (linear ?s ?x) ?y)", |m| {
            m.scale("?s")?;
            let (s, x, y) = (m.id("?s"), m.id("?x"), m.id("?y"));
            let inner = m.add(Lang::Mul([x, y]));
            Some(m.add(Lang::Linear([s, inner])))
        }),
        // Back to the layer that makes one of the factors.
        rule("S (x y) = (S x) y", "(linear ?s (mul ?x ?y))", |m| {
            m.scale("?s")?;
            let (s, x, y) = (m.id("?s"), m.id("?x"), m.id("?y"));
            if !m.is_linear(x) {
                return None;
            }
            let scaled = m.add(Lang::Linear([s, x]));
            Some(m.add(Lang::Mul([scaled, y])))
        }),
        rule("x y + x z = x(y + z)", "(add (mul ?x ?y) (mul ?x ?z))", |m| {
            let (x, y, z) = (m.id("?x"), m.id("?y"), m.id("?z"));
            let sum = m.add(Lang::Add([y, z]));
            Some(m.add(Lang::Mul([x, sum])))
        }),
        rule("x^2 - y^2 = (x + y)(x - y)", "(sub (square ?x) (square ?y))", |m| {
            let (x, y) = (m.id("?x"), m.id("?y"));
            let (sum, difference) = (m.add(Lang::Add([x, y])), m.add(Lang::Sub([x, y])));
            Some(m.add(Lang::Mul([sum, difference])))
        }),
        rule("(-x) y = -(x y)", "(mul (negate ?x) ?y)", |m| {
            let (x, y) = (m.id("?x"), m.id("?y"));
            let inner = m.add(Lang::Mul([x, y]));
            Some(m.add(Lang::Negate(inner)))
        }),
    ]
}
