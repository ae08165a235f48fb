use std::sync::Arc;

use super::*;
use crate::cold::store::sqlite;

const SECRET: &str = "sk_live_very_secret";

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn sealed(keys: &MasterKeys, connection: &str) -> SealedRow {
    let text = format!("{SECRET} of {connection}");
    let at = Timestamp::from_secs(1);
    keys.seal(connection, &secret(&text), at).unwrap()
}

fn opened(keys: &MasterKeys, row: &SealedRow) -> String {
    keys.open(row).unwrap().expose_secret().to_owned()
}

#[test]
fn what_is_sealed_opens_for_its_connection_and_its_key_alone() {
    let keys = MasterKeys::draw().unwrap();
    let row = sealed(&keys, "acme");
    assert_eq!(opened(&keys, &row), format!("{SECRET} of acme"));
    let text = String::from_utf8_lossy(&row.sealed).into_owned();
    assert!(!text.contains(SECRET));
    assert!(!format!("{row:?}").contains("sealed:"));
    // The same again is another text.
    assert_ne!(sealed(&keys, "acme").sealed, row.sealed);

    let other = MasterKeys::draw().unwrap();
    assert!(matches!(other.open(&row), Err(SealError::Unknown(_))));
    let moved = SealedRow {
        connection: "beta".to_owned(),
        ..row.clone()
    };
    assert!(matches!(keys.open(&moved), Err(SealError::Altered(_))));
    // Every bit of a row counts.
    for at in 0..row.sealed.len() + row.wrapped.len() {
        let mut bad = row.clone();
        let sealed_len = bad.sealed.len();
        if at < sealed_len {
            bad.sealed[at] ^= 1;
        } else {
            bad.wrapped[at - sealed_len] ^= 1;
        }
        assert!(
            matches!(keys.open(&bad), Err(SealError::Altered(_))),
            "{at}"
        );
    }
}

#[test]
fn a_list_of_keys_is_read_as_it_was_written_and_nothing_else_is() {
    let keys = MasterKeys::draw().unwrap();
    let row = sealed(&keys, "acme");
    let text = keys.text().expose_secret().to_owned();
    let again = MasterKeys::of_texts([&*format!("\n  {text}\n")]).unwrap();
    assert_eq!(opened(&again, &row), format!("{SECRET} of acme"));
    let line = text.trim_end();
    let (no_start, no_end) = (line.strip_prefix('c').unwrap(), line.get(..20).unwrap());
    for wrong in ["", "csk_", no_start, no_end, "whsec_abc"] {
        let error = MasterKeys::of_texts([wrong]).err().unwrap().to_string();
        assert!(error.starts_with("the master keys"), "{error}");
        assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
    }
}

struct Bench {
    dir: tempfile::TempDir,
    store: Arc<dyn Store>,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.db");
        let store = runtime.block_on(sqlite::open(&path)).unwrap();
        Self {
            dir,
            store,
            runtime,
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("master.key")
    }

    fn keep(&self, row: SealedRow) {
        let kept = self.store.apply(vec![Change::Sealed(row)]);
        self.runtime.block_on(kept).unwrap();
    }

    fn rows(&self) -> Vec<SealedRow> {
        self.runtime.block_on(self.store.sealed()).unwrap()
    }

    fn check(&self) {
        let keys = MasterKeys::read(&self.path()).unwrap();
        for row in self.rows() {
            let expected = format!("{SECRET} of {}", row.connection);
            assert_eq!(opened(&keys, &row), expected);
        }
    }
}

#[test]
fn a_rotation_that_was_stopped_anywhere_loses_nothing_and_can_be_run_again() {
    // How many rows were wrapped anew before it was stopped; and whether the file was ever written.
    for done in 0..=3 {
        let bench = Bench::new();
        let path = bench.path();
        let old = MasterKeys::draw().unwrap();
        old.write(&path).unwrap();
        for connection in ["acme", "beta", "gamma"] {
            bench.keep(sealed(&old, connection));
        }
        let both = MasterKeys::read(&path).unwrap().with_new().unwrap();
        both.write(&path).unwrap();
        for row in bench.rows().into_iter().take(done) {
            bench.keep(both.rewrap(&row).unwrap().unwrap());
        }
        bench.check();
        // What a crash leaves of a write.
        fs::write(path.with_extension("new"), "csk_half").unwrap();

        let told = Told {
            store: &*bench.store,
            action: "countersign keys rotate",
            at: Timestamp::from_secs(2),
        };
        let count = bench.runtime.block_on(told.rotate(&path)).unwrap();
        assert_eq!(count, 3);
        bench.check();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1, "the old keys are gone");
        assert!(matches!(
            old.open(&bench.rows()[0]),
            Err(SealError::Unknown(_))
        ));
        assert!(!is_open_to_others(&path));
    }
}
