//! What is taken instead of a value, through linear operations, so that its shifts and signs reach the layer after it.
//! Nothing is approximated here: the error belongs to the choice, and is counted once wherever it is used.

use super::rule;
use crate::language::{Lang, Network};
use egg::Rewrite;

pub(super) fn rules() -> Vec<Rewrite<Lang, Network>> {
    vec![
        rule("A(x instead) = (A x) instead", "(linear ?a (instead ?e ?x))", |m| {
            let (a, e, x) = (m.id("?a"), m.id("?e"), m.id("?x"));
            let image = m.add(Lang::Linear([a, x]));
            Some(m.add(Lang::Instead([e, image])))
        }),
        rule("(x instead) + b = (x + b) instead", "(add_constant ?b (instead ?e ?x))", |m| {
            let (b, e, x) = (m.id("?b"), m.id("?e"), m.id("?x"));
            let sum = m.add(Lang::AddConstant([b, x]));
            Some(m.add(Lang::Instead([e, sum])))
        }),
        rule("-(x instead) = (-x) instead", "(negate (instead ?e ?x))", |m| {
            let (e, x) = (m.id("?e"), m.id("?x"));
            let opposite = m.add(Lang::Negate(x));
            Some(m.add(Lang::Instead([e, opposite])))
        }),
        rule("(x instead) + y = (x + y) instead", "(add (instead ?e ?x) ?y)", |m| {
            let (e, x, y) = (m.id("?e"), m.id("?x"), m.id("?y"));
            let sum = m.add(Lang::Add([x, y]));
            Some(m.add(Lang::Instead([e, sum])))
        }),
    ]
}
