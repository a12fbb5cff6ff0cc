//! A model file as nodes and named tensors, with the format's promises checked.

use crate::error::{Code, Fault, ImportError};
use crate::tensor_proto::Storage;
use crate::wire;
use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_shape_proto::dimension;
use onnx_protobuf::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Operator sets that are understood; within it, every supported operator is read by the rules of its version.
pub const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

/// Protocol buffers end at 2 GiB.
const MAX_FILE: u64 = 1 << 31;

/// An axis as declared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Axis {
    Fixed(i64),
    /// Not known before run time; perhaps named.
    Dynamic(String),
}

/// An input as declared.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub name: String,
    pub data_type: i32,
    /// `None` when the rank is not declared.
    pub axes: Option<Vec<Axis>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    Int(i64),
    Float(f64),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Text(String),
    Tensor(Box<TensorProto>),
    /// Graphs, types, sparse tensors: nothing supported reads them.
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Unique; made from the operator and the position when the model has none.
    pub name: String,
    pub operator: String,
    /// Empty for the standard operators.
    pub domain: String,
    /// Empty strings stand for optional inputs that are not given.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: BTreeMap<String, Attribute>,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub name: String,
    pub opset: i64,
    pub inputs: Vec<Declared>,
    pub outputs: Vec<String>,
    pub nodes: Vec<Node>,
    pub initializers: BTreeMap<String, TensorProto>,
    /// Sparse initializers, which are not supported if used.
    pub sparse: BTreeSet<String>,
    /// Static shapes that the exporter wrote down for values.
    pub shapes: BTreeMap<String, Vec<i64>>,
    pub storage: Storage,
    /// Size of the model file.
    pub bytes: u64,
}

/// The bytes of a file that is at most as large as a protocol buffer can be.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, ImportError> {
    let unreadable = |e: std::io::Error| {
        let reason = format!("{} cannot be read: {e}", path.display());
        Fault::new(Code::Unreadable, reason, "Give the path of an ONNX file").of_model()
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if size > MAX_FILE {
        let reason = format!("{} has {size} bytes, and a protocol buffer ends at 2 GiB", path.display());
        return Err(Fault::new(Code::TooLarge, reason, "Keep the weights in external data").of_model());
    }
    let mut bytes = Vec::new();
    file.by_ref().take(MAX_FILE).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

impl Model {
    pub fn read(path: &Path) -> Result<Model, ImportError> {
        let bytes = read_file(path)?;
        Model::parse(&bytes, path).map_err(Fault::of_model)
    }

    /// From the bytes of a file; its path tells where external data lies.
    fn parse(bytes: &[u8], path: &Path) -> Result<Model, Fault> {
        let malformed = |e: String| Fault::malformed(format!("{} is not an ONNX model: {e}", path.display()));
        wire::check(bytes, wire::Message::Model).map_err(|e| malformed(e.to_owned()))?;
        let proto = ModelProto::parse_from_bytes(bytes).map_err(|e| malformed(e.to_string()))?;
        let opset = opset(&proto)?;
        let functions = proto.functions.iter().map(|f| f.name.clone()).collect::<BTreeSet<_>>();
        let graph = proto.graph.into_option().ok_or_else(|| malformed("it has no graph".to_owned()))?;
        let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let mut model = Model {
            name: stem,
            opset,
            inputs: Vec::new(),
            outputs: graph.output.iter().map(|o| o.name.clone()).collect(),
            nodes: Vec::new(),
            initializers: BTreeMap::new(),
            sparse: BTreeSet::new(),
            shapes: BTreeMap::new(),
            storage: Storage::new(path),
            bytes: bytes.len() as u64,
        };
        model.fill(graph)?;
        model.check_functions(&functions)?;
        Ok(model)
    }

    fn fill(&mut self, graph: GraphProto) -> Result<(), Fault> {
        for value in graph.value_info.iter().chain(&graph.output) {
            if let Some(shape) = static_shape(value) {
                self.shapes.insert(value.name.clone(), shape);
            }
        }
        self.sparse = graph.sparse_initializer.iter().map(|s| s.values.name.clone()).collect();
        for tensor in graph.initializer {
            if tensor.name.is_empty() || self.initializers.contains_key(&tensor.name) {
                return Err(Fault::malformed(format!("initializer \"{}\" has no name or a taken one", tensor.name)));
            }
            self.initializers.insert(tensor.name.clone(), tensor);
        }
        // Before IR version 4 every initializer is declared as an input too.
        let is_weight = |name: &String| self.initializers.contains_key(name) || self.sparse.contains(name);
        self.inputs = graph.input.iter().filter(|v| !is_weight(&v.name)).map(declared).collect::<Result<_, _>>()?;
        let mut names = BTreeMap::new();
        self.nodes = graph.node.into_iter().enumerate().map(|(i, n)| node(n, i, &mut names)).collect();
        self.check_names()
    }

    /// Every value is defined once, and before it is used.
    fn check_names(&self) -> Result<(), Fault> {
        let mut defined: BTreeSet<&str> = self.initializers.keys().chain(&self.sparse).map(String::as_str).collect();
        for input in &self.inputs {
            if input.name.is_empty() || !defined.insert(&input.name) {
                return Err(Fault::malformed(format!("input \"{}\" has no name or a taken one", input.name)));
            }
        }
        for node in &self.nodes {
            if let Some(missing) = node.inputs.iter().find(|i| !i.is_empty() && !defined.contains(i.as_str())) {
                return Err(Fault::malformed(format!(
                    "node \"{}\" ({}) uses \"{missing}\", which no earlier node defines",
                    node.name, node.operator
                )));
            }
            for output in node.outputs.iter().filter(|o| !o.is_empty()) {
                if !defined.insert(output) {
                    return Err(Fault::malformed(format!("value \"{output}\" is defined twice")));
                }
            }
        }
        match self.outputs.iter().find(|o| !defined.contains(o.as_str())) {
            Some(missing) => Err(Fault::malformed(format!("output \"{missing}\" is not defined by any node"))),
            None if self.outputs.is_empty() => Err(Fault::malformed("the model has no outputs")),
            None => Ok(()),
        }
    }

    /// Functions defined inside the model must be inlined before.
    fn check_functions(&self, functions: &BTreeSet<String>) -> Result<(), Fault> {
        match self.nodes.iter().find(|n| !n.domain.is_empty() && functions.contains(&n.operator)) {
            Some(node) => Err(Fault::new(
                Code::Operator,
                format!("node \"{}\" calls \"{}\", a function defined inside the model", node.name, node.operator),
                "Inline it with `onnx.inliner.inline_local_functions`",
            )),
            None => Ok(()),
        }
    }
}

fn opset(proto: &ModelProto) -> Result<i64, Fault> {
    let version = proto.opset_import.iter().find(|o| is_standard(&o.domain)).map(|o| o.version);
    let version = version.ok_or_else(|| Fault::malformed("the model names no ONNX operator set"))?;
    if OPSETS.contains(&version) {
        return Ok(version);
    }
    let (oldest, newest) = (OPSETS.start(), OPSETS.end());
    Err(Fault::new(
        Code::Version,
        format!("operator set {version} is outside {oldest}..{newest}"),
        format!("Convert the model with `onnx.version_converter.convert_version(model, {})`", 17),
    ))
}

fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// The tensor part of a value's type.
fn tensor_type(value: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    match value.type_.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => Some(tensor),
        _ => None,
    }
}

