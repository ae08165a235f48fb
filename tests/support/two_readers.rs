//! An issuer's decoder against a second, slow one that walks a tree (H2: both agree on every input).

use countersign::domain::authorization::AuthorizationRequest;
use countersign::issuer::NotUnderstood;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;

use crate::fixture_files::Fixtures;
use crate::mutation::{Mutation, apply, spoil, values};
use crate::oracle::{Plain, plain};
use crate::tree::Tree;

/// The two, and what they are asked.
pub(crate) struct Readers {
    pub(crate) fixtures: Fixtures,
    /// The engine's.
    pub(crate) decode: fn(&[u8]) -> Result<AuthorizationRequest<'_>, NotUnderstood>,
    /// The oracle's. Where its parser gives up (depth, strange numbers in fields that nobody reads)
    /// there is nothing to compare.
    pub(crate) reading: fn(&str) -> Option<Option<Plain>>,
    /// That mean something somewhere.
    pub(crate) texts: &'static [&'static str],
}

impl Readers {
    /// Whether both understand it.
    pub(crate) fn compare(&self, body: &str) -> Result<bool, TestCaseError> {
        let Some(expected) = (self.reading)(body) else {
            return Ok(false);
        };
        let decoded = (self.decode)(body.as_bytes());
        let found = decoded.as_ref().ok().map(plain);
        if found == expected {
            Ok(found.is_some())
        } else {
            Err(TestCaseError::fail(format!(
                "{body}\ndecoded {decoded:?}\noracle {expected:?}"
            )))
        }
    }

    pub(crate) fn compare_changed_tree(
        &self,
        name: &str,
        changes: Vec<(Index, Index, Mutation)>,
    ) -> Result<(), TestCaseError> {
        let mut tree = Tree::parse(&self.fixtures.get(name)).unwrap();
        for (at, member_at, mutation) in changes {
            apply(&mut tree, at, member_at, mutation);
        }
        self.compare(&tree.to_string()).map(drop)
    }

    pub(crate) fn compare_changed_bytes(
        &self,
        name: &str,
        changes: &[(Index, u8, u8)],
    ) -> Result<(), TestCaseError> {
        let bytes = spoil(self.fixtures.get(name), changes);
        match str::from_utf8(&bytes) {
            Ok(text) => drop(self.compare(text)?),
            Err(_) => assert!((self.decode)(&bytes).is_err()),
        }
        Ok(())
    }

    pub(crate) fn assert_fixtures_are_understood(&self) {
        for name in self.fixtures.names() {
            assert!(self.compare(&self.fixtures.get(&name)).unwrap(), "{name}");
        }
    }

    /// Every value of these fixtures, replaced by every kind of value: without chance. How many were
    /// understood, and how many refused.
    pub(crate) fn replace_each_value(&self, names: &[&str]) -> (usize, usize) {
        let values = values(self.texts);
        let (mut understood, mut refused) = (0, 0);
        for name in names {
            let whole = Tree::parse(&self.fixtures.get(name)).unwrap();
            for index in 0..whole.size() {
                for value in &values {
                    let mut tree = whole.clone();
                    *tree.at(index).unwrap() = value.clone();
                    if self.compare(&tree.to_string()).unwrap() {
                        understood += 1;
                    } else {
                        refused += 1;
                    }
                }
            }
        }
        (understood, refused)
    }
}

/// The tests of one issuer's readers; `$names` mean something somewhere.
macro_rules! differential_tests {
    ($readers:expr, $names:expr) => {
        use proptest::prelude::{ProptestConfig, any, proptest};
        use proptest::sample::{Index, select};

        proptest! {
            #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn h2_changed_trees_are_read_as_the_oracle_reads_them(
                name in select($readers.fixtures.names()),
                changes in proptest::collection::vec(
                    (any::<Index>(), any::<Index>(), crate::mutation::mutation(&$names, $readers.texts)),
                    1..4,
                ),
            ) {
                $readers.compare_changed_tree(&name, changes)?;
            }

            #[test]
            fn h1_changed_bytes_are_read_as_the_oracle_reads_them(
                name in select($readers.fixtures.names()),
                changes in proptest::collection::vec(
                    (any::<Index>(), select(crate::mutation::BYTES), 0..3u8),
                    1..4,
                ),
            ) {
                $readers.compare_changed_bytes(&name, &changes)?;
            }

            #[test]
            fn h1_any_bytes_are_no_request(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
                assert!(($readers.decode)(&bytes).is_err());
            }
        }

        #[test]
        fn the_oracle_understands_every_fixture() {
            $readers.assert_fixtures_are_understood();
        }
    };
}

pub(crate) use differential_tests;
