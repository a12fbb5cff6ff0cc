//! The language of the e-graph and what is known of each class.

use crate::tables::{AddendId, ChainId, DeviationId, Exponent, InputId, OpaqueId, PolynomialId, Tables};
use egg::{Analysis, DidMerge, EGraph as Graph, Id, Symbol, define_language};
use hec_ir::Origin;
use hec_ir::tensor::Shape;
use std::collections::BTreeSet;
use std::sync::Arc;

define_language! {
    /// Tensor operations. Leaves are numbers into the tables.
    pub(crate) enum Lang {
        Input(InputId),
        Chain(ChainId),
        Addend(AddendId),
        Coefficients(PolynomialId),
        Exponent(Exponent),
        OpaqueOp(OpaqueId),
        Deviation(DeviationId),
        "linear" = Linear([Id; 2]),
        "add_constant" = AddConstant([Id; 2]),
        "polynomial" = Polynomial([Id; 2]),
        "power" = Power([Id; 2]),
        "opaque" = Opaque([Id; 2]),
        "negate" = Negate(Id),
        "add" = Add([Id; 2]),
        "sub" = Sub([Id; 2]),
        "mul" = Mul([Id; 2]),
        "batch_matmul" = BatchMatMul([Id; 2]),
        "square" = Square(Id),
        "instead" = Instead([Id; 2]),
    }
}

impl Lang {
    /// Whether it is a leaf that costs something.
    pub(crate) fn is_costly(&self) -> bool {
        matches!(self, Lang::Deviation(_))
    }
}

/// The e-graph.
pub(crate) type EGraph = Graph<Lang, Network>;

/// The tables, and what new nodes are said to come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    pub(crate) tables: Tables,
    /// Shapes of inputs and opaque results cannot be inferred; they are given before the node is added.
    pub(crate) shape: Option<Shape>,
    pub(crate) origin: Arc<Origin>,
    /// Rules with what they were applied to, so that nothing is computed twice.
    pub(crate) applied: BTreeSet<(Symbol, Vec<Id>)>,
}

/// What is known of a class.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Shape of the value; `None` for leaves that are not values.
    pub(crate) shape: Option<Shape>,
    /// The model's nodes that it stands for.
    pub(crate) origin: Arc<Origin>,
    /// The leaf, if the class is one.
    pub(crate) leaf: Option<Lang>,
}

impl Analysis<Lang> for Network {
    type Data = Known;

    fn make(egraph: &mut EGraph, node: &Lang, _id: Id) -> Known {
        let shape_of = |id: &Id| egraph[*id].data.shape.clone();
        let origin = egraph.analysis.origin.clone();
        let shape = match node {
            Lang::Chain(_)
            | Lang::Addend(_)
            | Lang::Coefficients(_)
            | Lang::Exponent(_)
            | Lang::OpaqueOp(_)
            | Lang::Deviation(_) => {
                return Known { shape: None, origin, leaf: Some(node.clone()) };
            }
            Lang::Input(_) | Lang::Opaque(_) => egraph.analysis.shape.clone(),
            Lang::Linear([chain, x]) => match egraph[*chain].data.leaf {
                Some(Lang::Chain(chain)) => output_shape(&egraph.analysis.tables, chain, shape_of(x)),
                _ => None,
            },
            Lang::AddConstant([_, x]) | Lang::Polynomial([_, x]) | Lang::Power([_, x]) | Lang::Instead([_, x]) => {
                shape_of(x)
            }
            Lang::Negate(x) | Lang::Square(x) => shape_of(x),
            Lang::Add([x, _]) | Lang::Sub([x, _]) | Lang::Mul([x, _]) => shape_of(x),
            Lang::BatchMatMul([x, y]) => product_shape(shape_of(x), shape_of(y)),
        };
        Known { shape, origin, leaf: None }
    }

    fn merge(&mut self, a: &mut Known, b: Known) -> DidMerge {
        // Equal values have equal shapes; the origin that was there first stays.
        let from_b = a.shape.is_none() && b.shape.is_some();
        if from_b {
            a.shape = b.shape;
        }
        DidMerge(from_b, false)
    }
}

/// […, m, k] · […, k, n] → […, m, n]
fn product_shape(x: Option<Shape>, y: Option<Shape>) -> Option<Shape> {
    let (mut dims, n) = (x?.dims().to_vec(), *y?.dims().last()?);
    *dims.last_mut()? = n;
    Some(Shape::new(dims))
}

fn output_shape(tables: &Tables, chain: ChainId, input: Option<Shape>) -> Option<Shape> {
    let mut shape = input?;
    for step in tables.chain(chain) {
        shape = step.step.output_shape(&shape, &tables.constants).ok()?;
    }
    Some(shape)
}
