//! Arms a ledger: first no server of it approves anything, then every primary does, all for one term.
//!
//! A server that was a primary may remember that it is armed for the term that its records have: it was made a
//! replica, and follows nobody. Promoted it would approve on what it has. So replicas are told too, and who is said to
//! be gone; whoever cannot be told is for people to judge. Who says where a replica is may be wrong: the server that is
//! found there has to prove that it is one.

use std::fmt;
use std::time::Duration;

use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

use crate::ledger::redis::hosts::{Hosts, Spot};
use crate::ledger::redis::link::{self, Remote};
use crate::ledger::redis::refusal::{is_loading, is_unknown_function};
use crate::ledger::redis::servers::{One, Servers};
use crate::ledger::redis::setup::{Unfit, generation, libraries, word};
use crate::ledger::redis::wire::{Commands, Generation, Term, close, library_name, standing};

/// Servers beside the primaries, at most.
const SERVERS_MAX: usize = 1_000;
/// Between two attempts to ask or tell a replica that is being given a copy, and how many there are.
const LOADING_PAUSE: Duration = Duration::from_millis(100);
const LOADING_MAX: u32 = 50;
/// What is wrong with servers that are not what they are taken for.
const TWICE: &str =
    "two replicas announce this place, or one that has come back: then say it again in a minute";
const TOO_MANY: &str = "there are more servers than can be told";
const ANOTHER_MEMBER: &str = "its cluster knows another server at this place";
const NO_REPLICA: &str =
    "it is said to be a replica, and is none. A former primary is told where `--also` names it";
const FOLLOWS_ANOTHER: &str = "it is said to be a replica of this primary, and has not followed it";
const NO_FUNCTIONS: &str = "it has no functions of this program, so that it may be another server";
/// Where a name has no port.
const PORT: u16 = 6_379;

/// Which command has other servers told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// `ledger arm`.
    #[default]
    Arm,
    /// `ledger export`.
    Export,
    /// `ledger import`.
    Import,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arm => "countersign ledger arm",
            Self::Export => "countersign ledger export",
            Self::Import => "countersign ledger import",
        })
    }
}

/// What people say of servers beside the primaries.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// These are stopped for good or were started anew, so that they need not be told: by place or name.
    pub without: Vec<String>,
    /// These are told too, although no server knows them.
    pub also: Vec<String>,
    /// What people have said, so that an error names it.
    pub order: Order,
}

impl Named {
    fn is_without(&self, name: &str, spot: &Spot) -> bool {
        let place = place(spot);
        let is_it = |it: &String| (!name.is_empty() && *it == name) || *it == place;
        self.without.iter().any(is_it)
    }

    fn also(&self) -> Result<Vec<Spot>, Unfit> {
        let each = self.also.iter().map(|text| {
            let wrong = "a server that is named is HOST:PORT";
            Ok(Hosts::read(None, text, PORT, wrong)?.spots)
        });
        let each: Result<Vec<_>, RedisError> = each.collect();
        Ok(each?.concat())
    }
}

fn place((host, port): &Spot) -> String {
    format!("{host}:{port}")
}

/// Arms the ledger of a Redis that was started anew. Whoever does this knows that nothing was lost.
///
/// # Errors
/// [`Unfit`] where that is certainly not so, or a server cannot be told that its term is over; in a cluster, where it is
/// so of any server. Then no primary is changed, unless it says so.
pub async fn arm(remote: &Remote, term: Term, named: &Named) -> Result<Generation, Unfit> {
    let mut servers = Servers::reach(remote).await?;
    let generation = generation(&mut servers).await?;
    servers.load().await?;
    let commands = Commands::new(&generation);
    let name = generation.to_string();
    for one in &mut servers.each {
        let (is_whole, ledgers) = one.survey().await?;
        if !is_whole || ledgers.iter().any(|it| *it != name.as_bytes()) {
            return Err(one.at(Unfit::Lost));
        }
        if let Some(&bucket) = one.buckets.first() {
            // Whether it takes writes at all.
            one.word(&commands.look(bucket)).await?;
        }
    }
    close_others(remote, &servers, named).await?;
    each_for_term(&mut servers, &commands, term).await?;
    Ok(generation)
}

