//! The example file: written from the same lines as the settings themselves.

use std::fmt::Write;

use super::section::{Chapter, Key, Presence};
use super::source::variable;

const HEAD: &str = "\
# Rookery: all settings, with their defaults.
#
# A line that begins with `#key = ` shows a default, or an example where the text says so; take
# the # away to change it. The environment wins over this file, and flags win over both: the key
# limits.max_body is ROOKERY_LIMITS_MAX_BODY there (lists with commas between the items).
# Check a file with `homeserver --config FILE config check`.
";

/// The text of the example file: every key with its manual; only what must be given is active.
pub(crate) fn text(chapters: &[Chapter]) -> String {
    let mut text = HEAD.to_owned();
    for chapter in chapters {
        text.push('\n');
        comment(&mut text, chapter.manual);
        line(&mut text, format_args!("[{}]", chapter.name));
        for key in &chapter.keys {
            describe(&mut text, chapter, key);
        }
    }
    text
}

fn describe(text: &mut String, chapter: &Chapter, key: &Key) {
    text.push('\n');
    comment(text, key.manual);
    let name = &key.name[chapter.name.len() + 1..];
    match &key.presence {
        Presence::Required(raw) => line(text, format_args!("{name} = {raw}")),
        Presence::Default(raw) => line(text, format_args!("#{name} = {raw}")),
        Presence::Example(raw) => {
            line(text, format_args!("# Not set by default. An example:"));
            line(text, format_args!("#{name} = {raw}"));
        }
    }
    debug_assert!(variable(key.name).is_ascii(), "keys are plain names");
}

fn comment(text: &mut String, manual: &[&str]) {
    for manual_line in manual {
        line(
            text,
            format_args!("{}", format!("#{manual_line}").trim_end()),
        );
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes all");
}
