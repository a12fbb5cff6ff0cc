//! Prints what products of two encrypted matrices take, or the networks that are given as tensor text.
//!
//! `cargo bench -p hec-pack --bench products -- [--slots N] [FILE.hel ...]`. The published counts are those of Jiang, Kim,
//! Lauter and Song 2018 with baby and giant steps: depth 3, about 3d + 5√d rotations for one product of d×d matrices.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on stops")]

use hec_ir::circuit::{Circuit, Op as SlotOp};
use hec_ir::entity::Entity;
use hec_ir::tensor::{Graph, Op, Output, Shape};
use hec_ir::text::{AnyLevel, ExternalConstants, parse};
use hec_ir::{Origin, Slots};
use hec_pack::{PackOptions, pack};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

fn product(d: usize) -> Graph {
    let mut graph = Graph::new(format!("{d}x{d}"));
    let (a, b) = (graph.input("a", Shape::new([d, d])), graph.input("b", Shape::new([d, d])));
    let value = graph.push(Op::BatchMatMul, [a, b], Origin::node("product")).unwrap();
    graph.outputs.push(Output { name: "c".to_owned(), value, client: Vec::new() });
    graph
}

fn load(path: &Path) -> Graph {
    let arrays = hec_ir::array::load(&path.with_extension("npz")).unwrap();
    let external: ExternalConstants = arrays.into_iter().map(|(name, t)| (name, Arc::new(t))).collect();
    match parse(&std::fs::read_to_string(path).unwrap(), &external).unwrap() {
        AnyLevel::Tensor(graph) => graph,
        _ => panic!("{} is no tensor text", path.display()),
    }
}

/// Baby and giant steps for a number of rotations, if there are as many of either.
fn key_switches(rotations: usize) -> usize {
    rotations.min(2 * (rotations as f64).sqrt().ceil() as usize)
}

fn print(circuit: &Circuit, each: bool) {
    let mut depths: Vec<u32> = Vec::new();
    for node in circuit.nodes.values() {
        let before = node.args.iter().map(|a| depths[a.index()]).max().unwrap_or(0);
        depths.push(before + node.op.depth());
    }
    let depth = circuit.outputs.iter().map(|o| depths[o.value.index()]).max().unwrap_or(0);
    let (mut diagonals, mut in_maps, mut rotations, mut products) = (0, 0, 0, 0);
    for (id, node) in circuit.nodes.iter() {
        let count = node.count as usize;
        match node.op {
            SlotOp::Linear(map) => {
                let map = &circuit.maps[map];
                diagonals += map.diagonals.len();
                in_maps += key_switches(map.rotations().iter().filter(|r| !r.is_zero()).count())
                    * map.outputs.max(map.inputs) as usize;
                if each {
                    let (turns, layer) = (map.rotations().len(), node.origin.layer());
                    let (all, depth) = (map.diagonals.len(), depths[id.index()]);
                    println!(
                        "    {depth:>3} {} to {}: {all} diagonals, {turns} rotations {layer}",
                        map.inputs, map.outputs
                    );
                }
            }
            SlotOp::Rotate(_) => rotations += count,
            SlotOp::Mul | SlotOp::Square => products += count,
            _ => {}
        }
    }
    println!(
        "  depth {depth}, {} maps of {diagonals} diagonals with about {in_maps} key switches, {rotations} rotations, \
         {products} products",
        circuit.maps.len()
    );
}

fn main() {
    let mut slots = vec![4096, 8192, 16384, 32768];
    let mut files = Vec::new();
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(argument) = arguments.next() {
        match &argument[..] {
            "--slots" => slots = vec![arguments.next().and_then(|n| n.parse().ok()).expect("a number of slots")],
            path => files.push(load(Path::new(path))),
        }
    }
    let each = !files.is_empty();
    let graphs = if each { files } else { vec![product(64), product(128)] };
    for graph in &graphs {
        for &slots in &slots {
            let start = Instant::now();
            println!("{} at {slots} slots", graph.name);
            match pack(graph, &PackOptions::new(Slots(slots))) {
                Ok(circuit) => print(&circuit, each),
                Err(error) => println!("  {error}"),
            }
            println!("  packed in {:.1} s", start.elapsed().as_secs_f64());
        }
    }
}
