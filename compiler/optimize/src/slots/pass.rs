//! One walk over a circuit that uses the first rule that fits each node.

use super::rules::RULES;
use hec_ir::circuit::{Circuit, CircuitError, MapId, Node, Op, Output, PlainId, ValueId};
use hec_ir::entity::{Entity, EntityVec};
use hec_ir::{Origin, Plain, SlotMap};
use std::collections::BTreeMap;

/// What is counted when an operation turns out to be one that is there already.
pub const EQUAL: &str = "equal values are one";

/// What identifies an operation: its kind, its operand and its arguments.
type Key = (&'static str, u32, Vec<ValueId>);

/// A walk from an old circuit to a new one.
pub struct Pass<'a> {
    /// The circuit so far.
    pub old: &'a Circuit,
    /// How often each of its values is used, by outputs too.
    users: EntityVec<ValueId, usize>,
    /// The circuit to come.
    new: Circuit,
    /// The new value of each old one.
    mapped: EntityVec<ValueId, ValueId>,
    known: BTreeMap<Key, ValueId>,
    /// How often each rule was used.
    pub fired: BTreeMap<&'static str, usize>,
}

impl<'a> Pass<'a> {
    /// Before the first node.
    pub fn new(old: &'a Circuit) -> Self {
        let mut users: EntityVec<ValueId, usize> = old.nodes.keys().map(|_| 0).collect();
        let used = old.nodes.values().flat_map(|n| &n.args).chain(old.outputs.iter().map(|o| &o.value));
        used.for_each(|&value| users[value] += 1);
        let mut new = Circuit::new(old.name.clone(), old.slots).with_batch(old.batch);
        new.inputs.clone_from(&old.inputs);
        Pass { old, users, new, mapped: EntityVec::new(), known: BTreeMap::new(), fired: BTreeMap::new() }
    }

    /// Walk over all nodes.
    ///
    /// # Errors
    /// When a node is not well-formed.
    pub fn run(&mut self) -> Result<(), CircuitError> {
        for node in self.old.nodes.values() {
            let rewritten = RULES.iter().find_map(|rule| Some((rule.equation, (rule.apply)(self, node)?)));
            let value = match rewritten {
                Some((equation, value)) => {
                    *self.fired.entry(equation).or_default() += 1;
                    value?
                }
                None => self.copy(node)?,
            };
            self.mapped.push(value);
        }
        Ok(())
    }

    fn copy(&mut self, node: &Node) -> Result<ValueId, CircuitError> {
        let args: Vec<ValueId> = node.args.iter().map(|&a| self.mapped[a]).collect();
        let before = self.new.nodes.len();
        let value = match node.op {
            Op::Linear(map) => self.linear(self.old.maps[map].clone(), args[0], &node.origin)?,
            Op::AddPlain(p) => self.plain(Op::AddPlain, self.old.plains[p].clone(), args[0], &node.origin)?,
            Op::MulPlain(p) => self.plain(Op::MulPlain, self.old.plains[p].clone(), args[0], &node.origin)?,
            op => self.push(op, args, &node.origin)?,
        };
        if self.new.nodes.len() == before {
            *self.fired.entry(EQUAL).or_default() += 1;
        }
        Ok(value)
    }

    /// The new circuit without what is not used.
    ///
    /// # Errors
    /// When it is not well-formed.
    pub fn finish(mut self) -> Result<Circuit, CircuitError> {
        let output = |o: &Output<ValueId>| Output { value: self.mapped[o.value], ..o.clone() };
        self.new.outputs = self.old.outputs.iter().map(output).collect();
        let circuit = without_unused(&self.new);
        circuit.verify()?;
        Ok(circuit)
    }

