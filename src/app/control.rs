//! The control plane's wiring: its files, the rules that it starts with, the API over both.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

use crate::app::StartError;
use crate::app::operators::Operators;
use crate::app::ownership::Rows;
use crate::app::recovery::Recovery;
use crate::clock::Clock;
use crate::cold::alerts;
use crate::cold::api::{Api, Parts, Served, cards, purchases};
use crate::cold::audit::signer::Signer;
use crate::cold::binding::{Binding, Counts, NotOurs, alerts_reader};
use crate::cold::control::{self, Control, LoadError, Surroundings};
use crate::cold::durable::JournalProgress;
use crate::cold::init::{InitError, Opened, Place};
use crate::cold::issuers::IssuerClient;
use crate::cold::issuers::remote::RemoteClient;
use crate::cold::issuers::sandbox::SandboxClient;
use crate::cold::mirror::{self, Around as Mirror};
use crate::cold::ops::OpsState;
use crate::cold::outbox::teller::{self, Teller};
use crate::cold::outbox::{self, Around as Outbox};
use crate::cold::policies::{FIRST_VERSION, First, Policies, Source};
use crate::cold::readiness::Readiness;
use crate::cold::records::Records;
use crate::cold::records::reading::Reading;
use crate::cold::seal::MasterKeys;
use crate::cold::stands::Stands;
use crate::cold::store::{Store, StoreError};
use crate::cold::tokens::TokenSecret;
use crate::cold::webhooks::address::Reach;
use crate::cold::webhooks::mail::Mailer;
use crate::cold::webhooks::{self, reader};
use crate::config::{
    AlertsConfig, Config, ConfigError, LedgerStore, PurchasesConfig, SANDBOX_NAME, WebhooksConfig,
};
use crate::decide::document::DocumentRefused;
use crate::decide::past::Past;
use crate::decide::snapshot::Snapshot;
use crate::fingerprint::Fingerprinter;
use crate::hot::pipeline::Core;
use crate::ledger::embedded::frame::{Cursor, JournalId};
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::ledger::embedded::writer::Writer;
use crate::seam::commands::LedgerPort;
use crate::seam::snapshot::CurrentSnapshot;

/// What is in force: a file where one is named, else the database where there is one, else the
/// sandbox's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    File(PathBuf),
    /// With the sandbox's list of cards, which other processes read.
    Database(PathBuf),
}

impl Rules {
    pub(super) fn of(config: &Config) -> Option<Self> {
        if let Some(path) = &config.snapshot {
            return Some(Self::File(path.clone()));
        }
        let rows_rule = Place::of(&config.data_dir, config.database.as_ref()).is_named();
        rows_rule.then(|| Self::Database(sandbox_cards(&config.data_dir)))
    }

    /// The file in which the cards of the sandbox are found.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Database(path) => path,
        }
    }
}

fn sandbox_cards(data_dir: &Path) -> PathBuf {
    data_dir.join("sandbox").join("cards.jsonl")
}

/// The control plane's files; nothing where the data directory has none.
pub(super) struct Plane {
    rows: Rows,
    /// Where its files are, for people.
    place: String,
    counts: Counts,
    secret: TokenSecret,
    signer: Signer,
    master_keys: Option<Arc<MasterKeys>>,
    issuers: Vec<Arc<dyn IssuerClient>>,
}

/// Gives each issuer its key. One that does not open is missing: the issuer will deny, and say so.
async fn unseal(
    store: &dyn Store,
    keys: Option<&MasterKeys>,
    issuers: &[Arc<dyn IssuerClient>],
) -> Result<(), StoreError> {
    for row in store.sealed().await? {
        let own = |it: &&Arc<dyn IssuerClient>| it.connection() == row.connection;
        let issuer = issuers.iter().find(own);
        let Some(issuer) = issuer.filter(|it| it.manner().takes_key) else {
            continue;
        };
        match keys.map(|keys| keys.open(&row)) {
            Some(Ok(key)) => issuer.set_key(key),
            Some(Err(error)) => tracing::error!(%error, "an issuer's key"),
            None => {}
        }
    }
    Ok(())
}

