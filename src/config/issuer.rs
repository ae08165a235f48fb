//! One `[[issuer]]` as a connection that is ready to verify with.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::cards::PRIVACY;
use super::file::{IssuerFile, SecretSources};
use super::{ConfigError, secret};
use crate::issuer::delivery::{Unsigned, VerifierInvalid};
use crate::issuer::lithic::legacy;
use crate::issuer::{Issuer, IssuerKind, marqeta, standard_webhooks, stripe};

/// One issuer connection.
pub struct IssuerConfig {
    /// URL segment.
    pub name: String,
    /// How it speaks, and what is accepted as the issuer's.
    pub issuer: Issuer,
    /// What is accepted as its events, where that is something else.
    pub events: Option<Issuer>,
    /// From receipt to our answer, in milliseconds.
    pub deadline_ms: u32,
    /// How long this issuer lets a hold live at most.
    pub hold_days: HoldDays,
    /// What the operator should know at each start.
    pub warnings: Vec<&'static str>,
}

/// How long an issuer lets a hold live at most, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldDays {
    /// Of most categories.
    pub usual: u32,
    /// Of hotels, rented cars and what else is held long; never less.
    pub long: u32,
}

/// Where the configuration does not say: the networks' week, and the month of hotels and cars.
pub(crate) const HOLD_DAYS_DEFAULT: HoldDays = HoldDays { usual: 7, long: 31 };

/// Issuers count from when they send; half a second is left for the way there and back.
const WAY_MS: u32 = 500;
const DEADLINE_MS_DEFAULT: u32 = 300;
const TOLERANCE_S_DEFAULT: u32 = 300;
const HOLD_DAYS_MAX: u32 = 3_650;

const UNSIGNED: &str = "unsigned = \"accept\": whoever reaches this connection's address can have \
                        purchases approved";
const STRIPE_SILENCE: &str = "where no answer comes within 2 s, Stripe decides by the account's \
                              timeout setting, which may approve; set it to decline in the \
                              Dashboard. Without an endpoint there Stripe approves without asking";
const MARQETA_SILENCE: &str = "where no answer comes within 3 s, Marqeta declines unless Commando \
                               Mode (real_time_standin_criteria) is enabled for the funding \
                               source; then its own rules may approve";
const NO_TIME: &str = "what this issuer proves itself with carries no time: tolerance_s has no \
                       effect, and whoever has read a request can send it again";

/// Checks the connections one by one, and that no name comes twice.
pub(super) fn issuers(typed: &[IssuerFile], place: &str) -> Result<Vec<IssuerConfig>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut issuers = Vec::new();
    for (at, issuer) in typed.iter().enumerate() {
        // It asks nothing, and stands among those that make cards.
        if issuer.kind == PRIVACY {
            continue;
        }
        let fields = Fields {
            typed: issuer,
            place: format!("{place}: issuer[{at}]"),
        };
        let issuer = fields.read()?;
        if !names.insert(issuer.name.clone()) {
            return Err(fields.fault("name", "used twice"));
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}

/// The fields of one connection, and where they stand.
struct Fields<'f> {
    typed: &'f IssuerFile,
    place: String,
}

