//! Element-wise operators on encrypted values and on constants: the values of ONNX's reference formulas.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod build;

use build::{Build, float};
use hec_import::{ImportOptions, import};
use hec_ir::tensor::{Function, Graph, Op, Shape, Tensor};
use onnx_protobuf::AttributeProto;

/// Arguments: both signs, kinks, far out.
const X: [f32; 8] = [-4.0, -1.5, -0.5, 0.0, 0.25, 1.0, 2.5, 5.0];
const POSITIVE: [f32; 8] = [0.125, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 9.0];

fn graph(build: &Build, name: &str) -> Graph {
    import(&build.save(name), &ImportOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn run(graph: &Graph, x: &[f32]) -> Vec<f64> {
    let data = x.iter().map(|&v| f64::from(v)).collect();
    graph.run(&[Tensor::new(Shape::new([1, x.len()]), data).unwrap()]).unwrap().remove(0).data
}

fn functions(graph: &Graph) -> Vec<Function> {
    let function = |op: &Op| if let Op::Activation(f) = op { Some(*f) } else { None };
    graph.nodes.values().filter_map(|n| function(&n.op)).collect()
}

fn check(name: &str, found: &[f64], x: &[f32], formula: impl Fn(f64) -> f64) {
    assert_eq!(found.len(), x.len(), "{name}");
    for (found, &x) in found.iter().zip(x) {
        let expected = formula(f64::from(x));
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{name} at {x}: {found}, not {expected}");
    }
}

/// The model `y = operator(x)` on encrypted x, and the same folded from a constant.
fn one(name: &str, opset: i64, operator: &str, attributes: &[AttributeProto], x: &[f32; 8], formula: fn(f64) -> f64) {
    let node = |b: Build| b.node_with(operator, "x", "y", attributes.to_vec()).output("y");
    let encrypted = graph(&node(Build::new(opset).input("x", &[1, 8])), name);
    assert_eq!(functions(&encrypted).len(), 1, "{name}");
    check(name, &run(&encrypted, x), x, formula);
    let constant = Build::new(opset)
        .input("z", &[1, 8])
        .weight("x", &[1, 8], x)
        .node_with(operator, "x", "folded", attributes.to_vec())
        .node("Add", "z folded", "y")
        .output("y");
    let folded = graph(&constant, &format!("{name}_folded"));
    assert!(functions(&folded).is_empty(), "{name}");
    check(name, &run(&folded, &[0.0; 8]), x, formula);
}

#[test]
fn activations_have_the_values_and_the_defaults_of_their_operators() {
    let plain = |operator: &str, formula| one(operator, 22, operator, &[], &X, formula);
    plain("Relu", |x| x.max(0.0));
    plain("LeakyRelu", |x| if x < 0.0 { 0.01 * x } else { x });
    plain("ThresholdedRelu", |x| if x > 1.0 { x } else { 0.0 });
    plain("Elu", |x| if x < 0.0 { x.exp() - 1.0 } else { x });
    plain("Selu", |x| 1.0507010221481323 * if x > 0.0 { x } else { 1.6732631921768188 * x.exp() - 1.6732631921768188 });
    plain("Celu", |x| x.max(0.0) + (x.exp() - 1.0).min(0.0));
    plain("Shrink", |x| if x.abs() > 0.5 { x } else { 0.0 });
    plain("HardSigmoid", |x| (0.2 * x + 0.5).clamp(0.0, 1.0));
    plain("HardSwish", |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0));
    plain("Abs", f64::abs);
    plain("Sign", |x| if x == 0.0 { 0.0 } else { x.signum() });
    plain("Sigmoid", |x| 1.0 / (1.0 + (-x).exp()));
    plain("Tanh", f64::tanh);
    plain("Softsign", |x| x / (1.0 + x.abs()));
    plain("Softplus", |x| (1.0 + x.exp()).ln());
    plain("Mish", |x| x * (1.0 + x.exp()).ln().tanh());
    plain("Gelu", |x| 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)));
    plain("Erf", libm::erf);
    plain("Sin", f64::sin);
    plain("Cos", f64::cos);
    plain("Exp", f64::exp);
    let positive = |operator: &str, formula| one(operator, 13, operator, &[], &POSITIVE, formula);
    positive("Log", f64::ln);
    positive("Sqrt", f64::sqrt);
    positive("Reciprocal", |x| 1.0 / x);
}

#[test]
fn attributes_are_read() {
    let a = |name, value| float(name, value);
    one("celu_2", 12, "Celu", &[a("alpha", 2.0)], &X, |x| x.max(0.0) + (2.0 * ((x / 2.0).exp() - 1.0)).min(0.0));
    one("elu_2", 7, "Elu", &[a("alpha", 2.0)], &X, |x| if x < 0.0 { 2.0 * (x.exp() - 1.0) } else { x });
    one("selu_2", 7, "Selu", &[a("alpha", 2.0), a("gamma", 0.5)], &X, |x| {
        0.5 * if x > 0.0 { x } else { 2.0 * (x.exp() - 1.0) }
    });
    one("hard_sigmoid_2", 7, "HardSigmoid", &[a("alpha", 0.25), a("beta", 0.25)], &X, |x| {
        (0.25 * x + 0.25).clamp(0.0, 1.0)
    });
    one("shrink_2", 9, "Shrink", &[a("lambd", 1.25), a("bias", 0.5)], &X, |x| {
        if x.abs() > 1.25 { x - 0.5 * x.signum() } else { 0.0 }
    });
    one("thresholded_2", 10, "ThresholdedRelu", &[a("alpha", 2.25)], &X, |x| if x > 2.25 { x } else { 0.0 });
    one("clip_6", 7, "Clip", &[a("min", -1.0), a("max", 2.0)], &X, |x| x.clamp(-1.0, 2.0));
    one("clip_6_max", 7, "Clip", &[a("max", 2.0)], &X, |x| x.min(2.0));
    one("clip_6_min", 7, "Clip", &[a("min", -1.0), a("max", f32::MAX)], &X, |x| x.max(-1.0));
    one("relu_6", 7, "Clip", &[a("min", 0.0), a("max", 6.0)], &X, |x| x.clamp(0.0, 6.0));
}

