//! `countersign sandbox trigger` and its brothers: what becomes of an authorization, in the issuer's
//! own words.

use std::io::Write;

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{ServerArguments, country, currency, mcc, merchant, visible_id};
use crate::cli::Exit;
use crate::cli::demo::page::{self, Style};
use crate::cli::demo::{Failure, runtime, unwritten};
use crate::clock::Clock;
use crate::cold::sandbox::cards::Cards;
use crate::cold::sandbox::files::{self, Whereabouts};
use crate::cold::sandbox::keep::Keep;
use crate::cold::sandbox::life::{Books, EntryKind, Life, Status};
use crate::cold::sandbox::player::{Answered, Player, WindowBooks};
use crate::cold::sandbox::scenarios::{
    Act, PlayError, Played, SCENARIOS, Scenario, Setting, Stage, Sum, scenario,
};
use crate::cold::sandbox::shape::{Said, Shape};
use crate::domain::amount::{Amount, Minor};
use crate::domain::currency::Currency;

/// What the scenarios' parts are parts of, in minor units.
const AMOUNT_DEFAULT: i64 = 2_500;
/// What `--override` can set.
const FIELDS: [&str; 6] = ["amount", "card", "country", "currency", "mcc", "merchant"];
/// What `--override` can be given.
const OVERRIDES_MAX: usize = 16;

