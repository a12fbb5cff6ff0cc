//! Bootstraps at the levels that have them: types, text, keys, and what each evaluator makes of them.
#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use hec_ir::circuit::{Input, Output};
use hec_ir::cost::CostTable;
use hec_ir::entity::EntityVec;
use hec_ir::evaluate::Evaluator;
use hec_ir::evaluate::clear::{Clear, simulate_leveled};
use hec_ir::evaluate::cost::{Cost, CostReport, CostValue, bootstrap, transforms};
use hec_ir::evaluate::noise::Noise;
use hec_ir::leveled::{Circuit, LeveledError, Node, Op, Scheme, Type, ValueId};
use hec_ir::tensor::{Shape, Tensor};
use hec_ir::text::{AnyLevel, ExternalConstants, Print, parse};
use hec_ir::{
    Batch, BootstrapChoice, BootstrapParameters, Depth, Layout, Level, LogN, Origin, Parameters, ParametersError, Slots,
};
use hec_params::{Order, Sine};
use std::sync::Arc;

fn choice(order: Order) -> BootstrapChoice {
    BootstrapChoice {
        log_n: LogN(5),
        slots: Slots(16),
        order,
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
    }
}

/// x⁴ twice over, with a bootstrap in between: inputs have three levels, and three come back.
fn circuit() -> Circuit {
    let bootstrap = BootstrapParameters::check(choice(Order::CoeffsFirst)).unwrap();
    let layout = Layout::row_major(Shape::new([16]), Slots(16));
    let mut c = Circuit {
        name: "net".into(),
        parameters: bootstrap.parameters().literal().clone(),
        bootstrap: Some(bootstrap.choice().clone()),
        batch: Batch::ONE,
        inputs: vec![Input { name: "x".into(), layout: layout.clone() }],
        nodes: EntityVec::new(),
        maps: EntityVec::new(),
        plains: EntityVec::new(),
        outputs: vec![],
    };
    let scheme = Scheme::from(bootstrap);
    let mut last: Option<ValueId> = None;
    let square = [Op::Square, Op::Relinearize, Op::Rescale];
    let ops = [Op::Input(0)].into_iter().chain(square).chain(square).chain([Op::Bootstrap(Level(2))]).chain(square);
    for (i, op) in ops.chain(square).enumerate() {
        let args: Vec<ValueId> = last.into_iter().collect();
        let types: Vec<Type> = args.iter().map(|&a| c.nodes[a].ty).collect();
        let ty = op.infer(&types, 1, &scheme).unwrap();
        last = Some(c.nodes.push(Node { op, args, ty, origin: Origin::node(format!("layer{}", i.div_ceil(3))) }));
    }
    c.outputs.push(Output { name: "y".into(), value: last.unwrap(), layout, client: vec![] });
    c
}

#[test]
fn it_verifies_and_reads_back() {
    let c = circuit();
    c.verify().unwrap();
    let levels: Vec<u32> = c.nodes.values().map(|n| n.ty.level.0).collect();
    assert_eq!(levels, [3, 3, 3, 2, 2, 2, 1, 2, 2, 2, 1, 1, 1, 0], "inputs are where a bootstrap ends");
    let text = c.print_inline();
    assert!(text.contains("%7 = bootstrap %6, 2 : level 2"), "{text}");
    assert_eq!(parse(&text, &ExternalConstants::new()).unwrap(), AnyLevel::Leveled(c));
}

#[test]
fn what_does_not_fit_is_refused() {
    let scheme = circuit().scheme().unwrap();
    let at =
        |level: u32| Type { count: 1, level: Level(level), scale: scheme.parameters().scale(Level(level)), parts: 2 };
    let infer = |x: Type, to: u32| Op::Bootstrap(Level(to)).infer(&[x], 1, &scheme);
    assert_eq!(infer(at(1), 3), Ok(at(3)));
    assert_eq!(infer(at(2), 3).unwrap_err(), "the input must be at level 1");
    assert_eq!(infer(at(1), 4).unwrap_err(), "a bootstrap ends at level 3");
    assert!(infer(Type { parts: 3, ..at(1) }, 3).is_err());
    let alone = Scheme::from(scheme.parameters().clone());
    assert_eq!(Op::Bootstrap(Level(3)).infer(&[at(1)], 1, &alone).unwrap_err(), "no bootstrap is chosen");
    // Levels above the output of a bootstrap are its own.
    assert!(Op::Negate.infer(&[at(4)], 1, &scheme).is_err());
    assert!(Op::Negate.infer(&[at(4)], 1, &alone).is_ok());

    let mut c = circuit();
    c.bootstrap = Some(choice(Order::CoeffsLast));
    assert!(matches!(c.verify(), Err(LeveledError::Parameters(ParametersError::Bootstrap(_)))));
}

