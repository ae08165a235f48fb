//! What is written where nobody thinks of races: look at the counter, compare, add.

use std::cell::Cell;
use std::rc::Rc;

use tokio::task::JoinSet;

use super::Exactness;
use super::redis::Redis;
use super::resp::Line;
use crate::error::Error;

const COUNTER: &[u8] = b"spent";

/// So many clients until there is no room any more.
pub(super) async fn race(redis: &Redis, clients: u64, room: u64) -> Result<Exactness, Error> {
    let (asked, approved) = (Rc::<Cell<u64>>::default(), Rc::<Cell<u64>>::default());
    let mut racing = JoinSet::new();
    for _ in 0..clients {
        let mut line = Line::to(redis.address()).await?;
        let (asked, approved) = (Rc::clone(&asked), Rc::clone(&approved));
        racing.spawn_local(async move {
            loop {
                asked.set(asked.get() + 1);
                let spent = line.ask(&[b"GET", COUNTER]).await?.text();
                if spent.parse().unwrap_or(0) >= room {
                    return Ok::<(), Error>(());
                }
                line.ask(&[b"INCR", COUNTER]).await?;
                approved.set(approved.get() + 1);
            }
        });
    }
    while let Some(ended) = racing.join_next().await {
        ended.map_err(|_panic| Error::Server("a client broke off".to_owned()))??;
    }
    Ok(Exactness {
        who: "get, compare, increment",
        room,
        asked: asked.get(),
        approved: approved.get(),
    })
}
