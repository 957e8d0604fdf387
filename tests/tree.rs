//! What the documents say about the tree, compared with the tree: behaviours and their tests, rules and their reasons,
//! crates and their arrows, dependencies and the one file that names each, commands and decision records.
//!
//! A document that is not compared with anything becomes wrong. Where a test here fails, one of the two has to change,
//! and the message says which line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pha_core::Reason;

/// Behaviours are numbered P1 to P75, without these.
const UNUSED_NUMBERS: [u32; 2] = [72, 73];

/// The packages this project was asked to stand on.
const NAMED_PACKAGES: [&str; 10] =
    ["serde", "bincode", "clap", "ctrlc", "socket2", "pnet", "fs2", "log", "env_logger", "daemonize"];

/// Packages that only one file may name, so that each can be replaced by editing one file.
const ONE_FILE: [&str; 13] = [
    "bincode",
    "ctrlc",
    "socket2",
    "pnet",
    "fs2",
    "env_logger",
    "daemonize",
    "rustyline",
    "hmac",
    "sha2",
    "netlink-packet-core",
    "netlink-packet-route",
    "netlink-sys",
];

/// Hosts that a text of the tree may name: readers are sent there.
const KNOWN_HOSTS: [&str; 4] = ["rustup.rs", "www.apache.org", "keepachangelog.com", "rustsec.org"];

/// Prefixes of places that exist only on the machine of whoever wrote the line.
const PRIVATE_PLACES: [&str; 4] = ["/home/", "/root/", "/Users/", ".cargo/registry"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    let path = root().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below the tree's root that could be tracked, by its name from there.
fn tree() -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect(&root(), "", &mut files);
    files.sort();
    files
}

/// Adds the text files of `dir`; `prefix` is its name from the root.
fn collect(dir: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).expect("a directory of the tree can be read").flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("the kind of a file is known");
        if kind.is_dir() && !matches!(name.as_str(), "target" | ".git" | "var") {
            collect(&entry.path(), &format!("{name}/"), files);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push((name, text));
        }
    }
}

fn rust_files() -> Vec<(String, String)> {
    tree().into_iter().filter(|(name, _)| name.ends_with(".rs")).collect()
}

/// The cells of the lines of `text` that are rows of a table, but for headings.
fn rows(text: &str) -> Vec<Vec<String>> {
    let is_row = |line: &&str| line.starts_with('|') && !line.starts_with("| ---") && !line.starts_with("|---");
    let cells = |line: &str| line.trim().trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter(is_row).map(cells).collect()
}

/// The words between backquotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `P8, P14` and `P29–P35` as numbers.
fn numbers(cell: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for part in cell.split(',').map(str::trim) {
        let ends: Vec<u32> = part.split('–').filter_map(|end| end.trim().strip_prefix('P')?.parse().ok()).collect();
        match ends[..] {
            [one] => found.push(one),
            [first, last] => found.extend(first..=last),
            _ => {}
        }
    }
    found
}

/// Code without comment lines, so that a word in an explanation is no use of a package.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether `code` uses the path `package::…`, as a whole word.
fn names_package(code: &str, package: &str) -> bool {
    code.match_indices(&format!("{package}::")).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':'))
    })
}

/// The names in one section of a Cargo.toml, such as `dependencies`.
fn section(manifest: &str, name: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| line.trim() != format!("[{name}]")).skip(1);
    let entries = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.trim_start().starts_with('#'));
    entries
        .filter_map(|line| line.split(['=', '.']).next())
        .map(|key| key.trim().to_owned())
        .filter(|key| !key.is_empty())
        .collect()
}

/// The crates of the workspace with their Cargo.toml.
fn manifests() -> BTreeMap<String, String> {
    let named = |(name, text): (String, String)| {
        let krate = name.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?.to_owned();
        // What is below a crate is no part of the workspace.
        (!krate.contains('/')).then_some((krate, text))
    };
    tree().into_iter().filter_map(named).collect()
}

/// Packages from outside that some crate or the tests use.
fn outside_packages() -> Vec<String> {
    let all = section(&read("Cargo.toml"), "workspace.dependencies");
    all.into_iter().filter(|name| !name.starts_with("pha-")).collect()
}

