//! A cluster: several primaries, each of which has a part of the 16 384 slots of keys (decision 0040).
//!
//! Its servers say themselves who has which slot. What one says may be old, so that all are asked, and whoever
//! claims a slot with the greatest epoch has it. Nothing is sent here.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use redis::RedisError;

use crate::ledger::redis::hosts::{Access, Hosts, Spot, login_of, unlike};

const OPEN: &str = "redis+cluster://";
const TLS: &str = "rediss+cluster://";
/// Where an address names no port.
const PORT: u16 = 6_379;
/// Keys are spread over so many slots, for ever.
pub(super) const SLOTS: u16 = 16_384;

/// An address `redis+cluster://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]`, or `rediss+cluster://…` for TLS:
/// where some servers are, who know the others.
#[derive(Clone)]
pub(super) struct Cluster {
    /// The servers of the address.
    pub seeds: Vec<Spot>,
    /// How each of them is spoken to.
    pub access: Access,
}

impl Cluster {
    /// Of this address; absent where it is another kind of address.
    pub(super) fn at(address: &str, root: Option<Vec<u8>>) -> Option<Result<Self, RedisError>> {
        let (is_tls, rest) = match address.strip_prefix(OPEN) {
            Some(rest) => (false, rest),
            None => (true, address.strip_prefix(TLS)?),
        };
        let (login, places) = login_of(rest);
        let wrong = "each server of a cluster is a HOST or HOST:PORT, with a comma between them";
        let places = places.strip_suffix('/').unwrap_or(places);
        let hosts = Hosts::read(login, places, PORT, wrong);
        Some(hosts.map(|hosts| Self {
            seeds: hosts.spots,
            access: Access {
                is_tls,
                user: hosts.user,
                root,
            },
        }))
    }

    /// Reads what the server at this place answers to `CLUSTER NODES`.
    pub(super) fn view(&self, told: &str, asked: &Spot) -> Result<View, RedisError> {
        View::read(told, self.access.is_tls, asked)
            .ok_or_else(|| unlike("it says of its cluster what is not understood"))
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spots = self
            .seeds
            .iter()
            .map(|(host, port)| format!("{host}:{port}"));
        write!(f, "{} (a cluster)", spots.collect::<Vec<_>>().join(", "))
    }
}

/// The slot of a key with this tag: CRC-16 (XMODEM), as every server computes it.
pub(super) fn slot_of(tag: &str) -> u16 {
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _bit| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x1021
            }
        })
    });
    crc % SLOTS
}

/// One server, as it or another one says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Its name in the cluster.
    pub id: String,
    /// Where it is.
    pub spot: Spot,
    /// The same by its other name: an address, or what it announces.
    pub also: Option<Spot>,
    is_primary: bool,
    /// It is said to be gone, or was never there.
    is_gone: bool,
    /// It is only being met, under a name that is not its own.
    is_met: bool,
    epoch: u64,
    /// First and last of each part.
    slots: Vec<(u16, u16)>,
}

/// What one server says of its cluster.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Its own line comes first.
    servers: Vec<Server>,
    /// To whom it gives slots, and whose slots it takes, at this moment.
    open: Vec<String>,
}

/// What a server says of itself: two of these that are alike say that nothing was moved between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    id: String,
    epoch: u64,
    slots: Vec<(u16, u16)>,
    open: Vec<String>,
}

impl View {
    fn read(told: &str, is_tls: bool, asked: &Spot) -> Option<Self> {
        let (mut servers, mut open) = (Vec::new(), Vec::new());
        let mut is_own_there = false;
        for line in told.lines().filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let (id, place, flags) = (words.next()?, words.next()?, words.next()?);
            let epoch = words.nth(3)?.parse().ok()?;
            let has = |flag: &str| flags.split(',').any(|it| it == flag);
            let (mut slots, mut marks) = (Vec::new(), Vec::new());
            for said in words.skip(1) {
                if let Some(mark) = said.strip_prefix('[') {
                    // `[SLOT->-ID]` or `[SLOT-<-ID]`.
                    let (slot, other) = mark.strip_suffix(']')?.split_once('-')?;
                    marks.push((slot.parse::<u16>().ok()?, other));
                } else {
                    let (first, last) = said.split_once('-').unwrap_or((said, said));
                    slots.push((first.parse().ok()?, last.parse().ok()?));
                }
            }
            for (slot, other) in marks {
                let is_own = slots
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&slot));
                match other.split_at_checked(2)? {
                    // What was given over whole may have left its mark.
                    (">-", _) if !is_own => {}
                    (">-" | "<-", other) => open.push(other.to_owned()),
                    _ => return None,
                }
            }
            let (spot, also) = spots_of(place, is_tls, asked)?;
            let server = Server {
                id: id.to_owned(),
                spot,
                also,
                is_primary: has("master"),
                is_gone: has("fail") || has("handshake") || has("noaddr"),
                is_met: has("handshake"),
                epoch,
                slots,
            };
            if has("myself") {
                is_own_there = true;
                servers.insert(0, server);
            } else {
                servers.push(server);
            }
        }
        is_own_there.then_some(Self { servers, open })
    }

    /// Whose it is.
    pub(super) fn id(&self) -> &str {
        self.servers.first().map_or("", |own| &own.id)
    }

    /// How many of these servers it knows.
    pub(super) fn knows<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> usize {
        let is_known = |id: &&str| self.servers.iter().any(|it| it.id == *id);
        ids.into_iter().filter(is_known).count()
    }

    /// What it says of itself.
    pub(super) fn own(&self) -> Option<Own> {
        let own = self.servers.first()?;
        Some(Own {
            id: own.id.clone(),
            epoch: own.epoch,
            slots: own.slots.clone(),
            open: self.open.clone(),
        })
    }
}

