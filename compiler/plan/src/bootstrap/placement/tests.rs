//! Against all sets of bootstraps.

use super::*;
use crate::height::heights;
use hec_ir::cost::CostTable;
use hec_ir::tensor::Shape;
use hec_ir::{BootstrapChoice, Depth, Layout, LogN, Origin, Rotation, Slots};
use hec_params::{Order, Sine};

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

fn parameters() -> BootstrapParameters {
    let choice = BootstrapChoice {
        log_n: LogN(5),
        slots: Slots(16),
        order: Order::CoeffsFirst,
        levels: Depth(2),
        scale_bits: 40.0,
        base_bits: 49.8,
        eval_bits: 49.5,
        boost_bits: 0.0,
        coeffs_to_slots: vec![2, 2],
        slots_to_coeffs: vec![4],
        sine: Sine { degree: 30, double_angles: 3, arcsine: 1, ratio_bits: 9.75 },
        weight: 16,
        log2_failure: -40.0,
        digit_size: 4,
        insecure_toy: true,
    };
    BootstrapParameters::check(choice).expect("a sound toy")
}

/// Products, sums and rotations of values made lately, so that the circuit is deep.
fn circuit(random: &mut Random, nodes: usize) -> Circuit {
    let slots = Slots(16);
    let layout = Layout::row_major(Shape::new([16]), slots);
    let mut c = Circuit::new("random", slots);
    let mut values = vec![c.input("x", layout.clone(), Origin::default())];
    for _ in 0..nodes {
        let mut pick = || values[values.len() - 1 - random.below(values.len().min(2))];
        let (x, y) = (pick(), pick());
        let (op, args) = match random.below(6) {
            0 => (Op::Add, vec![x, y]),
            1 => (Op::Rotate(Rotation(1)), vec![x]),
            2 => (Op::Mul, vec![x, y]),
            _ => (Op::Square, vec![x]),
        };
        values.push(c.push(op, args, Origin::default()).expect("fits"));
    }
    for &value in &values[values.len() - 2..] {
        let (name, layout) = (format!("y{}", value.0), layout.clone());
        c.outputs.push(hec_ir::circuit::Output { name, value, layout, client: vec![] });
    }
    c
}

/// The cheapest of all sets.
fn exhaustive(problem: &Problem) -> Option<Placement> {
    let count = problem.circuit.nodes.len();
    let sets = (0..1u32 << (count - 1)).map(|set| {
        let chosen = (0..count).map(|i| i > 0 && set >> (i - 1) & 1 == 1);
        problem.place(&chosen.collect())
    });
    sets.flatten().min_by(|a, b| a.seconds.total_cmp(&b.seconds))
}

#[test]
fn no_set_of_bootstraps_is_cheaper() {
    let (parameters, mut random) = (parameters(), Random(3));
    let (mut solved, mut bootstraps) = (0, 0);
    for _ in 0..60 {
        let c = circuit(&mut random, 12);
        // Some values are too large, some a little.
        let sizes = [0.3, 0.3, 0.3, 0.3, 3.0, 1e4];
        let magnitudes = c.nodes.keys().map(|_| sizes[random.below(sizes.len())]).collect();
        let costs = CostTable::default();
        let options = BootstrapOptions { precision_bits: 10.0, levels: None, magnitudes: Some(magnitudes), costs };
        let heights = heights(&c);
        let mut problem = Problem::new(&c, &heights, &options, &parameters, Level(random.below(2) as u32));
        let (found, best) = (problem.solve(), exhaustive(&problem));
        assert_eq!(found.is_some(), best.is_some());
        let (Some(found), Some(best)) = (found, best) else { continue };
        assert!((found.seconds / best.seconds - 1.0).abs() < 1e-9, "{} {}", found.seconds, best.seconds);
        solved += 1;
        bootstraps += found.places.values().flatten().filter(|p| p.bootstrap.is_some()).count();
        problem.most_states = 6;
        let capped = problem.solve().map(|p| p.seconds / best.seconds);
        assert!(capped.is_none_or(|ratio| ratio < 1.1), "{capped:?}");
    }
    assert!(solved > 20 && bootstraps > solved, "{solved} networks with {bootstraps} bootstraps");
}

#[test]
fn a_value_that_is_used_twice_is_bootstrapped_once() {
    let parameters = parameters();
    let layout = Layout::row_major(Shape::new([16]), Slots(16));
    let mut c = Circuit::new("net", Slots(16));
    let mut x = c.input("x", layout.clone(), Origin::default());
    for _ in 0..2 {
        x = c.push(Op::Square, [x], Origin::default()).expect("fits");
    }
    let branch = |c: &mut Circuit| (0..3).fold(x, |y, _| c.push(Op::Square, [y], Origin::default()).expect("fits"));
    let (a, b) = (branch(&mut c), branch(&mut c));
    let y = c.push(Op::Add, [a, b], Origin::default()).expect("fits");
    c.outputs.push(hec_ir::circuit::Output { name: "y".into(), value: y, layout, client: vec![] });
    let costs = CostTable::default();
    let options = BootstrapOptions { precision_bits: 10.0, levels: None, magnitudes: None, costs };
    let heights = heights(&c);
    let placement = Problem::new(&c, &heights, &options, &parameters, Level(0)).solve().expect("fits");
    let lifted: Vec<_> = placement.places.iter().filter_map(|(id, p)| Some((id, p.as_ref()?.bootstrap?))).collect();
    assert_eq!(lifted, [(x, Lift { to: Level(3), shrink_bits: 0 })]);
}
