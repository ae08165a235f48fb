//! Nodes that share a log, in one process and without a network: whatever the order in which they
//! decide, offer and learn, they come to what one ledger comes to that decides in the log's order.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use super::{Draft, Learned, Proposed};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{CardStatus, Key, Level};
use crate::domain::claims::ScopeLimits;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::hold_time::HoldTime;
use crate::domain::lifecycle::MovementKind;
use crate::domain::time::Timestamp;
use crate::ledger::check;
use crate::ledger::check::harness::report::Report;
use crate::ledger::check::harness::{Ask, authorization_key, card_ref, limits, with_command};
use crate::ledger::command::{Answer, Novelty, Overrule, Route, SetStanding};
use crate::ledger::embedded::frame::{Cursor, JournalId};
use crate::ledger::embedded::io::{Io, Name};
use crate::ledger::embedded::journal::{Class, Config, Durability, Journal, Lane};
use crate::ledger::embedded::scan::Scan;
use crate::ledger::embedded::store::{EmbeddedLedger, Unavailable};
use crate::ledger::event::Owner;
use crate::ledger::image;
use crate::ledger::redis::moving::{Entries, Fold, position_of};
use crate::ledger::shared::{Entry, EntryId};
use crate::ledger::state::{CardState, State};

const NODES: usize = 3;
/// Sequences of a run; `SHARED_SEQUENCES`, when this is compiled, says another number.
const SEQUENCES: u32 = 10_000;
const STEPS: u32 = 30;
/// After so many a new set of ledgers is taken.
const SEQUENCES_OF_A_SET: u32 = 500;
const UNATTRIBUTED: Key = Key(77);

/// Chance that is the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((z ^ (z >> 31)) % u64::from(bound)).unwrap()
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }
}

fn journal() -> Arc<Mutex<Journal>> {
    let config = Config {
        segment_size: 1 << 20,
        ..Config::new(Durability::Relaxed)
    };
    let id = JournalId(*b"a journal's name");
    let journal = Journal::new(config, id, Cursor::GENESIS, Box::new(|| 5));
    Arc::new(Mutex::new(journal))
}

/// A disk that takes everything at once, and keeps nothing.
fn write_all(ledger: &EmbeddedLedger) {
    write_on(ledger, |_io| {});
}

fn write_on(ledger: &EmbeddedLedger, mut disk: impl FnMut(&Io)) {
    let mut journal = ledger.journal();
    loop {
        let lanes = [Lane::Create, Lane::Write, Lane::Sync];
        let Some(io) = lanes.into_iter().find_map(|lane| journal.next_io(lane)) else {
            return;
        };
        disk(&io);
        journal.complete(io, Ok(()));
    }
}

/// The segments of a journal.
#[derive(Default)]
struct Disk(BTreeMap<u64, Vec<u8>>);

