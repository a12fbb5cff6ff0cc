//! Constants and scales through linear maps and sums. None of these costs a level; they bring scales next to linear maps,
//! which then absorb them.

use super::rule;
use crate::language::{Lang, Network};
use egg::Rewrite;

pub(super) fn rules() -> Vec<Rewrite<Lang, Network>> {
    vec![
        rule("A(x + b) = A x + A b", "(linear ?a (add_constant ?b ?x))", |m| {
            let (a, b, input) = (m.chain("?a")?, m.constant("?b")?, m.shape("?x")?);
            let image = m.egraph.analysis.tables.apply(a, b, &input).ok()?;
            let (chain, x) = (m.id("?a"), m.id("?x"));
            let product = m.add(Lang::Linear([chain, x]));
            Some(m.add_constant(image, product))
        }),
        rule("(x + b) + c = x + (b + c)", "(add_constant ?c (add_constant ?b ?x))", |m| {
            let (b, c) = (m.constant("?b")?, m.constant("?c")?);
            let sum = m.egraph.analysis.tables.combine(b, c, "bias", |b, c| b + c)?;
            let x = m.id("?x");
            Some(m.add_constant(sum, x))
        }),
        rule("(x + b) + y = (x + y) + b", "(add (add_constant ?b ?x) ?y)", |m| {
            let (x, y, b) = (m.id("?x"), m.id("?y"), m.id("?b"));
            let sum = m.add(Lang::Add([x, y]));
            Some(m.add(Lang::AddConstant([b, sum])))
        }),
        rule("x + y = y + x", "(add ?x ?y)", |m| {
            let (x, y) = (m.id("?x"), m.id("?y"));
            Some(m.add(Lang::Add([y, x])))
        }),
        rule("(x + b) - y = (x - y) + b", "(sub (add_constant ?b ?x) ?y)", |m| {
            let (x, y, b) = (m.id("?x"), m.id("?y"), m.id("?b"));
            let difference = m.add(Lang::Sub([x, y]));
            Some(m.add(Lang::AddConstant([b, difference])))
        }),
        rule("A(-x) = -(A x)", "(linear ?a (negate ?x))", |m| {
            let (a, x) = (m.id("?a"), m.id("?x"));
            let product = m.add(Lang::Linear([a, x]));
            Some(m.add(Lang::Negate(product)))
        }),
        rule("-(x + b) = -x + (-b)", "(negate (add_constant ?b ?x))", |m| {
            let b = m.constant("?b")?;
            let negated = m.egraph.analysis.tables.map(b, "bias", |b| -b);
            let x = m.id("?x");
            let opposite = m.add(Lang::Negate(x));
            Some(m.add_constant(negated, opposite))
        }),
        rule("x + (-y) = x - y", "(add ?x (negate ?y))", |m| {
            let (x, y) = (m.id("?x"), m.id("?y"));
            Some(m.add(Lang::Sub([x, y])))
        }),
        rule("A x + A y = A(x + y)", "(add (linear ?a ?x) (linear ?a ?y))", |m| {
            let (a, x, y) = (m.id("?a"), m.id("?x"), m.id("?y"));
            let sum = m.add(Lang::Add([x, y]));
            Some(m.add(Lang::Linear([a, sum])))
        }),
        rule("(A x + y) + A z = A(x + z) + y", "(add (add (linear ?a ?x) ?y) (linear ?a ?z))", |m| {
            let (a, x, y, z) = (m.id("?a"), m.id("?x"), m.id("?y"), m.id("?z"));
            let sum = m.add(Lang::Add([x, z]));
            let image = m.add(Lang::Linear([a, sum]));
            Some(m.add(Lang::Add([image, y])))
        }),
        // Lets a scale in front of an activation reach the linear maps behind a residual sum, and saves a level where a
        // linear map follows a sum of which one side is one.
        rule("A(x + y) = A x + A y", "(linear ?a (add ?x ?y))", |m| {
            let (a, x, y) = (m.id("?a"), m.id("?x"), m.id("?y"));
            if m.scale("?a").is_none() && !m.is_linear(x) && !m.is_linear(y) {
                return None;
            }
            let (left, right) = (m.add(Lang::Linear([a, x])), m.add(Lang::Linear([a, y])));
            Some(m.add(Lang::Add([left, right])))
        }),
        rule("A(x - y) = A x - A y", "(linear ?a (sub ?x ?y))", |m| {
            let (a, x, y) = (m.id("?a"), m.id("?x"), m.id("?y"));
            if m.scale("?a").is_none() && !m.is_linear(x) && !m.is_linear(y) {
                return None;
            }
            let (left, right) = (m.add(Lang::Linear([a, x])), m.add(Lang::Linear([a, y])));
            Some(m.add(Lang::Sub([left, right])))
        }),
    ]
}