    /// The node of an old value.
    pub fn node(&self, value: ValueId) -> &'a Node {
        &self.old.nodes[value]
    }

    /// The node of an old value that has one use only.
    pub fn own(&self, value: ValueId) -> Option<&'a Node> {
        (self.users[value] == 1).then(|| self.node(value))
    }

    /// The new value of an old one.
    pub fn at(&self, value: ValueId) -> ValueId {
        self.mapped[value]
    }

    /// An operation without an operand of its own.
    ///
    /// # Errors
    /// When the arguments do not fit.
    pub fn push(&mut self, op: Op, args: Vec<ValueId>, origin: &Origin) -> Result<ValueId, CircuitError> {
        let operand = match op {
            Op::Input(i) => i,
            Op::Linear(map) => map.index() as u32,
            Op::AddPlain(p) | Op::MulPlain(p) => p.index() as u32,
            Op::Rotate(r) => r.0,
            _ => 0,
        };
        let mut key = (op.name(), operand, args.clone());
        if matches!(op, Op::Add | Op::Mul) {
            key.2.sort_unstable();
        }
        if let Some(&value) = self.known.get(&key) {
            return Ok(value);
        }
        let value = match op {
            Op::Input(_) => {
                let count = self.old.inputs[operand as usize].layout.ciphertexts() as u32;
                self.new.nodes.push(Node { op, args: Vec::new(), count, origin: origin.clone() })
            }
            _ => self.new.push(op, args, origin.clone())?,
        };
        self.known.insert(key, value);
        Ok(value)
    }

    /// A linear map.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn linear(&mut self, map: SlotMap, x: ValueId, origin: &Origin) -> Result<ValueId, CircuitError> {
        let same = |known: &SlotMap| known.diagonals == map.diagonals && known.outputs == map.outputs;
        let found: Option<MapId> = self.new.maps.iter().find(|(_, known)| same(known)).map(|(id, _)| id);
        let id = found.unwrap_or_else(|| self.new.maps.push(map));
        self.push(Op::Linear(id), vec![x], origin)
    }

    /// A sum or a product with a plaintext.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn plain(
        &mut self,
        op: fn(PlainId) -> Op,
        plain: Plain,
        x: ValueId,
        origin: &Origin,
    ) -> Result<ValueId, CircuitError> {
        let found = self.new.plains.iter().find(|(_, known)| **known == plain).map(|(id, _)| id);
        let id = found.unwrap_or_else(|| self.new.plains.push(plain));
        self.push(op(id), vec![x], origin)
    }
}

/// Only the nodes on which an output depends, all inputs, and the constants that they use.
fn without_unused(circuit: &Circuit) -> Circuit {
    let mut needed: EntityVec<ValueId, bool> = circuit.nodes.values().map(|n| matches!(n.op, Op::Input(_))).collect();
    circuit.outputs.iter().for_each(|o| needed[o.value] = true);
    for (id, node) in circuit.nodes.iter().rev() {
        if needed[id] {
            node.args.iter().for_each(|&a| needed[a] = true);
        }
    }
    let mut out =
        Circuit { nodes: EntityVec::new(), maps: EntityVec::new(), plains: EntityVec::new(), ..circuit.clone() };
    let (mut values, mut maps, mut plains) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (id, node) in circuit.nodes.iter().filter(|(id, _)| needed[*id]) {
        let mut plain = |p: PlainId| *plains.entry(p).or_insert_with(|| out.plains.push(circuit.plains[p].clone()));
        let op = match node.op {
            Op::Linear(m) => Op::Linear(*maps.entry(m).or_insert_with(|| add_apart(&mut out.maps, &circuit.maps[m]))),
            Op::AddPlain(p) => Op::AddPlain(plain(p)),
            Op::MulPlain(p) => Op::MulPlain(plain(p)),
            op => op,
        };
        let args = node.args.iter().map(|a| values[a]).collect();
        values.insert(id, out.nodes.push(Node { op, args, ..node.clone() }));
    }
    out.outputs.iter_mut().for_each(|o| o.value = values[&o.value]);
    out
}

/// Add a map; what was made from one map by several rules has one name.
fn add_apart(maps: &mut EntityVec<MapId, SlotMap>, map: &SlotMap) -> MapId {
    let taken = |name: &str| maps.values().any(|m| m.name == name);
    let numbered = (2..).map(|number| format!("{}.{number}", map.name));
    let name = std::iter::once(map.name.clone()).chain(numbered).find(|name| !taken(name));
    maps.push(SlotMap { name: name.unwrap_or_default(), ..map.clone() })
}