/// Of what several servers say, that which is of one cluster: that of whoever knows most of those that have something.
/// A server that was given to another cluster may have kept its name, and what it says there would count by its epoch.
/// Nothing, where less than half of them is known.
pub(super) fn of_one_cluster(mut views: Vec<View>, having: &BTreeSet<String>) -> Vec<View> {
    views.sort_by(|one, other| one.id().cmp(other.id()));
    let knows = |view: &View| view.knows(having.iter().map(String::as_str));
    // The last of several that know as many.
    let Some(best) = views.iter().max_by_key(|view| knows(view)).cloned() else {
        return views;
    };
    if knows(&best) * 2 < having.len() {
        return Vec::new();
    }
    // Whoever is of it knows it, and is known to it.
    views.retain(|view| view.knows([best.id()]) > 0 && best.knows([view.id()]) > 0);
    views
}

/// Reads `IP:PORT@BUS[,NAME…]`: where it is connected to, and what else it is called. A certificate is for a name, where
/// there is one. A server that was never told its own address says none.
fn spots_of(place: &str, is_tls: bool, asked: &Spot) -> Option<(Spot, Option<Spot>)> {
    let mut parts = place.split(',');
    let (ip, port) = parts.next()?.split_once('@')?.0.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let name = parts.next();
    let name = name.filter(|name| !name.is_empty() && !name.contains('='));
    let ip = if ip.is_empty() { &asked.0 } else { ip };
    let [ip, name] = [Some(ip), name].map(|host| host.map(|host| (host.to_owned(), port)));
    match name {
        Some(name) if is_tls => Some((name, ip)),
        name => Some((ip?, name)),
    }
}

/// Whether these, who each say which slots they have, have all of them, and whoever takes one is one of these.
pub(super) fn is_all(owns: &[Own]) -> bool {
    let is_there = |id: &String| owns.iter().any(|own| own.id == *id);
    let parts = owns.iter().flat_map(|own| &own.slots);
    let mut slots: Vec<u16> = parts.flat_map(|(first, last)| *first..=*last).collect();
    slots.sort_unstable();
    slots.iter().copied().eq(0..SLOTS) && owns.iter().flat_map(|own| &own.open).all(is_there)
}

/// Whether no slot is on its way.
pub(super) fn is_still(owns: &[Own]) -> bool {
    owns.iter().all(|own| own.open.is_empty())
}

/// Who has what, by what several servers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Map {
    /// Every primary by its name, also one that has nothing yet and may be given something at any moment.
    pub primaries: Vec<Server>,
    /// Everybody else: replicas, and who is said to be gone.
    pub others: Vec<Server>,
    /// Whose a slot is, by its place among `primaries`.
    owners: HashMap<u16, usize>,
}

impl Map {
    /// Of what servers say.
    pub(super) fn of(views: &[View]) -> Self {
        let mut latest: HashMap<&str, &Server> = HashMap::new();
        for server in views.iter().flat_map(|view| &view.servers) {
            let known = latest.entry(&server.id).or_insert(server);
            if server.epoch > known.epoch {
                *known = server;
            }
        }
        // What a server says of itself is newer than what others say of it.
        for own in views.iter().filter_map(|view| view.servers.first()) {
            latest.insert(&own.id, own);
        }
        let is_one = |it: &Server| it.is_primary && !(it.is_gone && it.slots.is_empty());
        let (mut primaries, mut others): (Vec<Server>, Vec<Server>) =
            latest.into_values().cloned().partition(is_one);
        others.retain(|it| !it.is_met);
        for servers in [&mut primaries, &mut others] {
            servers.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        }
        let mut by_epoch: Vec<(usize, &Server)> = primaries.iter().enumerate().collect();
        by_epoch.sort_by_key(|(_, server)| server.epoch);
        let mut owners = HashMap::new();
        // Whoever claims it with the greatest epoch comes last.
        for (at, server) in by_epoch {
            for (first, last) in &server.slots {
                owners.extend((*first..=*last).map(|slot| (slot, at)));
            }
        }
        Self {
            primaries,
            others,
            owners,
        }
    }

    /// Whose a slot is.
    pub(super) fn owner_of(&self, slot: u16) -> Option<usize> {
        self.owners.get(&slot).copied()
    }

    /// The first slot that nobody has.
    pub(super) fn missing(&self) -> Option<u16> {
        (0..SLOTS).find(|slot| !self.owners.contains_key(slot))
    }
}

#[cfg(test)]
mod tests;