#[derive(Args, Clone, Debug)]
pub(super) struct TriggerArguments {
    /// The scenario; --list shows them.
    #[arg(required_unless_present = "list")]
    scenario: Option<String>,
    /// Show the scenarios, one a line.
    #[arg(long)]
    list: bool,
    /// In whose words: lithic, stripe or marqeta.
    #[arg(long, default_value = "lithic", value_parser = shape)]
    issuer: Shape,
    /// Another value than the scenario's: amount, card, country, currency, mcc or merchant.
    #[arg(long = "override", value_name = "FIELD=VALUE")]
    overrides: Vec<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What happens to one authorization.
#[derive(Args, Clone, Debug)]
pub(super) struct LifeArguments {
    /// The authorization: the issuer's id of it [default: the newest].
    #[arg(long, value_name = "ID", value_parser = visible_id)]
    authorization: Option<String>,
    /// How much, in decimal major units: 12.34.
    #[arg(long)]
    amount: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    Clear { is_last: bool },
    Reverse,
    Expire,
    Increment,
    Refund,
    Advise,
}

pub(super) fn shape(text: &str) -> Result<Shape, String> {
    Shape::parse(text).ok_or_else(|| {
        let known = Shape::ALL.map(Shape::name).join(", ");
        format!("the sandbox speaks as one of: {known}")
    })
}

/// Plays the scenario that was named.
pub(super) fn trigger(
    args: &TriggerArguments,
    out: &mut dyn Write,
    style: Style,
) -> Result<Exit, Failure> {
    if args.list {
        return list(out).map_err(|cause| unwritten(&cause));
    }
    let name = args.scenario.as_deref().unwrap_or_default();
    let scenario = scenario(name).ok_or_else(|| unknown_scenario(name))?;
    let shape = args.issuer;
    if !scenario.is_for(shape) {
        let told = format!("scenario `{name}`: {shape} asks no such question");
        return Err(Failure::usage(&told));
    }
    let overrides = Overrides::read(&args.overrides)?;
    let server = files::find(&args.server.data_dir).map_err(|e| Failure::other(&e))?;
    let stage = Scene::set(&server, scenario, shape, overrides)?;
    let Scene { setting, card } = stage;
    let head = format!("{name} ({shape}): {}", scenario.telling);
    let mut theatre = Theatre::open(&server);
    let played = theatre.run(&card, async |player, keep| {
        Stage::new(player, keep, setting).play(scenario.acts).await
    })?;
    tell(out, style, args.json, &head, &played)
}

/// Plays one thing that happens to an authorization that the sandbox knows.
pub(super) fn happen(
    args: &LifeArguments,
    happening: Happening,
    out: &mut dyn Write,
    style: Style,
) -> Result<Exit, Failure> {
    let server = files::find(&args.server.data_dir).map_err(|e| Failure::other(&e))?;
    let keep = Keep::in_folder(&server.folder);
    let wanted = args.authorization.as_deref();
    let life = keep.find(wanted).map_err(|e| Failure::other(&e))?;
    let life = life.ok_or_else(|| unknown_authorization(wanted))?;
    let currency = life.currency();
    let typed = match args.amount.as_deref() {
        Some(text) => Some(
            Amount::parse_major(text, currency)
                .map_err(|why| Failure::usage(&format!("--amount `{text}`: {why}")))?,
        ),
        None => None,
    };
    let minor = amount_of(&life, happening, typed)?;
    let act = act_of(happening, minor);
    let cards =
        Cards::read(&server.snapshot, life.shape.connection()).map_err(|e| Failure::other(&e))?;
    let card = cards.id_of(&life.card_token).map(str::to_owned);
    let setting = Setting {
        shape: life.shape,
        card: card.clone(),
        card_token: life.card_token.clone(),
        amount: Amount {
            minor: Minor::new(minor).unwrap_or(Minor::ZERO),
            currency,
        },
        merchant: life.merchant.clone(),
        mcc: life.mcc.clone(),
        country: life.country.clone(),
    };
    let head = format!("authorization {} ({})", life.id, life.shape);
    let before = life.books();
    let mut theatre = Theatre::open(&server);
    let mut played = theatre.run(card.as_deref().unwrap_or_default(), async |player, keep| {
        let stage = Stage::new(player, keep, setting).with(life);
        stage.play(&[act]).await
    })?;
    played.booked_before = before;
    tell(out, style, args.json, &head, &played)
}

fn list(out: &mut dyn Write) -> std::io::Result<Exit> {
    for scenario in SCENARIOS {
        writeln!(out, "{:28} {}", scenario.name, scenario.telling)?;
    }
    Ok(Exit::Ok)
}

fn unknown_scenario(name: &str) -> Failure {
    let known: Vec<_> = SCENARIOS.iter().map(|it| it.name).collect();
    Failure::usage(&format!(
        "unknown scenario `{}`: known are {}",
        name.escape_default(),
        known.join(", ")
    ))
}

fn unknown_authorization(wanted: Option<&str>) -> Failure {
    let told = match wanted {
        Some(id) => format!("the sandbox knows no authorization `{id}`: it has not asked for it"),
        None => {
            "the sandbox has asked for nothing yet: start with `countersign sandbox authorize` \
                 or `countersign sandbox trigger`"
                .to_owned()
        }
    };
    Failure::other(&told)
}

/// How much it is about where nothing was typed: all that there is.
fn amount_of(life: &Life, happening: Happening, typed: Option<Amount>) -> Result<i64, Failure> {
    if let Some(typed) = typed {
        return Ok(typed.minor.get());
    }
    let books = life.books();
    let newest_step = life.steps().last().map_or(0, |step| step.amount);
    match happening {
        Happening::Clear { .. } if life.status() == Status::Expired => Ok(newest_step),
        Happening::Clear { .. } | Happening::Reverse | Happening::Expire if books.held > 0 => {
            Ok(books.held)
        }
        Happening::Refund if books.posted > books.refunded => {
            Ok(books.posted.saturating_sub(books.refunded))
        }
        Happening::Increment | Happening::Advise => {
            Err(Failure::usage(&"--amount: say how much, like 12.34"))
        }
        Happening::Clear { .. } | Happening::Reverse | Happening::Expire => Err(Failure::usage(
            &"--amount: nothing is held any more; say how much, like 12.34",
        )),
        Happening::Refund => Err(Failure::usage(
            &"--amount: nothing is posted that was not refunded; say how much, like 12.34",
        )),
    }
}

fn act_of(happening: Happening, minor: i64) -> Act {
    let sum = Sum::Minor(minor);
    match happening {
        Happening::Clear { is_last: true } => Act::ClearLast(sum),
        Happening::Clear { is_last: false } => Act::Happen(EntryKind::Clearing, sum),
        Happening::Reverse => Act::Happen(EntryKind::Reversal, sum),
        Happening::Expire => Act::Happen(EntryKind::Expiry, sum),
        Happening::Increment => Act::Ask(EntryKind::Increment, sum),
        Happening::Refund => Act::Happen(EntryKind::Refund, sum),
        Happening::Advise => Act::Happen(EntryKind::Advice, sum),
    }
}

/// What `--override` says.
#[derive(Default)]
struct Overrides {
    amount: Option<String>,
    card: Option<String>,
    country: Option<String>,
    currency: Option<Currency>,
    mcc: Option<String>,
    merchant: Option<String>,
}

impl Overrides {
    fn read(typed: &[String]) -> Result<Self, Failure> {
        let mut overrides = Self::default();
        if typed.len() > OVERRIDES_MAX {
            let told = format!("--override: at most {OVERRIDES_MAX} of them");
            return Err(Failure::usage(&told));
        }
        for typed in typed {
            let (field, value) = typed
                .split_once('=')
                .ok_or_else(|| Failure::usage(&format!("--override `{typed}`: FIELD=VALUE")))?;
            let wrong = |why: String| Failure::usage(&format!("--override {field}: {why}"));
            match field {
                "amount" => overrides.amount = Some(value.to_owned()),
                "card" => overrides.card = Some(visible_id(value).map_err(wrong)?),
                "country" => {
                    let country = country(value).map_err(wrong)?;
                    overrides.country = Some(country.as_str().to_owned());
                }
                "currency" => overrides.currency = Some(currency(value).map_err(wrong)?),
                "mcc" => overrides.mcc = Some(mcc(value).map_err(wrong)?.to_string()),
                "merchant" => overrides.merchant = Some(merchant(value).map_err(wrong)?),
                _ => {
                    let known = FIELDS.join(", ");
                    let field = field.escape_default();
                    let told = format!("--override: unknown field `{field}`: known are {known}");
                    return Err(Failure::usage(&told));
                }
            }
        }
        Ok(overrides)
    }
}

/// What a scenario is played with, and the card's id in the snapshot.
struct Scene {
    setting: Setting,
    card: String,
}

impl Scene {
    fn set(
        server: &Whereabouts,
        scenario: &Scenario,
        shape: Shape,
        overrides: Overrides,
    ) -> Result<Self, Failure> {
        let currency = overrides.currency.unwrap_or(Currency::USD);
        let amount = match overrides.amount {
            Some(text) => Amount::parse_major(&text, currency)
                .map_err(|why| Failure::usage(&format!("--override amount `{text}`: {why}")))?,
            None => Amount {
                minor: Minor::new(AMOUNT_DEFAULT).unwrap_or(Minor::ZERO),
                currency,
            },
        };
        let connection = shape.connection();
        let cards = Cards::read(&server.snapshot, connection).map_err(|e| Failure::other(&e))?;
        let default_card = || scenario.card.id(shape).to_owned();
        let card = overrides.card.unwrap_or_else(default_card);
        let token = cards.token_of(&card).map(str::to_owned).ok_or_else(|| {
            let told = format!(
                "the snapshot `{}` has no card `{card}` on the connection `{connection}`; add one, \
                 or name one of yours with --override card=ID",
                server.snapshot.display()
            );
            Failure::other(&told)
        })?;
        Ok(Self {
            setting: Setting {
                shape,
                card: Some(card.clone()),
                card_token: token,
                amount,
                merchant: overrides
                    .merchant
                    .unwrap_or_else(|| scenario.merchant.to_owned()),
                mcc: overrides.mcc.unwrap_or_else(|| scenario.mcc.to_owned()),
                country: overrides.country.unwrap_or_else(|| "USA".to_owned()),
            },
            card,
        })
    }
}

/// One server that is played against.
struct Theatre {
    player: Player,
    keep: Keep,
}

/// What was played, and the card's books on both sides of it.
struct Told {
    card: String,
    played: Played,
    before: WindowBooks,
    after: WindowBooks,
    ended: Result<(), PlayError>,
    booked_before: Books,
}

impl Theatre {
    fn open(server: &Whereabouts) -> Self {
        Self {
            player: Player::new(server, Clock::start_ahead(server.ahead_us)),
            keep: Keep::in_folder(&server.folder),
        }
    }

