//! What a route takes and gives, told beside its handler and read by whoever describes the API
//! (`openapi`), so that the description cannot speak of another API than the one that answers.

use utoipa::ToSchema;
use utoipa::openapi::{RefOr, schema::Schema};

use super::code::Code;

/// One operation.
#[derive(Debug)]
pub struct About {
    /// Its name, for generated clients.
    pub(super) id: &'static str,
    /// One sentence.
    pub(super) summary: &'static str,
    /// What may stand behind the path.
    pub(super) query: &'static [Parameter],
    /// The body; absent where there is none to send.
    pub(super) takes: Option<Shaped>,
    /// Its good answers.
    pub(super) gives: &'static [Given],
    /// What can be wrong beside what can be wrong with every request.
    pub(super) problems: &'static [Code],
}

impl About {
    /// An operation without parameters, body and particular problems.
    pub(super) const fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            query: &[],
            takes: None,
            gives: &[],
            problems: &[],
        }
    }
}

/// One parameter of a query.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) kind: ParameterKind,
}

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParameterKind {
    /// An id of ours.
    Id,
    /// Rows on a page.
    Limit,
    /// An instant of RFC 3339.
    Instant,
}

pub(super) const LIMIT: Parameter = Parameter {
    name: "limit",
    about: "Rows on the page, from 1 to 200; 50 where it is absent.",
    kind: ParameterKind::Limit,
};
pub(super) const CURSOR: Parameter = Parameter {
    name: "cursor",
    about: "The `next` of the page before. Rows that were made since do not move what follows.",
    kind: ParameterKind::Id,
};
pub(super) const OF_CUSTOMER: Parameter = Parameter {
    name: "customerId",
    about: "Of this customer alone.",
    kind: ParameterKind::Id,
};
pub(super) const OF_AGENT: Parameter = Parameter {
    name: "agentId",
    about: "Of this agent alone.",
    kind: ParameterKind::Id,
};
/// What every list takes.
pub(super) const PAGED: &[Parameter] = &[LIMIT, CURSOR];

/// A good answer.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) status: u16,
    pub(super) about: &'static str,
    pub(super) body: Shaped,
    /// Whether it is a page of these.
    pub(super) is_list: bool,
}

impl Given {
    pub(super) const fn ok(body: Shaped) -> Self {
        Self {
            status: 200,
            about: "As it is now.",
            body,
            is_list: false,
        }
    }

    pub(super) const fn created(body: Shaped) -> Self {
        Self {
            status: 201,
            about: "Made, and in force.",
            body,
            is_list: false,
        }
    }

    pub(super) const fn known(body: Shaped) -> Self {
        Self {
            status: 200,
            about: "What has this `externalId` already, unchanged.",
            body,
            is_list: false,
        }
    }

    pub(super) const fn list(body: Shaped) -> Self {
        Self {
            status: 200,
            about: "One page, newest first.",
            body,
            is_list: true,
        }
    }
}

/// Makes the schema of a type.
pub(super) type Shaped = fn() -> Shape;

/// A type's schema, and those that it refers to.
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) all: Vec<(String, RefOr<Schema>)>,
}

pub(super) fn shape<T: ToSchema>() -> Shape {
    let name = T::name().into_owned();
    let mut all = vec![(name.clone(), T::schema())];
    T::schemas(&mut all);
    Shape { name, all }
}