/// Has every server of a ledger that is no primary approve nothing more.
///
/// # Errors
/// [`Unfit`] where one cannot be told.
pub(super) async fn close_others(
    remote: &Remote,
    servers: &Servers,
    named: &Named,
) -> Result<(), Unfit> {
    for mut other in others(remote, servers, named).await? {
        let closed = other.is_closed().await;
        closed.map_err(|why| not_told(named, &other.spot, why))?;
    }
    Ok(())
}

/// The same, before anything else is done.
///
/// # Errors
/// [`Unfit`] where one cannot be told.
pub async fn close_all_others(remote: &Remote, named: &Named) -> Result<(), Unfit> {
    let servers = Servers::reach(remote).await?;
    close_others(remote, &servers, named).await
}

/// Has every primary approve for this term, or none of them, as far as they can be told.
pub(super) async fn each_for_term(
    servers: &mut Servers,
    commands: &Commands,
    term: Term,
) -> Result<(), Unfit> {
    // Each step at every server before the next one is at any.
    for (step, done) in [("arm", "prepared"), ("ready", "ready"), ("open", "armed")] {
        if let Err(why) = step_of(servers, commands, (step, done), term).await {
            return Err(given_up(servers, commands, term, why).await);
        }
    }
    let armed_for = commands.armed_for(term);
    for at in 0..servers.each.len() {
        let Some(one) = servers.each.get_mut(at) else {
            continue;
        };
        let said = one.word(&standing(&library_name())).await;
        let why = match said {
            Ok(Some(said)) if said == armed_for => continue,
            Ok(Some(said)) if said == b"unarmed" => who_disarmed(one, commands, term).await,
            Ok(_) => one.at(Unfit::Another),
            Err(why) => why,
        };
        return Err(given_up(servers, commands, term, why).await);
    }
    Ok(())
}

async fn step_of(
    servers: &mut Servers,
    commands: &Commands,
    (step, done): (&str, &str),
    term: Term,
) -> Result<(), Unfit> {
    for one in &mut servers.each {
        let keys = one.keys();
        match one
            .word(&commands.arms(step, term, &keys))
            .await?
            .as_deref()
        {
            Some(said) if said == done.as_bytes() => {}
            Some(b"lost") => return Err(one.at(Unfit::Lost)),
            Some(b"other") => return Err(one.at(Unfit::Another)),
            _ => return Err(one.at(Unfit::Strange)),
        }
    }
    Ok(())
}

/// A node that finds that something is missing leaves the records and what was meant as they are; whoever arms for
/// another term does not.
async fn who_disarmed(one: &mut One, commands: &Commands, term: Term) -> Unfit {
    let keys = one.keys();
    match one.word(&commands.arms("ready", term, &keys)).await {
        Ok(Some(said)) if said == b"ready" => one.at(Unfit::Behind),
        Ok(_) => one.at(Unfit::Another),
        Err(why) => why,
    }
}

/// Has no server stay armed for a term that not all have. What another one is arming stays as it is.
async fn given_up(servers: &mut Servers, commands: &Commands, term: Term, why: Unfit) -> Unfit {
    let closes = commands.close(term);
    let mut open = Vec::new();
    for one in &mut servers.each {
        if let Err(why) = one.word(&closes).await {
            open.push(why);
        }
    }
    Unfit::HalfArmed(Box::new(why), open)
}

/// How a server beside the primaries is known, and so what it has to prove.
#[derive(Clone)]
enum Known {
    /// People name it.
    Named,
    /// Its cluster knows it by this name.
    Member(String),
    /// A server or sentinels say that it is a replica.
    Replica,
}

impl Known {
    fn name(&self) -> &str {
        match self {
            Self::Member(name) => name,
            Self::Named | Self::Replica => "",
        }
    }
}

/// A server beside the primaries.
struct Other {
    spot: Spot,
    connection: MultiplexedConnection,
    /// Whether it is certainly the one that it is taken for.
    is_proved: bool,
}

/// Who is to be asked: those of a kind before whoever is known less surely.
struct Places<'a> {
    named: &'a Named,
    known: Vec<(Known, Spot)>,
    announced: Vec<Spot>,
}

impl Places<'_> {
    /// Two that announce one place cannot both be told there.
    fn announce(&mut self, followers: Vec<Spot>) -> Result<(), Unfit> {
        for spot in followers {
            if self.named.is_without("", &spot) {
                continue;
            }
            if self.announced.contains(&spot) {
                return Err(not_told(self.named, &spot, Unfit::Unproved(TWICE)));
            }
            if self.known.len() >= SERVERS_MAX {
                return Err(not_told(self.named, &spot, Unfit::Unproved(TOO_MANY)));
            }
            self.announced.push(spot.clone());
            self.known.push((Known::Replica, spot));
        }
        Ok(())
    }
}