/// Whether a test that a document names exists; an error says what is missing.
fn find_test(test: &str, sources: &[(String, String)]) -> Result<(), String> {
    if let Some((file, sentence)) = test.split_once(": ") {
        let text = fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))?;
        let wanted = if file.ends_with(".rs") { format!("fn {sentence}(") } else { sentence.to_owned() };
        return text.contains(&wanted).then_some(()).ok_or(format!("'{sentence}' is not in {file}"));
    }
    let (path, function) = test.rsplit_once("::").ok_or(format!("'{test}' is neither FILE: NAME nor CRATE::NAME"))?;
    let krate = path.split("::").next().unwrap_or_default().replace('_', "-");
    let wanted = format!("fn {function}(");
    let is_there = |(name, text): &(String, String)| {
        name.starts_with(&format!("crates/{krate}/"))
            && path.split("::").skip(1).all(|module| name.contains(module))
            && text.contains(&wanted)
    };
    sources.iter().any(is_there).then_some(()).ok_or(format!("there is no test {test}"))
}

#[test]
fn every_behaviour_names_tests_that_exist() {
    let (document, sources) = (read("docs/behaviours.md"), rust_files());
    let mut missing: BTreeSet<u32> = (1..=75).filter(|number| !UNUSED_NUMBERS.contains(number)).collect();
    let mut faults = Vec::new();
    for row in rows(&document) {
        let found = numbers(&row[0]);
        missing.retain(|number| !found.contains(number));
        let tests = row.last().map(|cell| quoted(cell)).unwrap_or_default();
        if !found.is_empty() && tests.is_empty() {
            faults.push(format!("{}: no test proves it", row[0]));
        }
        if !found.is_empty() {
            faults.extend(
                tests.iter().filter_map(|test| Some(format!("{}: {}", row[0], find_test(test, &sources).err()?))),
            );
        }
    }
    assert!(faults.is_empty(), "docs/behaviours.md:\n{}", faults.join("\n"));
    assert!(missing.is_empty(), "docs/behaviours.md lacks P{missing:?}");
}

#[test]
fn every_defence_of_the_threat_model_names_tests_that_exist() {
    let (document, sources) = (read("docs/threat-model.md"), rust_files());
    let mut faults = Vec::new();
    for row in rows(&document).iter().filter(|row| row.last().is_some_and(|cell| cell != "proved by")) {
        let tests = row.last().map(|cell| quoted(cell)).unwrap_or_default();
        if tests.is_empty() {
            faults.push(format!("{}: no test proves it", row[0]));
        }
        faults
            .extend(tests.iter().filter_map(|test| Some(format!("{}: {}", row[0], find_test(test, &sources).err()?))));
    }
    assert!(faults.is_empty(), "docs/threat-model.md:\n{}", faults.join("\n"));
}

#[test]
fn the_table_of_rules_names_every_reason_in_its_row() {
    let document = read("docs/state-machine.md");
    let rules: BTreeMap<u8, String> =
        rows(&document).into_iter().filter_map(|row| Some((row[0].parse().ok()?, row.join(" | ")))).collect();
    assert_eq!(rules.keys().copied().collect::<Vec<_>>(), (1..=14).collect::<Vec<_>>(), "one row for each rule");
    for reason in Reason::ALL {
        let shown = format!("`{reason}`");
        match reason.rule() {
            Some(rule) => assert!(rules[&rule].contains(&shown), "rule {rule} does not name {shown}"),
            None => {
                assert!(document.contains(&shown), "{shown} is explained nowhere");
                let wrong = rules.iter().find(|(_, row)| row.contains(&shown));
                assert!(wrong.is_none(), "{shown} belongs to no rule, but stands in {wrong:?}");
            }
        }
        let elsewhere = rules.iter().filter(|(rule, _)| Some(**rule) != reason.rule());
        let wrong: Vec<_> = elsewhere.filter(|(_, row)| row.contains(&shown)).map(|(rule, _)| rule).collect();
        assert!(wrong.is_empty(), "{shown} stands in the row of rules {wrong:?} too");
    }
}

