//! What an e-mail about missed messages says, as text and as HTML.

use crate::html::escaped;

/// How many rooms an e-mail shows.
pub(super) const ROOMS_MAX: usize = 20;

/// How many messages of a room it shows, the last ones.
pub(super) const LINES_MAX: usize = 8;

/// How much of a message it shows, in characters.
const TEXT_CHARS_MAX: usize = 500;

/// How much of a name it shows, in characters.
const NAME_CHARS_MAX: usize = 80;

/// What was missed.
#[derive(Debug, Default)]
pub(super) struct Digest {
    /// Whose it is.
    pub(super) user: String,
    /// The server's name.
    pub(super) server: String,
    /// In the order in which something happened last, the newest first; at most [`ROOMS_MAX`].
    pub(super) rooms: Vec<DigestRoom>,
    /// How many more there are.
    pub(super) more_rooms: usize,
}

/// What was missed in one room.
#[derive(Debug)]
pub(super) struct DigestRoom {
    /// `None`: it is called like who is in it.
    pub(super) name: Option<String>,
    /// Where it can be read.
    pub(super) link: String,
    /// Oldest first; at most [`LINES_MAX`], never none.
    pub(super) lines: Vec<Line>,
    /// How many came before.
    pub(super) more: usize,
}

/// One message.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) sender: String,
    pub(super) text: String,
    /// Whether it invites the reader.
    pub(super) invites: bool,
}

impl Digest {
    /// One line that says what there is.
    pub(super) fn subject(&self) -> String {
        let Some(room) = self.rooms.first() else {
            return "Missed messages".to_owned();
        };
        let shown: usize = self.rooms.iter().map(DigestRoom::count).sum();
        let elsewhere = self.rooms.len() + self.more_rooms > 1;
        let name = room.shown_name();
        match room.lines.as_slice() {
            _ if elsewhere => format!("{shown} missed messages in {name} and elsewhere"),
            [line] if room.more == 0 && line.invites => {
                format!("{} invites you to {name}", plain(&line.sender))
            }
            [line] if room.more == 0 && room.name.is_some() => {
                format!("A message from {} in {name}", plain(&line.sender))
            }
            [line] if room.more == 0 => format!("A message from {}", plain(&line.sender)),
            _ => format!("{shown} missed messages in {name}"),
        }
    }

    /// The body for those who read text.
    pub(super) fn text(&self, unsubscribe: &str) -> String {
        let mut text = format!("Missed on {} by {}:\n", self.server, self.user);
        for room in &self.rooms {
            text.push_str(&format!("\n{}\n", room.shown_name()));
            if room.more > 0 {
                text.push_str(&format!("  ({} before these)\n", room.more));
            }
            for line in &room.lines {
                let said = cut(&line.text, TEXT_CHARS_MAX).replace('\n', "\n    ");
                text.push_str(&format!("  {}: {said}\n", plain(&line.sender)));
            }
            text.push_str(&format!("  {}\n", room.link));
        }
        if self.more_rooms > 0 {
            text.push_str(&format!("\nAnd more in {} other rooms.\n", self.more_rooms));
        }
        text.push_str(&format!("\nNo more e-mails like this one: {unsubscribe}\n"));
        text
    }

    /// The same for those who see more: one table, no pictures, nothing from elsewhere, since that is what all programs show.
    pub(super) fn html(&self, unsubscribe: &str) -> String {
        let rooms: String = self.rooms.iter().map(room_html).collect();
        let more = match self.more_rooms {
            0 => String::new(),
            more => format!("<p style=\"{SOFT}\">And more in {more} other rooms.</p>"),
        };
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
             <title>{subject}</title></head>\
             <body style=\"margin:0;padding:24px 12px;background:#f6f7f6;color:#17211f;{FONT}\">\
             <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\"><tr><td align=\"center\">\
             <div style=\"max-width:560px;text-align:left\">\
             <h1 style=\"font-size:20px;line-height:1.3;margin:0 0 4px\">{subject}</h1>\
             <p style=\"{SOFT}\">on {server}, for {user}</p>\n{rooms}{more}\
             <p style=\"{SOFT}\"><a href=\"{unsubscribe}\" style=\"color:#5a6865\">No more e-mails like this one</a></p>\
             </div></td></tr></table></body></html>\n",
            subject = escaped(&self.subject()),
            server = escaped(&self.server),
            user = escaped(&self.user),
            unsubscribe = escaped(unsubscribe),
        )
    }
}

