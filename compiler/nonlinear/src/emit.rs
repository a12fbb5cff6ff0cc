//! Nodes that evaluate a fit.

use crate::fit::{ChannelPolynomial, Fit};
use crate::orthogonal::quadratic_monomials;
use crate::statistics::channel_shape;
use hec_ir::Origin;
use hec_ir::tensor::{ConstId, Graph, LinearStep, Op, Shape, ShapeError, Tensor, ValueId};
use hec_poly::Basis;

/// Append `factor`·p(x), with p the fit of each channel.
///
/// Degree 1 is a scale and a shift, degree 2 a polynomial of x itself, higher degrees a scale and a shift to [−1, 1]
/// and a polynomial there.
///
/// # Errors
/// When the fit is not one for the shape of `x`.
pub fn emit(graph: &mut Graph, x: ValueId, fit: &Fit, factor: f64, origin: &Origin) -> Result<ValueId, ShapeError> {
    let mut writer = Writer { lead: lead(graph.shape(x), fit), name: origin.layer().to_owned(), graph, origin };
    let each = |f: &dyn Fn(&ChannelPolynomial) -> Vec<f64>| fit.channels.iter().flat_map(f).collect::<Vec<f64>>();
    let monomial = |k: usize| each(&|c| vec![factor * monomials(c)[k]]);
    match fit.choice.degree {
        0 | 1 => writer.affine(x, "slope", monomial(1), "offset", monomial(0)),
        2 => writer.polynomial(x, Basis::Monomial, each(&|c| monomials(c).map(|m| factor * m).to_vec())),
        _ => {
            let (scale, shift) = (each(&|c| vec![1.0 / c.half]), each(&|c| vec![-c.mid / c.half]));
            let t = writer.affine(x, "to_unit", scale, "to_center", shift)?;
            writer.polynomial(t, Basis::Chebyshev, each(&|c| c.coefficients.iter().map(|k| factor * k).collect()))
        }
    }
}

/// The quadratic in x itself.
fn monomials(c: &ChannelPolynomial) -> [f64; 3] {
    let [a, b, square] = quadratic_monomials(&c.coefficients);
    let (slope, square, mid) = (b / c.half, square / (c.half * c.half), c.mid);
    [a - slope * mid + square * mid * mid, slope - 2.0 * square * mid, square]
}

/// One number for each polynomial, in a shape that broadcasts to the tensor's.
fn lead(shape: &Shape, fit: &Fit) -> Shape {
    let channels = channel_shape(shape);
    if channels.elements() == fit.channels.len() { channels } else { Shape::new(vec![1; shape.rank()]) }
}

struct Writer<'a> {
    graph: &'a mut Graph,
    origin: &'a Origin,
    name: String,
    lead: Shape,
}

impl Writer<'_> {
    fn constant(&mut self, suffix: &str, shape: Shape, data: Vec<f64>) -> Result<ConstId, ShapeError> {
        let dims = shape.dims().to_vec();
        let reason = format!("{} numbers do not fit", data.len());
        let tensor = Tensor::new(shape, data).ok_or(ShapeError::Invalid { op: "polynomial", shape: dims, reason })?;
        Ok(self.graph.constants.add(&format!("{}.{suffix}", self.name), tensor))
    }

    /// x·scale + shift; a shift of zero is left out.
    fn affine(
        &mut self,
        x: ValueId,
        scale_name: &str,
        scale: Vec<f64>,
        shift_name: &str,
        shift: Vec<f64>,
    ) -> Result<ValueId, ShapeError> {
        let factor = self.constant(scale_name, self.lead.clone(), scale)?;
        let scaled = self.graph.push(Op::Linear(vec![LinearStep::Scale { factor }]), [x], self.origin.clone())?;
        if shift.iter().all(|&s| s == 0.0) {
            return Ok(scaled);
        }
        let constant = self.constant(shift_name, self.lead.clone(), shift)?;
        self.graph.push(Op::AddConstant(constant), [scaled], self.origin.clone())
    }

    fn polynomial(&mut self, x: ValueId, basis: Basis, data: Vec<f64>) -> Result<ValueId, ShapeError> {
        let count = data.len() / self.lead.elements().max(1);
        let shape = Shape::new([self.lead.dims(), &[count]].concat());
        let coefficients = self.constant("polynomial", shape, data)?;
        self.graph.push(Op::Polynomial { basis, coefficients }, [x], self.origin.clone())
    }
}