#[test]
fn slots_stay_and_their_size_is_known() {
    let x = Tensor::new(Shape::new([16]), (0..16).map(|i| 0.06 * f64::from(i)).collect()).unwrap();
    let y = simulate_leveled(&circuit(), std::slice::from_ref(&x)).unwrap();
    for (x, y) in x.data.iter().zip(&y[0].data) {
        assert!((x.powi(16) - y).abs() < 1e-12);
    }
    let mut clear = Clear::new();
    clear.enter(&Origin::node("first"), "bootstrap");
    for x in [0.5, -1.25, 1.0] {
        let Ok(same) = clear.bootstrap(&Arc::new(vec![vec![x, 0.0]]), Level(1));
        assert_eq!(*same, vec![vec![x, 0.0]]);
    }
    clear.enter(&Origin::node("second"), "negate");
    assert_eq!(clear.bootstrapped(), [("first".to_owned(), 1.25)]);
}

#[test]
fn the_error_is_the_predicted_one() {
    let scheme = circuit().scheme().unwrap();
    let error = scheme.bootstrap().unwrap().error();
    let mut noise = Noise::predict(&scheme);
    let x = noise.encrypt(vec![vec![0.5; 16]]).unwrap();
    assert_eq!(x.ty.level, Level(3));
    let low = noise.adjust(&x, Level(1)).unwrap();
    let high = noise.bootstrap(&low, Level(3)).unwrap();
    let added = high.variance[0][0] - low.variance[0][0];
    let predicted = error.noise * error.noise + error.systematic * error.systematic;
    assert!((added / predicted - 1.0).abs() < 1e-6, "{added} {predicted}");
    assert!(noise.bootstrap(&low, Level(2)).unwrap().variance[0][0] > high.variance[0][0], "an adjustment rounds");
    assert!(noise.bootstrap(&x, Level(3)).is_err());
}

#[test]
fn a_bootstrap_costs_its_parts() {
    let table = CostTable::default();
    let report = CostReport::of_leveled(&circuit(), &table).unwrap();
    assert_eq!(report.total.bootstraps, 1);
    let layers: Vec<_> = report.layers.iter().map(|l| (l.level_in, l.level_out, l.bootstrapped_to)).collect();
    assert_eq!(layers, [(3, 2, None), (2, 1, None), (1, 2, Some(2)), (2, 1, None), (1, 0, None)]);

    let [first, last] = [Order::CoeffsFirst, Order::CoeffsLast].map(|o| BootstrapParameters::check(choice(o)).unwrap());
    // 16 slots in radices 4, 4 and 16: 4 + 7 diagonals one way, 16 the other.
    let factors = transforms(&first);
    let shapes: Vec<_> =
        factors.iter().map(|f| (f.level.0, f.shape.diagonals, f.shape.babies, f.shape.giants)).collect();
    let top = first.raised_level().0;
    assert_eq!(shapes, [(top, 4, 1, 1), (top - 1, 7, 3, 1), (1, 16, 5, 2)]);
    let stages: Vec<_> = factors.iter().map(|f| f.stages.clone()).collect();
    assert_eq!(stages, [2..4, 0..2, 0..4]);
    let seconds = |p: &BootstrapParameters, count| bootstrap(&table, p, count).seconds;
    // Two ciphertexts share all but eval-mod, which one of real coefficients needs once and one of real slots twice.
    assert!(seconds(&first, 2) < 2.0 * seconds(&first, 1) && seconds(&first, 2) > seconds(&first, 1));
    assert_eq!(seconds(&last, 2), seconds(&last, 1));
    let products = |p, count| bootstrap(&table, p, count).ciphertext_products;
    assert_eq!((products(&first, 2), products(&first, 3)), (2 * products(&first, 1), 3 * products(&first, 1)));

    let scheme = Scheme::from(first);
    let mut cost = Cost::new(&scheme, &table);
    let fits = Type { count: 1, level: Level(1), scale: scheme.parameters().scale(Level(1)), parts: 2 };
    let raised = cost.bootstrap(&CostValue { ty: fits, decomposed: false }, Level(3)).unwrap();
    assert_eq!(raised.ty.level, Level(3));
    let plain = Scheme::from(Parameters::clone(scheme.parameters()));
    let mut cost = Cost::new(&plain, &table);
    assert!(cost.bootstrap(&CostValue { ty: fits, decomposed: false }, Level(3)).is_err());
}
