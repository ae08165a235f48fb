//! Arms a ledger: first no server of it approves anything, then every primary does, all for one term.
//!
//! A server that was a primary may remember that it is armed for the term that its records have: it was made a
//! replica, and follows nobody. Promoted it would approve on what it has. So replicas are told too, and who is said to
//! be gone; whoever cannot be told is for people to judge.

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

/// Servers that follow one another in a chain, at most.
const SERVERS_MAX: usize = 1_000;
/// Between two attempts to tell a replica that is loading, and how many there are.
const LOADING_PAUSE: Duration = Duration::from_millis(100);
const LOADING_MAX: u32 = 50;
/// Where a name has no port.
const PORT: u16 = 6_379;

/// What people say of servers beside the primaries.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// These are stopped for good or were started anew, so that they need not be told: by place or name.
    pub without: Vec<String>,
    /// These are told too, although no server knows them.
    pub also: Vec<String>,
}

impl Named {
    fn is_without(&self, name: &str, spot: &Spot) -> bool {
        let place = place(spot);
        self.without.iter().any(|it| *it == name || *it == place)
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
/// so of any server. Then all is as it was, unless it says that nothing is approved any more.
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
    let mut others = others(remote, &servers, named).await?;
    for (spot, other) in &mut others {
        let closed = is_closed(other).await;
        closed.map_err(|why| not_told(spot, why))?;
    }
    each_for_term(&mut servers, &commands, term).await?;
    Ok(generation)
}

/// Has every server of a ledger that is no primary approve nothing more.
///
/// # Errors
/// [`Unfit`] where one cannot be told.
pub(super) async fn close_others(remote: &Remote, servers: &Servers) -> Result<(), Unfit> {
    for (spot, mut other) in others(remote, servers, &Named::default()).await? {
        let closed = is_closed(&mut other).await;
        closed.map_err(|why| not_told(&spot, why))?;
    }
    Ok(())
}

/// Has every primary approve for this term, or none of them.
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
    let mut is_closed = true;
    for one in &mut servers.each {
        is_closed &= one.word(&closes).await.is_ok();
    }
    if !is_closed {
        tracing::warn!("a server could not be told that it is not armed after all");
    }
    Unfit::HalfArmed(Box::new(why))
}

/// Connections to all servers beside the primaries.
async fn others(
    remote: &Remote,
    servers: &Servers,
    named: &Named,
) -> Result<Vec<(Spot, MultiplexedConnection)>, Unfit> {
    let mut known = servers.others.clone();
    if let Some(sentinels) = remote.sentinels() {
        known.extend(sentinels.replicas().await?.into_iter().map(nameless));
    }
    known.extend(named.also()?.into_iter().map(nameless));
    if !servers.is_cluster {
        for one in &servers.each {
            let followers = followers(&mut one.connection.clone()).await?;
            known.extend(followers.into_iter().map(nameless));
        }
    }
    let mut reached: Vec<(Spot, MultiplexedConnection)> = Vec::new();
    let mut at = 0;
    while let Some((name, spot)) = known.get(at).cloned() {
        at += 1;
        if named.is_without(&name, &spot) || reached.iter().any(|it| it.0 == spot) {
            continue;
        }
        let connects = async {
            let one = Remote::one(remote.access(), &spot)?;
            let mut connection = one.connect(&link::config()).await?;
            let followers = followers(&mut connection).await?;
            Ok::<_, RedisError>((connection, followers))
        };
        let (connection, followers) = connects.await.map_err(|why| not_told(&spot, why))?;
        // Those of a replica are replicas too; in a cluster they are known.
        if !servers.is_cluster && known.len() < SERVERS_MAX {
            known.extend(followers.into_iter().map(nameless));
        }
        reached.push((spot, connection));
    }
    Ok(reached)
}

fn nameless(spot: Spot) -> (String, Spot) {
    (String::new(), spot)
}

fn not_told(spot: &Spot, why: impl Into<Unfit>) -> Unfit {
    Unfit::NotTold(place(spot), Box::new(why.into()))
}

/// Who is connected to a server as its replica.
async fn followers(connection: &mut MultiplexedConnection) -> Result<Vec<Spot>, RedisError> {
    let mut info = redis::cmd("INFO");
    let told: String = info.arg("replication").query_async(connection).await?;
    Ok(followers_in(&told))
}

/// `slave0:ip=10.0.0.6,port=6379,state=online,…`.
fn followers_in(told: &str) -> Vec<Spot> {
    let lines = told.lines().filter_map(|line| {
        let (key, said) = line.split_once(':')?;
        let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
        key.strip_prefix("slave").filter(|it| is_number(it))?;
        let of = |name: &str| {
            let mut parts = said.split(',').filter_map(|part| part.split_once('='));
            parts.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        Some((of("ip")?.to_owned(), of("port")?.trim().parse().ok()?))
    });
    lines.collect()
}

/// Has a server approve nothing more, with the functions of any release.
async fn is_closed(connection: &mut MultiplexedConnection) -> Result<(), Unfit> {
    let said = |said: Result<Option<Vec<u8>>, RedisError>| match said {
        // Whoever does not have our functions is not armed.
        Err(error) if is_unknown_function(&error) => Ok(None),
        said => said,
    };
    let mut closed = said(word(connection, &close()).await);
    for _ in 0..LOADING_MAX {
        // A replica that is being given a copy can be told when it has it.
        if !closed.as_ref().is_err_and(is_loading) {
            break;
        }
        sleep(LOADING_PAUSE).await;
        closed = said(word(connection, &close()).await);
    }
    closed?;
    for library in libraries(connection).await? {
        let is_armed = said(word(connection, &standing(&library)).await)?;
        if is_armed.is_some_and(|it| it != b"unarmed") {
            return Err(Unfit::Armed);
        }
    }
    Ok(())
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
        let places: Vec<String> = followers_in(told).iter().map(place).collect();
        assert_eq!(places, ["10.0.0.6:6379", "redis-2.internal:6380"]);
    }

    #[test]
    fn people_name_servers_by_place_or_name() {
        let named = Named {
            without: vec!["10.0.0.6:6379".to_owned(), "cafe".to_owned()],
            also: vec!["old.internal".to_owned()],
        };
        let at = |host: &str| (host.to_owned(), 6_379);
        assert!(named.is_without("", &at("10.0.0.6")) && named.is_without("cafe", &at("")));
        assert!(!named.is_without("", &at("10.0.0.7")));
        assert_eq!(named.also().unwrap(), [at("old.internal")]);
        let wrong = Named {
            also: vec!["a:b:c/".to_owned()],
            ..Named::default()
        };
        assert!(wrong.also().unwrap_err().to_string().contains("HOST:PORT"));
    }
}
