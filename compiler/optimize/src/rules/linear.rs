//! Linear maps of linear maps.

use super::rule;
use crate::language::{Lang, Network};
use egg::Rewrite;

/// Chains longer than this are not composed further.
const LONGEST_CHAIN: usize = 16;

pub(super) fn rules() -> Vec<Rewrite<Lang, Network>> {
    vec![
        // Saves a level. Weights are multiplied out only when the chain is packed. Covers batch normalisation, pooling
        // into convolutions, scales into either neighbour.
        rule("B(A x) = (BA) x", "(linear ?b (linear ?a ?x))", |m| {
            let (a, b) = (m.chain("?a")?, m.chain("?b")?);
            let tables = &mut m.egraph.analysis.tables;
            let steps = [tables.chain(a), tables.chain(b)].concat();
            if steps.len() > LONGEST_CHAIN {
                return None;
            }
            let chain = tables.add_chain(steps);
            let x = m.id("?x");
            Some(m.linear(chain, x))
        }),
    ]
}
