//! Polynomial replacements for non-polynomial functions, fitted to calibration data.
//!
//! What it is: the stage that turns a network with activations, maxima, softmaxes and normalisations into one of sums,
//! products and polynomials.
//! Core concept: the *fit*, a formula (one polynomial as a rule) with numbers for each channel under the density that the
//! channel really sees, with just enough attention to the range beyond it. It is chosen by validation, never by the error
//! on the data it was fitted to.
//! Start at [`replace`].
//! Invariant: fits, choices and results are the same on every machine and for any number of threads.
//! Non-goal: retraining, and the cost of packing; `optimize` folds the scales that this stage leaves.
#![forbid(unsafe_code)]

mod assignment;
mod attention;
mod build;
mod chebyshev;
mod classes;
mod composite;
mod correct;
mod domain;
mod double_double;
mod error;
mod fit;
mod form;
mod formula;
mod groups;
mod iteration;
mod kernel;
mod max_pool;
mod menu;
mod minimax;
mod moments;
mod network;
mod offer;
mod options;
mod orthogonal;
mod pin;
mod quadrature;
mod replace;
mod report;
mod ridge;
mod score;
mod search;
mod sensitivity;
mod smoothing;
mod split;
mod statistics;
mod store;
mod symmetry;
mod tail;
mod unit;
mod view;

pub use assignment::Assignment;
pub use composite::{CompositeSign, Stage};
pub use error::NonlinearError;
pub use fit::{Errors, Fit, fit};
pub use formula::{Formula, Numbers, Term, numbers};
pub use groups::Groups;
pub use iteration::{Iteration, Root, RootStart, goldschmidt, inverse, inverse_sqrt, sqrt};
pub use menu::{Candidate, Curve, Menu, Piece};
pub use offer::{Offer, Offered};
pub use options::{Calibration, Options, ROBUSTNESS, Robustness};
pub use pin::{Choice, Family, MAX_DEGREE, Pin, PinError, parse_range};
pub use replace::{Front, Replaced, assigned, front, replace};
pub use report::{Correction, Method, Replacement};
pub use score::Agreement;
pub use sensitivity::{
    Gain, LayerError, MeasuredError, PredictedErrors, Sensitivity, functions, local_errors, measured_errors,
    predict_errors,
};
pub use smoothing::Kernel;
pub use statistics::{Bin, Density, Observed, Statistics};
pub use tail::Tail;
