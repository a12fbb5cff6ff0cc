//! The languages of the compiler: tensor, circuit, leveled, program.
