//! Levels and scales for every value.

use crate::PlanError;
use crate::bootstrap::{Lift, Places};
use hec_ir::circuit::{Circuit, Op, PlainId, ValueId};
use hec_ir::entity::EntityVec;
use hec_ir::leveled::{self, Scheme, Type};
use hec_ir::{Level, Origin, Plain};
use std::collections::{BTreeMap, BTreeSet};

/// Rewrite `circuit` with levels, placing relinearizations, rescales and adjustments.
pub(crate) fn assign(
    circuit: &Circuit,
    places: &Places,
    scheme: &Scheme,
    bottom: Level,
) -> Result<leveled::Circuit, PlanError> {
    let mut assigner = Assigner {
        scheme,
        out: leveled::Circuit {
            name: circuit.name.clone(),
            parameters: scheme.parameters().literal().clone(),
            bootstrap: scheme.bootstrap().map(|b| b.choice().clone()),
            batch: circuit.batch,
            inputs: circuit.inputs.clone(),
            nodes: EntityVec::new(),
            maps: circuit.maps.clone(),
            plains: circuit.plains.clone(),
            outputs: Vec::new(),
        },
        raw: BTreeMap::new(),
        finished: BTreeMap::new(),
        adjusted: BTreeMap::new(),
        shrinks: BTreeMap::new(),
        uses: uses(circuit, places),
    };
    for (id, node) in circuit.nodes.iter() {
        if let Some(place) = places[id] {
            assigner
                .node(circuit, id, place.level)
                .and_then(|()| place.bootstrap.map_or(Ok(()), |lift| assigner.bootstrap(id, lift)))
                .map_err(|reason| PlanError::Assign { layer: node.origin.layer().to_owned(), reason })?;
        }
    }
    for output in &circuit.outputs {
        let value = assigner
            .at(output.value, bottom)
            .map_err(|reason| PlanError::Assign { layer: output.name.clone(), reason })?;
        let layout = output.layout.clone();
        let (name, client) = (output.name.clone(), output.client.clone());
        assigner.out.outputs.push(hec_ir::circuit::Output { name, value, layout, client });
    }
    Ok(assigner.out)
}

/// How many values that are needed use each value, outputs included.
fn uses(circuit: &Circuit, places: &Places) -> EntityVec<ValueId, u32> {
    let mut uses: EntityVec<ValueId, u32> = circuit.nodes.keys().map(|_| 0).collect();
    for (_, node) in circuit.nodes.iter().filter(|(id, _)| places[*id].is_some()) {
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
    scheme: &'a Scheme,
    out: leveled::Circuit,
    /// Values as unrescaled products, one level above their own, until somebody needs them finished.
    raw: BTreeMap<ValueId, leveled::ValueId>,
    /// Values at their canonical scale.
    finished: BTreeMap<ValueId, leveled::ValueId>,
    /// Values dropped to a lower level.
    adjusted: BTreeMap<(leveled::ValueId, Level), leveled::ValueId>,
    /// Factors 2^−bits of values that are bootstrapped.
    shrinks: BTreeMap<u32, PlainId>,
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

    /// Bootstrap a value that has just been placed; from here on it is what comes out. A large value is divided by a
    /// power of two before, for one level, and doubled after.
    fn bootstrap(&mut self, id: ValueId, Lift { to, shrink_bits }: Lift) -> Result<(), String> {
        let mut value = self.finish(id)?;
        let origin = self.out.nodes[value].origin.clone();
        if shrink_bits > 0 {
            let factor = Plain::Scalar(libm::exp2(-f64::from(shrink_bits)));
            let factor = *self.shrinks.entry(shrink_bits).or_insert_with(|| self.out.plains.push(factor));
            value = self.push(leveled::Op::MulPlain(factor), vec![value], 0, &origin)?;
            value = self.push(leveled::Op::Rescale, vec![value], 0, &origin)?;
        }
        value = self.push(leveled::Op::Bootstrap(to), vec![value], 0, &origin)?;
        for _ in 0..shrink_bits {
            value = self.push(leveled::Op::Add, vec![value, value], 0, &origin)?;
        }
        self.raw.remove(&id);
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
        let ty = op.infer(&types, count, self.scheme)?;
        Ok(self.out.nodes.push(leveled::Node { op, args, ty, origin: origin.clone() }))
    }
}
