//! Every command, once: the same enum reads the command line and the REPL's lines.
//!
//! The old toolkit's names and short forms are aliases here and nowhere else. The first line of each command's
//! comment is its line in `help`, the rest is what `help <command>` adds.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use pha_sys::exit;

use crate::failure::Failure;

/// Options that stand before or after any command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Global {
    /// The installation to work with; default: PHA_HOME, else the folder above this program's
    #[arg(long, global = true, display_order = 100, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// The name of this node; default: PHA_NODE, else the host name
    #[arg(long, global = true, display_order = 100, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Answer in JSON: stat, status, explain, what-if, history, watch, res, config, check, maintenance, replay, offline, switchover
    #[arg(long, global = true, display_order = 100)]
    pub(crate) json: bool,
}

/// Two machines, a service and an address: control and display of pha on this node.
///
/// Without a command: a prompt on a terminal, else commands are read from standard input, one a line.
#[derive(Debug, Parser)]
#[command(name = "pha-cli", version, disable_help_subcommand = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// One line of the REPL or of a pipe.
#[derive(Debug, Parser)]
#[command(name = "pha-cli", no_binary_name = true, disable_help_subcommand = true)]
pub(crate) struct Line {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Show this overview, or what one command does
    #[command(visible_aliases = ["?", "h"])]
    Help {
        /// The command to explain
        command: Option<String>,
    },
    /// Start the three daemons
    ///
    /// Prints nothing on success. Resources are then started here if no other node has them.
    #[command(verbatim_doc_comment)]
    Start,
    /// Stop the three daemons; resources stay as they are
    ///
    /// If this node is active its resources keep running, unwatched, and the peer does not start a second copy.
    /// `res stop` stops them afterwards and tells the peer so; `stop --release` hands them over first.
    #[command(verbatim_doc_comment)]
    Stop {
        /// Stop the resources first, so that a peer takes over
        #[arg(long)]
        release: bool,
    },
    /// Stop and start the three daemons; resources stay as they are
    Restart,
    /// Start pha-sender alone
    #[command(name = "se_start", aliases = ["se_sta", "se_star"])]
    SenderStart,
    /// Stop pha-sender alone
    #[command(name = "se_stop", aliases = ["se_sto"])]
    SenderStop,
    /// Start pha-receiver alone
    #[command(name = "re_start", aliases = ["re_sta", "re_star"])]
    ReceiverStart,
    /// Stop pha-receiver alone
    #[command(name = "re_stop", aliases = ["re_sto"])]
    ReceiverStop,
    /// Start pha-supervise alone
    #[command(name = "su_start", aliases = ["su_sta", "su_star"])]
    SuperviseStart,
    /// Stop pha-supervise alone
    #[command(name = "su_stop", aliases = ["su_sto"])]
    SuperviseStop,
    /// List, stop or start resources on this node
    ///
    /// With the daemons running, `res stop` holds a resource down until `res start`. With the daemons stopped it runs the
    /// agents itself and then tells the peer that it may take over.
    #[command(verbatim_doc_comment)]
    Res {
        #[command(subcommand)]
        action: Option<ResAction>,
    },
    /// Show the state as the old toolkit did, in a form that Perl can evaluate
    Stat,
    /// Show the state as a table; the same as `stat` where the output is no terminal
    Status,
    /// Say in one sentence why this node is what it is, and what would change it
    #[command(visible_alias = "why")]
    Explain,
    /// Say what would happen: what-if lb1 dies
    ///
    /// Runs the same decisions on the state as it is now, in a simulator, and prints what each node would do and when, how
    /// long the service would be away, and whether anything ends without an owner or with two. Touches nothing.
    #[command(name = "what-if", verbatim_doc_comment, after_long_help = crate::what_if::HELP)]
    WhatIf {
        /// What is to happen, with or without quotes
        #[arg(value_name = "WORDS")]
        question: Vec<String>,
    },
    /// Show the latest changes of role
    History,
    /// Show the state and keep it current until Ctrl-C
    Watch,
    /// Show the configuration in effect, defaults included
    #[command(visible_alias = "conf")]
    Config,
    /// `show conf` is `config`
    Show {
        /// What to show
        #[arg(value_enum)]
        what: Shown,
    },
    /// Check the configuration and the names in it; exit code 78 if pha would not start with it
    Check,
    /// Have the daemons read the configuration again
    Reload,
    /// Hand over to a peer and rest; `online` ends the rest earlier
    ///
    /// A peer is asked to get ready; then resources stop here, it takes over, and this node's heartbeat rests for
    /// OFFLINE_TIME. Refused where no peer could take over, or where it does not get ready: then nothing has moved.
    #[command(verbatim_doc_comment)]
    #[command(visible_aliases = ["disable", "dis", "off"])]
    Offline {
        /// Rest this long instead of OFFLINE_TIME: 90, 90s, 5m, 2h
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        period: Option<Duration>,
        /// Release at once, asking nobody, even if nobody can take over: the service is then down
        #[arg(long)]
        force: bool,
    },
    /// Hand over to a peer and stand by: switchover, switchover to lb2
    ///
    /// As `offline`, but this node stays available: it takes over again if the other fails, and not before. Prints the
    /// phases. Type it on the active node.
    #[command(verbatim_doc_comment)]
    Switchover {
        /// The peer that is to take over, with or without `to`; default: the first in NODES that can
        #[arg(value_name = "to NODE", num_args = 0..=2)]
        to: Vec<String>,
    },
    /// End the rest that `offline` began
    #[command(visible_aliases = ["enable", "ena", "on"])]
    Online,
    /// With `on`, watch and announce but start and stop nothing
    Maintenance {
        /// on or off; without it, shows which
        #[arg(value_enum)]
        switch: Option<Switch>,
    },
    /// Write a new key for the heartbeat into etc/authkey
    Keygen {
        /// Put a new key before the one that is there: both are good until `--retire`
        #[arg(long, conflicts_with_all = ["retire", "force"])]
        rotate: bool,
        /// Remove the older one of two keys, once every peer signs with the newer one
        #[arg(long)]
        retire: bool,
        /// Replace keys that are there; with --retire, also if some peer still signs with the older one
        #[arg(long)]
        force: bool,
    },
    /// Run the recorded inputs of daemons through the core again, and print what it decides and why
    ///
    /// Takes the traces of any node, or the archive of `report`; without a file, those of this node. Needs no
    /// configuration. Traces of several programs and nodes are told as one story.
    #[command(verbatim_doc_comment)]
    Replay {
        /// Traces (var/log/*.trace, *.trace.1), or an archive of `report`
        files: Vec<PathBuf>,
        /// Every input and every command, not only what changes something
        #[arg(long)]
        all: bool,
    },
    /// Pack configuration, state, traces and logs for a bug report, without secrets
    ///
    /// Never packed: etc/authkey. Masked: values of words like password, secret, token or key. What agents print stands
    /// in the logs as it is: look into the archive before you send it.
    #[command(verbatim_doc_comment)]
    Report {
        /// The archive to write; default: pha-report-NODE-TIME.tar here
        file: Option<PathBuf>,
    },
    /// Leave
    #[command(visible_aliases = ["exit", "q"])]
    Quit,
}