/// Connections to all servers beside the primaries.
async fn others(remote: &Remote, servers: &Servers, named: &Named) -> Result<Vec<Other>, Unfit> {
    let also = named.also()?.into_iter().map(|spot| (Known::Named, spot));
    let members = servers.others.iter().cloned();
    let members = members.map(|(name, spot)| (Known::Member(name), spot));
    let mut places = Places {
        named,
        known: also.chain(members).collect(),
        announced: Vec::new(),
    };
    // Of the primary, of whom people name, and of those who follow them.
    let mut histories = Vec::new();
    if !servers.is_cluster {
        for one in &servers.each {
            let told = replication(&mut one.connection.clone()).await?;
            histories.push(said_of("master_replid", &told).to_owned());
            places.announce(followers_in(&told).ok_or(Unfit::Strange)?)?;
        }
    }
    if let Some(sentinels) = remote.sentinels() {
        let replicas = sentinels.replicas().await?.into_iter();
        places.known.extend(replicas.map(|it| (Known::Replica, it)));
    }
    let mut reached: Vec<Other> = Vec::new();
    let mut at = 0;
    while let Some((known, spot)) = places.known.get(at).cloned() {
        at += 1;
        if named.is_without(known.name(), &spot) || reached.iter().any(|it| it.spot == spot) {
            continue;
        }
        let connects = async {
            let one = Remote::one(remote.access(), &spot)?;
            let mut connection = one.connect(&link::config()).await?;
            let is_proved = is_proved(&mut connection, &known, &histories).await?;
            let told = replication(&mut connection).await?;
            let followers = followers_in(&told).ok_or(Unfit::Strange)?;
            let history = said_of("master_replid", &told).to_owned();
            Ok::<_, Unfit>((connection, is_proved, history, followers))
        };
        let connected = connects.await.map_err(|why| not_told(named, &spot, why));
        let (connection, is_proved, history, followers) = connected?;
        // Those of a replica are replicas too; in a cluster they are known.
        if !servers.is_cluster {
            places.announce(followers)?;
            histories.push(history);
        }
        reached.push(Other {
            spot,
            connection,
            is_proved,
        });
    }
    Ok(reached)
}

/// Whether a server proves to be what it is known as: only what people name need not. Whoever is being given a copy, or
/// has not heard yet whom to follow, is asked again.
async fn is_proved(
    connection: &mut MultiplexedConnection,
    known: &Known,
    histories: &[String],
) -> Result<bool, Unfit> {
    if matches!(known, Known::Named) {
        return Ok(false);
    }
    for _ in 0..LOADING_MAX {
        if let Known::Member(name) = known {
            let mut asks = redis::cmd("CLUSTER");
            let is: Result<String, _> = asks.arg("MYID").query_async(connection).await;
            match is {
                Ok(is) if is == *name => return Ok(true),
                Ok(_) => return Err(Unfit::Unproved(ANOTHER_MEMBER)),
                Err(error) if is_loading(&error) => {}
                Err(error) => return Err(error.into()),
            }
        } else {
            let told = replication(connection).await?;
            if said_of("role", &told) != "slave" {
                return Err(Unfit::Unproved(NO_REPLICA));
            }
            let history = said_of("master_replid", &told);
            if !history.is_empty() && histories.iter().any(|it| it == history) {
                return Ok(true);
            }
        }
        sleep(LOADING_PAUSE).await;
    }
    Err(Unfit::Unproved(FOLLOWS_ANOTHER))
}

fn not_told(named: &Named, spot: &Spot, why: impl Into<Unfit>) -> Unfit {
    Unfit::NotTold(place(spot), named.order, Box::new(why.into()))
}

/// What a server says of whom it follows, and who follows it.
async fn replication(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
    let mut info = redis::cmd("INFO");
    info.arg("replication").query_async(connection).await
}

fn said_of<'a>(name: &str, told: &'a str) -> &'a str {
    let mut lines = told.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| *key == name);
    found.map_or("", |(_, value)| value.trim())
}

