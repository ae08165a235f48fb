//! How a node learns what the log has: entries that were told, pages that were read, all of it.

use std::collections::hash_map::Entry as Place;
use std::rc::Rc;
use std::time::Duration;

use redis::{Cmd, PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{
    BEHIND_ATTEMPTS, BEHIND_PAUSE, Failed, Node, OWNERS_AT_ONCE, Progress, Trouble, UNSENT_FOR,
    WALK_LEN,
};
use crate::domain::card::Key;
use crate::ledger::embedded::journal::Refusal;
use crate::ledger::embedded::store::{Learned, Unavailable};
use crate::ledger::redis::cluster::{Own, is_all, is_still};
use crate::ledger::redis::link::Link;
use crate::ledger::redis::refusal::{is_refusal, is_unknown_function};
use crate::ledger::redis::routes::{Routes, send};
use crate::ledger::redis::wire::{NOBODY, PAGE_LEN, Said, bucket_of, log_key, owner_of, told};
use crate::ledger::shared::{Entry, EntryId};

impl Node {
    /// Learns a page of an owner's log, and what follows it.
    pub(super) async fn learn_page(
        self: &Rc<Self>,
        owner: Key,
        from: u64,
        page: &[Vec<u8>],
    ) -> Result<(), Failed> {
        for (bytes, number) in page.iter().zip(from..) {
            self.learn_bytes(owner, number, bytes).await?;
        }
        if page.len() < PAGE_LEN {
            return Ok(());
        }
        self.catch_up(owner).await
    }

    /// Learns an owner's log from where this node knows it to its end.
    pub(super) async fn catch_up(self: &Rc<Self>, owner: Key) -> Result<(), Failed> {
        loop {
            let known = self.ledger.known_of(owner);
            let page = self.page(owner, known).await?;
            for (bytes, number) in page.iter().zip(known.0..) {
                self.learn_bytes(owner, number, bytes).await?;
            }
            if !page.is_empty() {
                self.advanced(Progress::Page);
            }
            if page.len() < PAGE_LEN {
                return Ok(());
            }
        }
    }

    fn advanced(&self, progress: Progress) {
        // Only at the start somebody waits for it.
        let _known = self.progress.send(progress);
    }

    pub(super) async fn page(
        &self,
        owner: Key,
        known: (u64, EntryId),
    ) -> Result<Vec<Vec<u8>>, Failed> {
        let read = |_: &str| self.commands.read(owner, known);
        self.page_of(self.ask(bucket_of(owner), &read).await?)
    }

    fn page_of(&self, answer: Value) -> Result<Vec<Vec<u8>>, Failed> {
        match Said::of(answer) {
            Said::Newer(page) => Ok(page),
            Said::Forgot => {
                self.refused();
                Err(Failed)
            }
            Said::Appended | Said::Claimed | Said::Nonsense => Err(Failed),
        }
    }

    /// Learns an owner's log, and has it take nobody else's entries for a short while.
    pub(super) async fn claim(self: &Rc<Self>, owner: Key) -> Result<(), Failed> {
        let known = self.ledger.known_of(owner);
        let claim = |_: &str| self.commands.claim(owner, known, self.number);
        let page = self.page_of(self.ask(bucket_of(owner), &claim).await?)?;
        self.learn_page(owner, known.0, &page).await
    }

    /// Asks what changes nothing, so that nothing is in doubt where it fails.
    async fn ask(&self, bucket: u16, make: &dyn Fn(&str) -> Cmd) -> Result<Value, Failed> {
        let called = self.routes.call(bucket, 0, UNSENT_FOR, make).await;
        let (number, answer) = called.ok_or(Failed)?;
        answer.map_err(|error| self.is_not_told(&error, number))
    }

    fn is_not_told(&self, error: &RedisError, link: u64) -> Failed {
        if is_unknown_function(error) {
            self.refused();
        } else if is_refusal(error) {
            self.is_refused(error, link);
        } else {
            self.routes.is_broken(link);
        }
        tracing::warn!(%error, "the shared log cannot be read");
        Failed
    }

    /// Whether every server that has a part of the log is armed. In a cluster operators hear whether any is.
    async fn are_armed(&self, servers: &[(Link, Option<u16>)]) -> Result<(), Failed> {
        let (mut is_any, mut are_all) = (false, true);
        for bucket in servers.iter().filter_map(|(_, bucket)| *bucket) {
            let look = |_: &str| self.commands.look(bucket);
            let is_armed = match self.ask(bucket, &look).await {
                Ok(answer) => self.page_of(answer).is_ok(),
                Err(Failed) => false,
            };
            is_any |= is_armed;
            are_all &= is_armed;
        }
        if self.has_forgotten.get() && self.is_cluster() {
            (self.tell)(Trouble::Forgot, !is_any);
        }
        are_all.then_some(()).ok_or(Failed)
    }

    fn is_cluster(&self) -> bool {
        matches!(self.routes, Routes::Cluster(_))
    }

    /// Whether every server that may append has answered now, each over a connection that was there before.
    pub(super) async fn is_heard(&self) -> bool {
        let Some(servers) = self.routes.all(UNSENT_FOR).await else {
            return false;
        };
        let are_armed = self.are_armed(&servers).await.is_ok();
        // These answers come over every connection.
        let Some(owns) = self.routes.owns(&servers).await else {
            return false;
        };
        let after = self.routes.all(Duration::ZERO).await;
        let numbers =
            |of: &[(Link, Option<u16>)]| of.iter().map(|it| it.0.number).collect::<Vec<_>>();
        let are_same = after.is_some_and(|after| numbers(&after) == numbers(&servers));
        are_armed && are_same && (is_all(&owns) || !self.is_cluster())
    }

    /// What every server has, while nothing is on its way from one to another.
    async fn still(&self, servers: &[(Link, Option<u16>)]) -> Result<Vec<Own>, Failed> {
        let owns = self.routes.owns(servers).await.ok_or(Failed)?;
        if self.is_cluster() && !(is_all(&owns) && is_still(&owns)) {
            tracing::warn!("slots are being moved; all is learned when they are not");
            return Err(Failed);
        }
        Ok(owns)
    }

    async fn learn_bytes(
        self: &Rc<Self>,
        owner: Key,
        number: u64,
        bytes: &[u8],
    ) -> Result<(), Failed> {
        match Entry::decode(bytes) {
            Ok(entry) => self.learn(owner, number, &entry).await.map(|_| ()),
            Err(_malformed) => Err(self.lose(owner, Unavailable::NotUnderstood)),
        }
    }

    /// Learns one entry. Where the disk does not keep up, it is waited for.
    pub(super) async fn learn(
        self: &Rc<Self>,
        owner: Key,
        number: u64,
        entry: &Entry<'_>,
    ) -> Result<Learned, Failed> {
        let mut is_kept = false;
        for _ in 0..BEHIND_ATTEMPTS {
            if self.ledger.is_poisoned() {
                return Err(Failed);
            }
            // Before it is folded: hot threads answer on what is.
            if !is_kept && self.ledger.known_of(owner) == (number, entry.after) {
                self.keep(owner, number, entry)?;
                is_kept = true;
            }
            match self.ledger.learn(owner, number, entry) {
                Ok(Learned::Now(position)) => {
                    if let Some(place) = self.pending.borrow_mut().get_mut(&entry.id) {
                        *place = Some(position);
                    }
                    return Ok(Learned::Now(position));
                }
                Ok(learned) => return Ok(learned),
                Err(Unavailable::Journal(Refusal::Behind | Refusal::Full)) => {
                    (self.kick)();
                    sleep(BEHIND_PAUSE).await;
                }
                Err(why) => return Err(self.lose(owner, why)),
            }
        }
        Err(self.lose(owner, Unavailable::Journal(Refusal::Behind)))
    }

    /// Nothing that rests on an entry leaves before it is in the copy.
    fn keep(self: &Rc<Self>, owner: Key, number: u64, entry: &Entry<'_>) -> Result<(), Failed> {
        let kept = self.copy.borrow_mut().keep(owner, number, &entry.encode());
        kept.map_err(|error| {
            tracing::error!(%error, "the copy of the shared log cannot be written");
            self.lose(owner, Unavailable::Journal(Refusal::Full))
        })
    }

    /// Redis says that it may have forgotten something. Operators are told when that begins.
    pub(super) fn refused(&self) {
        self.refusals.set(self.refusals.get().wrapping_add(1));
        let had_forgotten = self.has_forgotten.replace(true);
        self.tell_known();
        if !had_forgotten {
            let trouble = match self.is_cluster() {
                true => Trouble::ForgotPartly,
                false => Trouble::Forgot,
            };
            (self.tell)(trouble, true);
        }
    }

    /// Looks whether Redis was armed, which nobody tells. A balancer sends nothing to a node that is not
    /// ready.
    pub(super) fn look_again(self: &Rc<Self>) {
        if !self.ledger.is_poisoned() && self.looking.get() == 0 {
            tokio::task::spawn_local(Rc::clone(self).look());
        }
    }

    /// Learns all; where it fails it is tried again.
    pub(super) async fn look(self: Rc<Self>) {
        self.looking.set(self.looking.get().saturating_add(1));
        let number = self.connected.get();
        if self.learn_all().await.is_ok() && self.stand().is_ok() {
            self.learned.set(number.max(self.learned.get()));
            self.tell_known();
            self.advanced(Progress::All);
        }
        self.looking.set(self.looking.get().saturating_sub(1));
    }

    /// The copy has everything that the one before it could have.
    fn stand(self: &Rc<Self>) -> Result<(), Failed> {
        let stands = self.copy.borrow_mut().stand();
        stands.map_err(|error| {
            tracing::error!(%error, "the copy of the shared log cannot take its place");
            self.lose(NOBODY, Unavailable::Journal(Refusal::Full))
        })
    }

    pub(super) async fn hear_all(
        self: &Rc<Self>,
        messages: &mut mpsc::UnboundedReceiver<(u64, PushInfo)>,
    ) {
        while let Ok(message) = messages.try_recv() {
            self.hear(message).await;
        }
        (self.kick)();
    }

    /// What this node knows is not what the log says any more: it approves nothing until it is started
    /// again.
    fn lose(self: &Rc<Self>, owner: Key, why: Unavailable) -> Failed {
        tracing::error!(
            ?why,
            "an entry of the shared log could not be taken; nothing is approved"
        );
        self.ledger.poison();
        self.tell_known();
        if why == Unavailable::Contradicted {
            self.refused();
            // Said to Redis too, so that no other node approves on what was lost.
            let node = Rc::clone(self);
            tokio::task::spawn_local(async move {
                let _refused = node.page(owner, node.ledger.known_of(owner)).await;
            });
        } else {
            (self.tell)(Trouble::NotFollowed, true);
        }
        Failed
    }

    /// Learns an entry that was told to everybody, and what is missing before it.
    pub(super) async fn hear(self: &Rc<Self>, (link, message): (u64, PushInfo)) {
        if message.kind == PushKind::Disconnection {
            return self.routes.is_broken(link);
        }
        if message.kind != PushKind::Message {
            return;
        }
        let Some(Value::BulkString(bytes)) = message.data.get(1) else {
            return;
        };
        let Some((owner, number, entry)) = told(bytes) else {
            return;
        };
        let Ok(entry) = Entry::decode(entry) else {
            self.lose(owner, Unavailable::NotUnderstood);
            return;
        };
        if let Ok(Learned::Missing(_)) = self.learn(owner, number, &entry).await {
            self.catch_up_once(owner);
        }
    }

    /// Has an owner's log learned to its end, once at a time.
    fn catch_up_once(self: &Rc<Self>, owner: Key) {
        match self.catching.borrow_mut().entry(owner) {
            Place::Occupied(mut grown) => {
                grown.insert(true);
                return;
            }
            Place::Vacant(vacant) => vacant.insert(false),
        };
        let node = Rc::clone(self);
        tokio::task::spawn_local(async move {
            loop {
                let learned = node.catch_up(owner).await;
                let mut catching = node.catching.borrow_mut();
                let grown = catching.get_mut(&owner).is_some_and(std::mem::take);
                // What stays unknown is learned when it matters: the log refuses the next draft.
                if learned.is_err() || !grown {
                    catching.remove(&owner);
                    break;
                }
            }
            (node.kick)();
        });
    }

    /// Learns all that is in the log of a ledger that is armed.
    async fn learn_all(self: &Rc<Self>) -> Result<(), Failed> {
        let refusals = self.refusals.get();
        let mut servers = self.routes.all(UNSENT_FOR).await.ok_or(Failed)?;
        // Of a Redis that lost everything there is nothing to walk through.
        self.are_armed(&servers).await?;
        // What is moved from one server to another between two walks would be in neither.
        let before = self.still(&servers).await?;
        for (link, _) in &mut servers {
            self.learn_server(link).await?;
        }
        if self.still(&servers).await? != before {
            return Err(Failed);
        }
        let is_poisoned = self.ledger.is_poisoned();
        if refusals == self.refusals.get() && !is_poisoned && self.has_forgotten.replace(false) {
            (self.tell)(Trouble::Forgot, false);
            (self.tell)(Trouble::ForgotPartly, false);
        }
        Ok(())
    }

    /// Learns every log that a server has.
    async fn learn_server(self: &Rc<Self>, link: &mut Link) -> Result<(), Failed> {
        let mut cursor = b"0".to_vec();
        loop {
            let (next, keys) = self.walk(link, &cursor).await?;
            let owners: Vec<Key> = keys.iter().filter_map(|key| owner_of(key)).collect();
            self.are_at_home(&owners, link).await?;
            for few in owners.chunks(OWNERS_AT_ONCE) {
                let learn = |&owner: &Key| {
                    let node = Rc::clone(self);
                    tokio::task::spawn_local(async move { node.catch_up(owner).await })
                };
                let learning: Vec<_> = few.iter().map(learn).collect();
                for one in learning {
                    one.await.map_err(|_panicked| Failed)??;
                }
                (self.kick)();
            }
            if next == b"0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Where the move of a slot was given up half-way, a log may be at a server that is not asked for it, and
    /// whoever is asked has none: the customer would begin anew.
    async fn are_at_home(&self, owners: &[Key], link: &Link) -> Result<(), Failed> {
        for owner in owners {
            let home = self.routes.get(bucket_of(*owner), 0, UNSENT_FOR).await;
            if home.ok_or(Failed)?.number != link.number {
                tracing::error!(
                    log = log_key(*owner),
                    "a server has a log whose slot it does not have; nothing is learned until that is put right"
                );
                self.advanced(Progress::Astray);
                return Err(Failed);
            }
        }
        Ok(())
    }

    async fn walk(
        &self,
        link: &mut Link,
        cursor: &[u8],
    ) -> Result<(Vec<u8>, Vec<Vec<u8>>), Failed> {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg("countersign:{*}:*");
        scan.arg("COUNT").arg(WALK_LEN);
        let answer = send(link, &scan).await;
        let answer = answer.map_err(|error| self.is_not_told(&error, link.number))?;
        redis::from_redis_value(answer).map_err(|error| {
            tracing::warn!(%error, "Redis gave an answer that is none");
            Failed
        })
    }
}
