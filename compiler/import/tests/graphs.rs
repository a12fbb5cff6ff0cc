//! What the imported graph looks like, on models built here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod build;

use build::{Axis, Build, float, int, ints};
use hec_import::{Code, ImportError, ImportOptions, Verdict, check, import};
use hec_ir::tensor::{Function, Graph, LinearStep, Op, Shape, Tensor};
use onnx_protobuf::TensorProto;

fn graph(build: Build, name: &str) -> Graph {
    import(&build.save(name), &ImportOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(build: Build, name: &str) -> ImportError {
    import(&build.save(name), &ImportOptions::default()).unwrap_err()
}

fn ops(graph: &Graph) -> Vec<&str> {
    graph.nodes.values().map(|n| n.op.name()).collect()
}

fn tensor(dims: &[usize], data: &[f64]) -> Tensor {
    Tensor::new(Shape::new(dims), data.to_vec()).unwrap()
}

#[test]
fn consecutive_reshapes_join_and_identities_vanish() {
    let model = Build::new(17)
        .input("x", &[2, 3])
        .indices("s", &[1], &[-1])
        .indices("t", &[2], &[3, 2])
        .weight("one", &[1], &[1.0])
        .node("Reshape", "x s", "a")
        .node("Reshape", "a t", "b")
        .node("Mul", "b one", "c")
        .node("Identity", "c", "d")
        .node("Dropout", "d", "y")
        .output("y");
    let graph = graph(model, "reshapes");
    assert_eq!(ops(&graph), ["input", "reshape"]);
    let reshape = graph.nodes.values().last().unwrap();
    assert_eq!(reshape.shape, Shape::new([3, 2]));
    // Unnamed nodes are called by their operator and position.
    assert_eq!(reshape.origin.nodes, ["Reshape_0", "Reshape_1"]);
}

#[test]
fn values_that_no_output_needs_are_dropped_with_their_weights() {
    let model = Build::new(17)
        .input("x", &[1, 2])
        .input("unused", &[1, 2])
        .weight("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
        .weight("v", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
        .node("MatMul", "x w", "y")
        .node("MatMul", "x v", "dead")
        .node("Erf", "dead", "deader")
        .output("y");
    let path = model.save("dead");
    let graph = import(&path, &ImportOptions::default()).unwrap();
    assert_eq!(ops(&graph), ["input", "input", "matmul"]);
    assert_eq!(graph.constants.iter().map(|(_, name, _)| name).collect::<Vec<_>>(), ["w"]);
    let report = check(&path, &ImportOptions::default()).unwrap();
    assert_eq!(report.nodes[2].verdict, Verdict::Unused);
}

#[test]
fn a_shared_weight_is_one_constant() {
    let model = Build::new(17)
        .input("x", &[1, 2])
        .weight("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0])
        .node("MatMul", "x w", "a")
        .node("MatMul", "a w", "y")
        .output("y");
    let graph = graph(model, "shared");
    assert_eq!(graph.constants.iter().count(), 1);
    assert_eq!(graph.run(&[tensor(&[1, 2], &[1.0, 1.0])]).unwrap()[0].data, [22.0, 32.0]);
}

#[test]
fn products_with_a_batch_of_constants_are_exact() {
    // x [2, 1, 2] · w [2, 2, 3] and its mirror image.
    let w = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0];
    let model =
        Build::new(17).input("x", &[2, 1, 2]).weight("w", &[2, 2, 3], &w).node("MatMul", "x w", "y").output("y");
    let result = graph(model, "batched").run(&[tensor(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0])]).unwrap();
    assert_eq!(result[0], tensor(&[2, 1, 3], &[9.0, 12.0, 15.0, 61.0, 68.0, 75.0]));
    let model = Build::new(17).input("x", &[2, 1]).weight("w", &[2, 3, 2], &w).node("MatMul", "w x", "y").output("y");
    let result = graph(model, "batched_left").run(&[tensor(&[2, 1], &[1.0, -1.0])]).unwrap();
    assert_eq!(result[0], tensor(&[2, 3, 1], &[-1.0; 6]));
}

#[test]
fn irregular_indices_select_rows() {
    let model = Build::new(17)
        .input("x", &[2, 3])
        .indices("i", &[2, 2], &[0, 0, 2, -2])
        .node_with("Gather", "x i", "y", vec![int("axis", 1)])
        .output("y");
    let result = graph(model, "gather").run(&[tensor(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]).unwrap();
    assert_eq!(result[0], tensor(&[2, 2, 2], &[1.0, 1.0, 3.0, 2.0, 4.0, 4.0, 6.0, 5.0]));
}

#[test]
fn activations_are_recognised_through_any_association() {
    let sigmoid = Build::new(17)
        .input("x", &[1, 4])
        .weight("one", &[], &[1.0])
        .node("Neg", "x", "n")
        .node("Exp", "n", "e")
        .node("Add", "one e", "d")
        .node("Div", "x d", "y")
        .output("y");
    let relu = Build::new(17).input("x", &[1, 4]).weight("zero", &[], &[0.0]).node("Max", "zero x", "y").output("y");
    let leaky = Build::new(17)
        .input("x", &[1, 4])
        .weight("slope", &[1], &[0.25])
        .node("Mul", "x slope", "s")
        .node("Max", "x s", "y")
        .output("y");
    let clip = Build::new(6 + 1).input("x", &[1, 4]).node_with("Clip", "x", "y", vec![float("min", 0.0)]).output("y");
    let cases = [
        (sigmoid, Function::Silu, vec!["Neg_0", "Exp_1", "Add_2", "Div_3"]),
        (relu, Function::Relu, vec!["Max_0"]),
        (leaky, Function::LeakyRelu { alpha: 0.25 }, vec!["Mul_0", "Max_1"]),
        (clip, Function::Relu, vec!["Clip_0"]),
    ];
    for (number, (model, function, nodes)) in cases.into_iter().enumerate() {
        let graph = graph(model, &format!("activation_{number}"));
        let last = graph.nodes.values().last().unwrap();
        assert_eq!((graph.nodes.len(), &last.op), (2, &Op::Activation(function)));
        assert_eq!(last.origin.nodes, nodes);
    }
}

#[test]
fn slopes_for_each_channel_are_exact() {
    let model = Build::new(17)
        .input("x", &[1, 2, 2])
        .weight("slope", &[2, 1], &[0.5, 2.0])
        .node("PRelu", "x slope", "y")
        .output("y");
    let result = graph(model, "prelu").run(&[tensor(&[1, 2, 2], &[-2.0, 3.0, -2.0, 3.0])]).unwrap();
    assert_eq!(result[0].data, [-1.0, 3.0, -4.0, 3.0]);
}

#[test]
fn several_inputs_and_outputs_keep_their_order_and_names() {
    let model = Build::new(17)
        .input("a", &[1, 2])
        .input("b", &[1, 2])
        .node("Sub", "a b", "difference")
        .node("Mul", "a a", "square")
        .output("square")
        .output("difference");
    let graph = graph(model, "several");
    assert_eq!(graph.inputs().map(|(_, n)| n.to_owned()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(graph.outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["square", "difference"]);
    assert!(graph.nodes.values().any(|n| n.op == Op::Square));
    let results = graph.run(&[tensor(&[1, 2], &[3.0, 4.0]), tensor(&[1, 2], &[1.0, 1.0])]).unwrap();
    assert_eq!((results[0].data.as_slice(), results[1].data.as_slice()), (&[9.0, 16.0][..], &[2.0, 3.0][..]));
}

#[test]
fn the_batch_is_what_was_asked_for_and_other_axes_must_be_fixed() {
    let model = |axes: &[Axis]| Build::new(17).input_axes("x", axes).node("Relu", "x", "y").output("y");
    let path = model(&[Axis::Named("N"), Axis::Fixed(3)]).save("batch");
    let graph = import(&path, &ImportOptions { batch: 4 }).unwrap();
    assert_eq!(graph.nodes.values().next().unwrap().shape, Shape::new([4, 3]));
    let error = refusal(model(&[Axis::Named("N"), Axis::Named("length")]), "length");
    assert_eq!(error.code, Code::DynamicAxis);
    assert!(error.reason.contains("axis 1 (\"length\")"), "{error}");
    let fixed = model(&[Axis::Fixed(1), Axis::Fixed(3)]).save("fixed");
    assert_eq!(import(&fixed, &ImportOptions { batch: 4 }).unwrap_err().code, Code::DynamicAxis);
    assert!(import(&path, &ImportOptions { batch: 0 }).is_err());
    assert_eq!(import(&path, &ImportOptions { batch: usize::MAX }).unwrap_err().code, Code::TooLarge);
}

#[test]
fn weights_are_read_from_every_storage_form() {
    let halves = vec![0x3c00, 0xc000];
    let raw_double = [1.0f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    let forms = [
        TensorProto { data_type: 10, int32_data: halves.clone(), ..Default::default() },
        TensorProto { data_type: 10, raw_data: vec![0x00, 0x3c, 0x00, 0xc0], ..Default::default() },
        TensorProto { data_type: 16, int32_data: vec![0x3f80, 0xc000], ..Default::default() },
        TensorProto { data_type: 11, double_data: vec![1.0, -2.0], ..Default::default() },
        TensorProto { data_type: 11, raw_data: raw_double, ..Default::default() },
        TensorProto { data_type: 3, int32_data: vec![1, -2], ..Default::default() },
        TensorProto { data_type: 6, raw_data: vec![1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff], ..Default::default() },
    ];
    for (number, form) in forms.into_iter().enumerate() {
        let weight = TensorProto { name: "w".into(), dims: vec![2], ..form };
        let model = Build::new(17).input("x", &[1, 2]).tensor(weight).node("Mul", "x w", "y").output("y");
        let result = graph(model, &format!("storage_{number}")).run(&[tensor(&[1, 2], &[3.0, 3.0])]).unwrap();
        assert_eq!(result[0].data, [3.0, -6.0], "form {number}");
    }
}

#[test]
fn constants_that_a_small_file_makes_large_are_refused() {
    // 2^27 elements at a time, from a file of a few hundred bytes.
    let mut model = Build::new(17).input("x", &[1]).indices("s", &[2], &[1 << 13, 1 << 14]);
    for i in 0..8 {
        model = model.node("ConstantOfShape", "s", &format!("c{i}"));
    }
    let model = model.node("Concat", "c0 c1 c2 c3 c4 c5 c6 c7", "c").node("Add", "x c", "y").output("y");
    let error = refusal(model, "large");
    assert_eq!((error.code, error.node.as_str()), (Code::TooLarge, "ConstantOfShape_0"));
}

#[test]
fn pooling_keeps_its_window_and_padding_of_the_last_window() {
    let attributes = vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), int("ceil_mode", 1)];
    let model = Build::new(17).input("x", &[1, 1, 6, 6]).node_with("MaxPool", "x", "y", attributes).output("y");
    let graph = graph(model, "ceil");
    let Op::MaxPool(window) = graph.nodes.values().last().unwrap().op else { panic!("not a pool") };
    assert_eq!((window.pads, window.kernel, window.strides), ([0, 0, 1, 1], [3, 3], [2, 2]));
}

#[test]
fn one_dimensional_convolution_is_one_chain() {
    let model = Build::new(17)
        .input("x", &[1, 1, 4])
        .weight("w", &[1, 1, 2], &[1.0, 10.0])
        .node("Conv", "x w", "y")
        .output("y");
    let graph = graph(model, "conv1d");
    let Op::Linear(steps) = &graph.nodes.values().last().unwrap().op else { panic!("not linear") };
    assert!(matches!(
        steps.as_slice(),
        [LinearStep::Reshape { .. }, LinearStep::Conv { .. }, LinearStep::Reshape { .. }]
    ));
    assert_eq!(graph.run(&[tensor(&[1, 1, 4], &[1.0, 2.0, 3.0, 4.0])]).unwrap()[0].data, [21.0, 32.0, 43.0]);
}

/// y = (x − μ)/√(mean (x − μ)² + ε)·γ, taken apart as exporters do.
fn layer_norm(end: fn(Build) -> Build) -> Build {
    let model = Build::new(17)
        .input("x", &[2, 4])
        .weight("eps", &[], &[1e-5])
        .weight("two", &[], &[2.0])
        .weight("gamma", &[4], &[1.0, 2.0, 3.0, 4.0])
        .node_with("ReduceMean", "x", "m", vec![ints("axes", &[-1])])
        .node("Sub", "x m", "d")
        .node("Pow", "d two", "p")
        .node_with("ReduceMean", "p", "v", vec![ints("axes", &[-1])])
        .node("Add", "v eps", "e")
        .node("Sqrt", "e", "r");
    end(model).node("Mul", "n gamma", "y").output("y")
}

#[test]
fn a_decomposed_layer_norm_is_one_operation() {
    let ends: [fn(Build) -> Build; 2] =
        [|m| m.node("Div", "d r", "n"), |m| m.node("Reciprocal", "r", "i").node("Mul", "i d", "n")];
    for (i, end) in ends.into_iter().enumerate() {
        let graph = graph(layer_norm(end), &format!("layer_norm{i}"));
        assert_eq!(ops(&graph), ["input", "layer_norm", "scale"]);
        let node = &graph.nodes.values().nth(1).unwrap();
        let Op::Normalize(normalization) = &node.op else { panic!("{:?}", node.op) };
        assert_eq!(normalization.axes, [1]);
        assert!((normalization.epsilon - 1e-5).abs() < 1e-12);
        // It stands for all the nodes that it was made of.
        assert!(node.origin.nodes.len() >= 7, "{:?}", node.origin);
    }
    // Of another row it is not one.
    let graph = graph(layer_norm(|m| m.node("Tanh", "x", "t").node("Div", "t r", "n")), "not_layer_norm");
    assert!(!ops(&graph).contains(&"layer_norm") && ops(&graph).contains(&"reciprocal"));
}
