//! `config` and `show conf`: the configuration in effect, in the file's own words, defaults included.

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::screen::print;
use crate::session::Session;

/// Prints it as the lines of a configuration that means the same, or as one object.
pub(crate) fn run(session: &Session) -> Result<(), Failure> {
    let config = session.config()?;
    let pairs = config.effective();
    if session.json {
        let object: Map<_, _> = pairs.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
        return print(&format!("{:#}", Value::from(object)));
    }
    let lines: String = pairs.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    print(&format!("# {}, with defaults\n{lines}", config.file.display()))
}
