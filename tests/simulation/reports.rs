//! What the issuer reports: whole accounts in Lithic's shape, single movements in Marqeta's; late,
//! in any order, again and again, and lost until it sends them anew.

use std::rc::Rc;
use std::sync::Arc;

use countersign::domain::hold_time::HoldTime;
use countersign::domain::lifecycle::{BookStatus, MovementKind, OnReversal, StandingStatus};
use countersign::domain::time::Timestamp;
use countersign::hot::pipeline::Arrival;
use countersign::hot::pipeline::events::Observed;
use countersign::issuer::delivery::Header;
use countersign::issuer::standard_webhooks::sign;
use countersign::ledger::command::BookAnswer;

use crate::issuer::{Message, secret};
use crate::lives::{Account, Happened};
use crate::model::life::{Received, Report};
use crate::model::{Book, Owner, What, locks_to_first};
use crate::planted::Planted;
use crate::run::{Checked, DAY_US, Run};
use crate::trace::hold;
use crate::world::{MERCHANTS, Merchant, ZONES, card_token};

/// A hold of which the issuer says nothing is given back after so long: one of the usual time, and any.
const HOLD_US: [i64; 2] = [9 * DAY_US, 33 * DAY_US];
/// After so long the issuer speaks of an authorization no more: before it is forgotten.
const SPOKEN_OF_US: i64 = 40 * DAY_US;
/// Steps without a name in their question have one above this in accounts.
const NAMELESS: u32 = 1 << 30;
/// An account is at its end after so many movements.
const MOVEMENTS_MAX: usize = 7;

/// Something that the issuer has done, and its word for it.
#[derive(Clone, Copy, Debug)]
struct Movement {
    id: u32,
    kind: MovementKind,
    amount: i64,
    at: i64,
}

/// One message of the issuer.
#[derive(Clone)]
struct Sent {
    body: Rc<[u8]>,
    report: Report,
    /// How many lines there were when it was booked; absent until it is.
    heard_at: Option<usize>,
}

/// The issuer's own account of one authorization.
pub(crate) struct Issued {
    /// Which authorization, and its id.
    number: u32,
    token: String,
    card: usize,
    merchant: usize,
    since: i64,
    tells_all: bool,
    restores: bool,
    movements: Vec<Movement>,
    sent: Vec<Sent>,
    held: i64,
    posted: i64,
    refunded: i64,
    /// Steps that it has taken without asking.
    unasked: u32,
    /// When it made its latest account.
    told_at: i64,
    end: Option<StandingStatus>,
}

/// The issuer's id of an authorization.
pub(crate) fn token_of(number: u32) -> String {
    let message = Message {
        authorization: number,
        ..Message::nothing()
    };
    message.token()
}

impl Issued {
    /// These steps, by their names where the questions had any, and those that nobody was asked about.
    /// The issuer approved the first ones.
    fn asked(&self, names: &[Option<u32>], approvals: u32) -> Vec<Movement> {
        let unasked = (0..self.unasked).map(|_| None);
        let steps = names.iter().copied().chain(unasked);
        let asked = (0u32..).zip(steps).map(|(at, name)| Movement {
            id: name.unwrap_or(NAMELESS + at),
            kind: if at < approvals {
                MovementKind::Authorized
            } else {
                MovementKind::Declined
            },
            amount: 1,
            at: self.told_at,
        });
        asked.collect()
    }

