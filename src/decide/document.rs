//! The snapshot document (behaviour 11.3): one JSON object, or JSON lines with parents first.
//!
//! Refused whole or taken whole: an error in one card must not become a card without rules
//! (behaviour 3.4). Every complaint names file, line and field.

mod fields;

use std::fmt;

use serde_json::value::RawValue;

use self::fields::{
    AGENT_STATUSES, CARD_STATUSES, CASCADES, CUSTOMER_STATUSES, Lock, USAGES, optional_word,
    read_currency, read_id, read_instant, read_lock, read_policy_of, required_id,
};
use super::compile::{AgentRow, Builder, CardRow, Cause, CustomerRow, RowRefused, Zones};
use super::json::{Fields, PROBLEMS_MAX, Path, Problem, Reader, find_field};
use super::past::Past;
use super::policy::{Policy, read_policy};
use super::snapshot::Snapshot;
use crate::domain::currency::Currency;
use crate::domain::identity::Keys;

/// Complaints about a document that is read for itself that are told in full.
const ALONE_PROBLEMS_MAX: usize = 10_000;

/// What some editors put before the text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    /// The document's name, as the caller gave it.
    pub file: String,
    /// The line, from one; absent where no line was read.
    pub line: Option<usize>,
    /// The field's path, `cards[3].policy.limits.perDay`; empty for the document as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            field,
            message,
        } = self;
        f.write_str(file)?;
        if let Some(line) = line {
            write!(f, ":{line}")?;
        }
        if !field.is_empty() {
            write!(f, ": {field}")?;
        }
        write!(f, ": {message}")
    }
}

/// Why a document is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentRefused {
    /// What is wrong, in the order of lines.
    pub errors: Vec<DocumentError>,
    /// How many errors there are beyond those.
    pub more_count: usize,
}

impl From<DocumentError> for DocumentRefused {
    fn from(error: DocumentError) -> Self {
        Self {
            errors: vec![error],
            more_count: 0,
        }
    }
}

/// One line for each error that is told, and one that counts the others, without the last line's
/// end.
impl fmt::Display for DocumentRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{error}")?;
        }
        match self.more_count {
            0 => Ok(()),
            more_count => write!(f, "\nand {more_count} more"),
        }
    }
}

impl std::error::Error for DocumentRefused {}

/// What surrounds a document.
#[derive(Clone, Copy, Debug)]
pub struct DocumentContext<'c> {
    /// The document's name in errors.
    pub file: &'c str,
    /// The names of the configured issuer connections.
    pub connections: &'c [&'c str],
    /// The number that the snapshot gets.
    pub version: u64,
}

/// What a document follows.
#[derive(Clone, Copy)]
pub struct Before<'b> {
    /// The snapshot in force. What stays the same is shared with it, and no card of it may change
    /// its customer.
    pub snapshot: &'b Snapshot,
    /// What was used; it may not become something else.
    pub past: &'b Past,
}

/// Reads and compiles a whole document.
///
/// # Errors
/// The first 20 errors of a document that has any, and how many there are.
pub fn read_snapshot(
    bytes: &[u8],
    context: DocumentContext<'_>,
    keys: &impl Keys,
) -> Result<Snapshot, DocumentRefused> {
    let before = Before {
        snapshot: &Snapshot::empty(),
        past: &Past::default(),
    };
    read_next_snapshot(bytes, context, keys, before)
}

/// Reads and compiles a whole document that follows another.
///
/// # Errors
/// The first 20 errors of a document that has any, and how many there are.
pub fn read_next_snapshot(
    bytes: &[u8],
    context: DocumentContext<'_>,
    keys: &impl Keys,
    before: Before<'_>,
) -> Result<Snapshot, DocumentRefused> {
    let builder =
        Builder::replacing(before.snapshot, keys, context.connections).knowing(before.past);
    read(bytes, context, builder, PROBLEMS_MAX)
}

