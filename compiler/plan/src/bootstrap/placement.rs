//! The cheapest set of values to bootstrap, by dynamic programming from the outputs back.
//!
//! All users of a bootstrapped value use it bootstrapped. Then the set decides every level: a value is needed at the
//! highest level that a user needs, a user needs its arguments one level above its own if it uses a level, and a value
//! that is bootstrapped is itself needed where bootstraps start. Nodes are decided in reverse order; what a decision for
//! the rest depends on is where the values that are used but not yet decided are needed. A state with lower needs and
//! lower cost than another makes it superfluous, as no operation is cheaper at a higher level.

use super::BootstrapOptions;
use super::seconds::Seconds;
use crate::height::Heights;
use hec_ir::circuit::{Circuit, Op, ValueId};
use hec_ir::entity::EntityVec;
use hec_ir::{BootstrapParameters, Level};

/// States that are kept after each node; beyond it the dearest are dropped. Networks of one or two branches have some
/// tens of states.
const MOST_STATES: usize = 512;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The level at which it is computed.
    pub level: Level,
    /// How it is bootstrapped, if it is.
    pub bootstrap: Option<Lift>,
}

/// How a value is bootstrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lift {
    /// To which level.
    pub to: Level,
    /// It is divided by this power of two before, and multiplied after.
    pub shrink_bits: u32,
}

/// Levels of all values that are needed, and what they are predicted to cost.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placement {
    pub places: Places,
    /// The level of the outputs.
    pub bottom: Level,
    pub seconds: f64,
}

/// The place of each value; `None` for values that no output needs.
pub(crate) type Places = EntityVec<ValueId, Option<Place>>;

/// What levels follow from.
pub(super) struct Problem<'a> {
    pub circuit: &'a Circuit,
    pub heights: &'a Heights,
    pub options: &'a BootstrapOptions,
    pub parameters: &'a BootstrapParameters,
    pub seconds: Seconds,
    /// The level of the outputs.
    pub bottom: Level,
    /// States that are kept after each node.
    pub most_states: usize,
}

/// A set of decisions for the nodes so far.
#[derive(Clone, Debug)]
struct State {
    /// Levels at which the live values are needed, in their order.
    needs: Vec<u32>,
    seconds: f64,
    /// The last value that was bootstrapped, and those before it.
    trail: Option<usize>,
}

impl<'a> Problem<'a> {
    pub fn new(
        circuit: &'a Circuit,
        heights: &'a Heights,
        options: &'a BootstrapOptions,
        parameters: &'a BootstrapParameters,
        bottom: Level,
    ) -> Self {
        let seconds = Seconds::of(circuit, options, parameters);
        Problem { circuit, heights, options, parameters, seconds, bottom, most_states: MOST_STATES }
    }

    /// The cheapest placement; `None` if no set of bootstraps will do.
    pub fn solve(&self) -> Option<Placement> {
        let mut live: Vec<ValueId> = self.circuit.outputs.iter().map(|o| o.value).collect();
        live.sort_unstable();
        live.dedup();
        let mut trail: Vec<(ValueId, Option<usize>)> = Vec::new();
        let mut states = vec![State { needs: vec![self.bottom.0; live.len()], seconds: 0.0, trail: None }];
        for (id, node) in self.circuit.nodes.iter().rev() {
            let Ok(position) = live.binary_search(&id) else { continue };
            let mut after: Vec<ValueId> = live.iter().chain(&node.args).copied().filter(|&v| v != id).collect();
            after.sort_unstable();
            after.dedup();
            let mut next = Vec::new();
            for state in &states {
                let need = state.needs[position];
                let mut step = |level: u32, seconds: f64, trail: Option<usize>| {
                    let known = |v: &ValueId| live.binary_search(v).map_or(0, |i| state.needs[i]);
                    let argument = |v: &ValueId| if node.args.contains(v) { level + node.op.depth() } else { 0 };
                    let needs: Vec<u32> = after.iter().map(|v| known(v).max(argument(v))).collect();
                    if needs.iter().all(|&n| n <= self.parameters.output_level().0) {
                        let seconds = state.seconds + seconds + self.seconds.node(id, level);
                        next.push(State { needs, seconds, trail });
                    }
                };
                step(need, 0.0, state.trail);
                if let Some((level, _)) = self.lift(id).filter(|(level, _)| *level < need) {
                    trail.push((id, state.trail));
                    step(level, self.seconds.bootstrap(id), Some(trail.len() - 1));
                }
            }
            live = after;
            states = pareto(next, self.most_states);
        }
        let best = states.into_iter().min_by(|a, b| a.seconds.total_cmp(&b.seconds))?;
        let mut chosen: EntityVec<ValueId, bool> = self.circuit.nodes.keys().map(|_| false).collect();
        let mut at = best.trail;
        while let Some((id, before)) = at.map(|i| trail[i]) {
            chosen[id] = true;
            at = before;
        }
        self.place(&chosen)
    }

    /// The level at which a value is computed if it is bootstrapped, and by how much it is divided before.
    fn lift(&self, id: ValueId) -> Option<(u32, u32)> {
        let shrink_bits = self.options.shrink_bits(id)?;
        let level = self.parameters.input_level().0 + u32::from(shrink_bits > 0);
        let fits = level < self.parameters.output_level().0;
        (fits && !matches!(self.circuit.nodes[id].op, Op::Input(_))).then_some((level, shrink_bits))
    }

    /// The levels that follow from a set of bootstraps, and their cost; `None` if they do not exist.
    pub(super) fn place(&self, chosen: &EntityVec<ValueId, bool>) -> Option<Placement> {
        let mut needs: EntityVec<ValueId, u32> = self.circuit.nodes.keys().map(|_| 0).collect();
        self.circuit.outputs.iter().for_each(|o| needs[o.value] = self.bottom.0);
        let mut places: Places = self.circuit.nodes.keys().map(|_| None).collect();
        let mut seconds = 0.0;
        for (id, node) in self.circuit.nodes.iter().rev().filter(|(id, _)| self.heights[*id].is_some()) {
            let need = needs[id];
            let lift = if chosen[id] { Some(self.lift(id).filter(|(level, _)| *level < need)?) } else { None };
            let level = lift.map_or(need, |(level, _)| level);
            if need > self.parameters.output_level().0 {
                return None;
            }
            seconds += self.seconds.node(id, level) + lift.map_or(0.0, |_| self.seconds.bootstrap(id));
            let bootstrap = lift.map(|(_, shrink_bits)| Lift { to: Level(need), shrink_bits });
            places[id] = Some(Place { level: Level(level), bootstrap });
            node.args.iter().for_each(|&arg| needs[arg] = needs[arg].max(level + node.op.depth()));
        }
        Some(Placement { places, bottom: self.bottom, seconds })
    }
}

/// The states that no other makes superfluous, the cheapest first.
fn pareto(mut states: Vec<State>, most: usize) -> Vec<State> {
    states.sort_by(|a, b| a.seconds.total_cmp(&b.seconds).then_with(|| a.needs.cmp(&b.needs)));
    let mut kept: Vec<State> = Vec::new();
    for state in states {
        let covers = |k: &State| k.needs.iter().zip(&state.needs).all(|(a, b)| a <= b);
        if kept.len() < most && !kept.iter().any(covers) {
            kept.push(state);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
