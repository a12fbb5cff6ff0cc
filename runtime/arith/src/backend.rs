//! Which instruction set the kernels use.

use crate::ArithError;
use std::cell::Cell;
use std::sync::OnceLock;

/// A set of kernels. All sets give the same bits; they differ in speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// One lane, `f64::mul_add`: the reference, and fast only where the target has FMA in its baseline.
    Portable,
    /// Four lanes, AVX2 and FMA.
    Avx2,
    /// Eight lanes, AVX-512F and AVX-512DQ.
    Avx512,
}

impl Backend {
    /// The backends this processor can run, slowest first.
    pub fn available() -> &'static [Backend] {
        static AVAILABLE: OnceLock<Vec<Backend>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            let all = [Backend::Portable, Backend::Avx2, Backend::Avx512];
            all.into_iter().filter(|b| b.is_supported()).collect()
        })
    }

    #[cfg(target_arch = "x86_64")]
    fn is_supported(self) -> bool {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        match self {
            Backend::Portable => true,
            Backend::Avx2 => avx2,
            Backend::Avx512 => avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq"),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_supported(self) -> bool {
        self == Backend::Portable
    }

    fn named(name: &str) -> Option<Backend> {
        match name {
            "portable" => Some(Backend::Portable),
            "avx2" => Some(Backend::Avx2),
            "avx512" => Some(Backend::Avx512),
            _ => None,
        }
    }
}

thread_local! {
    // Private, and only ever set to an available backend: the kernels rely on that.
    static FORCED: Cell<Option<Backend>> = const { Cell::new(None) };
}

/// The backend that kernels called from this thread use: the one forced by [`with_backend`], else the one that the
/// environment variable `HEC_BACKEND` (`portable`, `avx2`, `avx512`) names if the processor has it, else the fastest.
#[inline]
pub fn backend() -> Backend {
    FORCED.get().unwrap_or_else(chosen)
}

fn chosen() -> Backend {
    static CHOSEN: OnceLock<Backend> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let fastest = *Backend::available().last().unwrap_or(&Backend::Portable);
        let asked = std::env::var("HEC_BACKEND").ok().and_then(|name| Backend::named(&name));
        asked.filter(|b| Backend::available().contains(b)).unwrap_or(fastest)
    })
}

/// Runs `body` with the kernels of `backend`, on this thread only.
pub fn with_backend<R>(backend: Backend, body: impl FnOnce() -> R) -> Result<R, ArithError> {
    struct Restore(Option<Backend>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    if !Backend::available().contains(&backend) {
        return Err(ArithError::Backend(backend));
    }
    let _restore = Restore(FORCED.replace(Some(backend)));
    Ok(body())
}