/// What the rules of a start are made with: the connections' names, the keys, whose every used card is.
type With<'a> = (&'a [String], &'a Fingerprinter, Past);

/// The rules that a start has found.
pub(super) struct Loaded {
    pub(super) snapshots: Arc<CurrentSnapshot>,
    file: Option<(Source, First)>,
}

impl Plane {
    pub(super) fn open(
        cold: &Runtime,
        config: &Config,
        readiness: &Arc<Readiness>,
    ) -> Result<Option<Self>, StartError> {
        let place = Place::of(&config.data_dir, config.database.as_ref());
        if !place.is_named() || !config.roles.control {
            return Ok(None);
        }
        let fault = |error: &dyn std::fmt::Display| StartError::Control(error.to_string());
        let opened = cold.block_on(place.own());
        let Opened {
            store,
            secret,
            signer,
            hold,
        } = opened.map_err(|error| {
            if let InitError::Taken(whose) = error {
                return StartError::Taken(whose);
            }
            fault(&error)
        })?;
        let rows = Rows::watched(cold, Arc::clone(&store), hold, readiness);
        let mut issuers: Vec<Arc<dyn IssuerClient>> = Vec::new();
        if config.sandbox {
            let path = sandbox_cards(&config.data_dir);
            let client = SandboxClient::open(&path, SANDBOX_NAME);
            let named = |error| fault(&format!("{}: {error}", path.display()));
            issuers.push(Arc::new(client.map_err(named)?));
        }
        for maker in config.card_makers.clone() {
            issuers.push(Arc::new(RemoteClient::new(maker)));
        }
        let sealing = place.master_keys_or_new(&config.master_keys, &*store);
        let master_keys = cold.block_on(sealing).map_err(|error| {
            tracing::error!(%error, "no issuer's key can be sealed or opened");
        });
        let master_keys = master_keys.ok();
        let unsealed = unseal(&*store, master_keys.as_ref(), &issuers);
        cold.block_on(unsealed).map_err(|error| fault(&error))?;
        Ok(Some(Self {
            master_keys: master_keys.map(Arc::new),
            rows,
            place: place.for_people(),
            counts: match config.ledger {
                LedgerStore::Embedded => Counts::Journal,
                LedgerStore::Shared(_) => Counts::SharedLedger,
            },
            secret,
            signer,
            issuers,
        }))
    }

    pub(super) fn rows(&self) -> Rows {
        self.rows.clone()
    }

    /// Has those issuers told that are asked over a network.
    fn teller(&self, clock: Clock, bell: &Arc<Notify>) -> Teller {
        let remote = self.issuers.iter().filter(|it| it.manner().is_remote);
        Teller::new(teller::Around {
            store: self.rows().store,
            clock,
            bell: Arc::clone(bell),
            connections: remote.map(|it| it.connection().to_owned()).collect(),
        })
    }
}

/// Compiles what the rows say.
fn load_rows(
    store: &dyn Store,
    cold: &Runtime,
    (names, keys, past): &With<'_>,
) -> Result<Snapshot, StartError> {
    let before = (&Snapshot::empty(), FIRST_VERSION);
    let loaded = control::load(store, names, keys, before, past);
    cold.block_on(loaded).map_err(|error| match error {
        LoadError::Rows(errors) => StartError::Snapshot(DocumentRefused {
            errors,
            more_count: 0,
        }),
        LoadError::Store(error) => StartError::Control(error.to_string()),
    })
}

impl Loaded {
    /// Reads and compiles the rules.
    pub(super) fn load(
        rules: &Rules,
        rows: Option<&dyn Store>,
        cold: &Runtime,
        with: With<'_>,
    ) -> Result<Self, StartError> {
        match (rules, rows) {
            (Rules::Database(_), Some(rows)) => {
                let snapshot = load_rows(rows, cold, &with)?;
                Ok(Self {
                    snapshots: Arc::new(CurrentSnapshot::new(snapshot)),
                    file: None,
                })
            }
            (Rules::File(path) | Rules::Database(path), _) => {
                let (names, keys, past) = with;
                let source = Source::new(path, names.to_vec(), keys);
                let first = First::load(&source, &past).map_err(StartError::Snapshot)?;
                Ok(Self {
                    snapshots: Arc::clone(&first.snapshots),
                    file: Some((source, first)),
                })
            }
        }
    }

