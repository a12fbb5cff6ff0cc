//! Mean subtraction as a linear map, which the layer before takes in.

use super::{Match, rule};
use crate::language::{Lang, Network};
use crate::tables::{ChainId, Step};
use egg::Rewrite;
use hec_ir::tensor::{LinearStep, Shape, Tensor};

/// Rows longer than this are left: the matrix would be larger than a layer.
const LONGEST_ROW: usize = 1024;

pub(super) fn rules() -> Vec<Rewrite<Lang, Network>> {
    vec![rule("x - mean(x) = C x, C = 1 - 1/n", "(sub ?x (linear ?m ?x))", |m| {
        let row = *m.shape("?x")?.dims().last()?;
        if !is_row_mean(m, m.chain("?m")?, &m.shape("?x")?) || row > LONGEST_ROW {
            return None;
        }
        let entry = |i: usize| f64::from(u8::from(i.is_multiple_of(row + 1))) - 1.0 / row as f64;
        let center = Tensor { shape: Shape::new([row, row]), data: (0..row * row).map(entry).collect() };
        let origin = m.origin();
        let tables = &mut m.egraph.analysis.tables;
        let weight = tables.intern("center", center);
        let chain = tables.add_chain(vec![Step { step: LinearStep::MatMul { weight }, origin }]);
        let x = m.id("?x");
        Some(m.linear(chain, x))
    })]
}

/// Whether a chain is the mean along the last axis, repeated along it.
fn is_row_mean(m: &Match, chain: ChainId, input: &Shape) -> bool {
    match m.egraph.analysis.tables.chain(chain) {
        [first, second] => match (&first.step, &second.step) {
            (LinearStep::Mean { axes }, LinearStep::Expand { shape }) => {
                axes.as_slice() == [input.rank() - 1] && shape == input
            }
            _ => false,
        },
        _ => false,
    }
}
