//! What issuers report, on a sheet of paper, for models to compare the ledger with: everything that was ever said is kept as it was said,
//! and where an authorization ought to stand is read from all of it each time.

use std::collections::{BTreeMap, BTreeSet};

use countersign::domain::lifecycle::{BookStatus, MovementKind, OnReversal, StandingStatus};

/// Something that happened, as a report tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happened {
    pub(crate) id: u64,
    pub(crate) kind: MovementKind,
    pub(crate) amount: i64,
    /// By the issuer's clock.
    pub(crate) at: Option<i64>,
}

/// The whole account, as a report tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) status: StandingStatus,
    pub(crate) asks: u32,
    pub(crate) approvals: u32,
    pub(crate) others: u32,
    pub(crate) held: i64,
    pub(crate) posted: Option<i64>,
    pub(crate) refunded: Option<i64>,
    /// When its issuer made it.
    pub(crate) made_at: Option<i64>,
}

/// No sum is larger.
const LARGEST: i128 = (1 << 53) - 1;

/// One report.
#[derive(Clone, Debug)]
pub(crate) struct Report<M> {
    pub(crate) authorization: u8,
    pub(crate) card: u8,
    pub(crate) happened: Vec<Happened>,
    pub(crate) account: Option<Account>,
    pub(crate) merchant: Option<M>,
    /// The merchant's category.
    pub(crate) mcc: Option<u16>,
    pub(crate) refunds_restore: bool,
    pub(crate) on_reversal: OnReversal,
}

/// Every category that was named of an authorization.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named(BTreeSet<u16>);

/// Those of these tests that are held for about a month.
pub(crate) const HELD_LONG: [u16; 2] = [7_011, 3_600];

impl Named {
    pub(crate) fn name(&mut self, mcc: Option<u16>) {
        self.0.extend(mcc);
    }

    /// Whether it is held for about a week; one of which nobody knows is not.
    pub(crate) fn is_usual(&self) -> bool {
        !self.0.is_empty() && !self.is_long()
    }

    fn is_long(&self) -> bool {
        self.0.iter().any(|mcc| HELD_LONG.contains(mcc))
    }

    /// Whether this word on it changes how long it is held.
    pub(crate) fn would_learn(&self, mcc: Option<u16>) -> bool {
        let mut after = self.clone();
        after.name(mcc);
        (self.is_usual(), self.is_long()) != (after.is_usual(), after.is_long())
    }
}

impl<M> Report<M> {
    fn sum(&self, kinds: &[MovementKind]) -> i128 {
        let of_kind = self.happened.iter().filter(|it| kinds.contains(&it.kind));
        of_kind.map(|it| i128::from(it.amount)).sum()
    }

    /// The postings that it lists, and the refunds less those taken back.
    pub(crate) fn listed(&self) -> (i128, i128) {
        let taken_back = self.sum(&[MovementKind::RefundReversed]);
        let refunded = self.sum(&[MovementKind::Refunded]) - taken_back;
        (self.sum(&POSTINGS), refunded.max(0))
    }
}

pub(crate) const POSTINGS: [MovementKind; 3] = [
    MovementKind::AuthorizedAndPosted,
    MovementKind::Posted { is_last: false },
    MovementKind::Posted { is_last: true },
];

/// Kinds from what comes first to what follows from it.
pub(crate) const KINDS: [MovementKind; 12] = [
    MovementKind::Authorized,
    MovementKind::AuthorizedAndPosted,
    MovementKind::Replaced,
    MovementKind::Released,
    MovementKind::Posted { is_last: false },
    MovementKind::Posted { is_last: true },
    MovementKind::Expired,
    MovementKind::Refunded,
    MovementKind::RefundReversed,
    MovementKind::Noted,
    MovementKind::Declined,
    MovementKind::Disputed,
];

fn rank(kind: MovementKind) -> usize {
    KINDS.iter().position(|it| *it == kind).unwrap()
}

/// An account that was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Heard {
    status: StandingStatus,
    revision: u32,
    made_at: Option<i64>,
    asks: u32,
    approvals: u32,
    held: i128,
    posted: Option<i128>,
    refunded: Option<i128>,
    listed: (i128, i128),
}

impl Heard {
    fn is_final(&self) -> bool {
        !matches!(
            self.status,
            StandingStatus::Pending | StandingStatus::Settled
        )
    }