impl Disk {
    fn take(&mut self, io: &Io) {
        if let Io::Create {
            segment,
            size,
            header,
        } = io
        {
            let mut bytes = header.clone();
            bytes.resize(usize::try_from(*size).unwrap(), 0);
            self.0.insert(*segment, bytes);
        }
        if let Io::Write {
            name: Name::Segment(segment),
            offset,
            bytes,
        } = io
        {
            let offset = usize::try_from(*offset).unwrap();
            let whole = self.0.get_mut(segment).unwrap();
            whole[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Every frame, with its position.
    fn frames(&self) -> Vec<(u64, Vec<u8>)> {
        let mut scan = Scan::new(None, Cursor::GENESIS);
        let segments = self.0.iter();
        let records = segments.flat_map(|(number, bytes)| {
            let records = scan.segment(*number, bytes).unwrap();
            let owned = records.map(|it| (it.sequence, it.payload.to_vec()));
            owned.collect::<Vec<_>>()
        });
        records.collect()
    }
}

fn node() -> EmbeddedLedger {
    let ledger = EmbeddedLedger::of_shared_log(journal());
    write_all(&ledger);
    ledger
}

fn alone(disk: &mut Disk) -> EmbeddedLedger {
    let ledger = EmbeddedLedger::new(Vec::new(), journal());
    write_on(&ledger, |io| disk.take(io));
    ledger
}

/// What a node asks the log for.
#[derive(Clone)]
enum Wish {
    Ask(Ask),
    /// Of the approval that the answer to this question is.
    Overrule(Ask),
    /// What is not a question.
    Change(Change),
}

/// What changes a customer's state beside questions.
#[derive(Clone, Debug)]
enum Change {
    Freeze(u32, bool),
    Cancel(u32),
    /// About an authorization on this card.
    Report(u32, Report),
    Lapse(Timestamp),
    Sweep(Timestamp),
}

impl Change {
    /// Gives it to a ledger. What it says, without the place in a journal.
    fn give(&self, ledger: &EmbeddedLedger, owner: Key) -> String {
        let route = Route {
            key: owner,
            owner: Owner::Customer("cus"),
        };
        let set = |card: u32, status, frozen| {
            let id = format!("id_{card}");
            let command = SetStanding::Card {
                card: card_ref(card, &id),
                status,
                frozen,
            };
            let set = ledger.set_standing(&route, &command, Timestamp::from_secs(9));
            format!("{:?}", set.map(|set| set.is_some()))
        };
        match self {
            Self::Freeze(card, frozen) => set(*card, None, Some(*frozen)),
            Self::Cancel(card) => set(*card, Some(CardStatus::Canceled), None),
            Self::Report(card, report) => report.with_command(*card, |command| {
                let answer = ledger.book(&route, command);
                format!("{:?}", answer.map(|it| (it.status, it.raised)))
            }),
            Self::Lapse(cut) => {
                let mut state = ledger.customers.get_mut(&owner);
                let lapsed = state.as_deref_mut().and_then(|state| {
                    let events = check::lapse(state, 0, "acme", (*cut, HoldTime::Long))?;
                    Some(ledger.record(state, None, &events, Class::Release).is_ok())
                });
                format!("{lapsed:?}")
            }
            Self::Sweep(cut) => {
                let mut state = ledger.customers.get_mut(&owner);
                let swept = state
                    .as_deref_mut()
                    .map(|state| ledger.sweep_part(state, 0, *cut));
                format!("{swept:?}")
            }
        }
    }
}

struct Offered {
    node: usize,
    wish: Wish,
    id: EntryId,
    draft: Draft,
    answer: Said,
}

/// What a node said.
#[derive(Clone)]
enum Said {
    Answer(Answer),
    Changed(String),
    Nothing,
}

/// The logs, as Redis keeps them: places and lengths, nothing of what they say.
#[derive(Default)]
struct Logs(HashMap<Key, Vec<Vec<u8>>>);

impl Logs {
    /// Appends where the log is as long as expected, else what came before. As the function does.
    fn append(&mut self, draft: &Draft, id: EntryId) -> Result<(), Vec<Vec<u8>>> {
        let entry = Entry {
            id,
            after: draft.after,
            authorization: draft.authorization,
            events: &draft.events,
        };
        let log = self.0.entry(draft.owner).or_default();
        let expected = usize::try_from(draft.expected).unwrap();
        assert!(log.len() >= expected, "no node knows more than the log");
        if log.len() == expected {
            log.push(entry.encode());
            return Ok(());
        }
        Err(log[expected..].to_vec())
    }
}

/// One customer of each sequence, whose cards and authorizations no other has.
struct Run<'a> {
    nodes: &'a [EmbeddedLedger],
    alone: &'a EmbeddedLedger,
    disk: &'a mut Disk,
    logs: &'a mut Logs,
    dice: Dice,
    sequence: u32,
    /// What was told to each node and is on its way.
    told: Vec<VecDeque<(Key, u64, Vec<u8>)>>,
    offered: Vec<Offered>,
    ids: u128,
    /// The question of each approval.
    approved: HashMap<u32, Ask>,
    changed: usize,
}

impl Run<'_> {
    fn customer(&self) -> Key {
        Key(u128::from(self.sequence) << 64 | 9)
    }

    fn unattributed(&self) -> Key {
        Key(u128::from(self.sequence) << 64 | 8)
    }

    fn route(&self, ask: &Ask) -> Route<'static> {
        if ask.known.1 {
            let owner = Owner::Customer("cus");
            return Route {
                key: self.customer(),
                owner,
            };
        }
        let owner = Owner::Unattributed("acme");
        Route {
            key: self.unattributed(),
            owner,
        }
    }

