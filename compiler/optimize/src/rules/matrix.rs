//! Products of encrypted matrices: the order of a chain of them, and scales through them.

use super::{Match, rule};
use crate::language::{Lang, Network};
use egg::{Id, Rewrite};
use hec_ir::tensor::LinearStep;

pub(super) fn rules() -> Vec<Rewrite<Lang, Network>> {
    vec![
        // (QKᵀ)V without a softmax between: Q(KᵀV) has less work if there are more rows than columns.
        rule("(X Y) Z = X(Y Z)", "(batch_matmul (batch_matmul ?x ?y) ?z)", |m| {
            let (x, y, z) = (m.id("?x"), m.id("?y"), m.id("?z"));
            let inner = product(m, y, z);
            Some(product(m, x, inner))
        }),
        rule("X(Y Z) = (X Y) Z", "(batch_matmul ?x (batch_matmul ?y ?z))", |m| {
            let (x, y, z) = (m.id("?x"), m.id("?y"), m.id("?z"));
            let inner = product(m, x, y);
            Some(product(m, inner, z))
        }),
        // A scale of the scores is one of the queries, and so of W_q. What it is the same along decides the side.
        rule("S(X Y) = (S X) Y", "(linear ?s (batch_matmul ?x ?y))", |m| {
            same_along(m, "?s", 1)?;
            let (s, x, y) = (m.id("?s"), m.id("?x"), m.id("?y"));
            let scaled = m.add(Lang::Linear([s, x]));
            Some(product(m, scaled, y))
        }),
        rule("S(X Y) = X(S Y)", "(linear ?s (batch_matmul ?x ?y))", |m| {
            same_along(m, "?s", 2)?;
            let (s, x, y) = (m.id("?s"), m.id("?x"), m.id("?y"));
            let scaled = m.add(Lang::Linear([s, y]));
            Some(product(m, x, scaled))
        }),
        rule("(S X) Y = S(X Y)", "(batch_matmul (linear ?s ?x) ?y)", |m| {
            same_along(m, "?s", 1)?;
            let (s, x, y) = (m.id("?s"), m.id("?x"), m.id("?y"));
            let inner = product(m, x, y);
            Some(m.add(Lang::Linear([s, inner])))
        }),
        rule("X(S Y) = S(X Y)", "(batch_matmul ?x (linear ?s ?y))", |m| {
            same_along(m, "?s", 2)?;
            let (s, x, y) = (m.id("?s"), m.id("?x"), m.id("?y"));
            let inner = product(m, x, y);
            Some(m.add(Lang::Linear([s, inner])))
        }),
        // Saves a level where the layer that makes Y takes W in.
        rule("(X Y) W = X(Y W)", "(linear ?w (batch_matmul ?x ?y))", |m| {
            let w = m.chain("?w")?;
            let [step] = m.egraph.analysis.tables.chain(w) else { return None };
            let LinearStep::MatMul { .. } = step.step else { return None };
            let (w, x, y) = (m.id("?w"), m.id("?x"), m.id("?y"));
            let inner = m.add(Lang::Linear([w, y]));
            Some(product(m, x, inner))
        }),
    ]
}

fn product(m: &mut Match, x: Id, y: Id) -> Id {
    m.add(Lang::BatchMatMul([x, y]))
}

/// Whether a scale is the same along an axis, counted from the last one, 1.
fn same_along(m: &Match, scale: &str, axis: usize) -> Option<()> {
    let factor = m.scale(scale)?;
    let dims = m.egraph.analysis.tables.constants.tensor(factor).shape.dims();
    let extent = dims.len().checked_sub(axis).map_or(1, |i| dims[i]);
    (extent == 1).then_some(())
}
