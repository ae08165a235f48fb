//! What agents say about their cards, what people answer, and what risk rules do.

use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::time::Timestamp;
use countersign::ledger::command::IntentRefused;
use countersign::ledger::embedded::store::commands::IntentUnavailable;

use crate::commands::intent_of;
use crate::disk::Chance;
use crate::issuer::Message;
use crate::model::past::{EXPECTED, MINUTE_US, Refusal, Terms, Verb, WAITING_MAX};
use crate::model::{Book, Owner, What};
use crate::run::{Checked, Run};
use crate::trace::hold;
use crate::world::MERCHANTS;

impl From<IntentRefused> for Refusal {
    fn from(refused: IntentRefused) -> Self {
        match refused {
            IntentRefused::Unknown => Self::Unknown,
            IntentRefused::Conflict => Self::Conflict,
            IntentRefused::TooMany => Self::TooMany,
            IntentRefused::Closed => Self::Closed,
            IntentRefused::Refused => panic!("numbers are not used up"),
        }
    }
}

type Answered = Result<Option<u64>, IntentUnavailable>;

impl Run {
    /// Where the card's agent has said what it is going to buy, it mostly buys that.
    pub(crate) fn as_intended(&mut self, mut message: Message) -> Message {
        let (card, now) = (message.card, self.clock);
        if !message.spends() || self.chance.one_in(3) {
            return message;
        }
        let Some(customer) = self.world().cards.get(card).map(|card| card.customer) else {
            return message;
        };
        let live = |book: &Book| book.live_intent(card, now).cloned();
        let Some(terms) = self.model.of_book(Owner::Customer(customer), live) else {
            return message;
        };
        if let Some(cap) = terms.cap {
            message.amount = match self.chance.below(4) {
                0 => cap + 1,
                1 => cap,
                _ => cap.min(1 + i64::try_from(self.chance.below(50)).unwrap()),
            };
        }
        if let Some(expected) = terms.merchant {
            let named = EXPECTED[expected].1;
            message.merchant = named[self.chance.index(named.len())];
        }
        message
    }

    /// The very instant at which something ends for a card, or a microsecond beside it.
    pub(crate) fn at_an_edge(&mut self) -> Checked {
        let card = self.chance.index(self.world().cards.len());
        let owner = Owner::Customer(self.world().cards[card].customer);
        let world = self.worlds.last().unwrap();
        let edges = self.model.of_book(owner, |book| book.edges(world, card));
        let ahead = |at: i64| u64::try_from(at.checked_sub(self.clock)?).ok();
        let mut ways: Vec<u64> = edges.into_iter().filter_map(ahead).collect();
        ways.sort_unstable();
        ways.truncate(5);
        if ways.is_empty() {
            return Ok(());
        }
        let way = ways[self.chance.index(ways.len())];
        let near = (way + self.chance.below(2)).saturating_sub(self.chance.below(2));
        self.clock += i64::try_from(near).unwrap();
        self.cover.hit("asked at an edge");
        let mut message = self.new_message();
        message.card = card;
        message.kind = AuthorizationKind::Authorization;
        message.amount = self.any_amount(card).max(1);
        let message = self.as_intended(message);
        let sent = self.send(message);
        self.deliver(sent)
    }

    /// Declarations, settlements and attestations.
    pub(crate) fn agent_speaks(&mut self) -> Checked {
        let habits = self.world().habits;
        match self.chance.below(10) {
            0..5 if habits.intents || self.chance.one_in(4) => self.declare(),
            5..7 if habits.intents || self.chance.one_in(4) => self.settle(),
            7..9 if habits.attestations || self.chance.one_in(4) => self.attest(),
            9 => self.risk_rule(),
            _ => Ok(()),
        }
    }

    fn any_terms(&mut self) -> Terms {
        let chance = &mut self.chance;
        let small =
            |up_to: u64, chance: &mut Chance| i64::try_from(1 + chance.below(up_to)).unwrap();
        let expected = (!chance.one_in(5)).then(|| small(60, chance));
        let merchant = chance.one_in(2).then(|| chance.index(EXPECTED.len()));
        let mccs = match (merchant, chance.below(4)) {
            (Some(at), 0) => vec![MERCHANTS[EXPECTED[at].1[0]].mcc],
            (None, 0) => vec![5734, 7011],
            _ => Vec::new(),
        };
        Terms {
            expected,
            cap: expected.map(|it| it + small(8, chance) - 1),
            euros: [None, Some(false), Some(false), Some(true)][chance.index(4)],
            merchant,
            mccs,
            expires_at: self.clock + small(30, chance) * MINUTE_US,
            awaits: chance.one_in(6),
        }
    }

    /// A new intent, one that was declared before, or one under a name that is in use.
    fn declare(&mut self) -> Checked {
        let crowd = self.chance.one_in(40);
        for _ in 0..if crowd { WAITING_MAX + 2 } else { 1 } {
            let at = self.chance.index(self.world().cards.len());
            let at = if crowd { 0 } else { at };
            let terms = self.any_terms();
            let owner = Owner::Customer(self.world().cards[at].customer);
            let known = self.model.of_book(owner, |book| book.intents(self.clock));
            if known.is_empty() || crowd || !self.chance.one_in(6) {
                let number = self.number();
                self.declare_as(at, number, terms)?;
                continue;
            }
            let (of, number, _) = known[self.chance.index(known.len())];
            let said = self.model.of_book(owner, |book| book.intent(number));
            let said = said.filter(|_| self.chance.one_in(2));
            self.declare_as(of, number, said.map_or(terms, |(_, said)| said))?;
        }
        Ok(())
    }

