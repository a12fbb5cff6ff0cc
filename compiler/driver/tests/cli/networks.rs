//! Small networks.

use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::{
    GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    type_proto,
};

/// A matrix, squares, a matrix: nothing to approximate.
pub const SQUARES: &str = r#"
tensor squares {
  const @w : f64[4,3] = [0.5, -0.25, 1, 0.75, 0.5, -0.5, 0.25, 1, 0.5, -1, 0.25, 0.75]
  const @v : f64[3,2] = [1, -0.5, 0.5, 0.75, -0.25, 1]
  %x = input "x" : [1,4]
  %h = matmul %x, @w from "fc1"
  %s = square %h from "act"
  %y = matmul %s, @v from "fc2"
  output "y" %y
}
"#;

/// A convolution, a ReLU, a pool, a matrix; its constants are large enough to stand beside the text.
pub const CONVOLUTION: &str = r#"
tensor convolution {
  const @k : f64[2,1,3,3] = external
  const @b : f64[1,2,1,1] = [0.125, -0.25]
  const @v : f64[8,3] = external
  %x = input "image" : [1,1,4,4]
  %c = conv %x, @k pads [1,1,1,1] from "conv1"
  %d = add_constant %c, @b from "conv1"
  %r = relu %d from "relu1"
  %p = average_pool %r kernel [2,2] strides [2,2] from "pool1"
  %f = reshape %p [1,8] from "flatten"
  %y = matmul %f, @v from "fc"
  output "logits" %y
}
"#;

/// A network of the extents of LeNet-5 with squares. Where pooling stays a map of its own, there is a level more and less
/// work.
pub fn lenet() -> String {
    let mut state = 1u64;
    let mut weights = |name: &str, dims: [usize; 4]| {
        let count: usize = dims.iter().product();
        let size = (1.5 * dims[0] as f64 / count as f64).sqrt();
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0) * size
        };
        let numbers: Vec<String> = (0..count).map(|_| format!("{:.4}", next())).collect();
        let dims = if dims[2] == 1 { format!("{:?}", [dims[1], dims[0]]) } else { format!("{dims:?}") };
        format!("const @{name} : f64{} = [{}]\n", dims.replace(' ', ""), numbers.join(", "))
    };
    let constants = [
        weights("k", [8, 1, 5, 5]),
        weights("l", [16, 8, 3, 3]),
        weights("w", [64, 400, 1, 1]),
        weights("v", [10, 64, 1, 1]),
    ];
    format!(
        r#"tensor lenet {{
  {}
  %x = input "image" : [1,1,28,28]
  %c = conv %x, @k from "conv1"
  %s = square %c from "square1"
  %p = average_pool %s kernel [2,2] strides [2,2] from "pool1"
  %d = conv %p, @l from "conv2"
  %t = square %d from "square2"
  %q = average_pool %t kernel [2,2] strides [2,2] from "pool2"
  %f = reshape %q [1,400] from "flatten"
  %h = matmul %f, @w from "fc1"
  %u = square %h from "square3"
  %y = matmul %u, @v from "fc2"
  output "logits" %y
}}
"#,
        constants.join("  ")
    )
}

/// x → Relu → Sin → Mod → y: the first is approximated, the others stop the compilation.
pub fn unknown_operators() -> Vec<u8> {
    let graph = GraphProto {
        name: "unknown".to_owned(),
        input: vec![value("x")],
        output: vec![value("y")],
        node: vec![
            node("relu1", "Relu", &["x"], "a"),
            node("steps", "Floor", &["a"], "b"),
            node("rest", "Mod", &["b", "a"], "y"),
        ],
        ..Default::default()
    };
    let opset_import = vec![OperatorSetIdProto { version: 17, ..Default::default() }];
    let model = ModelProto { ir_version: 8, graph: Some(graph).into(), opset_import, ..Default::default() };
    model.write_to_bytes().unwrap()
}

fn node(name: &str, operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        name: name.to_owned(),
        op_type: operator.to_owned(),
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..Default::default()
    }
}

/// Four numbers.
fn value(name: &str) -> ValueInfoProto {
    let axis = |n| Dimension { value: Some(dimension::Value::DimValue(n)), ..Default::default() };
    let shape = TensorShapeProto { dim: vec![axis(1), axis(4)], ..Default::default() };
    let tensor = type_proto::Tensor { elem_type: 1, shape: Some(shape).into(), ..Default::default() };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.to_owned(), type_: Some(kind).into(), ..Default::default() }
}

/// Matrices and squares, as many layers of each, whose values stay around 1/2: deeper than its levels if there are few.
/// Inputs are around 1/4.
pub fn deep(layers: usize) -> String {
    let constants = "const @w : f64[4,4] = [0.5, 0.5, 0.5, 0.5, 0.5, -0.5, 0.5, -0.5, 0.5, 0.5, -0.5, -0.5, 0.5, -0.5, \
                     -0.5, 0.5]\n  const @b : f64[1,4] = [0, 0.5, 0.5, 0.5]";
    let layer = |i: usize| {
        format!(
            "  %h{i} = matmul %s{before}, @w from \"fc{i}\"\n  %c{i} = add_constant %h{i}, @b from \"fc{i}\"\n  \
             %s{i} = square %c{i} from \"square{i}\"\n",
            before = i - 1
        )
    };
    let body: String = (1..=layers).map(layer).collect();
    format!("tensor deep {{\n  {constants}\n  %s0 = input \"x\" : [1,4]\n{body}  output \"y\" %s{layers}\n}}\n")
}

/// Squares that are made small again, of values around 1000: too large to be bootstrapped.
pub fn large(layers: usize) -> String {
    let constants = "const @w : f64[4,4] = [0.001, 0, 0, 0, 0, 0.001, 0, 0, 0, 0, 0.001, 0, 0, 0, 0, 0.001]";
    let layer = |i: usize| {
        let before = i - 1;
        format!("  %q{i} = square %s{before} from \"square{i}\"\n  %s{i} = matmul %q{i}, @w from \"fc{i}\"\n")
    };
    let body: String = (1..=layers).map(layer).collect();
    format!("tensor large {{\n  {constants}\n  %s0 = input \"x\" : [1,4]\n{body}  output \"y\" %s{layers}\n}}\n")
}

/// Matrices and ReLUs, as many layers of each, whose values stay around 1/2. Inputs are around 1/4.
pub fn relus(layers: usize) -> String {
    let constants = "const @w : f64[4,4] = [0.5, 0.5, 0.5, 0.5, 0.5, -0.5, 0.5, -0.5, 0.5, 0.5, -0.5, -0.5, 0.5, -0.5, \
                     -0.5, 0.5]\n  const @b : f64[1,4] = [0, 0.25, 0.25, 0.25]";
    let layer = |i: usize| {
        format!(
            "  %h{i} = matmul %s{before}, @w from \"layer{i}/conv\"\n  %c{i} = add_constant %h{i}, @b from \
             \"layer{i}/conv\"\n  %s{i} = relu %c{i} from \"layer{i}/relu\"\n",
            before = i - 1
        )
    };
    let body: String = (1..=layers).map(layer).collect();
    format!("tensor relus {{\n  {constants}\n  %s0 = input \"x\" : [1,4]\n{body}  output \"y\" %s{layers}\n}}\n")
}
