//! Whose certificates are trusted: the machine's, read once from the one file that holds them all.
//!
//! The SDK would read that file and then every file of the folders beside it, which hold the same
//! certificates again. On a Debian that is half of a function's start (docs/performance.md). Where one of
//! the variables that name other certificates is set, or there is no such file, or anything in it can't be
//! read, the SDK looks for itself: it passes over what it can't read, and would panic over what it is given.

use std::path::Path;

use aws_smithy_http_client::tls::TrustStore;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Where Linux distributions keep all certificates in one file: Amazon Linux and Fedora; Debian and Ubuntu;
/// Alpine.
const BUNDLES: [&str; 3] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
];
/// What names other certificates than the machine's:
/// <https://docs.openssl.org/master/man3/SSL_CTX_load_verify_locations/>.
const OTHERS: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The certificates of this machine, or of those that its environment names.
pub(super) fn store() -> TrustStore {
    let is_told = OTHERS.iter().any(|name| std::env::var_os(name).is_some());
    let bundle = if is_told { None } else { bundle(&BUNDLES) };
    bundle.map_or_else(TrustStore::default, |pem| {
        TrustStore::empty().with_pem_certificate(pem)
    })
}

/// The first bundle that there is, if all of it is certificates.
fn bundle(paths: &[impl AsRef<Path>]) -> Option<Vec<u8>> {
    let pem = paths.iter().find_map(|path| std::fs::read(path).ok())?;
    is_usable(&pem).then_some(pem)
}

fn is_usable(pem: &[u8]) -> bool {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.is_ok_and(|certificates| {
        let (usable, unusable) = RootCertStore::empty().add_parsable_certificates(certificates);
        usable > 0 && unusable == 0
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn certificate(name: &str) -> String {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]);
        made.expect("a certificate").cert.pem()
    }

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("{name}-{}.pem", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        path
    }

    #[test]
    fn a_bundle_is_taken_whole_or_not_at_all() {
        let both = certificate("a.example") + &certificate("b.example");
        let noise = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(is_usable(both.as_bytes()));
        assert!(is_usable(format!("# a comment\n{both}").as_bytes()));
        assert!(!is_usable((both.clone() + noise).as_bytes()));
        assert!(!is_usable(&both.as_bytes()[..both.len() - 40]));
        assert!(!is_usable(b""));
    }

    #[test]
    fn the_first_file_that_there_is_decides() {
        let good = certificate("a.example");
        let (usable, broken) = (file("trust-usable", &good), file("trust-broken", "nothing"));
        let absent = std::env::temp_dir().join("trust-absent.pem");
        assert_eq!(
            bundle(&[&absent, &usable, &broken]),
            Some(good.into_bytes())
        );
        // What the SDK finds beside it is better than nothing.
        assert_eq!(bundle(&[&absent, &broken, &usable]), None);
        assert_eq!(bundle(&[&absent]), None);
        for path in [usable, broken] {
            std::fs::remove_file(path).expect("its own file");
        }
    }
}
