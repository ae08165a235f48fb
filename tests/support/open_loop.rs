//! A client of many connections on one thread: requests go out at a rate of their own, whatever the
//! server does, over as many connections as there are; each connection has one under way.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use countersign::domain::time::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use crate::server::{find, now};

/// Replies that are outstanding after the last phase are waited for this long.
const PATIENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(1);

/// How requests go out for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    /// Requests a second; absent where each connection sends as soon as it has its reply.
    pub(crate) rate: Option<u64>,
    pub(crate) time: Duration,
}

impl Phase {
    pub(crate) fn closed(time: Duration) -> Self {
        Self { rate: None, time }
    }

    pub(crate) fn open(rate: u64, time: Duration) -> Self {
        let rate = Some(rate.max(1));
        Self { rate, time }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Approved,
    /// A 200 whose result is not an approval.
    Declined,
    /// Anything else, and what it was.
    Invalid(String),
}

/// One request as the client's socket saw it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Before its first byte was written.
    pub(crate) sent: Timestamp,
    /// From there until its reply was read, in microseconds.
    pub(crate) took_us: i64,
    pub(crate) outcome: Outcome,
}

/// What was sent in one phase and answered, then or later.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ran {
    pub(crate) began: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) samples: Vec<Sample>,
}

impl Ran {
    /// Approvals a second that were there by the end of the phase.
    pub(crate) fn approved_per_second(&self) -> u64 {
        let in_time = |it: &&Sample| {
            it.outcome == Outcome::Approved && it.sent.plus_micros(it.took_us) <= self.ended
        };
        let count = self.samples.iter().filter(in_time).count();
        let took_us = self.ended.micros_since(self.began).max(1);
        count as u64 * 1_000_000 / u64::try_from(took_us).unwrap()
    }

    /// The percentile of the time from send to reply, of requests sent from `since` on.
    pub(crate) fn percentile_us(&self, percent: usize, since: Timestamp) -> i64 {
        let sent = self.samples.iter().filter(|it| it.sent >= since);
        let mut took: Vec<i64> = sent.map(|it| it.took_us).collect();
        took.sort_unstable();
        let at = took.len() * percent / 100;
        took.get(at)
            .or_else(|| took.last())
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn slowest_us(&self) -> i64 {
        let took = self.samples.iter().map(|it| it.took_us);
        took.max().unwrap_or_default()
    }
}

struct Work<'r> {
    requests: &'r [Vec<u8>],
    next: Cell<usize>,
    due: Semaphore,
    under_way: Cell<usize>,
    ran: RefCell<Vec<Ran>>,
}

/// Runs the phases that `next` names, given what ran so far, over `connections`. The requests are sent
/// in turn, and again from the first when there is none left.
pub(crate) fn drive(
    address: SocketAddr,
    connections: usize,
    requests: &[Vec<u8>],
    next: impl FnMut(&[Ran]) -> Option<Phase>,
) -> Vec<Ran> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    // Tasks of a `LocalSet` live as long as they like; these end with their semaphore.
    let requests: &'static [Vec<u8>] = Box::leak(requests.to_vec().into_boxed_slice());
    LocalSet::new().block_on(&runtime, run(address, connections, requests, next))
}

async fn run(
    address: SocketAddr,
    connections: usize,
    requests: &'static [Vec<u8>],
    mut next: impl FnMut(&[Ran]) -> Option<Phase>,
) -> Vec<Ran> {
    let work = Rc::new(Work {
        requests,
        next: Cell::new(0),
        due: Semaphore::new(0),
        under_way: Cell::new(0),
        ran: RefCell::default(),
    });
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::task::spawn_local(converse(stream, Rc::clone(&work)));
    }
    loop {
        let phase = next(&work.ran.borrow());
        let Some(phase) = phase else { break };
        let began = now();
        work.ran.borrow_mut().push(Ran {
            began,
            ..Ran::default()
        });
        work.release(phase, connections, began).await;
        work.ran.borrow_mut().last_mut().unwrap().ended = now();
    }
    work.due.close();
    let since = now();
    while work.under_way.get() > 0 {
        let patience_us = i64::try_from(PATIENCE.as_micros()).unwrap();
        assert!(
            now().micros_since(since) < patience_us,
            "replies are missing"
        );
        tokio::time::sleep(TICK).await;
    }
    work.ran.take()
}

impl Work<'_> {
    /// Lets requests go for the time of the phase. What found no connection by its end is given up.
    async fn release(&self, phase: Phase, connections: usize, began: Timestamp) {
        let time_us = u64::try_from(phase.time.as_micros()).unwrap();
        let mut released = 0;
        loop {
            let elapsed_us = u64::try_from(now().micros_since(began)).unwrap_or(0);
            if elapsed_us >= time_us {
                break;
            }
            let due = match phase.rate {
                Some(rate) => rate * elapsed_us / 1_000_000 - released,
                None => connections.saturating_sub(self.due.available_permits()) as u64,
            };
            released += due;
            self.due.add_permits(usize::try_from(due).unwrap());
            tokio::time::sleep(TICK).await;
        }
        self.due.forget_permits(self.due.available_permits());
    }

    fn note(&self, phase: usize, sample: Sample) {
        self.ran.borrow_mut()[phase].samples.push(sample);
    }
}

async fn converse(mut stream: TcpStream, work: Rc<Work<'static>>) {
    let mut buffer = Vec::with_capacity(1_024);
    while let Ok(permit) = work.due.acquire().await {
        permit.forget();
        let at = work.next.replace(work.next.get() + 1);
        let request = &work.requests[at % work.requests.len()];
        let phase = work.ran.borrow().len() - 1;
        work.under_way.set(work.under_way.get() + 1);
        let sent = now();
        let outcome = exchange(&mut stream, request, &mut buffer).await;
        let took_us = now().micros_since(sent);
        work.under_way.set(work.under_way.get() - 1);
        let ends = matches!(outcome, Outcome::Invalid(_));
        work.note(
            phase,
            Sample {
                sent,
                took_us,
                outcome,
            },
        );
        if ends {
            return;
        }
    }
}

async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Outcome {
    if let Err(error) = stream.write_all(request).await {
        return Outcome::Invalid(format!("write: {error}"));
    }
    buffer.clear();
    loop {
        match stream.read_buf(buffer).await {
            Ok(0) => return Outcome::Invalid("closed before the reply".to_owned()),
            Ok(_) => {}
            Err(error) => return Outcome::Invalid(format!("read: {error}")),
        }
        if let Some(body) = whole_body(buffer) {
            return judge(buffer, body);
        }
    }
}

/// Where the body begins, once all of it is there.
fn whole_body(bytes: &[u8]) -> Option<usize> {
    let start = find(bytes, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..start]).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    })?;
    (bytes.len() >= start + length).then_some(start)
}

fn judge(bytes: &[u8], body: usize) -> Outcome {
    let decision = bytes[body..].strip_prefix(br#"{"result":""#);
    match decision {
        Some(result) if bytes.starts_with(b"HTTP/1.1 200 ") => {
            if result.starts_with(b"APPROVED") {
                Outcome::Approved
            } else {
                Outcome::Declined
            }
        }
        _ => Outcome::Invalid(String::from_utf8_lossy(bytes).into_owned()),
    }
}