const FONT: &str = "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif";
const SOFT: &str = "margin:0 0 16px;color:#5a6865;font-size:14px";

fn room_html(room: &DigestRoom) -> String {
    let mut lines = match room.more {
        0 => String::new(),
        more => format!("<p style=\"{SOFT}\">{more} before these</p>"),
    };
    for line in &room.lines {
        let text = escaped(&cut(&line.text, TEXT_CHARS_MAX)).replace('\n', "<br>");
        lines.push_str(&format!(
            "<p style=\"margin:0 0 8px;overflow-wrap:anywhere\"><strong>{}</strong><br>{text}</p>",
            escaped(&plain(&line.sender)),
        ));
    }
    format!(
        "<div style=\"background:#ffffff;border:1px solid #dfe5e3;border-radius:12px;padding:16px 20px;margin:0 0 16px\">\
         <h2 style=\"font-size:16px;margin:0 0 8px\">{name}</h2>{lines}\
         <p style=\"margin:12px 0 0\"><a href=\"{link}\" style=\"color:#0f766e\">Read and answer</a></p></div>\n",
        name = escaped(&room.shown_name()),
        link = escaped(&room.link),
    )
}

impl DigestRoom {
    fn count(&self) -> usize {
        self.lines.len() + self.more
    }

    fn shown_name(&self) -> String {
        match (&self.name, self.lines.last()) {
            (Some(name), _) => plain(name),
            (None, Some(line)) => format!("a chat with {}", plain(&line.sender)),
            (None, None) => "a room".to_owned(),
        }
    }
}

/// A name as one line of bounded length: whoever chose it must not write more than a name.
fn plain(name: &str) -> String {
    let one_line = |c: char| if c.is_control() { ' ' } else { c };
    cut(
        &name.chars().map(one_line).collect::<String>(),
        NAME_CHARS_MAX,
    )
}

fn cut(text: &str, chars_max: usize) -> String {
    let mut cut: String = text.chars().take(chars_max).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sender: &str, text: &str) -> Line {
        Line {
            sender: sender.to_owned(),
            text: text.to_owned(),
            invites: false,
        }
    }

    fn room(name: Option<&str>, lines: Vec<Line>) -> DigestRoom {
        DigestRoom {
            name: name.map(str::to_owned),
            link: "https://matrix.to/#/!a:here".to_owned(),
            lines,
            more: 0,
        }
    }

    fn digest(rooms: Vec<DigestRoom>) -> Digest {
        Digest {
            user: "@bob:here".to_owned(),
            server: "here".to_owned(),
            rooms,
            more_rooms: 0,
        }
    }

    #[test]
    fn the_subject_says_what_there_is() {
        let invite = Line {
            invites: true,
            ..line("Alice", "")
        };
        for (rooms, subject) in [
            (
                vec![room(None, vec![line("Alice", "hi")])],
                "A message from Alice",
            ),
            (
                vec![room(Some("Garden"), vec![line("Alice", "hi")])],
                "A message from Alice in Garden",
            ),
            (
                vec![room(Some("Garden"), vec![invite])],
                "Alice invites you to Garden",
            ),
            (
                vec![room(None, vec![line("Alice", "a"), line("Alice", "b")])],
                "2 missed messages in a chat with Alice",
            ),
            (
                vec![
                    room(Some("Garden"), vec![line("A", "a")]),
                    room(None, vec![line("B", "b")]),
                ],
                "2 missed messages in Garden and elsewhere",
            ),
        ] {
            assert_eq!(digest(rooms).subject(), subject);
        }
    }

    #[test]
    fn what_others_write_stays_what_they_write() {
        let name = format!("<b>\r\nBcc: all@example.org{}", "x".repeat(200));
        let said = line("<script>", "<img src=x>\nnext\"");
        let digest = digest(vec![room(Some(&name), vec![said])]);
        assert!(
            !digest.subject().contains(['\r', '\n']),
            "{}",
            digest.subject()
        );
        assert!(digest.subject().len() < 200, "{}", digest.subject());
        let html = digest.html("https://here/?t=a&b");
        assert!(
            !html.contains("<script>")
                && !html.contains("<img")
                && html.contains("&lt;img src=x&gt;<br>next&quot;")
        );
        assert!(html.contains("https://here/?t=a&amp;b"));
        let text = digest.text("https://here/?t=a&b");
        assert!(
            text.contains("<img src=x>\n    next\"") && text.contains("https://here/?t=a&b"),
            "{text}"
        );
    }
}