/// Reads a document for itself, with whatever connections its cards name, to say all that is wrong
/// with it. Its version is 0.
///
/// # Errors
/// The first 10 000 errors of a document that has any, and how many there are.
pub fn read_alone(bytes: &[u8], file: &str, keys: &impl Keys) -> Result<Snapshot, DocumentRefused> {
    let context = DocumentContext {
        file,
        connections: &[],
        version: 0,
    };
    let builder = Builder::new(keys, &[]).taking_any_connection();
    read(bytes, context, builder, ALONE_PROBLEMS_MAX)
}

/// Reads one policy that stands outside a snapshot, with the same reader and the same complaints;
/// fields are named from the policy on.
///
/// # Errors
/// The first errors of a policy that has any, in the order of lines.
pub fn read_policy_alone(text: &str, file: &str) -> Result<Policy, Vec<DocumentError>> {
    let mut reader = Reader::new(text, PROBLEMS_MAX);
    let raw = reader.value(text, &Path::ROOT);
    let policy =
        raw.and_then(|raw| read_policy(&mut reader, raw, &Path::ROOT, &mut Zones::default()));
    if reader.is_clean() {
        Ok(policy.unwrap_or_default())
    } else {
        Err(located(file, text.as_bytes(), reader.into_problems()))
    }
}

fn read<K: Keys>(
    bytes: &[u8],
    context: DocumentContext<'_>,
    builder: Builder<'_, K>,
    problems_max: usize,
) -> Result<Snapshot, DocumentRefused> {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let (valid, _) = bytes.split_at(error.valid_up_to());
            let problem = Problem {
                offset: valid.len(),
                field: String::new(),
                message: "not UTF-8".to_owned(),
            };
            return Err(DocumentRefused {
                errors: located(context.file, bytes, vec![problem]),
                more_count: 0,
            });
        }
    };
    let mut load = Load {
        reader: Reader::new(text, problems_max),
        builder,
        is_lines: is_lines(text),
    };
    if text.trim_ascii().is_empty() {
        load.reader
            .report(text, &Path::ROOT, "the document is empty");
    } else if text.starts_with(BYTE_ORDER_MARK) {
        let message = "begins with a byte order mark; save it as UTF-8 without one";
        load.reader.report(text, &Path::ROOT, message);
    } else if load.is_lines {
        load.lines(text);
    } else {
        load.document(text);
    }
    if load.reader.is_clean() {
        Ok(load.builder.finish(context.version))
    } else {
        Err(DocumentRefused {
            more_count: load.reader.more_count(),
            errors: located(context.file, bytes, load.reader.into_problems()),
        })
    }
}

/// Turns offsets into lines.
fn located(file: &str, bytes: &[u8], mut problems: Vec<Problem>) -> Vec<DocumentError> {
    problems.sort_by_key(|problem| problem.offset);
    let (mut line, mut rest) = (1, bytes.iter());
    let mut seen = 0;
    let to_error = |problem: Problem| {
        let passed = rest.by_ref().take(problem.offset.saturating_sub(seen));
        line += passed.filter(|byte| **byte == b'\n').count();
        seen = problem.offset;
        DocumentError {
            file: file.to_owned(),
            line: Some(line),
            field: problem.field,
            message: problem.message,
        }
    };
    problems.into_iter().map(to_error).collect()
}

/// JSON lines begin with a row, or with a line of the schema's number alone.
fn is_lines(text: &str) -> bool {
    let start = text.trim_ascii_start();
    let Some(inside) = start.strip_prefix('{').map(str::trim_ascii_start) else {
        return false;
    };
    let rows = ["\"customer\"", "\"agent\"", "\"card\""];
    if rows.iter().any(|row| inside.starts_with(row)) {
        return true;
    }
    let header = start
        .split_once('\n')
        .map(|(first, _)| first.trim_ascii_end());
    inside.starts_with("\"schema\"")
        && header.is_some_and(|line| line.ends_with('}') && !line.contains(','))
}