    fn random_ask(&mut self) -> Ask {
        let dice = &mut self.dice;
        let base = self.sequence * 100;
        let number = dice.below(8);
        let mut ask = Ask::new(base + number, i64::from(1 + dice.below(40)));
        ask.content = 1 + u64::from(dice.below(4) / 3);
        let agent = (dice.below(3) > 0).then(|| base + dice.below(2));
        ask.card = base + number % 3;
        ask.agent = agent;
        ask.at += i64::from(dice.below(3)) * 1_000;
        let count = ScopeLimits {
            count_per_day: Some(6),
            ..limits(Some(90), Some(150))
        };
        ask = ask.limited(Level::Customer, count);
        if number % 3 == 1 {
            ask = ask.limited(Level::Card, limits(None, Some(60))).locking();
        }
        if number % 3 == 2 {
            ask = ask.single_use();
        }
        match dice.below(12) {
            0 => ask = ask.of_kind(AuthorizationKind::BalanceInquiry),
            1 => ask.rule = Some(DeclineReason::MccBlocked),
            2 => ask.rule = Some(DeclineReason::CountryNotAllowed),
            _ => {}
        }
        if number == 7 {
            // A card that nobody knows.
            (ask.card, ask.known) = (base + 50, (false, false));
        }
        ask
    }

    fn random_change(&mut self) -> Change {
        let dice = &mut self.dice;
        let base = self.sequence * 100;
        let number = dice.below(7);
        let card = base + number % 3;
        let ago = |days: u32| Ask::new(1, 1).at + 2_000 - i64::from(days) * 1_000;
        match dice.below(8) {
            0 | 1 => Change::Freeze(card, !dice.one_in(3)),
            2 if dice.one_in(3) => Change::Cancel(card),
            3 => Change::Lapse(Timestamp::from_micros(ago(dice.below(3)))),
            4 if dice.one_in(2) => Change::Sweep(Timestamp::from_micros(ago(dice.below(3)))),
            _ => {
                let id = u64::from(base + dice.below(12));
                let amount = i64::from(1 + dice.below(40));
                let report = Report::of(base + number);
                Change::Report(
                    card,
                    match dice.below(3) {
                        0 => report.fact(id, MovementKind::Released, amount, 60),
                        _ => report.posted(id, amount),
                    },
                )
            }
        }
    }

    fn propose(&self, node: usize, wish: &Wish) -> Option<(Draft, Said)> {
        let ledger = &self.nodes[node];
        match wish {
            Wish::Ask(ask) => with_command(ask, |command| {
                let route = self.route(ask);
                let Proposed { draft, answer } = if ask.known.1 {
                    ledger
                        .propose(&route, self.unattributed(), command)
                        .unwrap()
                } else {
                    ledger.propose_unknown(&route, command).unwrap()
                };
                Some((draft, Said::Answer(answer)))
            }),
            Wish::Overrule(ask) => {
                let authorization = authorization_key(ask.authorization);
                let position = ledger.with_state(self.customer(), |state| {
                    let known = state.authorization(authorization)?;
                    known.steps().next().map(|step| step.position)
                })??;
                let overrule = Overrule {
                    authorization,
                    decided_at: position,
                    at: Timestamp::from_micros(ask.at + 5_000),
                };
                let draft = ledger.propose_overrule(self.customer(), &overrule)?;
                Some((draft, Said::Nothing))
            }
            Wish::Change(change) => {
                let (said, draft) = ledger.drafting(|it| change.give(it, self.customer()));
                Some((draft?, Said::Changed(said)))
            }
        }
    }

    fn begin(&mut self) {
        let node = usize::try_from(self.dice.below(3)).unwrap();
        let mut wishes: Vec<u32> = self.approved.keys().copied().collect();
        wishes.sort_unstable();
        let wish = if self.dice.one_in(4) {
            Wish::Change(self.random_change())
        } else if !wishes.is_empty() && self.dice.one_in(6) {
            let at = usize::try_from(self.dice.below(u32::try_from(wishes.len()).unwrap()));
            Wish::Overrule(self.approved[&wishes[at.unwrap()]].clone())
        } else {
            Wish::Ask(self.random_ask())
        };
        if let Some((draft, answer)) = self.propose(node, &wish) {
            self.ids += 1;
            let id = EntryId(u128::from(self.sequence) << 64 | self.ids);
            self.offered.push(Offered {
                node,
                wish,
                id,
                draft,
                answer,
            });
        }
    }

