//! What is done to raw inputs before the network: x = (raw·scale − mean) / std, by channel.
//!
//! It becomes part of the network, in front of its first layer, which absorbs it: the client encrypts raw values and the
//! preprocessing costs nothing.

use crate::Failure;
use hec_ir::Origin;
use hec_ir::tensor::{Graph, LinearStep, Node, Op, Shape, Tensor, ValueId};
use serde::{Deserialize, Serialize};

/// Affine preprocessing by channel (axis 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Multiplies the raw value first.
    pub scale: f64,
    /// Subtracted then; one number, or one a channel.
    pub mean: Vec<f64>,
    /// Divides last; one number, or one a channel.
    pub std: Vec<f64>,
}

impl Preprocess {
    /// Read `scale=1/255,mean=0.485/0.456/0.406,std=0.229/0.224/0.225`; every part may be missing. In `scale` a slash
    /// divides, in the lists it separates channels.
    ///
    /// # Errors
    /// Which part cannot be read.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let fail = |part: &str| {
            Failure::new("HEC-C003", format!("`{part}` in --preprocess cannot be read"))
                .advise("write scale=1/255,mean=0.5/0.5/0.5,std=0.2/0.2/0.2, each part optional")
        };
        let mut out = Preprocess { scale: 1.0, mean: vec![0.0], std: vec![1.0] };
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| fail(part))?;
            let numbers: Vec<f64> =
                value.split('/').map(|n| n.trim().parse()).collect::<Result<_, _>>().map_err(|_| fail(part))?;
            if numbers.iter().any(|n| !n.is_finite()) {
                return Err(fail(part));
            }
            match (key.trim(), numbers.as_slice()) {
                ("scale", [scale]) => out.scale = *scale,
                ("scale", [numerator, divisor]) if *divisor != 0.0 => out.scale = numerator / divisor,
                ("mean", _) => out.mean = numbers,
                ("std", all) if all.iter().all(|&s| s != 0.0) => out.std = numbers,
                _ => return Err(fail(part)),
            }
        }
        Ok(out)
    }

    /// Put it in front of every input of `graph`.
    ///
    /// # Errors
    /// When the channels do not match an input.
    pub fn prepend(&self, graph: &Graph) -> Result<Graph, Failure> {
        let mut out = Graph::new(graph.name.clone());
        out.constants = graph.constants.clone();
        let mut values: Vec<ValueId> = Vec::with_capacity(graph.nodes.len());
        for node in graph.nodes.values() {
            let value = match &node.op {
                Op::Input { name } => self.input(&mut out, name, node)?,
                op => {
                    let args: Vec<ValueId> = node.args.iter().map(|a| values[a.0 as usize]).collect();
                    out.push(op.clone(), args, node.origin.clone())?
                }
            };
            values.push(value);
        }
        let moved =
            |o: &hec_ir::tensor::Output| hec_ir::tensor::Output { value: values[o.value.0 as usize], ..o.clone() };
        out.outputs = graph.outputs.iter().map(moved).collect();
        Ok(out)
    }

    fn input(&self, graph: &mut Graph, name: &str, node: &Node) -> Result<ValueId, Failure> {
        let origin = Origin::node(name).with_note("preprocessing");
        let raw = graph.input(name, node.shape.clone());
        let by_channel = |values: Vec<f64>| -> Result<Tensor, Failure> {
            let mut dims = vec![1; node.shape.rank()];
            if values.len() > 1 {
                let channels = node.shape.dims().get(1).copied();
                if channels != Some(values.len()) {
                    let message = format!("--preprocess has {} channels, input {name} has {channels:?}", values.len());
                    return Err(Failure::new("HEC-C003", message));
                }
                dims[1] = values.len();
            }
            Ok(Tensor { shape: Shape::new(dims), data: values })
        };
        let channels = self.mean.len().max(self.std.len());
        let at = |list: &[f64], i: usize| list[if list.len() == 1 { 0 } else { i.min(list.len() - 1) }];
        let factor: Vec<f64> = self.std.iter().map(|s| self.scale / s).collect();
        let offset: Vec<f64> = (0..channels).map(|i| -at(&self.mean, i) / at(&self.std, i)).collect();
        let factor = graph.constants.add("preprocess.scale", by_channel(factor)?);
        let offset = graph.constants.add("preprocess.offset", by_channel(offset)?);
        let scaled = graph.push(Op::Linear(vec![LinearStep::Scale { factor }]), [raw], origin.clone())?;
        Ok(graph.push(Op::AddConstant(offset), [scaled], origin)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_ir::tensor::Output;

    #[test]
    fn parses_all_parts() {
        let p = Preprocess::parse("scale=1/255, mean=0.5/0.25, std=2").expect("valid");
        assert_eq!(p, Preprocess { scale: 1.0 / 255.0, mean: vec![0.5, 0.25], std: vec![2.0] });
        for bad in ["scale", "scale=x", "scale=1/0", "std=0", "gamma=2", "mean=nan"] {
            assert!(Preprocess::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn is_part_of_the_network() {
        let mut graph = Graph::new("g");
        let x = graph.input("x", Shape::new([1, 2]));
        graph.outputs.push(Output { name: "y".into(), value: x, client: vec![] });
        let p = Preprocess { scale: 0.5, mean: vec![1.0, 2.0], std: vec![4.0] };
        let with = p.prepend(&graph).expect("fits");
        let y = with.run(&[Tensor { shape: Shape::new([1, 2]), data: vec![10.0, 20.0] }]).expect("runs");
        assert_eq!(y[0].data, [(5.0 - 1.0) / 4.0, (10.0 - 2.0) / 4.0]);
        assert!(Preprocess { mean: vec![0.0; 3], ..p }.prepend(&graph).is_err());
    }
}