fn axes(tensor: &type_proto::Tensor) -> Option<Vec<Axis>> {
    let axis = |dim: &onnx_protobuf::tensor_shape_proto::Dimension| match &dim.value {
        Some(dimension::Value::DimValue(n)) if *n > 0 => Axis::Fixed(*n),
        Some(dimension::Value::DimParam(name)) => Axis::Dynamic(name.clone()),
        _ => Axis::Dynamic(String::new()),
    };
    Some(tensor.shape.as_ref()?.dim.iter().map(axis).collect())
}

fn declared(value: &ValueInfoProto) -> Result<Declared, Fault> {
    let tensor =
        tensor_type(value).ok_or_else(|| Fault::malformed(format!("input \"{}\" is not a tensor", value.name)))?;
    Ok(Declared { name: value.name.clone(), data_type: tensor.elem_type, axes: axes(tensor) })
}

fn static_shape(value: &ValueInfoProto) -> Option<Vec<i64>> {
    axes(tensor_type(value)?)?
        .into_iter()
        .map(|a| match a {
            Axis::Fixed(n) => Some(n),
            Axis::Dynamic(_) => None,
        })
        .collect()
}

fn node(proto: NodeProto, position: usize, names: &mut BTreeMap<String, usize>) -> Node {
    let base = if proto.name.is_empty() { format!("{}_{position}", proto.op_type) } else { proto.name };
    let mut name = base.clone();
    while names.contains_key(&name) {
        let number = names.entry(base.clone()).or_insert(1);
        *number += 1;
        name = format!("{base}#{number}");
    }
    names.insert(name.clone(), 1);
    let domain = if is_standard(&proto.domain) { String::new() } else { proto.domain };
    let attributes = proto.attribute.into_iter().map(attribute).collect();
    Node { name, operator: proto.op_type, domain, inputs: proto.input, outputs: proto.output, attributes }
}

fn attribute(proto: AttributeProto) -> (String, Attribute) {
    let value = match proto.type_.enum_value() {
        Ok(AttributeType::INT) => Attribute::Int(proto.i),
        Ok(AttributeType::FLOAT) => Attribute::Float(proto.f.into()),
        Ok(AttributeType::INTS) => Attribute::Ints(proto.ints),
        Ok(AttributeType::FLOATS) => Attribute::Floats(proto.floats.into_iter().map(f64::from).collect()),
        Ok(AttributeType::STRING) => Attribute::Text(String::from_utf8_lossy(&proto.s).into_owned()),
        Ok(AttributeType::TENSOR) => proto.t.0.map_or(Attribute::Other, Attribute::Tensor),
        _ => Attribute::Other,
    };
    (proto.name, value)
}
