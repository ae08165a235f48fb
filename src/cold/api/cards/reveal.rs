//! `POST /v1/cards/{id}/reveal`: a card's number, expiry and CVV, as its issuer tells them, passed on and
//! kept nowhere (behaviour 5.12, 6.2).
//!
//! Only where the connection's operator has switched it on. Nothing is shown of a card that is stopped,
//! nor where an intent or an attestation is asked for and there is none. The audit log knows of it before
//! anything is shown.

use axum::http::StatusCode;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::change::Nothing;
use super::find;
use crate::cold::api::body::read;
use crate::cold::api::exchange::{Ask, Reply};
use crate::cold::api::intents::has_usable_intent;
use crate::cold::api::problem::Problem;
use crate::cold::api::purchases;
use crate::cold::api::{agents, customers};
use crate::cold::issuers::{Framed, IssuerClient, Revealed};
use crate::cold::stands::strictest;
use crate::cold::store::{Card, Scope};
use crate::config::Reveal;
use crate::decide::compile::parse_instant;
use crate::decide::effective::{EffectivePolicy, Value, effective};
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus};
use crate::domain::time::Timestamp;

/// A card is shown this often in a minute.
pub(in crate::cold::api) const A_MINUTE_MAX: u32 = 5;
const MINUTE_US: i64 = 60_000_000;
/// Within this time a browser has asked for the issuer's page.
const FRAME_US: i64 = MINUTE_US;
/// Others may change the request meanwhile.
const TRIES_MAX: usize = 8;

/// What buys. Kept nowhere.
#[derive(Serialize, ToSchema)]
#[schema(as = RevealedCard)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    card_id: &'a str,
    #[schema(pattern = "^[0-9]{12,19}$")]
    number: &'a str,
    #[schema(pattern = "^[0-9]{3,4}$")]
    cvv: &'a str,
    #[schema(minimum = 1, maximum = 12)]
    exp_month: Option<u8>,
    exp_year: Option<u16>,
    /// What the issuer calls the holder, where it tells it.
    name: Option<&'a str>,
    /// The address that the issuer compares, line by line, where it tells it.
    billing_address: Option<&'a str>,
}

/// A card that may be shown, and what buys with it.
pub(in crate::cold::api) struct Revealing {
    pub(in crate::cold::api) row: Card,
    pub(in crate::cold::api) revealed: Revealed,
}

/// What the rules ask for before a card is shown.
struct Gates {
    wants_intent: bool,
    /// How long an attestation is fresh.
    attestation_us: Option<i64>,
}

impl Gates {
    fn of(policy: &EffectivePolicy<'_>) -> Self {
        let is_set = |field| policy.of(field).any(|it| it.value == Value::Flag(true));
        let minutes = |field| {
            let mut values = policy.of(field);
            values.find_map(|it| match it.value {
                Value::Number(minutes) => Some(i64::from(minutes)),
                Value::Flag(_)
                | Value::Amount(_)
                | Value::Windowed { .. }
                | Value::Instant(_)
                | Value::Word(_)
                | Value::Name(_)
                | Value::Mccs(_)
                | Value::Countries(_)
                | Value::Merchants(_)
                | Value::Hours(_) => None,
            })
        };
        let window = minutes("attestationWindowMinutes").unwrap_or(0) * MINUTE_US;
        Self {
            wants_intent: is_set("requireIntent") || is_set("requireApproval"),
            attestation_us: is_set("requireAttestation").then_some(window),
        }
    }
}

pub(in crate::cold::api) async fn reveal(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Nothing {} = read(&ask.body)?;
    let row = find(&ask, &ask.id).await?;
    shown_to(&pass(&ask, row).await?.revealing(&ask).await?)
}

/// The answer that shows it.
pub(in crate::cold::api) fn shown_to(
    Revealing { row, revealed }: &Revealing,
) -> Result<Reply, Problem> {
    let shown = Shown {
        card_id: &row.id,
        number: revealed.number.expose_secret(),
        cvv: revealed.cvv.expose_secret(),
        exp_month: row.exp_month,
        exp_year: row.exp_year,
        name: revealed.name.as_deref(),
        billing_address: revealed.billing_address.as_deref(),
    };
    Ok(Reply::ok(&shown)?.kept_nowhere())
}

/// A card that has passed every gate. Its issuer has not been asked yet.
pub(in crate::cold::api) struct Passed<'a> {
    issuer: &'a dyn IssuerClient,
    row: Card,
    is_framed: bool,
}

/// Passes every gate but the count of a minute.
pub(in crate::cold::api) async fn pass(ask: &Ask, row: Card) -> Result<Passed<'_>, Problem> {
    let issuer = ask.api.issuer_of(&row.connection);
    let manner = issuer.map(|issuer| issuer.manner());
    let (Some(issuer), Some(manner)) = (issuer, manner.filter(|it| it.reveal != Reveal::Off))
    else {
        let message = "the connection shows no numbers; its operator can switch it on";
        return Err(Problem::not_supported("id", message));
    };
    if ask.caller.key.scope == Scope::Agent && !manner.reveals_to_agents {
        let what = "the connection shows its cards to owners alone";
        return Err(Problem::beyond_reach(what));
    }
    refuse_stopped(ask, &row).await?;
    refuse_gated(ask, &row).await?;
    let is_framed = manner.reveal == Reveal::Frame;
    Ok(Passed {
        issuer,
        row,
        is_framed,
    })
}

