//! What is to be written and belongs to no change of rows: attempts that were refused, questions that
//! change nothing, and what operators did. It waits in memory until the thread that makes changes has written it, which is at
//! once while the database answers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Event, Who};
use crate::domain::time::Timestamp;

/// What operators did is kept waiting up to this many.
const WAITING_MAX: usize = 10_000;
/// Attempts that are written one by one in one second; of more, how many there were. Whoever tries
/// keys costs so many rows and not more.
const ATTEMPTS_MAX: u32 = 16;

/// See the module.
#[derive(Default)]
pub struct Noted {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    /// Whether somebody writes what waits.
    is_heard: bool,
    events: Vec<Event>,
    second: i64,
    attempts: u32,
    /// Those that were not written one by one.
    more: u64,
}

impl Noted {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on somebody writes what waits. Before that nothing is kept: there is no database.
    pub fn hear(&self) {
        self.lock().is_heard = true;
    }

    /// Something that was done.
    pub fn note(&self, event: Event) {
        self.add(event, false);
    }

    /// Something that was tried and refused, or asked and changes nothing.
    pub fn attempt(&self, event: Event) {
        self.add(event, true);
    }

    fn add(&self, event: Event, is_attempt: bool) {
        let mut waiting = self.lock();
        if !waiting.is_heard {
            return;
        }
        let second = event.at.secs();
        if waiting.second != second {
            waiting.second = second;
            waiting.attempts = 0;
        }
        if is_attempt {
            waiting.attempts += 1;
        }
        let is_too_much = is_attempt && waiting.attempts > ATTEMPTS_MAX;
        if is_too_much || waiting.events.len() >= WAITING_MAX {
            waiting.more += 1;
        } else {
            waiting.events.push(event);
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// Returns once there is something.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Whether attempts wait to be counted.
    pub fn has_more(&self) -> bool {
        self.lock().more > 0
    }

    /// Takes what waits; what was only counted too, once its second is over.
    pub fn take(&self, now: Timestamp) -> Vec<Event> {
        let mut waiting = self.lock();
        let mut events = std::mem::take(&mut waiting.events);
        if waiting.more > 0 && waiting.second != now.secs() {
            events.push(Event {
                at: now,
                mode: None,
                who: Who::Nobody,
                action: "attempts that are not written one by one".to_owned(),
                changes: Vec::new(),
                from: None,
                request_id: None,
                outcome: waiting.more.to_string(),
            });
            waiting.more = 0;
        }
        events
    }

    /// Puts back what could not be written.
    pub fn put_back(&self, mut events: Vec<Event>) {
        let mut waiting = self.lock();
        events.append(&mut waiting.events);
        let over = events.len().saturating_sub(WAITING_MAX);
        waiting.more += over as u64;
        events.truncate(WAITING_MAX);
        waiting.events = events;
    }
}