/// One document on its way into a builder.
struct Load<'a, 'k, K> {
    reader: Reader<'a>,
    builder: Builder<'k, K>,
    /// Whether a row stands on a line of its own, so that rows come in the order of the text.
    is_lines: bool,
}

impl<'a, K: Keys> Load<'a, '_, K> {
    fn document(&mut self, text: &'a str) {
        let root = Path::ROOT;
        let Some(raw) = self.reader.value(text, &root) else {
            return;
        };
        let Some(mut fields) = self.reader.object(raw, &root) else {
            return;
        };
        self.schema(&mut fields, &root);
        let customers = fields.require(&mut self.reader, &root, "customers");
        self.rows(customers, "customers", Self::customer);
        // Cards need not belong to agents.
        let agents = fields.take("agents");
        self.rows(agents, "agents", Self::agent);
        let cards = fields.require(&mut self.reader, &root, "cards");
        self.rows(cards, "cards", Self::card);
        fields.finish(&mut self.reader, &root, |_| None);
    }

    fn rows(
        &mut self,
        list: Option<&'a RawValue>,
        name: &str,
        read: impl Fn(&mut Self, &'a RawValue, &Path<'_>),
    ) {
        let place = Path::ROOT.field(name);
        let rows = list.and_then(|list| self.reader.array(list, &place));
        for (at, row) in rows.unwrap_or_default().into_iter().enumerate() {
            read(self, row, &place.index(at));
        }
    }

    fn lines(&mut self, text: &'a str) {
        let root = Path::ROOT;
        let mut is_first = true;
        let mut has_rows = false;
        for line in text.split('\n').map(str::trim_ascii) {
            if line.is_empty() {
                continue;
            }
            if let Some(raw) = self.reader.value(line, &root) {
                has_rows |= self.line(raw, is_first);
            }
            is_first = false;
        }
        if !has_rows && self.reader.is_clean() {
            self.reader.report(text, &root, "the document has no rows");
        }
    }

    /// Whether the line was a row.
    fn line(&mut self, raw: &'a RawValue, is_first: bool) -> bool {
        let root = Path::ROOT;
        let Some(mut fields) = self.reader.object(raw, &root) else {
            return false;
        };
        let mut is_row = true;
        if let Some(row) = fields.take("customer") {
            self.customer(row, &root.field("customer"));
        } else if let Some(row) = fields.take("agent") {
            self.agent(row, &root.field("agent"));
        } else if let Some(row) = fields.take("card") {
            self.card(row, &root.field("card"));
        } else if is_first {
            is_row = false;
            self.schema(&mut fields, &root);
        } else {
            is_row = false;
            let message = "a line holds a \"customer\", an \"agent\" or a \"card\"";
            self.reader.report(raw.get(), &root, message);
        }
        fields.finish(&mut self.reader, &root, |_| None);
        is_row
    }

    fn schema(&mut self, fields: &mut Fields<'a>, path: &Path<'_>) {
        if let Some(raw) = fields.take("schema").filter(|raw| raw.get() != "1") {
            let message = "must be 1, the only schema that this version knows";
            self.reader
                .report(raw.get(), &path.field("schema"), message);
        }
    }

    fn customer(&mut self, raw: &'a RawValue, path: &Path<'_>) {
        let reader = &mut self.reader;
        let Some(mut fields) = reader.object(raw, path) else {
            return;
        };
        let id = required_id(reader, &mut fields, path, "id");
        let status = optional_word(reader, &mut fields, path, "status", CUSTOMER_STATUSES);
        let timezone = fields.take("timezone");
        let timezone = timezone.and_then(|raw| reader.text(raw, &path.field("timezone")));
        let currency = read_currency(reader, &mut fields, path);
        let cascade = optional_word(reader, &mut fields, path, "cascade", CASCADES);
        let policy = read_policy_of(reader, &mut fields, path, self.builder.zones());
        fields.finish(reader, path, |_| None);
        if let Some(id) = &id {
            let added = self.builder.add_customer(CustomerRow {
                id,
                status: status.unwrap_or_default(),
                timezone: timezone.as_deref().unwrap_or("UTC"),
                currency: currency.unwrap_or(Currency::USD),
                cascade: cascade.unwrap_or_default(),
                policy,
                shadow: None,
                held_max: None,
            });
            self.accept(raw, path, added);
        }
    }

    fn agent(&mut self, raw: &'a RawValue, path: &Path<'_>) {
        let reader = &mut self.reader;
        let Some(mut fields) = reader.object(raw, path) else {
            return;
        };
        let id = required_id(reader, &mut fields, path, "id");
        let customer = required_id(reader, &mut fields, path, "customerId");
        let status = optional_word(reader, &mut fields, path, "status", AGENT_STATUSES);
        let policy = read_policy_of(reader, &mut fields, path, self.builder.zones());
        fields.finish(reader, path, |_| None);
        match (&id, &customer) {
            (Some(id), Some(customer)) => {
                let added = self.builder.add_agent(AgentRow {
                    id,
                    customer_id: customer,
                    status: status.unwrap_or_default(),
                    policy,
                    shadow: None,
                });
                self.accept(raw, path, added);
            }
            (Some(id), None) => self.builder.refuse_agent(id),
            (None, _) => {}
        }
    }

    fn card(&mut self, raw: &'a RawValue, path: &Path<'_>) {
        let reader = &mut self.reader;
        let Some(mut fields) = reader.object(raw, path) else {
            return;
        };
        let id = required_id(reader, &mut fields, path, "id");
        let connection = required_id(reader, &mut fields, path, "connection");
        let token = required_id(reader, &mut fields, path, "issuerToken");
        let customer = required_id(reader, &mut fields, path, "customerId");
        let agent = fields.take_unless_null("agentId");
        let agent = agent.and_then(|raw| read_id(reader, raw, &path.field("agentId")));
        let usage = optional_word(reader, &mut fields, path, "usage", USAGES);
        let status = optional_word(reader, &mut fields, path, "status", CARD_STATUSES);
        let frozen = fields.take("frozen");
        let frozen = frozen.and_then(|raw| reader.boolean(raw, &path.field("frozen")));
        let created_at = read_instant(reader, &mut fields, path, "createdAt");
        let lock = fields.take_unless_null("merchantLock");
        let lock = lock.and_then(|raw| read_lock(reader, raw, &path.field("merchantLock")));
        let policy = read_policy_of(reader, &mut fields, path, self.builder.zones());
        fields.finish(reader, path, |_| None);
        let (Some(id), Some(connection), Some(token), Some(customer)) =
            (&id, &connection, &token, &customer)
        else {
            return;
        };
        let added = self.builder.add_card(CardRow {
            id,
            connection,
            issuer_token: token,
            customer_id: customer,
            agent_id: agent.as_deref(),
            usage: usage.unwrap_or_default(),
            status: status.unwrap_or_default(),
            frozen: frozen.unwrap_or_default(),
            created_at,
            merchant_lock: lock.as_ref().map(Lock::row),
            policy,
            shadow: None,
        });
        self.accept(raw, path, added);
    }

    /// Complains where the builder did not take the row, unless that only follows from what was
    /// said about its parent.
    fn accept(&mut self, raw: &'a RawValue, path: &Path<'_>, added: Result<(), RowRefused>) {
        let Err(RowRefused {
            field,
            mut message,
            cause,
        }) = added
        else {
            return;
        };
        match cause {
            Cause::RefusedParent => return self.reader.leave_out(),
            Cause::UnknownParent if self.is_lines => {
                message.push_str(" in the lines above; parents come first");
            }
            Cause::UnknownParent | Cause::Row => {}
        }
        let mut names = field.split('.');
        let place = names.try_fold(raw, find_field).unwrap_or(raw);
        self.reader.report(place.get(), &path.field(field), message);
    }
}