/// What `res` is to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum ResAction {
    /// Name and state of each resource
    List {
        /// Only this one
        name: Option<String>,
    },
    /// Let a resource be started again; all without a name
    Start {
        /// Only this one
        name: Option<String>,
    },
    /// Stop a resource and keep it down; all without a name
    Stop {
        /// Only this one
        name: Option<String>,
    },
}

/// What `show` can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shown {
    /// The configuration in effect.
    #[value(alias = "config")]
    Conf,
    /// The state.
    #[value(alias = "stat")]
    Status,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// Watch only.
    On,
    /// Act again.
    Off,
}

/// The command in one line's words.
///
/// # Errors
/// [`exit::USAGE`] with a suggestion where one is near.
pub(crate) fn parse_words(words: &[String]) -> Result<Line, Failure> {
    Line::try_parse_from(words).map_err(|error| usage_failure(&error))
}

/// One sentence for what clap found wrong.
pub(crate) fn usage_failure(error: &clap::Error) -> Failure {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Failure::new(exit::OK, error.render().to_string().trim_end());
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return Failure::new(exit::USAGE, first_paragraphs(&error.render().to_string()));
    };
    let near = match error.get(ContextKind::SuggestedSubcommand) {
        // The best comes last; a short word is similar to anything.
        Some(ContextValue::Strings(near)) => near.last().filter(|near| 2 * near.len() >= word.len()),
        _ => None,
    };
    let advice = near.map_or_else(|| "'help' lists all".to_owned(), |near| format!("did you mean '{near}'?"));
    Failure::new(exit::USAGE, format!("unknown command '{word}': {advice}"))
}

/// clap's own message without its prefix and without the pointer to a `--help` that lines of the REPL do not have.
fn first_paragraphs(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let lines =
        message.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    lines.collect::<Vec<_>>().join("; ")
}

