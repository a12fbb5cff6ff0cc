//! Polynomials as compiler and runtime both see them: bases, evaluation, evaluation trees.