impl Passed<'_> {
    pub(in crate::cold::api) fn row(&self) -> &Card {
        &self.row
    }

    /// Counts it, asks the issuer, and tells the audit log: what is left is to show it, so that nothing
    /// that may fail comes after this.
    pub(in crate::cold::api) async fn revealing(self, ask: &Ask) -> Result<Revealing, Problem> {
        let Self { issuer, row, .. } = self;
        if self.is_framed {
            let message = "the connection shows its cards on their issuer's own page, in a browser: open the \
                           view_url of the purchase request there";
            return Err(Problem::not_supported("id", message));
        }
        count(ask, &row)?;
        let revealed = issuer.reveal(row.issuer_token.clone()).await?;
        let row = told(ask, row).await?;
        Ok(Revealing { row, revealed })
    }

    /// Whether its issuer shows it, on a page of its own.
    pub(in crate::cold::api) fn is_framed(&self) -> bool {
        self.is_framed
    }

    /// The same where its issuer shows it: that page opens for a moment, and until `ends` at the latest.
    pub(in crate::cold::api) async fn framing(
        self,
        ask: &Ask,
        ends: Timestamp,
    ) -> Result<(Card, Framed), Problem> {
        let Self { issuer, row, .. } = self;
        count(ask, &row)?;
        let until = ask.now.plus_micros(FRAME_US).min(ends);
        let framed = issuer.frame(&row.issuer_token, until)?;
        Ok((told(ask, row).await?, framed))
    }
}

fn count(ask: &Ask, row: &Card) -> Result<(), Problem> {
    let taken = ask.api.reveals.take(&row.id, ask.now);
    taken.map_err(Problem::too_many_reveals)
}

/// Somebody may have stopped it while the issuer was asked; if not, the audit log knows.
async fn told(ask: &Ask, row: Card) -> Result<Card, Problem> {
    let row = find(ask, &row.id).await?;
    refuse_stopped(ask, &row).await?;
    tell(ask, &row).await?;
    Ok(row)
}

/// Tells the audit log, and the purchase request whose card it is: it was looked at in time.
async fn tell(ask: &Ask, row: &Card) -> Result<(), Problem> {
    for _ in 0..TRIES_MAX {
        let work = purchases::seen(&ask.api, &row.id, ask.now).await?;
        match ask.make_part(work, StatusCode::OK).await {
            Err(met) if met.is_conflict() => {}
            told => return told,
        }
    }
    Err(Problem::busy())
}

/// Nothing is shown after a lock, a freeze, a cancel, or an end.
pub(in crate::cold::api) async fn refuse_stopped(ask: &Ask, row: &Card) -> Result<(), Problem> {
    let held = ask.api.held(row).await?;
    match strictest(row.status, held.status) {
        CardStatus::Canceled => return Err(Problem::card_canceled()),
        CardStatus::Locked => return Err(Problem::card_stopped("the card is locked")),
        CardStatus::Active => {}
    }
    if row.is_frozen || held.is_frozen {
        return Err(Problem::card_stopped("the card is frozen"));
    }
    if held.consumed_at.is_some() {
        return Err(Problem::card_stopped(
            "the card was for one use, and is used",
        ));
    }
    if let Some(id) = &row.agent_id {
        let agent = agents::find(ask, id).await?;
        let stands = ask.api.standing_of_agent(&agent).await?;
        if agent.status != AgentStatus::Active || stands != AgentStatus::Active {
            return Err(Problem::card_stopped(
                "the card's agent is paused or disabled",
            ));
        }
    }
    let customer = customers::of_card(ask, row).await?;
    if ask.api.standing_of_customer(&customer).await? != CustomerStatus::Active {
        return Err(Problem::card_stopped("the card's customer is suspended"));
    }
    let shown = ask.api.card_shown_with(row.clone(), held).await?;
    let end = shown.expires_at.as_deref().and_then(parse_instant);
    if end.is_some_and(|end| end <= ask.now) {
        return Err(Problem::card_stopped("the card's time is over"));
    }
    Ok(())
}

/// An intent that could be used now, and a fresh attestation, where the rules ask for them.
async fn refuse_gated(ask: &Ask, row: &Card) -> Result<(), Problem> {
    let (gates, keys) = {
        let snapshot = ask.api.snapshots.load();
        // A card that is not in force is shown to nobody.
        let view = snapshot
            .card_by_id(&row.id)
            .ok_or_else(Problem::file_rules)?;
        let keys = (view.customer.key(), view.card.key());
        (Gates::of(&effective(&view)), keys)
    };
    if gates.wants_intent && !has_usable_intent(ask, row).await? {
        let what = "its rules ask for an intent, and none waits that may be used";
        return Err(Problem::reveal_gated(what));
    }
    let Some(window_us) = gates.attestation_us else {
        return Ok(());
    };
    let (customer, card) = keys;
    let look = move |ledger: &crate::ledger::embedded::store::EmbeddedLedger| {
        let seen = ledger.with_state(customer, |state| state.card_by_key(card)?.1.attested_at());
        seen.flatten()
    };
    let attested_at = ask.api.ask_ledger(look).await?;
    let age_us = attested_at.map(|at| ask.now.micros_since(at));
    if age_us.is_none_or(|age| !(0..window_us).contains(&age)) {
        let what = "its rules ask for an attestation, and there is no fresh one";
        return Err(Problem::reveal_gated(what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::per_minute::PerMinute;

    #[test]
    fn a_card_is_shown_a_few_times_a_minute_and_each_card_for_itself() {
        let reveals = PerMinute::new(A_MINUTE_MAX);
        let at = |second: i64| Timestamp::from_secs(1_800_000_000 + second);
        for _ in 0..A_MINUTE_MAX {
            assert!(reveals.take("a", at(0)).is_ok());
        }
        assert!(reveals.take("a", at(30)).is_err());
        assert!(reveals.take("b", at(30)).is_ok());
        assert!(reveals.take("a", at(61)).is_ok());
    }
}
