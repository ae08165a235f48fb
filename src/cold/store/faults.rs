//! What a database's errors mean.

use super::StoreError;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let met_another = error.as_database_error().is_some_and(|error| {
            let code = error.code();
            error.is_unique_violation() || code.is_some_and(|code| MET_ANOTHER.contains(&&*code))
        });
        if met_another {
            Self::Conflict
        } else {
            Self::Fault(error.to_string())
        }
    }
}

/// PostgreSQL's words for two transactions of which one had to give way: serialization failure,
/// deadlock. SQLite's codes have fewer digits.
const MET_ANOTHER: [&str; 2] = ["40001", "40P01"];