    /// What hot threads decide with.
    pub(super) fn core(&self, keys: &Fingerprinter, ledger: EmbeddedLedger) -> Core {
        Core {
            keys: keys.clone(),
            ledger: Arc::new(ledger),
            snapshots: Arc::clone(&self.snapshots),
        }
    }

    /// Starts what reads a file again; nothing does where the database rules.
    fn start_policies(
        self,
        operators: &Operators,
        watch_every: Option<Duration>,
    ) -> Result<Policies, StartError> {
        match self.file {
            Some((source, first)) => operators.start_policies(source, first, watch_every),
            None => Ok(Policies::of_no_file()),
        }
    }
}

/// Makes sure that the database belongs to this journal, whose first segment is there, before anything is
/// decided by it.
pub(super) fn bind(
    plane: Option<&Plane>,
    cold: &Runtime,
    recovered: &Recovery,
    (writer, clock): (&Writer, Clock),
) -> Result<(), StartError> {
    let Some(plane) = plane else {
        return Ok(());
    };
    // Else the next start would find another name.
    if recovered.next == Cursor::GENESIS && writer.published().create_failed {
        let why = "the journal has no first segment, so the database cannot belong to it";
        return Err(StartError::Control(why.to_owned()));
    }
    let binding = Binding {
        store: &*plane.rows.store,
        journal: recovered.journal,
        counts: plane.counts,
        next: recovered.next,
        place: plane.place.clone(),
    };
    let bound = cold.block_on(binding.bind(clock.now()));
    bound.map_err(|error| match error {
        NotOurs::Store(error) => StartError::Control(error.to_string()),
        NotOurs::Other { .. } | NotOurs::Older { .. } => StartError::NotOurs(error.to_string()),
    })
}

/// What the API is started with.
pub(super) struct Around<'a> {
    pub(super) cold: &'a Runtime,
    /// Rung where an issuer says that a card has changed.
    pub(super) card_bell: watch::Receiver<u64>,
    pub(super) rules: &'a Rules,
    pub(super) names: Vec<String>,
    pub(super) keys: Fingerprinter,
    pub(super) records: &'a Arc<Records>,
    pub(super) writer: &'a Arc<Writer>,
    pub(super) clock: Clock,
    /// The journal's name.
    pub(super) journal: JournalId,
    pub(super) webhooks: WebhooksConfig,
    pub(super) purchases: PurchasesConfig,
    /// What hands mail over, where there is a mail server, and what writes it once it is there.
    pub(super) people: (Option<Mailer>, &'a Served),
    pub(super) alerts: AlertsConfig,
    /// How people and agents reach the pages.
    pub(super) public_url: String,
    /// Between two looks at the file that rules.
    pub(super) watch_every: Option<Duration>,
}

/// Lets the rules be changed from now on: the file by operators, the database by the API.
pub(super) fn start(
    plane: Option<Plane>,
    loaded: Loaded,
    operators: &Operators,
    around: Around<'_>,
) -> Result<(), StartError> {
    let served = Arc::clone(around.people.1);
    let snapshots = Arc::clone(&loaded.snapshots);
    let records = Arc::clone(around.records);
    let policies = loaded.start_policies(operators, around.watch_every)?;
    let shown = (Arc::clone(&snapshots), records, policies);
    let rows_rule = matches!(around.rules, Rules::Database(_));
    let (bell, clock) = (Arc::default(), around.clock);
    let teller = plane.as_ref().map(|plane| plane.teller(clock, &bell));
    let of_rows = teller.clone().filter(|_| rows_rule);
    operators.arm(around.writer, around.keys.clone(), shown, of_rows);
    let store = plane.as_ref().map(|plane| plane.rows().store);
    // The cell is new, so nothing is in it.
    let _full = operators.shown().store.set(store);
    let api = plane.zip(teller).map(|(plane, teller)| {
        let told = (bell, teller);
        start_plane((plane, told), snapshots, operators, around)
    });
    // The cell is new, so nothing is in it.
    let _full = served.set(api.transpose()?);
    Ok(())
}

