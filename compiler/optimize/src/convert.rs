//! Tensor graph to e-graph and back.

use crate::extract::Chosen;
use crate::language::{EGraph, Lang, Network};
use crate::tables::{AddendId, DeviationId, Exponent, InputId, OpaqueId, Step, Tables};
use crate::{Alternative, OptimizeError};
use egg::{Id, Language};
use hec_ir::Origin;
use hec_ir::entity::EntityVec;
use hec_ir::tensor::{ConstId, Graph, LinearStep, Node, Op, Output, ValueId};
use petgraph::algo::toposort;
use petgraph::graphmap::DiGraphMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The e-graph of a network and the classes of its outputs, in order.
pub(crate) fn to_egraph(graph: &Graph, alternatives: &[Alternative]) -> Result<(EGraph, Vec<Id>), OptimizeError> {
    let mut tables = Tables::new(graph.constants.clone());
    tables.deviations = alternatives.iter().map(|a| a.error * a.sensitivity).collect();
    let numbered = || (0..).map(DeviationId).zip(alternatives);
    let mut own: BTreeMap<ValueId, Vec<DeviationId>> = BTreeMap::new();
    for (id, a) in numbered().filter(|(_, a)| a.value == a.instead) {
        own.entry(a.value).or_default().push(id);
    }
    let mut egraph = EGraph::new(Network { tables, ..Network::default() });
    let mut classes: EntityVec<ValueId, Id> = EntityVec::new();
    for (value, node) in graph.nodes.iter() {
        egraph.analysis.shape = Some(node.shape.clone());
        egraph.analysis.origin = Arc::new(node.origin.clone());
        let args: Vec<Id> = node.args.iter().map(|&a| classes[a]).collect();
        let mut class = add_node(&mut egraph, value, node, &args);
        // A value that is an approximation itself: what uses it sees a class apart from the exact one.
        for &deviation in own.get(&value).into_iter().flatten() {
            class = instead(&mut egraph, deviation, class);
        }
        classes.push(class);
    }
    for (deviation, other) in numbered().filter(|(_, a)| a.value != a.instead) {
        let (value, class) = (classes.get(other.value).copied(), classes.get(other.instead).copied());
        let (Some(value), Some(class)) = (value, class) else {
            return Err(unusable(other, "there is no such value"));
        };
        if graph.shape(other.value) != graph.shape(other.instead) {
            return Err(unusable(other, "their shapes differ"));
        }
        let replaced = instead(&mut egraph, deviation, class);
        egraph.union(value, replaced);
    }
    if let Some(bad) = alternatives.iter().find(|a| (a.error * a.sensitivity).is_nan() || a.error * a.sensitivity < 0.0)
    {
        return Err(unusable(bad, "its error is not a number of at least 0"));
    }
    egraph.rebuild();
    let roots = graph.outputs.iter().map(|o| egraph.find(classes[o.value])).collect();
    Ok((egraph, roots))
}

fn instead(egraph: &mut EGraph, deviation: DeviationId, class: Id) -> Id {
    let deviation = egraph.add(Lang::Deviation(deviation));
    egraph.add(Lang::Instead([deviation, class]))
}

fn unusable(alternative: &Alternative, reason: &'static str) -> OptimizeError {
    OptimizeError::Alternative { value: alternative.value, instead: alternative.instead, reason }
}

