//! See the library.

use clap::Parser as _;

fn main() {
    std::process::exit(pha_sender::run(&pha_sender::Arguments::parse()));
}