/// Commands as `help` lists them, or one command in full.
///
/// # Errors
/// [`exit::USAGE`] if there is no such command.
pub(crate) fn help(topic: Option<&str>) -> Result<String, Failure> {
    let Some(topic) = topic else { return Ok(overview()) };
    let mut line = Line::command();
    line.build();
    let known =
        line.get_subcommands().find(|known| known.get_name() == topic || known.get_all_aliases().any(|a| a == topic));
    match known {
        Some(command) => Ok(command.clone().render_long_help().to_string()),
        None => parse_words(&[topic.to_owned()]).map(|_| overview()),
    }
}

fn overview() -> String {
    CommandLine::command().render_help().to_string()
}

/// Every word that may begin a line, for completion: names and shown aliases.
pub(crate) fn first_words() -> Vec<String> {
    let line = Line::command();
    let names = line.get_subcommands().flat_map(|c| std::iter::once(c.get_name()).chain(c.get_visible_aliases()));
    names.map(str::to_owned).collect()
}

/// Reads `90`, `90s`, `1500ms`, `5m`, `2h`; bounds: 1 ms to 366 days.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a whole number and ms, s, m or h, as in 90s".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write a whole number and ms, s, m or h, as in 90s".to_owned())?;
    let length = Duration::from_millis(number.saturating_mul(milliseconds));
    let bounds = Duration::from_millis(1)..=Duration::from_secs(366 * 24 * 3600);
    bounds.contains(&length).then_some(length).ok_or_else(|| "must lie between 1 ms and 366 days".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn parse(line: &str) -> Result<Command, Failure> {
        parse_words(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).map(|line| line.command)
    }

    const OFFLINE: Command = Command::Offline { period: None, force: false };

    /// P57–P60, P69.
    #[test]
    fn every_old_short_form_means_its_command() {
        let forms: [(&[&str], Command); 12] = [
            (&["help", "?", "h"], Command::Help { command: None }),
            (&["se_start", "se_sta", "se_star"], Command::SenderStart),
            (&["se_stop", "se_sto"], Command::SenderStop),
            (&["re_start", "re_sta", "re_star"], Command::ReceiverStart),
            (&["re_stop", "re_sto"], Command::ReceiverStop),
            (&["su_start", "su_sta", "su_star"], Command::SuperviseStart),
            (&["su_stop", "su_sto"], Command::SuperviseStop),
            (&["disable", "dis", "off", "offline"], OFFLINE),
            (&["enable", "ena", "on", "online"], Command::Online),
            (&["quit", "exit", "q"], Command::Quit),
            (&["show conf", "show config"], Command::Show { what: Shown::Conf }),
            (&["res"], Command::Res { action: None }),
        ];
        for (words, command) in forms {
            for word in words {
                assert_eq!(parse(word).unwrap(), command, "{word}");
            }
        }
    }

    #[test]
    fn an_ambiguous_prefix_is_no_command() {
        for word in ["se_st", "se_", "re_", "r", "s"] {
            assert_eq!(parse(word).unwrap_err().code(), 64, "{word}");
        }
    }

    #[test]
    fn res_takes_an_action_and_a_name() {
        let stop =
            |name: Option<&str>| Command::Res { action: Some(ResAction::Stop { name: name.map(str::to_owned) }) };
        assert_eq!(parse("res stop").unwrap(), stop(None));
        assert_eq!(parse("res stop service.web").unwrap(), stop(Some("service.web")));
        assert_eq!(parse("res explode").unwrap_err().code(), 64);
    }

    #[test]
    fn a_typo_is_answered_with_the_nearest_command() {
        assert_eq!(parse("stauts").unwrap_err().to_string(), "unknown command 'stauts': did you mean 'status'?");
        assert_eq!(parse("res stpo").unwrap_err().to_string(), "unknown command 'stpo': did you mean 'stop'?");
        for far in ["xyzzy", "frobnicate"] {
            assert_eq!(parse(far).unwrap_err().to_string(), format!("unknown command '{far}': 'help' lists all"));
        }
    }

    #[test]
    fn periods_have_units_and_bounds() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["", "0", "-1", "s", "5 days", "9999999h", "1.5"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn help_lists_every_command_and_explains_each() {
        let overview = help(None).unwrap();
        for command in Line::command().get_subcommands() {
            assert!(overview.contains(command.get_name()), "{}", command.get_name());
            assert!(help(Some(command.get_name())).unwrap().contains("Usage"), "{}", command.get_name());
        }
        assert_eq!(help(Some("stpo")).unwrap_err().code(), 64);
    }

    #[test]
    fn the_command_definitions_are_consistent() {
        CommandLine::command().debug_assert();
        Line::command().debug_assert();
    }
}