    /// Lets one of the offers reach its log.
    fn deliver(&mut self) {
        if self.offered.is_empty() {
            return;
        }
        let count = u32::try_from(self.offered.len()).unwrap();
        let at = usize::try_from(self.dice.below(count)).unwrap();
        let Offered {
            node,
            wish,
            id,
            draft,
            answer,
        } = self.offered.swap_remove(at);
        let mut taken = self.logs.append(&draft, id);
        if taken.is_ok() {
            self.agree(&wish, &answer);
            self.tell(&draft, id);
            if self.dice.one_in(4) {
                // The answer is lost and the entry is sent again.
                taken = self.logs.append(&draft, id);
                let newer = taken.as_ref().unwrap_err();
                assert_eq!(Entry::decode(&newer[0]).unwrap().id, id);
            }
        }
        let entries = taken.err().unwrap_or_else(|| {
            let log = &self.logs.0[&draft.owner];
            log[usize::try_from(draft.expected).unwrap()..].to_vec()
        });
        let is_own = Entry::decode(&entries[0]).unwrap().id == id;
        for (bytes, number) in entries.iter().zip(draft.expected..) {
            self.learn(node, draft.owner, number, bytes);
        }
        if !is_own && let Some((draft, answer)) = self.propose(node, &wish) {
            self.offered.push(Offered {
                node,
                wish,
                id,
                draft,
                answer,
            });
        }
    }

    /// The ledger that is alone decides the same in the order of the log.
    fn agree(&mut self, wish: &Wish, answer: &Said) {
        match wish {
            Wish::Ask(ask) => {
                let said = with_command(ask, |command| {
                    let route = self.route(ask);
                    if ask.known.1 {
                        return self
                            .alone
                            .authorize(&route, self.unattributed(), command)
                            .unwrap();
                    }
                    let said = self.alone.authorize_unknown(&route, command, || true);
                    said.unwrap().unwrap()
                });
                let Said::Answer(answer) = answer else {
                    panic!("no answer");
                };
                let what = |it: &Answer| (it.decision, it.novelty, it.explanation, it.available);
                assert_eq!(what(answer), what(&said), "{} {ask:?}", self.sequence);
                if said.decision.is_approval() && said.novelty == Novelty::New {
                    self.approved
                        .entry(ask.authorization)
                        .or_insert_with(|| ask.clone());
                }
                if said.decision.is_approval() && said.novelty == Novelty::Known {
                    let authorization = authorization_key(ask.authorization);
                    let at = Timestamp::from_micros(ask.at);
                    let _stands =
                        self.alone
                            .confirm(self.customer(), authorization, said.position, at);
                }
            }
            Wish::Overrule(ask) => {
                // One that was swept may have been decided anew.
                let first = self.alone.with_state(self.customer(), |state| {
                    let known = state.authorization(authorization_key(ask.authorization));
                    known.and_then(|it| it.steps().next().map(|step| step.position))
                });
                let overrule = Overrule {
                    authorization: authorization_key(ask.authorization),
                    decided_at: first.flatten().unwrap(),
                    at: Timestamp::from_micros(ask.at + 5_000),
                };
                let taken_back = self.alone.overrule(self.customer(), &overrule);
                assert_eq!(taken_back, Ok(true), "{} {ask:?}", self.sequence);
            }
            Wish::Change(change) => {
                let said = change.give(self.alone, self.customer());
                let Said::Changed(there) = answer else {
                    panic!("nothing said");
                };
                assert_eq!(&said, there, "{} {change:?}", self.sequence);
                self.changed += 1;
            }
        }
        write_on(self.alone, |io| self.disk.take(io));
    }

    fn tell(&mut self, draft: &Draft, id: EntryId) {
        let entry = Entry {
            id,
            after: draft.after,
            authorization: draft.authorization,
            events: &draft.events,
        };
        for told in &mut self.told {
            // Some of what is told never arrives.
            if !self.dice.one_in(5) {
                told.push_back((draft.owner, draft.expected, entry.encode()));
            }
        }
    }

    fn hear(&mut self) {
        let node = usize::try_from(self.dice.below(3)).unwrap();
        if let Some((owner, number, bytes)) = self.told[node].pop_front() {
            self.learn(node, owner, number, &bytes);
        }
    }