    fn declare_as(&mut self, at: usize, number: u32, terms: Terms) -> Checked {
        let card = self.world().cards[at].clone();
        let (owner, now) = (Owner::Customer(card.customer), self.clock);
        let expected = self
            .model
            .of_book(owner, |book| book.declares(at, number, &terms, now));
        let key = intent_of(at, number);
        let moment = Timestamp::from_micros(now);
        let answer = self.engine.declare(&card, at, key, &terms, moment);
        let told = format!("{now} card {at} intent {number}: {answer:?} {terms:?}");
        self.trace.note(format_args!("{told}"));
        let what = What::Declared(at, number, terms, now);
        self.answered(owner, &told, expected, answer, what)
    }

    fn settle(&mut self) -> Checked {
        let now = self.clock;
        let customer = self.chance.index(self.world().customers.len());
        let owner = Owner::Customer(customer);
        let known = self.model.of_book(owner, |book| book.intents(now));
        let (card, number, _) = if known.is_empty() || self.chance.one_in(12) {
            (0, 1_000_000, "")
        } else {
            known[known.len() - 1 - self.chance.index(known.len().min(6))]
        };
        let verb = [Verb::Approve, Verb::Approve, Verb::Reject, Verb::Cancel];
        let verb = verb[self.chance.index(4)];
        let expected = self
            .model
            .of_book(owner, |book| book.settles(number, verb, now));
        let key = intent_of(card, number);
        let moment = Timestamp::from_micros(now);
        let answer = self.engine.settle_intent(customer, key, verb, moment);
        let told = format!("{now} intent {number} {verb:?}: {answer:?}");
        self.trace.note(format_args!("{told}"));
        self.answered(
            owner,
            &told,
            expected,
            answer,
            What::Settled(card, number, verb),
        )
    }

    /// News has a position, a repetition has none, and a refusal is the model's.
    fn answered(
        &mut self,
        owner: Owner,
        told: &str,
        expected: Result<bool, Refusal>,
        answer: Answered,
        what: What,
    ) -> Checked {
        self.engine.kick();
        let got = match answer {
            Err(IntentUnavailable::Journal(_)) => return Ok(()),
            Err(IntentUnavailable::Refused(refused)) => Err(Refusal::from(refused)),
            Ok(position) => Ok(position),
        };
        hold!(
            got.map(|position| position.is_some()) == expected,
            "rules",
            "{told}; the model says {expected:?}"
        );
        match got {
            Ok(Some(_)) if matches!(what, What::Settled(..)) => self.cover.hit("intent settled"),
            Ok(Some(_)) => self.cover.hit("intent declared"),
            Ok(None) => self.cover.hit("intent: said before"),
            Err(Refusal::Unknown) => self.cover.hit("intent refused: unknown"),
            Err(Refusal::Conflict) => self.cover.hit("intent refused: another content"),
            Err(Refusal::TooMany) => self.cover.hit("intent refused: too many"),
            Err(Refusal::Closed) => self.cover.hit("intent refused: closed"),
        }
        self.commanded(owner, what, got.ok().flatten());
        Ok(())
    }

    fn attest(&mut self) -> Checked {
        let at = self.chance.index(self.world().cards.len());
        let card = self.world().cards[at].clone();
        let moment = Timestamp::from_micros(self.clock);
        let answer = self.engine.attest(&card, at, moment);
        self.engine.kick();
        self.trace.note(format_args!(
            "{} card {at} attested: {answer:?}",
            self.clock
        ));
        let Ok(position) = answer else {
            return Ok(());
        };
        hold!(position.is_some(), "rules", "an attestation left no trace");
        self.cover.hit("attested");
        let what = What::Attested(at, self.clock);
        self.commanded(Owner::Customer(card.customer), what, position);
        Ok(())
    }

    /// A risk rule freezes; what it would unfreeze stays as it is (behaviour 2.14 j).
    fn risk_rule(&mut self) -> Checked {
        let at = self.chance.index(self.world().cards.len());
        let card = self.world().cards[at].clone();
        let owner = Owner::Customer(card.customer);
        let (_, is_frozen) = self.model.card_set(owner, at);
        let frozen = if is_frozen {
            self.chance.one_in(4)
        } else {
            self.chance.one_in(3)
        };
        let moment = Timestamp::from_micros(self.clock);
        let answer = self.engine.set_by_risk(&card, at, frozen, moment);
        self.engine.kick();
        self.trace
            .note(format_args!("card {at} by risk {frozen}: {answer:?}"));
        if is_frozen && !frozen {
            hold!(
                answer.is_err(),
                "rules",
                "a risk rule lifted the freeze of card {at}"
            );
            self.cover.hit("risk: nothing is unfrozen");
        } else if let Ok(position) = answer {
            let changes = frozen != is_frozen;
            hold!(position.is_some() == changes, "rules", "card {at}");
            if changes {
                self.cover.hit("risk: frozen");
            }
            self.commanded(owner, What::RiskFrozen(at), position);
        }
        Ok(())
    }
}
