//! Convolutions and products with a constant matrix: one kind of product, from padded channels-last images.

use crate::kernel::{Columns, Lane, Rows, WIDTH, panels};
use crate::layout::extents;
use hec_ir::tensor::{ConvAttributes, Shape};
use std::ops::Range;

/// A convolution of any stride, padding, dilation and number of groups; or a product of rows with a matrix.
#[derive(Clone, Debug)]
pub struct Product {
    /// Rows of the first group.
    rows: Rows,
    /// Distance between the groups' channels in the input.
    group_step: usize,
    groups: usize,
    /// Columns of one group's result.
    columns: Columns,
    padding: Option<Padding>,
    /// How the weight is indexed.
    weight: WeightOrder,
}

#[derive(Clone, Copy, Debug)]
enum WeightOrder {
    /// [out, in/groups, taps]
    Convolution { in_group: usize, taps: usize },
    /// [in, out]
    Matrix,
}

/// Zeros around the images of a channels-last buffer.
#[derive(Clone, Debug)]
struct Padding {
    /// Images.
    count: usize,
    /// Rows of an image, and elements of a row.
    from: [usize; 2],
    /// The same with padding.
    to: [usize; 2],
    /// Where an image's first element goes.
    offset: usize,
}

impl Padding {
    fn elements(&self) -> usize {
        self.count * self.to[0] * self.to[1]
    }

    /// Positions of a row without and with padding.
    fn rows(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let ([height, width], [tall, wide]) = (self.from, self.to);
        let offset = self.offset;
        (0..self.count * height).map(move |row| {
            let at = (row / height * tall + row % height) * wide + offset;
            (row * width..(row + 1) * width, at..at + width)
        })
    }
}

impl Product {
    /// A convolution of an input by a weight, with a result; the shapes fit one another.
    pub fn convolution(input: &Shape, weight: &Shape, output: &Shape, a: &ConvAttributes) -> Option<Self> {
        let (&[n, h, w, c], &[_, oh, ow, m]) = (&extents(input)[..], &extents(output)[..]) else { return None };
        let &[_, in_group, kh, kw] = weight.dims() else { return None };
        let [top, left, bottom, right] = a.pads;
        let (tall, wide) = (h + top + bottom, w + left + right);
        let padding = Padding { count: n, from: [h, w * c], to: [tall, wide * c], offset: (top * wide + left) * c };
        let start = |p: usize| {
            let (x, y, item) = (p % ow, p / ow % oh, p / ow / oh);
            ((item * tall + y * a.strides[0]) * wide + x * a.strides[1]) * c
        };
        let tap = |ky: usize, kx: usize| (ky * a.dilations[0] * wide + kx * a.dilations[1]) * c;
        // Neighbouring taps of all channels follow one another.
        let (runs, length) = if a.groups == 1 && (a.dilations[1] == 1 || kw == 1) {
            ((0..kh).map(|ky| tap(ky, 0)).collect(), kw * c)
        } else {
            ((0..kh).flat_map(|ky| (0..kw).map(move |kx| tap(ky, kx))).collect(), in_group)
        };
        Some(Product {
            rows: Rows { starts: (0..n * oh * ow).map(start).collect(), runs, length },
            group_step: in_group,
            groups: a.groups,
            columns: Columns { count: m / a.groups, stride: m },
            padding: (a.pads != [0; 4]).then_some(padding),
            weight: WeightOrder::Convolution { in_group, taps: kh * kw },
        })
    }

    /// Rows of `inner` elements times a matrix with `columns` columns.
    pub fn matrix(rows: usize, inner: usize, columns: usize) -> Self {
        Product {
            rows: Rows { starts: (0..rows).map(|r| r * inner).collect(), runs: vec![0], length: inner },
            group_step: 0,
            groups: 1,
            columns: Columns { count: columns, stride: columns },
            padding: None,
            weight: WeightOrder::Matrix,
        }
    }

    /// Index of the weight between row element k and a column of a group.
    fn weight_index(&self, group: usize, k: usize, column: usize) -> usize {
        match self.weight {
            WeightOrder::Convolution { in_group, taps } => {
                ((group * self.columns.count + column) * in_group + k % in_group) * taps + k / in_group
            }
            WeightOrder::Matrix => k * self.columns.count + column,
        }
    }

    /// The column of the result that a weight belongs to.
    pub fn column_of(&self, index: usize) -> usize {
        match self.weight {
            WeightOrder::Convolution { in_group, taps } => index / (in_group * taps),
            WeightOrder::Matrix => index % self.columns.count,
        }
    }

    fn forward_lanes(&self) -> usize {
        panels(self.columns.count) * self.rows.inner()
    }

