//! `hec check`: every operator of a model, and what will happen to it.

use crate::{Check, Failure};
use hec_import::{CheckReport, ImportError, ImportOptions, Verdict};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Print the verdict on every node. The exit code says whether the model can be compiled.
///
/// # Errors
/// When the file is not a readable model.
pub fn check(args: &Check) -> Result<ExitCode, Failure> {
    if args.model.extension().is_some_and(|e| e == "hel") {
        return Err(Failure::new(
            "HEC-C008",
            format!("{} is text, and only ONNX models are checked", args.model.display()),
        )
        .advise("compile it: `hec compile` tells what stops a text"));
    }
    let report = hec_import::check(&args.model, &ImportOptions { batch: args.batch })?;
    if args.json {
        println!("{:#}", to_json(&report));
    } else {
        print!("{}", to_text(&report));
    }
    Ok(if problems(&report) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn problems(report: &CheckReport) -> usize {
    let stops = report.nodes.iter().filter(|n| matches!(n.verdict, Verdict::Stops(_))).count();
    stops + report.model.len()
}

/// The verdict in one word, and the rest of it.
fn words(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Fine => ("fine", String::new()),
        Verdict::Approximated { function } => ("approximated", format!("{function}, by a polynomial")),
        Verdict::Client { function, before: true } => ("client", format!("{function}, before encryption")),
        Verdict::Client { function, before: false } => ("client", format!("{function}, after decryption")),
        Verdict::Unused => ("unused", String::new()),
        Verdict::Unchecked { input } => ("unchecked", format!("the shape of {input} is not known")),
        Verdict::Stops(error) => ("stops", sentence(error)),
    }
}

fn sentence(error: &ImportError) -> String {
    format!("{}: {}. {}", error.code, error.reason, error.advice)
}

fn to_text(report: &CheckReport) -> String {
    let mut out = format!("operator set {}\n", report.opset);
    let width = |f: fn(&hec_import::NodeReport) -> &str| report.nodes.iter().map(|n| f(n).len()).max().unwrap_or(0);
    let (names, operators) = (width(|n| &n.name), width(|n| &n.operator));
    for node in &report.nodes {
        let (word, rest) = words(&node.verdict);
        let line = format!("{word:<12} {:<names$}  {:<operators$}  {rest}", node.name, node.operator);
        out.push_str(line.trim_end());
        out.push('\n');
    }
    for error in &report.model {
        out.push_str(&format!("stops        {}\n", sentence(error)));
    }
    out.push_str(&match problems(report) {
        0 => "The model can be compiled.\n".to_owned(),
        1 => "One problem stops the compilation.\n".to_owned(),
        n => format!("{n} problems stop the compilation.\n"),
    });
    out
}

fn to_json(report: &CheckReport) -> Value {
    let node = |n: &hec_import::NodeReport| {
        let (verdict, reason) = words(&n.verdict);
        json!({ "name": n.name, "operator": n.operator, "verdict": verdict, "reason": reason })
    };
    json!({
        "opset": report.opset,
        "nodes": report.nodes.iter().map(node).collect::<Vec<_>>(),
        "model": report.model.iter().map(sentence).collect::<Vec<_>>(),
        "compiles": problems(report) == 0,
    })
}
