//! What e-nodes refer to by number: chains of linear steps, constants, polynomials, other operations.

use hec_ir::Origin;
use hec_ir::tensor::{ConstId, Constants, LinearStep, Op, Shape, ShapeError, Tensor};
use hec_poly::Basis;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Declare the number of an interned thing, written as a prefix and a number in patterns.
macro_rules! leaf {
    ($(#[$meta:meta])* $name:ident, $prefix:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ();
            fn from_str(s: &str) -> Result<Self, ()> {
                s.strip_prefix($prefix).and_then(|n| n.parse().ok()).map($name).ok_or(())
            }
        }
    };
}

leaf!(
    /// An encrypted input, by its value in the original graph.
    InputId, "input"
);
leaf!(
    /// A chain of linear steps.
    ChainId, "chain"
);
leaf!(
    /// A constant.
    AddendId, "const"
);
leaf!(
    /// A basis with coefficients.
    PolynomialId, "coefficients"
);
leaf!(
    /// An exponent.
    Exponent, "exponent"
);
leaf!(
    /// An operation of one argument that no rule looks into.
    OpaqueId, "op"
);

leaf!(
    /// An error that is made where something else is taken instead of a value.
    DeviationId, "deviation"
);

/// Numbers of the largest constant that is compared with others.
const LARGEST_SHARED: usize = 4096;

/// A linear step with the node that it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) step: LinearStep,
    pub(crate) origin: Arc<Origin>,
}

/// Steps are the same if they do the same with the same constant, whatever they come from: scales come from everywhere.
/// Those without a constant are many and alike, and told apart by where they come from, so that layers keep their names.
type StepKey = (LinearStep, Option<Arc<Origin>>);

impl Step {
    fn key(&self) -> StepKey {
        (self.step.clone(), self.step.constant().is_none().then(|| Arc::clone(&self.origin)))
    }
}

/// The interned things.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub(crate) constants: Constants,
    by_value: BTreeMap<(Shape, Vec<u64>), ConstId>,
    /// For the network's own constants, the first equal one.
    same: BTreeMap<ConstId, ConstId>,
    chains: Vec<Vec<Step>>,
    chain_ids: BTreeMap<Vec<StepKey>, ChainId>,
    polynomials: Vec<(Basis, ConstId)>,
    polynomial_ids: BTreeMap<(Basis, ConstId), PolynomialId>,
    /// Errors of the outputs, one for each alternative.
    pub(crate) deviations: Vec<f64>,
    /// Images of constants under single steps, for inputs of a shape.
    images: BTreeMap<(LinearStep, ConstId, Shape), ConstId>,
    pub(crate) opaque: Vec<Op>,
}

impl Tables {
    /// Start from a network's constants.
    pub(crate) fn new(constants: Constants) -> Self {
        let mut first: BTreeMap<(&Shape, Vec<u64>), ConstId> = BTreeMap::new();
        let bits = |tensor: &Tensor| tensor.data.iter().map(|x| x.to_bits()).collect();
        let small = constants.iter().filter(|(_, _, tensor)| tensor.data.len() <= LARGEST_SHARED);
        let same =
            small.map(|(id, _, tensor)| (id, *first.entry((&tensor.shape, bits(tensor))).or_insert(id))).collect();
        Tables { constants, same, ..Tables::default() }
    }

    /// The first of the network's constants that are equal to one: what is the same should look the same.
    pub(crate) fn first_of(&self, id: ConstId) -> ConstId {
        self.same.get(&id).copied().unwrap_or(id)
    }

    /// The steps of a chain.
    pub(crate) fn chain(&self, id: ChainId) -> &[Step] {
        &self.chains[id.0 as usize]
    }

    /// Intern a chain in normal form: neighbouring scales and reshapes are merged.
    pub(crate) fn add_chain(&mut self, steps: Vec<Step>) -> ChainId {
        let mut normal: Vec<Step> = Vec::with_capacity(steps.len());
        for next in steps {
            let merged = normal.last().and_then(|last| self.merge(last, &next));
            match merged {
                Some(step) => *normal.last_mut().expect("there is a last step") = step,
                None => normal.push(next),
            }
        }
        *self.chain_ids.entry(normal.iter().map(Step::key).collect()).or_insert_with(|| {
            self.chains.push(normal);
            ChainId(self.chains.len() as u32 - 1)
        })
    }

    fn merge(&mut self, first: &Step, second: &Step) -> Option<Step> {
        let step = match (&first.step, &second.step) {
            (LinearStep::Reshape { .. }, LinearStep::Reshape { shape }) => LinearStep::Reshape { shape: shape.clone() },
            (LinearStep::Scale { factor: a }, LinearStep::Scale { factor: b }) => {
                LinearStep::Scale { factor: self.combine(*a, *b, "scale", |a, b| a * b)? }
            }
            _ => return None,
        };
        Some(Step { step, origin: Arc::new(first.origin.merge(&second.origin)) })
    }

    /// A chain of one scale.
    pub(crate) fn add_scale(&mut self, factor: ConstId, origin: Arc<Origin>) -> ChainId {
        self.add_chain(vec![Step { step: LinearStep::Scale { factor }, origin }])
    }

