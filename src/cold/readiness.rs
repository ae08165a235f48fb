//! Whether the process can answer, and what an operator should look at.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether the process can answer authorizations, and if not, why.
#[derive(Debug, Default)]
pub struct Readiness {
    recovered: AtomicBool,
    reasons: Mutex<BTreeSet<&'static str>>,
    warnings: Mutex<BTreeSet<&'static str>>,
}

impl Readiness {
    /// The ledger is recovered.
    pub fn set_recovered(&self) {
        self.recovered.store(true, Ordering::Release);
    }

    pub(super) fn is_recovered(&self) -> bool {
        self.recovered.load(Ordering::Acquire)
    }

    /// The process cannot answer, for this reason: a short stable word.
    pub fn set_reason(&self, reason: &'static str) {
        self.with_reasons(|reasons| reasons.insert(reason));
    }

    /// The reason has gone.
    pub fn clear_reason(&self, reason: &'static str) {
        self.with_reasons(|reasons| reasons.remove(reason));
    }

    /// Something wants an operator's eye, though the process can answer.
    pub fn set_warning(&self, warning: &'static str) {
        self.with_warnings(|warnings| warnings.insert(warning));
    }

    /// The warning has gone.
    pub fn clear_warning(&self, warning: &'static str) {
        self.with_warnings(|warnings| warnings.remove(warning));
    }

    pub(super) fn has_any_warning(&self, of: &[&'static str]) -> bool {
        self.with_warnings(|warnings| of.iter().any(|warning| warnings.contains(warning)))
    }

    pub(super) fn with_warnings<T>(&self, act: impl FnOnce(&mut BTreeSet<&'static str>) -> T) -> T {
        act(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn with_reasons<T>(&self, act: impl FnOnce(&mut BTreeSet<&'static str>) -> T) -> T {
        act(&mut self.reasons.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
