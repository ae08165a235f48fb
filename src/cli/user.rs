//! `countersign user`: the people who may sign in to a running server's pages.

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::cli::Exit;
use crate::cli::demo::{Failure, runtime, unwritten};
use crate::cli::typed;
use crate::clock::Clock;
use crate::cold::ask::ask_for_user;
use crate::cold::init::Place;
use crate::cold::people::command::{Asked, New, Order, UserShown, proof};
use crate::cold::people::password;
use crate::config::DATA_DIR_DEFAULT;

/// The people who may sign in.
#[derive(Args, Clone, Debug)]
pub struct UserArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Let somebody in. The password is read from stdin, or drawn and printed
    Add {
        #[command(flatten)]
        place: Where,
        /// By what he signs in
        #[arg(long, value_name = "ADDRESS")]
        email: String,
        /// What others see
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// What he may do
        #[arg(long, value_enum)]
        scope: ScopeWord,
        /// The one customer that he reaches; else all
        #[arg(long, value_name = "ID")]
        customer: Option<String>,
        /// Objects with money behind them, in place of those for trying things out
        #[arg(long)]
        live: bool,
        /// Draw a password, and print it once
        #[arg(long)]
        generate: bool,
    },
    /// Give somebody another password; where he is signed in, he is signed out
    Password {
        #[command(flatten)]
        place: Where,
        /// Who
        #[arg(long, value_name = "ADDRESS")]
        email: String,
        /// Draw a password, and print it once
        #[arg(long)]
        generate: bool,
    },
    /// Shut somebody out at once, and the programs that he has let in
    Disable {
        #[command(flatten)]
        place: Where,
        /// Who
        #[arg(long, value_name = "ADDRESS")]
        email: String,
    },
    /// Let somebody in again; he has to sign in anew
    Enable {
        #[command(flatten)]
        place: Where,
        /// Who
        #[arg(long, value_name = "ADDRESS")]
        email: String,
    },
    /// Show everybody
    List(Where),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScopeWord {
    Owner,
    Reviewer,
    Viewer,
}

/// The running server, and its data directory, by which the command proves that it may.
#[derive(Args, Clone, Debug)]
struct Where {
    /// The server's data directory [default: ./countersign-data]
    #[arg(long, env = "COUNTERSIGN_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The server's listener for operators [default: 127.0.0.1:8702]
    #[arg(
        long,
        env = "COUNTERSIGN_OPS_LISTEN",
        value_name = "ADDRESS",
        value_parser = typed::address,
        default_value = "127.0.0.1:8702",
        hide_default_value = true
    )]
    ops_listen: SocketAddr,
}

#[derive(Deserialize)]
struct WireDone {
    users: Vec<UserShown>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where the server cannot be asked, or refuses.
pub fn run(arguments: UserArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plain = |order, email| (order, email, None, None);
    let (place, (order, email, new, drawn)) = match arguments.action {
        Action::Add {
            place,
            email,
            name,
            scope,
            customer,
            live,
            generate,
        } => {
            let new = New {
                name,
                scope: word(scope).to_owned(),
                customer_id: customer,
                is_live: live,
            };
            (place, (Order::Add, email, Some(new), Some(generate)))
        }
        Action::Password {
            place,
            email,
            generate,
        } => (place, (Order::Password, email, None, Some(generate))),
        Action::Disable { place, email } => (place, plain(Order::Disable, email)),
        Action::Enable { place, email } => (place, plain(Order::Enable, email)),
        Action::List(place) => (place, plain(Order::List, String::new())),
    };
    let given = drawn.map(given).transpose()?;
    let (password, drawn) = given.unzip();
    let asked = Asked {
        at_us: Clock::start().now().micros(),
        order,
        email,
        password,
        new,
    };
    let written = tell(&told(&place, &asked)?, drawn.flatten().as_ref(), out);
    written.map_err(|error| unwritten(&error))?;
    Ok(Exit::Ok)
}

fn word(scope: ScopeWord) -> &'static str {
    match scope {
        ScopeWord::Owner => "owner",
        ScopeWord::Reviewer => "reviewer",
        ScopeWord::Viewer => "viewer",
    }
}

/// The hash of the password; the password too, where it was drawn here.
fn given(generate: bool) -> Result<(String, Option<SecretString>), Failure> {
    let fault = |error: io::Error| Failure::other(&error);
    let drawn = generate.then(password::draw).transpose().map_err(fault)?;
    let typed = match &drawn {
        Some(drawn) => drawn.clone(),
        None => read_password().map_err(|why| Failure {
            message: format!("stdin: {why}"),
            exit: Exit::Usage,
        })?,
    };
    let hash = password::hash(&typed).map_err(fault)?;
    Ok((hash.0, drawn))
}

fn read_password() -> Result<SecretString, String> {
    if io::stdin().is_terminal() {
        let why = "is a terminal, which would show it: give the password by a pipe, or --generate";
        return Err(why.to_owned());
    }
    let mut text = String::new();
    let most = u64::try_from(password::LEN_MAX + 2).unwrap_or(u64::MAX);
    let read = io::stdin().lock().take(most).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    let line = text.trim_end_matches(['\n', '\r']);
    let is_long = line.chars().count() >= password::LEN_MIN && line.len() <= password::LEN_MAX;
    if !is_long || line.contains(['\n', '\r']) {
        let (least, most) = (password::LEN_MIN, password::LEN_MAX);
        return Err(format!(
            "must be one line of {least} characters at least and {most} bytes at most"
        ));
    }
    Ok(SecretString::from(line.to_owned()))
}

fn told(place: &Where, asked: &Asked) -> Result<Vec<UserShown>, Failure> {
    let data_dir = place.data_dir.clone();
    let data_dir = data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT));
    let secret = Place::of(&data_dir, None).secret();
    let secret = secret.map_err(|error| Failure::usage(&error))?;
    let body = serde_json::to_vec(asked);
    let body = body.map_err(|error| Failure::other(&error))?;
    let proof = proof(&secret, &body);
    let told = runtime()?.block_on(ask_for_user(place.ops_listen, &proof, body));
    let told = told.map_err(|why| Failure::other(&why))?;
    let done: WireDone = serde_json::from_slice(&told)
        .map_err(|error| Failure::other(&format!("the answer is not understood: {error}")))?;
    Ok(done.users)
}

fn tell(users: &[UserShown], drawn: Option<&SecretString>, out: &mut dyn Write) -> io::Result<()> {
    for user in users {
        let customer = user.customer_id.as_deref().unwrap_or("all customers");
        let state = if user.is_disabled {
            "disabled"
        } else {
            "active"
        };
        let UserShown {
            id,
            email,
            mode,
            scope,
            ..
        } = user;
        writeln!(out, "{id}  {email}  {scope}  {mode}  {customer}  {state}")?;
    }
    if let Some(drawn) = drawn {
        writeln!(out, "password  {}", drawn.expose_secret())?;
    }
    Ok(())
}
