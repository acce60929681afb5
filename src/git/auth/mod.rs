//! Who we are to a remote: asked before every pass, so that a rotated password works at once.
//!
//! Credentials go to the configured origin only (`git::http` sees to that) and live in [`Secret`].

use std::path::Path;

use crate::git::AuthConfig;
use crate::git::Error;
use crate::secret::Secret;

/// More than any token; a password file that is larger is something else, by mistake.
const MAX_PASSWORD_FILE: u64 = 64 * 1024;

/// A user name and a password, for one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name; may be empty.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// What to log in with now. Reads the password file anew each time.
pub fn login(auth: &AuthConfig) -> Result<Option<Login>, Error> {
    match auth {
        AuthConfig::None => Ok(None),
        AuthConfig::Fixed { username, password } => {
            Ok(Some(Login { username: username.clone(), password: password.clone() }))
        }
        AuthConfig::PasswordFile { username, file } => {
            Ok(Some(Login { username: username.clone(), password: read_password(file)? }))
        }
    }
}

fn read_password(path: &Path) -> Result<Secret, Error> {
    use std::io::Read as _;
    let bad = |reason: String| Error::PasswordFile { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|err| bad(err.to_string()))?;
    let mut text = String::new();
    // `InvalidData` names no bytes, so nothing of the secret can get into the message.
    file.take(MAX_PASSWORD_FILE + 1).read_to_string(&mut text).map_err(|err| bad(err.to_string()))?;
    if text.len() as u64 > MAX_PASSWORD_FILE {
        return Err(bad(format!("larger than {MAX_PASSWORD_FILE} bytes")));
    }
    let secret = Secret::new(text.trim_end_matches(['\r', '\n']));
    if secret.expose().is_empty() {
        return Err(bad("empty".into()));
    }
    if secret.has_control_character() {
        return Err(bad("holds a line break or another control character".into()));
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(content: &[u8]) -> Result<Option<Login>, Error> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, content).unwrap();
        login(&AuthConfig::PasswordFile { username: "u".into(), file })
    }

    #[test]
    fn trailing_line_breaks_of_a_password_file_are_cut() {
        for content in ["s3cret", "s3cret\n", "s3cret\r\n"] {
            assert_eq!(from_file(content.as_bytes()).unwrap().unwrap().password.expose(), "s3cret");
        }
    }

    #[test]
    fn newline_in_credential_is_refused() {
        for content in [&b"CANARY\nhost=evil"[..], b"CANARY\0", b"\n", b"", b"CANARY\xff"] {
            let err = from_file(content).unwrap_err().to_string();
            assert!(!err.contains("CANARY"), "{err}");
        }
    }

    #[test]
    fn cr_in_credential_is_refused() {
        assert!(from_file(b"CANARY\rx").is_err());
    }

    #[test]
    fn a_missing_password_file_names_the_file() {
        let auth = AuthConfig::PasswordFile { username: "u".into(), file: "/nonexistent/pw".into() };
        assert!(login(&auth).unwrap_err().to_string().contains("/nonexistent/pw"));
    }
}
