//! Earmarks behind purchase cards, on a sheet of paper: what agent and customer are charged with in the
//! place of the card.

use countersign::domain::card::Key;
use countersign::domain::time::Timestamp;
use countersign::ledger::check;
use countersign::ledger::command::Back;
use proptest::sample::Index;

use crate::calendar::Date;
use crate::commands::{Ask, CARDS, CardPolicy, Merchant, PROBE_MAX};
use crate::lives::Books;
use crate::lockstep::{Lockstep, card_ref, key};
use crate::model::{Fact, Model, Moment};
use crate::sheet::{Place, Scope};

/// The authorizations that are earmarks; nothing is reported about them.
const FIRST: u8 = 100;
/// The card that no issuer has, on which all of them stand.
pub(crate) const PLACEHOLDER: u8 = CARDS;

pub(crate) fn is_earmark(authorization: u8) -> bool {
    authorization >= FIRST
}

fn earmark_key(n: u8) -> Key {
    key(1, FIRST + n)
}

/// What stands behind a card: the life of the earmark, and whether what is unused stays with the card.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backing {
    life: usize,
    is_open: bool,
    /// The approval that the earmark has counted for.
    stands_for: Option<u64>,
}

impl Model {
    /// Absent where it is refused, else whether it changes anything.
    fn back(&mut self, card: u8, n: u8, moment: Moment) -> Option<bool> {
        let life = self.life_of(FIRST + n);
        if let Some(known) = self.backed.get(&card) {
            return (Some(known.life) == life).then_some(false);
        }
        let is_used = self.sheet.spent(Scope::Card(card)) > 0
            || self.counts_for_ever(Scope::Card(card)) > 0
            || self.is_canceled(card);
        let is_free =
            |life: usize| self.stands_beside(life, None) && self.known[life].life.is_none();
        let life = life.filter(|life| !is_used && is_free(*life))?;
        let backing = Backing {
            life,
            is_open: true,
            stands_for: None,
        };
        self.backed.insert(card, backing);
        self.sheet.back(card);
        self.follow(Some(card), moment);
        Some(true)
    }

    /// What is left of the open earmark behind a card.
    pub(crate) fn unused_earmark(&self, card: u8) -> Option<i128> {
        let backing = self.backed.get(&card).filter(|it| it.is_open)?;
        let known = &self.known[backing.life];
        let life = known.life.as_ref().filter(|_| !known.is_forgotten)?;
        Some((life.held() - self.held_on(card)).max(0))
    }

    /// The approvals of a scope that count.
    pub(crate) fn counted(&self, scope: Scope) -> impl Iterator<Item = &Fact> {
        let above = |fact: &Fact| fact.above || !fact.card.is_some_and(|card| self.is_backed(card));
        let is_card = matches!(scope, Scope::Card(_));
        let is_of = move |fact: &&Fact| fact.is_of(scope) && (is_card || above(fact));
        self.facts.iter().filter(|fact| fact.counted).filter(is_of)
    }

    /// Approvals in this hour, on this day, for ever.
    pub(crate) fn counts(&self, scope: Scope, hour: i32, day: Date) -> [usize; 3] {
        let counted: Vec<_> = self.counted(scope).collect();
        let of_hour = counted
            .iter()
            .filter(|fact| fact.place.hour == hour)
            .count();
        let of_day = counted.iter().filter(|fact| fact.place.day == day).count();
        [of_hour, of_day, counted.len()]
    }

    /// How many of them were approved in the window that holds the day.
    pub(crate) fn counted_with(&self, scope: Scope, window: usize, day: Date) -> usize {
        let with_it = |fact: &&Fact| fact.place.day.is_with(day, window);
        self.counted(scope).filter(with_it).count()
    }

    /// Of the approvals on a card, the earmark has counted for one; the others count for themselves.
    pub(crate) fn count_beside(&mut self, position: u64) {
        let fact = self.facts.iter_mut().find(|it| it.position == position);
        let fact = fact.unwrap();
        let card = fact.card;
        let Some(backing) = card.and_then(|card| self.backed.get_mut(&card)) else {
            return;
        };
        match backing.stands_for {
            None => backing.stands_for = Some(position),
            Some(_) => fact.above = true,
        }
    }

    /// These approvals count no more.
    pub(crate) fn leave_earmarks(&mut self, positions: &[u64]) {
        for backing in self.backed.values_mut() {
            let stays = |position: &u64| !positions.contains(position);
            backing.stands_for = backing.stands_for.filter(stays);
        }
    }

    /// Whether an approval would be the one that the earmark has counted for, or a probe before it.
    pub(crate) fn is_counted_by_earmark(&self, ask: &Ask, card: &CardPolicy) -> bool {
        let is_taken = |it: &Backing| it.stands_for.is_some();
        let is_taken = self.backed.get(&ask.card).is_some_and(is_taken);
        self.unused_earmark(ask.card).is_some() && (!is_taken || self.would_probe(ask, card))
    }

    /// Whether an approval would be the one probe of its card.
    pub(crate) fn would_probe(&self, ask: &Ask, card: &CardPolicy) -> bool {
        let may = card.past.may_probe && ask.amount <= PROBE_MAX;
        let unused = self.probe_of(ask.card).is_none() && !self.is_consumed(ask.card);
        card.single_use && may && unused && !self.is_purchase(ask.authorization)
    }

