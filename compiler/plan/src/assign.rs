//! Levels and scales for every value.

use crate::PlanError;
use crate::height::Heights;
use hec_ir::circuit::{Circuit, Op, ValueId};
use hec_ir::entity::EntityVec;
use hec_ir::leveled::{self, Type};
use hec_ir::{Level, Origin, Parameters};
use std::collections::{BTreeMap, BTreeSet};

/// Rewrite `circuit` with levels, placing relinearizations, rescales and adjustments.
pub(crate) fn assign(
    circuit: &Circuit,
    heights: &Heights,
    parameters: &Parameters,
) -> Result<leveled::Circuit, PlanError> {
    let mut assigner = Assigner {
        parameters,
        out: leveled::Circuit {
            name: circuit.name.clone(),
            parameters: parameters.literal().clone(),
            inputs: circuit.inputs.clone(),
            nodes: EntityVec::new(),
            maps: circuit.maps.clone(),
            plains: circuit.plains.clone(),
            outputs: Vec::new(),
        },
        raw: BTreeMap::new(),
        finished: BTreeMap::new(),
        adjusted: BTreeMap::new(),
        uses: uses(circuit, heights),
    };
    for (id, node) in circuit.nodes.iter() {
        if let Some(height) = heights[id] {
            assigner
                .node(circuit, id, Level(height))
                .map_err(|reason| PlanError::Assign { layer: node.origin.layer().to_owned(), reason })?;
        }
    }
    for output in &circuit.outputs {
        let value = assigner
            .at(output.value, Level(0))
            .map_err(|reason| PlanError::Assign { layer: output.name.clone(), reason })?;
        let layout = output.layout.clone();
        let (name, client) = (output.name.clone(), output.client.clone());
        assigner.out.outputs.push(hec_ir::circuit::Output { name, value, layout, client });
    }
    Ok(assigner.out)
}

/// How many values that are needed use each value, outputs included.
fn uses(circuit: &Circuit, heights: &Heights) -> EntityVec<ValueId, u32> {
    let mut uses: EntityVec<ValueId, u32> = circuit.nodes.keys().map(|_| 0).collect();
    for (_, node) in circuit.nodes.iter().filter(|(id, _)| heights[*id].is_some()) {
        // x + x and x·x are one use of x.
        for arg in node.args.iter().copied().collect::<BTreeSet<_>>() {
            uses[arg] += 1;
        }
    }
    for output in &circuit.outputs {
        uses[output.value] += 1;
    }
    uses
}

struct Assigner<'a> {
    parameters: &'a Parameters,
    out: leveled::Circuit,
    /// Values as unrescaled products, one level above their own, until somebody needs them finished.
    raw: BTreeMap<ValueId, leveled::ValueId>,
    /// Values at their canonical scale.
    finished: BTreeMap<ValueId, leveled::ValueId>,
    /// Values dropped to a lower level.
    adjusted: BTreeMap<(leveled::ValueId, Level), leveled::ValueId>,
    uses: EntityVec<ValueId, u32>,
}