/// Who is connected to a server as its replica: `slave0:ip=10.0.0.6,port=6379,state=online,…`. Absent where one of them
/// is not understood.
fn followers_in(told: &str) -> Option<Vec<Spot>> {
    let lines = told.lines().filter_map(|line| {
        let (key, said) = line.split_once(':')?;
        let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
        key.strip_prefix("slave").filter(|it| is_number(it))?;
        Some(said)
    });
    let spot = |said: &str| {
        let of = |name: &str| {
            let mut parts = said.split(',').filter_map(|part| part.split_once('='));
            parts.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        Some((of("ip")?.to_owned(), of("port")?.trim().parse().ok()?))
    };
    lines.map(spot).collect()
}

/// Whoever does not have our functions is not armed.
fn unless_unknown(
    said: Result<Option<Vec<u8>>, RedisError>,
) -> Result<Option<Vec<u8>>, RedisError> {
    match said {
        Err(error) if is_unknown_function(&error) => Ok(None),
        said => said,
    }
}

impl Other {
    /// Has it approve nothing more, with the functions of any release.
    async fn is_closed(&mut self) -> Result<(), Unfit> {
        let mut closed = word(&mut self.connection, &close()).await;
        for _ in 0..LOADING_MAX {
            // A replica that is being given a copy can be told when it has it.
            if !closed.as_ref().is_err_and(is_loading) {
                break;
            }
            sleep(LOADING_PAUSE).await;
            closed = word(&mut self.connection, &close()).await;
        }
        unless_unknown(closed)?;
        let libraries = libraries(&mut self.connection).await?;
        if libraries.is_empty() && !self.is_proved {
            return Err(Unfit::Unproved(NO_FUNCTIONS));
        }
        for library in libraries {
            let said = word(&mut self.connection, &standing(&library)).await;
            if unless_unknown(said)?.is_some_and(|it| it != b"unarmed") {
                return Err(Unfit::Armed);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_follows_stands_in_what_a_server_says_of_its_replication() {
        let told = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
                    slave0:ip=10.0.0.6,port=6379,state=online,offset=1,lag=0\r\n\
                    slave1:ip=redis-2.internal,port=6380,state=wait_bgsave,offset=0,lag=1\r\n\
                    slave_priority:100\r\nmaster_failover_state:no-failover\r\n";
        let spots = followers_in(told).unwrap();
        let places: Vec<String> = spots.iter().map(place).collect();
        assert_eq!(places, ["10.0.0.6:6379", "redis-2.internal:6380"]);
        assert_eq!(said_of("role", told), "master");
        // Nobody is left out because of a line that is not understood.
        assert!(followers_in(&told.replace("port=6380", "port=0x9")).is_none());
    }

    #[test]
    fn two_replicas_that_announce_one_place_are_not_taken_for_one() {
        let of = |named| Places {
            named,
            known: Vec::new(),
            announced: Vec::new(),
        };
        let at = |port| ("10.0.0.6".to_owned(), port);
        let named = Named::default();
        let mut places = of(&named);
        places.announce(vec![at(1), at(2)]).unwrap();
        let told = places.announce(vec![at(2)]).unwrap_err().to_string();
        assert!(
            told.contains("10.0.0.6:2") && told.contains(TWICE),
            "{told}"
        );
        let mut places = of(&named);
        let most = u16::try_from(SERVERS_MAX).unwrap();
        places.announce((0..most).map(at).collect()).unwrap();
        let told = places.announce(vec![at(most)]).unwrap_err().to_string();
        assert!(told.contains(TOO_MANY), "{told}");
    }

    #[test]
    fn people_name_servers_by_place_or_name() {
        let named = Named {
            without: vec!["10.0.0.6:6379".to_owned(), "cafe".to_owned()],
            also: vec!["old.internal".to_owned()],
            order: Order::Arm,
        };
        let at = |host: &str| (host.to_owned(), 6_379);
        assert!(named.is_without("", &at("10.0.0.6")) && named.is_without("cafe", &at("")));
        assert!(!named.is_without("", &at("10.0.0.7")));
        // A script whose variable is empty leaves nobody out.
        let empty = Named {
            without: vec![String::new()],
            ..Named::default()
        };
        assert!(!empty.is_without("", &at("10.0.0.6")));
        assert_eq!(named.also().unwrap(), [at("old.internal")]);
        let wrong = Named {
            also: vec!["a:b:c/".to_owned()],
            ..Named::default()
        };
        assert!(wrong.also().unwrap_err().to_string().contains("HOST:PORT"));
    }
}