    fn learn(&self, node: usize, owner: Key, number: u64, bytes: &[u8]) {
        let entry = Entry::decode(bytes).unwrap();
        let learned = self.nodes[node].learn(owner, number, &entry).unwrap();
        if let Learned::Missing(from) = learned {
            let log = &self.logs.0[&owner];
            for (bytes, number) in log.iter().zip(0..).skip(usize::try_from(from).unwrap()) {
                let entry = Entry::decode(bytes).unwrap();
                let learned = self.nodes[node].learn(owner, number, &entry);
                assert!(matches!(learned, Ok(Learned::Now(_))), "{learned:?}");
            }
        }
        write_all(&self.nodes[node]);
    }

    fn finish(&mut self) {
        while !self.offered.is_empty() {
            self.deliver();
        }
        for owner in [self.customer(), self.unattributed()] {
            let log = self.logs.0.get(&owner).cloned().unwrap_or_default();
            let alone = self.alone.with_any_state(owner, looks);
            for node in 0..self.nodes.len() {
                let from = self.nodes[node].known_of(owner).0;
                for (bytes, number) in log.iter().zip(0..).skip(usize::try_from(from).unwrap()) {
                    self.learn(node, owner, number, bytes);
                }
                let state = self.nodes[node].with_any_state(owner, looks);
                assert_eq!(state, alone, "{} at node {node}", self.sequence);
            }
        }
    }
}

/// Everything of a state but the numbers that each ledger gives for itself.
fn looks(state: &State) -> String {
    let mut text = format!(
        "{:?} {:?} {:?} {:?}\n",
        state.key,
        state.owner,
        state.counters,
        (state.day, state.hour)
    );
    for card in state.cards() {
        let CardState {
            id,
            counters,
            status,
            frozen,
            consumed,
            lock,
            ..
        } = card;
        let standing = (status, frozen);
        writeln!(text, "{id} {counters:?} {standing:?} {consumed:?} {lock:?}").unwrap();
    }
    for agent in &state.agents {
        writeln!(text, "{} {:?}", agent.id, agent.counters).unwrap();
    }
    let mut known: Vec<String> = Vec::new();
    for key in state.authorizations.keys() {
        let authorization = state.authorization(key).unwrap();
        let steps = authorization.steps();
        let steps: Vec<_> = steps
            .map(|it| (it.at, it.decision, it.stands(), it.counted))
            .collect();
        let mut life = authorization.life().cloned();
        life.iter_mut().for_each(|life| life.position = 0);
        let books = (life, authorization.books());
        let card = authorization.card();
        known.push(format!("{key:?} {card:?} {steps:?} {books:?}"));
    }
    known.sort();
    text + &known.join("\n")
}

/// What happened in a set of sequences.
#[derive(Default)]
struct Played {
    approved: usize,
    again: usize,
    changed: usize,
}

impl Played {
    /// Plays one set on these ledgers.
    fn play(
        &mut self,
        set: u32,
        nodes: &[EmbeddedLedger],
        alone: &EmbeddedLedger,
        disk: &mut Disk,
    ) {
        let mut logs = Logs::default();
        for sequence in set * SEQUENCES_OF_A_SET..(set + 1) * SEQUENCES_OF_A_SET {
            let mut run = Run {
                nodes,
                alone,
                disk,
                logs: &mut logs,
                dice: Dice(u64::from(sequence) + 1),
                sequence,
                told: vec![VecDeque::new(); NODES],
                offered: Vec::new(),
                ids: 0,
                approved: HashMap::new(),
                changed: 0,
            };
            for _ in 0..STEPS {
                match run.dice.below(5) {
                    0 | 1 => run.begin(),
                    2 | 3 => run.deliver(),
                    _ => run.hear(),
                }
            }
            self.again += run.offered.len();
            run.finish();
            self.approved += run.approved.len();
            self.changed += run.changed;
        }
    }
}

#[test]
fn e6_nodes_that_share_a_log_come_to_what_one_ledger_comes_to() {
    let mut played = Played::default();
    let wanted = option_env!("SHARED_SEQUENCES").map(|text| text.parse().unwrap());
    for set in 0..wanted.unwrap_or(SEQUENCES).div_ceil(SEQUENCES_OF_A_SET) {
        let nodes: Vec<EmbeddedLedger> = (0..NODES).map(|_| node()).collect();
        let mut disk = Disk::default();
        played.play(set, &nodes, &alone(&mut disk), &mut disk);
    }
    let Played {
        approved,
        again,
        changed,
    } = played;
    // That something was at stake.
    assert!(
        approved > 10_000 && again > 1_000 && changed > 10_000,
        "{approved} {again} {changed}"
    );
}

