//! What the Tab key offers: commands, their words, resource names and node names.

use crate::commands::first_words;

/// Names that depend on the installation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Resources of the configuration.
    pub(crate) resources: Vec<String>,
    /// Nodes of the configuration.
    pub(crate) nodes: Vec<String>,
}

/// Where in `line` (up to the cursor) the unfinished word begins, and what it may become.
pub(crate) fn candidates(line: &str, names: &Names) -> (usize, Vec<String>) {
    let begin = line.rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
    let before: Vec<_> = line[..begin].split_whitespace().collect();
    let word = &line[begin..];
    let mut found: Vec<_> =
        possible(&before, names).into_iter().filter(|candidate| candidate.starts_with(word)).collect();
    found.sort();
    (begin, found)
}

/// Every word that may follow `before`.
fn possible(before: &[&str], names: &Names) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match before {
        [] | ["help" | "?" | "h"] => first_words(),
        [.., "--node"] => names.nodes.clone(),
        ["res"] => words(&["list", "start", "stop"]),
        ["res", "list" | "start" | "stop"] => names.resources.clone(),
        ["what-if", question @ ..] => question_words(question, names),
        ["show"] => words(&["conf", "status"]),
        ["maintenance"] => words(&["on", "off"]),
        ["stop"] => words(&["--release"]),
        ["replay", ..] => words(&["--all", "--json"]),
        ["keygen", ..] => words(&["--force", "--rotate", "--retire"]),
        ["switchover"] => words(&["to"]),
        ["switchover", "to"] => names.nodes.clone(),
        ["offline" | "disable" | "dis" | "off", ..] => words(&["--for", "--force"]),
        ["stat" | "status" | "explain" | "history" | "watch" | "check", ..] => words(&["--json", "--node"]),
        _ => Vec::new(),
    }
}

/// How a question of `what-if` may go on.
fn question_words(before: &[&str], names: &Names) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let is_node = |word: &&str| names.nodes.iter().any(|node| node == word);
    let is_resource = |word: &&str| names.resources.iter().any(|resource| resource == word);
    match before {
        [] | [.., "and" | "then"] => {
            let things = [
                "gateway",
                "link",
                "network",
                "supervise",
                "sender",
                "receiver",
                "daemons",
                "offline",
                "switchover",
                "stop",
            ];
            names.nodes.iter().chain(&names.resources).cloned().chain(words(&things)).collect()
        }
        [.., "switchover"] => words(&["to"]),
        [.., "on" | "from" | "to"] => names.nodes.clone(),
        [.., "gateway"] => words(&["lost", "back"]),
        [.., "link" | "network"] => words(&["cut", "back"]),
        [.., "lost" | "dies" | "fails" | "broken" | "offline" | "stop"] => words(&["on", "and", "then"]),
        [.., "supervise" | "sender" | "receiver" | "daemons"] => words(&["dies", "starts"]),
        [.., node] if before.len() < 2 && is_node(node) => words(&["dies", "comes", "is"]),
        [.., resource] if is_resource(resource) => words(&["fails", "is"]),
        [.., "is"] => words(&["broken", "suspended"]),
        [.., "comes"] => words(&["back"]),
        _ => words(&["and", "then", "after"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(line: &str) -> Vec<String> {
        let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let names = Names { resources: strings(&["ipaddr", "service.web"]), nodes: strings(&["lb1", "lb2"]) };
        candidates(line, &names).1
    }

    #[test]
    fn commands_complete_at_the_beginning() {
        assert_eq!(offered("hi"), ["history"]);
        assert_eq!(offered("sta"), ["start", "stat", "status"]);
        assert!(offered("").len() > 20);
    }

    #[test]
    fn resources_and_nodes_complete_where_they_may_stand() {
        assert_eq!(offered("res st"), ["start", "stop"]);
        assert_eq!(offered("res stop s"), ["service.web"]);
        assert_eq!(offered("stat --node l"), ["lb1", "lb2"]);
        assert!(offered("quit x").is_empty());
        assert_eq!(offered("what-if gateway lost on l"), ["lb1", "lb2"]);
        assert_eq!(offered("what-if service.web f"), ["fails"]);
    }

    #[test]
    fn the_unfinished_word_is_replaced_from_its_beginning() {
        assert_eq!(candidates("res sto", &Names::default()).0, 4);
    }
}
