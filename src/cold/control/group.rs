//! Changes that are made together: one snapshot, one transaction, one wait for the journal.
//!
//! They come from callers who did not wait for each other, so that any order of them is right; no two
//! of one group are of the same row. Where they do not go together, because one of them does not fit
//! or has met another one's row, each is made alone and answered for itself.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::{BEHIND, Failed, Keeper, NotOrdered, Order, Work, compile};
use crate::cold::durable::becomes_durable;
use crate::cold::store::outward::OutboxRow;
use crate::cold::store::{Batch, Change, StoreError};
use crate::cold::webhooks::notice;
use crate::decide::compile::Builder;
use crate::decide::snapshot::Snapshot;
use crate::fingerprint::Fingerprinter;
use crate::ledger::embedded::journal::Position;

/// A change, and who waits for it.
pub(super) struct Asked {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Result<(), Failed>>,
}

impl Asked {
    fn answered(self, outcome: Result<(), Failed>) {
        // Nobody listens any more where the caller has gone away.
        let _gone = self.answer.send(outcome);
    }

    fn changes_rules(&self) -> bool {
        self.work.batch.iter().any(|change| change.rule().is_some())
    }

    /// Whether it has orders that come after its rows. Issuers are told how the ledger stands, so that
    /// what is told of it waits for them.
    fn has_later_orders(&self) -> bool {
        let orders = &self.work.orders;
        !self.work.after.is_empty() || orders.iter().any(|order| !order.goes_first())
    }

    /// Its rows, as they are kept while its later orders are to come.
    fn kept(&self) -> Vec<Change> {
        let kept = |change: &Change| {
            let told = self.told_later(change).map(OutboxRow::announced);
            told.map_or_else(|| change.clone(), Change::Outbox)
        };
        self.work.batch.iter().map(kept).collect()
    }

    /// What issuers are to be told once its later orders are given.
    fn announced(&self) -> Vec<Change> {
        let told = self.work.batch.iter().filter_map(|it| self.told_later(it));
        told.map(Change::Outbox).collect()
    }

    fn told_later(&self, change: &Change) -> Option<OutboxRow> {
        let Change::Outbox(row) = change else {
            return None;
        };
        let is_so = self.has_later_orders() && row.errand.tells_of_standing();
        is_so.then(|| row.clone())
    }

    /// Its orders of one kind, taken out of it.
    fn orders(&mut self, go_first: bool) -> Vec<Order> {
        let orders = std::mem::take(&mut self.work.orders);
        let (taken, left) = orders
            .into_iter()
            .partition(|order| order.goes_first() == go_first);
        self.work.orders = left;
        if go_first {
            return taken;
        }
        let after = std::mem::take(&mut self.work.after);
        taken.into_iter().chain(after).collect()
    }
}

/// Why a group was not kept.
enum Unkept {
    /// Nothing of it is: one of them has met another one's row.
    Conflict,
    /// Nobody knows.
    Fault,
}

impl Keeper {
    /// Makes all of them, and answers each.
    pub(super) async fn make_all(&mut self, mut waiting: Vec<Asked>) {
        while !waiting.is_empty() {
            let (group, others) = apart(waiting);
            waiting = others;
            self.make_group(group).await;
        }
    }

    async fn make_group(&mut self, group: Vec<Asked>) {
        let rows_rule = self.around.rows_rule;
        let (group, ruled): (Vec<Asked>, Vec<Asked>) = group.into_iter().partition(|asked| {
            let work = &asked.work;
            let has_orders = !(work.orders.is_empty() && work.after.is_empty());
            rows_rule || !(asked.changes_rules() || has_orders)
        });
        for asked in ruled {
            asked.answered(Err(Failed::FileRules));
        }
        if let Err(failed) = self.catch_up().await {
            for asked in group {
                asked.answered(Err(failed.clone()));
            }
            return;
        }
        let group = self.noticed(group).await;
        match self.check(&group) {
            Ok(()) => {
                let group = self.ordered(group, true).await;
                self.keep(group).await;
            }
            Err(_one_of_them) => {
                for asked in group {
                    self.make_alone(asked).await;
                }
            }
        }
    }