#[test]
fn bounds_and_exponents_are_constants() {
    let model = |operator: &str, inputs: &str, opset| {
        Build::new(opset)
            .input("x", &[1, 8])
            .weight("a", &[], &[-0.75])
            .weight("b", &[], &[1.5])
            .weight("row", &[8], &[0.5, -2.0, 1.0, 1.0, 0.0, 3.0, -1.0, 2.0])
            .node(operator, inputs, "y")
            .output("y")
    };
    let row = [0.5, -2.0, 1.0, 1.0, 0.0, 3.0, -1.0, 2.0];
    let by_row = |f: fn(f64, f64) -> f64| X.iter().zip(row).map(|(&x, r)| f(f64::from(x), r)).collect::<Vec<_>>();
    let values = |operator: &str, inputs: &str, opset, x: &[f32], count: usize| {
        let graph =
            graph(&model(operator, inputs, opset), &format!("constants_{operator}_{}", inputs.replace(' ', "")));
        assert_eq!(functions(&graph).len(), count, "{operator} {inputs}");
        run(&graph, x)
    };
    check("clip", &values("Clip", "x a b", 11, &X, 1), &X, |x| x.clamp(-0.75, 1.5));
    check("max", &values("Max", "x a", 13, &X, 1), &X, |x| x.max(-0.75));
    check("min", &values("Min", "b x a", 13, &X, 2), &X, |x| x.min(-0.75));
    assert_eq!(values("Max", "row x", 13, &X, 1), by_row(f64::max));
    assert_eq!(values("Min", "x row", 13, &X, 1), by_row(f64::min));
    assert_eq!(values("PRelu", "x row", 16, &X, 1), by_row(|x, s| if x < 0.0 { s * x } else { x }));
    check("pow", &values("Pow", "x b", 13, &POSITIVE, 1), &POSITIVE, |x| x.powf(1.5));
    check("pow_negative", &values("Pow", "x a", 13, &POSITIVE, 1), &POSITIVE, |x| x.powf(-0.75));
    check("base", &values("Pow", "b x", 13, &X, 1), &X, |x| 1.5f64.powf(x));
    check("quotient", &values("Div", "a x", 13, &POSITIVE, 1), &POSITIVE, |x| -0.75 / x);
}

#[test]
fn maxima_and_quotients_of_two_encrypted_values_are_exact_rewritings() {
    let model = |operator: &str| {
        Build::new(13)
            .input("x", &[1, 8])
            .weight("c", &[], &[2.0])
            .node("Add", "x c", "other")
            .node("Mul", "x x", "square")
            .node(operator, "square other", "y")
            .output("y")
    };
    let values = |operator: &str| run(&graph(&model(operator), &format!("two_{operator}")), &X);
    check("max", &values("Max"), &X, |x| (x * x).max(x + 2.0));
    check("min", &values("Min"), &X, |x| (x * x).min(x + 2.0));
    check("div", &run(&graph(&model("Div"), "two_div"), &POSITIVE), &POSITIVE, |x| x * x / (x + 2.0));
    let max = graph(&model("Max"), "two_max");
    assert_eq!(functions(&max), [Function::Abs]);
}

#[test]
fn parts_of_activations_are_joined() {
    let six = |b: Build| b.weight("zero", &[], &[0.0]).weight("six", &[], &[6.0]).weight("three", &[], &[3.0]);
    let x = || six(Build::new(13).input("x", &[1, 8]));
    let relu6 = x().node("Relu", "x", "r").node("Min", "r six", "y");
    let clip = Function::Clip { low: 0.0, high: 6.0 };
    assert_eq!(functions(&graph(&relu6.output("y"), "joined_relu6")), [clip]);
    let swish = x().node("Add", "x three", "a").node("Clip", "a zero six", "b").node("Mul", "x b", "c");
    let swish = swish.node("Div", "c six", "y").output("y");
    assert_eq!(functions(&graph(&swish, "joined_hard_swish")), [Function::HardSwish]);
    let mish = x().node("Softplus", "x", "a").node("Tanh", "a", "b").node("Mul", "x b", "y").output("y");
    assert_eq!(functions(&graph(&mish, "joined_mish")), [Function::Mish]);
    let sigmoid = Build::new(13).input("x", &[1, 8]).weight("one", &[], &[1.0]);
    let sigmoid = sigmoid.node("Neg", "x", "n").node("Exp", "n", "e").node("Add", "e one", "d");
    let sigmoid = sigmoid.node("Reciprocal", "d", "y").output("y");
    assert_eq!(functions(&graph(&sigmoid, "joined_sigmoid")), [Function::Sigmoid]);
}
