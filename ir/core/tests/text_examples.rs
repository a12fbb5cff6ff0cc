//! How each level reads, and what users see when a text is wrong.

use hec_ir::tensor::{Shape, Tensor};
use hec_ir::text::{AnyLevel, ExternalConstants, Print, TextError, parse};
use insta::assert_snapshot;
use std::sync::Arc;

const NETWORK: &str = r#"
# A hand-written network: shapes of results, attributes at their defaults and origins may be left out.
tensor tiny {
  const @conv.weight : f64[2,1,2,2] = [1, 0, 0, -1,  0.5, 0.5, 0.5, 0.5]
  const @fc : f64[8,2] = external
  const @fc.bias : f64[2] = [0.1, -0.1]
  const @act : f64[1,2,1,1,3] = [0, 0.5, 0.25, 0, 1, 0.125]

  %image = input "image" : [1,1,5,5]
  %conv  = conv %image, @conv.weight pads [0,0,1,1] from "Conv_0"
  %act   = polynomial %conv, @act monomial          from "Relu_1" note "kernel degree 2, rms 2^-4.1"
  %fc    = linear %act { average_pool kernel [2,2]; reshape [1,8]; matmul @fc }
  %sum   = add_constant %fc, @fc.bias
  output "logits" %sum client softmax 1
}
"#;

const CIRCUIT: &str = r#"
circuit tiny slots 8 {
  input "x" : [2,4] at i0 mod 2 * 4 + i1 mod 4 * 1 period 8
  map @fc : 1 -> 1 { 0 <- 0 rotation 0 = [1, 0, 0, 0, 1, 0, 0, 0]  0 <- 0 rotation 4 = [0.5, 0, 0, 0, 0.5, 0, 0, 0] }
  plain @half = 0.5
  plain @bias = [[1, 2, 3, 4, 5, 6, 7, 8]]
  %x = input 0
  %y = linear %x, @fc from "Gemm_0"
  %z = add_plain %y, @bias from "Gemm_0"
  %s = square %z from "Mul_1"
  %h = mul_plain %s, @half
  %r = rotate %h, 4
  output "y" %r : [2] at i0 mod 2 * 4
}
"#;

/// Primes of a toy ring, two levels.
const PARAMETERS: &str = "parameters { log_n 4 level 0 [1099511627873] level 1 [1073741857] level 2 [1073741953]
    special [1099511628161] digit_size 1 top_scale 1073741824 insecure_toy }";

fn leveled() -> String {
    format!(
        "leveled tiny {{ {PARAMETERS}
            input \"x\" : [8] at i0 mod 8 * 1
            map @m : 1 -> 1 {{ 0 <- 0 rotation 0 = [1,1,1,1,1,1,1,1] 0 <- 0 rotation 3 = [2,2,2,2,2,2,2,2] }}
            %x = input 0  %y = linear %x, @m from \"Gemm_0\"  %q = square %y from \"Mul_1\"
            %r = relinearize %q  %s = rescale %r : level 0
            output \"y\" %s : [8] at i0 mod 8 * 1 }}"
    )
}

fn program() -> String {
    format!(
        "program tiny {{ {PARAMETERS}
            input \"x\" : [8] at i0 mod 8 * 1
            map @m : 1 -> 1 {{ 0 <- 0 rotation 0 = [1,1,1,1,1,1,1,1] 0 <- 0 rotation 3 = [2,2,2,2,2,2,2,2] }}
            plan @m {{ giant 0 babies [0] giant 2 babies [1] }}
            c0 = load 0  decompose c0  c1 = linear c0, @m from \"Gemm_0\"  free c0
            c1 = square c1 from \"Mul_1\"  c1 = relinearize_rescale c1 from \"Mul_1\"
            output \"y\" c1 : [8] at i0 mod 8 * 1 }}"
    )
}

fn external() -> ExternalConstants {
    let data = (0..16).map(f64::from).collect();
    let fc = Tensor::new(Shape::new([8, 2]), data).expect("as many numbers as elements");
    ExternalConstants::from([("fc".to_owned(), Arc::new(fc))])
}

fn read(text: &str) -> AnyLevel {
    parse(text, &external()).unwrap_or_else(|e| panic!("{e}"))
}

fn error(text: &str) -> TextError {
    parse(text, &external()).expect_err(text)
}

