//! `POST /v1/spend/evaluate`: what an authorization would be told now. The same functions decide as on
//! the hot path, on the same snapshot and the same state; nothing is recorded (behaviour 4.3).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::about::{About, Given, shape};
use super::body::read;
use super::cards;
use super::code::Code;
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use crate::cold::audit::Event;
use crate::cold::explain::{Context, Explained, explain};
use crate::cold::ids::draw;
use crate::cold::schema::Reason;
use crate::decide::evaluate::evaluate;
use crate::decide::snapshot::{CardView, Snapshot};
use crate::domain::acceptor::{CardAcceptor, Country};
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use crate::domain::currency::Currency;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::explanation::Explanation;
use crate::domain::identity::{KeySpace, Keys as _, StepIdentity};
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::fingerprint::Fingerprinter;
use crate::ledger::check;
use crate::ledger::command::{AgentRef, Answer, Authorize, CardRef};
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::ledger::event::{Owner, StateNo};
use crate::ledger::state::State;

/// Characters of any text of a merchant.
const TEXT_LEN_MAX: usize = 128;
const RISK_SCORE_MAX: u8 = 99;

/// A purchase that might be made.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Spend {
    card_id: String,
    /// Minor units.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    amount: i64,
    /// Of ISO 4217, in which the card is billed.
    currency: String,
    merchant: Merchant,
    /// From 0 to 99.
    #[schema(minimum = 0, maximum = 99)]
    risk_score: Option<u8>,
    /// Whether the merchant would ask by itself; false where it is absent.
    merchant_initiated: Option<bool>,
}

/// Where it would be made.
#[derive(Deserialize, ToSchema)]
#[schema(as = SpendMerchant)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Merchant {
    /// The name as statements show it.
    #[schema(min_length = 1, max_length = 128)]
    descriptor: String,
    /// The merchant category code, four digits.
    #[schema(pattern = "^[0-9]{4}$")]
    mcc: Option<String>,
    /// Two letters of ISO 3166-1.
    #[schema(pattern = "^[A-Z]{2}$")]
    country: Option<String>,
    #[schema(min_length = 1, max_length = 128)]
    acquirer_id: Option<String>,
    #[schema(min_length = 1, max_length = 128)]
    acceptor_id: Option<String>,
}

/// What would be decided. Amounts are in minor units.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verdict {
    #[schema(pattern = "^(approve|partial|decline)$")]
    decision: &'static str,
    /// Null where it would not be declined.
    #[schema(value_type = Option<Reason>)]
    reason: Option<&'static str>,
    /// Minor units.
    approved_amount: i64,
    explanation: Option<Explained>,
    /// Counts the changes of what is in force.
    snapshot_version: u64,
}

pub(super) const SPEND: About = About {
    takes: Some(shape::<Spend>),
    gives: &[Given::ok(shape::<Verdict>)],
    problems: &[Code::NotFound],
    ..About::new(
        "evaluateSpend",
        "What an authorization would be told now. Nothing is recorded or reserved.",
    )
};

pub(super) async fn spend(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let spend: Spend = read(&ask.body)?;
    let request = spend.request(draw("dry", ask.now))?;
    let amount = request.amount;
    let card = cards::find(&ask, &spend.card_id).await?;
    let snapshot = Arc::clone(&ask.api.snapshots.load());
    let version = snapshot.version();
    let (keys, now) = (ask.api.keys.clone(), ask.now);
    let asked = ask.api.ask_ledger(move |ledger| {
        let view = snapshot.card_by_id(&card.id)?;
        decide(ledger, &snapshot, &view, &request, (&keys, now))
    });
    let unknown = DeclineReason::CardUnknown;
    let (decision, explanation) = match asked.await? {
        Some(answer) => (answer.decision, answer.explanation),
        None => (Decision::Decline(unknown), Some(Explanation::bare(unknown))),
    };
    let verdict = Verdict::new(decision, explanation, amount, version);
    let outcome = verdict.reason.unwrap_or(verdict.decision).to_owned();
    let event = ask.event();
    ask.api.control.noted().attempt(Event { outcome, ..event });
    Reply::ok(&verdict)
}

