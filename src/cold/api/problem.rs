//! Answers that are no success: problem details (RFC 9457) with a stable code (behaviour 4.7).

use serde::Serialize;
use utoipa::ToSchema;

use super::code::Code;
use crate::cold::control::{Failed, NotOrdered, Refused};
use crate::cold::explain::{Context, explain};
use crate::cold::issuers::IssuerError;
use crate::cold::store::StoreError;
use crate::cold::store::versions::VersionState;
use crate::domain::currency::Currency;
use crate::domain::explanation::Explanation;
use crate::ledger::command::IntentRefused;

/// Faults that one answer names.
const FAULTS_MAX: usize = 20;

/// What is wrong (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Always `about:blank`: the code says what it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What the code means.
    title: &'static str,
    /// The answer's status.
    status: u16,
    /// A word that never changes its meaning.
    code: &'static str,
    /// What is wrong with this request, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// What is wrong with the request, field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// Seconds after which it may be asked again.
    #[serde(skip)]
    retry_after_s: Option<u32>,
    #[serde(skip)]
    known: Code,
}

/// One field that is wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Fault {
    /// Its path from the body on, or the name of the parameter or header.
    field: String,
    /// What is wrong with it.
    message: String,
}

impl Fault {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

impl Problem {
    fn new(code: Code) -> Self {
        Self {
            kind: "about:blank",
            title: code.title(),
            status: code.status(),
            code: code.name(),
            detail: None,
            errors: Vec::new(),
            retry_after_s: None,
            known: code,
        }
    }

    /// One that its code says all of.
    pub(super) fn of(code: Code) -> Self {
        Self::new(code)
    }

    fn with_detail(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }

    fn after_a_second(self) -> Self {
        Self {
            retry_after_s: Some(1),
            ..self
        }
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn retry_after_s(&self) -> Option<u32> {
        self.retry_after_s
    }

    /// What the code means, and what is wrong with this request, for a person.
    pub(super) fn in_words(&self) -> (&'static str, String) {
        let detail = self.detail.clone().map(|it| format!("{it}."));
        (self.title, detail.unwrap_or_default())
    }

    /// The document's bytes.
    pub(super) fn body(&self) -> Vec<u8> {
        // A struct of texts and numbers always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    // === 400 ===

    pub(super) fn invalid(faults: Vec<Fault>) -> Self {
        let first = faults.first();
        let detail = first.map(|fault| match &*fault.field {
            "" => fault.message.clone(),
            field => format!("{field}: {}", fault.message),
        });
        Self {
            detail,
            errors: faults.into_iter().take(FAULTS_MAX).collect(),
            ..Self::new(Code::InvalidRequest)
        }
    }

    pub(super) fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![Fault::new(field, message)])
    }

    /// The same with the names of fields as tools write them, with underscores.
    pub(super) fn with_underscores(self) -> Self {
        if self.errors.is_empty() {
            return self;
        }
        let fault = |it: Fault| Fault::new(underscored(&it.field), it.message);
        Self::invalid(self.errors.into_iter().map(fault).collect())
    }

    // === who asks ===

    pub(super) fn unauthorized(detail: &'static str) -> Self {
        Self::new(Code::Unauthorized).with_detail(detail)
    }

    pub(super) fn scope_not_allowed(scope: &'static str) -> Self {
        let detail = format!("the key's scope is `{scope}`");
        Self::new(Code::ScopeNotAllowed).with_detail(detail)
    }

    pub(super) fn beyond_reach(what: &'static str) -> Self {
        Self::new(Code::BeyondReach).with_detail(what)
    }

    /// Also for what is there and not for the caller to know of.
    pub(super) fn not_found() -> Self {
        Self::new(Code::NotFound)
    }

    pub(super) fn no_such_path() -> Self {
        Self::new(Code::NoSuchPath)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(Code::MethodNotAllowed)
    }

    // === what is asked ===

    pub(super) fn too_slow() -> Self {
        Self::new(Code::TooSlow)
    }

    pub(super) fn too_large(most: usize) -> Self {
        Self::new(Code::TooLarge).with_detail(format!("a body has at most {most} bytes"))
    }

    pub(super) fn not_json() -> Self {
        Self::new(Code::UnsupportedMediaType)
            .with_detail("send `Content-Type: application/json`, without Content-Encoding")
    }

    pub(super) fn card_canceled() -> Self {
        Self::new(Code::CardCanceled)
    }