#[test]
fn crates_know_each_other_only_as_documented() {
    let documented: BTreeMap<String, BTreeSet<String>> = rows(&read("docs/ARCHITECTURE.md"))
        .into_iter()
        .filter_map(|row| {
            let name = quoted(&row[0]).into_iter().next().filter(|name| name.starts_with("pha-"))?;
            Some((name, quoted(row.last()?).into_iter().collect()))
        })
        .collect();
    let manifests = manifests();
    assert_eq!(documented.keys().collect::<Vec<_>>(), manifests.keys().collect::<Vec<_>>(), "the crates");
    for (krate, manifest) in &manifests {
        let mut all = section(manifest, "dependencies");
        all.extend(section(manifest, "dev-dependencies"));
        let ours: BTreeSet<String> = all.into_iter().filter(|name| name.starts_with("pha-")).collect();
        assert_eq!(&ours, &documented[krate], "arrows of {krate}: Cargo.toml on the left, ARCHITECTURE on the right");
    }
}

#[test]
fn a_package_that_may_have_to_be_replaced_is_named_in_one_file() {
    let sources: Vec<_> = rust_files().into_iter().filter(|(name, _)| name.starts_with("crates/")).collect();
    let manifests = manifests();
    for package in ONE_FILE {
        let users: Vec<_> =
            manifests.iter().filter(|(_, text)| section(text, "dependencies").contains(&package.to_owned())).collect();
        assert_eq!(users.len(), 1, "{package} is a dependency of {} crates", users.len());
        for (krate, _) in users {
            let inside = format!("crates/{krate}/");
            let naming: Vec<_> = sources
                .iter()
                .filter(|(name, text)| {
                    name.starts_with(&inside) && names_package(&code(text), &package.replace('-', "_"))
                })
                .map(|(name, _)| name)
                .collect();
            assert_eq!(naming.len(), 1, "{package} is named in {naming:?}");
        }
    }
}

#[test]
fn only_pha_sys_is_unsafe_and_names_nix() {
    for (name, text) in rust_files() {
        let code = code(&text);
        if name.starts_with("crates/pha-sys/") || name == "tests/tree.rs" {
            continue;
        }
        assert!(!names_package(&code, "nix"), "{name} names nix");
        let uses_unsafe =
            ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|word| code.contains(word));
        assert!(!uses_unsafe, "{name} holds unsafe code");
    }
}

#[test]
fn every_dependency_has_its_row_and_is_used() {
    let named: BTreeSet<String> = rows(&read("docs/dependencies.md")).iter().flat_map(|row| quoted(&row[0])).collect();
    let packages: BTreeSet<String> = outside_packages().into_iter().collect();
    assert_eq!(named, packages, "docs/dependencies.md on the left, Cargo.toml on the right");
    let manifests = manifests();
    let used = |package: &str| {
        let in_section = |text: &str, name: &str| section(text, name).iter().any(|entry| entry == package);
        manifests.values().any(|text| in_section(text, "dependencies") || in_section(text, "dev-dependencies"))
    };
    for package in &packages {
        assert!(used(package), "{package} is in the workspace's Cargo.toml, and no crate uses it");
    }
    let sources: String = rust_files().iter().map(|(_, text)| code(text)).collect();
    for package in NAMED_PACKAGES {
        assert!(packages.contains(package) && names_package(&sources, package), "{package} is not used");
    }
}

#[test]
fn the_versions_in_the_document_are_those_of_the_lock_file() {
    let lock = read("Cargo.lock");
    for row in rows(&read("docs/dependencies.md")) {
        let Some(package) = quoted(&row[0]).into_iter().next() else { continue };
        let locked = format!("name = \"{package}\"\nversion = \"{}", row[1].trim_matches('='));
        assert!(lock.contains(&locked), "{package}: {} is not the version in Cargo.lock", row[1]);
    }
}