/// Runs on a hot thread: `check` alone, without the `fold` that would follow.
fn decide(
    ledger: &EmbeddedLedger,
    snapshot: &Snapshot,
    view: &CardView<'_>,
    request: &AuthorizationRequest<'_>,
    (keys, now): (&Fingerprinter, Timestamp),
) -> Option<Answer> {
    let proposal = evaluate(view, request, now, keys);
    let step = StepIdentity {
        authorization: keys.key(KeySpace::Authorization, &[request.authorization.as_bytes()]),
        name: None,
        delivery: None,
        content: 0,
    };
    let card = CardRef {
        key: view.card.key(),
        id: view.card.id(),
        connection: view.connection,
        agent: view.agent.map(|agent| AgentRef {
            key: agent.key(),
            id: agent.id(),
        }),
    };
    let command = Authorize {
        at: now,
        step,
        authorization: &request.authorization,
        kind: request.kind,
        amount: request.amount,
        card: Some(card),
        card_key: card.key,
        card_token: &request.card_token,
        acceptor: &request.acceptor,
        proposal: Some(&proposal),
        shadow: None,
        facts: None,
        snapshot_version: snapshot.version(),
        latency_us: 0,
    };
    let answer = |state: &State| check::authorize(state, &command).ok().map(|it| it.answer);
    let customer = view.customer;
    let looked = ledger.with_state(customer.key(), answer);
    looked.unwrap_or_else(|| {
        let owner = Owner::Customer(customer.id());
        answer(&State::new(StateNo(0), customer.key(), owner))
    })
}

impl Spend {
    fn request(&self, authorization: String) -> Result<AuthorizationRequest<'static>, Problem> {
        let wrong = Problem::invalid_field;
        let range = "must be from 0 to 2^53 - 1 minor units";
        let minor = Minor::new(self.amount).map_err(|_out_of_range| wrong("amount", range))?;
        let code = "must be a currency of ISO 4217";
        let currency =
            Currency::parse(&self.currency).map_err(|_unknown| wrong("currency", code))?;
        if self.risk_score.is_some_and(|score| score > RISK_SCORE_MAX) {
            return Err(wrong("riskScore", "must be from 0 to 99"));
        }
        Ok(AuthorizationRequest {
            authorization: authorization.into(),
            step: None,
            delivery: None,
            kind: AuthorizationKind::Authorization,
            card_token: "".into(),
            amount: Amount { minor, currency },
            cash: Minor::ZERO,
            merchant_amount: None,
            acceptor: self.merchant.acceptor()?,
            partial_approval_capable: false,
            card_present: Some(false),
            merchant_initiated: self.merchant_initiated.unwrap_or(false),
            risk_score: self.risk_score,
        })
    }
}

impl Merchant {
    fn acceptor(&self) -> Result<CardAcceptor<'static>, Problem> {
        let wrong = Problem::invalid_field;
        for (field, text) in [
            ("merchant.descriptor", Some(&self.descriptor)),
            ("merchant.acquirerId", self.acquirer_id.as_ref()),
            ("merchant.acceptorId", self.acceptor_id.as_ref()),
        ] {
            if text.is_some_and(|text| !(1..=TEXT_LEN_MAX).contains(&text.len())) {
                return Err(wrong(field, "must have 1 to 128 bytes"));
            }
        }
        if self
            .mcc
            .as_deref()
            .is_some_and(|mcc| Mcc::parse(mcc).is_err())
        {
            return Err(wrong("merchant.mcc", "must be a code like \"5812\""));
        }
        let country = match self.country.as_deref().map(Country::of_message) {
            Some(None) => return Err(wrong("merchant.country", "must be a country's two letters")),
            Some(country) => country,
            None => None,
        };
        Ok(CardAcceptor {
            acquirer_id: self.acquirer_id.clone().map(Into::into),
            acceptor_id: self.acceptor_id.clone().map(Into::into),
            descriptor: self.descriptor.clone().into(),
            mcc: self.mcc.as_deref().and_then(Mcc::of_message),
            city: "".into(),
            country,
        })
    }
}

impl Verdict {
    fn new(
        decision: Decision,
        explanation: Option<Explanation>,
        amount: Amount,
        snapshot_version: u64,
    ) -> Self {
        let (word, approved, reason) = match decision {
            Decision::Approve => ("approve", amount.minor, None),
            Decision::ApprovePartial(part) => ("partial", part, None),
            Decision::Decline(reason) => ("decline", Minor::ZERO, Some(reason)),
        };
        let context = Context {
            currency: amount.currency,
        };
        let bare = |reason| explanation.unwrap_or_else(|| Explanation::bare(reason));
        Self {
            decision: word,
            reason: reason.map(DeclineReason::code),
            approved_amount: approved.get(),
            explanation: reason.map(|reason| explain(&bare(reason), context)),
            snapshot_version,
        }
    }
}