    /// Which of two is newer.
    fn age(&self) -> impl Ord + use<> {
        let status = match self.status {
            StandingStatus::Pending => 0,
            StandingStatus::Settled => -1,
            StandingStatus::Voided => -2,
            StandingStatus::Expired => -3,
            StandingStatus::Declined => -4,
            StandingStatus::Closed => -5,
        };
        (
            self.revision,
            self.made_at,
            self.is_final(),
            -self.held,
            self.posted,
            self.refunded,
            self.approvals,
            status,
        )
    }
}

/// Part of an authorization and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pile<P> {
    pub(crate) place: P,
    pub(crate) held: i128,
    pub(crate) posted: i128,
}

/// One of our own steps, as far as the books are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) name: Option<u64>,
    pub(crate) approves: bool,
    pub(crate) amount: i128,
    pub(crate) at: i64,
}

/// Where an authorization ought to stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) held: i128,
    pub(crate) posted: i128,
    pub(crate) refunded: i128,
    pub(crate) is_undone: bool,
    pub(crate) is_reversed: bool,
    pub(crate) is_expired: bool,
    pub(crate) is_closed: bool,
    pub(crate) forced: bool,
    pub(crate) excess: bool,
    pub(crate) declined_there: bool,
    pub(crate) drift: bool,
    pub(crate) disputed: bool,
}

/// What became of an authorization, from the first report on.
/// `P` is where something was charged, `T` what its card had of an authorization that was undone.
#[derive(Clone, Debug)]
pub(crate) struct Life<P, T> {
    said: Vec<Happened>,
    heard: Vec<Heard>,
    pub(crate) piles: Vec<Pile<P>>,
    pub(crate) restorable: i128,
    pub(crate) has_drifted: bool,
    pub(crate) has_lapsed: bool,
    pub(crate) on_reversal: OnReversal,
    pub(crate) taken: Option<T>,
    pub(crate) at: i64,
}

impl<P, T> Default for Life<P, T> {
    fn default() -> Self {
        Self {
            said: Vec::new(),
            heard: Vec::new(),
            piles: Vec::new(),
            restorable: 0,
            has_drifted: false,
            has_lapsed: false,
            on_reversal: OnReversal::GiveBack,
            taken: None,
            at: 0,
        }
    }
}

impl<P: Copy + PartialEq, T> Life<P, T> {
    pub(crate) fn held(&self) -> i128 {
        let held: i128 = self.piles.iter().map(|pile| pile.held).sum();
        held.min(LARGEST)
    }

    pub(crate) fn charged(&self) -> i128 {
        self.piles.iter().map(|pile| pile.posted).sum()
    }

    /// What has come back of what was posted.
    pub(crate) fn restored(&self, books: &Books) -> i128 {
        self.restorable.min(books.posted)
    }

    /// Of all words on one thing the latest kind, the largest amount, the earliest time.
    fn known(&self) -> BTreeMap<u64, Happened> {
        let mut known: BTreeMap<u64, Happened> = BTreeMap::new();
        let weight = |it: &Happened| (rank(it.kind), it.amount, -it.at.unwrap_or(i64::MAX));
        for said in &self.said {
            let best = known.entry(said.id).or_insert(*said);
            if weight(said) > weight(best) {
                *best = *said;
            }
        }
        known
    }

    /// The newest account; of equal ones the first.
    fn newest(&self) -> Option<Heard> {
        let mut newest: Option<Heard> = None;
        for heard in &self.heard {
            if newest.is_none_or(|it| heard.age() > it.age()) {
                newest = Some(*heard);
            }
        }
        newest
    }

    /// Takes a report down; what there was to say about it.
    pub(crate) fn hear<M>(
        &mut self,
        report: &Report<M>,
        steps: &[Own],
        is_known: bool,
        (drifts, learns): (bool, bool),
    ) -> BookStatus {
        let before = (self.known(), self.newest());
        let refunded = self.ought(steps).refunded;
        let kept = report.happened.iter();
        let kept: Vec<Happened> = kept
            .filter(|it| it.kind != MovementKind::Noted)
            .copied()
            .collect();
        let told = report.account.map(|account| heard(report, account, steps));
        let is_nothing = |told: &Heard| {
            told.asks == 0
                && told.status == StandingStatus::Declined
                && told.posted.is_none_or(|it| it == 0)
                && told.refunded.is_none_or(|it| it == 0)
        };
        self.said.extend(&kept);
        let counts = told.filter(|told| is_known || !is_nothing(told));
        self.heard.extend(counts);
        let drifts = drifts && !self.has_drifted;
        let learns = learns && is_known && (told.is_some() || !kept.is_empty());
        let after = (self.known(), self.newest());
        let same = |a: &BTreeMap<u64, Happened>, b: &BTreeMap<u64, Happened>| {
            format!("{a:?}") == format!("{b:?}")
        };
        let has_news = before.1 != after.1;
        if same(&before.0, &after.0) && !has_news && !drifts && !learns {
            let is_older =
                told.is_some_and(|told| before.1.is_some_and(|it| it.age() > told.age()));
            return if told.is_none() && kept.is_empty() {
                BookStatus::Ignored
            } else if is_older {
                BookStatus::Stale
            } else {
                BookStatus::Duplicate
            };
        }
        self.has_drifted |= drifts;
        self.on_reversal = report.on_reversal;
        let is_news = |it: &&Happened| {
            let old = before.0.get(&it.id);
            is_ask(it.kind) && format!("{old:?}") != format!("{:?}", Some(it))
        };
        let asks_again = after.0.values().any(|it| is_news(&it));
        self.has_lapsed &= !(has_news || (asks_again && after.1.is_none()));
        let more = self.ought(steps).refunded - refunded;
        self.restorable += if report.refunds_restore {
            more.max(0)
        } else {
            0
        };
        self.restorable = (self.restorable + more.min(0)).max(0);
        BookStatus::Applied
    }

