//! The equations, one file for each thing rewritten. A rule's name is its equation; what it costs and saves is said
//! beside it.

mod affine;
mod instead;
mod linear;
mod matrix;
mod norm;
mod polynomial;
mod power;
mod product;
mod square;
#[cfg(test)]
mod tests;

use crate::language::{EGraph, Lang, Network};
use crate::tables::{AddendId, ChainId};
use egg::{Applier, Id, Pattern, PatternAst, Rewrite, Subst, Symbol, Var};
use hec_ir::Origin;
use hec_ir::tensor::{ConstId, Shape};
use std::sync::Arc;

/// All rules, in a fixed order.
pub(crate) fn all() -> Vec<Rewrite<Lang, Network>> {
    [
        linear::rules(),
        affine::rules(),
        square::rules(),
        polynomial::rules(),
        power::rules(),
        product::rules(),
        matrix::rules(),
        norm::rules(),
        instead::rules(),
    ]
    .concat()
}

/// What a pattern matched.
pub(crate) struct Match<'a> {
    egraph: &'a mut EGraph,
    subst: &'a Subst,
}

impl Match<'_> {
    /// The class that a variable stands for.
    fn id(&self, name: &str) -> Id {
        let var: Var = name.parse().expect("a variable's name");
        self.subst[var]
    }

    fn leaf(&self, name: &str) -> Option<Lang> {
        self.egraph[self.id(name)].data.leaf.clone()
    }

    fn chain(&self, name: &str) -> Option<ChainId> {
        match self.leaf(name)? {
            Lang::Chain(id) => Some(id),
            _ => None,
        }
    }

    fn constant(&self, name: &str) -> Option<ConstId> {
        match self.leaf(name)? {
            Lang::Addend(id) => Some(ConstId(id.0)),
            _ => None,
        }
    }

    /// The factor, if the chain is a single scale.
    fn scale(&self, name: &str) -> Option<ConstId> {
        self.egraph.analysis.tables.as_scale(self.chain(name)?)
    }

    /// Whether a value is known as the result of a linear map.
    fn is_linear(&self, id: Id) -> bool {
        self.egraph[id].iter().any(|node| matches!(node, Lang::Linear(_)))
    }

    /// Whether a linear map other than a scale reads a value.
    fn feeds_a_layer(&self, node: &Lang) -> bool {
        let Some(class) = self.egraph.lookup(node.clone()) else { return false };
        self.egraph[class].parents().any(|user| match self.egraph.id_to_node(user) {
            Lang::Linear([chain, _]) => match self.egraph[*chain].data.leaf {
                Some(Lang::Chain(chain)) => self.egraph.analysis.tables.as_scale(chain).is_none(),
                _ => false,
            },
            _ => false,
        })
    }

    fn shape(&self, name: &str) -> Option<Shape> {
        self.egraph[self.id(name)].data.shape.clone()
    }

    fn origin(&self) -> Arc<Origin> {
        Arc::clone(&self.egraph.analysis.origin)
    }

    fn linear(&mut self, chain: ChainId, x: Id) -> Id {
        let chain = self.egraph.add(Lang::Chain(chain));
        self.egraph.add(Lang::Linear([chain, x]))
    }

    fn add_constant(&mut self, constant: ConstId, x: Id) -> Id {
        let constant = self.egraph.add(Lang::Addend(AddendId(constant.0)));
        self.egraph.add(Lang::AddConstant([constant, x]))
    }

    fn scaled(&mut self, factor: ConstId, x: Id) -> Id {
        let origin = self.origin();
        let chain = self.egraph.analysis.tables.add_scale(factor, origin);
        self.linear(chain, x)
    }

    fn add(&mut self, node: Lang) -> Id {
        self.egraph.add(node)
    }
}

struct Apply<F> {
    build: F,
    vars: Vec<Var>,
}

impl<F> Applier<Lang, Network> for Apply<F>
where
    F: Fn(&mut Match) -> Option<Id> + Send + Sync,
{
    fn apply_one(
        &self,
        egraph: &mut EGraph,
        class: Id,
        subst: &Subst,
        _pattern: Option<&PatternAst<Lang>>,
        rule: Symbol,
    ) -> Vec<Id> {
        let matched = std::iter::once(class).chain(self.vars.iter().map(|&v| subst[v]));
        let key = (rule, matched.map(|id| egraph.find(id)).collect());
        if egraph.analysis.applied.contains(&key) {
            return Vec::new();
        }
        egraph.analysis.origin = Arc::clone(&egraph[class].data.origin);
        let Some(equal) = (self.build)(&mut Match { egraph, subst }) else {
            return Vec::new();
        };
        egraph.analysis.applied.insert(key);
        if egraph.union(class, equal) { vec![class] } else { Vec::new() }
    }
}

/// A rule from its equation, the pattern of its left side, and how to build its right side (`None` where it does not
/// apply).
fn rule(
    equation: &str,
    left: &str,
    right: impl Fn(&mut Match) -> Option<Id> + Send + Sync + 'static,
) -> Rewrite<Lang, Network> {
    let pattern: Pattern<Lang> = left.parse().expect("a rule's pattern parses");
    let vars = pattern.vars();
    Rewrite::new(equation, pattern, Apply { build: right, vars }).expect("a rule binds its variables")
}
