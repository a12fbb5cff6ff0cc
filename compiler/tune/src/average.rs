//! Linear maps without weights: movements of elements, means, pooling; and the maximum over windows, which reads the same
//! elements.

use crate::layout::{extents, row_major};
use hec_ir::tensor::{Constants, LinearStep, Shape, ShapeError, Tensor, Window};

/// Each element of the result is a factor times the sum of some elements of the input.
#[derive(Clone, Debug)]
pub struct Average {
    /// The sources of result i are `sources[ends[i - 1]..ends[i]]`.
    ends: Vec<usize>,
    sources: Vec<u32>,
    factors: Vec<f32>,
}

impl Average {
    fn from_lists(lists: impl IntoIterator<Item = (Vec<u32>, f32)>) -> Self {
        let mut map = Average { ends: Vec::new(), sources: Vec::new(), factors: Vec::new() };
        for (sources, factor) in lists {
            map.sources.extend(sources);
            map.ends.push(map.sources.len());
            map.factors.push(factor);
        }
        map
    }

    /// A step that has no weights.
    ///
    /// # Errors
    /// When it does not fit the input.
    pub fn of_step(step: &LinearStep, input: &Shape) -> Result<Self, ShapeError> {
        let output = step.output_shape(input, &Constants::default())?;
        match step {
            LinearStep::AveragePool(window) => Ok(Self::pool(window, input, &output)),
            LinearStep::Mean { .. } => {
                let count = input.elements() / output.elements().max(1);
                // Where each element of the input goes, by repeating the numbers of the results.
                let expand = LinearStep::Expand { shape: input.clone() };
                let targets = expand.apply(&numbered(&output, 0), &Constants::default())?;
                let place = places(&output);
                let mut lists = vec![(Vec::new(), 1.0 / count as f32); output.elements()];
                for (at, i) in row_major(input).into_iter().enumerate() {
                    lists[place[targets.data[i] as usize]].0.push(at as u32);
                }
                Ok(Self::from_lists(lists))
            }
            _ => {
                // Zero stands for a padded zero.
                let moved = step.apply(&numbered(input, 1), &Constants::default())?;
                let place = places(input);
                let source = |i: usize| (moved.data[i] as usize).checked_sub(1).map(|i| place[i] as u32);
                let list = |i| (source(i).into_iter().collect(), 1.0);
                Ok(Self::from_lists(row_major(&output).into_iter().map(list)))
            }
        }
    }

    /// From a buffer of `shape` to row-major order, or back.
    pub fn reorder(shape: &Shape, to_row_major: bool) -> Self {
        let order = if to_row_major { places(shape) } else { row_major(shape) };
        Self::from_lists(order.into_iter().map(|i| (vec![i as u32], 1.0)))
    }

    /// Averages, or for a maximum the elements, of windows.
    pub fn pool(window: &Window, input: &Shape, output: &Shape) -> Self {
        let (&[_, h, w, c], &[n, oh, ow, _]) = (&extents(input)[..], &extents(output)[..]) else {
            return Self::from_lists([]);
        };
        let covered = |o: usize, axis: usize, size: usize| {
            let clip = |at: usize| at.saturating_sub(window.pads[axis]).min(size);
            clip(o * window.strides[axis])..clip(o * window.strides[axis] + window.kernel[axis])
        };
        let area = window.kernel[0] * window.kernel[1];
        let mut lists = Vec::with_capacity(output.elements());
        for position in 0..n * oh * ow * c {
            let (channel, ox, oy, item) =
                (position % c, position / c % ow, position / c / ow % oh, position / c / ow / oh);
            let columns = covered(ox, 1, w);
            let at = |y: usize, x: usize| (((item * h + y) * w + x) * c + channel) as u32;
            let all: Vec<u32> = covered(oy, 0, h).flat_map(|y| columns.clone().map(move |x| at(y, x))).collect();
            let count = if window.count_include_pad { area } else { all.len() };
            lists.push((all, 1.0 / count.max(1) as f32));
        }
        Self::from_lists(lists)
    }

    /// Whether it leaves everything where it is.
    pub fn is_identity(&self, elements: usize) -> bool {
        self.ends.len() == elements
            && self.sources.len() == elements
            && (0..elements).all(|i| self.ends[i] == i + 1 && self.sources[i] as usize == i && self.factors[i] == 1.0)
    }

    fn lists(&self) -> impl Iterator<Item = (&[u32], f32)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).zip(&self.factors).map(|((start, &end), &factor)| (&self.sources[start..end], factor))
    }

    /// The map.
    pub fn forward(&self, x: &[f32], out: &mut [f32]) {
        for ((sources, factor), out) in self.lists().zip(out) {
            *out = factor * sources.iter().map(|&i| x[i as usize]).sum::<f32>();
        }
    }

    /// Its transpose, added to `dx`.
    pub fn backward(&self, d: &[f32], dx: &mut [f32]) {
        for ((sources, factor), d) in self.lists().zip(d) {
            sources.iter().for_each(|&i| dx[i as usize] += factor * d);
        }
    }

    /// The largest source of each result.
    pub fn maximum(&self, x: &[f32], out: &mut [f32]) {
        for ((sources, _), out) in self.lists().zip(out) {
            *out = sources.iter().map(|&i| x[i as usize]).fold(f32::NEG_INFINITY, f32::max);
        }
    }

    /// The gradient goes to the first largest source.
    pub fn maximum_backward(&self, x: &[f32], d: &[f32], dx: &mut [f32]) {
        for ((sources, _), d) in self.lists().zip(d) {
            let first = |best: Option<u32>, &i: &u32| match best {
                Some(b) if x[b as usize] >= x[i as usize] => Some(b),
                _ => Some(i),
            };
            if let Some(i) = sources.iter().fold(None, first) {
                dx[i as usize] += d;
            }
        }
    }
}

fn numbered(shape: &Shape, first: usize) -> Tensor {
    Tensor { shape: shape.clone(), data: (first..first + shape.elements()).map(|i| i as f64).collect() }
}

/// For each row-major index the position in the buffer.
fn places(shape: &Shape) -> Vec<usize> {
    let mut places = vec![0; shape.elements()];
    row_major(shape).into_iter().enumerate().for_each(|(at, i)| places[i] = at);
    places
}
