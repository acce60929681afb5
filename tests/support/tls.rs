//! A private certificate authority for one server.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// An authority that nobody trusts but who is told to.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: PathBuf,
}

/// What is wrong with a server's certificate, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost` and 127.0.0.1, valid for a thousand years.
    Good,
    /// The same names, over since 2001.
    Expired,
    /// Valid, for `other.example`.
    OtherName,
}

impl Authority {
    /// Makes an authority and writes its certificate into `folder`.
    pub fn new(folder: &Path) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names, no error");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "dagsync test authority");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = folder.join("ca.pem");
        fs::write(&pem, params.self_signed(&key).expect("a certificate").pem()).expect("ca.pem is written");
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// The file to give to clients.
    pub fn pem(&self) -> &Path {
        &self.pem
    }

    /// Writes `leaf.pem` and `leaf.key` into `folder`, replacing older ones.
    pub fn issue(&self, kind: Certificate, folder: &Path) {
        let names = match kind {
            Certificate::OtherName => vec!["other.example".to_owned()],
            Certificate::Good | Certificate::Expired => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        };
        let mut params = CertificateParams::new(names).expect("valid names");
        params.distinguished_name.push(DnType::CommonName, "dagsync test server");
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(if kind == Certificate::Expired { 2001 } else { 2999 }, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, &self.issuer).expect("a certificate");
        fs::write(folder.join("leaf.pem"), leaf.pem()).expect("leaf.pem is written");
        fs::write(folder.join("leaf.key"), key.serialize_pem()).expect("leaf.key is written");
    }
}