    /// With what webhooks are to be told of each.
    async fn noticed(&self, group: Vec<Asked>) -> Vec<Asked> {
        let mut noticed = Vec::with_capacity(group.len());
        for mut asked in group {
            let now = self.around.clock.now();
            let told = notice::of_batch(&*self.around.store, &asked.work.batch, now).await;
            match told {
                Ok(told) => {
                    asked.work.batch.extend(told);
                    noticed.push(asked);
                }
                Err(error) => {
                    tracing::error!(%error, "what webhooks are to be told of a change");
                    asked.answered(Err(Failed::Store));
                }
            }
        }
        noticed
    }

    async fn make_alone(&mut self, asked: Asked) {
        let alone = vec![asked];
        match self.check(&alone) {
            Ok(()) => {
                let alone = self.ordered(alone, true).await;
                self.keep(alone).await;
            }
            Err(failed) => self.end(alone, Err(failed)).await,
        }
    }

    /// Keeps what was ordered where it had to be, and puts it in force.
    async fn keep(&mut self, group: Vec<Asked>) {
        match self.keep_together(&group).await {
            Ok(()) => self.settle(group).await,
            Err(Failed::Conflict) if group.len() > 1 => {
                for asked in group {
                    let alone = vec![asked];
                    let kept = self.keep_together(&alone).await;
                    self.end(alone, kept).await;
                }
            }
            Err(failed) => self.end(group, Err(failed)).await,
        }
    }

    async fn end(&self, group: Vec<Asked>, kept: Result<(), Failed>) {
        match kept {
            Ok(()) => self.settle(group).await,
            Err(failed) => {
                for asked in group {
                    asked.answered(Err(failed.clone()));
                }
            }
        }
    }

    async fn keep_together(&mut self, group: &[Asked]) -> Result<(), Failed> {
        if group.is_empty() {
            return Ok(());
        }
        // Where they do not go together, one may leave the database unknown to the next.
        self.catch_up().await?;
        let next = self.compile(group)?;
        self.apply(group).await.map_err(|unkept| match unkept {
            Unkept::Conflict => Failed::Conflict,
            Unkept::Fault => Failed::Store,
        })?;
        if let Some(next) = next {
            self.publish(next);
        }
        let mut changes = group.iter().flat_map(|asked| &asked.work.batch);
        if changes.clone().any(|it| matches!(it, Change::Outbox(_))) {
            self.around.bell.notify_waiters();
        }
        if changes.any(|it| matches!(it, Change::Webhooks(_))) {
            self.around.webhook_bell.notify_waiters();
        }
        Ok(())
    }

    async fn apply(&mut self, group: &[Asked]) -> Result<(), Unkept> {
        let batch: Batch = group.iter().flat_map(Asked::kept).collect();
        let entries = batch.iter();
        let entry_count = entries
            .filter(|change| matches!(change, Change::Audit(_)))
            .count();
        match self.around.store.apply(batch).await {
            Ok(()) => {
                self.trail.kept(entry_count, self.around.clock.now());
                Ok(())
            }
            Err(StoreError::Conflict) => Err(Unkept::Conflict),
            Err(StoreError::Fault(why)) => {
                // Where it was kept, its entries are to be signed as well.
                self.trail.kept(entry_count, self.around.clock.now());
                tracing::error!(%why, "a change may be kept in the database and not in force");
                self.is_behind
                    .store(self.around.rows_rule, Ordering::Release);
                self.around.readiness.set_warning(BEHIND);
                Err(Unkept::Fault)
            }
        }
    }

    /// Gives the orders that come last, answers, and has issuers told what those have let go.
    async fn settle(&self, group: Vec<Asked>) {
        let announced: Batch = group.iter().flat_map(Asked::announced).collect();
        for asked in self.ordered(group, false).await {
            asked.answered(Ok(()));
        }
        if announced.is_empty() {
            return;
        }
        if let Err(error) = self.around.store.apply(announced).await {
            tracing::warn!(%error, "an issuer is told a minute late what is let go");
        }
        self.around.bell.notify_waiters();
    }

    /// Whether all of them fit together into what is in force.
    fn check(&self, group: &[Asked]) -> Result<(), Failed> {
        let before = self.around.snapshots.load();
        put_all(&before, &self.around.keys, group).map(drop)
    }

