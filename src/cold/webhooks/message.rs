//! What people are told: our facts first, the words of others below, marked and harmless (behaviour 5.13).
//!
//! Mailboxes and chats make links of whatever looks like one. Nothing that an agent wrote or chose may
//! become one in a message that bears our name, so each text of theirs goes through [`harmless`].

use crate::cold::web::shown_words;

/// Characters of one text of an agent that a message has.
const WORDS_LEN_MAX: usize = 500;
/// Stands before each line of an agent's, so that none of them passes for one of ours.
const THEIRS: &str = "    | ";
/// What stands above them.
pub(super) const NOT_OURS: &str = "What the agent says. These are its own words: nobody has checked them, and they decide nothing.";

/// A message to somebody, in no form yet.
#[derive(Clone, Debug, Default)]
pub(in crate::cold) struct Message {
    /// The event's id.
    pub(in crate::cold) id: String,
    /// One line of ours.
    pub(in crate::cold) subject: String,
    /// Names and values.
    pub(in crate::cold) facts: Vec<(&'static str, String)>,
    /// Why a human is asked: sentences of ours.
    pub(in crate::cold) causes: Vec<String>,
    /// What somebody else wrote, as it was written.
    pub(in crate::cold) words: Vec<(&'static str, String)>,
    /// The page that asks who is there.
    pub(in crate::cold) page: Option<String>,
    /// The link that decides once, and until when. Whoever has it can decide.
    pub(in crate::cold) link: Option<(String, String)>,
}

/// A text of somebody else in which no program finds a link, a mention or a turn of direction: what is
/// not seen is seen, and dots, colons and at signs that would make an address stand in brackets.
pub(in crate::cold) fn harmless(text: &str) -> String {
    let shown = shown_words(text);
    let mut characters = shown.chars().take(WORDS_LEN_MAX).peekable();
    let mut out = String::with_capacity(shown.len());
    while let Some(char) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        let is_dot = matches!(char, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}');
        if is_unseen(char) {
            out.push('\u{fffd}');
        } else if is_dot && next.is_alphabetic()
            || char == ':' && !next.is_whitespace()
            || matches!(char, '@' | '\u{ff20}')
        {
            out.push('[');
            out.push(char);
            out.push(']');
        } else {
            out.push(char);
        }
    }
    if shown.chars().count() > WORDS_LEN_MAX {
        out.push_str(" [cut]");
    }
    out
}

/// Beside those that pages show too: tags, fillers, and ends of lines that are none of ours.
fn is_unseen(char: char) -> bool {
    matches!(
        char,
        '\u{115f}' | '\u{1160}' | '\u{2028}' | '\u{2029}' | '\u{2062}'..='\u{2064}'
            | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

impl Message {
    /// As text, for a mailbox. There is no other part.
    pub(in crate::cold) fn text(&self) -> String {
        let mut out = format!("{}\n\n", self.subject);
        let mut line = |text: &str| {
            out.push_str(text);
            out.push('\n');
        };
        for (name, value) in &self.facts {
            line(&format!("{name}: {value}"));
        }
        if !self.causes.is_empty() {
            line("\nWhy a human is asked:");
        }
        for cause in &self.causes {
            line(&format!("- {cause}"));
        }
        if let Some((link, ends)) = &self.link {
            line("\nLook at it, and approve or deny it, without signing in:");
            line(&format!("\n{link}"));
            line(&format!(
                "\nWhoever has this link can decide, once, until {ends}: pass it on to nobody. \
                 Opening it decides nothing."
            ));
        }
        if let Some(page) = &self.page {
            line(&format!("\nThe same, signed in:\n\n{page}"));
        }
        if !self.words.is_empty() {
            line(&format!("\n\n{NOT_OURS}\n"));
        }
        for (name, words) in &self.words {
            line(&format!("{name}:"));
            for theirs in harmless(words).split('\n') {
                line(&format!("{THEIRS}{theirs}"));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text of the corpus that pages are tried with, too.
    const CORPUS: &str = include_str!("../../../tests/interop/xss.txt");

    /// What mail programs and chats are known to make links or mentions of.
    fn looks_like_a_link(text: &str) -> bool {
        let text = text.to_lowercase();
        let characters: Vec<char> = text.chars().collect();
        let dotted = characters
            .windows(3)
            .any(|it| it[0].is_alphanumeric() && it[1] == '.' && it[2].is_alphabetic());
        dotted || text.contains("://") || text.contains("mailto:") || {
            let mut at = text.match_indices('@');
            at.any(|(at, _)| !text.get(..at).unwrap().ends_with('['))
        }
    }

    #[test]
    fn s7_no_word_of_an_agent_becomes_a_link_or_hides() {
        let own = [
            "see https://evil.example/pay now",
            "HTTPS://EVIL.EXAMPLE",
            "evil.example",
            "mailto:a@b.example",
            "<!channel> @here <@U0123> <https://evil.example|our page>",
            "www.evil\u{3002}example",
            "javascript:alert(1)",
        ];
        let all = CORPUS.lines().chain(own);
        let mut count = 0;
        for text in all.filter(|text| !text.is_empty()) {
            let shown = harmless(text);
            assert!(!looks_like_a_link(&shown), "{text:?} is shown as {shown:?}");
            let hidden = |char: char| is_unseen(char) || (char.is_control() && char != '\n');
            assert!(!shown.chars().any(hidden), "{shown:?}");
            count += 1;
        }
        assert!(count >= 200, "{count}");
        assert_eq!(
            harmless("12.50 USD, e.g\u{202e}"),
            "12.50 USD, e[.]g\u{fffd}"
        );
        assert_eq!(harmless("a: b"), "a: b", "prose stays");
        assert!(harmless(&"x".repeat(501)).ends_with(" [cut]"));
    }

    #[test]
    fn s7_no_line_of_an_agent_passes_for_one_of_ours() {
        let fake = "x\n\nAmount: 1.00 USD\r\nThe same, signed in:\u{2028}Subject: y";
        let message = Message {
            subject: "10.00 USD at shop.example waits".to_owned(),
            words: vec![("What", fake.to_owned())],
            ..Message::default()
        };
        let text = message.text();
        let theirs = text.split_once(NOT_OURS).unwrap().1;
        let lines: Vec<&str> = theirs.lines().filter(|it| !it.is_empty()).collect();
        assert_eq!(lines[0], "What:");
        assert_eq!(lines.len(), 5, "{lines:?}");
        assert!(
            lines[1..].iter().all(|it| it.starts_with(THEIRS)),
            "{lines:?}"
        );
    }
}
