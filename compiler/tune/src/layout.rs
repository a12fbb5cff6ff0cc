//! Where an element lies in a buffer: images lie channels-last, everything else row-major.

use crate::kernel::WIDTH;
use hec_ir::tensor::{Shape, Tensor};

/// Extents as they follow one another in a buffer, outermost first.
pub fn extents(shape: &Shape) -> Vec<usize> {
    match *shape.dims() {
        [n, c, h, w] => vec![n, h, w, c],
        _ => shape.dims().to_vec(),
    }
}

/// For each position in the buffer the row-major index of its element.
pub fn row_major(shape: &Shape) -> Vec<usize> {
    match *shape.dims() {
        [n, c, h, w] => {
            let plane = h * w;
            (0..n).flat_map(|i| (0..plane).flat_map(move |p| (0..c).map(move |j| (i * c + j) * plane + p))).collect()
        }
        _ => (0..shape.elements()).collect(),
    }
}

/// The elements of a row-major tensor as they lie in a buffer.
pub fn load(tensor: &Tensor) -> Vec<f32> {
    row_major(&tensor.shape).into_iter().map(|i| tensor.data[i] as f32).collect()
}

/// Row-major elements from a buffer.
pub fn unload(shape: &Shape, buffer: &[f32]) -> Tensor {
    let mut data = vec![0.0; shape.elements()];
    row_major(shape).into_iter().zip(buffer).for_each(|(i, &x)| data[i] = f64::from(x));
    Tensor { shape: shape.clone(), data }
}

/// Numbers that repeat along a buffer: element i takes number `index[i % period]`.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// Which number each position of a period takes.
    pub index: Vec<u32>,
    /// How many numbers there are.
    pub count: usize,
}

impl Broadcast {
    /// A constant of shape `from`, broadcast to `to`. The period is the shortest that fills a lane.
    ///
    /// `None` if it does not broadcast.
    pub fn new(from: &Shape, to: &Shape) -> Option<Self> {
        let count = from.elements();
        let numbers = Tensor { shape: from.clone(), data: (0..count).map(|i| i as f64).collect() };
        let spread = numbers.broadcast_to(to)?;
        let index: Vec<u32> = row_major(to).into_iter().map(|i| spread.data[i] as u32).collect();
        let mut period = 1;
        for extent in extents(to).into_iter().rev() {
            period *= extent;
            let repeats = || index.iter().zip(index.iter().cycle().skip(period)).take(index.len() - period);
            if period >= WIDTH && repeats().all(|(a, b)| a == b) {
                break;
            }
        }
        Some(Broadcast { index: index[..period].to_vec(), count })
    }

    /// Elements after which the numbers repeat.
    pub fn period(&self) -> usize {
        self.index.len()
    }

    /// The numbers along one period.
    pub fn spread(&self, numbers: &[f32], out: &mut [f32]) {
        self.index.iter().zip(out).for_each(|(&i, out)| *out = numbers[i as usize]);
    }

    /// The reverse of [`Broadcast::spread`] for gradients: sums over the positions of each number.
    pub fn gather(&self, along: &[f32], sums: &mut [f32]) {
        self.index.iter().zip(along).for_each(|(&i, x)| sums[i as usize] += x);
    }
}

/// The shape of one number for each channel: axis 1.
pub fn channel_shape(shape: &Shape) -> Shape {
    Shape::new(shape.dims().iter().enumerate().map(|(a, &d)| if a == 1 { d } else { 1 }).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lie_channels_last() {
        let shape = Shape::new([1, 2, 2, 3]);
        let tensor = Tensor { shape: shape.clone(), data: (0..12).map(f64::from).collect() };
        assert_eq!(load(&tensor)[..4], [0.0, 6.0, 1.0, 7.0]);
        assert_eq!(unload(&shape, &load(&tensor)), tensor);
    }

    #[test]
    fn numbers_repeat_with_the_shortest_period_that_fills_a_lane() {
        let period =
            |from: &[usize], to: &[usize]| Broadcast::new(&Shape::new(from), &Shape::new(to)).map(|b| b.period());
        assert_eq!(period(&[1, 16, 1, 1], &[1, 16, 4, 4]), Some(16));
        assert_eq!(period(&[1, 6, 1, 1], &[1, 6, 4, 4]), Some(24));
        assert_eq!(period(&[], &[1, 20]), Some(20));
        assert_eq!(period(&[1, 1, 4, 1], &[1, 16, 4, 2]), Some(128));
        assert_eq!(period(&[3], &[1, 4]), None);
    }
}