    fn run(
        &mut self,
        card: &str,
        play: impl AsyncFnOnce(&mut Player, &Keep) -> (Played, Result<(), PlayError>),
    ) -> Result<Told, Failure> {
        let (player, keep) = (&mut self.player, &self.keep);
        let playing = async {
            let before = books(player, card).await?;
            let (played, ended) = play(player, keep).await;
            let after = books(player, card).await?;
            Ok::<_, PlayError>(Told {
                card: card.to_owned(),
                played,
                before,
                after,
                ended,
                booked_before: Books::default(),
            })
        };
        runtime()?.block_on(playing).map_err(|e| Failure::other(&e))
    }
}

/// A card that the snapshot does not have has no books to look at.
async fn books(player: &mut Player, card: &str) -> Result<WindowBooks, PlayError> {
    if card.is_empty() {
        return Ok(WindowBooks::default());
    }
    player.books(card).await.map_err(PlayError::Sandbox)
}

impl Told {
    /// What the issuer's books have changed by.
    fn booked(&self) -> Books {
        let mut sum = Books::default();
        for life in &self.played.lives {
            let books = life.books();
            sum.held = sum.held.saturating_add(books.held);
            sum.posted = sum.posted.saturating_add(books.posted);
            sum.refunded = sum.refunded.saturating_add(books.refunded);
        }
        let before = self.booked_before;
        Books {
            held: sum.held.saturating_sub(before.held),
            posted: sum.posted.saturating_sub(before.posted),
            refunded: sum.refunded.saturating_sub(before.refunded),
        }
    }

    /// Whether a limit shows what the card spends.
    fn is_told(&self) -> bool {
        self.before.field.is_some() && self.after.field.is_some()
    }

