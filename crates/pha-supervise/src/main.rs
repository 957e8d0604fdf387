//! See the library.

use clap::Parser as _;

fn main() {
    std::process::exit(pha_supervise::run(&pha_supervise::Arguments::parse()));
}
