//! The fuzz targets on everything that was kept of their runs: one plain test for each target.
//! docs/fuzzing.md says how the corpora grow.

#[cfg(test)]
#[path = "../fuzz/src/targets.rs"]
mod targets;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use crate::targets::{TARGETS, run};

    /// Kept small: a corpus that nobody can look through is no test.
    const FILES_MAX: usize = 150;
    const FILE_SIZE_MAX: usize = 16 << 10;

    fn fuzz() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
    }

    /// Names in a folder, sorted.
    fn names(folder: &Path) -> Vec<String> {
        let entries =
            fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn every_target_has_a_binary_and_a_corpus() {
        let known: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names(&fuzz().join("corpus")), known);
        let binaries = known.iter().map(|name| format!("{name}.rs"));
        assert!(names(&fuzz().join("fuzz_targets")).into_iter().eq(binaries));
        for name in known {
            let path = fuzz().join("fuzz_targets").join(format!("{name}.rs"));
            let text = fs::read_to_string(path).unwrap();
            assert!(text.contains(&format!("run(\"{name}\", bytes)")), "{name}");
        }
    }

    /// Every file of the target's corpus, and every cut of it at a half and a quarter.
    #[track_caller]
    fn replay(target: &str) {
        let folder = fuzz().join("corpus").join(target);
        let files = names(&folder);
        assert!(
            (1..=FILES_MAX).contains(&files.len()),
            "{} files",
            files.len()
        );
        for file in files {
            let bytes = fs::read(folder.join(&file)).unwrap();
            assert!(
                bytes.len() <= FILE_SIZE_MAX,
                "{file} has {} bytes",
                bytes.len()
            );
            println!("fuzz/corpus/{target}/{file}");
            for size in [bytes.len(), bytes.len() / 2, bytes.len() / 4] {
                run(target, &bytes[..size]);
            }
        }
    }

    #[test]
    fn c14_the_corpus_of_checkpoints_holds() {
        replay("checkpoint");
    }

    #[test]
    fn f1_the_corpus_of_documents_holds() {
        replay("document");
    }

    #[test]
    fn h1_the_corpus_of_events_holds() {
        replay("events");
    }

    #[test]
    fn h1_the_corpus_of_images_holds() {
        replay("image");
    }

    #[test]
    fn c5_c6_c7_the_corpus_of_damaged_journals_holds() {
        replay("journal");
    }

    #[test]
    fn h1_h2_the_corpus_of_authorizations_holds() {
        replay("lithic");
    }

    #[test]
    fn h1_the_corpus_of_deliveries_holds() {
        replay("pipeline");
    }

    #[test]
    fn c6_the_corpus_of_forged_segments_holds() {
        replay("segments");
    }

    #[test]
    fn w1_the_corpus_of_signatures_holds() {
        replay("signature");
    }
}
