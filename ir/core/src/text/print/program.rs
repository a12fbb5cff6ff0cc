//! The program level.

use super::super::token::{at_name, word_or_quote};
use super::constants::{Operand, inputs, maps, operation, outputs, plains};
use super::leveled::{batch, parameters, ty};
use super::{Body, Printer, Values, origin};
use crate::leveled::Scheme;
use crate::program::{BabyGiant, Instruction, KeySet, Op, Program};
use crate::{Level, Parameters, Rotation, SlotMap};
use std::collections::BTreeMap;

impl Body for Program {
    fn write(&self, p: &mut Printer) {
        p.outer(format_args!("program {}{} {{", word_or_quote(&self.name), batch(self.batch)));
        let scheme = self.scheme().ok();
        parameters(p, &self.parameters, self.bootstrap.as_ref());
        inputs(p, &self.inputs);
        maps(p, &self.maps);
        for (id, map) in self.maps.iter() {
            if let Some(plan) = self.plans.get(id) {
                self::plan(p, map, plan);
            }
        }
        plains(p, &self.plains);
        for instruction in &self.instructions {
            let line = self::instruction(self, instruction, scheme.as_ref().map(Scheme::parameters));
            p.line(format_args!("{line}{}", origin(&instruction.origin)));
        }
        outputs(p, &self.outputs);
        keys(p, &self.keys);
        p.outer(format_args!("}}"));
    }
}

fn instruction(program: &Program, i: &Instruction, parameters: Option<&Parameters>) -> String {
    let operation = operation(&program.maps, i.op.name(), &i.args, operand(i.op));
    let ty = ty(&i.ty, parameters);
    match i.op {
        Op::Decompose | Op::Forget | Op::Free if i.args == [i.destination] => operation,
        _ => format!("{} = {operation} : {ty}", i.destination),
    }
}

/// Baby steps by giant step.
fn plan(p: &mut Printer, map: &SlotMap, plan: &BabyGiant) {
    let (name, babies, giants) = (at_name(&map.name), plan.babies().len(), plan.giants().len());
    if p.values == Values::Elided {
        p.line(format_args!("plan {name} {{ ... }}  # {giants} giant steps, {babies} baby steps"));
        return;
    }
    let mut by_giant: BTreeMap<Rotation, Vec<Rotation>> = BTreeMap::new();
    for &(giant, baby) in plan.split.values() {
        by_giant.entry(giant).or_default().push(baby);
    }
    p.line(format_args!("plan {name} {{"));
    for (giant, babies) in &mut by_giant {
        babies.sort_unstable();
        p.line(format_args!("  giant {giant} babies {}", super::list(babies)));
    }
    p.line(format_args!("}}"));
}

/// Keys, those of one level together.
fn keys(p: &mut Printer, keys: &KeySet) {
    p.line(format_args!("keys {{"));
    if let Some(level) = keys.relinearize {
        p.line(format_args!("  relinearize level {level}"));
    }
    let mut by_level: BTreeMap<Level, Vec<Rotation>> = BTreeMap::new();
    for (&rotation, &level) in &keys.rotations {
        by_level.entry(level).or_default().push(rotation);
    }
    for (level, rotations) in by_level.iter().rev() {
        let rotations = p.long_list(rotations);
        p.line(format_args!("  rotate level {level} {rotations}"));
    }
    if keys.bootstrap {
        p.line(format_args!("  bootstrap"));
    }
    p.line(format_args!("}}"));
}

fn operand(op: Op) -> Operand {
    match op {
        Op::Load(i) => Operand::Number(i),
        Op::Linear(map) => Operand::Map(map),
        Op::AddPlain(plain) | Op::MulPlain(plain) => Operand::Plain(plain),
        Op::Rotate(rotation) => Operand::Number(rotation.0),
        Op::Adjust(level) | Op::Bootstrap(level) => Operand::Number(level.0),
        _ => Operand::Nothing,
    }
}
