//! From nodes to the tensor graph: the walk over the model, and the graph being built.

use crate::ImportOptions;
use crate::call::{Call, Constant, Value, after_client};
use crate::check::Verdict;
use crate::error::{Code, Fault, ImportError};
use crate::model::{Model, Node};
use crate::probe::Probes;
use crate::tensor_proto::{Kind, MAX_ELEMENTS};
use crate::{fold, inputs, operators, rows, tokens};
use hec_ir::Origin;
use hec_ir::tensor::{ConstId, Graph, LinearStep, Op, Output, Shape, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Elements of constants that a model may make beyond those in its file, whatever the file's size.
const FREE_ELEMENTS: usize = 1 << 24;

/// Something that stops the import if its value is used.
#[derive(Debug)]
pub(crate) struct Problem {
    pub error: ImportError,
    /// Which node of the model; none for inputs.
    pub position: Option<usize>,
    /// Values that stand in for what could not be made.
    pub stand_ins: Vec<ValueId>,
}

/// The graph being built, and what the model's names stand for.
pub(crate) struct Lowering {
    pub graph: Graph,
    pub probes: Probes,
    origin: Origin,
    pub values: BTreeMap<String, Value>,
    /// What stand-ins would depend on.
    pub depends: BTreeMap<ValueId, Vec<ValueId>>,
    /// Constants of the graph by the tensor that they share, with the tensor kept alive.
    shared: BTreeMap<usize, ConstId>,
    budget: usize,
}

/// The result of the walk.
pub(crate) struct Lowered {
    pub graph: Graph,
    pub problems: Vec<Problem>,
    pub verdicts: Vec<Verdict>,
}

/// Walk over the whole model; problems are collected, not raised.
pub(crate) fn lower(model: &Model, options: &ImportOptions) -> Lowered {
    let mut lowering = Lowering::new(&model.name, FREE_ELEMENTS.max(usize::try_from(model.bytes).unwrap_or(0)));
    let mut problems = inputs::declare(&mut lowering, model, options);
    let last = last_values(model);
    let mut verdicts = Vec::with_capacity(model.nodes.len());
    for (position, node) in model.nodes.iter().enumerate() {
        let (verdict, found) = lowering.node(model, node, &last);
        problems.extend(found.into_iter().map(|p| Problem { position: Some(position), ..p }));
        verdicts.push(verdict);
    }
    problems.extend(lowering.outputs(model));
    let live = lowering.live();
    // What nothing uses stops nothing: a part of a recognised function, or a branch that leads nowhere.
    problems.retain(|p| p.stand_ins.is_empty() || p.stand_ins.iter().any(|id| live.contains(id)));
    for (node, verdict) in model.nodes.iter().zip(&mut verdicts) {
        let used = |name: &String| match lowering.values.get(name) {
            Some(Value::Encrypted(id) | Value::Tokens(id) | Value::Client(id, _) | Value::Unknown(id)) => {
                live.contains(id)
            }
            Some(Value::Constant(_)) | None => false,
        };
        if matches!(verdict, Verdict::Approximated { .. }) && !node.outputs.iter().any(used) {
            *verdict = Verdict::Unused;
        }
    }
    for problem in &problems {
        if let Some(position) = problem.position {
            verdicts[position] = Verdict::Stops(problem.error.clone());
        }
    }
    Lowered { graph: lowering.graph, problems, verdicts }
}

/// Values that only go to the model's outputs, through layers that change no numbers or are left to the client.
fn last_values(model: &Model) -> BTreeSet<&str> {
    let mut inner: BTreeSet<&str> = BTreeSet::new();
    for node in model.nodes.iter().rev() {
        let passes = operators::find(node).is_ok_and(|o| o.passes_client());
        let last = passes && node.outputs.first().is_some_and(|o| !inner.contains(o.as_str()));
        inner.extend(node.inputs.iter().skip(usize::from(last)).map(String::as_str));
    }
    model.nodes.iter().flat_map(|n| &n.outputs).map(String::as_str).filter(|o| !inner.contains(o)).collect()
}

impl Lowering {
    pub fn new(name: &str, budget: usize) -> Self {
        Lowering {
            graph: Graph::new(name),
            probes: Probes::default(),
            origin: Origin::default(),
            values: BTreeMap::new(),
            depends: BTreeMap::new(),
            shared: BTreeMap::new(),
            budget,
        }
    }

    /// Give a name of the model its value.
    pub fn bind(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    fn node(&mut self, model: &Model, node: &Node, last: &BTreeSet<&str>) -> (Verdict, Vec<Problem>) {
        self.origin = Origin::node(node.name.clone());
        let before = self.graph.nodes.len();
        let result = self.resolve(model, node).and_then(|inputs| {
            let call = Call { node, inputs, opset: model.opset };
            match call.inputs.iter().flatten().any(|v| matches!(v, Value::Unknown(_))) {
                true => self.unchecked(&call),
                false => self.call(&call, last).map(|values| (values, None)),
            }
        });
        match result {
            Ok((values, verdict)) => {
                let made = values.len();
                for (name, value) in node.outputs.iter().zip(values) {
                    self.bind(name, value);
                }
                let problems = node.outputs[made.min(node.outputs.len())..].iter().filter(|o| !o.is_empty());
                let problems = problems.map(|name| self.second_result(node, name)).collect();
                (verdict.unwrap_or_else(|| Verdict::of(&self.graph, before, self.first_output(node))), problems)
            }
            Err(fault) => {
                let error = fault.at(&node.name, &node.operator);
                let stand_ins = self.stand_ins(model, node);
                (Verdict::Unused, vec![Problem { error, position: None, stand_ins }])
            }
        }
    }

    /// A result that the operator's rule does not make, which matters only where it is used.
    fn second_result(&mut self, node: &Node, name: &str) -> Problem {
        let value = self.stand_in(name, None, self.dependencies(node));
        let fault = Fault::form(
            format!("its result \"{name}\" (a mask, indices or statistics) is not supported"),
            "Use only the first result",
        );
        Problem { error: fault.at(&node.name, &node.operator), position: None, stand_ins: vec![value] }
    }

    fn first_output(&self, node: &Node) -> Option<&Value> {
        self.values.get(node.outputs.first()?)
    }

    /// The inputs' values; a weight is decoded when it is first used.
    fn resolve(&mut self, model: &Model, node: &Node) -> Result<Vec<Option<Value>>, Fault> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            if name.is_empty() {
                inputs.push(None);
                continue;
            }
            if let (false, Some(proto)) = (self.values.contains_key(name), model.initializers.get(name)) {
                let (tensor, kind) = model.storage.decode(proto)?;
                self.bind(name, Value::Constant(Constant::new(name, tensor, kind)));
            }
            let value = self.values.get(name).cloned();
            inputs.push(Some(value.ok_or_else(|| {
                Fault::form(format!("\"{name}\" is a sparse initializer"), "Export the model with dense weights")
            })?));
        }
        Ok(inputs)
    }

    /// An input's shape is not known: the operator can still be looked up.
    fn unchecked(&mut self, call: &Call) -> Result<(Vec<Value>, Option<Verdict>), Fault> {
        operators::find(call.node)?;
        let unknown = |v: &Option<Value>| matches!(v, Some(Value::Unknown(_)));
        let input = call.inputs.iter().position(unknown).map(|i| call.node.inputs[i].clone()).unwrap_or_default();
        let args = self.dependencies(call.node);
        let values = call.node.outputs.iter().map(|name| Value::Unknown(self.stand_in(name, None, args.clone())));
        Ok((values.collect(), Some(Verdict::Unchecked { input })))
    }

    fn call(&mut self, call: &Call, last: &BTreeSet<&str>) -> Result<Vec<Value>, Fault> {
        let operator = operators::find(call.node)?;
        if call.inputs.iter().flatten().all(|v| matches!(v, Value::Constant(_))) {
            return fold::constants(self, operator, call);
        }
        let client = call.inputs.iter().flatten().any(|v| matches!(v, Value::Client(..)));
        if client && !operator.passes_client() {
            return Err(after_client());
        }
        if call.inputs.iter().flatten().any(|v| matches!(v, Value::Tokens(_))) {
            return tokens::lower(self, operator, call);
        }
        // The client computes it in clear.
        if operator.name == "Softmax" && call.node.outputs.first().is_some_and(|o| last.contains(o.as_str())) {
            return rows::last_softmax(self, call);
        }
        operator.lower(self, call)
    }

    /// The encrypted values that a node uses.
    pub fn dependencies(&self, node: &Node) -> Vec<ValueId> {
        let encrypted = |name: &String| match self.values.get(name)? {
            Value::Encrypted(id) | Value::Tokens(id) | Value::Client(id, _) | Value::Unknown(id) => Some(*id),
            Value::Constant(_) => None,
        };
        node.inputs.iter().filter_map(encrypted).collect()
    }

    /// Bind the model's outputs.
    fn outputs(&mut self, model: &Model) -> Vec<Problem> {
        let mut problems = Vec::new();
        for name in &model.outputs {
            let (value, client) = match self.values.get(name) {
                Some(Value::Encrypted(id) | Value::Unknown(id)) => (*id, Vec::new()),
                Some(Value::Client(id, ops)) => (*id, ops.clone()),
                Some(Value::Constant(_) | Value::Tokens(_)) | None => {
                    let reason = "this output does not depend on an encrypted input";
                    let error = Fault::new(Code::Output, reason, "Remove it from the model").at(name, "output");
                    problems.push(Problem { error, position: None, stand_ins: Vec::new() });
                    continue;
                }
            };
            self.graph.outputs.push(Output { name: name.clone(), value, client });
        }
        problems
    }

    /// Values that the outputs depend on, through stand-ins too.
    fn live(&self) -> BTreeSet<ValueId> {
        let mut live = BTreeSet::new();
        let mut work: Vec<ValueId> = self.graph.outputs.iter().map(|o| o.value).collect();
        while let Some(id) = work.pop() {
            if live.insert(id) {
                work.extend(&self.graph.nodes[id].args);
                work.extend(self.depends.get(&id).into_iter().flatten());
            }
        }
        live
    }

    /// The node being lowered.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What is left of the elements that constants may take.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Take from the budget before a constant is made.
    pub fn charge(&mut self, elements: usize) -> Result<(), Fault> {
        self.budget = self.budget.checked_sub(elements).ok_or_else(|| {
            Fault::new(
                Code::TooLarge,
                "the constants that the model computes are much larger than its file",
                "Simplify the model with `onnxsim` before compiling it",
            )
        })?;
        Ok(())
    }

    /// A constant of the graph. Constants made from one initializer are shared.
    pub fn constant(&mut self, name: &str, tensor: Arc<Tensor>) -> Result<ConstId, Fault> {
        let key = Arc::as_ptr(&tensor).addr();
        if let Some(&id) = self.shared.get(&key) {
            return Ok(id);
        }
        if let Some(bad) = tensor.data.iter().find(|v| !v.is_finite()) {
            return Err(Fault::new(
                Code::Number,
                format!("constant \"{name}\" contains {bad}"),
                "Replace it by a finite number before exporting",
            ));
        }
        // The graph keeps the tensor alive, so that its address is not used again.
        let id = self.graph.constants.add(name, tensor);
        self.shared.insert(key, id);
        Ok(id)
    }

    /// A constant made for this node.
    pub fn made(&mut self, role: &str, tensor: Tensor) -> Result<ConstId, Fault> {
        let name = format!("{}.{role}", self.origin.layer());
        self.constant(&name, Arc::new(tensor))
    }

    /// Add an operation of the current node.
    pub fn push(&mut self, op: Op, args: impl Into<Vec<ValueId>>) -> Result<ValueId, Fault> {
        let origin = self.origin.clone();
        self.push_from(op, args, origin)
    }

    /// Add an operation that stands for several nodes.
    pub fn push_from(&mut self, op: Op, args: impl Into<Vec<ValueId>>, origin: Origin) -> Result<ValueId, Fault> {
        Ok(self.graph.push(op, args, origin)?)
    }

    /// Apply a chain of linear steps. Steps that change nothing are left out.
    pub fn linear(&mut self, x: ValueId, steps: Vec<LinearStep>) -> Result<ValueId, Fault> {
        let mut shape = self.graph.shape(x).clone();
        let mut chain: Vec<LinearStep> = Vec::with_capacity(steps.len());
        for step in steps {
            let before = shape;
            shape = self.step_shape(&step, &before)?;
            match (chain.last_mut(), &step) {
                (Some(LinearStep::Reshape { shape: last }), LinearStep::Reshape { shape }) => *last = shape.clone(),
                _ if is_identity(&step, &before) => {}
                _ => chain.push(step),
            }
        }
        let (source, origin) = self.before_reshape(x, &chain);
        match chain.as_slice() {
            [] => Ok(x),
            [LinearStep::Reshape { shape }] if shape == self.graph.shape(source) => Ok(source),
            _ => self.push_from(Op::Linear(chain), [source], origin),
        }
    }

    /// A chain that starts with a reshape takes the value before a reshape, and stands for both.
    fn before_reshape(&self, x: ValueId, chain: &[LinearStep]) -> (ValueId, Origin) {
        let before = &self.graph.nodes[x];
        match (chain, &before.op, before.args.as_slice()) {
            ([LinearStep::Reshape { .. }, ..], Op::Linear(earlier), &[source])
                if matches!(earlier.as_slice(), [LinearStep::Reshape { .. }]) =>
            {
                (source, before.origin.merge(&self.origin))
            }
            _ => (x, self.origin.clone()),
        }
    }

    /// The shape that a step gives, if it is one that can be compiled.
    fn step_shape(&self, step: &LinearStep, input: &Shape) -> Result<Shape, Fault> {
        if let LinearStep::Reshape { shape } | LinearStep::Expand { shape } = step {
            checked_elements(shape)?;
        }
        let shape = step.output_shape(input, &self.graph.constants)?;
        checked_elements(&shape)?;
        Ok(shape)
    }

    /// x + c, repeated as NumPy broadcasting says.
    pub fn add_constant(&mut self, x: ValueId, name: &str, tensor: Arc<Tensor>) -> Result<ValueId, Fault> {
        let x = self.expand_for(x, &tensor.shape)?;
        if tensor.data.iter().all(|&v| v == 0.0) {
            return Ok(x);
        }
        let id = self.constant(name, finite_mask(tensor))?;
        self.push(Op::AddConstant(id), [x])
    }

    /// x · c, repeated as NumPy broadcasting says.
    pub fn scale(&mut self, x: ValueId, name: &str, tensor: Arc<Tensor>) -> Result<ValueId, Fault> {
        let x = self.expand_for(x, &tensor.shape)?;
        if tensor.data.iter().all(|&v| v == 1.0) {
            return Ok(x);
        }
        let factor = self.constant(name, tensor)?;
        self.linear(x, vec![LinearStep::Scale { factor }])
    }

    /// Repeat x so that it has the shape that broadcasting with `other` gives.
    pub fn expand_for(&mut self, x: ValueId, other: &Shape) -> Result<ValueId, Fault> {
        let mine = self.graph.shape(x).clone();
        let shape = mine
            .broadcast(other)
            .ok_or_else(|| Fault::shape(format!("shapes {:?} and {:?} do not broadcast", mine.dims(), other.dims())))?;
        if shape == mine {
            return Ok(x);
        }
        self.linear(x, vec![LinearStep::Expand { shape }])
    }
}