#[test]
fn a_tensor_network_reads_well() {
    assert_snapshot!(read(NETWORK).print().0, @r##"
    tensor tiny {
      const @conv.weight : f64[2,1,2,2] = [1, 0, 0, -1, 0.5, 0.5, 0.5, 0.5]
      const @fc : f64[8,2] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
      const @fc.bias : f64[2] = [0.1, -0.1]
      const @act : f64[1,2,1,1,3] = [0, 0.5, 0.25, 0, 1, 0.125]
      %0 = input "image" : [1,1,5,5]
      %1 = conv %0, @conv.weight pads [0,0,1,1] : [1,2,5,5]  from "Conv_0"
      %2 = polynomial %1, @act monomial : [1,2,5,5]  from "Relu_1"  note "kernel degree 2, rms 2^-4.1"
      %3 = linear %2 { average_pool kernel [2,2] strides [2,2]; reshape [1,8]; matmul @fc } : [1,2]
      %4 = add_constant %3, @fc.bias : [1,2]
      output "logits" %4 client softmax 1
    }
    "##);
}

#[test]
fn a_circuit_reads_well() {
    let (text, constants) = read(CIRCUIT).print();
    assert_snapshot!(text, @r##"
    circuit tiny slots 8 {
      input "x" : [2,4] at i0 mod 2 * 4 + i1 mod 4 * 1 period 8
      map @fc : 1 -> 1 {
        0 <- 0 rotation 0 = [1, 0, 0, 0, 1, 0, 0, 0]
        0 <- 0 rotation 4 = [0.5, 0, 0, 0, 0.5, 0, 0, 0]
      }
      plain @plain0 = 0.5
      plain @plain1 = [[1, 2, 3, 4, 5, 6, 7, 8]]
      %0 = input 0
      %1 = linear %0, @fc  from "Gemm_0"
      %2 = add_plain %1, @plain1  from "Gemm_0"
      %3 = square %2  from "Mul_1"
      %4 = mul_plain %3, @plain0
      %5 = rotate %4, 4
      output "y" %5 : [2] at i0 mod 2 * 4
    }
    "##);
    assert!(constants.is_empty());
}

#[test]
fn a_leveled_circuit_reads_well() {
    assert_snapshot!(read(&leveled()).print().0, @r##"
    leveled tiny {
      parameters {
        log_n 4
        level 0 [1099511627873]  # scale 2^30.000
        level 1 [1073741857]  # scale 2^30.000
        level 2 [1073741953]  # scale 2^30.000
        special [1099511628161]
        digit_size 1
        top_scale 1073741824
        insecure_toy
      }
      input "x" : [8] at i0 mod 8 * 1
      map @m : 1 -> 1 {
        0 <- 0 rotation 0 = [1, 1, 1, 1, 1, 1, 1, 1]
        0 <- 0 rotation 3 = [2, 2, 2, 2, 2, 2, 2, 2]
      }
      %0 = input 0 : level 2
      %1 = linear %0, @m : level 1  from "Gemm_0"
      %2 = square %1 : level 1 scale squared parts 3  from "Mul_1"
      %3 = relinearize %2 : level 1 scale squared
      %4 = rescale %3 : level 0
      output "y" %4 : [8] at i0 mod 8 * 1
    }
    "##);
}

#[test]
fn a_program_reads_well() {
    assert_snapshot!(read(&program()).print().0, @r##"
    program tiny {
      parameters {
        log_n 4
        level 0 [1099511627873]  # scale 2^30.000
        level 1 [1073741857]  # scale 2^30.000
        level 2 [1073741953]  # scale 2^30.000
        special [1099511628161]
        digit_size 1
        top_scale 1073741824
        insecure_toy
      }
      input "x" : [8] at i0 mod 8 * 1
      map @m : 1 -> 1 {
        0 <- 0 rotation 0 = [1, 1, 1, 1, 1, 1, 1, 1]
        0 <- 0 rotation 3 = [2, 2, 2, 2, 2, 2, 2, 2]
      }
      plan @m {
        giant 0 babies [0]
        giant 2 babies [1]
      }
      c0 = load 0 : level 2
      decompose c0
      c1 = linear c0, @m : level 1  from "Gemm_0"
      free c0
      c1 = square c1 : level 1 scale squared parts 3  from "Mul_1"
      c1 = relinearize_rescale c1 : level 0  from "Mul_1"
      output "y" c1 : [8] at i0 mod 8 * 1
      keys {
        relinearize level 1
        rotate level 2 [1, 2]
      }
    }
    "##);
}

#[test]
fn large_constants_leave_the_text() {
    let row = |n: usize| format!("[{}]", vec!["0.5"; n].join(","));
    let text = format!(
        "circuit c slots 8 {{
           map @\"a b\" : 1 -> 2 {{ 1 <- 0 rotation 2 = {row} 0 <- 0 rotation 0 = {row} 0 <- 0 rotation 7 = {row} }}
           plain @p = [{row}, {row}, {row}] }}",
        row = row(8)
    );
    let circuit = read(&text);
    let (text, external) = circuit.print();
    assert_snapshot!(text, @r##"
    circuit c slots 8 {
      map @"a b" : 1 -> 2 = external {
        0 <- 0 rotations [0, 7]
        1 <- 0 rotations [2]
      }
      plain @plain0 : 3 = external
    }
    "##);
    let shapes: Vec<_> = external.iter().map(|(key, tensor)| format!("{key} {:?}", tensor.shape.dims())).collect();
    assert_eq!(shapes, ["map/a b [3, 8]", "plain/0 [3, 8]"]);
    assert_snapshot!(circuit.print_elided(), @r##"
    circuit c slots 8 {
      map @"a b" : 1 -> 2 = ...  # 3 diagonals, 3 rotations
      plain @plain0 : 3 = ...
    }
    "##);
    let refused = parse(&circuit.print_elided(), &external).expect_err("numbers are missing");
    assert_snapshot!(refused, @"line 2, column 25: expected `external`, found `...`; an elided print leaves numbers out; print the network again with its numbers");
    assert_snapshot!(parse(&text, &ExternalConstants::new()).expect_err("the table is missing"), @r#"line 2, column 23: expected external numbers "map/a b" of shape [3, 8], found none of that name; give the file of constants that belongs to the text"#);
    let mut other = external.clone();
    other.insert("plain/0".to_owned(), Arc::new(Tensor::filled(Shape::new([2, 8]), 1.0)));
    assert_snapshot!(parse(&text, &other).expect_err("of another text"), @r#"line 6, column 17: expected external numbers "plain/0" of shape [3, 8], found 16 numbers of shape [2, 8]; the file of constants belongs to another text"#);
    other.insert("plain/0".to_owned(), Arc::new(Tensor::filled(Shape::new([3, 8]), f64::NAN)));
    assert_snapshot!(parse(&text, &other).expect_err("not finite"), @r#"line 6, column 17: expected external numbers "plain/0" of shape [3, 8], found NaN at 0; infinities and NaN cannot be encrypted"#);
}

#[test]
fn mistakes_in_words_are_explained() {
    assert_snapshot!(error(""), @"line 1, column 1: expected a level, found the end of the text; one of tensor, circuit, leveled, program");
    assert_snapshot!(error("tensro x {}"), @"line 1, column 1: expected a level, found `tensro`; one of tensor, circuit, leveled, program");
    assert_snapshot!(error("tensor x { %a = input \"x\" : [1,2]\n %b = relux %a }"), @"line 2, column 7: expected an operation, found `relux`; one of conv, matmul, scale, average_pool, mean, reshape, transpose, slice, pad, expand, input, linear, add_constant, negate, add, sub, mul, batch_matmul, square, power, polynomial, max_pool, softmax, lookup, layer_norm, rms_norm, relu, leaky_relu, thresholded_relu, elu, selu, celu, shrink, clip, hard_sigmoid, hard_swish, abs, sign, sigmoid, tanh, softsign, softplus, gelu, gelu_tanh, silu, mish, erf, sin, cos, exp, log, sqrt, reciprocal, pow");
    assert_snapshot!(error("tensor x { %a = input \"x\" }"), @"line 1, column 27: expected `: [shape]` of the input, found `}`; it cannot be inferred");
    assert_snapshot!(error("tensor x { %a = input \"x : [1] }"), @r#"line 1, column 23: expected the name of the input, found `"x : [1] }`; a string ends on its line, with `"`"#);
    assert_snapshot!(error("tensor x { output \"a\\q\" %a }"), @r#"line 1, column 19: expected a string, found `"a\q"`; its escapes are \" \\ \n \r \t \u{hex}"#);
    assert_snapshot!(error("tensor x {\n  const @b: f64[1] = [0]\n  const @b : f64[1] = [0]\n}"), @"line 3, column 9: expected a new constant, found `@b` again; names are unique");
    assert_snapshot!(error("tensor x { %a = input \"x\" : [2]\n %a = relu %a }"), @"line 2, column 2: expected a new value, found `%a` again; a value is defined once");
    assert_snapshot!(error("tensor x { %b = relu %a }"), @"line 1, column 22: expected a value that is defined, found `%a`; define it above its use");
    assert_snapshot!(error("tensor x { %a = input \"x\" : [2] ~ }"), @"line 1, column 33: expected a statement or `}`, found `~`; a statement starts with `%x =` or with const, output");
    assert_snapshot!(error("tensor x { } tensor y { }"), @"line 1, column 14: expected the end of the text, found `tensor`; a text holds one network");
    assert_snapshot!(error("tensor x {"), @"line 1, column 11: expected a statement or `}`, found the end of the text; a statement starts with `%x =` or with const, output");
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    assert_snapshot!(error("tensor x { const @b : f64[1] = [inf] }"), @"line 1, column 33: expected a finite number, found `inf`; infinities and NaN cannot be encrypted");
    assert_snapshot!(error("tensor x { const @b : f64[1] = [1e999] }"), @"line 1, column 33: expected a finite number, found `1e999`; infinities and NaN cannot be encrypted");
    assert_snapshot!(error("tensor x { const @b : f64[3] = [1, 2] }"), @"line 1, column 32: expected as many numbers as [3] has elements, found 2; numbers stand in row-major order");
    assert_snapshot!(error("tensor x { const @b : f64[4294967296,4294967296] = [1] }"), @"line 1, column 52: expected as many numbers as [4294967296, 4294967296] has elements, found 1; numbers stand in row-major order");
    assert_snapshot!(error("tensor x { const @fc : f64[2,8] = external }"), @r#"line 1, column 35: expected external numbers "fc" of shape [2, 8], found 16 numbers of shape [8, 2]; the file of constants belongs to another text"#);
    assert_snapshot!(error("tensor x { const @w : f64[99999999999] = external }"), @r#"line 1, column 42: expected external numbers "w" of shape [99999999999], found none of that name; give the file of constants that belongs to the text"#);
    assert_snapshot!(error("tensor x { %a = input \"x\" : [99999999999,99999999999] }"), @"line 1, column 8: expected a well-formed tensor graph, found one that is not: shape [99999999999, 99999999999] has more than 2147483648 elements");
    assert_snapshot!(error("tensor x { %a = input \"x\" : [1,99999999999999999999] }"), @"line 1, column 32: expected an extent, found `99999999999999999999`; it is a whole number that is not negative nor too large");
    assert_snapshot!(error("tensor x { %a = input \"x\" : [-1] }"), @"line 1, column 30: expected an extent, found `-1`; it is a whole number that is not negative nor too large");
    assert_snapshot!(error("circuit x slots 99999999999 { }"), @"line 1, column 17: expected a power of two, at most 65536, found `99999999999`; it is half the ring degree");
    assert_snapshot!(error("circuit x slots 8 { map @m : 4294967295 -> 4294967295 { } }"), @"line 1, column 9: expected a well-formed circuit, found one that is not: @map0 is from 4294967295 to 4294967295 ciphertexts, of at most 4096");
    assert_snapshot!(error("circuit x slots 8 { map @m : 1 -> 1 { 0 <- 0 rotation 8 = [1] } }"), @"line 1, column 55: expected a rotation below 8, found `8`; rotations are cyclic");
    assert_snapshot!(error("circuit x slots 8 { plain @p : 99999999999 = external }"), @r#"line 1, column 30: expected external numbers "plain/0" of shape [99999999999, 8], found none of that name; give the file of constants that belongs to the text"#);
    assert_snapshot!(error("circuit x slots 8 { plain @p = [[1, 2]] }"), @"line 1, column 33: expected one number for each of the 8 slots, found 2 numbers");
}

#[test]
fn networks_that_do_not_fit_are_refused() {
    assert_snapshot!(error("tensor x { %a = input \"x\" : [1,2] %b = reshape %a [3] }"), @"line 1, column 40: expected an operation that fits its arguments, found `reshape`; reshape on shape [1, 2]: the number of elements changes");
    assert_snapshot!(error("tensor x { %a = input \"x\" : [1,2]\n %b = relu %a : [2,1] }"), @"line 2, column 17: expected [1, 2], found [2, 1]; the shape may be left out");
    assert_snapshot!(error("tensor x { %a = input \"x\" : [2] output \"y\" %a client softmax 1 }"), @"line 1, column 8: expected a well-formed tensor graph, found one that is not: output y: the client's operations name an axis that [2] does not have");
    assert_snapshot!(error("tensor x { %a = input \"x\" : [2] %b = expand %a [65536,65536,2] }"), @"line 1, column 38: expected an operation that fits its arguments, found `expand`; shape [65536, 65536, 2] has more than 2147483648 elements");
    assert_snapshot!(error("circuit x slots 8 { input \"x\" : [4] at i0 mod 2 * 1 }"), @"line 1, column 33: expected a valid layout, found one that is not: axis 0 of extent 4 is not covered exactly by its digits");
    assert_snapshot!(error("circuit x slots 8 { input \"x\" : [4] at i0 mod 4 * 0 }"), @"line 1, column 33: expected a valid layout, found one that is not: two elements share position 0");
    assert_snapshot!(error("circuit x slots 8 { input \"x\" : [2] at i0 mod 2 * 1 %a = input 0 %b = input 0 }"), @"line 1, column 9: expected a well-formed circuit, found one that is not: input 0 does not exist, or has more than one node");
    assert_snapshot!(error("leveled x { input \"x\" : [2] at i0 mod 2 * 1 }"), @"line 1, column 13: expected `parameters { … }`, found `input`; it stands first, as levels and scales follow from it");
    assert_snapshot!(error(&leveled().replace("log_n 4", "log_n 99")), @"line 1, column 16: expected a valid set of parameters, found one that is not: ring 2^99 is outside 2^4..2^17");
    assert_snapshot!(error(&leveled().replace("%r = relinearize %q", "%r = relinearize %y")), @"line 6, column 18: expected an operation that fits its arguments, found `relinearize`; there is nothing to relinearize");
    assert_snapshot!(error(&leveled().replace(": level 0", ": level 1")), @"line 6, column 52: expected level 0, scale 2^30.000, 2 parts, 1 ciphertexts, found `level`; the declaration may be left out");
    assert_snapshot!(error(&program().replace("free c0", "c2 = load 0")), @"line 1, column 9: expected a well-formed program, found one that is not: instruction 3 (load to c2): the input has been loaded before");
    assert_snapshot!(error(&program().replace("free c0", "free c5")), @"line 6, column 79: expected a register that holds a value, found `c5`; it is empty here");
    assert_snapshot!(error(&program().replace("c0", "c99")), @"line 1, column 9: expected a well-formed program, found one that is not: instruction 0 (load to c99): register numbers must be below the number of instructions");
    assert_snapshot!(error(&program().replace("giant 2 babies [1]", "")), @"line 1, column 9: expected a well-formed program, found one that is not: the plan of @map0 does not split every rotation r as giant + baby = r modulo the slots, both below them");
    assert_snapshot!(error(&program().replace("plan @m { giant 0 babies [0] giant 2 babies [1] }", "")), @"line 1, column 9: expected a plan for each map, found none for @m; add `plan @m { giant 0 babies [0] }`");
    assert_snapshot!(error(&program().replace("output", "keys { rotate level 2 [1] } output")), @"line 1, column 9: expected a well-formed program, found one that is not: the key list does not equal what the instructions need");
}

#[test]
fn what_the_text_leaves_out_is_what_is_inferred() {
    let text = read(NETWORK).print().0;
    let declared = text.lines().find(|line| line.contains("matmul")).expect("the chain is printed");
    assert!(declared.contains(": [1,2]"), "{declared}");
    let AnyLevel::Program(program) = read(&program()) else { panic!("a program was read") };
    assert_eq!(program.keys, program.required_keys());
}

#[test]
fn examples_of_the_manual_are_as_they_are_printed() {
    let manual = include_str!("../../../docs/ir.md");
    let levels = ["tensor ", "circuit ", "leveled ", "program "];
    let blocks = manual.split("```\n").filter(|block| levels.iter().any(|level| block.starts_with(level)));
    let found: Vec<&str> = blocks.map(assert_printed).collect();
    assert_eq!(found, ["tensor", "circuit", "leveled", "program"]);
}

/// Check that printing gives the text back, and say of which level it is.
fn assert_printed(text: &str) -> &'static str {
    let network = read(text);
    assert_eq!(network.print().0, text);
    network.name()
}