/// The journal of one process, as logs of nodes, comes to the same: to the last bit where it is folded at the same
/// positions, and but for the numbers of a node that learns it.
#[test]
fn a_journal_comes_to_the_same_as_the_logs_that_it_becomes() {
    let nodes: Vec<EmbeddedLedger> = (0..NODES).map(|_| node()).collect();
    let mut disk = Disk::default();
    let alone = alone(&mut disk);
    Played::default().play(0, &nodes, &alone, &mut disk);
    let mut entries = Entries::of(JournalId(*b"a journal's name"));
    let (mut folded, learns) = (Fold::default(), node());
    let mut kinds = HashSet::new();
    for (position, frame) in disk.frames() {
        kinds.extend(frame.first().copied());
        let kept = entries.next(position, &frame).unwrap();
        let entry = Entry::decode(&kept.entry).unwrap();
        assert_eq!(position_of(entry.id), position);
        folded.take(&kept, position).unwrap();
        // Neither again, nor out of order.
        assert!(folded.take(&kept, position).is_err());
        let learned = learns.learn(kept.owner, kept.number, &entry);
        assert!(matches!(learned, Ok(Learned::Now(_))), "{learned:?}");
        write_all(&learns);
    }
    assert!(kinds.len() > 8, "{kinds:?}");
    let mut states = entries.into_states();
    for state in &states {
        let there = alone.with_any_state(state.key, image::encode);
        assert_eq!(there, Some(image::encode(state)));
        let learned = learns.with_any_state(state.key, looks);
        assert_eq!(learned, Some(looks(state)));
    }
    let totals = folded.compare(&states).unwrap();
    assert_eq!(totals.len(), states.len());
    // One hold more, and it is not the same.
    let mut folded = Fold::default();
    let mut again = Entries::of(JournalId(*b"a journal's name"));
    for (position, frame) in disk.frames() {
        let kept = again.next(position, &frame).unwrap();
        folded.take(&kept, position).unwrap();
    }
    let state = states.first_mut().unwrap();
    state.day = crate::domain::window::LocalDay(state.day.0 + 1);
    assert!(folded.compare(&states).is_err());
}

/// What one node did when nobody knew a card is the word of every node once the card is known, and
/// an id that another customer has used contradicts.
#[test]
fn what_one_node_said_of_an_authorization_every_node_says() {
    let (one, two) = (node(), node());
    let mut logs = Logs::default();
    let mut take = |proposed: &Proposed, id| {
        logs.append(&proposed.draft, EntryId(id)).unwrap();
        let Draft {
            owner,
            expected,
            after,
            authorization,
            events,
        } = &proposed.draft;
        let entry = Entry {
            id: EntryId(id),
            after: *after,
            authorization: *authorization,
            events,
        };
        for node in [&one, &two] {
            let learned = node.learn(*owner, *expected, &entry).unwrap();
            assert!(matches!(learned, Learned::Now(_)), "{learned:?}");
            assert_eq!(node.learn(*owner, *expected, &entry), Ok(Learned::Before));
            write_all(node);
        }
    };
    let unknown = Ask::new(1, 5).with(|it| it.known = (false, false));
    let nobodys = Route {
        key: UNATTRIBUTED,
        owner: Owner::Unattributed("acme"),
    };
    let declined = with_command(&unknown, |it| one.propose_unknown(&nobodys, it)).unwrap();
    assert!(!declined.answer.decision.is_approval());
    take(&declined, 1);
    let customer = |n| Route {
        key: Key(n),
        owner: Owner::Customer("cus"),
    };
    let known = with_command(&Ask::new(1, 5), |it| {
        two.propose(&customer(3), UNATTRIBUTED, it)
    });
    let known = known.unwrap();
    assert_eq!(known.answer.novelty, Novelty::Known);
    assert!(!known.answer.decision.is_approval());
    assert_eq!(known.draft.owner, UNATTRIBUTED);

    let other = with_command(&Ask::new(2, 5), |it| {
        one.propose(&customer(3), UNATTRIBUTED, it)
    });
    take(&other.unwrap(), 2);
    let stranger = Ask::new(2, 6).on_card(9, None).step(8);
    let contradicts = with_command(&stranger, |it| two.propose(&customer(4), UNATTRIBUTED, it));
    let contradicts = contradicts.unwrap();
    assert_eq!(contradicts.answer.novelty, Novelty::Conflict);
    let why = DeclineReason::ConflictingDuplicate;
    assert_eq!(contradicts.answer.decision, Decision::Decline(why));
    // A card stays with whom it was used by.
    let taken = with_command(&Ask::new(3, 5), |it| {
        two.propose(&customer(4), UNATTRIBUTED, it)
    });
    assert_eq!(taken, Err(Unavailable::Refused));
    // Nothing changes a state that does not go through the log.
    let direct = with_command(&Ask::new(4, 5), |it| {
        one.authorize(&customer(3), UNATTRIBUTED, it)
    });
    assert_eq!(direct, Err(Unavailable::Shared));
}