impl Assigner<'_> {
    /// Place one node whose result belongs at `level`.
    fn node(&mut self, circuit: &Circuit, id: ValueId, level: Level) -> Result<(), String> {
        let node = &circuit.nodes[id];
        let above = Level(level.0 + 1);
        let args = &node.args;
        let origin = &node.origin;
        match node.op {
            Op::Input(i) => self.finish_as(id, leveled::Op::Input(i), vec![], node.count, origin),
            Op::Linear(m) => {
                let x = self.at(args[0], above)?;
                self.finish_as(id, leveled::Op::Linear(m), vec![x], node.count, origin)
            }
            Op::Rotate(r) => {
                let x = self.at(args[0], level)?;
                self.finish_as(id, leveled::Op::Rotate(r), vec![x], node.count, origin)
            }
            Op::MulPlain(p) => {
                let x = self.at(args[0], above)?;
                self.raw_as(id, leveled::Op::MulPlain(p), vec![x], origin)
            }
            Op::Mul => {
                let (x, y) = (self.at(args[0], above)?, self.at(args[1], above)?);
                let op = if x == y { leveled::Op::Square } else { leveled::Op::Mul };
                let args = if x == y { vec![x] } else { vec![x, y] };
                self.raw_as(id, op, args, origin)
            }
            Op::Square => {
                let x = self.at(args[0], above)?;
                self.raw_as(id, leveled::Op::Square, vec![x], origin)
            }
            Op::AddPlain(p) => self.additive(id, leveled::Op::AddPlain(p), args, level, origin),
            Op::Negate => self.additive(id, leveled::Op::Negate, args, level, origin),
            Op::Add => self.additive(id, leveled::Op::Add, args, level, origin),
            Op::Sub => self.additive(id, leveled::Op::Sub, args, level, origin),
        }
    }

    /// Sums and negations act on raw products when all their arguments are raw at the right level and used only here.
    fn additive(
        &mut self,
        id: ValueId,
        op: leveled::Op,
        args: &[ValueId],
        level: Level,
        origin: &Origin,
    ) -> Result<(), String> {
        let raw_here = |a: &ValueId| {
            let raw = self.raw.get(a).copied().filter(|_| self.uses[*a] == 1)?;
            (self.out.nodes[raw].ty.level.0 == level.0 + 1).then_some(raw)
        };
        if let Some(raw) = args.iter().map(raw_here).collect::<Option<Vec<_>>>() {
            return self.raw_as(id, op, raw, origin);
        }
        let finished = args.iter().map(|&a| self.at(a, level)).collect::<Result<Vec<_>, _>>()?;
        self.finish_as(id, op, finished, 0, origin)
    }

    fn raw_as(
        &mut self,
        id: ValueId,
        op: leveled::Op,
        args: Vec<leveled::ValueId>,
        origin: &Origin,
    ) -> Result<(), String> {
        let value = self.push(op, args, 0, origin)?;
        self.raw.insert(id, value);
        Ok(())
    }

    fn finish_as(
        &mut self,
        id: ValueId,
        op: leveled::Op,
        args: Vec<leveled::ValueId>,
        count: u32,
        origin: &Origin,
    ) -> Result<(), String> {
        let value = self.push(op, args, count, origin)?;
        self.finished.insert(id, value);
        Ok(())
    }

    /// The value at its canonical scale and at `level`.
    fn at(&mut self, id: ValueId, level: Level) -> Result<leveled::ValueId, String> {
        let finished = self.finish(id)?;
        let ty = self.out.nodes[finished].ty;
        if ty.level == level {
            return Ok(finished);
        }
        if let Some(&adjusted) = self.adjusted.get(&(finished, level)) {
            return Ok(adjusted);
        }
        let origin = self.out.nodes[finished].origin.clone();
        let adjusted = self.push(leveled::Op::Adjust(level), vec![finished], 0, &origin)?;
        self.adjusted.insert((finished, level), adjusted);
        Ok(adjusted)
    }

    /// Relinearize and rescale a raw product, once.
    fn finish(&mut self, id: ValueId) -> Result<leveled::ValueId, String> {
        if let Some(&value) = self.finished.get(&id) {
            return Ok(value);
        }
        let mut value = *self.raw.get(&id).ok_or("an argument was not placed")?;
        let origin = self.out.nodes[value].origin.clone();
        if self.out.nodes[value].ty.parts == 3 {
            value = self.push(leveled::Op::Relinearize, vec![value], 0, &origin)?;
        }
        value = self.push(leveled::Op::Rescale, vec![value], 0, &origin)?;
        self.finished.insert(id, value);
        Ok(value)
    }

    fn push(
        &mut self,
        op: leveled::Op,
        args: Vec<leveled::ValueId>,
        count: u32,
        origin: &Origin,
    ) -> Result<leveled::ValueId, String> {
        let types: Vec<Type> = args.iter().map(|&a| self.out.nodes[a].ty).collect();
        let count = match op {
            leveled::Op::Input(_) | leveled::Op::Linear(_) => count,
            _ => types.first().map_or(count, |t| t.count),
        };
        let ty = op.infer(&types, count, self.parameters)?;
        Ok(self.out.nodes.push(leveled::Node { op, args, ty, origin: origin.clone() }))
    }
}
