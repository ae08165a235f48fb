//! People who sign in: their passwords, their sessions, and the command that makes them (behaviour 7.1).
//!
//! A session is 256 random bits in a cookie, and its keyed hash in a row; who stands behind it is read
//! for every request, so that whoever is disabled is out at once.

pub mod command;
pub mod password;
pub mod session;

/// The longest address of a person.
const EMAIL_LEN_MAX: usize = 254;

/// An address in the form in which it is compared and kept; none where it can be no address.
#[must_use]
pub fn email(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (name, host) = text.rsplit_once('@')?;
    let is_part =
        |it: &str| !it.is_empty() && it.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let is_lawful = text.len() <= EMAIL_LEN_MAX && is_part(name) && is_part(host);
    is_lawful.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_in_lower_case() {
        assert_eq!(
            email(" Ada@Example.COM "),
            Some("ada@example.com".to_owned())
        );
        for none in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a da@example.com",
            "a\nb@c",
        ] {
            assert_eq!(email(none), None, "{none:?}");
        }
        assert_eq!(email(&format!("{}@example.com", "a".repeat(300))), None);
    }
}