    /// The whole account, as Lithic sends it.
    fn account(&self, names: &[Option<u32>], approvals: u32) -> (Rc<[u8]>, Report) {
        let asked = self.asked(names, approvals);
        let asks = u32::try_from(asked.len()).unwrap();
        let others = u32::try_from(self.movements.len()).unwrap();
        let status = self.end.unwrap_or(if self.posted > 0 {
            StandingStatus::Settled
        } else {
            StandingStatus::Pending
        });
        let word = word_of(status);
        let mut events = Vec::new();
        for ask in &asked {
            let is_approved = ask.kind == MovementKind::Authorized;
            let result = ["DECLINED", "APPROVED"][usize::from(is_approved)];
            let token = format!("evt_{}", ask.id);
            events.push(event(&token, "AUTHORIZATION", result, ask.amount));
        }
        for it in &self.movements {
            let what = match it.kind {
                MovementKind::Posted { .. } => "CLEARING",
                MovementKind::Refunded => "RETURN",
                MovementKind::Expired => "AUTHORIZATION_EXPIRY",
                MovementKind::Released => "AUTHORIZATION_REVERSAL",
                MovementKind::Authorized
                | MovementKind::AuthorizedAndPosted
                | MovementKind::Declined
                | MovementKind::Replaced
                | MovementKind::RefundReversed
                | MovementKind::Noted
                | MovementKind::Disputed => continue,
            };
            events.push(event(
                &format!("mov_{}", it.id),
                what,
                "APPROVED",
                it.amount,
            ));
        }
        let body = format!(
            r#"{{"event_type":"card_transaction.updated","token":"{}","card_token":"{}","merchant":{},"updated":"{}","status":"{word}","amounts":{{"cardholder":{},"hold":{},"settlement":{}}},"events":[{}]}}"#,
            self.token,
            card_token(self.card),
            merchant(self.merchant),
            Timestamp::from_micros(self.told_at).rfc3339(),
            money(0),
            money(-self.held),
            money(self.refunded - self.posted),
            events.join(","),
        );
        let moves_money = |it: &&Movement| {
            matches!(
                it.kind,
                MovementKind::Posted { .. } | MovementKind::Refunded
            )
        };
        // What came back beyond what was posted is the net; nobody can tell more.
        let report = self.report(
            self.movements.iter().filter(moves_money).chain(&asked),
            Some(Account {
                status,
                asks,
                approvals,
                others,
                held: self.held,
                posted: Some(self.posted),
                refunded: Some(self.refunded),
                made_at: Some(self.told_at),
            }),
        );
        (Rc::from(body.into_bytes()), report)
    }

    fn report<'m>(
        &self,
        movements: impl Iterator<Item = &'m Movement>,
        account: Option<Account>,
    ) -> Report {
        let happened = |it: &Movement| Happened {
            id: id_of(it),
            kind: it.kind,
            amount: it.amount,
            at: account.is_none().then_some(it.at),
        };
        let happened: Vec<_> = movements.map(happened).collect();
        // Who contests a purchase tells nothing of the merchant.
        let tells_merchant = !happened.iter().any(|it| it.kind.is_dispute());
        Report {
            authorization: 0,
            card: 0,
            happened,
            account,
            merchant: Some(self.merchant).filter(|_| tells_merchant),
            mcc: Some(MERCHANTS[self.merchant].mcc).filter(|_| tells_merchant),
            refunds_restore: self.restores,
            on_reversal: OnReversal::GiveBack,
        }
    }

    /// One movement, as Marqeta sends it.
    fn single(&self, it: &Movement) -> (Rc<[u8]>, Report) {
        let (what, state) = match it.kind {
            MovementKind::Authorized => ("authorization.incremental", "PENDING"),
            MovementKind::Declined => ("authorization", "DECLINED"),
            MovementKind::Replaced => ("authorization.advice", "PENDING"),
            MovementKind::Released => ("authorization.reversal", "CLEARED"),
            MovementKind::Expired => ("authorization.reversal.issuerexpiration", "CLEARED"),
            MovementKind::Refunded => ("refund", "COMPLETION"),
            MovementKind::Disputed => ("authorization.clearing.chargeback", "COMPLETION"),
            MovementKind::Posted { .. }
            | MovementKind::AuthorizedAndPosted
            | MovementKind::RefundReversed
            | MovementKind::Noted => ("authorization.clearing", "COMPLETION"),
        };
        let is_last = it.kind == MovementKind::Posted { is_last: true };
        let own = if is_ask(it.kind) {
            format!(r#""token":"evt_{}","#, it.id)
        } else {
            String::new()
        };
        let body = format!(
            r#"{{"transactions":[{{"type":"{what}","state":"{state}","token":"mov_{}","card_token":"{}",{},"amount":{}.{:02},"currency_code":"USD","created_time":"{}","is_final_clearing":{is_last},"gpa_order":{{"jit_funding":{{{own}"original_jit_funding_token":"{}"}}}}}}]}}"#,
            it.id,
            card_token(self.card),
            card_acceptor(self.merchant),
            it.amount / 100,
            it.amount % 100,
            Timestamp::from_micros(it.at).rfc3339(),
            self.token,
        );
        let report = self.report(std::iter::once(it), None);
        (Rc::from(body.into_bytes()), report)
    }

    /// A word on a dispute, by itself at every issuer.
    fn dispute(&self, it: &Movement) -> (Rc<[u8]>, Report) {
        if !self.tells_all {
            return self.single(it);
        }
        let body = format!(
            r#"{{"event_type":"dispute_transaction.updated","token":"mov_{}","card_token":"{}","currency":"USD","transaction_series":{{"related_transaction_token":"{}"}},"liability_allocation":{{"original_amount":{}}}}}"#,
            it.id,
            card_token(self.card),
            self.token,
            it.amount,
        );
        let report = self.report(std::iter::once(it), None);
        let happened = report.happened.into_iter();
        let happened = happened.map(|it| Happened { at: None, ..it }).collect();
        let report = Report { happened, ..report };
        (Rc::from(body.into_bytes()), report)
    }

    fn are_all_heard(&self) -> bool {
        self.sent.iter().all(|sent| sent.heard_at.is_some())
    }
}

