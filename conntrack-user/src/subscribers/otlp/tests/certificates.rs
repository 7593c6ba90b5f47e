//! ctdrop sends data only to a receiver that it trusts, and says what is wrong with another one.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::SystemTime,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::TempDir;

use super::{
    super::{
        answer::{Verdict, judge},
        settings::Settings,
    },
    hostile::{post, receiver, receiver_at, request, settings},
};

/// A certificate authority, made for one test.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// A file with its certificate.
    fn file(&self) -> PathBuf {
        let file = self.directory.path().join("ca.pem");
        fs::write(&file, self.issuer.pem()).unwrap();
        file
    }

    /// A receiver with a certificate for `localhost` and 127.0.0.1.
    fn receiver(&self, host: &str) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        receiver_at(host, move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            if !request(&mut stream).is_empty() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        })
    }
}

#[tokio::test]
async fn only_who_is_trusted_gets_anything() {
    let (ours, other) = (Authority::new(), Authority::new());
    let here = ours.receiver("127.0.0.1");
    // Its certificate is of another address.
    let elsewhere = ours.receiver("127.0.0.2");
    let with = |host: &str, ca: &Authority| {
        let receiver = if host == "127.0.0.2" { elsewhere } else { here };
        Settings {
            ca_file: Some(ca.file()),
            ..settings(&format!("https://{host}:{}", receiver.port()))
        }
    };
    for host in ["localhost", "127.0.0.1"] {
        let answer = post(with(host, &ours)).await.unwrap();
        assert_eq!(judge(&answer, SystemTime::now()), Verdict::Taken);
    }
    for (host, ca) in [("localhost", &other), ("127.0.0.2", &ours)] {
        let error = format!("{:#}", post(with(host, ca)).await.unwrap_err());
        assert!(error.contains("must trust"), "{error}");
    }
}

#[tokio::test]
async fn a_receiver_without_tls_is_said_to_have_none() {
    let plain = receiver(|mut stream| {
        // Servers answer at once to bytes that are no request.
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    });
    let authority = Authority::new();
    let settings = Settings {
        ca_file: Some(authority.file()),
        ..settings(&format!("https://{plain}"))
    };
    let error = format!("{:#}", post(settings).await.unwrap_err());
    assert!(error.contains("probably plain HTTP"), "{error}");
    assert!(
        error.contains("http://") && !error.contains("must trust"),
        "{error}"
    );
}

#[test]
fn a_file_without_a_certificate_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key.pem");
    fs::write(&file, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let settings = Settings {
        ca_file: Some(file),
        ..settings("https://localhost:4318")
    };
    let error = settings.check().unwrap_err().to_string();
    assert!(error.contains("has no certificate"), "{error}");
}