/// One task for each issuer that is asked over a network, one that counts, one that keeps what
/// operators do.
fn start_outbox(
    cold: &Runtime,
    around: &Outbox,
    (issuers, rows_rule): (&[Arc<dyn IssuerClient>], bool),
    teller: &Teller,
) {
    for issuer in issuers.iter().filter(|it| it.manner().is_remote) {
        drop(cold.spawn(outbox::tell(around.clone(), Arc::clone(issuer))));
        if rows_rule && issuer.poll().is_none() {
            drop(cold.spawn(outbox::catch_up(around.clone(), Arc::clone(issuer))));
        }
    }
    drop(cold.spawn(outbox::watch(around.clone())));
    drop(cold.spawn(teller.clone().run()));
}

/// One task for each issuer that is asked over a network.
fn start_mirrors<'i>(
    cold: &Runtime,
    around: &Mirror,
    issuers: impl Iterator<Item = &'i Arc<dyn IssuerClient>>,
) {
    for issuer in issuers {
        if let Some(every) = issuer.poll() {
            drop(cold.spawn(mirror::follow(around.clone(), Arc::clone(issuer), every)));
        }
    }
}

/// One task that delivers, one that counts, one that reads what was decided.
fn start_webhooks(
    of_outbox: &Outbox,
    keys: Option<Arc<MasterKeys>>,
    (counts, around): (Counts, &Around<'_>),
) -> webhooks::Around {
    let of_outbox = of_outbox.clone();
    let told = webhooks::Around {
        store: of_outbox.store,
        clock: of_outbox.clock,
        keys,
        bell: Arc::default(),
        telemetry: of_outbox.telemetry,
        readiness: of_outbox.readiness,
        reach: Reach {
            loopback: around.webhooks.allow_loopback,
            ports: around.webhooks.ports,
        },
        mailer: around.people.0.clone(),
        served: Arc::clone(around.people.1),
        backlog_max: around.webhooks.backlog_max,
    };
    let cold = around.cold;
    drop(cold.spawn(webhooks::deliver(told.clone())));
    drop(cold.spawn(webhooks::watch::watch(told.clone())));
    drop(cold.spawn(webhooks::warn_without_mail(told.clone())));
    drop(cold.spawn(reader::read(reader::Around {
        store: Arc::clone(&told.store),
        records: Arc::clone(around.records),
        journal: progress(around.writer),
        clock: told.clock,
        bell: Arc::clone(&told.bell),
        telemetry: Arc::clone(&told.telemetry),
        readiness: Arc::clone(&told.readiness),
        unread_max: around.webhooks.unread_max,
        reading: Reading::new(&told.store, around.records, (around.journal.name(), counts)),
    })));
    told
}

/// One task that reads what was decided and booked.
fn start_alerts(
    cold: &Runtime,
    told: &webhooks::Around,
    (snapshots, ledger, control): (Arc<CurrentSnapshot>, LedgerPort, Control),
    teller: Teller,
    (writer, reading): (&Arc<Writer>, Reading),
    (records, config): (&Arc<Records>, AlertsConfig),
) {
    drop(cold.spawn(alerts::watch(alerts::Around {
        store: Arc::clone(&told.store),
        records: Arc::clone(records),
        journal: progress(writer),
        snapshots,
        ledger,
        control,
        clock: told.clock,
        telemetry: Arc::clone(&told.telemetry),
        teller,
        config,
        reading,
    })));
}

fn around_outbox(
    store: &Arc<dyn Store>,
    shown: &OpsState,
    bell: &Arc<Notify>,
    around: &Around<'_>,
) -> Outbox {
    Outbox {
        store: Arc::clone(store),
        clock: around.clock,
        bell: Arc::clone(bell),
        telemetry: Arc::clone(&shown.telemetry),
        readiness: Arc::clone(&shown.readiness),
        stands: Stands {
            store: Arc::clone(store),
            ledger: shown.ledger.clone(),
            keys: around.keys.clone(),
        },
    }
}

fn start_plane(
    (plane, (bell, teller)): (Plane, (Arc<Notify>, Teller)),
    snapshots: Arc<CurrentSnapshot>,
    operators: &Operators,
    around: Around<'_>,
) -> Result<Arc<Api>, StartError> {
    let rows_rule = matches!(around.rules, Rules::Database(_));
    let store = plane.rows.store;
    let shown = operators.shown();
    let outbox = around_outbox(&store, shown, &bell, &around);
    start_outbox(around.cold, &outbox, (&plane.issuers, rows_rule), &teller);
    let told = start_webhooks(&outbox, plane.master_keys.clone(), (plane.counts, &around));
    let around_control = Surroundings {
        store: Arc::clone(&store),
        snapshots: Arc::clone(&snapshots),
        rows_rule,
        connections: around.names,
        keys: around.keys.clone(),
        ledger: shown.ledger.clone(),
        journal: progress(around.writer),
        clock: around.clock,
        telemetry: Arc::clone(&shown.telemetry),
        readiness: Arc::clone(&shown.readiness),
        noted: Arc::clone(&shown.noted),
        bell: Arc::clone(&bell),
        webhook_bell: Arc::clone(&told.bell),
    };
    let control = start_control(around_control, plane.signer)?;
    start_mirrors(
        around.cold,
        &Mirror {
            store: Arc::clone(&store),
            control: control.clone(),
            clock: around.clock,
            stands: outbox.stands.clone(),
            bell: around.card_bell,
        },
        plane.issuers.iter().filter(|_| rows_rule),
    );
    let watched = (
        Arc::clone(&snapshots),
        shown.ledger.clone(),
        control.clone(),
    );
    let name = (alerts_reader(around.journal), plane.counts);
    let reading = Reading::new(&told.store, around.records, name);
    let config = (around.records, around.alerts.of(rows_rule));
    let read = (around.writer, reading);
    start_alerts(around.cold, &told, watched, teller, read, config);
    let parts = Parts {
        store,
        secret: plane.secret,
        control,
        issuers: plane.issuers,
        master_keys: plane.master_keys,
        reach: told.reach,
        has_mail: told.mailer.is_some(),
        snapshots,
        ledger: shown.ledger.clone(),
        stands: outbox.stands,
        records: Arc::clone(around.records),
        clock: around.clock,
        keys: around.keys,
        rows_rule,
        journal: progress(around.writer),
        public_url: around.public_url,
        purchases: around.purchases,
    };
    Ok(start_api(around.cold, parts))
}

/// How far the journal has come.
fn progress(writer: &Arc<Writer>) -> JournalProgress {
    let writer = Arc::clone(writer);
    Box::new(move || writer.published())
}

fn start_control(around: Surroundings, signer: Signer) -> Result<Control, StartError> {
    let started = Control::start(around, signer);
    started.map_err(|error| StartError::Io("cannot start the thread of the control plane", error))
}

/// The API, and what looks after purchase requests where rows rule.
fn start_api(cold: &Runtime, parts: Parts) -> Arc<Api> {
    let rows_rule = parts.rows_rule;
    let api = Arc::new(Api::new(parts));
    if rows_rule {
        drop(cold.spawn(purchases::tend(Arc::clone(&api))));
        drop(cold.spawn(cards::tend(Arc::clone(&api))));
    }
    api
}

/// The client of the mail server, where there is one.
pub(super) fn mailer(config: &Config) -> Result<Option<Mailer>, StartError> {
    let made = config.mail.as_ref().map(Mailer::new).transpose();
    made.map_err(|message| {
        let place = "mail".to_owned();
        StartError::Config(ConfigError { place, message })
    })
}