    /// The factor of a chain that is a single scale.
    pub(crate) fn as_scale(&self, id: ChainId) -> Option<ConstId> {
        match self.chain(id) {
            [Step { step: LinearStep::Scale { factor }, .. }] => Some(*factor),
            _ => None,
        }
    }

    /// Intern a constant by value, without axes along which it does not change. The same number computed in two ways
    /// differs in its last bits, so numbers are the same if 43 bits of them are.
    pub(crate) fn add_constant(&mut self, name: &str, tensor: &Tensor) -> ConstId {
        self.intern(name, compress(tensor))
    }

    /// Intern a constant by value, as it is.
    pub(crate) fn intern(&mut self, name: &str, tensor: Tensor) -> ConstId {
        let key = (tensor.shape.clone(), tensor.data.iter().map(rounded).collect());
        *self.by_value.entry(key).or_insert_with(|| self.constants.add(name, tensor))
    }

    /// A new constant from one, element by element.
    pub(crate) fn map(&mut self, id: ConstId, name: &str, f: impl Fn(f64) -> f64) -> ConstId {
        let tensor = self.constants.tensor(id);
        let data = tensor.data.iter().map(|&v| f(v)).collect();
        let mapped = Tensor { shape: tensor.shape.clone(), data };
        self.add_constant(name, &mapped)
    }

    /// A new constant from two that broadcast.
    pub(crate) fn combine(
        &mut self,
        a: ConstId,
        b: ConstId,
        name: &str,
        f: impl Fn(f64, f64) -> f64,
    ) -> Option<ConstId> {
        let (a, b) = (self.constants.tensor(a), self.constants.tensor(b));
        let shape = a.shape.broadcast(&b.shape)?;
        let (a, b) = (a.broadcast_to(&shape)?, b.broadcast_to(&shape)?);
        let data = a.data.iter().zip(&b.data).map(|(&a, &b)| f(a, b)).collect();
        Some(self.add_constant(name, &Tensor { shape, data }))
    }

    /// What a chain makes of a constant that is added to its input of shape `input`.
    pub(crate) fn apply(&mut self, chain: ChainId, constant: ConstId, input: &Shape) -> Result<ConstId, ShapeError> {
        let (mut image, mut shape) = (constant, input.clone());
        for index in 0..self.chain(chain).len() {
            let step = self.chain(chain)[index].step.clone();
            let next = step.output_shape(&shape, &self.constants)?;
            image = self.image(step, image, shape)?;
            shape = next;
        }
        Ok(image)
    }

    fn image(&mut self, step: LinearStep, constant: ConstId, input: Shape) -> Result<ConstId, ShapeError> {
        let key = (step, constant, input);
        if let Some(&known) = self.images.get(&key) {
            return Ok(known);
        }
        let (step, _, input) = &key;
        let Some(x) = self.constants.tensor(constant).broadcast_to(input) else {
            let (left, right) = (self.constants.tensor(constant).shape.dims().to_vec(), input.dims().to_vec());
            return Err(ShapeError::Mismatch { op: "add_constant", left, right });
        };
        let y = step.apply(&x, &self.constants)?;
        let image = self.add_constant("bias", &y);
        self.images.insert(key, image);
        Ok(image)
    }

    /// The error of the outputs that an alternative makes, by its number.
    pub(crate) fn deviation(&self, id: DeviationId) -> f64 {
        self.deviations[id.0 as usize]
    }

    /// Intern a polynomial.
    pub(crate) fn add_polynomial(&mut self, basis: Basis, coefficients: ConstId) -> PolynomialId {
        *self.polynomial_ids.entry((basis, coefficients)).or_insert_with(|| {
            self.polynomials.push((basis, coefficients));
            PolynomialId(self.polynomials.len() as u32 - 1)
        })
    }

    /// Basis and coefficients.
    pub(crate) fn polynomial(&self, id: PolynomialId) -> (Basis, ConstId) {
        self.polynomials[id.0 as usize]
    }
}

/// The 43 leading bits of a number.
fn rounded(value: &f64) -> u64 {
    if *value == 0.0 { 0 } else { value.to_bits().wrapping_add(1 << 8) >> 9 }
}

/// Shrink axes along which a tensor is constant to extent 1.
fn compress(tensor: &Tensor) -> Tensor {
    let mut current = tensor.clone();
    for axis in 0..current.shape.rank() {
        let extent = current.shape.dims()[axis];
        if extent <= 1 {
            continue;
        }
        let inner: usize = current.shape.dims()[axis + 1..].iter().product();
        let blocks = current.data.chunks_exact(extent * inner.max(1));
        let constant = blocks.clone().all(|block| {
            let first = &block[..inner];
            block.chunks_exact(inner).all(|row| row.iter().zip(first).all(|(a, b)| a.to_bits() == b.to_bits()))
        });
        if constant {
            let data = blocks.flat_map(|block| block[..inner].iter().copied()).collect();
            let mut dims = current.shape.dims().to_vec();
            dims[axis] = 1;
            current = Tensor { shape: Shape::new(dims), data };
        }
    }
    current
}