    /// Where an authorization of these steps ought to stand.
    pub(crate) fn ought(&self, steps: &[Own]) -> Books {
        let mut books = match self.newest() {
            Some(told) => self.by_account(&told, steps),
            None => self.by_what_happened(steps),
        };
        if self.has_lapsed {
            books.held = 0;
            books.is_undone = false;
            books.is_expired = true;
            books.is_closed = true;
        }
        let ours = steps.iter().filter(|step| step.approves);
        let approved: i128 = ours.clone().map(|step| step.amount).sum();
        let counts = |count: usize| u32::try_from(count).unwrap();
        let known = self.known();
        let (forced, declined) = match self.newest() {
            Some(told) => (
                counts(ours.clone().count()) < told.approvals,
                told.asks.saturating_sub(told.approvals)
                    > counts(steps.len() - ours.clone().count()),
            ),
            None => {
                let ours = |id: u64, approves: bool| {
                    let mut named = steps.iter().filter(|step| step.name == Some(id));
                    named.any(|step| step.approves == approves)
                };
                let approvals = known.values().filter(|it| is_approval(it.kind));
                let declines = known
                    .values()
                    .filter(|it| it.kind == MovementKind::Declined);
                (
                    approvals.clone().any(|it| !ours(it.id, true)),
                    declines.clone().any(|it| !ours(it.id, false)),
                )
            }
        };
        let moves = books.held > 0 || books.posted > 0;
        books.forced = forced || (moves && ours.count() == 0);
        books.excess = !books.forced && books.posted > approved;
        books.declined_there = declined;
        books.drift = self.has_drifted;
        let disputes = known
            .values()
            .filter(|it| it.kind == MovementKind::Disputed);
        books.disputed = disputes.count() > 0;
        books
    }

    fn by_account(&self, told: &Heard, steps: &[Own]) -> Books {
        let (listed_posted, listed_refunded) = told.listed;
        let singly = self.played(&[]);
        let beside = |alone: i128, listed: i128| (alone - listed).max(0);
        let posted = match told.posted {
            Some(posted) => (posted + beside(singly.posted, listed_posted)).min(LARGEST),
            None => singly.posted,
        };
        let refunded = match told.refunded {
            Some(refunded) => refunded + beside(singly.refunded, listed_refunded),
            None => singly.refunded,
        };
        let unlisted = told.posted.map_or(0, |it| (posted - it).max(0));
        let mut held = (told.held - unlisted).max(0);
        let knows_all = self.covers(told, steps);
        if !knows_all {
            // It may raise the hold and not lower it, but for what is posted from it.
            let stays = posted - self.restorable.min(posted);
            let newly = (stays - self.charged()).max(0);
            held = held.max((self.held() - newly).max(0));
        }
        let is_over = [StandingStatus::Voided, StandingStatus::Declined].contains(&told.status);
        Books {
            held,
            posted,
            refunded,
            is_undone: is_over && knows_all && posted == 0,
            is_reversed: told.status == StandingStatus::Voided,
            is_expired: told.status == StandingStatus::Expired,
            is_closed: told.is_final() || (held == 0 && (posted > 0 || refunded > 0)),
            ..Books::default()
        }
    }

