//! What takes the place of a value that could not be made, so that the rest of the model is checked too.

use crate::call::{Call, Value};
use crate::lower::{Lowering, checked_elements};
use crate::model::{Attribute, Model, Node};
use crate::operators;
use crate::tensor_proto::shape_from;
use hec_ir::tensor::{Shape, ValueId};

impl Lowering {
    /// Values for the outputs of a node that could not be lowered, of the shape that they would have if it is known,
    /// so that what follows is checked too.
    pub fn stand_ins(&mut self, model: &Model, node: &Node) -> Vec<ValueId> {
        let args = self.dependencies(node);
        let mut made = Vec::new();
        for name in node.outputs.iter().filter(|o| !o.is_empty()) {
            // With dynamic axes the declared shape is not known either.
            let declared = model.shapes.get(name).and_then(|dims| shape_from(dims).ok());
            let shape = declared.or_else(|| self.likely_shape(node)).filter(|s| checked_elements(s).is_ok());
            made.push(self.stand_in(name, shape, args.clone()));
        }
        if let (Some(&id), Ok(operator)) = (made.first(), operators::find(node))
            && operator.is_elementwise()
        {
            let inputs = node.inputs.iter().map(|n| self.values.get(n).cloned()).collect();
            let call = Call { node, inputs, opset: model.opset };
            self.probes.derive(&self.graph, &call, id);
        }
        made
    }

    pub fn stand_in(&mut self, name: &str, shape: Option<Shape>, args: Vec<ValueId>) -> ValueId {
        let known = shape.is_some();
        let id = self.graph.input(format!("?{name}"), shape.unwrap_or_else(|| Shape::new([])));
        self.depends.insert(id, args);
        self.bind(name, if known { Value::Encrypted(id) } else { Value::Unknown(id) });
        id
    }

    /// The shape that a node's result would have.
    fn likely_shape(&self, node: &Node) -> Option<Shape> {
        let shapes: Vec<Shape> = node.inputs.iter().filter_map(|name| self.shape_of(name)).collect();
        match (node.operator.as_str(), shapes.as_slice()) {
            ("MatMul", [a, b]) => product_shape(a, b),
            ("Gather", [data, indices]) => {
                let axis = match node.attributes.get("axis") {
                    Some(&Attribute::Int(axis)) => crate::call::axis_index(axis, data.rank()).ok()?,
                    _ => 0,
                };
                Some(Shape::new([data.dims().get(..axis)?, indices.dims(), data.dims().get(axis + 1..)?].concat()))
            }
            (name, [first, ..]) if operators::keeps_first_shape(name) => Some(first.clone()),
            (name, [first, rest @ ..]) if operators::broadcasts(name) => {
                rest.iter().try_fold(first.clone(), |shape, other| shape.broadcast(other))
            }
            _ => None,
        }
    }

    fn shape_of(&self, name: &str) -> Option<Shape> {
        match self.values.get(name)? {
            Value::Constant(c) => Some(c.tensor.shape.clone()),
            Value::Encrypted(id) | Value::Tokens(id) | Value::Client(id, _) => Some(self.graph.shape(*id).clone()),
            Value::Unknown(_) => None,
        }
    }
}

fn product_shape(a: &Shape, b: &Shape) -> Option<Shape> {
    let ([left @ .., rows, _], [right @ .., _, columns]) = (a.dims(), b.dims()) else {
        return None;
    };
    let batch = Shape::new(left).broadcast(&Shape::new(right))?;
    Some(Shape::new([batch.dims(), &[*rows, *columns]].concat()))
}