    pub(super) fn agent_disabled() -> Self {
        Self::new(Code::AgentDisabled)
    }

    pub(super) fn fleet_cap_reached(detail: String) -> Self {
        Self::new(Code::FleetCapReached).with_detail(detail)
    }

    pub(super) fn intent_conflict() -> Self {
        Self::new(Code::IntentConflict)
    }

    fn intent(refused: IntentRefused) -> Self {
        Self::new(match refused {
            IntentRefused::Unknown => Code::NotFound,
            IntentRefused::Conflict => Code::IntentConflict,
            IntentRefused::Refused => Code::CardCanceled,
            IntentRefused::TooMany => Code::TooManyIntents,
            IntentRefused::Closed => Code::IntentClosed,
        })
    }

    pub(super) fn not_supported(field: &str, message: impl Into<String>) -> Self {
        let fault = Fault::new(field, message);
        Self {
            detail: Some(format!("{field}: {}", fault.message)),
            errors: vec![fault],
            ..Self::new(Code::NotSupported)
        }
    }

    /// A limit of agent or customer leaves no room for what a card could spend whose issuer never asks.
    pub(super) fn no_room_for_card(why: &Explanation, currency: Currency) -> Self {
        Self {
            detail: Some(explain(why, Context { currency }).text),
            ..Self::new(Code::NoRoomForCard)
        }
    }

    /// What the issuer of a connection that never asks cannot hold, field by field.
    pub(super) fn unenforced(fields: Vec<String>) -> Self {
        let message =
            "is not enforced on this connection; `configuration.allowUnenforced` takes it so";
        let faults = fields.into_iter().map(|field| Fault::new(field, message));
        Self {
            errors: faults.take(FAULTS_MAX).collect(),
            ..Self::new(Code::NotEnforced)
        }
    }

    // === versions of rules ===

    pub(super) fn stale_version(read: u32, active: u32) -> Self {
        Self::new(Code::StaleVersion).with_detail(format!(
            "version {active} is in force, and not version {read}; look at it, and say \
             `\"activeVersion\": {active}` where this is still what is wanted"
        ))
    }

    pub(super) fn version_state(state: VersionState, wanted: &str) -> Self {
        let state = state.name();
        Self::new(Code::VersionState).with_detail(format!(
            "the version is {state}, and would have to be {wanted}"
        ))
    }

    pub(super) fn too_many_drafts(most: i64) -> Self {
        Self::new(Code::TooManyDrafts).with_detail(format!("{most} drafts wait already"))
    }

    // === idempotency ===

    pub(super) fn idempotency_conflict() -> Self {
        Self::new(Code::IdempotencyConflict)
    }

    /// Under the key of another purchase request.
    pub(super) fn purchase_conflict(original: &str) -> Self {
        let detail =
            format!("the key is that of `{original}`, for another host, amount or currency");
        Self::new(Code::IdempotencyConflict).with_detail(detail)
    }

    /// Whoever decides has looked at another version of the request.
    pub(super) fn request_changed(looked_at: i64, now: i64) -> Self {
        Self::new(Code::RequestChanged).with_detail(format!(
            "version {looked_at} was looked at, and it is version {now} now: look at it again"
        ))
    }

    /// Whether the issuer will not do it, however often it is asked.
    pub(super) fn is_refused_by_issuer(&self) -> bool {
        matches!(self.known, Code::IssuerRefused | Code::NotSupported)
    }

    /// Whether a customer's cap leaves no room.
    pub(super) fn is_fleet_cap(&self) -> bool {
        self.known == Code::FleetCapReached
    }

    pub(super) fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Somebody was quicker.
    pub(super) fn access_decided(state: &str) -> Self {
        Self::new(Code::AccessDecided).with_detail(format!("the request is {state}"))
    }

    pub(super) fn agent_active() -> Self {
        Self::new(Code::AgentActive)
    }

    /// The card's rules are those of its purchase request.
    pub(super) fn purchase_card(what: &str) -> Self {
        Self::new(Code::PurchaseCard).with_detail(what)
    }

    pub(super) fn too_many_reviews(most: i64) -> Self {
        let detail = format!("{most} requests of the agent wait for a human already");
        Self::new(Code::TooManyReviews).with_detail(detail)
    }

    /// Whether no place is left among the requests that wait for a human.
    pub(super) fn is_too_many_reviews(&self) -> bool {
        self.known == Code::TooManyReviews
    }

