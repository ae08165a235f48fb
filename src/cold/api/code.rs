//! The codes of problems, each with its status and its title. A code never changes its meaning;
//! callers may rest on it (behaviour 4.7).

macro_rules! codes {
    ($($variant:ident $status:literal $code:literal $title:literal;)+) => {
        /// What is wrong, in one word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is described by its title")]
        pub enum Code { $($variant),+ }

        impl Code {
            /// Every code, in the order of their statuses.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The status of its answers.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// What it says to people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

codes! {
    InvalidRequest 400 "invalid_request" "The request is not understood";
    Unauthorized 401 "unauthorized" "A valid API key is needed";
    ScopeNotAllowed 403 "scope_not_allowed" "The key's scope does not allow this";
    BeyondReach 403 "beyond_reach" "The key's reach does not allow this";
    NotFound 404 "not_found" "There is no such object";
    NoSuchPath 404 "no_such_path" "There is no such path";
    MethodNotAllowed 405 "method_not_allowed" "This path does not take this method";
    TooSlow 408 "too_slow" "The body did not arrive in time";
    AgentDisabled 409 "agent_disabled" "The agent is disabled for good";
    CardCanceled 409 "card_canceled" "The card is canceled for ever";
    CardStopped 409 "card_stopped" "The card is locked, frozen, used up or over";
    Conflict 409 "conflict" "The object is being changed by others; ask again";
    FleetCapReached 409 "fleet_cap_reached" "The customer's caps leave no room for another";
    IdempotencyInProgress 409 "idempotency_in_progress"
        "The same request is still being carried out";
    IntentClosed 409 "intent_closed" "The intent is matched, rejected, withdrawn or expired";
    IntentConflict 409 "intent_conflict" "Another intent of this card is called so";
    AccessDecided 409 "access_decided" "The request for access was granted or refused already";
    AgentActive 409 "agent_active" "The agent is at work already";
    PurchaseCard 409 "purchase_card" "The card is that of a purchase request, which rules it";
    RequestChanged 409 "request_changed" "The request has changed since it was looked at";
    RevealGated 409 "reveal_gated" "The card's rules ask for more before it is shown";
    SnapshotFileRules 409 "snapshot_file_rules"
        "A snapshot's file rules, so that nothing can be changed here";
    StaleVersion 409 "stale_version"
        "Another version of the rules is in force than the one that was read";
    TooManyDrafts 409 "too_many_drafts"
        "As many drafts wait as may; activate one, or throw one away";
    TooManyIntents 409 "too_many_intents"
        "As many intents of the card wait as may; withdraw one, or let one expire";
    TooManyReviews 409 "too_many_reviews"
        "As many requests of the agent wait for a human as may; wait until one is decided";
    VersionState 409 "version_state" "The version's state does not allow this";
    TooManyWebhooks 409 "too_many_webhooks"
        "There are as many webhooks as may be; remove one";
    WebhookDisabled 409 "webhook_disabled" "The webhook is disabled; enable it first";
    TooLarge 413 "too_large" "The body is too large";
    UnsupportedMediaType 415 "unsupported_media_type" "The body must be JSON";
    IdempotencyConflict 422 "idempotency_conflict"
        "The idempotency key was used for another request";
    IssuerRefused 422 "issuer_refused" "The issuer refuses this";
    NoRoomForCard 422 "no_room_for_card"
        "A limit of the agent or the customer leaves no room for what the card could spend";
    NotEnforced 422 "not_enforced"
        "The connection's issuer cannot hold these rules, and nothing else would";
    NotSupported 422 "not_supported" "This is not supported here";
    ViewEnded 410 "view_ended" "The time of the link is over";
    TooManyRequests 429 "too_many_requests" "The agent asks too often; ask again in a minute";
    TooManyReveals 429 "too_many_reveals" "The card was shown too often; ask again in a minute";
    Internal 500 "internal" "Something went wrong here";
    Busy 503 "busy" "Too much is waiting already; ask again";
    IssuerDenied 503 "issuer_denied"
        "The issuer does not accept the connection's key; an owner has to set it";
    IssuerUnavailable 503 "issuer_unavailable" "The issuer does not answer; ask again";
    LedgerUnavailable 503 "ledger_unavailable" "The ledger did not take the change; ask again";
    NotReady 503 "not_ready" "The server is still starting";
    StoreUnavailable 503 "store_unavailable"
        "The database does not answer; whether the change was made is not known";
}