fn add_node(egraph: &mut EGraph, value: ValueId, node: &Node, args: &[Id]) -> Id {
    let tables = &mut egraph.analysis.tables;
    let lang = match (&node.op, args) {
        (Op::Linear(steps), &[x]) => {
            let origin = Arc::new(node.origin.clone());
            let same = |step: &LinearStep| match step {
                LinearStep::Scale { factor } => LinearStep::Scale { factor: tables.first_of(*factor) },
                other => other.clone(),
            };
            let steps = steps.iter().map(|s| Step { step: same(s), origin: Arc::clone(&origin) }).collect();
            let chain = tables.add_chain(steps);
            Lang::Linear([egraph.add(Lang::Chain(chain)), x])
        }
        (Op::AddConstant(c), &[x]) => {
            let addend = Lang::Addend(AddendId(tables.first_of(*c).0));
            Lang::AddConstant([egraph.add(addend), x])
        }
        (Op::Polynomial { basis, coefficients }, &[x]) => {
            let polynomial = tables.add_polynomial(*basis, *coefficients);
            Lang::Polynomial([egraph.add(Lang::Coefficients(polynomial)), x])
        }
        (Op::Power(k), &[x]) => Lang::Power([egraph.add(Lang::Exponent(Exponent(*k))), x]),
        (Op::Negate, &[x]) => Lang::Negate(x),
        (Op::Square, &[x]) => Lang::Square(x),
        (Op::Add, &[x, y]) => Lang::Add([x, y]),
        (Op::Sub, &[x, y]) => Lang::Sub([x, y]),
        (Op::Mul, &[x, y]) => Lang::Mul([x, y]),
        (Op::BatchMatMul, &[x, y]) => Lang::BatchMatMul([x, y]),
        (op, &[x]) => {
            tables.opaque.push(op.clone());
            let opaque = OpaqueId(tables.opaque.len() as u32 - 1);
            Lang::Opaque([egraph.add(Lang::OpaqueOp(opaque)), x])
        }
        _ => Lang::Input(InputId(value.0)),
    };
    egraph.add(lang)
}

/// The chosen network. Inputs keep their order and outputs their names.
pub(crate) fn to_graph(egraph: &EGraph, chosen: &Chosen, source: &Graph, roots: &[Id]) -> Result<Graph, OptimizeError> {
    let mut builder =
        Builder { egraph, out: Graph::new(source.name.clone()), constants: BTreeMap::new(), values: BTreeMap::new() };
    for (value, node) in source.nodes.iter() {
        if let Op::Input { name } = &node.op {
            let new = builder.out.input(name.clone(), node.shape.clone());
            builder.out.nodes[new].origin = node.origin.clone();
            if let Some(class) = egraph.lookup(Lang::Input(InputId(value.0))) {
                builder.values.insert(egraph.find(class), new);
            }
        }
    }
    for class in topological(egraph, chosen)? {
        if !builder.values.contains_key(&class) {
            builder.node(class, &chosen[&class])?;
        }
    }
    for (output, root) in source.outputs.iter().zip(roots) {
        let value = builder.values[&egraph.find(*root)];
        builder.out.outputs.push(Output { value, ..output.clone() });
    }
    Ok(builder.out)
}

/// Chosen classes, children first, in an order that depends on ids alone.
fn topological(egraph: &EGraph, chosen: &Chosen) -> Result<Vec<Id>, OptimizeError> {
    let mut dag: DiGraphMap<usize, ()> = DiGraphMap::new();
    for (&class, node) in chosen {
        dag.add_node(class.into());
        for child in node.children().iter().map(|&c| egraph.find(c)).filter(|c| chosen.contains_key(c)) {
            dag.add_edge(child.into(), class.into(), ());
        }
    }
    let order = toposort(&dag, None).map_err(|_| OptimizeError::Rewritten("it has a cycle".to_owned()))?;
    Ok(order.into_iter().map(Id::from).collect())
}

struct Builder<'a> {
    egraph: &'a EGraph,
    out: Graph,
    constants: BTreeMap<ConstId, ConstId>,
    values: BTreeMap<Id, ValueId>,
}