    pub(super) fn card_stopped(detail: &str) -> Self {
        Self::new(Code::CardStopped).with_detail(detail)
    }

    pub(super) fn view_ended() -> Self {
        Self::new(Code::ViewEnded)
    }

    pub(super) fn reveal_gated(detail: &str) -> Self {
        Self::new(Code::RevealGated).with_detail(detail)
    }

    pub(super) fn too_many_requests(most: u32, retry_after_s: u32) -> Self {
        let detail = format!("an agent may ask this {most} times a minute");
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(Code::TooManyRequests).with_detail(detail)
        }
    }

    pub(super) fn too_many_reveals(retry_after_s: u32) -> Self {
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(Code::TooManyReveals)
        }
    }

    /// Whether it stands under its idempotency key, as a success does (behaviour 4.5). What failed here may
    /// succeed when it is asked again, and so may what came too often, what others held up, and what an
    /// operator's file keeps from being changed. A body that is not the key's takes the key from no other.
    pub(super) fn is_final(&self) -> bool {
        let is_passing = matches!(
            self.known,
            Code::Conflict
                | Code::IdempotencyConflict
                | Code::IdempotencyInProgress
                | Code::SnapshotFileRules
        );
        !is_passing && self.status < 500 && self.status != 429
    }

    pub(super) fn idempotency_in_progress() -> Self {
        Self::new(Code::IdempotencyInProgress).after_a_second()
    }

    // === the state of things ===

    /// Whether the change met another one on the same row, and may be tried again.
    pub(super) fn is_conflict(&self) -> bool {
        self.known == Code::Conflict
    }

    fn conflict() -> Self {
        Self::new(Code::Conflict).after_a_second()
    }

    pub(super) fn file_rules() -> Self {
        Self::new(Code::SnapshotFileRules).with_detail(
            "edit the file and reload it, or start the server without --snapshot to have the \
             database's customers, agents and cards in force",
        )
    }

    pub(super) fn not_ready() -> Self {
        Self::new(Code::NotReady).after_a_second()
    }

    pub(super) fn busy() -> Self {
        Self::new(Code::Busy).after_a_second()
    }

    pub(super) fn ledger_unavailable() -> Self {
        Self::new(Code::LedgerUnavailable).after_a_second()
    }

    fn store_unavailable() -> Self {
        Self::new(Code::StoreUnavailable).after_a_second()
    }

    pub(super) fn internal() -> Self {
        Self::new(Code::Internal)
    }
}

fn underscored(name: &str) -> String {
    let mut written = String::with_capacity(name.len() + 4);
    for char in name.chars() {
        if char.is_ascii_uppercase() {
            written.push('_');
        }
        written.push(char.to_ascii_lowercase());
    }
    written
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let faults = refused.faults.into_iter();
        Self::invalid(
            faults
                .map(|(field, message)| Fault::new(field, message))
                .collect(),
        )
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::conflict(),
            StoreError::Fault(why) => {
                tracing::error!(%why, "the database");
                Self::store_unavailable()
            }
        }
    }
}

impl From<Failed> for Problem {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::FileRules => Self::file_rules(),
            Failed::Refused(refused) => refused.into(),
            Failed::Conflict => Self::conflict(),
            Failed::Store => Self::store_unavailable(),
            Failed::Ledger(NotOrdered::Unavailable) => Self::ledger_unavailable(),
            Failed::Ledger(NotOrdered::Contradicts) => Self::card_canceled(),
            Failed::Ledger(NotOrdered::Intent(refused)) => Self::intent(refused),
            Failed::Busy => Self::busy(),
            Failed::Ended => Self::not_ready(),
        }
    }
}

impl From<IssuerError> for Problem {
    fn from(error: IssuerError) -> Self {
        tracing::error!(%error, "an issuer did not do what it was asked");
        match error {
            IssuerError::Unavailable(_) | IssuerError::Unknown(_) => {
                Self::new(Code::IssuerUnavailable).after_a_second()
            }
            IssuerError::Limited(after) => {
                let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX).max(1);
                Self {
                    retry_after_s: Some(seconds),
                    ..Self::new(Code::IssuerUnavailable)
                }
            }
            IssuerError::Denied(_) => Self::new(Code::IssuerDenied).after_a_second(),
            IssuerError::Refused(why) => Self::new(Code::IssuerRefused).with_detail(why),
            IssuerError::Unsupported(what) => Self::not_supported("connection", what),
        }
    }
}
