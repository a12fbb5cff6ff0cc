//! What a user sees when something is wrong: a code, the reason, what to do next.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// A failure as it is shown. Codes: HEC-C command line and files, HEC-I import, HEC-N nonlinearities, HEC-U tuning, HEC-O rewriting,
/// HEC-P packing, HEC-L planning, HEC-S scheduling, HEC-T text and artifacts.
#[derive(Debug)]
pub struct Failure {
    code: &'static str,
    message: String,
    advice: Option<String>,
    exit: u8,
}

impl Failure {
    /// With a code and the reason.
    pub fn new(code: &'static str, message: impl fmt::Display) -> Self {
        Failure { code, message: message.to_string(), advice: None, exit: 1 }
    }

    /// About a file.
    pub fn file(path: &Path, error: impl fmt::Display) -> Self {
        Failure::new("HEC-C001", format!("{}: {error}", path.display()))
    }

    /// With another failure that stands against another way.
    pub(crate) fn and(mut self, way: &str, other: &Failure) -> Self {
        self.message = format!("{}. {way}: {}", self.message, other.message);
        self.advice = match (self.advice, &other.advice) {
            (Some(own), Some(others)) if own != *others => Some(format!("{own}; {others}")),
            (own, others) => own.or(others.clone()),
        };
        self
    }

    /// The first sentence of the reason.
    pub(crate) fn first_sentence(&self) -> String {
        self.message.split(". ").next().unwrap_or_default().to_owned()
    }

    /// With the exit code that tells scripts of it, 1 if not given.
    pub(crate) fn exit(mut self, code: u8) -> Self {
        self.exit = code;
        self
    }

    /// The exit code of the program that fails so.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }

    /// With what to do next.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl miette::Diagnostic for Failure {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.advice.as_ref().map(|a| Box::new(a) as Box<dyn fmt::Display>)
    }
}

impl From<hec_import::ImportError> for Failure {
    fn from(error: hec_import::ImportError) -> Self {
        let code = error.code.as_str();
        let text = error.to_string();
        // The code and the advice are shown in their own places.
        let reason = text.strip_prefix(code).and_then(|t| t.strip_prefix(": ")).unwrap_or(&text);
        Failure::new(code, reason.replacen(&format!(" {}", error.advice), "", 1)).advise(error.advice)
    }
}

/// One constructor for each stage's error.
macro_rules! stage {
    ($error:ty, $code:literal) => {
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::new($code, error)
            }
        }
    };
}

stage!(hec_nonlinear::NonlinearError, "HEC-N001");
stage!(hec_nonlinear::PinError, "HEC-C002");
stage!(hec_tune::TuneError, "HEC-U001");
stage!(hec_optimize::OptimizeError, "HEC-O001");
stage!(hec_ir::circuit::CircuitError, "HEC-O003");
stage!(hec_pack::PackError, "HEC-P001");
stage!(hec_plan::PlanError, "HEC-L001");
stage!(hec_schedule::ScheduleError, "HEC-S001");
stage!(hec_ir::tensor::ShapeError, "HEC-O002");
stage!(hec_ir::ParametersError, "HEC-L002");
stage!(hec_ir::array::ArrayError, "HEC-C001");
stage!(hec_ir::samples::SamplesError, "HEC-C001");
