//! See the library.

use clap::Parser as _;

fn main() {
    std::process::exit(pha_receiver::run(&pha_receiver::Arguments::parse()));
}
