//! docs/tutorial.md, command by command: what the page says is what happens.
//!
//! Its blocks run one after another in a single shell, as a reader's would. Only the ports are other ones, so
//! that a `canary local` of somebody's own is not in the way, and the block that builds is left out. What the
//! page shows must be in what the commands printed, but for ids, numbers that differ from run to run, and what
//! it leaves out by `…`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const PAGE: &str = include_str!("../../../docs/tutorial.md");
/// Between the outputs of two blocks.
const MARK: &str = "=====block ";

/// A block of commands, and what the page shows of its output.
#[derive(Debug, Default)]
struct Block {
    commands: String,
    shown: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside: Option<&str> = None;
    for line in page.lines() {
        match (inside, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                inside = Some(kind);
                if kind == "sh" {
                    blocks.push(Block::default());
                }
            }
            (Some(_), Some(_)) => inside = None,
            (Some(kind @ ("sh" | "text")), None) => {
                let block = blocks.last_mut().expect("an output follows its commands");
                let text = if kind == "sh" {
                    &mut block.commands
                } else {
                    &mut block.shown
                };
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

/// The page on ports that nobody has.
fn on_free_ports(page: &str) -> String {
    const NAMED: [&str; 9] = [
        "8686", "8687", "4566", "9001", "9002", "9003", "9004", "9005", "9006",
    ];
    // All are held until each has one, so that no two are the same.
    let held = NAMED.map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"));
    let page = page.replace("canary local ", "canary local --port 8686 --aws-port 4566 ");
    let mut page = page.replace("canary dashboard >", "canary dashboard --port 8687 >");
    // By way of a mark: a port may hold the digits of another.
    let mark = |place: usize| format!("\u{1}{place}\u{1}");
    for (place, named) in NAMED.iter().enumerate() {
        page = page.replace(named, &mark(place));
    }
    for (place, listener) in held.iter().enumerate() {
        let port = listener.local_addr().expect("it is bound").port();
        page = page.replace(&mark(place), &port.to_string());
    }
    page
}

/// The page at twice its speed, which a reader would find hard to follow.
fn hurried(page: &str) -> String {
    let hurried = [
        ("--speed 60", "--speed 120"),
        ("callers.py 60 3 ", "callers.py 120 1.5 "),
        ("callers.py 60 12 ", "callers.py 120 6 "),
    ];
    hurried
        .iter()
        .fold(page.to_owned(), |page, (as_it_is, faster)| {
            assert!(page.contains(as_it_is), "the page has no {as_it_is}");
            page.replace(as_it_is, faster)
        })
}

/// Whether a line's numbers are the same at every run, and are what it is about: exit codes, buckets of users,
/// and what the plan says of metrics and labels.
fn is_exact(line: &str) -> bool {
    let beginnings = ["exit code ", "What inference counts ", "accuracy "];
    beginnings
        .iter()
        .any(|beginning| line.starts_with(beginning))
        || line.contains(r#""bucket":"#)
        || line.trim().parse::<u64>().is_ok()
}

/// What is the same at every run, of a line whose numbers are not.
fn shape(line: &str) -> String {
    let is_id = |word: &str| {
        word.len() >= 8
            && word.contains(|c: char| c.is_ascii_digit())
            && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
    };
    let words = line.split_whitespace().map(|word| {
        let ends = |c: char| !c.is_ascii_alphanumeric();
        let core = word.trim_matches(ends);
        if is_id(core) {
            return word.replace(core, "#");
        }
        let mut text = String::new();
        for character in word.chars() {
            let is_number = character.is_ascii_digit() || (character == '.' && text.ends_with('#'));
            if !is_number {
                text.push(character);
            } else if !text.ends_with('#') {
                text.push('#');
            }
        }
        text
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a line that was printed is the one that is shown; `…` stands for anything.
fn is_shown(shown: &str, printed: &str) -> bool {
    let form = |text: &str| {
        if is_exact(shown) {
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        } else {
            shape(text)
        }
    };
    let printed = form(printed);
    let mut rest = printed.as_str();
    let parts: Vec<String> = shown.split('…').map(form).collect();
    for (place, part) in parts.iter().enumerate() {
        let Some(at) = rest.find(part.as_str()) else {
            return false;
        };
        if place == 0 && at != 0 {
            return false;
        }
        rest = &rest[at + part.len()..];
    }
    shown.ends_with('…') || rest.is_empty()
}

/// The first line shown that the block did not print, in the order of both.
fn missing<'a>(block: &'a Block, printed: &str) -> Option<&'a str> {
    let mut printed = printed.lines();
    let shown = block.shown.lines().filter(|line| !line.trim().is_empty());
    let mut shown = shown.filter(|line| line.trim() != "…");
    shown.find(|line| !printed.any(|candidate| is_shown(line, candidate)))
}

fn has(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null());
    command.stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn the_page_says_what_happens() {
    if !["bash", "curl", "python3"]
        .iter()
        .all(|program| has(program))
    {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI has all that a reader needs"
        );
        eprintln!("skipped: the tutorial needs bash, curl and python3");
        return;
    }
    let page = on_free_ports(&hurried(PAGE));
    let blocks = blocks(&page);
    let mut script = "trap 'kill $(jobs -p) 2> /dev/null' EXIT\nexec 2>&1\n".to_owned();
    for (number, block) in blocks.iter().enumerate() {
        let commands = &block.commands;
        write!(script, "echo '{MARK}{number}'\n{commands}").expect("a string takes everything");
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tutorial");
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).expect("the folder for tests takes folders");
    let binary = Path::new(env!("CARGO_BIN_EXE_canary"));
    let own = binary.parent().expect("a file has a folder");
    let mut path = OsString::from(own);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let api = page
        .split("http://127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(&folder)
        .env("PATH", path)
        .env(
            "CANARY_API",
            format!("http://127.0.0.1:{}", api.expect("the page has an address")),
        )
        .env_remove("CI")
        .process_group(0)
        .output()
        .expect("bash starts");
    let all = String::from_utf8_lossy(&output.stdout);
    let printed: Vec<&str> = all.split(MARK).skip(1).collect();
    assert_eq!(printed.len(), blocks.len(), "{all}");
    for (block, printed) in blocks.iter().zip(printed) {
        if let Some(line) = missing(block, printed) {
            panic!(
                "not printed: {line}\nby:\n{}\nbut:\n{printed}",
                block.commands
            );
        }
    }
}

#[test]
fn a_line_that_is_shown_is_told_from_others() {
    assert!(is_shown(
        "counted  12 of 0193-ab12-77",
        "counted 9 of 01931f0a-7c00"
    ));
    assert!(is_shown(
        "ROLLED_BACK: wrong … above",
        "ROLLED_BACK: wrong predictions 4.2 % above"
    ));
    assert!(is_shown("begins…", "begins and goes on"));
    assert!(!is_shown("begins", "begins and goes on"));
    assert!(!is_shown("exit code 0 …", "exits"));
    assert!(is_shown("exit code 3", "exit code 3"));
    assert!(!is_shown("exit code 3", "exit code 0"));
    assert!(!is_shown("15", "16"));
    let routed = |bucket: u8| format!(r#"{{"variant":"canary-0a1b2c3d","bucket":{bucket}}}"#);
    let shown = r#"{"variant":"canary-…","bucket":15}"#;
    assert!(is_shown(shown, &routed(15)));
    assert!(!is_shown(shown, &routed(16)));
    let block = Block {
        commands: String::new(),
        shown: "one\n…\nthree\n".to_owned(),
    };
    assert_eq!(missing(&block, "one\ntwo\nthree\n"), None);
    assert_eq!(missing(&block, "three\none\n"), Some("three"));
}

#[test]
fn every_block_that_is_shown_follows_its_commands() {
    let blocks = blocks(PAGE);
    assert!(blocks.len() > 15, "{}", blocks.len());
    assert!(blocks.iter().all(|block| !block.commands.is_empty()));
    let with_output = blocks.iter().filter(|block| !block.shown.is_empty());
    assert!(
        with_output.count() > 10,
        "most of the page shows what comes of it"
    );
}
