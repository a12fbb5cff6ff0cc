//! Which elements of a tensor share their coefficients.
//!
//! Coefficients become plaintexts that hold one number for each slot, so that numbers that differ by position cost
//! nothing: a polynomial for each channel, for each position of a sequence, or for each of both.

use hec_ir::tensor::{Shape, Tensor};

/// A map from the elements of a tensor to groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// A shape that broadcasts to the tensor's.
    lead: Shape,
    /// The group of each element of the lead; groups are numbered from 0 on without gaps.
    of: Vec<usize>,
    count: usize,
}

impl Groups {
    /// All elements of a tensor of that rank in one group.
    pub fn one(rank: usize) -> Self {
        Groups { lead: Shape::new(vec![1; rank]), of: vec![0], count: 1 }
    }

    /// Each channel a group: features of [batch, features], channels of images, features of a sequence
    /// [batch, position, feature].
    pub fn channels(shape: &Shape) -> Self {
        let axis = match shape.rank() {
            2 | 4 => 1,
            3 => 2,
            rank => return Groups::one(rank),
        };
        let count = shape.dims()[axis];
        let lead = shape.dims().iter().enumerate().map(|(a, &d)| if a == axis { d } else { 1 }).collect::<Vec<_>>();
        Groups { lead: Shape::new(lead), of: (0..count).collect(), count }
    }

    /// Each class of positions a group of its own, within each of these groups. Positions are the elements of the axes
    /// along which these groups do not differ, without the first axis; `classes` has a number from 0 on for each.
    pub fn by_position(&self, shape: &Shape, classes: &[usize]) -> Self {
        let free = |axis: usize| axis > 0 && self.lead.dims()[axis] == 1;
        let extent = |axis: usize| if free(axis) { shape.dims()[axis] } else { self.lead.dims()[axis] };
        let lead = Shape::new((0..shape.rank()).map(extent).collect::<Vec<_>>());
        let strides = self.lead.strides();
        let many = classes.iter().max().map_or(1, |most| most + 1);
        let group = |index: Vec<usize>| {
            let (mut position, mut at) = (0, 0);
            for (axis, i) in index.into_iter().enumerate() {
                match free(axis) {
                    true => position = position * shape.dims()[axis] + i,
                    false => at += i * strides[axis],
                }
            }
            self.of[at] * many + classes[position]
        };
        Groups { of: lead.indices().map(group).collect(), lead, count: self.count * many }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The group of each element of a tensor of that shape, in order.
    pub fn table(&self, shape: &Shape) -> Vec<usize> {
        let strides = self.lead.strides();
        let steps: Vec<usize> =
            self.lead.dims().iter().zip(strides).map(|(&d, s)| if d == 1 { 0 } else { s }).collect();
        let mut table = vec![0; 1];
        for (&extent, step) in shape.dims().iter().zip(steps) {
            table = table.iter().flat_map(|&at| (0..extent).map(move |i| at + i * step)).collect();
        }
        table.into_iter().map(|at| self.of[at]).collect()
    }

    /// `width` numbers for each group (or for all groups together) as a constant that broadcasts to the tensor: they
    /// lie along one more axis at the end, unless there is one number only.
    pub fn constant(&self, numbers: &[Vec<f64>]) -> Tensor {
        let same = numbers.len() == 1;
        let width = numbers.first().map_or(0, Vec::len);
        let lead = if same { vec![1; self.lead.rank()] } else { self.lead.dims().to_vec() };
        let data = match same {
            true => numbers[0].clone(),
            false => self.of.iter().flat_map(|&g| numbers[g].iter().copied()).collect(),
        };
        Tensor { shape: Shape::new([lead, vec![width]].concat()), data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_told_apart_in_images_features_and_sequences() {
        for (dims, stride) in [(vec![1, 3, 2, 2], 4), (vec![2, 5], 1), (vec![1, 4, 6], 1), (vec![7], 7)] {
            let shape = Shape::new(dims.clone());
            let groups = Groups::channels(&shape);
            let expected: Vec<usize> = (0..shape.elements()).map(|i| i / stride % groups.count()).collect();
            assert_eq!(groups.table(&shape), expected, "{dims:?}");
        }
    }

    #[test]
    fn classes_divide_channels() {
        let shape = Shape::new([2, 3, 2]);
        // The first position differs from the others.
        let groups = Groups::channels(&shape).by_position(&shape, &[1, 0, 0]);
        assert_eq!(groups.count(), 4);
        assert_eq!(groups.table(&shape), [[1, 3, 0, 2, 0, 2], [1, 3, 0, 2, 0, 2]].concat());
        let constant = groups.constant(&[vec![0.0], vec![1.0], vec![2.0], vec![3.0]]);
        assert_eq!(constant.shape.dims(), [1, 3, 2, 1]);
        assert_eq!(constant.data, [1.0, 3.0, 0.0, 2.0, 0.0, 2.0]);
        let shape = Shape::new([1, 2, 3, 2]);
        let image = Groups::channels(&shape).by_position(&shape, &[0, 0, 1, 1, 0, 0]);
        assert_eq!(image.table(&shape), [0, 0, 1, 1, 0, 0, 2, 2, 3, 3, 2, 2]);
        assert_eq!(image.constant(&[vec![5.0, 6.0]]).shape.dims(), [1, 1, 1, 1, 2]);
    }
}
