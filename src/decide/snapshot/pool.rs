//! One copy of each policy, whoever has it, and over versions.

use std::collections::HashSet;
use std::sync::Arc;

use crate::decide::policy::{Policy, Pool};

/// The policies of a draft.
#[derive(Default)]
pub(super) struct Shared {
    pool: Pool,
    /// Policies of the base that rows keep.
    kept: HashSet<Arc<Policy>>,
    /// The addresses of those, so that each is looked at once.
    addresses: HashSet<usize>,
}

impl Shared {
    /// The copy of a row's policy: the base's, where the row had the same before.
    pub(super) fn share(
        &mut self,
        policy: Policy,
        before: Option<&Arc<Policy>>,
    ) -> Option<Arc<Policy>> {
        let Some(before) = before.filter(|before| ***before == policy) else {
            return self.pool.share(policy);
        };
        if self.addresses.insert(Arc::as_ptr(before) as usize) {
            self.kept.insert(Arc::clone(before));
        }
        Some(Arc::clone(before))
    }

    /// The base's copy of what a row has anew, once every row was seen.
    pub(super) fn settle(&self, own: &mut Option<Arc<Policy>>) {
        let kept = own.as_ref().and_then(|own| self.kept.get(own));
        if let Some(kept) = kept {
            *own = Some(Arc::clone(kept));
        }
    }
}