impl Fields<'_> {
    fn fault(&self, key: &str, message: impl Display) -> ConfigError {
        ConfigError::new(format!("{}.{key}", self.place), message.to_string())
    }

    fn read(&self) -> Result<IssuerConfig, ConfigError> {
        self.check_name()?;
        let kind =
            IssuerKind::parse(&self.typed.kind).map_err(|error| self.fault("kind", error))?;
        self.check_keys(kind)?;
        let unsigned = Unsigned::parse(self.typed.unsigned.as_deref().unwrap_or("refuse"))
            .ok_or_else(|| self.fault("unsigned", "must be `refuse` or `accept`"))?;
        self.check_unmanaged_cards()?;
        let issuer = self.issuer(kind, unsigned)?;
        Ok(IssuerConfig {
            events: self.events(kind, unsigned)?,
            name: self.typed.name.clone(),
            deadline_ms: self.deadline_ms(kind)?,
            hold_days: self.hold_days()?,
            warnings: Self::warnings(&issuer, unsigned),
            issuer,
        })
    }

    fn check_name(&self) -> Result<(), ConfigError> {
        let name = &self.typed.name;
        let lawful = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 40 || !name.chars().all(lawful) {
            return Err(self.fault("name", "must be 1 to 40 characters of a-z, 0-9 and `-`"));
        }
        Ok(())
    }

    /// Behaviour 3.7; a policy for cards that nobody knows is not in this version.
    fn check_unmanaged_cards(&self) -> Result<(), ConfigError> {
        match self.typed.unmanaged_cards.as_deref() {
            None | Some("decline") => Ok(()),
            Some(_) => Err(self.fault(
                "unmanaged_cards",
                "must be `decline`, which is the default; others are not in this version",
            )),
        }
    }

    /// A key that would change nothing here is a mistake somewhere.
    fn check_keys(&self, kind: IssuerKind) -> Result<(), ConfigError> {
        let only = |key, is_set: bool, of: IssuerKind| {
            if is_set && kind != of {
                let message = format!("is for kind = \"{}\" only", of.name());
                return Err(self.fault(key, message));
            }
            Ok(())
        };
        only(
            "signature",
            self.typed.signature.is_some(),
            IssuerKind::Lithic,
        )?;
        only(
            "livemode",
            self.typed.livemode.is_some(),
            IssuerKind::Stripe,
        )?;
        only("account", self.typed.account.is_some(), IssuerKind::Stripe)?;
        only(
            "headers",
            !self.typed.headers.is_empty(),
            IssuerKind::Marqeta,
        )
    }

    fn deadline_ms(&self, kind: IssuerKind) -> Result<u32, ConfigError> {
        let most = kind.patience_ms().saturating_sub(WAY_MS);
        let deadline_ms = self.typed.deadline_ms.unwrap_or(DEADLINE_MS_DEFAULT);
        if (1..=most).contains(&deadline_ms) {
            return Ok(deadline_ms);
        }
        let message = format!(
            "must lie between 1 and {most}, inside the {} ms that the issuer waits",
            kind.patience_ms()
        );
        Err(self.fault("deadline_ms", message))
    }

    fn hold_days(&self) -> Result<HoldDays, ConfigError> {
        let usual = self.typed.hold_days.unwrap_or(HOLD_DAYS_DEFAULT.usual);
        if !(1..=HOLD_DAYS_MAX).contains(&usual) {
            let message = format!("must lie between 1 and {HOLD_DAYS_MAX}");
            return Err(self.fault("hold_days", message));
        }
        let default = HOLD_DAYS_DEFAULT.long.max(usual);
        let long = self.typed.hold_days_long.unwrap_or(default);
        if (usual..=HOLD_DAYS_MAX).contains(&long) {
            return Ok(HoldDays { usual, long });
        }
        let message = format!("must lie between hold_days, {usual}, and {HOLD_DAYS_MAX}");
        Err(self.fault("hold_days_long", message))
    }

    fn issuer(&self, kind: IssuerKind, unsigned: Unsigned) -> Result<Issuer, ConfigError> {
        Ok(match kind {
            IssuerKind::Lithic if self.is_legacy()? => Issuer::LithicLegacy(self.legacy(unsigned)?),
            IssuerKind::Lithic => Issuer::Lithic(self.standard_webhooks(unsigned)?),
            IssuerKind::Sandbox => Issuer::Sandbox(self.standard_webhooks(unsigned)?),
            IssuerKind::Stripe => Issuer::Stripe(self.stripe(unsigned)?),
            IssuerKind::Marqeta => Issuer::Marqeta(self.marqeta(unsigned)?),
        })
    }

    /// Whether Lithic's older scheme is asked for by its name.
    fn is_legacy(&self) -> Result<bool, ConfigError> {
        match self.typed.signature.as_deref() {
            None | Some("standard-webhooks") => Ok(false),
            Some("x-lithic-hmac") => Ok(true),
            Some(_) => {
                let message = "must be `standard-webhooks` or `x-lithic-hmac`";
                Err(self.fault("signature", message))
            }
        }
    }

    fn legacy(&self, unsigned: Unsigned) -> Result<legacy::Verifier, ConfigError> {
        let keys = self.secrets(legacy::ApiKey::from_text)?;
        legacy::Verifier::new(keys, unsigned).map_err(|error| self.unverifiable(error))
    }

    fn standard_webhooks(
        &self,
        unsigned: Unsigned,
    ) -> Result<standard_webhooks::Verifier, ConfigError> {
        let secrets = self.secrets(standard_webhooks::Secret::from_text)?;
        standard_webhooks::Verifier::new(secrets, self.tolerance_s(), unsigned)
            .map_err(|error| self.unverifiable(error))
    }

    fn stripe(&self, unsigned: Unsigned) -> Result<stripe::Account, ConfigError> {
        let secrets = self.secrets(stripe::Secret::from_text)?;
        self.stripe_account(secrets, unsigned)
    }

    fn stripe_account(
        &self,
        secrets: Vec<stripe::Secret>,
        unsigned: Unsigned,
    ) -> Result<stripe::Account, ConfigError> {
        let account = self.typed.account.as_deref();
        if account.is_some_and(|id| !id.starts_with("acct_")) {
            return Err(self.fault("account", "must be the id of an account, like acct_…"));
        }
        Ok(stripe::Account {
            verifier: stripe::Verifier::new(secrets, self.tolerance_s(), unsigned)
                .map_err(|error| self.unverifiable(error))?,
            livemode: self.typed.livemode,
            account: account.map(Into::into),
        })
    }

    fn marqeta(&self, unsigned: Unsigned) -> Result<marqeta::Verifier, ConfigError> {
        let credentials = self.secrets(marqeta::Credentials::from_text)?;
        let mut headers = Vec::new();
        for (name, sources) in &self.typed.headers {
            let key = format!("headers.{name}");
            let values = self.read_each(&key, sources, marqeta::HeaderSecret::from_text)?;
            let header = marqeta::StaticHeader::new(name, values);
            headers.push(header.map_err(|error| self.fault(&key, error))?);
        }
        marqeta::Verifier::new(credentials, headers, unsigned)
            .map_err(|error| self.unverifiable(error))
    }

    fn unverifiable(&self, error: VerifierInvalid) -> ConfigError {
        let key = match error {
            VerifierInvalid::NoSecret | VerifierInvalid::TooManySecrets => "secrets",
            VerifierInvalid::ToleranceOutOfRange => "tolerance_s",
            VerifierInvalid::TooManyHeaders => "headers",
        };
        self.fault(key, error)
    }

    fn tolerance_s(&self) -> u32 {
        self.typed.tolerance_s.unwrap_or(TOLERANCE_S_DEFAULT)
    }

    fn secrets<S, E: Display>(
        &self,
        parse: impl Fn(String) -> Result<S, E>,
    ) -> Result<Vec<S>, ConfigError> {
        self.read_each("secrets", &self.typed.secrets, parse)
    }

    /// What proves an event, where that is not what proves a question: `event_secrets` of its own,
    /// or Marqeta's webhooks, which carry no headers of the funding source. Lithic's events have been
    /// signed as Standard Webhooks all along.
    fn events(&self, kind: IssuerKind, unsigned: Unsigned) -> Result<Option<Issuer>, ConfigError> {
        let is_own = self.typed.event_secrets.is_some();
        let unverifiable = |error| self.unverifiable(error);
        Ok(match kind {
            IssuerKind::Lithic | IssuerKind::Sandbox if is_own => {
                let secrets = self.event_secrets(standard_webhooks::Secret::from_text)?;
                let tolerance_s = self.tolerance_s();
                let verifier = standard_webhooks::Verifier::new(secrets, tolerance_s, unsigned);
                Some(Issuer::Lithic(verifier.map_err(unverifiable)?))
            }
            IssuerKind::Stripe if is_own => {
                let secrets = self.event_secrets(stripe::Secret::from_text)?;
                Some(Issuer::Stripe(self.stripe_account(secrets, unsigned)?))
            }
            IssuerKind::Marqeta => {
                let credentials = self.event_secrets(marqeta::Credentials::from_text)?;
                let verifier = marqeta::Verifier::new(credentials, Vec::new(), unsigned);
                Some(Issuer::Marqeta(verifier.map_err(unverifiable)?))
            }
            IssuerKind::Lithic | IssuerKind::Sandbox | IssuerKind::Stripe => None,
        })
    }

    fn event_secrets<S, E: Display>(
        &self,
        parse: impl Fn(String) -> Result<S, E>,
    ) -> Result<Vec<S>, ConfigError> {
        match &self.typed.event_secrets {
            Some(sources) => self.read_each("event_secrets", sources, parse),
            None => self.secrets(parse),
        }
    }

    fn read_each<S, E: Display>(
        &self,
        key: &str,
        sources: &SecretSources,
        parse: impl Fn(String) -> Result<S, E>,
    ) -> Result<Vec<S>, ConfigError> {
        let read = |(at, source): (usize, &String)| {
            secret::read(source, &parse)
                .map_err(|message| self.fault(&format!("{key}[{at}]"), message))
        };
        sources.0.iter().enumerate().map(read).collect()
    }

    fn warnings(issuer: &Issuer, unsigned: Unsigned) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if unsigned == Unsigned::Accept {
            warnings.push(UNSIGNED);
        }
        match issuer {
            Issuer::Lithic(_) | Issuer::Sandbox(_) => {}
            Issuer::LithicLegacy(_) => warnings.push(NO_TIME),
            Issuer::Stripe(_) => warnings.push(STRIPE_SILENCE),
            Issuer::Marqeta(_) => {
                warnings.push(MARQETA_SILENCE);
                warnings.push(NO_TIME);
            }
        }
        warnings
    }
}
