//! Any target of pha-fuzz, named by `PHA_FUZZ`: datagram, database, record, trace, config, key.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pha_fuzz::{Target, by_name};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("PHA_FUZZ").unwrap_or_else(|_| "datagram".to_owned());
    by_name(&name).unwrap_or_else(|| panic!("there is no target {name}"))
});

fuzz_target!(|bytes: &[u8]| {
    (TARGET.feed)(bytes);
});
