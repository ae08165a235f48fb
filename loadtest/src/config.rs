//! The configuration file that goes with the snapshot.

use crate::error::Error;

const NAME_SIZE_MAX: usize = 40;

/// One Lithic connection. The secret is a reference, so that no file holds it.
pub(crate) fn config(connection: &str, secret: &str) -> Result<String, Error> {
    let lawful = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=NAME_SIZE_MAX).contains(&connection.len()) || !connection.bytes().all(lawful) {
        return Err(Error::Usage(format!(
            "connection `{connection}` is not [a-z0-9-]{{1,40}}"
        )));
    }
    let reference = secret
        .strip_prefix("env:")
        .or_else(|| secret.strip_prefix("file:"));
    if reference.is_none_or(str::is_empty) || secret.contains(['"', '\\', '\n']) {
        return Err(Error::Usage(
            "the secret is given as env:NAME or file:PATH".to_owned(),
        ));
    }
    Ok(format!(
        "[[issuer]]\nname = \"{connection}\"\nkind = \"lithic\"\nsecrets = [\"{secret}\"]\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::config;

    #[test]
    fn names_the_connection_and_where_the_secret_is() {
        let text = config("acme", "env:ISSUER_SECRET").unwrap();
        let expected = "[[issuer]]\nname = \"acme\"\nkind = \"lithic\"\n\
            secrets = [\"env:ISSUER_SECRET\"]\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn refuses_a_literal_secret_and_an_unlawful_name() {
        assert!(config("acme", "c2VjcmV0").is_err());
        assert!(config("acme", "env:").is_err());
        assert!(config("acme", "env:A\"]\nx=[\"").is_err());
        assert!(config("Acme Inc", "env:A").is_err());
        assert!(config("", "env:A").is_err());
    }
}
