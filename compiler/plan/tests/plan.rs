//! What the planner promises: least levels, exact scales, one rescale for a sum of products, errors that name layers.

use hec_ir::circuit::{Circuit, Op};
use hec_ir::leveled::{self, Op as Leveled};
use hec_ir::tensor::Shape;
use hec_ir::{Layout, Level, LogN, Origin, Plain};
use hec_plan::{PlanError, PlanOptions, plan};

fn options(log_n: u32) -> PlanOptions {
    PlanOptions { log_n: LogN(log_n), scale_bits: None, magnitude: 8.0, digit_size: 1, insecure_toy: false }
}

fn circuit(log_n: u32) -> (Circuit, hec_ir::circuit::ValueId) {
    let slots = LogN(log_n).slots();
    let mut c = Circuit::new("test", slots);
    let x = c.input("x", Layout::row_major(Shape::new([4]), slots), Origin::node("x"));
    (c, x)
}

fn finish(c: &mut Circuit, value: hec_ir::circuit::ValueId) {
    let layout = c.inputs[0].layout.clone();
    c.outputs.push(hec_ir::circuit::Output { name: "y".into(), value, layout, client: vec![] });
}

fn count(c: &leveled::Circuit, op: impl Fn(Leveled) -> bool) -> usize {
    c.nodes.values().filter(|n| op(n.op)).count()
}

#[test]
fn a_sum_of_products_is_relinearized_and_rescaled_once() {
    let (mut c, x) = circuit(13);
    let half = c.plains.push(Plain::Scalar(0.5));
    let square = c.push(Op::Square, [x], Origin::node("square")).expect("valid");
    let scaled = c.push(Op::MulPlain(half), [x], Origin::node("scale")).expect("valid");
    let sum = c.push(Op::Add, [square, scaled], Origin::node("sum")).expect("valid");
    finish(&mut c, sum);
    let leveled = plan(&c, &options(13)).expect("fits");
    leveled.verify().expect("well-formed");
    assert_eq!(count(&leveled, |op| op == Leveled::Relinearize), 1);
    assert_eq!(count(&leveled, |op| op == Leveled::Rescale), 1);
    assert_eq!(leveled.parameters.levels.len(), 2);
}

/// Doubled after rescaling, the rounding would be doubled too.
#[test]
fn a_product_is_doubled_before_it_is_rescaled() {
    let (mut c, x) = circuit(13);
    let minus_one = c.plains.push(Plain::Scalar(-1.0));
    let square = c.push(Op::Square, [x], Origin::node("square")).expect("valid");
    let twice = c.push(Op::Add, [square, square], Origin::node("twice")).expect("valid");
    let chebyshev = c.push(Op::AddPlain(minus_one), [twice], Origin::node("t2")).expect("valid");
    finish(&mut c, chebyshev);
    let leveled = plan(&c, &options(13)).expect("fits");
    leveled.verify().expect("well-formed");
    let sum = leveled.nodes.values().find(|n| n.op == Leveled::Add).expect("the sum is there");
    assert_eq!((sum.ty.parts, sum.ty.level), (3, Level(1)));
    assert_eq!(count(&leveled, |op| op == Leveled::Relinearize), 1);
    assert_eq!(count(&leveled, |op| op == Leveled::Rescale), 1);
}

/// (a·x + b)·T₂ + (c·x + d) with T₂ = 2x² − 1: the remainder joins the product as it is.
#[test]
fn a_division_relinearizes_what_is_multiplied_and_the_result() {
    let (mut c, x) = circuit(13);
    let number = |c: &mut Circuit, value| c.plains.push(Plain::Scalar(value));
    let (one, half, third) = (number(&mut c, -1.0), number(&mut c, 0.5), number(&mut c, 0.25));
    let mut push = |op, args: &[_]| c.push(op, args.to_vec(), Origin::node("p")).expect("valid");
    let square = push(Op::Square, &[x]);
    let twice = push(Op::Add, &[square, square]);
    let power = push(Op::AddPlain(one), &[twice]);
    let leaf = |push: &mut dyn FnMut(Op, &[_]) -> _, factor| {
        let product = push(Op::MulPlain(factor), &[x]);
        push(Op::AddPlain(third), &[product])
    };
    let (quotient, remainder) = (leaf(&mut push, half), leaf(&mut push, third));
    let product = push(Op::Mul, &[quotient, power]);
    let result = push(Op::Add, &[product, remainder]);
    finish(&mut c, result);
    let leveled = plan(&c, &options(13)).expect("fits");
    leveled.verify().expect("well-formed");
    assert_eq!(count(&leveled, |op| op == Leveled::Relinearize), 2, "the power and the result");
    assert_eq!(count(&leveled, |op| op == Leveled::Rescale), 3, "the power, the quotient and the result");
}

#[test]
fn a_value_used_late_drops_exactly_to_where_it_is_used() {
    let (mut c, x) = circuit(13);
    let mut power = x;
    for _ in 0..2 {
        power = c.push(Op::Square, [power], Origin::node("power")).expect("valid");
    }
    let sum = c.push(Op::Add, [power, x], Origin::node("skip")).expect("valid");
    finish(&mut c, sum);
    let leveled = plan(&c, &options(13)).expect("fits");
    leveled.verify().expect("well-formed");
    assert_eq!(count(&leveled, |op| op == Leveled::Adjust(Level(0))), 1);
}

#[test]
fn an_unused_value_is_left_out() {
    let (mut c, x) = circuit(13);
    c.push(Op::Square, [x], Origin::node("dead")).expect("valid");
    finish(&mut c, x);
    let leveled = plan(&c, &options(13)).expect("fits");
    assert_eq!(leveled.parameters.levels.len(), 1, "a dead product costs no level");
}

#[test]
fn depth_that_does_not_fit_names_the_layers() {
    let (mut c, x) = circuit(13);
    let mut power = x;
    for layer in ["conv1", "conv1", "fc", "fc", "fc", "head", "head", "head", "head"] {
        power = c.push(Op::Square, [power], Origin::node(layer)).expect("valid");
    }
    finish(&mut c, power);
    let error = plan(&c, &options(13)).expect_err("nine levels do not fit 2^13");
    let PlanError::TooDeep { needed, available, ref layers, .. } = error else { panic!("{error}") };
    assert_eq!((needed.0, layers.len()), (9, 3));
    assert!(available.0 < 9 && available.0 >= 4, "{available}");
    assert!(error.to_string().contains("conv1 2, fc 3, head 4"), "{error}");
    assert!(plan(&c, &PlanOptions { insecure_toy: true, ..options(13) }).is_ok());
    assert!(matches!(plan(&c, &options(14)), Err(PlanError::Slots { .. })));
}

#[test]
fn a_large_output_gets_a_base_that_holds_it() {
    let (mut c, x) = circuit(14);
    let y = c.push(Op::Square, [x], Origin::node("square")).expect("valid");
    finish(&mut c, y);
    for magnitude in [1.0, 100.0, 1e6, 1e12] {
        let leveled = plan(&c, &PlanOptions { magnitude, ..options(14) }).expect("fits");
        let parameters = hec_ir::Parameters::check(leveled.parameters).expect("valid");
        let room = parameters.log_q(Level(0)) - parameters.scale(Level(0)).log2();
        assert!(room >= magnitude.log2() + 1.5, "{magnitude}: {room}");
    }
}
