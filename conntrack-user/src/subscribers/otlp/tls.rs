//! TLS, and which certificate authorities to trust.

use std::{io, path::Path, sync::Arc};

use anyhow::{Context as _, Error, Result, ensure};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio_rustls::TlsConnector;

/// Makes TLS connections that trust the certificate authorities in this file, or else those of the
/// host.
///
/// # Errors
///
/// There are no certificate authorities, or the file cannot be used.
pub(super) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let shown = path.display();
        let cannot = || format!("cannot read certificates from {shown} (otlp.ca_file)");
        for certificate in CertificateDer::pem_file_iter(path).with_context(cannot)? {
            let certificate = certificate.with_context(cannot)?;
            roots.add(certificate).with_context(cannot)?;
        }
        ensure!(
            !roots.is_empty(),
            "{shown} (otlp.ca_file) has no certificate: give a PEM file"
        );
    } else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        ensure!(
            !roots.is_empty(),
            "this host trusts no certificate authority: install ca-certificates, or set otlp.ca_file"
        );
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("cannot use TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Why there is no TLS connection, with what to do.
pub(super) fn explained(error: io::Error) -> Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    let what = match cause {
        Some(rustls::Error::InvalidMessage(_)) => {
            "no TLS connection: the receiver does not speak TLS there, but probably plain HTTP: turn \
             TLS on in the receiver, or begin its address (otlp.endpoint) with http://"
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            "no TLS connection: this host, or otlp.ca_file if it is set, must trust the certificate \
             of the receiver"
        }
        _ => "no TLS connection",
    };
    Error::new(error).context(what)
}