    /// The next snapshot with all of them; absent where they decide nothing.
    fn compile(&self, group: &[Asked]) -> Result<Option<Snapshot>, Failed> {
        if !group.iter().any(Asked::changes_rules) {
            return Ok(None);
        }
        let before = self.around.snapshots.load();
        let builder = put_all(&before, &self.around.keys, group)?;
        Ok(Some(builder.finish(before.version() + 1)))
    }

    /// Gives their orders of one kind and waits until they stand. Those whose orders do are left;
    /// the others are answered.
    async fn ordered(&self, group: Vec<Asked>, go_first: bool) -> Vec<Asked> {
        let mut given = Vec::with_capacity(group.len());
        for mut asked in group {
            let orders = asked.orders(go_first);
            given.push((self.give(orders).await, asked));
        }
        let mut left = Vec::with_capacity(given.len());
        for (position, asked) in given {
            match self.stands(position).await {
                Ok(()) => left.push(asked),
                Err(not_ordered) => asked.answered(Err(Failed::Ledger(not_ordered))),
            }
        }
        left
    }

    async fn give(&self, orders: Vec<Order>) -> Result<Option<Position>, NotOrdered> {
        let mut last = None;
        for order in orders {
            let at = self.around.clock.now();
            let given = order.give(&self.around.ledger, &self.around.keys, at);
            last = Some(given.await?);
        }
        Ok(last)
    }

    /// A later position covers those before it, so that a group waits once.
    async fn stands(&self, given: Result<Option<Position>, NotOrdered>) -> Result<(), NotOrdered> {
        let Some(position) = given? else {
            return Ok(());
        };
        let is_durable = becomes_durable(&self.around.journal, position).await;
        is_durable.then_some(()).ok_or(NotOrdered::Unavailable)
    }
}

fn put_all<'k>(
    before: &Snapshot,
    keys: &'k Fingerprinter,
    group: &[Asked],
) -> Result<Builder<'k, Fingerprinter>, Failed> {
    let mut builder = Builder::changing(before, keys);
    for change in group.iter().flat_map(|asked| &asked.work.batch) {
        compile::put(&mut builder, change).map_err(Failed::Refused)?;
    }
    Ok(builder)
}

/// Those that go together, and those of which another one has the same row, in their order.
fn apart(waiting: Vec<Asked>) -> (Vec<Asked>, Vec<Asked>) {
    let mut rows = HashSet::new();
    let (mut group, mut others) = (Vec::new(), Vec::new());
    for asked in waiting {
        let own = asked.work.batch.iter().filter_map(Change::row);
        let own: Vec<String> = own.map(str::to_owned).collect();
        let is_apart = own.iter().all(|row| !rows.contains(row));
        rows.extend(own);
        if is_apart {
            group.push(asked);
        } else {
            others.push(asked);
        }
    }
    (group, others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::store::outward::Errand;
    use crate::domain::time::Timestamp;

    fn asked(cards: &[&str]) -> Asked {
        let row = |card: &&str| {
            let now = Timestamp::from_secs(1);
            Change::Outbox(OutboxRow::of_card(Errand::State, card, "acme", now))
        };
        let (answer, _) = oneshot::channel();
        let work = Work {
            batch: cards.iter().map(row).collect(),
            ..Work::default()
        };
        Asked { work, answer }
    }

    fn rows(of: &[Asked]) -> Vec<String> {
        let changes = of.iter().flat_map(|asked| &asked.work.batch);
        let rows = changes.filter_map(Change::row);
        rows.map(|row| row.replace("state:", "")).collect()
    }

    #[test]
    fn no_two_of_a_group_are_of_one_row_and_the_others_keep_their_order() {
        let waiting = ["a", "b c", "a d", "d", "e", "c"];
        let waiting = waiting.map(|rows| asked(&rows.split(' ').collect::<Vec<_>>()));
        let (group, others) = apart(Vec::from(waiting));
        assert_eq!(rows(&group), ["a", "b", "c", "e"]);
        // `d` waits, too: who asked for it before is to have it before.
        assert_eq!(rows(&others), ["a", "d", "d", "c"]);
    }
}