impl Builder<'_> {
    fn node(&mut self, class: Id, node: &Lang) -> Result<(), OptimizeError> {
        let tables = &self.egraph.analysis.tables;
        let origin = Origin::clone(&self.egraph[class].data.origin);
        let (op, origin) = match node {
            Lang::Linear([chain, _]) => match self.leaf(*chain) {
                Some(Lang::Chain(id)) => self.chain(tables.chain(*id)),
                _ => return Err(malformed(node)),
            },
            Lang::AddConstant([c, _]) => match self.leaf(*c) {
                Some(Lang::Addend(id)) => (Op::AddConstant(self.constant(ConstId(id.0))), origin),
                _ => return Err(malformed(node)),
            },
            Lang::Polynomial([p, _]) => match self.leaf(*p) {
                Some(Lang::Coefficients(id)) => {
                    let (basis, coefficients) = tables.polynomial(*id);
                    let coefficients = self.constant(coefficients);
                    (Op::Polynomial { basis, coefficients }, origin)
                }
                _ => return Err(malformed(node)),
            },
            Lang::Power([k, _]) => match self.leaf(*k) {
                Some(Lang::Exponent(k)) => (Op::Power(k.0), origin),
                _ => return Err(malformed(node)),
            },
            Lang::Opaque([op, _]) => match self.leaf(*op) {
                Some(Lang::OpaqueOp(id)) => (tables.opaque[id.0 as usize].clone(), origin),
                _ => return Err(malformed(node)),
            },
            Lang::Negate(_) => (Op::Negate, origin),
            Lang::Square(_) => (Op::Square, origin),
            Lang::Add(_) => (Op::Add, origin),
            Lang::Sub(_) => (Op::Sub, origin),
            Lang::Mul(_) => (Op::Mul, origin),
            Lang::BatchMatMul(_) => (Op::BatchMatMul, origin),
            Lang::Instead([_, x]) => {
                let value = self.values.get(&self.egraph.find(*x)).copied().ok_or_else(|| malformed(node))?;
                self.values.insert(class, value);
                return Ok(());
            }
            // Leaves that are not values are read by their users.
            _ => return Ok(()),
        };
        let args: Vec<ValueId> =
            node.children().iter().filter_map(|&c| self.values.get(&self.egraph.find(c)).copied()).collect();
        let value = self.out.push(op, args, origin)?;
        self.values.insert(class, value);
        Ok(())
    }

    fn leaf(&self, id: Id) -> Option<&Lang> {
        self.egraph[id].data.leaf.as_ref()
    }

    /// A chain as an operation; it comes from all the nodes whose steps it holds.
    fn chain(&mut self, steps: &[Step]) -> (Op, Origin) {
        let mut origin = Origin::default();
        let mut out = Vec::with_capacity(steps.len());
        // The layer with the most arithmetic names the chain; the rest was folded into it.
        let naming = steps.iter().rposition(|s| matches!(s.step, LinearStep::Conv { .. } | LinearStep::MatMul { .. }));
        if let Some(main) = naming {
            origin = Origin::clone(&steps[main].origin);
        }
        let note = naming.map(|_| origin.note.clone());
        for step in steps.iter().rev() {
            origin = origin.merge(&step.origin);
        }
        // What was done to a neighbour is told there.
        origin.note = note.unwrap_or(origin.note);
        for step in steps {
            out.push(match &step.step {
                LinearStep::Conv { weight, attributes } => {
                    LinearStep::Conv { weight: self.constant(*weight), attributes: *attributes }
                }
                LinearStep::MatMul { weight } => LinearStep::MatMul { weight: self.constant(*weight) },
                LinearStep::Scale { factor } => LinearStep::Scale { factor: self.constant(*factor) },
                other => other.clone(),
            });
        }
        (Op::Linear(out), origin)
    }

    fn constant(&mut self, id: ConstId) -> ConstId {
        let source = &self.egraph.analysis.tables.constants;
        if let Some(&known) = self.constants.get(&id) {
            return known;
        }
        let new = self.out.constants.add(source.name(id), source.tensor(id).clone());
        self.constants.insert(id, new);
        new
    }
}

fn malformed(node: &Lang) -> OptimizeError {
    OptimizeError::Rewritten(format!("{node} has no leaf where one is expected"))
}