#[test]
fn nothing_in_the_tree_names_a_place_of_one_machine() {
    // The folder that this checkout lies in, wherever that is.
    let own = root().canonicalize().ok().and_then(|root| Some(format!("{}/", root.parent()?.display())));
    let shared =
        ["/", "/etc/", "/opt/", "/run/", "/srv/", "/tmp/", "/usr/", "/usr/local/", "/usr/src/", "/var/", "/var/lib/"];
    let own = own.filter(|place| !shared.contains(&place.as_str()));
    let own = own.unwrap_or_else(|| "/root/".to_owned());
    for (name, text) in tree() {
        if name == "tests/tree.rs" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let private = PRIVATE_PLACES.iter().copied().chain([own.as_str()]).find(|place| names_place(line, place));
            assert!(private.is_none(), "{name}:{}: {private:?}", number + 1);
            if name != "Cargo.lock" {
                let stranger = hosts(line).into_iter().find(|host| !KNOWN_HOSTS.contains(&host.as_str()));
                assert!(stranger.is_none(), "{name}:{}: sends the reader to {stranger:?}", number + 1);
            }
        }
    }
    let sources = read("Cargo.lock");
    let foreign =
        sources.lines().find(|line| line.starts_with("source = ") && !line.contains("/rust-lang/crates.io-index"));
    assert_eq!(foreign, None, "Cargo.lock takes something from elsewhere");
}

/// Whether `line` holds the path `place` from its beginning, and not as the end of a longer one.
fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| line[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric()))
}

/// The hosts in the addresses of web pages in `line`.
fn hosts(line: &str) -> Vec<String> {
    let after = line.split("https://").skip(1).chain(line.split("http://").skip(1));
    let host = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '-')).collect();
    after.map(host).filter(|host: &String| host.contains('.') && !is_address(host)).collect()
}

fn is_address(host: &str) -> bool {
    host.chars().all(|c| c.is_ascii_digit() || c == '.')
}

#[test]
fn documents_point_to_files_that_exist() {
    for (name, text) in tree().into_iter().filter(|(name, _)| name.ends_with(".md")) {
        let folder = root().join(&name).parent().map(Path::to_owned).unwrap_or_default();
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in linked.filter(|link| !link.is_empty() && !link.contains("://")) {
            assert!(folder.join(link).exists(), "{name} points to {link}, which is not there");
        }
        for path in quoted(&text).iter().filter(|word| is_path(word)) {
            assert!(root().join(path).exists(), "{name} names {path}, which is not there");
        }
    }
}

/// A file of the sources named in full; what exists only after a build or a start does not count.
fn is_path(word: &str) -> bool {
    let top = ["crates/", "docs/", "tests/", "etc/systemd/", "etc/init.d/"].iter().any(|top| word.starts_with(top));
    top && !word.contains(['*', '<', ' ', ':', '{', '…', 'N'])
}

#[test]
fn decision_records_are_numbered_and_listed() {
    let index = read("docs/ARCHITECTURE.md");
    let mut names: Vec<String> = tree()
        .into_iter()
        .filter_map(|(name, _)| Some(name.strip_prefix("docs/adr/")?.to_owned()))
        .filter(|name| name.ends_with(".md"))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "there is no decision record");
    for (number, name) in (1..).zip(&names) {
        assert!(name.starts_with(&format!("{number:04}-")), "{name} should be number {number:04}");
        assert!(index.contains(&format!("- [{} ", &name[..4])), "docs/ARCHITECTURE.md does not list {name}");
        let text = read(&format!("docs/adr/{name}"));
        for heading in ["## Context", "## Decision", "## Consequences"] {
            assert!(text.contains(heading), "{name} has no '{heading}'");
        }
    }
}

#[test]
fn the_first_page_shows_both_commands_and_what_they_need() {
    let readme = read("README.md");
    let top: String = readme.lines().take(30).collect::<Vec<_>>().join("\n");
    for word in ["bin/demo", "bin/test", "Rust", "linker"] {
        assert!(top.contains(word), "the first 30 lines of README.md do not say '{word}'");
    }
    for program in quoted(&readme).iter().filter(|word| word.starts_with("bin/") && !word.contains(' ')) {
        let built = ["bin/pha-cli", "bin/pha-sender", "bin/pha-receiver", "bin/pha-supervise", "bin/pha-address"];
        assert!(built.contains(&program.as_str()) || root().join(program).exists(), "README.md names {program}");
    }
}
