//! Inputs, maps, plaintexts, outputs and operands of the slot levels.

use super::super::token::{at_name, number, quote};
use super::{Printer, Values, client, layout, numbers};
use crate::circuit::{Input, MapId, Output, PlainId};
use crate::entity::EntityVec;
use crate::{Plain, Rotation, SlotMap};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

pub(super) fn inputs(p: &mut Printer, inputs: &[Input]) {
    for input in inputs {
        p.line(format_args!("input {} : {}", quote(&input.name), layout(&input.layout)));
    }
}

pub(super) fn outputs<V: Display>(p: &mut Printer, outputs: &[Output<V>]) {
    for o in outputs {
        p.line(format_args!("output {} {} : {}{}", quote(&o.name), o.value, layout(&o.layout), client(&o.client)));
    }
}

pub(super) fn maps(p: &mut Printer, maps: &EntityVec<MapId, SlotMap>) {
    for map in maps.values() {
        self::map(p, map);
    }
}

fn map(p: &mut Printer, map: &SlotMap) {
    let head = format!("map {} : {} -> {}", at_name(&map.name), map.inputs, map.outputs);
    let width = map.slots.0;
    // Rows of another length are ill-formed and cannot be one array: they stay, for whoever looks for the fault.
    let outside = p.outside(map.diagonals.len().saturating_mul(width)) && even(map.diagonals.values(), width);
    match p.values {
        Values::Elided if outside => {
            let (diagonals, rotations) = (map.diagonals.len(), map.rotations().len());
            p.line(format_args!("{head} = ...  # {diagonals} diagonals, {rotations} rotations"));
        }
        Values::External if outside => {
            p.store(format!("map/{}", map.name), width, map.diagonals.values());
            p.line(format_args!("{head} = external {{"));
            let mut blocks: BTreeMap<(u32, u32), Vec<Rotation>> = BTreeMap::new();
            for &(output, input, rotation) in map.diagonals.keys() {
                blocks.entry((output, input)).or_default().push(rotation);
            }
            for ((output, input), rotations) in &blocks {
                p.line(format_args!("  {output} <- {input} rotations {}", super::list(rotations)));
            }
            p.line(format_args!("}}"));
        }
        _ => {
            p.line(format_args!("{head} {{"));
            for ((output, input, rotation), diagonal) in &map.diagonals {
                p.line(format_args!("  {output} <- {input} rotation {rotation} = {}", numbers(diagonal)));
            }
            p.line(format_args!("}}"));
        }
    }
}

/// Whether all rows have that length.
fn even<'a>(mut rows: impl Iterator<Item = &'a Arc<Vec<f64>>>, width: usize) -> bool {
    rows.all(|row| row.len() == width)
}

pub(super) fn plains(p: &mut Printer, plains: &EntityVec<PlainId, Plain>) {
    for (id, plain) in plains.iter() {
        match plain {
            Plain::Scalar(value) => p.line(format_args!("plain {id} = {}", number(*value))),
            Plain::Slots(vectors) => self::vectors(p, id, vectors),
        }
    }
}

fn vectors(p: &mut Printer, id: PlainId, vectors: &[Arc<Vec<f64>>]) {
    let width = vectors.first().map_or(0, |v| v.len());
    let outside = p.outside(vectors.len().saturating_mul(width)) && even(vectors.iter(), width);
    let count = vectors.len();
    match p.values {
        Values::Elided if outside => p.line(format_args!("plain {id} : {count} = ...")),
        Values::External if outside => {
            p.store(format!("plain/{}", id.0), width, vectors.iter());
            p.line(format_args!("plain {id} : {count} = external"));
        }
        _ => {
            let rows: Vec<_> = vectors.iter().map(|v| numbers(v)).collect();
            p.line(format_args!("plain {id} = {}", super::list(&rows)));
        }
    }
}

/// What an operation takes besides values.
pub(super) enum Operand {
    Nothing,
    Map(MapId),
    Plain(PlainId),
    Number(u32),
}

/// An operation with its arguments.
pub(super) fn operation<V: Display>(
    maps: &EntityVec<MapId, SlotMap>,
    name: &str,
    args: &[V],
    operand: Operand,
) -> String {
    let mut operands: Vec<String> = args.iter().map(V::to_string).collect();
    match operand {
        Operand::Nothing => {}
        Operand::Map(id) => operands.push(maps.get(id).map_or_else(|| format!("@?{}", id.0), |m| at_name(&m.name))),
        Operand::Plain(id) => operands.push(id.to_string()),
        Operand::Number(n) => operands.push(n.to_string()),
    }
    format!("{name} {}", operands.join(", "))
}
