//! One copy of each policy and each list, whoever has it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::decide::policy::Policy;
use crate::domain::mcc::MccSet;

/// The policies of a draft.
#[derive(Default)]
pub(super) struct Pool {
    policies: HashSet<Arc<Policy>>,
    lists: HashSet<Arc<MccSet>>,
    /// Addresses of the policies of the base that are known to be in `policies`.
    of_base: HashSet<usize>,
}

impl Pool {
    /// One copy of each policy; none for the one that says nothing.
    pub(super) fn intern(&mut self, mut policy: Policy) -> Option<Arc<Policy>> {
        if policy.is_empty() {
            return None;
        }
        if let Some(known) = self.policies.get(&policy) {
            return Some(Arc::clone(known));
        }
        policy.share_lists(&mut self.lists);
        let policy = Arc::new(policy);
        self.policies.insert(Arc::clone(&policy));
        Some(policy)
    }

    /// Takes the base's copy of a row's policy where both say the same, so that versions share it.
    pub(super) fn prefer(&mut self, own: &mut Option<Arc<Policy>>, base: Option<&Arc<Policy>>) {
        let Some(base) = base.filter(|base| own.as_ref() == Some(*base)) else {
            return;
        };
        if self.of_base.insert(Arc::as_ptr(base) as usize) {
            self.policies.replace(Arc::clone(base));
        }
        *own = Some(Arc::clone(base));
    }

    /// The copy that all share, once every row of the base was seen.
    pub(super) fn settle(&self, own: &mut Option<Arc<Policy>>) {
        let known = own.as_ref().and_then(|own| self.policies.get(own));
        if let Some(known) = known {
            *own = Some(Arc::clone(known));
        }
    }
}