    /// Whether the earmark behind a card is forgotten.
    pub(crate) fn is_lost(&self, card: u8) -> bool {
        let backing = self.backed.get(&card);
        backing.is_some_and(|it| self.known[it.life].is_forgotten)
    }

    /// Approvals for ever.
    fn counts_for_ever(&self, scope: Scope) -> usize {
        let counted = self.facts.iter().filter(|fact| fact.counted);
        counted.filter(|fact| fact.is_of(scope)).count()
    }

    /// What an earmark covers of what is asked for, by level.
    pub(crate) fn covered(&self, card: u8) -> [i128; 3] {
        let unused = self.unused_earmark(card).unwrap_or(0);
        [0, unused, unused]
    }

    /// The cards with an open earmark.
    fn open_backed(&self) -> Vec<u8> {
        let open = self.backed.keys().copied();
        open.filter(|card| self.unused_earmark(*card).is_some())
            .collect()
    }

    pub(crate) fn is_backed(&self, card: u8) -> bool {
        self.backed.contains_key(&card)
    }

    fn held_on(&self, card: u8) -> i128 {
        let day = self.day();
        day.map_or(0, |day| self.sums(Scope::Card(card), 3, day).1)
    }

    /// Nothing more is asked for on the card.
    pub(crate) fn close(&mut self, card: u8, moment: Moment) {
        if let Some(backing) = self.backed.get_mut(&card) {
            backing.is_open = false;
            self.follow(Some(card), moment);
        }
    }

    /// What happens on its card is heard of the earmark too.
    pub(crate) fn hear(&mut self, card: Option<u8>, moment: Moment) {
        if let Some(number) = self.follow(card, moment) {
            let life = self.known[number].life.as_mut().unwrap();
            life.at = life.at.max(moment.at);
        }
    }

    /// The earmark has posted what its card has posted, and holds what the card holds, or more.
    pub(crate) fn follow(&mut self, card: Option<u8>, moment: Moment) -> Option<usize> {
        let card = card?;
        let mut backing = *self.backed.get(&card)?;
        let held = self.held_on(card);
        let posted = self.sheet.spent(Scope::Card(card)) - held;
        if self.is_consumed(card) && held == 0 && posted != 0 {
            backing.is_open = false;
            self.backed.insert(card, backing);
        }
        let number = backing.life;
        if self.known[number].is_forgotten {
            return None;
        }
        if self.known[number].life.is_none() {
            self.known[number].life = Some(self.begin(Some(number)));
        }
        let steps = || self.facts.iter().filter(|fact| fact.life == number);
        let approved: i128 = steps().filter(|it| it.stands()).map(|it| it.amount).sum();
        let agent = steps().next().and_then(|it| it.place.agent);
        let before = self.known[number].life.clone().unwrap();
        let settled = (posted - before.charged()).max(0);
        let left = (before.held() - settled).max(0);
        let unused = (approved - posted).max(0).min(left);
        let wanted = Books {
            held: if backing.is_open {
                unused.max(held)
            } else {
                held
            },
            posted,
            ..Books::default()
        };
        let open = Place {
            day: self.day().unwrap(),
            hour: self.hour().unwrap(),
            at: self.latest().unwrap(),
            agent,
        };
        self.move_to(number, &wanted, open, moment);
        Some(number)
    }
}

impl Lockstep {
    /// Asks on a card with an open earmark, or cancels it; nothing where there is none.
    pub(crate) fn use_backed(&mut self, index: &Index, ask: Option<&Ask>) {
        let open = self.model.open_backed();
        if open.is_empty() {
            return;
        }
        let card = open[index.index(open.len())];
        match ask {
            Some(ask) => self.ask(&Ask {
                card,
                ..ask.clone()
            }),
            None => self.set_card(card, Some(2), None),
        }
    }

    /// Sets aside so much, where the limits have room, and puts it behind a card, where that is new.
    pub(crate) fn earmark(&mut self, card: u8, n: u8, amount: i64) {
        let merchant = Merchant {
            strong: None,
            weak: 0,
            sub: None,
        };
        let asked = Ask {
            authorization: FIRST + n,
            card: PLACEHOLDER,
            name: None,
            delivery: None,
            content: 1,
            kind: countersign::domain::authorization::AuthorizationKind::Authorization,
            amount,
            merchant,
            rule: None,
            expired: false,
            closed: false,
        };
        self.ask(&asked);
        // Nobody takes it back or asks for more of it.
        self.asked.pop();
        let id = format!("card_{card}");
        let command = Back {
            card: card_ref(card, &id),
            earmark: earmark_key(n),
            at: Timestamp::from_micros(self.now),
        };
        let outcome = check::earmarks::back(&self.state, &command);
        let backed = outcome.ok().map(|events| self.apply_any(&events));
        let moment = self.moment();
        assert_eq!(backed, self.model.back(card, n, moment), "{command:?}");
        if backed == Some(true) {
            self.saw("earmark behind a card");
        }
    }
}
