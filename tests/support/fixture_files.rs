//! One issuer's fixtures, and the values that their rows are written in.

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;

use countersign::domain::acceptor::{CardAcceptor, Country};
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::currency::Currency;
use countersign::domain::mcc::Mcc;

/// By the name of their directory.
#[derive(Clone, Copy)]
pub(crate) struct Fixtures(pub(crate) &'static str);

impl Fixtures {
    fn directory(self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(self.0)
    }

    pub(crate) fn get(self, name: &str) -> String {
        let path = self.directory().join(format!("{name}.json"));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Those that are requests, by name, in order.
    pub(crate) fn names(self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".reply.json") && !name.starts_with("event."))
            .map(|name| name.strip_suffix(".json").unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// Whether each row has its fixture and each fixture its row.
    pub(crate) fn assert_rows<T>(self, rows: &[(&str, T)]) {
        let mut named: Vec<_> = rows.iter().map(|(name, _)| (*name).to_owned()).collect();
        named.sort();
        let names = self.names();
        assert_eq!(
            names, named,
            "a fixture without a row, or a row without one"
        );
    }

    /// Whether no two fixtures have the same id, so that all can be sent to one server.
    pub(crate) fn assert_apart(self, id: impl Fn(&str) -> String) {
        let names = self.names();
        let mut ids: Vec<_> = names.iter().map(|name| id(&self.get(name))).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), names.len());
    }
}

pub(crate) fn minor(minor: i64) -> Minor {
    Minor::new(minor).unwrap()
}

pub(crate) fn amount(count: i64, currency: &str) -> Amount {
    Amount {
        minor: minor(count),
        currency: Currency::parse(currency).unwrap(),
    }
}

pub(crate) fn text(text: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(text)
}

pub(crate) fn acceptor(
    descriptor: &'static str,
    mcc: &str,
    acceptor_id: &'static str,
    acquirer_id: &'static str,
    [city, country]: [&'static str; 2],
) -> CardAcceptor<'static> {
    CardAcceptor {
        acquirer_id: Some(text(acquirer_id)),
        acceptor_id: Some(text(acceptor_id)),
        descriptor: text(descriptor),
        mcc: Some(Mcc::parse(mcc).unwrap()),
        city: text(city),
        country: Some(Country::parse_alpha2(country).unwrap()),
    }
}