#[test]
fn e14_an_entry_that_is_none_is_not_learned() {
    let node = node();
    let ask = Ask::new(1, 5);
    let route = Route {
        key: Key(3),
        owner: Owner::Customer("cus"),
    };
    let proposed = with_command(&ask, |it| node.propose(&route, UNATTRIBUTED, it)).unwrap();
    let Draft {
        owner,
        authorization,
        events,
        ..
    } = &proposed.draft;
    let entry = |events| Entry {
        id: EntryId(1),
        after: EntryId::NONE,
        authorization: *authorization,
        events,
    };
    let cut = &events[..events.len() - 1];
    for (owner, number, events) in [(*owner, 0, cut), (Key(4), 0, events), (*owner, 1, events)] {
        let learned = node.learn(owner, number, &entry(events));
        assert_eq!(learned, Err(Unavailable::NotUnderstood), "{number}");
    }
    assert_eq!(node.known_of(*owner).0, 0);
    let learned = node.learn(*owner, 0, &entry(events));
    assert!(matches!(learned, Ok(Learned::Now(_))), "{learned:?}");
    assert_eq!(
        node.learn(*owner, 2, &entry(events)),
        Err(Unavailable::NotUnderstood)
    );
}

/// A log that lost its end and grew again is another one, at whatever place it is looked at.
#[test]
fn e13_an_entry_that_follows_another_one_than_is_known_contradicts() {
    let (one, two) = (node(), node());
    let route = Route {
        key: Key(3),
        owner: Owner::Customer("cus"),
    };
    let draft = |node: &EmbeddedLedger, authorization| {
        let ask = Ask::new(authorization, 5);
        with_command(&ask, |it| node.propose(&route, UNATTRIBUTED, it))
            .unwrap()
            .draft
    };
    let learn = |node: &EmbeddedLedger, draft: &Draft, id| {
        let entry = Entry {
            id: EntryId(id),
            after: draft.after,
            authorization: draft.authorization,
            events: &draft.events,
        };
        let learned = node.learn(draft.owner, draft.expected, &entry);
        write_all(node);
        learned
    };
    let first = draft(&one, 1);
    for node in [&one, &two] {
        assert!(matches!(learn(node, &first, 1), Ok(Learned::Now(_))));
    }
    let lost = draft(&one, 2);
    assert!(matches!(learn(&one, &lost, 2), Ok(Learned::Now(_))));
    assert_eq!(one.known_of(Key(3)), (2, EntryId(2)));
    // The log lost entry 2, and the other node goes on without it.
    let instead = draft(&two, 3);
    assert!(matches!(learn(&two, &instead, 3), Ok(Learned::Now(_))));
    let next = draft(&two, 4);
    assert!(matches!(learn(&two, &next, 4), Ok(Learned::Now(_))));
    for (draft, id) in [(&instead, 3), (&next, 4)] {
        assert_eq!(
            learn(&one, draft, id),
            Err(Unavailable::Contradicted),
            "{id}"
        );
    }
    assert_eq!(learn(&one, &first, 1), Ok(Learned::Before));
    assert_eq!(learn(&one, &lost, 2), Ok(Learned::Before));
    assert_eq!(one.known_of(Key(3)), (2, EntryId(2)));
}
