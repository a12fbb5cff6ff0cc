//! Small models made in tests.

use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_shape_proto::{Dimension, dimension};
use onnx_protobuf::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};
use std::path::PathBuf;

/// A model in the making.
pub struct Build {
    pub model: ModelProto,
}

/// An axis: a number, or a name for a dynamic one.
pub enum Axis {
    Fixed(i64),
    Named(&'static str),
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let ints = values.to_vec();
    AttributeProto { name: name.into(), type_: AttributeType::INTS.into(), ints, ..Default::default() }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), type_: AttributeType::INT.into(), i, ..Default::default() }
}

pub fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), type_: AttributeType::FLOAT.into(), f, ..Default::default() }
}

fn value(name: &str, axes: &[Axis]) -> ValueInfoProto {
    let dim = axes.iter().map(|axis| Dimension {
        value: Some(match axis {
            Axis::Fixed(n) => dimension::Value::DimValue(*n),
            Axis::Named(name) => dimension::Value::DimParam((*name).into()),
        }),
        ..Default::default()
    });
    let shape = TensorShapeProto { dim: dim.collect(), ..Default::default() };
    let tensor = type_proto::Tensor { elem_type: 1, shape: Some(shape).into(), ..Default::default() };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), type_: Some(kind).into(), ..Default::default() }
}

impl Build {
    pub fn new(opset: i64) -> Build {
        let graph = GraphProto { name: "test".into(), ..Default::default() };
        let opset = OperatorSetIdProto { version: opset, ..Default::default() };
        let opset_import = vec![opset];
        Build { model: ModelProto { ir_version: 8, graph: Some(graph).into(), opset_import, ..Default::default() } }
    }

    fn graph(&mut self) -> &mut GraphProto {
        self.model.graph.as_mut().unwrap()
    }

    pub fn input(self, name: &str, dims: &[i64]) -> Build {
        let axes: Vec<Axis> = dims.iter().map(|&d| Axis::Fixed(d)).collect();
        self.input_axes(name, &axes)
    }

    pub fn input_axes(mut self, name: &str, axes: &[Axis]) -> Build {
        self.graph().input.push(value(name, axes));
        self
    }

    pub fn output(mut self, name: &str) -> Build {
        self.graph().output.push(value(name, &[]));
        self
    }

    pub fn weight(self, name: &str, dims: &[i64], data: &[f32]) -> Build {
        let (dims, float_data) = (dims.to_vec(), data.to_vec());
        self.tensor(TensorProto { name: name.into(), dims, data_type: 1, float_data, ..Default::default() })
    }

    pub fn indices(self, name: &str, dims: &[i64], data: &[i64]) -> Build {
        let (dims, int64_data) = (dims.to_vec(), data.to_vec());
        self.tensor(TensorProto { name: name.into(), dims, data_type: 7, int64_data, ..Default::default() })
    }

    pub fn tensor(mut self, tensor: TensorProto) -> Build {
        self.graph().initializer.push(tensor);
        self
    }

    /// An unnamed node; inputs and outputs are separated by spaces.
    pub fn node(self, operator: &str, inputs: &str, outputs: &str) -> Build {
        self.node_with(operator, inputs, outputs, vec![])
    }

    pub fn node_with(mut self, operator: &str, inputs: &str, outputs: &str, attribute: Vec<AttributeProto>) -> Build {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let (input, output) = (list(inputs), list(outputs));
        self.graph().node.push(NodeProto { op_type: operator.into(), input, output, attribute, ..Default::default() });
        self
    }

    /// Write the model to a file of its own.
    pub fn save(&self, name: &str) -> PathBuf {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("import");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.onnx"));
        std::fs::write(&path, self.model.write_to_bytes().unwrap()).unwrap();
        path
    }
}
