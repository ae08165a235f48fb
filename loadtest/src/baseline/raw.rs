//! Bytes in, fixed bytes out: about the least that any server can do over TCP.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::error::Error;
use crate::http;

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
    content-length: 21\r\n\r\n{\"result\":\"APPROVED\"}";
const BUFFER_SIZE: usize = 64 * 1024;

pub(super) async fn accept(listener: TcpListener, runtime: &Handle) -> Result<(), Error> {
    loop {
        let (stream, _peer) = listener.accept().await.map_err(Error::io("accept"))?;
        stream
            .set_nodelay(true)
            .map_err(Error::io("set TCP_NODELAY"))?;
        // A peer that goes away ends its own connection only.
        drop(runtime.spawn(async move { converse(stream).await.unwrap_or_default() }));
    }
}

/// One request at a time: what follows a request before its reply is dropped with it.
async fn converse(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER_SIZE];
    let mut filled = 0;
    loop {
        let size = stream
            .read(buffer.get_mut(filled..).unwrap_or_default())
            .await?;
        if size == 0 {
            return Ok(());
        }
        filled += size;
        match http::message(buffer.get(..filled).unwrap_or_default()) {
            Ok(None) => {}
            Ok(Some(_whole)) => {
                stream.write_all(REPLY).await?;
                filled = 0;
            }
            Err(_fault) => return Ok(()),
        }
    }
}