    /// Whether the account counts each of our steps: by number, and while the authorization goes on by name, as far as names are used at all.
    fn covers(&self, told: &Heard, steps: &[Own]) -> bool {
        let known = self.known();
        let asked: BTreeSet<u64> = known
            .iter()
            .filter(|(_, it)| is_ask(it.kind))
            .map(|(id, _)| *id)
            .collect();
        let ours: BTreeSet<u64> = steps.iter().filter_map(|step| step.name).collect();
        let by_name = told.is_final() || ours.is_disjoint(&asked) || ours.is_subset(&asked);
        // Nobody knows what is added later, unless he says its name.
        let comes_later = |step: &&Own| {
            told.made_at
                .is_some_and(|made_at| step.at - made_at > 5_000_000)
        };
        let mut later = steps.iter().skip(1).filter(comes_later);
        let foresees = later.all(|step| step.name.is_some_and(|name| asked.contains(&name)));
        by_name && foresees && told.asks as usize >= steps.len()
    }

    fn by_what_happened(&self, steps: &[Own]) -> Books {
        let mut books = self.played(steps);
        // Who only contests a purchase does not say that it was never approved.
        let mut said = self.known().into_values();
        let is_told = said.any(|it| it.kind != MovementKind::Disputed);
        books.is_undone = is_told && books.held == 0 && books.posted == 0 && !books.is_expired;
        books.is_closed = books.held == 0;
        books
    }

    /// Everything that is known, one thing after the other, with those of our steps in between of
    /// which the issuer has not spoken.
    fn played(&self, steps: &[Own]) -> Books {
        let known = self.known();
        let spoken_of = |name: u64| known.get(&name).is_some_and(|it| is_ask(it.kind));
        let mut all: Vec<(i64, usize, i64, u64)> = Vec::new();
        for it in known.values() {
            all.push((it.at.unwrap_or(i64::MAX), rank(it.kind), it.amount, it.id));
        }
        for (number, step) in steps.iter().enumerate().filter(|(_, step)| step.approves) {
            if !step.name.is_some_and(spoken_of) {
                let at = if number == 0 { i64::MIN } else { step.at };
                let amount = i64::try_from(step.amount).unwrap();
                all.push((at, 0, amount, step.name.unwrap_or_default()));
            }
        }
        all.sort_unstable();
        let mut books = Books::default();
        for (_, kind, amount, _) in all {
            let amount = i128::from(amount);
            let (held, posted) = (books.held, books.posted);
            match KINDS[kind] {
                MovementKind::Authorized => books.held = (held + amount).min(LARGEST),
                MovementKind::AuthorizedAndPosted => books.posted = (posted + amount).min(LARGEST),
                MovementKind::Replaced => books.held = (amount - posted).max(0),
                MovementKind::Released => {
                    books.held = (held - amount).max(0);
                    books.is_reversed = true;
                }
                MovementKind::Posted { is_last } => {
                    books.posted = (posted + amount).min(LARGEST);
                    books.held = if is_last { 0 } else { (held - amount).max(0) };
                }
                MovementKind::Expired => {
                    books.held = 0;
                    books.is_expired = true;
                }
                MovementKind::Refunded => books.refunded += amount,
                MovementKind::RefundReversed => books.refunded = (books.refunded - amount).max(0),
                MovementKind::Noted | MovementKind::Declined | MovementKind::Disputed => {}
            }
        }
        books
    }

    /// Adds to what stands at a place.
    pub(crate) fn put(&mut self, place: P, held: i128, posted: i128) {
        match self.piles.iter_mut().find(|pile| pile.place == place) {
            Some(pile) => {
                pile.held = (pile.held + held).min(LARGEST);
                pile.posted = (pile.posted + posted).min(LARGEST);
            }
            None => self.piles.push(Pile {
                place,
                held,
                posted,
            }),
        }
    }
}

fn is_approval(kind: MovementKind) -> bool {
    [MovementKind::Authorized, MovementKind::AuthorizedAndPosted].contains(&kind)
}

fn is_ask(kind: MovementKind) -> bool {
    is_approval(kind) || kind == MovementKind::Declined
}

fn heard<M>(report: &Report<M>, account: Account, steps: &[Own]) -> Heard {
    let mut heard = Heard {
        status: account.status,
        revision: account.asks + account.others,
        made_at: account.made_at,
        asks: account.asks,
        approvals: account.approvals,
        held: i128::from(account.held),
        posted: account.posted.map(i128::from),
        refunded: account.refunded.map(i128::from),
        listed: report.listed(),
    };
    // An end is one of everything that had been decided when it was made, give or take five seconds.
    if heard.is_final() {
        let was_decided = |own: &&Own| {
            account
                .made_at
                .is_none_or(|made_at| own.at - made_at <= 5_000_000)
        };
        let decided = steps.iter().filter(was_decided).count();
        heard.asks = heard.asks.max(u32::try_from(decided).unwrap());
    }
    heard
}
