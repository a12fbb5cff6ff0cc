//! Random networks through every stage: each level computes what the level before it computes.

use hec_ir::LogN;
use hec_ir::cost::CostTable;
use hec_ir::evaluate::clear::{simulate_circuit, simulate_clear, simulate_leveled};
use hec_ir::tensor::Graph;
use hec_optimize::optimize;
use hec_pack::{PackOptions, pack};
use hec_plan::{PlanOptions, plan};
use hec_schedule::schedule;
use hec_tests::{Difference, Numbers, random_network};

/// Differences of f64 rounding alone, with room for the cancellation that completing squares may cause.
const ROUNDING: f64 = -30.0;

/// Rings that are small enough for tensors to take several ciphertexts.
fn toy_ring(seed: u64) -> LogN {
    LogN(6 + (seed % 4) as u32)
}

fn plan_options(log_n: LogN) -> PlanOptions {
    PlanOptions { log_n, scale_bits: None, magnitude: 16.0, digit_size: 2, insecure_toy: true }
}

/// All levels of a network, each compared with the tensor interpreter on the network as it was.
fn levels_agree(graph: &Graph, log_n: LogN) -> Difference {
    let inputs = Numbers::new(1).inputs_of(graph);
    let expected = graph.run(&inputs).expect("the network runs");
    let mut worst = Difference::default();
    let mut compare = |level: &str, actual: Vec<hec_ir::tensor::Tensor>| {
        let difference = Difference::between(&actual, &expected);
        assert!(difference.log2() < ROUNDING, "{} in 2^{}: {level} differs by {difference}", graph.name, log_n.0);
        worst = worst.max(difference);
    };

    let optimized = optimize(graph, &Default::default()).expect("optimizes");
    compare("the optimized network", optimized.graph.run(&inputs).expect("runs"));

    let circuit = pack(&optimized.graph, &PackOptions::new(log_n.slots())).expect("packs");
    circuit.verify().expect("the circuit is well-formed");
    compare("the slot circuit", simulate_circuit(&circuit, &inputs).expect("runs"));

    let leveled = plan(&circuit, &plan_options(log_n)).expect("plans");
    leveled.verify().expect("the leveled circuit is well-formed");
    compare("the leveled circuit", simulate_leveled(&leveled, &inputs).expect("runs"));

    let program = schedule(&leveled, &CostTable::default()).expect("schedules");
    program.verify().expect("the program is well-formed");
    compare("the program", simulate_clear(&program, &inputs).expect("runs"));
    worst
}

#[test]
fn every_level_of_a_random_network_computes_the_same() {
    let worst = (0..60).map(|seed| levels_agree(&random_network(seed), toy_ring(seed)));
    let worst = worst.fold(Difference::default(), Difference::max);
    println!("the largest difference is {worst}");
}
