//! Plans with bootstraps: networks deeper than their parameters, large values, refusals.

use hec_ir::circuit::{Circuit, Op, Output, ValueId};
use hec_ir::cost::CostTable;
use hec_ir::evaluate::clear::{magnitudes, simulate_circuit, simulate_leveled};
use hec_ir::evaluate::cost::CostReport;
use hec_ir::leveled::{self, Op as Leveled};
use hec_ir::tensor::{Shape, Tensor};
use hec_ir::{Depth, Layout, Level, LogN, Origin, ParametersError, Plain, Slots};
use hec_plan::{BootstrapOptions, PlanError, PlanOptions, plan, plan_with_bootstraps};

const SLOTS: Slots = Slots(16);

/// x ↦ (2x² − 1)/√2 many times over: two levels each, and values stay in [−1, 1].
fn deep(blocks: usize) -> Circuit {
    let mut c = Circuit::new("deep", SLOTS);
    let layout = Layout::row_major(Shape::new([16]), SLOTS);
    let mut x = c.input("x", layout.clone(), Origin::node("x"));
    let one = c.plains.push(Plain::Scalar(-1.0));
    let root = c.plains.push(Plain::Scalar(0.5f64.sqrt()));
    for block in 0..blocks {
        let mut push =
            |op, args: &[ValueId]| c.push(op, args.to_vec(), Origin::node(format!("block{block}"))).expect("valid");
        let square = push(Op::Square, &[x]);
        let twice = push(Op::Add, &[square, square]);
        let wave = push(Op::AddPlain(one), &[twice]);
        x = push(Op::MulPlain(root), &[wave]);
    }
    c.outputs.push(Output { name: "y".into(), value: x, layout, client: vec![] });
    c
}

fn options() -> PlanOptions {
    PlanOptions { log_n: LogN(5), scale_bits: None, magnitude: 4.0, digit_size: 1, insecure_toy: true }
}

fn bootstrap() -> BootstrapOptions {
    BootstrapOptions { precision_bits: 14.0, levels: None, magnitudes: None, costs: CostTable::default() }
}

fn bootstraps(c: &leveled::Circuit) -> Vec<Level> {
    let lifted = c.nodes.values().filter(|n| matches!(n.op, Leveled::Bootstrap(_)));
    lifted.map(|n| n.ty.level).collect()
}

fn input() -> Tensor {
    Tensor::new(Shape::new([16]), (0..16).map(|i| f64::from(i) / 8.0 - 0.95).collect()).expect("fits")
}

#[test]
fn a_network_deeper_than_any_chain_computes_the_same() {
    let c = deep(30);
    let leveled = plan_with_bootstraps(&c, &options(), &bootstrap()).expect("plans");
    leveled.verify().expect("well-formed");
    let scheme = leveled.scheme().expect("valid");
    let levels = scheme.bootstrap().expect("bootstraps").choice().levels.0;
    let lifted = bootstraps(&leveled);
    // 60 levels: those of the inputs, and what each bootstrap adds.
    let held = scheme.input_level().0 as usize + lifted.len() * levels as usize;
    assert!(held >= 60 && held < 60 + 2 * levels as usize, "{lifted:?}, {levels} levels each");
    assert!(lifted.iter().all(|&level| level <= scheme.input_level()));
    let x = [input()];
    let (found, expected) = (simulate_leveled(&leveled, &x), simulate_circuit(&c, &x));
    for (x, y) in found.expect("runs")[0].data.iter().zip(&expected.expect("runs")[0].data) {
        assert!((x - y).abs() < 1e-9, "{x} {y}");
    }
}

#[test]
fn the_number_of_levels_is_the_cheapest() {
    let (c, table) = (deep(10), CostTable::default());
    let seconds = |options: &BootstrapOptions, levels| {
        let plan = plan_with_bootstraps(&c, &self::options(), &BootstrapOptions { levels, ..options.clone() });
        CostReport::of_leveled(&plan.expect("plans"), &table).expect("runs").total.seconds
    };
    let best = seconds(&bootstrap(), None);
    for levels in [3, 6, 9, 12] {
        // The choice leaves adjustments and what sums of products save out of account.
        assert!(best <= 1.05 * seconds(&bootstrap(), Some(Depth(levels))), "{levels} levels are faster");
    }
}

#[test]
fn values_that_are_too_large_are_divided_or_left_alone() {
    let mut c = Circuit::new("large", SLOTS);
    let layout = Layout::row_major(Shape::new([16]), SLOTS);
    let mut x = c.input("x", layout.clone(), Origin::node("x"));
    let number = |c: &mut Circuit, value| c.plains.push(Plain::Scalar(value));
    let (five, half) = (number(&mut c, 5.0), number(&mut c, 0.5));
    for plain in [five, half, half, half, half, half, half, half] {
        x = c.push(Op::MulPlain(plain), [x], Origin::node("layer")).expect("valid");
    }
    c.outputs.push(Output { name: "y".into(), value: x, layout, client: vec![] });
    let x = vec![vec![input()]];
    let sizes = magnitudes(&c, &x).expect("runs");
    let with = |scale: f64, levels| {
        let magnitudes = Some(sizes.values().map(|x| scale * x).collect());
        plan_with_bootstraps(
            &c,
            &options(),
            &BootstrapOptions { magnitudes, levels: Some(Depth(levels)), ..bootstrap() },
        )
    };
    let leveled = with(1.0, 4).expect("plans");
    assert!(!bootstraps(&leveled).is_empty());
    let (found, expected) = (simulate_leveled(&leveled, &x[0]), simulate_circuit(&c, &x[0]));
    for (x, y) in found.expect("runs")[0].data.iter().zip(&expected.expect("runs")[0].data) {
        assert!((x - y).abs() < 1e-12, "{x} {y}");
    }
    // Twenty times as large, values are doubled after their bootstraps; a million times, they cannot be bootstrapped.
    let doubled = |c: &leveled::Circuit| c.nodes.values().filter(|n| n.op == Leveled::Add).count();
    assert!(doubled(&with(20.0, 4).expect("plans")) > doubled(&leveled));
    let refused = with(1e6, 4).expect_err("nothing can be bootstrapped");
    assert!(matches!(&refused, PlanError::NoPlacement { too_large } if too_large[0].layer == "layer"), "{refused}");
    assert!(refused.to_string().contains("beyond 128") && refused.to_string().contains("layer reach"), "{refused}");
}

#[test]
fn what_is_not_secure_is_refused() {
    let secure = PlanOptions { insecure_toy: false, ..options() };
    let refused = plan_with_bootstraps(&deep(10), &secure, &bootstrap());
    assert!(matches!(refused, Err(PlanError::Parameters(ParametersError::NoBootstrap))));
    let other = PlanOptions { log_n: LogN(4), ..options() };
    assert!(matches!(plan_with_bootstraps(&deep(1), &other, &bootstrap()), Err(PlanError::Slots { .. })));
    assert!(plan(&deep(1), &options()).expect("fits").bootstrap.is_none());
}