fn is_ask(kind: MovementKind) -> bool {
    matches!(kind, MovementKind::Authorized | MovementKind::Declined)
}

/// Steps have the numbers of their names, other movements numbers far above.
fn id_of(it: &Movement) -> u64 {
    let above = if is_ask(it.kind) { 0 } else { 1 << 32 };
    above + u64::from(it.id)
}

/// Lithic's word for it.
fn word_of(status: StandingStatus) -> &'static str {
    match status {
        StandingStatus::Voided => "VOIDED",
        StandingStatus::Expired => "EXPIRED",
        StandingStatus::Declined => "DECLINED",
        StandingStatus::Settled => "SETTLED",
        StandingStatus::Pending | StandingStatus::Closed => "PENDING",
    }
}

fn money(amount: i64) -> String {
    format!(r#"{{"amount":{amount},"currency":"USD"}}"#)
}

/// In Lithic's shape.
fn merchant(which: usize) -> String {
    let Merchant {
        acquirer,
        acceptor,
        descriptor,
        mcc,
    } = MERCHANTS[which];
    format!(
        r#"{{"acceptor_id":"{acceptor}","acquiring_institution_id":"{acquirer}","descriptor":"{descriptor}","mcc":"{mcc}","city":"ONLINE","state":"","country":"USA"}}"#
    )
}

/// In Marqeta's.
fn card_acceptor(which: usize) -> String {
    let Merchant {
        acquirer,
        acceptor,
        descriptor,
        mcc,
    } = MERCHANTS[which];
    format!(
        r#""acquirer":{{"institution_id_code":"{acquirer}"}},"card_acceptor":{{"mid":"{acceptor}","name":"{descriptor}","mcc":"{mcc}","city":"ONLINE","country":"USA"}}"#
    )
}

fn event(token: &str, what: &str, result: &str, amount: i64) -> String {
    format!(r#"{{"token":"{token}","type":"{what}","result":"{result}","amount":{amount}}}"#)
}

impl Run {
    /// The issuer does something, or says again what it has said.
    pub(crate) fn issuer_speaks(&mut self) -> Checked {
        match self.chance.below(10) {
            0..4 => {
                let at = self.any_issued();
                self.moves(at);
                if self.chance.one_in(3) {
                    return Ok(());
                }
                let last = self.issued[at].sent.len();
                last.checked_sub(1)
                    .map_or(Ok(()), |last| self.tell(at, last))
            }
            4..9 if !self.issued.is_empty() => {
                let recent = self.issued.len().min(12);
                let at = self.issued.len() - 1 - self.chance.index(recent);
                let count = self.issued[at].sent.len();
                if count == 0 {
                    return Ok(());
                }
                let which = self.chance.index(count);
                self.tell(at, which)
            }
            _ => self.lapse(),
        }
    }

    /// An account of an authorization: one that was begun, else of one that was asked, else of one
    /// that nobody has asked yet.
    fn any_issued(&mut self) -> usize {
        let recent = self.issued.len().min(8);
        if recent > 0 && self.chance.one_in(2) {
            return self.issued.len() - 1 - self.chance.index(recent);
        }
        let asked = self.sent.len().min(12);
        let (number, card, merchant) = if asked > 0 && !self.chance.one_in(6) {
            let message = &self.sent[self.sent.len() - 1 - self.chance.index(asked)].message;
            (message.authorization, message.card, message.merchant)
        } else {
            let card = self.chance.index(self.world().cards.len());
            (self.number(), card, self.chance.index(MERCHANTS.len()))
        };
        if let Some(known) = self.issued.iter().position(|it| it.number == number) {
            return known;
        }
        if !self.world().cards.get(card).is_some_and(|it| it.present) {
            // Whose card nobody knows is for other tests.
            return self
                .issued
                .len()
                .checked_sub(1)
                .unwrap_or_else(|| self.begin(number, 0, merchant));
        }
        self.begin(number, card, merchant)
    }

    fn begin(&mut self, number: u32, card: usize, merchant: usize) -> usize {
        let customer = self.world().cards[card].customer;
        self.issued.push(Issued {
            number,
            token: token_of(number),
            card,
            merchant,
            since: self.clock,
            tells_all: self.chance.one_in(2),
            restores: customer == 0,
            movements: Vec::new(),
            sent: Vec::new(),
            held: 0,
            posted: 0,
            refunded: 0,
            told_at: 0,
            unasked: 0,
            end: None,
        });
        self.issued.len() - 1
    }

    /// Whether the issuer has spoken of it for long enough.
    fn is_old(&self, at: usize) -> bool {
        self.clock > self.issued[at].since + SPOKEN_OF_US
    }

    /// One thing more happens to an authorization at its issuer, and it makes a message of it.
    fn moves(&mut self, at: usize) {
        let (number, card) = (self.issued[at].number, self.issued[at].card);
        if self.issued[at].movements.len() >= MOVEMENTS_MAX || self.is_old(at) {
            return;
        }
        let owner = Owner::Customer(self.worlds[0].cards[card].customer);
        let steps = self.model.of_book(owner, |book| book.steps_of(number));
        let approved: i64 = steps.iter().map(|(_, _, reserved)| reserved).sum();
        let some = 1 + i64::try_from(self.chance.below(40)).unwrap();
        let id = self.number();
        let now = self.clock;
        let issued = &mut self.issued[at];
        let move_of = |kind, amount| Movement {
            id,
            kind,
            amount,
            at: now,
        };
        let what = self.chance.below(13);
        let whole = issued.held.max(approved - issued.posted).max(0);
        let movement = match what {
            0..2 if !issued.tells_all => {
                let named = steps.iter().find_map(|(name, approves, reserved)| {
                    let named = (*name)?;
                    let told = |it: &Movement| is_ask(it.kind) && it.id == named;
                    let is_new = !issued.movements.iter().any(told);
                    is_new.then_some((named, *approves, *reserved))
                });
                let Some((named, approves, reserved)) = named else {
                    return;
                };
                let kind = if approves && what == 0 {
                    MovementKind::Authorized
                } else {
                    MovementKind::Declined
                };
                Movement {
                    id: named,
                    ..move_of(kind, reserved)
                }
            }
            2 if !issued.tells_all => move_of(MovementKind::Replaced, some),
            0..3 => {
                issued.held = if what == 0 { approved + some } else { approved };
                move_of(MovementKind::Noted, 0)
            }
            3..5 => move_of(MovementKind::Posted { is_last: false }, some),
            5 => move_of(MovementKind::Posted { is_last: true }, whole.max(1)),
            6 => move_of(MovementKind::Released, some),
            7 => move_of(MovementKind::Released, whole),
            8 => move_of(MovementKind::Expired, whole),
            9 if issued.tells_all => {
                issued.end = Some(StandingStatus::Declined);
                issued.held = 0;
                move_of(MovementKind::Noted, 0)
            }
            12 => move_of(MovementKind::Disputed, some),
            _ => move_of(MovementKind::Refunded, some.min(20)),
        };
        let names: Vec<Option<u32>> = steps.iter().map(|(name, _, _)| *name).collect();
        self.has_moved(at, movement, &names);
    }

    fn has_moved(&mut self, at: usize, movement: Movement, names: &[Option<u32>]) {
        let (declined, now) = (self.chance.one_in(6), self.clock);
        let takes_alone = self.chance.one_in(8);
        let issued = &mut self.issued[at];
        let amount = movement.amount;
        let is_news = movement.kind != MovementKind::Noted;
        match movement.kind {
            MovementKind::Posted { is_last } => {
                issued.posted += amount;
                issued.held = (issued.held - amount).max(0);
                if is_last {
                    issued.held = 0;
                }
                issued.end = issued.end.filter(|it| *it == StandingStatus::Expired);
            }
            MovementKind::Refunded => issued.refunded += amount,
            MovementKind::Released => {
                issued.held = (issued.held - amount).max(0);
                if issued.held == 0 && issued.posted == 0 {
                    issued.end = Some(StandingStatus::Voided);
                }
            }
            MovementKind::Expired => {
                issued.held = 0;
                issued.end = Some(StandingStatus::Expired);
            }
            MovementKind::Authorized
            | MovementKind::AuthorizedAndPosted
            | MovementKind::Declined
            | MovementKind::Replaced
            | MovementKind::RefundReversed
            | MovementKind::Noted
            | MovementKind::Disputed => {}
        }
        let (body, mut report) = if movement.kind.is_dispute() {
            issued.dispute(&movement)
        } else if issued.tells_all {
            if is_news {
                issued.movements.push(movement);
            }
            issued.unasked += u32::from(takes_alone);
            let steps = u32::try_from(names.len()).unwrap() + issued.unasked;
            let approvals = steps.saturating_sub(u32::from(declined));
            issued.told_at = now.max(issued.told_at + 1);
            issued.account(names, approvals)
        } else {
            issued.movements.push(movement);
            issued.single(&movement)
        };
        report.authorization = 0;
        issued.sent.push(Sent {
            body,
            report,
            heard_at: None,
        });
    }

    /// Delivers one message of the issuer, once more or for the first time.
    fn tell(&mut self, at: usize, which: usize) -> Checked {
        if self.is_old(at) {
            return Ok(());
        }
        let issued = &self.issued[at];
        let (number, card) = (issued.number, issued.card);
        let mut sent = issued.sent[which].clone();
        if self.planted == Planted::ReportedTwice && sent.heard_at.is_some() {
            let text = String::from_utf8(sent.body.to_vec()).unwrap();
            sent.body = Rc::from(text.replace("mov_", "again_").into_bytes());
        }
        let world_card = &self.world().cards[card];
        // Of a card that left the snapshot nobody knows the policy.
        sent.report.refunds_restore &= world_card.present;
        let of_world = world_card
            .present
            .then_some(Owner::Customer(world_card.customer));
        let Some(owner) = of_world.or_else(|| self.model.owner_of(card)) else {
            return Ok(());
        };
        let report = &sent.report;
        let received = self.received(number, card);
        let is_misplaced = self.model.is_of_others(owner, number);
        let expected = if is_misplaced {
            BookStatus::Ignored
        } else {
            let hears = |book: &Book| book.hears(report, &received);
            self.model.of_book(owner, hears)
        };
        if is_misplaced {
            self.cover.hit("report: of another customer's card");
        }
        let observed = self.observe(self.issued[at].tells_all, &sent.body);
        self.trace.note(format_args!(
            "{} report on {number}: {report:?} {observed:?}",
            self.clock
        ));
        match observed {
            Observed::Booked(answer) => {
                hold!(
                    answer.status == expected,
                    "books",
                    "a report on {number} was {:?}, not {expected:?}: {report:?}",
                    answer.status
                );
                self.booked(owner, sent.report, (number, card), &answer);
            }
            Observed::Unavailable => {
                hold!(!self.must_answer, "alive", "a report was not taken");
                self.cover.hit("report: unavailable");
                if self.planted != Planted::ReportDropped {
                    return Ok(());
                }
            }
            Observed::Refused(_) | Observed::NotUnderstood(_) => {
                hold!(false, "I8", "a report was {observed:?}: {report:?}");
            }
        }
        self.issued[at].sent[which].heard_at = Some(self.model.lines.len());
        Ok(())
    }

    /// The engine's word on a body, through the connection of its shape.
    fn observe(&mut self, tells_all: bool, body: &[u8]) -> Observed {
        let connection = Arc::clone(if tells_all {
            &self.connection
        } else {
            &self.singles
        });
        let delivery = self.number();
        let now = Timestamp::from_micros(self.clock);
        let headers = sign(&secret(), &format!("evt_{delivery}"), now, body);
        let headers = if tells_all {
            headers.presented()
        } else {
            connection.events().present(|_| Header::Absent)
        };
        self.engine.pipeline.observe(&Arrival {
            connection: &connection,
            headers,
            body,
            received: now,
            behind_us: 0,
        })
    }

    /// A report was taken: writes the line, if it was news.
    fn booked(
        &mut self,
        owner: Owner,
        report: Report,
        (number, card): (u32, usize),
        answer: &BookAnswer,
    ) {
        self.cover.hit(match answer.status {
            BookStatus::Applied => "report: applied",
            BookStatus::Duplicate => "report: duplicate",
            BookStatus::Stale => "report: stale",
            BookStatus::Ignored => "report: ignored",
        });
        if answer.status != BookStatus::Applied {
            return;
        }
        self.engine.kick();
        let received = self.received(number, card);
        self.note_cover(owner, number);
        if self.planted == Planted::ReportBeforeDurable {
            self.relied_on.insert(self.model.lines.len());
        }
        self.commanded(owner, What::Booked(report, received), answer.position);
        self.note_cover(owner, number);
    }

    fn received(&self, number: u32, card: usize) -> Received {
        let known = Some(&self.world().cards[card]).filter(|it| it.present);
        let customer = known.map(|it| &self.world().customers[it.customer]);
        Received {
            number,
            at: self.clock,
            card: Some(card),
            agent: known.and_then(|it| it.agent),
            preset: known.and_then(|it| it.preset),
            single_use: known.is_some_and(|it| it.single_use),
            locks_to_first: known.is_some() && locks_to_first(self.world(), card),
            offset: customer.map_or(0, |it| ZONES[it.zone].1),
        }
    }

    fn note_cover(&mut self, owner: Owner, number: u32) {
        let Some((books, has_lapsed)) = self.model.of_book(owner, |book| book.books_of(number))
        else {
            return;
        };
        let (consumes, locks) = self.model.of_book(owner, |book| book.uses_alone(number));
        let met = [
            (consumes, "books: consumed without us"),
            (locks, "books: locked without us"),
            (books.is_undone, "books: undone"),
            (books.forced, "books: forced"),
            (books.excess, "books: excess"),
            (books.declined_there, "books: declined by the issuer"),
            (
                books.is_expired && books.posted > 0,
                "books: posted after expiry",
            ),
            (books.refunded > 0, "books: refunded"),
            (has_lapsed, "books: lapsed"),
            (books.drift, "books: drifted"),
            (books.disputed, "books: disputed"),
        ];
        for (_, what) in met.into_iter().filter(|(is, _)| *is) {
            self.cover.hit(what);
        }
    }

    /// Gives back what the issuer has forgotten.
    fn lapse(&mut self) -> Checked {
        let is_usual = self.chance.one_in(2);
        let time = if is_usual {
            HoldTime::Usual
        } else {
            HoldTime::Long
        };
        let cut = self.clock - HOLD_US[usize::from(!is_usual)];
        let quiet = self.model.quiet(cut, is_usual);
        let before = self.engine.image_of_each();
        let complete = self.engine.lapse(Timestamp::from_micros(cut), time);
        let after = self.engine.image_of_each();
        self.engine.kick();
        let has_changed = |owner: &Owner| before.get(owner) != after.get(owner);
        for owner in &quiet {
            hold!(
                has_changed(owner) || !complete,
                "books",
                "{owner:?} holds what its issuer has forgotten"
            );
            if has_changed(owner) {
                self.cover
                    .hit(if is_usual { "lapsed: usual" } else { "lapsed" });
                self.backlog += 1;
                self.model.push(*owner, What::Lapsed(cut, is_usual), None);
            }
        }
        if is_usual && !self.model.quiet(cut, false).is_empty() {
            self.cover.hit("outlived the usual time");
        }
        let others = before.keys().filter(|owner| !quiet.contains(owner));
        for owner in others {
            hold!(
                !has_changed(owner),
                "books",
                "{owner:?} lapsed before its time"
            );
        }
        Ok(())
    }

    /// Everything that the issuer has to say arrives at last, in any order.
    pub(crate) fn tell_the_rest(&mut self) -> Checked {
        let mut left = Vec::new();
        for (at, issued) in self.issued.iter().enumerate() {
            let waits = issued.sent.iter().enumerate();
            let waits = waits.filter(|(_, sent)| sent.heard_at.is_none());
            left.extend(waits.map(|(which, _)| (at, which)));
        }
        while !left.is_empty() {
            let (at, which) = left.swap_remove(self.chance.index(left.len()));
            self.tell(at, which)?;
            if self.chance.one_in(8) {
                self.tell(at, which)?;
            }
            self.engine.settle(&self.disk);
        }
        Ok(())
    }

    /// A crash has forgotten lines: what was booked by them comes again.
    pub(crate) fn forget_reports(&mut self, kept: usize) {
        for sent in self.issued.iter_mut().flat_map(|issued| &mut issued.sent) {
            sent.heard_at = sent.heard_at.filter(|at| *at <= kept);
        }
    }

    /// B: once all has arrived, in whatever order, the books say what the issuer's say.
    pub(crate) fn compare_issued(&mut self) -> Checked {
        for at in 0..self.issued.len() {
            let issued = &self.issued[at];
            let owner = Owner::Customer(self.worlds[0].cards[issued.card].customer);
            let Some((books, has_lapsed)) = self
                .model
                .of_book(owner, |book| book.books_of(issued.number))
            else {
                continue;
            };
            if !issued.are_all_heard() || issued.sent.is_empty() || self.is_old(at) {
                continue;
            }
            let (posted, refunded) = (i128::from(issued.posted), i128::from(issued.refunded));
            hold!(
                (books.posted, books.refunded) == (posted, refunded),
                "books",
                "{}: the issuer posted {posted} and refunded {refunded}, the books say {books:?}",
                issued.number
            );
            let is_over = issued.end.is_some() && issued.tells_all;
            hold!(
                !(is_over && has_lapsed && books.held > 0),
                "books",
                "{} is over and holds {}",
                issued.number,
                books.held
            );
            self.cover.hit("an account agrees with its issuer's");
        }
        Ok(())
    }
}
