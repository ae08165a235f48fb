//! As much of the protocol of Redis as a client needs that sends many commands ahead.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::Error;
use crate::run::connect_one;

const READ_SIZE: usize = 64 * 1024;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(Vec<u8>),
    Number(i64),
    Items(Vec<Self>),
    Nothing,
    Refusal(String),
    /// Told without having been asked for.
    Pushed,
}

impl Value {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Self::Items(items) => items.first().map(Self::text).unwrap_or_default(),
            Self::Number(number) => number.to_string(),
            Self::Refusal(text) => text.clone(),
            Self::Nothing | Self::Pushed => String::new(),
        }
    }
}

/// One connection.
pub(super) struct Line {
    stream: TcpStream,
    input: Vec<u8>,
    /// What of it was read.
    read: usize,
}

impl Line {
    pub(super) async fn to(address: SocketAddr) -> Result<Self, Error> {
        Ok(Self {
            stream: connect_one(address).await?,
            input: Vec::new(),
            read: 0,
        })
    }

    pub(super) async fn send(&mut self, commands: &[u8]) -> Result<(), Error> {
        let sent = self.stream.write_all(commands).await;
        sent.map_err(Error::io("write to Redis"))
    }

    /// Sends one command and waits for what it answers.
    pub(super) async fn ask(&mut self, words: &[&[u8]]) -> Result<Value, Error> {
        let mut command = Vec::new();
        put(&mut command, words);
        self.send(&command).await?;
        let answer = self.answer().await?;
        if let Value::Refusal(text) = answer {
            return Err(Error::Server(format!("Redis says `{text}`")));
        }
        Ok(answer)
    }

    /// The next answer.
    pub(super) async fn answer(&mut self) -> Result<Value, Error> {
        loop {
            if let Some(answer) = self.ready()? {
                return Ok(answer);
            }
            self.fill().await?;
        }
    }

    /// The next answer, if all of it was read.
    pub(super) fn ready(&mut self) -> Result<Option<Value>, Error> {
        loop {
            let rest = self.input.get(self.read..).unwrap_or_default();
            let Some((value, rest)) = value(rest)? else {
                return Ok(None);
            };
            self.read = self.input.len() - rest.len();
            if value != Value::Pushed {
                return Ok(Some(value));
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Error> {
        self.input.drain(..self.read);
        self.read = 0;
        self.input.reserve(READ_SIZE);
        let read = self.stream.read_buf(&mut self.input).await;
        match read.map_err(Error::io("read from Redis"))? {
            0 => Err(Error::Server("Redis has gone".to_owned())),
            _ => Ok(()),
        }
    }
}

/// Adds a command.
pub(super) fn put(commands: &mut Vec<u8>, words: &[&[u8]]) {
    commands.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        commands.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        commands.extend_from_slice(word);
        commands.extend_from_slice(b"\r\n");
    }
}

type Parsed<'a> = Result<Option<(Value, &'a [u8])>, Error>;

/// The value that these bytes begin with, and what follows; absent as long as bytes are missing.
fn value(bytes: &[u8]) -> Parsed<'_> {
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else {
        return Ok(None);
    };
    let (head, rest) = bytes.split_at(end + 2);
    let head = head.get(..end).unwrap_or_default();
    let (kind, text) = head.split_first().ok_or_else(nonsense)?;
    let number = || -> Result<i64, Error> {
        let number = str::from_utf8(text).ok().and_then(|it| it.parse().ok());
        number.ok_or_else(nonsense)
    };
    Ok(match kind {
        b'+' => Some((Value::Text(text.to_vec()), rest)),
        b'-' => {
            let text = String::from_utf8_lossy(text).into_owned();
            Some((Value::Refusal(text), rest))
        }
        b':' => Some((Value::Number(number()?), rest)),
        b'_' => Some((Value::Nothing, rest)),
        b'$' | b'=' => match usize::try_from(number()?) {
            Err(_negative) => Some((Value::Nothing, rest)),
            Ok(size) => rest.split_at_checked(size + 2).map(|(text, rest)| {
                let text = text.get(..size).unwrap_or_default().to_vec();
                (Value::Text(text), rest)
            }),
        },
        b'*' | b'>' | b'%' => {
            let count = usize::try_from(number()?).unwrap_or(0);
            let count = if *kind == b'%' { 2 * count } else { count };
            return items(rest, count, *kind == b'>');
        }
        _ => return Err(nonsense()),
    })
}

fn items(mut rest: &[u8], count: usize, is_pushed: bool) -> Parsed<'_> {
    let mut items = Vec::new();
    for _ in 0..count {
        let Some((item, after)) = value(rest)? else {
            return Ok(None);
        };
        items.push(item);
        rest = after;
    }
    let value = if is_pushed {
        Value::Pushed
    } else {
        Value::Items(items)
    };
    Ok(Some((value, rest)))
}

fn nonsense() -> Error {
    Error::Server("Redis gave an answer that is none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Value, put, value};

    #[test]
    fn an_answer_is_read_in_any_two_pieces_and_what_is_pushed_is_known() {
        let bytes = b"*3\r\n$8\r\nappended\r\n:-7\r\n_\r\n>2\r\n+a\r\n$1\r\nb\r\n+OK\r\n";
        let first = Value::Items(vec![
            Value::Text(b"appended".to_vec()),
            Value::Number(-7),
            Value::Nothing,
        ]);
        let end = bytes.iter().position(|byte| *byte == b'>').unwrap();
        for cut in 0..end {
            assert_eq!(value(&bytes[..cut]).unwrap(), None, "{cut}");
        }
        let (read, rest) = value(bytes).unwrap().unwrap();
        assert_eq!((read.text(), &read), ("appended".to_owned(), &first));
        let (pushed, rest) = value(rest).unwrap().unwrap();
        assert_eq!((pushed, rest), (Value::Pushed, &b"+OK\r\n"[..]));
        assert!(value(b"?\r\n").is_err());
    }

    #[test]
    fn a_command_is_written_with_the_sizes_of_its_words() {
        let mut commands = Vec::new();
        put(&mut commands, &[b"GET", b"a\r\nb"]);
        assert_eq!(commands, b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
    }
}