    fn backward_lanes(&self) -> usize {
        self.rows.runs.len() * panels(self.rows.length) * self.columns.count
    }

    /// Numbers in the panels that the kernels read: for the values, then for the gradient of the input.
    pub fn working(&self) -> usize {
        self.groups * (self.forward_lanes() + self.backward_lanes()) * WIDTH
    }

    /// Numbers in the panels of the weights' gradient.
    pub fn gradient(&self) -> usize {
        self.groups * self.forward_lanes() * WIDTH
    }

    /// Visit every place of a panel: lane, column in the lane, index of its weight.
    fn places(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let inner = self.rows.inner();
        for group in 0..self.groups {
            for column in 0..self.columns.count {
                let first = group * self.forward_lanes() + column / WIDTH * inner;
                (0..inner).for_each(|k| visit(first + k, column % WIDTH, self.weight_index(group, k, column)));
            }
        }
    }

    /// Lay the weights out for the kernels.
    pub fn derive(&self, weights: &[f32], working: &mut [f32]) {
        let (lanes, _) = working.as_chunks_mut::<WIDTH>();
        let (forward, backward) = lanes.split_at_mut(self.groups * self.forward_lanes());
        self.places(|lane, at, index| forward[lane][at] = weights[index]);
        let (length, count) = (self.rows.length, self.columns.count);
        for group in 0..self.groups {
            let lanes = &mut backward[group * self.backward_lanes()..][..self.backward_lanes()];
            for (k, column) in (0..self.rows.inner()).flat_map(|k| (0..count).map(move |m| (k, m))) {
                let panel = k / length * panels(length) + k % length / WIDTH;
                lanes[panel * count + column][k % length % WIDTH] = weights[self.weight_index(group, k, column)];
            }
        }
    }

    /// Add the gradient in panels to the weights' own.
    pub fn pull_back(&self, gradient: &[f32], weights: &mut [f32]) {
        let (lanes, _) = gradient.as_chunks::<WIDTH>();
        self.places(|lane, at, index| weights[index] += lanes[lane][at]);
    }

    /// The padded input, if there is padding. Its border stays zero.
    fn padded<'a>(&self, x: &'a [f32], scratch: &'a mut Vec<f32>) -> &'a [f32] {
        let Some(padding) = &self.padding else { return x };
        if scratch.len() != padding.elements() {
            *scratch = vec![0.0; padding.elements()];
        }
        padding.rows().for_each(|(from, to)| scratch[to].copy_from_slice(&x[from]));
        scratch
    }

    fn group_columns(&self, group: usize) -> usize {
        group * self.columns.count
    }

    /// The result. `scratch` is this layer's own.
    pub fn forward(&self, working: &[f32], x: &[f32], out: &mut [f32], scratch: &mut Vec<f32>) {
        let x = self.padded(x, scratch);
        let (lanes, _) = working.as_chunks::<WIDTH>();
        for group in 0..self.groups {
            let weights = &lanes[group * self.forward_lanes()..][..self.forward_lanes()];
            self.rows.product(
                &x[group * self.group_step..],
                weights,
                &mut out[self.group_columns(group)..],
                self.columns,
            );
        }
    }

    /// Add to the gradient of the weights. `scratch` is as [`Product::forward`] left it.
    pub fn outer(&self, x: &[f32], d: &[f32], gradient: &mut [f32], scratch: &[f32]) {
        let x = if self.padding.is_some() { scratch } else { x };
        let (lanes, _) = gradient.as_chunks_mut::<WIDTH>();
        for group in 0..self.groups {
            let gradient = &mut lanes[group * self.forward_lanes()..][..self.forward_lanes()];
            self.rows.outer(&x[group * self.group_step..], &d[self.group_columns(group)..], gradient, self.columns);
        }
    }

    /// Add to the gradient of the input.
    pub fn scatter(&self, working: &[f32], d: &[f32], dx: &mut [f32], scratch: &mut Vec<f32>) {
        let (lanes, _) = working.as_chunks::<WIDTH>();
        let transposed = &lanes[self.groups * self.forward_lanes()..];
        let all = |to: &mut [f32]| {
            for group in 0..self.groups {
                let weights: &[Lane] = &transposed[group * self.backward_lanes()..][..self.backward_lanes()];
                self.rows.scatter(
                    &mut to[group * self.group_step..],
                    weights,
                    &d[self.group_columns(group)..],
                    self.columns,
                );
            }
        };
        let Some(padding) = &self.padding else { return all(dx) };
        scratch.clear();
        scratch.resize(padding.elements(), 0.0);
        all(scratch);
        for (from, to) in padding.rows() {
            dx[from].iter_mut().zip(&scratch[to]).for_each(|(dx, d)| *dx += d);
        }
    }
}
