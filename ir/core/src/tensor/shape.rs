//! Shapes and clear tensors.

/// Extents of a tensor's axes, outermost first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// From extents.
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Shape(dims.into())
    }

    /// The extents.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.0.len()];
        for axis in (0..self.0.len().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1] * self.0[axis + 1];
        }
        strides
    }

    /// All indices in row-major order.
    pub fn indices(&self) -> impl Iterator<Item = Vec<usize>> + use<> {
        let dims = self.0.clone();
        (0..self.elements()).map(move |mut flat| {
            let mut index = vec![0; dims.len()];
            for axis in (0..dims.len()).rev() {
                index[axis] = flat % dims[axis];
                flat /= dims[axis];
            }
            index
        })
    }

    /// The shape that NumPy broadcasting of both gives, if they broadcast.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let rank = self.rank().max(other.rank());
        let at = |s: &Shape, axis: usize| (axis + s.rank()).checked_sub(rank).map_or(1, |a| s.0[a]);
        (0..rank)
            .map(|axis| match (at(self, axis), at(other, axis)) {
                (a, b) if a == b => Some(a),
                (1, b) => Some(b),
                (a, 1) => Some(a),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(Shape)
    }
}

/// A clear tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Extents.
    pub shape: Shape,
    /// Elements; as many as the shape says.
    pub data: Vec<f64>,
}

impl Tensor {
    /// From a shape and its elements; `None` if their number differs.
    pub fn new(shape: Shape, data: Vec<f64>) -> Option<Self> {
        (shape.elements() == data.len()).then_some(Tensor { shape, data })
    }

    /// One number.
    pub fn scalar(value: f64) -> Self {
        Tensor { shape: Shape::new([]), data: vec![value] }
    }

    /// The same number everywhere.
    pub fn filled(shape: Shape, value: f64) -> Self {
        let data = vec![value; shape.elements()];
        Tensor { shape, data }
    }

    /// Repeat along broadcast axes up to `shape`; `None` if it does not broadcast to it.
    pub fn broadcast_to(&self, shape: &Shape) -> Option<Tensor> {
        if self.shape == *shape {
            return Some(self.clone());
        }
        if self.shape.broadcast(shape).as_ref() != Some(shape) {
            return None;
        }
        let offset = shape.rank() - self.shape.rank();
        let strides: Vec<usize> = std::iter::repeat_n(0, offset)
            .chain(self.shape.strides().into_iter().zip(self.shape.dims()).map(|(s, &d)| if d == 1 { 0 } else { s }))
            .collect();
        let data = shape
            .indices()
            .map(|index| self.data[index.iter().zip(&strides).map(|(i, s)| i * s).sum::<usize>()])
            .collect();
        Some(Tensor { shape: shape.clone(), data })
    }
}