/// A mask's −∞ as the most negative number of single precision, which exporters write as well.
fn finite_mask(tensor: Arc<Tensor>) -> Arc<Tensor> {
    if !tensor.data.contains(&f64::NEG_INFINITY) {
        return tensor;
    }
    let data = tensor.data.iter().map(|v| v.max(f64::from(f32::MIN))).collect();
    Arc::new(Tensor { shape: tensor.shape.clone(), data })
}

/// The number of elements, if it is one that can be compiled.
pub(crate) fn checked_elements(shape: &Shape) -> Result<usize, Fault> {
    let product = shape.dims().iter().try_fold(1usize, |p, &d| p.checked_mul(d)).filter(|&p| p <= MAX_ELEMENTS);
    match product {
        Some(0) => Err(Fault::shape(format!("an encrypted tensor of shape {:?} has no elements", shape.dims()))),
        Some(elements) => Ok(elements),
        None => Err(Fault::new(
            Code::TooLarge,
            format!("an encrypted tensor of shape {:?} has more than {MAX_ELEMENTS} elements", shape.dims()),
            "Use a smaller model or batch",
        )),
    }
}

fn is_identity(step: &LinearStep, input: &Shape) -> bool {
    match step {
        LinearStep::Reshape { shape } | LinearStep::Expand { shape } => shape == input,
        LinearStep::Transpose { permutation } => permutation.iter().enumerate().all(|(i, &p)| i == p),
        LinearStep::Slice { extents, steps, .. } => {
            let forward = steps.iter().zip(extents).all(|(&step, &extent)| step == 1 || extent == 1);
            forward && extents == input.dims()
        }
        LinearStep::Pad { before, after } => before.iter().chain(after).all(|&n| n == 0),
        LinearStep::Mean { axes } => axes.iter().all(|&a| input.dims()[a] == 1),
        _ => false,
    }
}

/// A float constant.
pub(crate) fn real(name: impl Into<String>, tensor: Tensor) -> Value {
    Value::Constant(Constant::new(name, tensor, Kind::Float))
}
