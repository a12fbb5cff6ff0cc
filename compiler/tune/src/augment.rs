//! More inputs from those that there are. The original network says what they should give, so that no label is needed.

use crate::layout::extents;
use crate::random::Random;
use hec_ir::tensor::Shape;

/// Images from this height and width on are changed.
const LEAST: usize = 16;
/// The largest shift, in pixels.
const SHIFT: usize = 4;

/// How inputs are changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Augment {
    /// Images are mirrored and shifted by up to four pixels; other inputs stay as they are.
    #[default]
    Auto,
    /// Not at all.
    None,
}

/// Changes the inputs of a network.
#[derive(Clone, Debug)]
pub struct Augmenter {
    /// For each input the extents of its images, if it is changed.
    images: Vec<Option<Image>>,
}

#[derive(Clone, Copy, Debug)]
struct Image {
    count: usize,
    height: usize,
    width: usize,
    channels: usize,
}

impl Augmenter {
    /// For inputs of these shapes.
    pub fn new<'a>(shapes: impl IntoIterator<Item = &'a Shape>, augment: Augment) -> Self {
        let image = |shape: &Shape| match extents(shape)[..] {
            [count, height, width, channels] if height >= LEAST && width >= LEAST && augment == Augment::Auto => {
                Some(Image { count, height, width, channels })
            }
            _ => None,
        };
        Augmenter { images: shapes.into_iter().map(image).collect() }
    }

    /// Changed inputs, as they lie in buffers.
    pub fn apply(&self, inputs: &[Vec<f32>], random: &mut Random) -> Vec<Vec<f32>> {
        let change = |(input, image): (&Vec<f32>, &Option<Image>)| match image {
            Some(image) => {
                let mirror = random.below(2) == 1;
                image.moved(input, mirror, [random.below(2 * SHIFT + 1), random.below(2 * SHIFT + 1)])
            }
            None => input.clone(),
        };
        inputs.iter().zip(&self.images).map(change).collect()
    }
}

impl Image {
    /// Mirrored from left to right or not, and shifted by `shift` − 4. What comes in at the border is the image's own
    /// reflection, so that it makes no difference whether the numbers are normalised.
    fn moved(&self, input: &[f32], mirror: bool, shift: [usize; 2]) -> Vec<f32> {
        let Image { count, height, width, channels } = *self;
        let reflect = |at: usize, shift: usize, size: usize| {
            let at = (at + shift).abs_diff(SHIFT);
            if at < size { at } else { 2 * size - 2 - at }
        };
        let mut out = Vec::with_capacity(input.len());
        for row in 0..count * height {
            let source = row / height * height + reflect(row % height, shift[0], height);
            let line = &input[source * width * channels..][..width * channels];
            for x in 0..width {
                let x = reflect(x, shift[1], width);
                let x = if mirror { width - 1 - x } else { x };
                out.extend_from_slice(&line[x * channels..][..channels]);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_move_and_mirror_whole_pixels() {
        let image = Image { count: 1, height: 16, width: 16, channels: 2 };
        let input: Vec<f32> = (0..512).map(|i| i as f32).collect();
        assert_eq!(image.moved(&input, false, [SHIFT, SHIFT]), input);
        let moved = image.moved(&input, true, [SHIFT + 1, SHIFT]);
        // The pixel at the top right, one row further down.
        assert_eq!(moved[..2], [32.0 + 30.0, 32.0 + 31.0]);
        let moved = image.moved(&input, false, [SHIFT, 0]);
        // Four pixels to the right: the left border is the reflection of pixels 4, 3, 2, 1.
        assert_eq!(moved[..10], [8.0, 9.0, 6.0, 7.0, 4.0, 5.0, 2.0, 3.0, 0.0, 1.0]);
    }

    #[test]
    fn small_images_and_other_inputs_stay() {
        let shapes = [Shape::new([1, 1, 8, 8]), Shape::new([1, 64])];
        let augmenter = Augmenter::new(&shapes, Augment::Auto);
        let inputs = vec![(0..64).map(|i| i as f32).collect(), vec![1.0; 64]];
        assert_eq!(augmenter.apply(&inputs, &mut Random::new(1, [0, 0])), inputs);
    }
}
