//! The evaluators "clear" and "cost" on one computation at three levels.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod example;

use hec_ir::cost::{CostTable, LinearShape, RingSize};
use hec_ir::evaluate::SimulateError;
use hec_ir::evaluate::clear::{simulate_circuit, simulate_clear, simulate_leveled};
use hec_ir::evaluate::cost::CostReport;
use hec_ir::program::Op;
use hec_ir::tensor::{Shape, Tensor};
use hec_ir::{Level, Parameters};

fn assert_near(found: &[Tensor], expected: &[f64]) {
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].data.len(), expected.len());
    for (x, y) in found[0].data.iter().zip(expected) {
        assert!((x - y).abs() < 1e-13, "{x} against {y}");
    }
}

#[test]
fn three_levels_compute_the_same() {
    let x = example::input();
    let expected = example::expected(&x);
    let inputs = std::slice::from_ref(&x);
    assert_near(&simulate_circuit(&example::circuit(), inputs).unwrap(), &expected);
    assert_near(&simulate_leveled(&example::leveled(), inputs).unwrap(), &expected);
    assert_near(&simulate_clear(&example::program(), inputs).unwrap(), &expected);
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let program = example::program();
    assert_eq!(simulate_clear(&program, &[]), Err(SimulateError::InputCount { expected: 1, found: 0 }));
    let bad = Tensor::filled(Shape::new([2, 4]), 0.0);
    assert!(matches!(simulate_clear(&program, &[bad]), Err(SimulateError::InputShape { name, .. }) if name == "x"));
}

#[test]
fn a_program_costs_the_sum_of_its_operations() {
    let (program, table) = (example::program(), CostTable::default());
    let report = CostReport::of_program(&program, &table).unwrap();
    let layers: Vec<_> = report.layers.iter().map(|l| (l.layer.as_str(), l.level_in, l.level_out)).collect();
    assert_eq!(layers, [("first", 4, 3), ("square", 3, 2), ("second", 2, 0), ("turn", 0, 0)]);

    let [first, square, second, turn] = &report.layers[..] else { panic!("four layers") };
    // Rotations 0..8 are 0..4 + {0, 4}: three turning baby steps, one turning giant step.
    assert_eq!((first.counts.diagonals, first.counts.baby_steps, first.counts.giant_steps), (8, 3, 1));
    assert_eq!((first.counts.key_switches, first.counts.decompositions), (4, 2));
    assert_eq!((square.counts.ciphertext_products, square.counts.key_switches, square.counts.rescales), (1, 1, 1));
    assert_eq!((second.counts.plaintext_products, second.counts.diagonals), (1, 8));
    assert_eq!((turn.counts.rotations, turn.counts.key_switches, turn.counts.decompositions), (1, 1, 1));
    assert_eq!(report.total.key_switches, 4 + 1 + 4 + 1);

    let parameters = Parameters::check(program.parameters.clone()).unwrap();
    let ring = |level: u32| RingSize::at(&parameters, Level(level));
    let relative = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-12;
    let maps: Vec<_> = program.maps.iter().map(|(id, map)| (map, &program.plans[id])).collect();
    // The decomposition ahead of the map is the one that the map would have made.
    assert!(relative(first.counts.seconds, table.linear(&ring(4), maps[0].0, maps[0].1)));
    assert!(relative(turn.counts.seconds, table.key_switch(&ring(0))));
    let sum: f64 = report.layers.iter().map(|l| l.counts.seconds).sum();
    assert!(relative(report.total.seconds, sum));
}

#[test]
fn decompositions_that_are_kept_are_paid_once() {
    let table = CostTable::default();
    let with = CostReport::of_program(&example::program(), &table).unwrap();
    let mut program = example::program();
    program.instructions.retain(|i| i.op != Op::Decompose);
    let without = CostReport::of_program(&program, &table).unwrap();
    assert_eq!(with.total.decompositions, without.total.decompositions);
    assert!((with.total.seconds / without.total.seconds - 1.0).abs() < 1e-12);
}

#[test]
fn a_leveled_circuit_is_costed_with_the_cheapest_split() {
    let (circuit, table) = (example::leveled(), CostTable::default());
    let report = CostReport::of_leveled(&circuit, &table).unwrap();
    let parameters = Parameters::check(circuit.parameters.clone()).unwrap();
    let ring = RingSize::at(&parameters, Level(4));
    let seconds = |babies: usize, giants: usize| {
        let shape = LinearShape { inputs: 1, outputs: 1, diagonals: 8, babies, giants };
        table.linear_shape(&ring, &shape) + 8.0 * table.encode(&ring, ring.primes + ring.special)
    };
    // Widths 1, 2, 4 and 8.
    let best = [(0, 7), (1, 3), (3, 1), (7, 0)].map(|(b, g)| seconds(b, g)).into_iter().fold(f64::MAX, f64::min);
    assert!((report.layers[0].counts.seconds / best - 1.0).abs() < 1e-12);
    assert_eq!(report.total.ciphertext_products, 1);
}

#[test]
fn reports_are_data() {
    let report = CostReport::of_program(&example::program(), &CostTable::default()).unwrap();
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<CostReport>(&text).unwrap(), report);
}
