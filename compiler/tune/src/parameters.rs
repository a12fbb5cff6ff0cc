//! The numbers that are trained, and the forms in which kernels read them.

use crate::layout::Broadcast;
use crate::program::{Kernel, Program, Step};
use hec_ir::tensor::{Graph, Shape, Tensor};
use std::ops::Range;

/// How many numbers each form has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Trained.
    pub trained: usize,
    /// As the kernels read them.
    pub working: usize,
    /// Their gradient as the kernels add it up.
    pub gradient: usize,
}

/// Where a constant is in each form.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    first: Sizes,
    count: Sizes,
}

impl Sizes {
    /// A place for a step of that kernel, whose constant has `count` numbers.
    pub fn place(&mut self, kernel: &Kernel, count: usize) -> Place {
        let count = match kernel {
            Kernel::Polynomial(p) => p.trained(),
            _ => count,
        };
        let (working, gradient) = match kernel {
            Kernel::Product(p) => (p.working(), p.gradient()),
            Kernel::Polynomial(p) => (p.working(), p.working()),
            Kernel::Scale(b) | Kernel::Shift(b) => (b.period(), b.period()),
            _ => (0, 0),
        };
        let (first, count) = (*self, Sizes { trained: count, working, gradient });
        self.trained += count.trained;
        self.working += working;
        self.gradient += gradient;
        Place { first, count }
    }
}

impl Place {
    /// Among the trained numbers.
    pub fn trained(&self) -> Range<usize> {
        self.first.trained..self.first.trained + self.count.trained
    }

    /// Among those that the kernels read.
    pub fn working(&self) -> Range<usize> {
        self.first.working..self.first.working + self.count.working
    }

    /// In the gradient as the kernels add it up.
    pub fn gradient(&self) -> Range<usize> {
        self.first.gradient..self.first.gradient + self.count.gradient
    }
}

/// The parameters of a program.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// In the order of the constants; of polynomials, coordinates.
    pub trained: Vec<f32>,
    working: Vec<f32>,
}

impl Parameters {
    /// Those of the network that the program was compiled from.
    pub fn of_graph(program: &Program, graph: &Graph) -> Self {
        let sizes = program.sizes;
        let mut parameters = Parameters { trained: vec![0.0; sizes.trained], working: vec![0.0; sizes.working] };
        for step in &program.steps {
            let Some(weights) = &step.weights else { continue };
            let numbers = &graph.constants.tensor(weights.constant).data;
            let numbers = match &step.kernel {
                Kernel::Polynomial(p) => p.coordinates(&p.of_rows(numbers)),
                _ => numbers.iter().map(|&x| x as f32).collect(),
            };
            parameters.trained[weights.place.trained()].copy_from_slice(&numbers);
        }
        parameters.derive(program);
        parameters
    }

    /// What the kernel of a step reads.
    pub fn working(&self, step: &Step) -> &[f32] {
        step.weights.as_ref().map_or(&[], |w| &self.working[w.place.working()])
    }

    /// Lay the trained numbers out for the kernels, after they have changed.
    pub fn derive(&mut self, program: &Program) {
        for step in &program.steps {
            let Some(weights) = &step.weights else { continue };
            let (from, to) = (&self.trained[weights.place.trained()], &mut self.working[weights.place.working()]);
            match &step.kernel {
                Kernel::Product(p) => p.derive(from, to),
                Kernel::Polynomial(p) => p.derive(from, to),
                Kernel::Scale(b) | Kernel::Shift(b) => b.spread(from, to),
                _ => {}
            }
        }
    }

    /// The constant of a step, of its shape.
    pub fn constant(&self, step: &Step, shape: &Shape) -> Option<Tensor> {
        let numbers = &self.trained[step.weights.as_ref()?.place.trained()];
        let data = match &step.kernel {
            Kernel::Polynomial(p) => p.to_rows(&p.coefficients(numbers)),
            _ => numbers.iter().map(|&x| f64::from(x)).collect(),
        };
        Tensor::new(shape.clone(), data)
    }
}

/// The gradient by the trained numbers from what the kernels have added up; zero where nothing is trained.
pub fn pull_back(program: &Program, gradient: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; program.sizes.trained];
    for step in &program.steps {
        let Some(weights) = step.weights.as_ref().filter(|w| w.trained) else { continue };
        let (from, to) = (&gradient[weights.place.gradient()], &mut out[weights.place.trained()]);
        match &step.kernel {
            Kernel::Product(p) => p.pull_back(from, to),
            Kernel::Polynomial(p) => p.pull_back(from, to),
            Kernel::Scale(b) | Kernel::Shift(b) => Broadcast::gather(b, from, to),
            _ => {}
        }
    }
    out
}