    /// What ours have changed by: held, and posted.
    fn ours(&self) -> (i64, i64) {
        self.ours_at(&self.after)
    }

    fn ours_at(&self, after: &WindowBooks) -> (i64, i64) {
        let before = &self.before;
        let held = after.held.saturating_sub(before.held);
        let spent = after.spent.saturating_sub(before.spent);
        (held, spent.saturating_sub(held))
    }

    fn agrees(&self) -> bool {
        let booked = self.booked();
        !self.is_told() || self.ours() == (booked.held, booked.posted)
    }
}

fn tell(
    out: &mut dyn Write,
    style: Style,
    json: bool,
    head: &str,
    told: &Told,
) -> Result<Exit, Failure> {
    let written = if json {
        write_json(out, told)
    } else {
        write_text(out, style, head, told)
    };
    written.map_err(|cause| unwritten(&cause))?;
    if let Err(error) = &told.ended {
        return Err(Failure::other(error));
    }
    Ok(if told.agrees() { Exit::Ok } else { Exit::Other })
}

fn answer(answered: &Answered) -> String {
    match answered {
        Answered::Said(Said::Approved(None)) => "APPROVE".to_owned(),
        Answered::Said(Said::Approved(Some(part))) => format!("APPROVE {part} minor units"),
        Answered::Said(Said::Declined(reason)) => format!("DECLINE {reason}"),
        Answered::Took(status) => status.clone(),
    }
}

fn write_text(out: &mut dyn Write, style: Style, head: &str, told: &Told) -> std::io::Result<()> {
    writeln!(out, "{head}")?;
    let major = |minor: i64| {
        let life = told.played.lives.last();
        life.map_or_else(String::new, |life| signed(life, minor))
    };
    for step in &told.played.steps {
        let (held, posted) = told.ours_at(&step.after);
        let books = if told.is_told() {
            format!("held {}, posted {}", major(held), major(posted))
        } else {
            String::new()
        };
        page::answered(out, style, &step.what, &answer(&step.answered), &books)?;
    }
    for life in &told.played.lives {
        page::note(out, style, &format!("authorization {}", life.id))?;
    }
    let Some(life) = told.played.lives.last() else {
        return Ok(());
    };
    let (held, posted) = told.ours();
    let signed = |minor| signed(life, minor);
    let booked = told.booked();
    if !told.is_told() {
        let unknown = "no limit stands that would show what the card spends";
        return page::note(out, style, unknown);
    }
    let level = told.after.level.as_deref().unwrap_or_default();
    let field = told.after.field.as_deref().unwrap_or_default();
    let ours = format!(
        "{}: held {}, posted {} by this; now {} spent ({level} {field})",
        told.card,
        signed(held),
        signed(posted),
        signed(told.after.spent),
    );
    page::note(out, style, &ours)?;
    let verdict = if told.agrees() {
        "the books agree"
    } else {
        "THE BOOKS DIFFER"
    };
    let theirs = format!(
        "the issuer: held {}, posted {}, refunded {}: {verdict}",
        signed(booked.held),
        signed(booked.posted),
        signed(booked.refunded),
    );
    page::note(out, style, &theirs)
}

fn signed(life: &Life, minor: i64) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    format!("{sign}{}", life.major(minor.saturating_abs()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonTold<'a> {
    issuer: Option<&'static str>,
    connection: Option<&'static str>,
    card: &'a str,
    authorizations: Vec<&'a str>,
    steps: Vec<JsonStep<'a>>,
    before: &'a WindowBooks,
    after: &'a WindowBooks,
    issuer_books: Books,
    agrees: bool,
}

#[derive(Serialize)]
struct JsonStep<'a> {
    what: &'a str,
    answer: String,
    after: &'a WindowBooks,
    sent: Option<Box<RawValue>>,
}

fn write_json(out: &mut dyn Write, told: &Told) -> std::io::Result<()> {
    let shape = told.played.lives.last().map(|life| life.shape);
    let steps = told.played.steps.iter().map(|step| JsonStep {
        what: &step.what,
        answer: answer(&step.answered),
        after: &step.after,
        sent: RawValue::from_string(step.body.clone()).ok(),
    });
    let json = JsonTold {
        issuer: shape.map(Shape::name),
        connection: shape.map(Shape::connection),
        card: &told.card,
        authorizations: told.played.lives.iter().map(|it| it.id.as_str()).collect(),
        steps: steps.collect(),
        before: &told.before,
        after: &told.after,
        issuer_books: told.booked(),
        agrees: told.agrees(),
    };
    serde_json::to_writer(&mut *out, &json)?;
    writeln!(out)
}
