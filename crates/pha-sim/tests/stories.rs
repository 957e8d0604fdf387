//! Stories in which a promise was once broken, each as short as it could be made; `docs/track-record.md` says what each found.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use pha_sim::{Schedule, play};

#[test]
fn what_once_broke_a_promise_breaks_none_any_more() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let record = fs::read_to_string(here.join("../../docs/track-record.md")).unwrap();
    let mut played = 0;
    for entry in fs::read_dir(here.join("tests/stories")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let schedule: Schedule = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let (result, cluster) = play(&schedule);
        assert!(result.is_ok(), "{name}: {result:?}\n{}", cluster.story());
        assert!(record.contains(name), "docs/track-record.md does not name {name}");
        played += 1;
    }
    assert!(played >= 8, "{played} stories");
}
