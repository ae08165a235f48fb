//! One keep-alive connection: write a request, read the reply, count. No pipelining.

use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::pace::{Job, Work};
use crate::http;
use crate::tally::Moments;
use crate::verdict::judge;

/// Room for a head of ordinary size and the largest body that `http` accepts.
const BUFFER_SIZE: usize = 96 * 1024;

/// Works until nothing is left to send or the connection breaks; a break is counted and not mended.
pub(super) async fn converse(mut stream: TcpStream, work: Rc<Work>) {
    let mut request = Vec::new();
    let mut buffer = vec![0; BUFFER_SIZE];
    while let Some(job) = work.next(&mut request).await {
        if let Err(text) = exchange(&mut stream, &request, &mut buffer, &work, &job).await {
            work.tally_mut().fault(text);
            return;
        }
    }
}

async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut [u8],
    work: &Work,
    job: &Job,
) -> Result<(), String> {
    work.tally_mut().sent += 1;
    let sent = stream.write_all(request).await;
    sent.map_err(|fault| format!("write: {}", fault.kind()))?;
    let mut filled = 0;
    loop {
        let free = buffer.get_mut(filled..).unwrap_or_default();
        let size = stream
            .read(free)
            .await
            .map_err(|fault| format!("read: {}", fault.kind()))?;
        if size == 0 {
            return Err("the server closed the connection before a reply".to_owned());
        }
        filled += size;
        let bytes = buffer.get(..filled).unwrap_or_default();
        let Some(reply) = http::reply(bytes).map_err(|fault| fault.to_string())? else {
            continue;
        };
        let done_ns = work.now_ns();
        let at = Moments {
            intended_ns: job.intended_ns,
            sent_ns: job.sent_ns,
            done_ns,
        };
        work.tally_mut().reply(at, judge(&reply, &job.token));
        return Ok(());
    }
}
